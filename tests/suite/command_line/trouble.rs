//! No cluster, no rights, an outage, a reader that goes away.

use super::*;

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
    // What is wrong with the files needs no cluster to be said.
    home.write("apps/broken.yaml", "kind: [");
    let words = ["diff", "apps", "--kubeconfig", "dead.yaml"];
    let error = home.run(&words).await.failed();
    assert!(error.starts_with("broken: broken.yaml:1:7: "), "{error}");
    assert!(error.contains("cannot be reached"), "{error}");
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

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_sluice_was_never_on_says_so() {
    let harness = Harness::new(Setting::default()).await;
    let home = Home::new();
    let config = std::fs::read_to_string(harness.kubeconfig()).unwrap();
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
    harness.end().await;
}

/// Nobody may steer a release here.
struct Closed;

impl Admission for Closed {
    fn validate(&self, review: &Review<'_>, object: &Value) -> Result<(), ApiError> {
        if review.kind == "ServiceRollout" && object.pointer("/spec/requests").is_some() {
            let words =
                "servicerollouts.sluice.dev \"hello\" is forbidden: User \"ada\" cannot patch it";
            return Err(ApiError::new(403, "Forbidden", words));
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_steer_is_told_which_right_is_missing() {
    let (harness, home) = delivered(Setting {
        admission: vec![Arc::new(Closed)],
        ..Setting::default()
    })
    .await;
    home.shows("rollout promote hello", expect![[r#"
        $ sluice rollout promote hello
        error: servicerollouts.sluice.dev "hello" is forbidden: User "ada" cannot patch it; have this right granted, or choose another account with --kubeconfig or --context
        status 2
    "#]]).await;
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_has_seen_enough_is_no_error() {
    let (harness, home) = delivered(Setting::default()).await;
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
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_lives_through_an_outage_and_says_so() {
    let (harness, home) = delivered(Setting::default()).await;
    harness.push("Greet two", &[Hello::new("hello", "two")]);
    harness
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
    let outage = harness.cluster().api().outage();
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
    harness.end().await;
}
