//! Asking a container how it is: HTTP, TCP, gRPC and commands.

mod failure;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Container, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::grpc_health;
use super::lifecycle::Happening;
use super::lifecycle::probe::{Cadence, ProbeKind, Timing, Tracker};
use super::lifecycle::status::ADDRESS;
use super::runtime::{Exit, Launch, Runtime};
pub use failure::UnknownProbe;
use failure::{ConnectError, Failure, GetError, UnknownCheck};

/// What a kubelet of the version that we speak calls itself.
pub(super) const USER_AGENT: &str = "kube-probe/1.34";

/// How much of a probe command's output goes into an event.
const OUTPUT_LIMIT: u64 = 1024;

/// One probe of one container, ready to be asked.
#[derive(Debug, Clone)]
pub struct Prober {
    kind: ProbeKind,
    timing: Timing,
    check: Check,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Check {
    Http {
        port: u16,
        path: String,
        headers: Vec<(String, String)>,
    },
    Tcp {
        port: u16,
    },
    Grpc {
        port: u16,
        service: String,
    },
    Command(Vec<String>),
}

/// What a probe's command runs in: the container's environment and folder.
pub struct CommandPlace {
    /// Runs it.
    pub runtime: Arc<dyn Runtime>,
    /// Everything but the command.
    pub launch: Launch,
}

impl Prober {
    /// The probes of `container`. `port` is the Pod's, where this container serves:
    /// it stands for every port that the manifest declares, and for "0" and none.
    ///
    /// The error says which probe the local node cannot make.
    pub fn all(container: &Container, port: Option<u16>) -> Result<Vec<Self>, UnknownProbe> {
        let probes = [
            (ProbeKind::Startup, &container.startup_probe),
            (ProbeKind::Readiness, &container.readiness_probe),
            (ProbeKind::Liveness, &container.liveness_probe),
        ];
        let given = probes
            .into_iter()
            .filter_map(|(kind, probe)| Some((kind, probe.as_ref()?)));
        given
            .map(|(kind, probe)| {
                let check = Check::of(probe, container, port)
                    .map_err(|source| UnknownProbe { kind, source })?;
                Ok(Self {
                    kind,
                    timing: Timing::of(probe),
                    check,
                })
            })
            .collect()
    }
}

impl Check {
    fn of(probe: &Probe, container: &Container, port: Option<u16>) -> Result<Self, UnknownCheck> {
        if let Some(get) = &probe.http_get {
            if get
                .scheme
                .as_deref()
                .is_some_and(|scheme| !scheme.eq_ignore_ascii_case("http"))
            {
                return Err(UnknownCheck::Https);
            }
            let path = get
                .path
                .as_deref()
                .filter(|path| !path.is_empty())
                .unwrap_or("/");
            let headers = get.http_headers.iter().flatten();
            return Ok(Self::Http {
                port: find_port(&get.port, container, port)?,
                path: if path.starts_with('/') {
                    path.to_owned()
                } else {
                    format!("/{path}")
                },
                headers: headers
                    .map(|one| (one.name.clone(), one.value.clone()))
                    .collect(),
            });
        }
        if let Some(socket) = &probe.tcp_socket {
            return Ok(Self::Tcp {
                port: find_port(&socket.port, container, port)?,
            });
        }
        if let Some(exec) = &probe.exec {
            return Ok(Self::Command(exec.command.clone().unwrap_or_default()));
        }
        if let Some(grpc) = &probe.grpc {
            return Ok(Self::Grpc {
                port: find_port(&IntOrString::Int(grpc.port), container, port)?,
                service: grpc.service.clone().unwrap_or_default(),
            });
        }
        // Knative's default: a handler-less probe asks the serving port.
        Ok(Self::Tcp {
            port: find_port(&IntOrString::Int(0), container, port)?,
        })
    }

    async fn ask(&self, place: &CommandPlace) -> Result<(), Failure> {
        match self {
            Self::Http {
                port,
                path,
                headers,
            } => http_get(*port, path, headers).await,
            Self::Tcp { port } => {
                connect(*port).await?;
                Ok(())
            }
            Self::Grpc { port, service } => Ok(grpc_health::check(*port, service).await?),
            Self::Command(command) => run_command(command, place).await,
        }
    }
}

fn find_port(
    wanted: &IntOrString,
    container: &Container,
    serving: Option<u16>,
) -> Result<u16, UnknownCheck> {
    let declared = container.ports.as_deref().unwrap_or_default();
    let number = match wanted {
        IntOrString::Int(number) => *number,
        IntOrString::String(name) => {
            let named = declared
                .iter()
                .find(|port| port.name.as_deref() == Some(name));
            match (named, name.parse()) {
                (Some(port), _) => port.container_port,
                (None, Ok(number)) => number,
                (None, Err(_)) => return Err(UnknownCheck::NoPort(name.clone())),
            }
        }
    };
    let is_serving = number == 0
        || declared.is_empty()
        || declared.iter().any(|port| port.container_port == number);
    match serving.filter(|_| is_serving) {
        Some(port) => Ok(port),
        None => u16::try_from(number)
            .ok()
            .filter(|number| *number > 0)
            .ok_or(UnknownCheck::NotAPort(number)),
    }
}

/// Probes a container that started at `started`, for ever, and tells `tell` of
/// every change and failure: first the startup probe alone, then the others.
pub async fn run<F>(
    probers: Vec<Prober>,
    started: Instant,
    place: CommandPlace,
    tell: impl Fn(Happening) -> F,
) where
    F: Future<Output = ()>,
{
    let (first, then): (Vec<Prober>, Vec<Prober>) = probers
        .into_iter()
        .partition(|prober| prober.kind == ProbeKind::Startup);
    for prober in &first {
        prober.run(started, &place, &tell, true).await;
    }
    let others = then
        .iter()
        .map(|prober| prober.run(started, &place, &tell, false));
    futures::future::join_all(others).await;
    std::future::pending::<()>().await;
}

impl Prober {
    async fn run<F>(
        &self,
        started: Instant,
        place: &CommandPlace,
        tell: &impl Fn(Happening) -> F,
        until_success: bool,
    ) where
        F: Future<Output = ()>,
    {
        let mut cadence = Cadence::new(self.kind, self.timing, started.elapsed());
        let mut tracker = Tracker::default();
        loop {
            let attempt = cadence.next(started.elapsed());
            tokio::time::sleep_until(started + attempt.at).await;
            let result =
                match tokio::time::timeout(self.timing.timeout, self.check.ask(place)).await {
                    Ok(result) => result.map_err(|failure| failure.to_string()),
                    Err(_) => Err(self.timed_out()),
                };
            let succeeded = result.is_ok();
            if succeeded {
                cadence.succeeded();
            } else if !attempt.counts {
                continue;
            }
            if let Err(message) = result {
                tell(Happening::Unhealthy(self.kind, message)).await;
            }
            if let Some(verdict) = tracker.observe(&self.timing, succeeded) {
                tell(Happening::Verdict(self.kind, verdict)).await;
                if verdict && until_success {
                    return;
                }
            }
        }
    }

    fn timed_out(&self) -> String {
        let after = Duration::as_secs(&self.timing.timeout);
        match &self.check {
            Check::Http { port, path, .. } => {
                format!("Get \"http://{ADDRESS}:{port}{path}\": no answer within {after}s")
            }
            Check::Tcp { port } => format!("dial tcp {ADDRESS}:{port}: no answer within {after}s"),
            Check::Grpc { .. } => {
                format!("timeout: health rpc did not complete within {after}s")
            }
            Check::Command(command) => {
                format!("command {:?} timed out after {after}s", command.join(" "))
            }
        }
    }
}

async fn connect(port: u16) -> Result<TcpStream, ConnectError> {
    let stream = TcpStream::connect((ADDRESS, port)).await;
    stream.map_err(|source| ConnectError { port, source })
}

async fn http_get(port: u16, path: &str, headers: &[(String, String)]) -> Result<(), Failure> {
    let status = http_status(port, path, headers).await;
    let status = status.map_err(|source| Failure::Get {
        port,
        path: path.to_owned(),
        source,
    })?;
    // Redirects count as success, as a kubelet has it for other hosts.
    match status {
        200..400 => Ok(()),
        code => Err(Failure::Status(code)),
    }
}

/// Gives the status of the answer to a GET.
async fn http_status(port: u16, path: &str, headers: &[(String, String)]) -> Result<u16, GetError> {
    let stream = connect(port).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::get(path)
        .header("accept", "*/*")
        .header("connection", "close");
    let given = |name: &str| {
        headers
            .iter()
            .any(|(known, _)| known.eq_ignore_ascii_case(name))
    };
    if !given("user-agent") {
        request = request.header("user-agent", USER_AGENT);
    }
    if !given("host") {
        request = request.header("host", format!("{ADDRESS}:{port}"));
    }
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new())?;
    let response = tokio::select! {
        response = sender.send_request(request) => response,
        Err(error) = connection => Err(error),
    };
    Ok(response?.status().as_u16())
}

async fn run_command(command: &[String], place: &CommandPlace) -> Result<(), Failure> {
    let launch = Launch {
        command: command.to_vec(),
        // The container listens there, and not this.
        port: None,
        ..place.launch.clone()
    };
    let mut instance = place.runtime.start(launch).await?;
    let mut text = Vec::new();
    if let Some((out, err)) = instance.take_output() {
        // Read to the end, so that a chatty command is not blocked by a full pipe.
        let mut output = out.chain(err);
        let mut limited = (&mut output).take(OUTPUT_LIMIT);
        let _ = limited.read_to_end(&mut text).await;
        let _ = tokio::io::copy(&mut output, &mut tokio::io::sink()).await;
    }
    let exit = instance.wait().await;
    match exit {
        Exit::Code(0) => Ok(()),
        Exit::Code(code) if text.is_empty() => Err(Failure::Exited(code)),
        Exit::Code(_) => Err(Failure::Said(
            String::from_utf8_lossy(&text).trim_end().to_owned(),
        )),
        Exit::Signal(signal) => Err(Failure::Signal(signal)),
        Exit::Unknown => Err(Failure::Lost),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(container: Value, port: Option<u16>) -> String {
        let mut container = container;
        container["name"] = json!("main");
        let container: Container = serde_json::from_value(container).unwrap();
        match Prober::all(&container, port) {
            Ok(probers) => format!("{:?}", probers[0].check),
            Err(unknown) => unknown.to_string(),
        }
    }

    #[test]
    fn a_declared_port_is_the_pods_own() {
        let ports = json!([{"name": "web", "containerPort": 8080}]);
        let with = |port: Value| json!({"ports": ports, "readinessProbe": {"httpGet": {"port": port, "path": "ok"}}});
        let own = r#"Http { port: 20001, path: "/ok", headers: [] }"#;
        for port in [json!(8080), json!("web"), json!(0)] {
            assert_eq!(check(with(port.clone()), Some(20001)), own, "{port}");
        }
        assert!(check(with(json!(9090)), Some(20001)).contains("port: 9090"));
        assert!(check(with(json!("admin")), Some(20001)).contains("no port is named \"admin\""));
        assert!(
            check(with(json!(8080)), None).contains("port: 8080"),
            "a sidecar's port is literal"
        );
    }

    #[test]
    fn knatives_default_probe_asks_the_serving_port() {
        let probe = json!({"readinessProbe": {"tcpSocket": {"port": 0}, "successThreshold": 1}});
        assert_eq!(check(probe, Some(20001)), "Tcp { port: 20001 }");
    }

    #[test]
    fn a_grpc_probe_names_its_service() {
        let probe = json!({"livenessProbe": {"grpc": {"port": 8080, "service": "shop.Cart"}},
            "ports": [{"containerPort": 8080}]});
        assert_eq!(
            check(probe, Some(20001)),
            r#"Grpc { port: 20001, service: "shop.Cart" }"#
        );
    }

    #[test]
    fn what_cannot_be_asked_is_said() {
        let https = json!({"startupProbe": {"httpGet": {"port": 1, "scheme": "HTTPS"}}});
        expect_test::expect!["startup probe: httpGet over https is not supported; the local node knows httpGet (http), tcpSocket, grpc and exec"]
            .assert_eq(&check(https, Some(1)));
    }
}
