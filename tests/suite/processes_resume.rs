//! `sluice local up` on a data directory whose cluster was killed: nothing is lost, and
//! everything is where it was.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kube::api::{Api, DynamicObject, ListParams, PostParams};
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use serde_json::json;
use sluice::local::controllers::kind::Kind;

/// A bound for waits, far above what any of them takes.
const PATIENCE: Duration = Duration::from_secs(90);

/// `sluice local up`, in a process of its own.
struct Up {
    process: Child,
    /// What it says of where things are, by the word in front.
    places: BTreeMap<String, String>,
}

impl Up {
    fn on(data_dir: &Path) -> Self {
        let mut process = start(data_dir);
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut places = BTreeMap::new();
        let mut is_ready = false;
        for line in lines.by_ref().map_while(Result::ok) {
            if line.starts_with("ready in ") {
                is_ready = true;
                break;
            }
            // `API server   https://...`: two spaces or more after the word.
            if let Some((word, rest)) = line.split_once("  ") {
                places.insert(word.to_owned(), rest.trim().to_owned());
            }
        }
        assert!(is_ready, "it did not come up: {places:?}");
        Self { process, places }
    }

    async fn client(&self) -> kube::Client {
        let file = Kubeconfig::read_from(&self.places["Kubeconfig"]).unwrap();
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await;
        kube::Client::try_from(config.unwrap()).unwrap()
    }

    fn gateway(&self) -> String {
        let place = &self.places["Gateway"];
        let address = place.strip_prefix("http://").unwrap();
        address.split_whitespace().next().unwrap().to_owned()
    }

    /// SIGKILL: it can clean up nothing.
    fn kill(self) {
        drop(self);
    }

    fn stop(mut self) {
        end_in_good_order(&mut self.process);
    }
}

fn start(data_dir: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    command.args([
        "local",
        "up",
        "--gateway-listen",
        "127.0.0.1:0",
        "--data-dir",
    ]);
    command
        .arg(data_dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn end_in_good_order(process: &mut Child) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(process.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let status = process.wait().unwrap();
    assert!(status.success(), "{status}");
}

impl Drop for Up {
    fn drop(&mut self) {
        // It may have ended in good order.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn get(address: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn api(client: &kube::Client, kind: Kind) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), "default", &kind.resource())
}

/// Every object that a user's work stands on, by kind and name: uid, generation, spec.
async fn kept(client: &kube::Client) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for kind in [
        Kind::Service,
        Kind::Configuration,
        Kind::Revision,
        Kind::Route,
        Kind::Ingress,
        Kind::Deployment,
        Kind::Pod,
    ] {
        let list = api(client, kind)
            .list(&ListParams::default())
            .await
            .unwrap();
        for object in list {
            let meta = &object.metadata;
            let what = format!(
                "{:?} {:?} {}",
                meta.uid, meta.generation, object.data["spec"]
            );
            all.insert(format!("{kind:?} {}", meta.name.clone().unwrap()), what);
        }
    }
    all
}

async fn newest(client: &kube::Client) -> u64 {
    let list = api(client, Kind::Service)
        .list(&ListParams::default())
        .await;
    let version = list.unwrap().metadata.resource_version.unwrap();
    version.parse().unwrap()
}

/// The processes of this cluster: those whose environment names its folder.
fn processes(data_dir: &Path) -> Vec<String> {
    let needle = data_dir.to_string_lossy().into_owned();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if String::from_utf8_lossy(&environment).contains(&needle) {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_kill_everything_is_there_again_and_answers_at_the_same_places() {
    let folder = tempfile::tempdir().unwrap();
    let up = Up::on(folder.path());
    let client = up.client().await;
    let services = api(&client, Kind::Service);
    let mut service = DynamicObject::new("hello", &Kind::Service.resource());
    service.data = json!({"spec": {"template": {
        // Not to zero, however slow this machine is.
        "metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1"}},
        "spec": {"containers": [
            {"image": "sluice.local/hello", "env": [{"name": "TARGET", "value": "again"}]},
        ]},
    }}});
    services
        .create(&PostParams::default(), &service)
        .await
        .unwrap();
    let is_ready = |service: Option<&DynamicObject>| {
        let conditions = service.and_then(|s| s.data["status"]["conditions"].as_array());
        conditions.is_some_and(|all| {
            all.iter()
                .any(|c| c["type"] == "Ready" && c["status"] == "True")
        })
    };
    let ready = kube::runtime::wait::await_condition(services, "hello", is_ready);
    tokio::time::timeout(PATIENCE, ready)
        .await
        .expect("ready")
        .unwrap();
    let host = "hello.default.localhost";
    assert!(get(&up.gateway(), host).ends_with("Hello again!\n"));
    let (places, version) = (up.places.clone(), newest(&client).await);
    let before = kept(&client).await;
    let kubeconfig = std::fs::read(&places["Kubeconfig"]).unwrap();
    assert_eq!(processes(folder.path()).len(), 1, "the program that serves");

    up.kill();
    let deadline = Instant::now() + PATIENCE;
    while !processes(folder.path()).is_empty() {
        assert!(Instant::now() < deadline, "a process outlives its cluster");
        std::thread::yield_now();
    }

    for end in [Up::kill, Up::stop] {
        let up = Up::on(folder.path());
        assert_eq!(up.places, places, "the same addresses");
        assert_eq!(std::fs::read(&places["Kubeconfig"]).unwrap(), kubeconfig);
        // The first request may have to wait, but it is answered.
        let answer = get(&up.gateway(), host);
        assert!(answer.ends_with("Hello again!\n"), "{answer}");
        let client = up.client().await;
        assert_eq!(kept(&client).await, before);
        assert!(newest(&client).await >= version, "versions never go back");
        let service = api(&client, Kind::Service).get("hello").await.unwrap();
        assert!(is_ready(Some(&service)), "{}", service.data["status"]);
        end(up);
    }
    // An orderly end keeps the addresses, too.
    let up = Up::on(folder.path());
    assert_eq!(up.places, places);
    up.stop();
}

#[test]
fn a_cluster_that_is_told_to_end_while_it_starts_ends_in_good_order() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start(folder.path());
    let deadline = Instant::now() + PATIENCE;
    // The first thing that it writes; it is ready much later.
    while !folder.path().join("lock").exists() {
        assert!(Instant::now() < deadline, "it does not begin");
        std::thread::yield_now();
    }
    end_in_good_order(&mut process);
    assert!(!folder.path().join("endpoints.json").exists());
}

/// Who is nobody in particular, for a test that root runs: root may read everything.
#[cfg(target_os = "linux")]
const NOBODY: u32 = 65_534;

#[cfg(target_os = "linux")]
#[test]
fn a_cluster_keeps_its_environment_from_other_programs_of_its_user() {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::process::CommandExt;

    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("sluice");
    std::fs::copy(env!("CARGO_BIN_EXE_sluice"), &program).unwrap();
    let is_root = nix::unistd::geteuid().is_root();
    if is_root {
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let as_user = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", folder.path())
            .env("A_KEY", "of the cloud")
            .current_dir(folder.path());
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    let up = ["local", "up", "--gateway-listen", "127.0.0.1:0"];
    let mut process = as_user(&program, &up)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let ready = lines.map_while(Result::ok);
    let is_up = ready.into_iter().any(|line| line.starts_with("ready in "));
    let read = |pid: &str| {
        let file = format!("/proc/{pid}/environ");
        as_user(Path::new("cat"), &[&file]).output().unwrap()
    };
    let seen = read(&process.id().to_string());
    end_in_good_order(&mut process);
    assert!(is_up, "it did not come up");
    // What nobody hides can be read, so the way of reading is right.
    let own = read("self");
    assert!(String::from_utf8_lossy(&own.stdout).contains("A_KEY=of the cloud"));
    assert!(!seen.status.success(), "{seen:?}");
    assert!(
        String::from_utf8_lossy(&seen.stderr).contains("Permission denied"),
        "{seen:?}"
    );
}
