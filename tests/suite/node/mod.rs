//! Pods on the node, told from outside: objects go into the API server, processes
//! come out, and the status tells what became of them.

mod endings;
mod permissions;
mod starts;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncBufReadExt, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, ContainerStatus, Event, Node, Pod, Secret};
use kube::api::{Api, DeleteParams, ListParams, LogParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::{Value, json};
use sluice::local::apiserver::ApiServer;
use sluice::local::node::images::Images;
use sluice::local::node::lifecycle::backoff::BackoffPolicy;
use sluice::local::node::worker::PORT_ANNOTATION;
use sluice::local::node::{self, NodeConfig};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const SLUICE: &str = env!("CARGO_BIN_EXE_sluice");
/// A bound for waits, far above what any of them takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

const IMAGES: &str = concat!(
    "images:
- {match: 'sh:*', command: [sh, -c], allowCommand: true}
- {match: 'shut:*', command: [sh, -c]}
- {match: 'port:*', command: [sh, -c, 'echo {port}; exec sleep 1000']}
- {match: 'env:*', command: [env]}
- {match: 'passed:*', command: [env], passEnv: [CARGO_MANIFEST_DIR, SLUICE_IS_NOT_SET]}
- {match: 'own:*', command: ['",
    env!("CARGO_BIN_EXE_sluice"),
    "', sample, hello], allowCommand: true}
"
);

/// An API server and a node.
pub struct Cluster {
    server: Arc<ApiServer>,
    pub client: kube::Client,
    pub pods: Api<Pod>,
    pub folder: tempfile::TempDir,
    running: Option<Running>,
}

struct Running {
    stop: CancellationToken,
    node: JoinHandle<()>,
}

impl Cluster {
    pub async fn start() -> Self {
        let server = Arc::new(
            ApiServer::builder()
                .kinds(sluice::local::knative::kinds())
                .build()
                .unwrap(),
        );
        let client = server.client();
        let pods = Api::default_namespaced(client.clone());
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self {
            server,
            client,
            pods,
            folder,
            running: None,
        };
        cluster.start_node();
        cluster
    }

    /// Images called `sh` run whatever a Pod says in a shell, `shut` would if it was allowed,
    /// `port` says its own, `env` and `passed` say their environment, `own` is a sample that
    /// allows commands, and all others are the built-in ones.
    fn start_node(&mut self) {
        let file = self.folder.path().join("images.yaml");
        std::fs::write(&file, IMAGES).unwrap();
        let images = Images::load(&file, Path::new(SLUICE)).unwrap();
        let mut config = NodeConfig::new(self.folder.path().join("node"), images, SLUICE.into());
        config.backoff = BackoffPolicy {
            initial: Duration::from_millis(100),
            max: Duration::from_secs(1),
        };
        config.drain = Duration::from_secs(2);
        self.server.set_pod_logs(config.logs.clone());
        let stop = CancellationToken::new();
        let node = node::run(self.client.clone(), config, stop.clone());
        let node = tokio::spawn(async move { node.await.unwrap() });
        self.running = Some(Running { stop, node });
    }

    async fn stop_node(&mut self) {
        let running = self.running.take().unwrap();
        running.stop.cancel();
        tokio::time::timeout(PATIENCE, running.node)
            .await
            .expect("the node does not stop")
            .unwrap();
    }

    pub async fn stop(mut self) {
        self.stop_node().await;
        self.server.shutdown().await;
    }

    pub async fn create(&self, name: &str, spec: Value) {
        let pod = json!({"metadata": {"name": name}, "spec": spec});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        self.pods
            .create(&PostParams::default(), &pod)
            .await
            .unwrap();
    }

    /// Waits until the Pod is as wanted, and gives it.
    pub async fn wait(&self, name: &str, what: &str, wanted: impl Fn(&Pod) -> bool) -> Pod {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut seen = watcher(self.pods.clone(), config).applied_objects().boxed();
        let mut last = None;
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let pod = seen.try_next().await.unwrap().unwrap();
                if wanted(&pod) {
                    return pod;
                }
                last = Some(pod);
            }
        });
        match found.await {
            Ok(pod) => pod,
            Err(_) => panic!(
                "{name} is never {what}; last: {:#?}",
                last.and_then(|pod| pod.status)
            ),
        }
    }

    pub async fn ready(&self, name: &str) -> Pod {
        self.wait(name, "ready", is_ready).await
    }

    pub async fn waiting(&self, name: &str, reason: &str) -> (Pod, String) {
        let pod = self
            .wait(name, reason, |pod| waiting_reason(pod) == Some(reason))
            .await;
        let message = container(&pod)
            .state
            .unwrap()
            .waiting
            .unwrap()
            .message
            .unwrap_or_default();
        (pod, message)
    }

    async fn gone(&self, name: &str) {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        let mut seen = watcher(self.pods.clone(), config).boxed();
        let gone = tokio::time::timeout(PATIENCE, async {
            let mut listed = 0;
            loop {
                match seen.try_next().await.unwrap().unwrap() {
                    watcher::Event::InitApply(_) => listed += 1,
                    watcher::Event::InitDone if listed == 0 => return,
                    watcher::Event::Delete(_) => return,
                    _ => {}
                }
            }
        });
        gone.await
            .unwrap_or_else(|_| panic!("{name} is still there"));
    }

    /// The Pod's first event with this reason.
    pub async fn event(&self, pod: &str, reason: &str) -> Event {
        let events: Api<Event> = Api::default_namespaced(self.client.clone());
        let mut seen = watcher(events, watcher::Config::default())
            .applied_objects()
            .boxed();
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let event = seen.try_next().await.unwrap().unwrap();
                let is_it = event.involved_object.name.as_deref() == Some(pod);
                if is_it && event.reason.as_deref() == Some(reason) {
                    return event;
                }
            }
        });
        found
            .await
            .unwrap_or_else(|_| panic!("{pod} has no event {reason}"))
    }

    /// The first line that the Pod prints.
    pub async fn first_line(&self, name: &str) -> String {
        let params = LogParams {
            follow: true,
            ..LogParams::default()
        };
        let lines = self.pods.log_stream(name, &params).await.unwrap().lines();
        let mut lines = std::pin::pin!(lines);
        tokio::time::timeout(PATIENCE, lines.next())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }
}

/// A Pod that runs a shell script; `$$` stands for `$`, as everywhere in Kubernetes.
pub fn shell(script: &str) -> Value {
    json!({"containers": [{"name": "main", "image": "sh:1", "args": [script]}]})
}

pub fn is_ready(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let conditions = status
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    conditions
        .iter()
        .any(|one| one.type_ == "Ready" && one.status == "True")
}

pub fn statuses(pod: &Pod) -> &[ContainerStatus] {
    pod.status
        .as_ref()
        .and_then(|status| status.container_statuses.as_deref())
        .unwrap_or_default()
}

pub fn container(pod: &Pod) -> ContainerStatus {
    statuses(pod)[0].clone()
}

fn waiting_reason(pod: &Pod) -> Option<&str> {
    statuses(pod)
        .first()?
        .state
        .as_ref()?
        .waiting
        .as_ref()?
        .reason
        .as_deref()
}

pub fn restarts(pod: &Pod) -> i32 {
    statuses(pod)
        .first()
        .map_or(0, |status| status.restart_count)
}

pub fn port(pod: &Pod) -> u16 {
    pod.metadata.annotations.as_ref().unwrap()[PORT_ANNOTATION]
        .parse()
        .unwrap()
}

pub async fn get(port: u16) -> Option<String> {
    let answer = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer.split_once("\r\n\r\n")?.1.to_owned())
    });
    answer.await.unwrap()
}

fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

#[tokio::test]
async fn a_pod_starts_becomes_ready_and_serves_on_its_port() {
    let cluster = Cluster::start().await;
    let spec = json!({"containers": [{
        "name": "user-container", "image": "sluice.local/hello:1",
        "env": [{"name": "TARGET", "value": "Node"}],
        "ports": [{"containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}},
    }]});
    cluster.create("hello", spec).await;
    let pod = cluster.ready("hello").await;
    assert_eq!(get(port(&pod)).await.as_deref(), Some("Hello Node!\n"));
    let status = pod.status.clone().unwrap();
    assert_eq!(status.phase.as_deref(), Some("Running"));
    assert_eq!(status.pod_ip.as_deref(), Some("127.0.0.1"));
    assert_eq!(
        pod.spec.as_ref().unwrap().node_name.as_deref(),
        Some("local")
    );
    let main = container(&pod);
    assert!(main.ready && main.started == Some(true) && main.restart_count == 0);
    assert!(
        main.image_id.starts_with("sluice.local/hello@sha256:"),
        "{}",
        main.image_id
    );
    assert!(
        cluster
            .first_line("hello")
            .await
            .starts_with("hello greets \"Node\"")
    );
    let started = cluster.event("hello", "Started").await;
    assert_eq!(
        started.message.as_deref(),
        Some("Started container user-container")
    );
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    assert!(nodes.get("local").await.is_ok());
    cluster.stop().await;
    assert_eq!(get(port(&pod)).await, None, "it outlived the cluster");
}

#[tokio::test]
async fn a_crash_loop_is_told_as_a_kubelet_tells_it() {
    let cluster = Cluster::start().await;
    let spec = json!({"containers": [{
        "name": "main", "image": "sluice.local/crash", "terminationMessagePolicy": "FallbackToLogsOnError",
        "env": [{"name": "CRASH_AT_START", "value": "7"}],
    }]});
    cluster.create("crash", spec).await;
    let looping = |pod: &Pod| restarts(pod) == 2 && waiting_reason(pod) == Some("CrashLoopBackOff");
    let pod = cluster.wait("crash", "in a crash loop", looping).await;
    let main = container(&pod);
    let uid = pod.metadata.uid.as_deref().unwrap();
    let waiting = main.state.unwrap().waiting.unwrap();
    assert_eq!(
        waiting.message.unwrap(),
        format!("back-off 200ms restarting failed container=main pod=crash_default({uid})")
    );
    let last = main.last_state.unwrap().terminated.unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (7, Some("Error")));
    assert_eq!(
        last.message.as_deref(),
        Some("crash: crashing at start with status 7, as asked\n")
    );
    assert_eq!(pod.status.unwrap().phase.as_deref(), Some("Running"));
    let event = cluster.event("crash", "BackOff").await;
    assert_eq!(event.type_.as_deref(), Some("Warning"));
    cluster.stop().await;
}

#[tokio::test]
async fn a_pod_that_is_never_ready_runs_and_gets_told_off() {
    let cluster = Cluster::start().await;
    let spec = json!({"containers": [{
        "name": "main", "image": "sluice.local/hello", "env": [{"name": "NEVER_READY", "value": "1"}],
        "readinessProbe": {"httpGet": {"path": "/", "port": 0}, "periodSeconds": 1},
    }]});
    cluster.create("never", spec).await;
    let event = cluster.event("never", "Unhealthy").await;
    assert_eq!(
        event.message.as_deref(),
        Some("Readiness probe failed: HTTP probe failed with statuscode: 503")
    );
    let pod = cluster.pods.get("never").await.unwrap();
    assert!(!is_ready(&pod) && container(&pod).state.unwrap().running.is_some());
    cluster.stop().await;
}

#[tokio::test]
async fn a_failed_liveness_probe_restarts_the_container() {
    let cluster = Cluster::start().await;
    let mut spec = shell("touch bad; exec sleep 1000");
    spec["containers"][0]["livenessProbe"] = json!({
        "exec": {"command": ["sh", "-c", "test -e bad && echo it is bad && exit 1"]},
        "periodSeconds": 1, "failureThreshold": 1,
    });
    cluster.create("sick", spec).await;
    let restarted =
        |pod: &Pod| restarts(pod) == 1 && container(pod).state.unwrap().running.is_some();
    let pod = cluster.wait("sick", "restarted", restarted).await;
    let last = container(&pod).last_state.unwrap().terminated.unwrap();
    assert_eq!((last.exit_code, last.signal), (143, Some(15)));
    let event = cluster.event("sick", "Unhealthy").await;
    assert_eq!(
        event.message.as_deref(),
        Some("Liveness probe failed: it is bad")
    );
    let event = cluster.event("sick", "Killing").await;
    assert_eq!(
        event.message.as_deref(),
        Some("Container main failed liveness probe, will be restarted")
    );
    cluster.stop().await;
}

#[tokio::test]
async fn logs_are_followed_and_the_previous_run_is_kept() {
    let cluster = Cluster::start().await;
    cluster
        .create(
            "talker",
            shell("echo run; echo more >&2; test -e again && exec sleep 1000; touch again; exit 1"),
        )
        .await;
    let pod = cluster
        .wait("talker", "restarted", |pod| {
            restarts(pod) == 1 && is_ready(pod)
        })
        .await;
    assert_eq!(
        container(&pod)
            .last_state
            .unwrap()
            .terminated
            .unwrap()
            .exit_code,
        1
    );
    let previous = LogParams {
        previous: true,
        ..LogParams::default()
    };
    let mut lines: Vec<String> = cluster
        .pods
        .logs("talker", &previous)
        .await
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    assert_eq!(lines, ["more", "run"]);
    let wrong = LogParams {
        container: Some("other".into()),
        ..LogParams::default()
    };
    let error = cluster
        .pods
        .logs("talker", &wrong)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("container other is not valid for pod talker"),
        "{error}"
    );
    cluster.stop().await;
}

/// Not a test: the cluster that the next one kills.
#[tokio::test]
#[ignore = "started by no_process_outlives_a_cluster_that_was_killed"]
async fn cluster_to_be_killed() {
    let cluster = Cluster::start().await;
    cluster
        .create(
            "family",
            shell("setsid sleep 1000 & echo $! $$$$; exec sleep 1000"),
        )
        .await;
    cluster.ready("family").await;
    println!("pids {}", cluster.first_line("family").await);
    std::future::pending::<()>().await;
}

#[test]
fn no_process_outlives_a_cluster_that_was_killed() {
    let mut cluster = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "node::cluster_to_be_killed",
            "--ignored",
            "--nocapture",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(cluster.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let pids = lines
        .find_map(|line| Some(line.split_once("pids ")?.1.to_owned()))
        .unwrap();
    let pids: Vec<&str> = pids.split_whitespace().collect();
    assert!(
        pids.len() == 2 && pids.iter().all(|pid| is_alive(pid)),
        "{pids:?}"
    );
    cluster.kill().unwrap();
    cluster.wait().unwrap();
    let deadline = std::time::Instant::now() + PATIENCE;
    while pids.iter().any(|pid| is_alive(pid)) {
        assert!(
            std::time::Instant::now() < deadline,
            "{pids:?} outlived the cluster"
        );
        std::thread::yield_now();
    }
}
