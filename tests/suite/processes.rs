//! Containers as processes: what starts, what a signal reaches, and that nothing
//! is left behind, whoever dies first.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sluice::local::node::process::ProcessRuntime;
use sluice::local::node::runtime::{Exit, Instance, Launch, Order, Runtime, StartError};
use tokio::io::{AsyncBufReadExt, AsyncReadExt};

const SLUICE: &str = env!("CARGO_BIN_EXE_sluice");
/// A bound for waits, far above what any of them takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn runtime() -> ProcessRuntime {
    ProcessRuntime::new(SLUICE.into())
}

fn launch(command: &[&str], env: &[(&str, &str)]) -> Launch {
    let path = std::env::var("PATH").unwrap();
    let own = [("PATH", path.as_str())];
    Launch {
        label: "default/test/main".into(),
        command: command.iter().map(|&word| word.to_owned()).collect(),
        env: own
            .iter()
            .chain(env)
            .map(|&(k, v)| (k.to_owned(), v.to_owned()))
            .collect(),
        workdir: std::env::temp_dir(),
        port: None,
    }
}

fn shell(script: &str) -> Launch {
    launch(&["sh", "-c", script], &[])
}

async fn started(launch: Launch) -> Box<dyn Instance> {
    runtime().start(launch).await.unwrap()
}

async fn output(instance: &mut dyn Instance) -> String {
    let (mut out, mut err) = instance.take_output().unwrap();
    let mut text = String::new();
    out.read_to_string(&mut text).await.unwrap();
    err.read_to_string(&mut text).await.unwrap();
    text
}

async fn ended(instance: &mut dyn Instance) -> Exit {
    tokio::time::timeout(PATIENCE, instance.wait())
        .await
        .expect("it never ended")
}

/// The first lines that it prints, one number each.
async fn printed_pids(instance: &mut dyn Instance, count: usize) -> Vec<i32> {
    let (out, _err) = instance.take_output().unwrap();
    let mut lines = tokio::io::BufReader::new(out).lines();
    let mut pids = Vec::new();
    while pids.len() < count {
        pids.push(
            lines
                .next_line()
                .await
                .unwrap()
                .unwrap()
                .trim()
                .parse()
                .unwrap(),
        );
    }
    pids
}

fn is_alive(pid: i32) -> bool {
    let zombie = std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        stat.rsplit_once(") ")
            .is_some_and(|(_, rest)| rest.starts_with('Z'))
    });
    !zombie && kill(Pid::from_raw(pid), None).is_ok()
}

fn all_end(pids: &[i32]) {
    let deadline = Instant::now() + PATIENCE;
    while pids.iter().any(|pid| is_alive(*pid)) {
        assert!(
            Instant::now() < deadline,
            "of {pids:?} some are still alive"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn a_process_gets_its_environment_and_nothing_else() {
    let mut instance = started(launch(&["env"], &[("TARGET", "a b=c")])).await;
    let text = output(&mut *instance).await;
    assert_eq!(ended(&mut *instance).await, Exit::Code(0));
    let mut lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("PATH="))
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, ["TARGET=a b=c"]);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_finds_no_environment_at_its_parent() {
    // Cargo's variables are in this process; the shim is in between.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let script =
        "test -d /proc/$PPID && cat /proc/$PPID/environ 2>/dev/null | tr '\\0' '\\n'; echo end";
    let mut instance = started(shell(script)).await;
    assert_eq!(output(&mut *instance).await, "end\n");
    assert_eq!(ended(&mut *instance).await, Exit::Code(0));
}

#[tokio::test]
async fn an_exit_status_is_reported() {
    let mut instance = started(shell("echo out; echo err >&2; exit 7")).await;
    assert_eq!(output(&mut *instance).await, "out\nerr\n");
    assert_eq!(ended(&mut *instance).await, Exit::Code(7));
    assert_eq!(ended(&mut *instance).await, Exit::Code(7), "asked again");
}

#[tokio::test]
async fn a_command_that_is_not_there_cannot_start() {
    let error = runtime()
        .start(launch(&["no-such-program"], &[]))
        .await
        .err()
        .unwrap();
    assert!(matches!(error, StartError::Command(_)), "{error:?}");
    assert!(
        error
            .to_string()
            .contains("\"no-such-program\": No such file"),
        "{error}"
    );
    let path = std::env::var("PATH").unwrap();
    let where_ = format!(" in PATH, which is {path:?}");
    assert!(error.to_string().ends_with(&where_), "{error}");

    let nowhere = Launch {
        workdir: "/no/such/folder".into(),
        ..launch(&["true"], &[])
    };
    let error = runtime().start(nowhere).await.err().unwrap().to_string();
    assert!(
        error.ends_with(": there is no folder /no/such/folder"),
        "{error}"
    );
}

#[tokio::test]
async fn sigterm_ends_a_process_and_sigkill_one_that_will_not_hear() {
    let mut instance = started(shell("exec sleep 1000")).await;
    instance.order(Order::Terminate).await;
    assert_eq!(ended(&mut *instance).await, Exit::Signal(15));

    let mut instance = started(shell(
        "trap 'echo no' TERM; echo 1; while :; do sleep 0.01; done",
    ))
    .await;
    let (out, _err) = instance.take_output().unwrap();
    let mut lines = tokio::io::BufReader::new(out).lines();
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "1");
    instance.order(Order::Terminate).await;
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "no");
    instance.order(Order::Kill).await;
    assert_eq!(ended(&mut *instance).await, Exit::Signal(9));
}

/// A process, its child, and a grandchild that moved to a session of its own.
const FAMILY: &str = "setsid sleep 1000 & echo $!; sleep 1000 & echo $!; echo $$; wait";

#[tokio::test]
async fn what_a_process_leaves_behind_ends_with_it() {
    let mut instance = started(shell(&FAMILY.replace("wait", "exit 3"))).await;
    let pids = printed_pids(&mut *instance, 3).await;
    assert_eq!(ended(&mut *instance).await, Exit::Code(3));
    // No patience here: the report comes when all is over.
    assert!(!pids.iter().any(|pid| is_alive(*pid)), "{pids:?}");
}

#[tokio::test]
async fn an_instance_that_is_dropped_ends() {
    let mut instance = started(shell(FAMILY)).await;
    let pids = printed_pids(&mut *instance, 3).await;
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    drop(instance);
    tokio::task::spawn_blocking(move || all_end(&pids))
        .await
        .unwrap();
}

/// Not a test: the process that the next one kills.
#[tokio::test]
#[ignore = "started by no_process_outlives_a_node_that_was_killed"]
async fn node_to_be_killed() {
    let mut instance = started(shell(FAMILY)).await;
    for pid in printed_pids(&mut *instance, 3).await {
        println!("pid {pid}");
    }
    ended(&mut *instance).await;
}

#[test]
fn no_process_outlives_a_node_that_was_killed() {
    let mut node = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "processes::node_to_be_killed",
            "--ignored",
            "--nocapture",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(node.stdout.take().unwrap()).lines();
    let pids: Vec<i32> = lines
        .map_while(Result::ok)
        .filter_map(|line| line.split_once("pid ")?.1.trim().parse().ok())
        .take(3)
        .collect();
    assert_eq!(pids.len(), 3);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    node.kill().unwrap();
    node.wait().unwrap();
    all_end(&pids);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_ends_with_its_shim() {
    let mut instance = started(shell("echo $PPID; echo $$; exec sleep 1000")).await;
    let pids = printed_pids(&mut *instance, 2).await;
    kill(Pid::from_raw(pids[0]), Signal::SIGKILL).unwrap();
    assert_eq!(ended(&mut *instance).await, Exit::Unknown);
    tokio::task::spawn_blocking(move || all_end(&pids))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_sample_serves_and_stops_when_asked() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let env = [
        ("PORT", port.to_string()),
        ("TARGET", "Sluice".into()),
        ("FAIL_PERCENT", "50".into()),
    ];
    let env: Vec<(&str, &str)> = env.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let mut instance = started(launch(&[SLUICE, "sample", "hello"], &env)).await;
    let (out, _err) = instance.take_output().unwrap();
    let mut lines = tokio::io::BufReader::new(out).lines();
    let line = lines.next_line().await.unwrap().unwrap();
    assert_eq!(
        line.trim(),
        format!("hello greets \"Sluice\" on 127.0.0.1:{port}")
    );
    let answers = tokio::task::spawn_blocking(move || {
        ["/", "/", "/healthz", "/"].map(|path| get(port, path))
    });
    let answers = answers.await.unwrap();
    assert_eq!(
        answers.each_ref().map(|(status, _)| *status),
        [200, 500, 200, 200]
    );
    assert_eq!(answers[0].1, "Hello Sluice!\n");
    instance.order(Order::Terminate).await;
    assert_eq!(ended(&mut *instance).await, Exit::Code(0));
    assert_eq!(lines.next_line().await.unwrap().unwrap(), "hello: stopped");
}

fn get(port: u16, path: &str) -> (u16, String) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (
        head.split(' ').nth(1).unwrap().parse().unwrap(),
        body.to_owned(),
    )
}
