//! kubectl 1.34 against the whole local cluster, as a person uses it: the transcripts are in
//! `tests/kubectl/sessions/`, how they are played is in [`session`].

mod session;
mod volatile;

use std::io::Write as _;
use std::path::PathBuf;

use session::Terminal;
use sluice::local::cluster::{LocalCluster, LocalConfig};

/// The kubectl that `tests/kubectl/build.sh` built.
fn kubectl() -> Option<PathBuf> {
    let go_mod = include_str!("../../kubectl/go.mod");
    let version = go_mod
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        .and_then(|rest| rest.split_whitespace().next())
        .expect("go.mod names the version");
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let cache = set("SLUICE_CACHE").map(PathBuf::from).or_else(|| {
        let base = set("XDG_CACHE_HOME").map(PathBuf::from);
        Some(
            base.or_else(|| Some(PathBuf::from(set("HOME")?).join(".cache")))?
                .join("sluice"),
        )
    })?;
    let program = cache.join(format!("bin/kubectl-{version}"));
    program.exists().then_some(program)
}

/// Plays a transcript on a cluster of its own.
async fn session(name: &str) {
    let Some(kubectl) = kubectl() else {
        assert!(
            std::env::var_os("SLUICE_REQUIRE_KUBECTL").is_none(),
            "SLUICE_REQUIRE_KUBECTL is set and there is no kubectl: run tests/kubectl/build.sh"
        );
        // Past the harness, which swallows what passing tests print.
        let skipped = format!(
            "\n******** SKIPPED: kubectl {name}: there is no kubectl, run tests/kubectl/build.sh ********\n"
        );
        std::io::stderr().write_all(skipped.as_bytes()).unwrap();
        return;
    };
    let cluster = LocalCluster::start(LocalConfig {
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_sluice"))),
        ..LocalConfig::default()
    })
    .await
    .unwrap();
    let terminal = Terminal::open(&kubectl, &cluster.endpoints().kubeconfig);
    terminal.plays(name).await;
    cluster.shutdown().await;
}

macro_rules! sessions {
    ($($name:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                session(stringify!($name)).await;
            }
        )*
    };
}

sessions! {
    reads,
    applies,
    changes,
    server_side,
    deletes,
    explains,
    serving,
    workloads,
    asks,
}
