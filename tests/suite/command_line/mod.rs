//! The program as a stranger types it: what it prints, what it ends with, and what it says when
//! something is not there.

mod files;
mod folders;
mod local;
mod trouble;

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use expect_test::{Expect, expect};
use kube::Api;
use serde_json::{Value, json};
use sluice::api::delivery::Delivery;
use sluice::api::rollout::Phase;
use sluice::local::apiserver::{Admission, ApiError, Review};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use crate::harness::{Harness, Hello, NAMESPACE, PATIENCE, Setting};
use crate::program::{self, Said};

/// A home of a person who has nothing yet.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, file: &str, content: &str) {
        let file = self.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }

    async fn run(&self, arguments: &[&str]) -> Said {
        program::run(self.path(), arguments).await
    }

    /// Runs a line of words and compares everything that a person sees of it.
    async fn shows(&self, line: &str, expected: Expect) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let said = self.run(&words).await;
        let home = self.path().to_str().unwrap();
        let seen = format!(
            "$ sluice {line}\n{}{}status {}\n",
            said.out,
            said.err,
            said.code.unwrap()
        );
        expected.assert_eq(&seen.replace(home, "HOME"));
    }
}

const GOOD: &str = "\
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: hello
spec:
  template:
    spec:
      containers:
        - image: sluice.local/hello
          env:
            - {name: TARGET, value: one}
---
apiVersion: v1
kind: Secret
metadata:
  name: key
stringData:
  password: sesame
";

#[tokio::test]
async fn every_command_has_help_and_every_shell_its_completions() {
    let home = Home::new();
    let mut seen = 0;
    let mut next: Vec<Vec<String>> = vec![vec![]];
    while let Some(command) = next.pop() {
        let mut words: Vec<&str> = command.iter().map(String::as_str).collect();
        words.push("--help");
        let help = home.run(&words).await.done();
        assert!(help.contains("Usage: sluice"), "{command:?}: {help}");
        seen += 1;
        let commands = help.split("\nCommands:\n").nth(1).unwrap_or_default();
        for line in commands.lines().take_while(|line| !line.is_empty()) {
            // A name stands two columns in; what it does may go on in the next line.
            let name = line
                .strip_prefix("  ")
                .filter(|rest| !rest.starts_with(' '));
            if let Some(name) = name.and_then(|rest| rest.split(' ').next())
                && name != "help"
            {
                next.push([command.as_slice(), &[name.to_owned()]].concat());
            }
        }
    }
    assert!(seen > 20, "{seen} commands");
    for shell in ["bash", "zsh", "fish"] {
        let script = home.run(&["completions", shell]).await.done();
        assert!(
            script.contains("rollout") && script.contains("history"),
            "{shell}"
        );
        assert!(!script.contains("node-shim"), "what is hidden stays hidden");
    }
    let error = home.run(&["rollut"]).await.failed();
    assert!(
        error.contains("a similar subcommand exists: 'rollout'"),
        "{error}"
    );
}

/// A world with one service at rest, and a home whose kubeconfig leads to it.
async fn delivered(setting: Setting) -> (Harness, Home) {
    let mut harness = Harness::new(setting).await;
    harness.start_agent().await;
    harness.deliver().await;
    harness.repository.write("apps/hello.yaml", GOOD);
    let commit = harness.repository.push("Open the shop");
    harness.promoted("hello", &commit).await;
    harness.settled("hello").await;
    // The Delivery says so a moment later.
    let deliveries: Api<Delivery> = Api::namespaced(harness.client.clone(), NAMESPACE);
    let is_ready = |delivery: Option<&Delivery>| {
        let status = delivery.and_then(|delivery| delivery.status.as_ref());
        let conditions = status.into_iter().flat_map(|status| &status.conditions);
        conditions
            .into_iter()
            .any(|c| c.type_ == "Ready" && c.status == "True")
    };
    let ready = kube::runtime::wait::await_condition(deliveries, "shop", is_ready);
    tokio::time::timeout(PATIENCE, ready)
        .await
        .expect("it is ready")
        .unwrap();
    let home = Home::new();
    let config = std::fs::read_to_string(harness.kubeconfig()).unwrap();
    home.write(".kube/config", &config);
    (harness, home)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_shows_what_would_change_and_nothing_else() {
    let (harness, home) = delivered(Setting::default()).await;
    home.write("apps/hello.yaml", GOOD);
    home.shows(
        "diff apps --delivery shop",
        expect![[r#"
        $ sluice diff apps --delivery shop
        status 0
    "#]],
    )
    .await;
    home.write(
        "apps/hello.yaml",
        &GOOD
            .replace("value: one", "value: two")
            .replace("sesame", "open"),
    );
    home.shows(
        "diff apps --delivery shop",
        expect![[r#"
            $ sluice diff apps --delivery shop
            --- Secret default/key (cluster)
            +++ Secret default/key (hello.yaml:13)
            @@ -1,6 +1,6 @@
             apiVersion: v1
             data:
            -  password: '*** (before)'
            +  password: '*** (after)'
             kind: Secret
             metadata:
               name: key
            --- Service.serving.knative.dev default/hello (cluster)
            +++ Service.serving.knative.dev default/hello (hello.yaml:1)
            @@ -11,7 +11,7 @@
                   containers:
                   - env:
                     - name: TARGET
            -          value: one
            +          value: two
                     image: sluice.local/hello
                     name: user-container
                     readinessProbe:
            status 1
        "#]],
    )
    .await;
    let json = home
        .run(&["diff", "apps", "--delivery", "shop", "-o", "json"])
        .await;
    assert_eq!(json.code, Some(1));
    assert!(
        !json.out.contains("sesame") && !json.out.contains("c2VzYW1l"),
        "{}",
        json.out
    );
    let listed: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    // Coloured where a terminal shows it, unless somebody would rather not.
    let painted = on_a_terminal(&home, "diff apps --delivery shop", false).await;
    assert!(
        painted.contains("\u{1b}[31m-") && painted.contains("\u{1b}[32m+"),
        "{painted:?}"
    );
    let plain = on_a_terminal(&home, "diff apps --delivery shop", true).await;
    assert!(
        plain.contains("value: two") && !plain.contains('\u{1b}'),
        "{plain:?}"
    );

    home.write("apps/broken.yaml", "kind: [");
    let broken = home.run(&["diff", "apps", "--delivery", "shop"]).await;
    assert_eq!(broken.code, Some(2));
    assert!(
        broken.err.starts_with("broken: broken.yaml:1:7: "),
        "{}",
        broken.err
    );
    assert!(
        broken.out.contains("value: two"),
        "the rest is shown all the same"
    );
    home.shows("diff apps --delivery nobody", expect![[r#"
        $ sluice diff apps --delivery nobody
        error: there is no Delivery nobody in namespace default; `sluice status -A` shows what there is
        status 2
    "#]]).await;
    harness.end().await;
}

/// What a terminal gets to see of a command.
async fn on_a_terminal(home: &Home, line: &str, no_color: bool) -> String {
    let mut command = Command::new("script");
    let program = env!("CARGO_BIN_EXE_sluice");
    command
        .args([
            "--quiet",
            "--command",
            &format!("{program} {line}"),
            "/dev/null",
        ])
        .current_dir(home.path())
        .env_clear()
        .env("HOME", home.path())
        .env("TERM", "xterm-256color")
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::null());
    if no_color {
        command.env("NO_COLOR", "1");
    }
    String::from_utf8(command.output().await.unwrap().stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn where_things_stand_is_told_to_people_and_to_programs() {
    let (harness, home) = delivered(Setting::default()).await;
    let status = home.run(&["status"]).await.done();
    let lines: Vec<&str> = status.lines().collect();
    assert!(
        lines[0].starts_with("DELIVERY       READY   COMMIT "),
        "{status}"
    );
    assert!(lines[1].starts_with("default/shop   True "), "{status}");
    assert!(
        lines[1].ends_with("delivered; 1 service at rest"),
        "{status}"
    );
    assert!(
        status.contains("default/hello   Stable   0 %      hello-00001   -   "),
        "{status}"
    );
    let list = home.run(&["rollout", "list"]).await.done();
    assert!(status.ends_with(&list), "the same table: {list}");

    let json = home.run(&["status", "-o", "json"]).await.done();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["deliveries"][0]["metadata"]["name"], "shop");
    assert_eq!(json["rollouts"][0]["status"]["phase"], "Stable");
    let yaml = home
        .run(&["rollout", "get", "hello", "-o", "yaml"])
        .await
        .done();
    let yaml: Value = serde_yaml::from_str(&yaml).unwrap();
    assert_eq!(yaml["status"], json["rollouts"][0]["status"]);
    assert!(yaml["metadata"].get("managedFields").is_none());

    let synced = home.run(&["sync", "--wait"]).await.done();
    assert!(
        synced.ends_with("delivered; 1 service at rest\n"),
        "{synced}"
    );
    let synced = home
        .run(&["sync", "shop", "--wait", "-o", "json"])
        .await
        .done();
    let synced: Value = serde_json::from_str(&synced).unwrap();
    assert_eq!(synced["status"]["services"]["ready"], 1);
    let watched = home
        .run(&["rollout", "watch", "hello", "-o", "json"])
        .await
        .done();
    let last: Value = serde_json::from_str(watched.lines().last().unwrap()).unwrap();
    assert_eq!(last["status"]["phase"], "Stable");

    home.shows("rollout get nobody", expect![[r#"
        $ sluice rollout get nobody
        error: no service nobody was delivered in namespace default; `sluice rollout list -A` shows what there is
        status 2
    "#]]).await;
    home.shows("rollout history nobody -n elsewhere", expect![[r#"
        $ sluice rollout history nobody -n elsewhere
        error: no service nobody was delivered in namespace elsewhere; `sluice rollout list -A` shows what there is
        status 2
    "#]])
        .await;
    home.shows(
        "rollout list -n elsewhere",
        expect![[r#"
        $ sluice rollout list -n elsewhere
        No service was delivered in namespace elsewhere yet; -A looks in all of them.
        status 0
    "#]],
    )
    .await;
    home.shows("status -n elsewhere", expect![[r#"
        $ sluice status -n elsewhere
        There is no Delivery in namespace elsewhere; -A looks in all of them. `sluice run --repo URL --path DIR` makes one.
        status 0
    "#]]).await;
    home.shows("sync nobody", expect![[r#"
        $ sluice sync nobody
        error: there is no Delivery nobody in namespace default; `sluice status -A` shows what there is
        status 2
    "#]]).await;
    home.shows(
        "sync -n elsewhere",
        expect![[r#"
        $ sluice sync -n elsewhere
        error: there is no Delivery in namespace elsewhere; `sluice status -A` shows what there is
        status 2
    "#]],
    )
    .await;
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_waits_ends_with_how_it_went() {
    let (harness, home) = delivered(Setting::default()).await;
    harness.push(
        "Crash",
        &[Hello::new("hello", "two").env("CRASH_AT_START", "3")],
    );
    let said = home.run(&["sync", "--wait"]).await;
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(
        said.out.trim_end().ends_with("1 of 1 service failed"),
        "{said:#?}"
    );
    let said = home.run(&["rollout", "watch", "hello"]).await;
    assert_eq!(said.code, Some(1), "{said:#?}");
    assert!(said.out.contains("RolledBack"), "{said:#?}");
    harness.end().await;
}
