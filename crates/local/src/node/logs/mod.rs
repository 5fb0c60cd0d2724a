//! What containers print, kept under the data directory and served to the API
//! server: `logs/NAMESPACE_POD_UID/CONTAINER/RUN.log`, the run before the last
//! restart included.

mod file;
mod read;
mod record;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use jiff::Timestamp;
use parking_lot::Mutex;

pub use file::RunLog;
pub use read::termination_message;
pub use record::{Splitter, Stream};

use crate::apiserver::{LogError, LogRequest, PodLogs};

/// All kept logs of the node. Made before the node runs, so that the API server
/// can be given it.
#[derive(Debug)]
pub struct NodeLogs {
    folder: PathBuf,
    rotate_at: u64,
    pods: Mutex<HashMap<(String, String), PodEntry>>,
}

/// Which Pod a log belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PodKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, which tells it from one of the same name before.
    pub uid: String,
}

#[derive(Debug)]
struct PodEntry {
    uid: String,
    /// In the order of the Pod's spec, init containers first.
    containers: Vec<ContainerEntry>,
}

#[derive(Debug)]
struct ContainerEntry {
    name: String,
    is_init: bool,
    /// The run that `kubectl logs` shows.
    current: Option<Arc<RunLog>>,
    /// The run that `kubectl logs --previous` shows.
    last: Option<Arc<RunLog>>,
}

impl NodeLogs {
    /// Keeps logs under `data_dir`; nothing is written before a container runs.
    pub fn new(data_dir: &Path) -> Arc<Self> {
        Self::rotating_at(data_dir, file::ROTATE_AT)
    }

    fn rotating_at(data_dir: &Path, rotate_at: u64) -> Arc<Self> {
        let folder = data_dir.join("logs");
        Arc::new(Self {
            folder,
            rotate_at,
            pods: Mutex::new(HashMap::new()),
        })
    }

    /// Makes a Pod known, with its containers (name, whether it is an init
    /// container, its restart count), and finds the logs of its earlier runs.
    pub(super) fn register<'a>(
        &self,
        pod: &PodKey,
        containers: impl Iterator<Item = (&'a str, bool, i32)>,
    ) {
        let containers = containers.map(|(name, is_init, run)| ContainerEntry {
            name: name.to_owned(),
            is_init,
            current: RunLog::reopen(self.path(pod, name, run)),
            last: RunLog::reopen(self.path(pod, name, run - 1)),
        });
        let entry = PodEntry {
            uid: pod.uid.clone(),
            containers: containers.collect(),
        };
        self.pods
            .lock()
            .insert((pod.namespace.clone(), pod.name.clone()), entry);
    }

    /// Starts the log of a container's next run; the one before the last is dropped.
    pub(super) fn begin(&self, pod: &PodKey, container: &str, run: i32) -> io::Result<Arc<RunLog>> {
        let log = RunLog::create(self.path(pod, container, run), self.rotate_at)?;
        self.with(pod, container, |entry| {
            if let Some(ended) = entry.current.take() {
                entry.last = Some(ended);
            }
            entry.current = Some(Arc::clone(&log));
        });
        // Whoever still reads it has it open or sees its end.
        let old = self.path(pod, container, run - 2);
        let _ = std::fs::remove_file(&old);
        let _ = std::fs::remove_file(old.with_extension("log.1"));
        Ok(log)
    }

    /// The container ended and waits to be restarted: its last run is the
    /// current and the previous one, as a kubelet has it.
    pub(super) fn waiting(&self, pod: &PodKey, container: &str) {
        self.with(pod, container, |entry| entry.last = entry.current.clone());
    }

    /// The Pod is gone, and its logs with it.
    pub(super) fn forget(&self, pod: &PodKey) {
        let key = (pod.namespace.clone(), pod.name.clone());
        let mut pods = self.pods.lock();
        if pods.get(&key).is_some_and(|entry| entry.uid == pod.uid) {
            pods.remove(&key);
        }
        drop(pods);
        let _ = std::fs::remove_dir_all(self.pod_folder(pod));
    }

    /// Drops the logs of all Pods but these (uids): those that went while no node
    /// was there to see it.
    pub(super) fn forget_all_but(&self, uids: &[String]) {
        for folder in std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
        {
            let name = folder.file_name();
            let uid = name
                .to_str()
                .and_then(|name| name.rsplit('_').next())
                .unwrap_or_default();
            if !uids.iter().any(|known| known == uid) {
                let _ = std::fs::remove_dir_all(folder.path());
            }
        }
    }

    fn with(&self, pod: &PodKey, container: &str, change: impl FnOnce(&mut ContainerEntry)) {
        let mut pods = self.pods.lock();
        let entry = pods
            .get_mut(&(pod.namespace.clone(), pod.name.clone()))
            .filter(|entry| entry.uid == pod.uid)
            .and_then(|entry| {
                entry
                    .containers
                    .iter_mut()
                    .find(|entry| entry.name == container)
            });
        if let Some(entry) = entry {
            change(entry);
        }
    }

    fn pod_folder(&self, pod: &PodKey) -> PathBuf {
        self.folder
            .join(format!("{}_{}_{}", pod.namespace, pod.name, pod.uid))
    }

    fn path(&self, pod: &PodKey, container: &str, run: i32) -> PathBuf {
        self.pod_folder(pod)
            .join(container)
            .join(format!("{run}.log"))
    }

    fn find(&self, request: &LogRequest) -> Result<Arc<RunLog>, LogError> {
        let pod = &request.pod;
        let pods = self.pods.lock();
        let entry = pods
            .get(&(request.namespace.clone(), pod.clone()))
            .ok_or_else(|| LogError::NotFound(format!("pod \"{pod}\" is not on this node")))?;
        let found = match &request.container {
            Some(name) => entry
                .containers
                .iter()
                .find(|entry| entry.name == *name)
                .ok_or_else(|| {
                    LogError::BadRequest(format!("container {name} is not valid for pod {pod}"))
                })?,
            None => {
                let mut main = entry.containers.iter().filter(|entry| !entry.is_init);
                match (main.next(), main.next()) {
                    (Some(only), None) => only,
                    _ => return Err(LogError::BadRequest(must_choose(pod, &entry.containers))),
                }
            }
        };
        let name = &found.name;
        if request.previous {
            return found.last.clone().ok_or_else(|| {
                LogError::BadRequest(format!(
                    "previous terminated container \"{name}\" in pod \"{pod}\" not found"
                ))
            });
        }
        found.current.clone().ok_or_else(|| {
            LogError::BadRequest(format!(
                "container \"{name}\" in pod \"{pod}\" is waiting to start: ContainerCreating"
            ))
        })
    }
}

fn must_choose(pod: &str, containers: &[ContainerEntry]) -> String {
    let names = |init: bool| {
        let names = containers.iter().filter(|entry| entry.is_init == init);
        names
            .map(|entry| entry.name.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut message = format!(
        "a container name must be specified for pod {pod}, choose one of: [{}]",
        names(false)
    );
    if containers.iter().any(|entry| entry.is_init) {
        message.push_str(&format!(
            " or one of the init containers: [{}]",
            names(true)
        ));
    }
    message
}

impl PodLogs for NodeLogs {
    fn open(&self, request: LogRequest) -> Result<BoxStream<'static, io::Result<Bytes>>, LogError> {
        let log = self.find(&request)?;
        Ok(read::stream(log, &request, Timestamp::now()))
    }
}

#[cfg(test)]
mod tests {
    use futures::{StreamExt, TryStreamExt};

    use super::*;

    struct Fixture {
        logs: Arc<NodeLogs>,
        pod: PodKey,
        _folder: tempfile::TempDir,
    }

    fn fixture(rotate_at: u64, containers: &[&str]) -> Fixture {
        let folder = tempfile::tempdir().unwrap();
        let logs = NodeLogs::rotating_at(folder.path(), rotate_at);
        let pod = PodKey {
            namespace: "shop".into(),
            name: "web".into(),
            uid: "1".into(),
        };
        logs.register(&pod, containers.iter().map(|name| (*name, false, 0)));
        Fixture {
            logs,
            pod,
            _folder: folder,
        }
    }

    fn print(log: &RunLog, second: i64, text: &str) {
        let now = Timestamp::from_second(Timestamp::now().as_second() + second).unwrap();
        log.append(&Splitter::new(Stream::Stdout).push(text.as_bytes(), now));
    }

    fn request() -> LogRequest {
        LogRequest {
            namespace: "shop".into(),
            pod: "web".into(),
            ..LogRequest::default()
        }
    }

    async fn read(fixture: &Fixture, request: LogRequest) -> String {
        let chunks: Vec<Bytes> = fixture
            .logs
            .open(request)
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        String::from_utf8(chunks.concat()).unwrap()
    }

    fn refusal(fixture: &Fixture, request: LogRequest) -> String {
        fixture.logs.open(request).err().unwrap().to_string()
    }

    #[tokio::test]
    async fn a_log_is_read_whole_from_its_tail_and_since_a_time() {
        let fixture = fixture(1 << 20, &["main"]);
        let log = fixture.logs.begin(&fixture.pod, "main", 0).unwrap();
        print(&log, -100, "one\ntwo\n");
        print(&log, -1, "three\n");
        assert_eq!(read(&fixture, request()).await, "one\ntwo\nthree\n");
        let tail = |lines| LogRequest {
            tail_lines: Some(lines),
            ..request()
        };
        assert_eq!(read(&fixture, tail(2)).await, "two\nthree\n");
        assert_eq!(read(&fixture, tail(9)).await, "one\ntwo\nthree\n");
        assert_eq!(read(&fixture, tail(0)).await, "");
        let since = LogRequest {
            since_seconds: Some(50),
            ..request()
        };
        assert_eq!(read(&fixture, since).await, "three\n");
        let limited = LogRequest {
            limit_bytes: Some(6),
            ..request()
        };
        assert_eq!(read(&fixture, limited).await, "one\ntw");
        let stamped = LogRequest {
            timestamps: true,
            tail_lines: Some(1),
            ..request()
        };
        let text = read(&fixture, stamped).await;
        let (time, line) = text.split_once(' ').unwrap();
        assert!(
            time.parse::<Timestamp>().is_ok() && line == "three\n",
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_follower_gets_lines_as_they_come_and_ends_with_the_run() {
        let fixture = fixture(1 << 20, &["main"]);
        let log = fixture.logs.begin(&fixture.pod, "main", 0).unwrap();
        print(&log, 0, "one\n");
        let follow = LogRequest {
            follow: true,
            ..request()
        };
        let mut stream = fixture.logs.open(follow).unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), "one\n");
        let next = stream.next();
        print(&log, 0, "two\n");
        assert_eq!(next.await.unwrap().unwrap(), "two\n");
        log.close();
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn the_run_before_a_restart_is_kept_and_the_one_before_it_is_not() {
        let fixture = fixture(1 << 20, &["main"]);
        let previous = LogRequest {
            previous: true,
            ..request()
        };
        expect_test::expect![[
            r#"container "main" in pod "web" is waiting to start: ContainerCreating"#
        ]]
        .assert_eq(&refusal(&fixture, request()));
        for run in 0..3 {
            let log = fixture.logs.begin(&fixture.pod, "main", run).unwrap();
            if run == 0 {
                expect_test::expect![[
                    r#"previous terminated container "main" in pod "web" not found"#
                ]]
                .assert_eq(&refusal(&fixture, previous.clone()));
            }
            print(&log, 0, &format!("run {run}\n"));
            log.close();
        }
        assert_eq!(read(&fixture, request()).await, "run 2\n");
        assert_eq!(read(&fixture, previous.clone()).await, "run 1\n");
        fixture.logs.waiting(&fixture.pod, "main");
        assert_eq!(read(&fixture, previous.clone()).await, "run 2\n");
        let kept = std::fs::read_dir(fixture.logs.pod_folder(&fixture.pod).join("main")).unwrap();
        assert_eq!(kept.count(), 2);

        // A node that starts again finds them.
        fixture
            .logs
            .register(&fixture.pod, [("main", false, 2)].into_iter());
        assert_eq!(read(&fixture, request()).await, "run 2\n");
        assert_eq!(read(&fixture, previous).await, "run 1\n");
    }

    #[tokio::test]
    async fn a_chatty_container_is_rotated_under_its_reader() {
        let fixture = fixture(4000, &["main"]);
        let log = fixture.logs.begin(&fixture.pod, "main", 0).unwrap();
        let mut stream = fixture
            .logs
            .open(LogRequest {
                follow: true,
                ..request()
            })
            .unwrap();
        print(&log, 0, "first\n");
        let mut seen = String::from_utf8(stream.next().await.unwrap().unwrap().to_vec()).unwrap();
        for n in 0..60 {
            print(&log, 0, &format!("line {n}\n"));
        }
        log.close();
        while let Some(chunk) = stream.next().await {
            seen.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
        // One rotation: nothing is lost.
        assert_eq!(seen.lines().count(), 61, "{seen}");
        let log = fixture.logs.begin(&fixture.pod, "main", 1).unwrap();
        for n in 0..1000 {
            print(&log, 0, &format!("line {n}\n"));
        }
        let kept = read(&fixture, request()).await;
        assert!(
            kept.ends_with("line 999\n") && kept.lines().count() < 250,
            "{}",
            kept.lines().count()
        );
        let tail = LogRequest {
            tail_lines: Some(3),
            ..request()
        };
        assert_eq!(read(&fixture, tail).await, "line 997\nline 998\nline 999\n");
    }

    #[tokio::test]
    async fn a_pod_of_several_containers_wants_one_named() {
        let fixture = fixture(1 << 20, &["main", "side"]);
        expect_test::expect![
            "a container name must be specified for pod web, choose one of: [main side]"
        ]
        .assert_eq(&refusal(&fixture, request()));
        let other = LogRequest {
            container: Some("other".into()),
            ..request()
        };
        expect_test::expect!["container other is not valid for pod web"]
            .assert_eq(&refusal(&fixture, other));
    }

    #[tokio::test]
    async fn the_last_output_is_the_termination_message() {
        let fixture = fixture(1 << 20, &["main"]);
        let log = fixture.logs.begin(&fixture.pod, "main", 0).unwrap();
        assert_eq!(termination_message(&log), "");
        for n in 0..100 {
            print(&log, 0, &format!("line {n}\n"));
        }
        let message = termination_message(&log);
        assert_eq!(message.lines().count(), 80);
        assert!(message.ends_with("line 99\n"));
        print(&log, 0, &"x".repeat(5000));
        print(&log, 0, &("y".repeat(5000) + "\n"));
        assert_eq!(termination_message(&log).len(), 2048);
    }
}
