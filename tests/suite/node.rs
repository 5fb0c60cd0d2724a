//! Pods on the node, told from outside: objects go into the API server, processes
//! come out, and the status tells what became of them.

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

const IMAGES: &str = "images:
- {match: 'sh:*', command: [sh, -c]}
- {match: 'port:*', command: [sh, -c, 'echo {port}; exec sleep 1000']}
";

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
        let server = Arc::new(ApiServer::builder().build().unwrap());
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

    /// Images called `sh` run a shell, `port` says its own, all others are the built-in
    /// ones.
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
async fn a_pod_that_will_not_hear_is_killed_after_its_grace_and_then_deleted() {
    let cluster = Cluster::start().await;
    cluster
        .create(
            "deaf",
            shell("trap 'echo no' TERM; echo $$$$; while :; do sleep 0.05; done"),
        )
        .await;
    cluster.ready("deaf").await;
    let pid = cluster.first_line("deaf").await;
    assert!(is_alive(&pid));
    let params = LogParams {
        follow: true,
        ..LogParams::default()
    };
    let log = cluster.pods.log_stream("deaf", &params).await.unwrap();
    cluster
        .pods
        .delete("deaf", &DeleteParams::default().grace_period(1))
        .await
        .unwrap();
    // The Pod is there as long as its process is.
    let pod = cluster.pods.get("deaf").await.unwrap();
    assert!(pod.metadata.deletion_timestamp.is_some());
    cluster.gone("deaf").await;
    assert!(!is_alive(&pid));
    let lines: Vec<String> = log.lines().try_collect().await.unwrap();
    assert!(
        lines[0] == pid && lines.contains(&"no".to_owned()),
        "{lines:?}"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn a_pod_that_hears_goes_at_once_and_a_forced_delete_kills() {
    let cluster = Cluster::start().await;
    cluster
        .create("polite", shell("echo $$$$; exec sleep 1000"))
        .await;
    cluster
        .create(
            "forced",
            shell("trap '' TERM; echo $$$$; while :; do sleep 0.05; done"),
        )
        .await;
    for (name, grace) in [("polite", 1000), ("forced", 0)] {
        cluster.ready(name).await;
        let pid = cluster.first_line(name).await;
        assert!(is_alive(&pid), "{name}");
        cluster
            .pods
            .delete(name, &DeleteParams::default().grace_period(grace))
            .await
            .unwrap();
        cluster.gone(name).await;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while is_alive(&pid) {
            assert!(
                tokio::time::Instant::now() < deadline,
                "{name} is still alive"
            );
            tokio::task::yield_now().await;
        }
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_pod_of_a_revision_serves_on_for_a_moment_after_it_was_deleted() {
    let cluster = Cluster::start().await;
    let pod = json!({
        "metadata": {"name": "rev", "labels": {"serving.knative.dev/revision": "rev-00001"}},
        "spec": {"containers": [{"name": "main", "image": "sluice.local/hello",
            "readinessProbe": {"tcpSocket": {"port": 0}}}]},
    });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    cluster
        .pods
        .create(&PostParams::default(), &pod)
        .await
        .unwrap();
    let pod = cluster.ready("rev").await;
    cluster
        .pods
        .delete("rev", &DeleteParams::default())
        .await
        .unwrap();
    // The node says that it is stopping it...
    cluster.event("rev", "Killing").await;
    // ... and still it answers.
    assert_eq!(get(port(&pod)).await.as_deref(), Some("Hello World!\n"));
    cluster.gone("rev").await;
    assert_eq!(get(port(&pod)).await, None);
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

#[tokio::test]
async fn the_environment_comes_from_config_maps_and_secrets_once_they_are_there() {
    let cluster = Cluster::start().await;
    let spec = json!({"containers": [{
        "name": "main", "image": "sh:1", "args": ["echo $WORD $TOKEN $POD $(cat $SLUICE_VOLUME_FILES/word) $DEEP; exec sleep 1000"],
        "env": [
            {"name": "WORD", "valueFrom": {"configMapKeyRef": {"name": "words", "key": "word"}}},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "DEEP", "value": "<$(WORD)>"},
        ],
        "envFrom": [{"secretRef": {"name": "keys"}}],
        "volumeMounts": [{"name": "files", "mountPath": "/files"}],
    }], "volumes": [{"name": "files", "configMap": {"name": "words"}}]});
    cluster.create("env", spec).await;
    let words: ConfigMap =
        serde_json::from_value(json!({"metadata": {"name": "words"}, "data": {"word": "hi"}}))
            .unwrap();
    let keys: Secret =
        serde_json::from_value(json!({"metadata": {"name": "keys"}, "data": {"TOKEN": "dDA="}}))
            .unwrap();
    let event = cluster.event("env", "FailedMount").await;
    assert_eq!(
        event.message.as_deref(),
        Some("MountVolume.SetUp failed for volume \"files\" : configmap \"words\" not found")
    );
    let config_maps: Api<ConfigMap> = Api::default_namespaced(cluster.client.clone());
    config_maps
        .create(&PostParams::default(), &words)
        .await
        .unwrap();
    let (_, message) = cluster.waiting("env", "CreateContainerConfigError").await;
    assert_eq!(message, "secret \"keys\" not found");
    let secrets: Api<Secret> = Api::default_namespaced(cluster.client.clone());
    secrets.create(&PostParams::default(), &keys).await.unwrap();
    cluster.ready("env").await;
    assert_eq!(cluster.first_line("env").await, "hi t0 env hi <hi>");
    cluster.stop().await;
}

#[tokio::test]
async fn an_unknown_image_and_an_unknown_probe_say_what_to_do() {
    let cluster = Cluster::start().await;
    cluster
        .create(
            "alien",
            json!({"containers": [{"name": "main", "image": "nginx:1.27"}]}),
        )
        .await;
    // `ErrImagePull` comes first, and may be over before the watch begins.
    let (_, message) = cluster.waiting("alien", "ImagePullBackOff").await;
    assert!(
        message.starts_with("Back-off pulling image \"nginx:1.27\": ErrImagePull: ")
            && message.contains("no command is known for this one; add `- {match: \"nginx*\""),
        "{message}"
    );
    let mut spec = shell("sleep 1000");
    spec["containers"][0]["readinessProbe"] = json!({"httpGet": {"port": 0, "scheme": "HTTPS"}});
    cluster.create("secure", spec).await;
    let (_, message) = cluster
        .waiting("secure", "CreateContainerConfigError")
        .await;
    assert!(
        message.starts_with("readiness probe: httpGet over https is not supported"),
        "{message}"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn what_ran_runs_again_when_the_node_comes_back() {
    let mut cluster = Cluster::start().await;
    cluster
        .create(
            "steady",
            json!({"containers": [{"name": "main", "image": "sluice.local/hello"}]}),
        )
        .await;
    cluster
        .create(
            "job",
            json!({"restartPolicy": "Never", "containers": [
        {"name": "main", "image": "sh:1", "args": ["echo done"]}]}),
        )
        .await;
    let before = cluster.ready("steady").await;
    let ended = |pod: &Pod| pod.status.as_ref().unwrap().phase.as_deref() == Some("Succeeded");
    cluster.wait("job", "done", ended).await;
    cluster.stop_node().await;
    assert_eq!(get(port(&before)).await, None);
    assert!(
        cluster.pods.get("steady").await.is_ok(),
        "stopping the node deletes no Pod"
    );
    cluster.start_node();
    let after = cluster
        .wait("steady", "restarted", |pod| {
            restarts(pod) == 1 && is_ready(pod)
        })
        .await;
    let last = container(&after).last_state.unwrap().terminated.unwrap();
    assert_eq!(
        (last.exit_code, last.reason.as_deref()),
        (255, Some("Unknown"))
    );
    assert_eq!(
        port(&after),
        port(&before),
        "a port that is still free is kept"
    );
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while get(port(&after)).await.is_none() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "it does not serve again"
        );
    }
    assert_eq!(restarts(&cluster.pods.get("job").await.unwrap()), 0);
    assert_eq!(cluster.first_line("job").await, "done");
    cluster.stop().await;
}

#[tokio::test]
async fn init_containers_prepare_what_the_main_one_finds() {
    let cluster = Cluster::start().await;
    let mount = json!([{"name": "data", "mountPath": "/data"}]);
    let spec = json!({
        "volumes": [{"name": "data", "emptyDir": {}}],
        "initContainers": [
            {"name": "one", "image": "sh:1", "args": ["echo one > $SLUICE_VOLUME_DATA/x"], "volumeMounts": mount},
            {"name": "two", "image": "sh:1", "args": ["echo two >> $SLUICE_VOLUME_DATA/x"], "volumeMounts": mount},
        ],
        "containers": [{"name": "main", "image": "sh:1", "volumeMounts": mount,
            "args": ["echo $(cat $SLUICE_VOLUME_DATA/x); exec sleep 1000"]}],
    });
    cluster.create("init", spec).await;
    let pod = cluster.ready("init").await;
    assert_eq!(cluster.first_line("init").await, "one two");
    let init = pod.status.unwrap().init_container_statuses.unwrap();
    assert!(
        init.iter()
            .all(|one| one.ready && one.state.as_ref().unwrap().terminated.is_some())
    );
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_pods_start_together() {
    let cluster = Cluster::start().await;
    let spec = json!({"containers": [{"name": "main", "image": "sluice.local/hello",
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 0}}}]});
    for n in 0..200 {
        cluster.create(&format!("pod-{n}"), spec.clone()).await;
    }
    for n in 0..200 {
        cluster.ready(&format!("pod-{n}")).await;
    }
    let pods = cluster.pods.list(&ListParams::default()).await.unwrap();
    let ports: std::collections::HashSet<u16> = pods.iter().map(port).collect();
    assert_eq!(ports.len(), 200);
    let restarted: Vec<_> = pods
        .iter()
        .filter(|pod| restarts(pod) > 0)
        .map(|pod| container(pod).last_state)
        .collect();
    assert!(restarted.is_empty(), "{restarted:#?}");
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
