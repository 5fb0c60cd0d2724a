//! kubectl against the local cluster's API server, as a person uses it.

use std::io::Write as _;
use std::process::{Command, Stdio};

use sluice::local::apiserver::ApiServer;

struct Kubectl {
    program: std::path::PathBuf,
    home: tempfile::TempDir,
}

impl Kubectl {
    fn run(&self, args: &str, input: &str) -> String {
        let args: Vec<String> = split(args);
        let mut child = Command::new(&self.program)
            .args(&args)
            .env("KUBECONFIG", self.home.path().join("config"))
            .env("HOME", self.home.path())
            .env("KUBE_EDITOR", "sed -i s/value-1/value-2/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        format!(
            "{}{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
            match output.status.code() {
                Some(0) => String::new(),
                code => format!("(status {code:?})\n"),
            }
        )
    }
}

fn split(args: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    for c in args.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => parts.push(String::new()),
            c => parts.last_mut().unwrap().push(c),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "for hand trials"]
async fn by_hand() {
    let server = ApiServer::builder().build().unwrap();
    let listening = server
        .serve("127.0.0.1:18443".parse().unwrap())
        .await
        .unwrap();
    let home = tempfile::tempdir().unwrap();
    let path = std::path::PathBuf::from("/tmp/kubeconfig-apiserver");
    listening.write_kubeconfig(&path).unwrap();
    let _k = Kubectl {
        program: "/work/bin/kubectl-1.34".into(),
        home,
    };
    let _ = _k.run("version --client", "");
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
}
