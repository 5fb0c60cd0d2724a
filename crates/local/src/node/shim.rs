//! The shim: the small process between the node and a container's process.
//!
//! It is here for one promise: **nothing that a Pod started outlives the
//! cluster**, not even when the cluster is killed with SIGKILL and can clean up
//! nothing. The shim holds one end of a socket; when the other end closes, for
//! whatever reason, it kills its process group. On Linux it is also the
//! "subreaper" of its descendants, so those that moved to a group of their own
//! come back to it when their parent dies, and end with the rest; and should the
//! shim itself be killed, the kernel ends its process.
//!
//! One thread does all signalling and reaping, so a signal never reaches a
//! process that took over a reaped one's number.

use std::ffi::OsString;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, UnixStream};
use tokio::signal::unix::{SignalKind, signal};

use super::protocol::{Launch, Order, Report};

/// How long a port that was just let go of may be held by a process that is being forked.
const PORT_TRIES: u32 = 400;
const PORT_TRY: Duration = Duration::from_millis(5);

/// `sluice node-shim LABEL`: runs one process for the node that is at the other
/// end of standard input. The arguments are for readers of `ps` only.
pub fn main(_args: &[OsString]) -> ExitCode {
    crate::privacy::hide_this_process();
    let done = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(run()));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sluice node-shim: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> io::Result<()> {
    let control = StdUnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    control.set_nonblocking(true)?;
    let (reader, mut writer) = UnixStream::from_std(control)?.into_split();
    let mut orders = BufReader::new(reader).lines();
    let Some(line) = orders.next_line().await? else {
        // The node went before it said what to run.
        return Ok(());
    };
    let launch: Launch = serde_json::from_str(&line)?;

    if let Some(port) = launch.port {
        until_free(port).await;
    }
    // Before the start: no exit may be missed.
    let mut child_changed = signal(SignalKind::child())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut group = match ProcessGroup::start(&launch) {
        Ok(group) => group,
        Err(error) => {
            let message = why_not(&launch, &error);
            return report(&mut writer, &Report::Failed { message }).await;
        }
    };
    // A node that is gone by now is noticed by its orders' end.
    let _ = report(&mut writer, &Report::Started { pid: group.pid() }).await;

    let mut node_is_there = true;
    loop {
        tokio::select! {
            order = next_order(&mut orders), if node_is_there => match order {
                Some(Order::Terminate) => group.signal(Signal::SIGTERM),
                Some(Order::Kill) => group.signal(Signal::SIGKILL),
                None => {
                    node_is_there = false;
                    group.signal(Signal::SIGKILL);
                }
            },
            _ = child_changed.recv() => {}
            _ = terminate.recv() => group.signal(Signal::SIGTERM),
            _ = interrupt.recv() => group.signal(Signal::SIGINT),
            _ = hangup.recv() => group.signal(Signal::SIGHUP),
        }
        if let Some(end) = group.reap() {
            if node_is_there {
                report(&mut writer, &end).await?;
            }
            return Ok(());
        }
    }
}

/// Why a process cannot be started; "no such file" can mean two more things.
fn why_not(launch: &Launch, error: &io::Error) -> String {
    let program = launch.command.first().map_or("", String::as_str);
    let path = launch.env.iter().rev().find(|(name, _)| name == "PATH");
    let detail = match error.kind() {
        io::ErrorKind::NotFound if !launch.workdir.is_dir() => {
            format!(": there is no folder {}", launch.workdir.display())
        }
        io::ErrorKind::NotFound if !program.contains('/') => {
            format!(
                " in PATH, which is {:?}",
                path.map_or("", |(_, value)| value)
            )
        }
        _ => String::new(),
    };
    format!("exec: {program:?}: {error}{detail}")
}

/// Waits until a port is let go of. The node has closed the socket that held it, but a process that it
/// forks just now for another Pod has a copy, up to the moment when that is executed.
async fn until_free(port: u16) {
    for _ in 0..PORT_TRIES {
        let tried = TcpSocket::new_v4().and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind((Ipv4Addr::LOCALHOST, port).into())
        });
        match tried {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tokio::time::sleep(PORT_TRY).await;
            }
            // Whatever else is wrong with it, the process says better.
            _ => return,
        }
    }
}

/// The next order; `None` when the node is gone or speaks nonsense, which is the
/// same to the shim.
async fn next_order(orders: &mut Lines<BufReader<OwnedReadHalf>>) -> Option<Order> {
    let line = orders.next_line().await.ok()??;
    serde_json::from_str(&line).ok()
}

async fn report(writer: &mut OwnedWriteHalf, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    writer.write_all(&line).await
}

/// The process, its group, and on Linux whatever else descends from it.
struct ProcessGroup {
    leader: Pid,
    /// How the leader ended, once it has.
    end: Option<Report>,
}

impl ProcessGroup {
    fn start(launch: &Launch) -> io::Result<Self> {
        let Some((program, arguments)) = launch.command.split_first() else {
            return Err(io::Error::other("no command"));
        };
        adopt_orphans();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(launch.env.iter().map(|(name, value)| (name, value)))
            .current_dir(&launch.workdir)
            .stdin(Stdio::null())
            .process_group(0);
        die_with_parent(&mut command);
        let child = command.spawn()?;
        let leader = i32::try_from(child.id()).map_err(io::Error::other)?;
        Ok(Self {
            leader: Pid::from_raw(leader),
            end: None,
        })
    }

    fn pid(&self) -> u32 {
        self.leader.as_raw().unsigned_abs()
    }

    /// Signals every process of the group. That it is gone already is no error.
    fn signal(&self, signal: Signal) {
        if self.end.is_none() {
            let _ = killpg(self.leader, signal);
        }
    }

    /// Collects what has ended. The report comes when nothing at all is left:
    /// with its leader the rest of the group is killed, as with a container's
    /// first process.
    fn reap(&mut self) -> Option<Report> {
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) if pid == self.leader => {
                    self.leader_ended(Report::Exited { code });
                }
                Ok(WaitStatus::Signaled(pid, signal, _)) if pid == self.leader => {
                    self.leader_ended(Report::Killed {
                        signal: signal as i32,
                    });
                }
                Ok(WaitStatus::StillAlive) => {
                    if self.end.is_some() {
                        // Adopted orphans; their end comes as another SIGCHLD.
                        kill_children();
                    }
                    return None;
                }
                Ok(_) | Err(Errno::EINTR) => {}
                // ECHILD: no child is left.
                Err(_) => return self.end.take(),
            }
        }
    }

    fn leader_ended(&mut self, end: Report) {
        // The group's number stays taken as long as one of its members lives.
        let _ = killpg(self.leader, Signal::SIGKILL);
        self.end = Some(end);
    }
}

/// Makes descendants whose parent died children of this process.
fn adopt_orphans() {
    #[cfg(target_os = "linux")]
    if let Err(error) = nix::sys::prctl::set_child_subreaper(true) {
        eprintln!("sluice node-shim: orphans will not be followed: {error}");
    }
}

/// Has the kernel kill the process when this one is killed.
fn die_with_parent(command: &mut Command) {
    #[cfg(target_os = "linux")]
    #[expect(unsafe_code, reason = "the only way to a call between fork and exec")]
    // SAFETY: the closure makes one system call and allocates nothing, so it may
    // run in the child of a process with threads.
    unsafe {
        command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = command;
}

/// Kills every direct child, found by its parent's number in `/proc`.
fn kill_children() {
    #[cfg(target_os = "linux")]
    {
        let Ok(entries) = std::fs::read_dir("/proc") else {
            return;
        };
        let own = std::process::id();
        for entry in entries.flatten() {
            let Some(pid) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<i32>().ok())
            else {
                continue;
            };
            let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
                continue;
            };
            // `PID (NAME) STATE PARENT ...`, and the name may hold anything.
            let parent = stat
                .rsplit_once(')')
                .and_then(|(_, rest)| rest.split_whitespace().nth(1))
                .and_then(|parent| parent.parse::<u32>().ok());
            if parent == Some(own) {
                let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_is_still_held_is_waited_for() {
        let held = TcpSocket::new_v4().unwrap();
        held.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let port = held.local_addr().unwrap().port();
        let mut wait = std::pin::pin!(until_free(port));
        assert!(futures::poll!(wait.as_mut()).is_pending());
        drop(held);
        wait.await;
    }
}
