//! `sluice local`.

use super::*;

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
    // The same address again; it is another one only where somebody else took it between the two.
    let mut address = state["api"].as_str().unwrap().to_owned();
    let mut starts = Vec::new();
    for _ in 0..3 {
        let said = home.run(&up).await.done();
        home.run(&["local", "down"]).await.done();
        if said.contains(&address) {
            return;
        }
        let line = said.lines().find(|line| line.starts_with("API server "));
        address = line.unwrap().split_whitespace().last().unwrap().to_owned();
        starts.push(said);
    }
    panic!("another address each time: {starts:?}");
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
