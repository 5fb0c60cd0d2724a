//! Containers as local processes, each behind a shim of its own.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::process::Stdio;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};

use super::protocol::Report;
use super::runtime::{Exit, Instance, Launch, Order, Output, Runtime, StartError};

/// Starts each container as a process group of this machine.
#[derive(Debug, Clone)]
pub struct ProcessRuntime {
    shim: PathBuf,
}

impl ProcessRuntime {
    /// `shim` is the `sluice` binary, which is started as `sluice node-shim`.
    pub fn new(shim: PathBuf) -> Self {
        Self { shim }
    }

    async fn start_process(&self, launch: Launch) -> Result<ProcessInstance, StartError> {
        let (own, shims) = StdUnixStream::pair()?;
        own.set_nonblocking(true)?;
        let mut shim = Command::new(&self.shim)
            .arg("node-shim")
            .arg(&launch.label)
            // Its process can be looked into by its parent's number: it shall have nothing.
            .env_clear()
            .stdin(Stdio::from(OwnedFd::from(shims)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A Ctrl-C in the terminal is the node's to answer, not the shim's.
            .process_group(0)
            .spawn()?;
        let output = match (shim.stdout.take(), shim.stderr.take()) {
            (Some(out), Some(err)) => Some((Box::new(out) as Output, Box::new(err) as Output)),
            _ => None,
        };
        let (reader, writer) = UnixStream::from_std(own)?.into_split();
        let mut instance = ProcessInstance {
            pid: 0,
            reports: BufReader::new(reader).lines(),
            orders: writer,
            output,
            shim,
            exit: None,
        };
        instance.send(&launch).await?;
        match instance.next_report().await {
            Some(Report::Started { pid }) => {
                instance.pid = pid;
                Ok(instance)
            }
            Some(Report::Failed { message }) => {
                instance.collect_shim().await;
                Err(StartError::Command(message))
            }
            other => Err(StartError::Runtime(io::Error::other(format!(
                "the shim {} answered {other:?}",
                self.shim.display()
            )))),
        }
    }
}

impl Runtime for ProcessRuntime {
    fn start(&self, launch: Launch) -> BoxFuture<'_, Result<Box<dyn Instance>, StartError>> {
        async move {
            let instance = self.start_process(launch).await?;
            Ok(Box::new(instance) as Box<dyn Instance>)
        }
        .boxed()
    }
}

/// One process behind its shim. Its end of the socket closes with it, and then
/// the shim kills whatever is left.
struct ProcessInstance {
    pid: u32,
    reports: Lines<BufReader<OwnedReadHalf>>,
    orders: OwnedWriteHalf,
    output: Option<(Output, Output)>,
    shim: Child,
    exit: Option<Exit>,
}

impl ProcessInstance {
    async fn send(&mut self, message: &impl serde::Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(message)?;
        line.push(b'\n');
        self.orders.write_all(&line).await
    }

    async fn next_report(&mut self) -> Option<Report> {
        let line = self.reports.next_line().await.ok()??;
        serde_json::from_str(&line).ok()
    }

    /// Takes the shim's own exit from the system; it says nothing new.
    async fn collect_shim(&mut self) {
        let _ = self.shim.wait().await;
    }
}

impl Instance for ProcessInstance {
    fn id(&self) -> String {
        format!("process://{}", self.pid)
    }

    fn take_output(&mut self) -> Option<(Output, Output)> {
        self.output.take()
    }

    fn order(&mut self, order: Order) -> BoxFuture<'_, ()> {
        async move {
            if self.exit.is_none() {
                // A closed socket means that it has ended: `wait` will say how.
                let _ = self.send(&order).await;
            }
        }
        .boxed()
    }

    fn wait(&mut self) -> BoxFuture<'_, Exit> {
        async move {
            let exit = match self.exit {
                Some(exit) => exit,
                None => match self.next_report().await {
                    Some(Report::Exited { code }) => Exit::Code(code),
                    Some(Report::Killed { signal }) => Exit::Signal(signal),
                    _ => Exit::Unknown,
                },
            };
            self.exit = Some(exit);
            self.collect_shim().await;
            exit
        }
        .boxed()
    }
}
