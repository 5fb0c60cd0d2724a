//! The program as a stranger types it: what it prints, what it ends with, and what it says when
//! something is not there.

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

use crate::program::{self, Said};
use crate::world::{Hello, NAMESPACE, PATIENCE, Setting, World};

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
async fn a_folder_without_mistakes_is_valid_whatever_lies_beside_the_manifests() {
    let home = Home::new();
    home.write("apps/hello.yaml", GOOD);
    home.write(
        "apps/nested/settings.json",
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}})
            .to_string(),
    );
    home.write("apps/notes.txt", "containers: [");
    home.write("apps/drafts/later.yaml", "containers: [");
    home.write("apps/.sluiceignore", "drafts/\n");
    home.shows(
        "validate apps",
        expect![[r#"
            $ sluice validate apps
            3 objects, 0 errors
            status 0
        "#]],
    )
    .await;
    home.shows(
        "validate apps/hello.yaml -o yaml",
        expect![[r#"
            $ sluice validate apps/hello.yaml -o yaml
            objects: 2
            errors: []
            notices: []
            status 0
        "#]],
    )
    .await;
}

#[tokio::test]
async fn every_mistake_is_shown_where_it_is_with_what_to_do() {
    let home = Home::new();
    home.write(
        "a/broken.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: [\n",
    );
    home.write("a/broken.json", "{\"apiVersion\": \"v1\",}");
    home.write(
        "a/twice.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  name: b\n",
    );
    home.write("a/hello.yaml", GOOD);
    home.write("a/deep/hello.yaml", GOOD);
    home.write(
        "a/words.yaml",
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: w}\nspec:\n  template:\n    spec:\n      containerConcurrency: many\n      contaners: []\n",
    );
    std::os::unix::fs::symlink("/etc/hostname", home.path().join("a/link.yaml")).unwrap();
    home.shows(
        "validate a",
        expect![[r#"
        $ sluice validate a
          × this is not JSON: a field name in double quotes is missing
           ╭─[broken.json:1:21]
         1 │ {"apiVersion": "v1",}
           ·                     ┬
           ·                     ╰── here
           ╰────
          help: check commas, quotes and brackets here and in the line above

          × this is not YAML: unclosed bracket '['
           ╭─[broken.yaml:3:11]
         2 │ kind: ConfigMap
         3 │ metadata: [
           ·           ┬
           ·           ╰── here
           ╰────
          help: check indentation, colons and quotes here and in the line above

          × Service default/hello: the same object is also in deep/hello.yaml:1
           ╭─[hello.yaml:1:1]
         1 │ apiVersion: serving.knative.dev/v1
           · ─────┬─────
           ·      ╰── here
         2 │ kind: Service
           ╰────
          help: keep one of them; until then neither is delivered

          × Secret default/key: the same object is also in deep/hello.yaml:13
            ╭─[hello.yaml:13:1]
         12 │ ---
         13 │ apiVersion: v1
            · ─────┬─────
            ·      ╰── here
         14 │ kind: Secret
            ╰────
          help: keep one of them; until then neither is delivered

          × link.yaml: the link leaves the folder

          × ConfigMap default/a: metadata.name: it is already set in line 4
           ╭─[twice.yaml:5:3]
         4 │   name: a
         5 │   name: b
           ·   ──┬──
           ·     ╰── here
           ╰────
          help: keep one of the two

          × Service default/w: spec.template.spec: "containers" is missing
           ╭─[words.yaml:7:7]
         6 │     spec:
         7 │       containerConcurrency: many
           ·       ──────────┬──────────
           ·                 ╰── here
         8 │       contaners: []
           ╰────
          help: set spec.template.spec.containers

          × Service default/w: spec.template.spec.containerConcurrency: it must be a
          │ whole number, but it is a string
           ╭─[words.yaml:7:29]
         6 │     spec:
         7 │       containerConcurrency: many
           ·                             ──┬─
           ·                               ╰── here
         8 │       contaners: []
           ╰────

          × Service default/w: spec.template.spec.contaners: unknown field
           ╭─[words.yaml:8:7]
         7 │       containerConcurrency: many
         8 │       contaners: []
           ·       ─────┬────
           ·            ╰── here
           ╰────
          help: did you mean "containers"?

        0 objects, 9 errors
        status 2
    "#]],
    )
    .await;
    let json = home.run(&["validate", "a", "-o", "json"]).await;
    assert_eq!(json.code, Some(2));
    let report: Value = serde_json::from_str(&json.out).unwrap();
    let errors = report["errors"].as_array().unwrap();
    let at = |place: &str| {
        errors
            .iter()
            .any(|e| e.as_str().unwrap().starts_with(place))
    };
    for place in [
        "broken.yaml:3:11: ",
        "broken.json:1:21: ",
        "twice.yaml:5:3: ",
        "hello.yaml:1:1: ",
        "words.yaml:7:29: ",
        "words.yaml:8:7: ",
        "link.yaml:1:1: ",
    ] {
        assert!(at(place), "{place} in {errors:#?}");
    }
    home.shows(
        "validate nowhere",
        expect![[r#"
        $ sluice validate nowhere
        error: nowhere cannot be read: No such file or directory (os error 2)
        status 2
    "#]],
    )
    .await;
}

#[tokio::test]
async fn without_a_cluster_each_command_says_what_to_do() {
    let home = Home::new();
    home.shows("status", expect![[r#"
        $ sluice status
        error: no cluster is known: give --kubeconfig FILE, set KUBECONFIG, or start a local one with `sluice local up`
        status 2
    "#]]).await;
    home.shows(
        "rollout list --kubeconfig nowhere",
        expect![[r#"
        $ sluice rollout list --kubeconfig nowhere
        error: the kubeconfig nowhere cannot be read: No such file or directory (os error 2)
        status 2
    "#]],
    )
    .await;
    home.write("empty.yaml", "apiVersion: v1\nkind: Config\n");
    home.shows(
        "rollout list --kubeconfig empty.yaml",
        expect![[r#"
        $ sluice rollout list --kubeconfig empty.yaml
        error: the kubeconfig empty.yaml has no current context: choose one with --context NAME
        status 2
    "#]],
    )
    .await;
    home.write(
        "dead.yaml",
        "apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}]\nusers: [{name: a, user: {token: x}}]\ncontexts: [{name: a, context: {cluster: a, user: a}}]\ncurrent-context: a\n",
    );
    home.write("apps/hello.yaml", GOOD);
    for command in [
        "status",
        "sync",
        "rollout list",
        "rollout promote hello",
        "diff apps",
        "run",
    ] {
        let line = format!("{command} --kubeconfig dead.yaml");
        let words: Vec<&str> = line.split_whitespace().collect();
        let error = home.run(&words).await.failed();
        assert_eq!(
            error,
            "error: the cluster at https://127.0.0.1:1 cannot be reached: Connection refused (os error 111); \
             is it up, and is this its kubeconfig? (`sluice local status` tells of a local one)\n",
            "{command}"
        );
    }
    home.shows(
        "status --kubeconfig dead.yaml --context b",
        expect![[r#"
        $ sluice status --kubeconfig dead.yaml --context b
        error: the kubeconfig dead.yaml has no context b; it has a
        status 2
    "#]],
    )
    .await;
    let mut named = program::sluice(home.path(), &["status"]);
    named.env("KUBECONFIG", "nowhere");
    let error = program::said(named).await.failed();
    assert!(
        error.contains("that KUBECONFIG names cannot be read: nowhere: No such file"),
        "{error}"
    );
    home.shows("status --log a=loud", expect![[r#"
        $ sluice status --log a=loud
        error: --log "a=loud" is neither a level (error, warn, info, debug, trace) nor a filter: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5
        status 2
    "#]]).await;
}

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
async fn delivered(setting: Setting) -> (World, Home) {
    let mut world = World::new(setting).await;
    world.start_agent().await;
    world.deliver().await;
    world.repository.write("apps/hello.yaml", GOOD);
    let commit = world.repository.push("Open the shop");
    world.promoted("hello", &commit).await;
    // The Delivery says so a moment later.
    let deliveries: Api<Delivery> = Api::namespaced(world.client.clone(), NAMESPACE);
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
    let config = std::fs::read_to_string(world.kubeconfig()).unwrap();
    home.write(".kube/config", &config);
    (world, home)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_shows_what_would_change_and_nothing_else() {
    let (world, home) = delivered(Setting::default()).await;
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
        --- Configuration.serving.knative.dev default/hello (cluster)
        +++ Configuration.serving.knative.dev default/hello (hello.yaml:1)
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
    world.end().await;
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
    let (world, home) = delivered(Setting::default()).await;
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
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_waits_ends_with_how_it_went() {
    let (world, home) = delivered(Setting::default()).await;
    world.push(
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
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_sluice_was_never_on_says_so() {
    let world = World::new(Setting::default()).await;
    let home = Home::new();
    let config = std::fs::read_to_string(world.kubeconfig()).unwrap();
    home.write(".kube/config", &config);
    for command in [vec!["status"], vec!["rollout", "list"], vec!["sync"]] {
        let error = home.run(&command).await.failed();
        assert!(
            error.contains(
                "does not know Sluice's kinds yet: start an agent on it with `sluice run`"
            ),
            "{error}"
        );
    }
    let bad = config.replace("token: ", "token: not-");
    home.write(".kube/config", &bad);
    let error = home.run(&["status"]).await.failed();
    assert!(
        error.contains("refuses the credentials of this kubeconfig"),
        "{error}"
    );
    world.end().await;
}

/// Nobody may steer a release here.
struct Closed;

impl Admission for Closed {
    fn validate(&self, review: &Review<'_>, object: &Value) -> Result<(), ApiError> {
        if review.kind == "Rollout" && object.pointer("/spec/request").is_some() {
            let words = "rollouts.sluice.dev \"hello\" is forbidden: User \"ada\" cannot patch it";
            return Err(ApiError::new(403, "Forbidden", words));
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_steer_is_told_which_right_is_missing() {
    let (world, home) = delivered(Setting {
        admission: vec![Arc::new(Closed)],
        ..Setting::default()
    })
    .await;
    home.shows("rollout promote hello", expect![[r#"
        $ sluice rollout promote hello
        error: rollouts.sluice.dev "hello" is forbidden: User "ada" cannot patch it; have this right granted, or choose another account with --kubeconfig or --context
        status 2
    "#]]).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let (world, home) = delivered(Setting::default()).await;
    for line in [
        "status",
        "rollout get hello -o yaml",
        "completions bash",
        "rollout list",
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut child = program::sluice(home.path(), &words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let mut error = String::new();
        child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut error)
            .await
            .unwrap();
        let status = child.wait().await.unwrap();
        assert_eq!((status.code(), error.as_str()), (Some(0), ""), "{line}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_lives_through_an_outage_and_says_so() {
    let (world, home) = delivered(Setting::default()).await;
    world.push("Greet two", &[Hello::new("hello", "two")]);
    world
        .until("hello", "on its way", |s| s.phase == Phase::Stepping)
        .await;
    let mut watching = program::sluice(home.path(), &["rollout", "watch", "hello"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(watching.stderr.take().unwrap()).lines();
    let mut seen = BufReader::new(watching.stdout.take().unwrap()).lines();
    seen.next_line()
        .await
        .unwrap()
        .expect("it tells of the release");
    let outage = world.cluster().api().outage();
    let lost = said.next_line().await.unwrap().unwrap();
    assert!(lost.starts_with("the cluster does not answer ("), "{lost}");
    drop(outage);
    let ended = tokio::time::timeout(PATIENCE, async {
        let mut last = String::new();
        while let Some(line) = seen.next_line().await.unwrap() {
            last = line;
        }
        (last, watching.wait().await.unwrap())
    });
    let (last, status) = ended.await.expect("the release ends");
    assert!(status.success() && last.contains("Stable"), "{last}");
    world.end().await;
}

/// Stops the local cluster of a home, also where a test fails in between.
struct Stopped<'a>(&'a Path);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        let mut down = program::sluice(self.0, &["local", "down"]);
        let _ = down.as_std_mut().stdout(Stdio::null()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_cluster_is_started_once_shown_and_stopped() {
    let home = Home::new();
    home.shows(
        "local status",
        expect![[r#"
        $ sluice local status
        no local cluster runs on HOME/.local/share/sluice; `sluice local up` starts one
        status 1
    "#]],
    )
    .await;
    home.shows(
        "local down",
        expect![[r#"
        $ sluice local down
        no local cluster runs on HOME/.local/share/sluice
        status 0
    "#]],
    )
    .await;
    let _stopped_in_any_case = Stopped(home.path());
    let up = ["local", "up", "--detach", "--gateway-listen", "127.0.0.1:0"];
    let said = home.run(&up).await.done();
    assert!(
        said.contains("`sluice local down` stops it, its log is "),
        "{said}"
    );
    let state = home.run(&["local", "status", "-o", "json"]).await.done();
    let state: Value = serde_json::from_str(&state).unwrap();

    let again = home.run(&up).await.failed();
    let words = "a local cluster already runs on";
    assert!(
        again.contains(words) && again.contains("`sluice local status`"),
        "{again}"
    );
    let again = home
        .run(&["local", "up", "--gateway-listen", "127.0.0.1:0"])
        .await
        .failed();
    assert!(again.contains(words), "{again}");

    // Somebody else's port: said with what to do, in the foreground and in the background.
    let gateway = format!("127.0.0.1:{}", state["gatewayPort"]);
    for detach in [false, true] {
        let mut line = vec![
            "local",
            "up",
            "--data-dir",
            "other",
            "--gateway-listen",
            &gateway,
        ];
        line.extend(detach.then_some("--detach"));
        let error = home.run(&line).await.failed();
        assert_eq!(error.matches("error:").count(), 1, "{error}");
        for part in [
            format!("the gateway cannot listen on {gateway}: Address already in use"),
            "127.0.0.1:0 is any free port".to_owned(),
        ] {
            assert!(error.contains(&part), "{part:?} in {error}");
        }
    }
    // It is usable as it is printed: by the kubeconfig in its own folder.
    let kubeconfig = state["kubeconfig"].as_str().unwrap();
    let error = home
        .run(&["status", "--kubeconfig", kubeconfig])
        .await
        .failed();
    assert!(error.contains("`sluice run`"), "{error}");

    let down = home.run(&["local", "down"]).await.done();
    assert!(
        down.starts_with("stopped; everything is kept in "),
        "{down}"
    );
    let said = home.run(&up).await.done();
    assert!(
        said.contains(state["api"].as_str().unwrap()),
        "the same address again: {said}"
    );
    home.run(&["local", "down"]).await.done();
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_said_before_anything_starts() {
    let home = Home::new();
    let error = home
        .run(&[
            "local",
            "up",
            "--gateway-listen",
            "127.0.0.1:0",
            "--repo",
            "shop",
        ])
        .await
        .failed();
    assert_eq!(
        error,
        "error: there is no repository at shop: No such file or directory (os error 2)\n"
    );
    assert!(!home.path().join(".local/share/sluice/api").exists());
}
