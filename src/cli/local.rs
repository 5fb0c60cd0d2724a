//! `sluice local up|down|status`: the embedded cluster.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio_util::sync::CancellationToken;

use super::CommandOutcome;
use super::output::{self, Output};
use super::shutdown::Shutdown;
use crate::local::apiserver::private;
use crate::local::cluster::{LocalCluster, LocalConfig};
use crate::local::data_dir::{DataDir, Endpoints};

/// How long `--detach` and `down` wait for the other process.
const PATIENCE: Duration = Duration::from_secs(30);

/// The embedded cluster: a Kubernetes API with Knative Serving, a gateway and a node.
#[derive(Debug, clap::Args)]
pub struct LocalArgs {
    #[command(subcommand)]
    command: LocalCommand,
}

#[derive(Debug, clap::Subcommand)]
enum LocalCommand {
    /// Start it, or resume it from its data directory
    Up(Box<UpArgs>),
    /// Stop the one that runs on a data directory
    Down {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Say whether one runs, and where
    Status {
        #[command(flatten)]
        place: PlaceArgs,
        /// How to print
        #[arg(long, short = 'o', default_value = "table", value_name = "FORMAT")]
        output: Output,
    },
}

/// Where the cluster keeps everything.
#[derive(Clone, Debug, clap::Args)]
struct PlaceArgs {
    /// Where objects, keys and logs are kept [default: ~/.local/share/sluice]
    #[arg(long, value_name = "DIR", env = "SLUICE_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

impl PlaceArgs {
    fn place(&self) -> anyhow::Result<DataDir> {
        Ok(DataDir::new(match &self.data_dir {
            Some(dir) => std::path::absolute(dir)?,
            None => DataDir::default_dir()
                .context("neither HOME nor XDG_DATA_HOME is set: give --data-dir DIR")?,
        }))
    }
}

#[derive(Debug, clap::Args)]
struct UpArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// Where the API server listens; the port of the last start, or a free one, when 0
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    api_listen: SocketAddr,
    /// Where the gateway listens: services answer at http://NAME.NAMESPACE.localhost:PORT
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    gateway_listen: SocketAddr,
    /// The kubeconfig to add the cluster to, whatever else is in it [default: kubeconfig in the data directory]
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Which commands the images of Pods stand for: `images: [{match: "ghcr.io/acme/app:*",
    /// command: [PROGRAM, ARGUMENT]}]`; no other image runs but the built-in samples
    #[arg(long, value_name = "FILE")]
    images: Option<PathBuf>,
    /// Run no Pods: for load tests of everything else, with a node that is played
    #[arg(long, hide = true)]
    without_node: bool,
    /// Go to the background once it is ready
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    repository: super::run::RepositoryArgs,
}

/// Carries the subcommand out.
pub async fn run(args: LocalArgs) -> anyhow::Result<CommandOutcome> {
    match args.command {
        LocalCommand::Up(args) if args.detach => detach(&args.place.place()?),
        LocalCommand::Up(args) => up(*args).await,
        LocalCommand::Down { place } => down(&place.place()?),
        LocalCommand::Status { place, output } => status(&place.place()?, output),
    }
}

async fn up(args: UpArgs) -> anyhow::Result<CommandOutcome> {
    let mut shutdown = Shutdown::listen();
    let place = args.place.place()?;
    let delivery = args.repository.delivery("default")?;
    let _held = place.lock()?.with_context(|| {
        format!(
            "a local cluster already runs on {}; `sluice local status` shows where",
            place.dir().display()
        )
    })?;
    // What a killed run left would tell of a process that may be anybody's by now.
    place.forget_endpoints();
    let cancel = CancellationToken::new();
    let started = Instant::now();
    let cluster = LocalCluster::start(LocalConfig {
        data_dir: Some(place.dir().to_owned()),
        api_listen: Some(args.api_listen),
        gateway_listen: Some(args.gateway_listen),
        kubeconfig: args.kubeconfig.clone(),
        images: args.images.clone(),
        without_node: args.without_node,
        ..LocalConfig::default()
    })
    .await
    .map_err(taken)?;
    let agent = match delivery {
        Some(delivery) => {
            Some(super::run::start_agent(cluster.client(), delivery, cancel.child_token()).await?)
        }
        None => None,
    };
    place.write_endpoints(cluster.endpoints())?;
    // That nobody reads on is no reason to stop.
    let _ = output::text(format_args!(
        "{}ready in {} ms; Ctrl-C stops it\n",
        describe(cluster.endpoints()),
        started.elapsed().as_millis()
    ));
    shutdown.requested().await;
    cancel.cancel();
    if let Some(agent) = agent {
        agent.await??;
    }
    cluster.shutdown().await;
    place.forget_endpoints();
    Ok(CommandOutcome::Done)
}

/// An address that somebody else listens on: what to do about it.
fn taken(error: anyhow::Error) -> anyhow::Error {
    let in_use = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::AddrInUse);
    if !in_use {
        return error;
    }
    anyhow::anyhow!(
        "{}; stop what listens there, or choose another address with --gateway-listen or --api-listen (127.0.0.1:0 is any free port)",
        super::with_causes(&error)
    )
}

/// Where things are, for a person.
pub fn describe(endpoints: &Endpoints) -> String {
    let kubeconfig = endpoints.kubeconfig.display();
    let context = endpoints.context.as_ref().map(|context| {
        format!(
            "Context      {context}   (kubectl --kubeconfig {kubeconfig} --context {context})\n"
        )
    });
    format!(
        "API server   {}\nGateway      {}   (http://NAME.NAMESPACE.localhost:{})\nMetrics      {}\nKubeconfig   {kubeconfig}\n{}",
        endpoints.api,
        endpoints.gateway,
        endpoints.gateway_port,
        endpoints.metrics,
        context.unwrap_or_default(),
    )
}

/// Starts the same command without `--detach` in a session of its own and waits until it is ready.
fn detach(place: &DataDir) -> anyhow::Result<CommandOutcome> {
    if place.lock()?.is_none() {
        bail!(
            "a local cluster already runs on {}; `sluice local status` shows where",
            place.dir().display()
        );
    }
    let log = place.dir().join("sluice.log");
    let out =
        private::create(&log).with_context(|| format!("{} cannot be written", log.display()))?;
    let arguments: Vec<_> = std::env::args_os()
        .skip(1)
        .filter(|argument| argument != "--detach")
        .collect();
    let mut command = std::process::Command::new(std::env::current_exe()?);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out);
    // A process group of its own: Ctrl-C in this terminal is not meant for it.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut child = command.spawn()?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            let said = said.trim_end();
            let why = said.strip_prefix("error: ").unwrap_or(said);
            bail!("the cluster did not start ({status}): {why}");
        }
        if let Some(endpoints) = place.read_endpoints().filter(|e| e.pid == child.id()) {
            output::text(format_args!(
                "{}running as process {}; `sluice local down` stops it, its log is {}\n",
                describe(&endpoints),
                child.id(),
                log.display()
            ))?;
            return Ok(CommandOutcome::Done);
        }
        if Instant::now() > deadline {
            bail!(
                "the cluster is not ready after {} s; its log is {}",
                PATIENCE.as_secs(),
                log.display()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn down(place: &DataDir) -> anyhow::Result<CommandOutcome> {
    if !place.is_taken()? {
        output::line(format_args!(
            "no local cluster runs on {}",
            place.dir().display()
        ))?;
        return Ok(CommandOutcome::Done);
    }
    let endpoints = place.read_endpoints().with_context(|| {
        format!(
            "a cluster is starting or stopping on {}; try again",
            place.dir().display()
        )
    })?;
    let pid = i32::try_from(endpoints.pid).context("the recorded process id is out of range")?;
    kill(Pid::from_raw(pid), Signal::SIGTERM)
        .with_context(|| format!("process {pid} cannot be signalled"))?;
    let deadline = Instant::now() + PATIENCE;
    while place.is_taken()? {
        if Instant::now() > deadline {
            bail!(
                "process {pid} has not stopped after {} s",
                PATIENCE.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    output::line(format_args!(
        "stopped; everything is kept in {}",
        place.dir().display()
    ))?;
    Ok(CommandOutcome::Done)
}

fn status(place: &DataDir, output: Output) -> anyhow::Result<CommandOutcome> {
    let running = place.is_taken()?;
    let endpoints = place.read_endpoints().filter(|_| running);
    output::print(output, &endpoints, || match &endpoints {
        Some(endpoints) => format!("{}Process      {}\n", describe(endpoints), endpoints.pid),
        None => format!(
            "no local cluster runs on {}; `sluice local up` starts one",
            Path::display(place.dir())
        ),
    })?;
    Ok(if running {
        CommandOutcome::Done
    } else {
        CommandOutcome::Differs
    })
}
