//! What a Pod's spec may say of what runs, and what an app sees of who runs it.

use std::collections::BTreeSet;

use super::*;

/// Why a Pod's first container, or its first init container, is not created.
async fn refusal(cluster: &Cluster, name: &str) -> String {
    let message = |pod: &Pod| {
        let status = pod.status.as_ref()?;
        let lists = [&status.init_container_statuses, &status.container_statuses];
        let waiting = lists
            .into_iter()
            .flatten()
            .flatten()
            .find_map(|one| one.state.as_ref()?.waiting.clone())?;
        (waiting.reason.as_deref() == Some("CreateContainerError")).then_some(waiting.message)?
    };
    let refused = |pod: &Pod| message(pod).is_some();
    let pod = cluster.wait(name, "refused", refused).await;
    message(&pod).unwrap()
}

#[tokio::test]
async fn a_spec_that_would_replace_what_an_image_runs_is_refused_and_told_how_to_allow_it() {
    let cluster = Cluster::start().await;
    let witness = cluster.folder.path().join("witness");
    let touch = ["touch", witness.to_str().unwrap()];
    let line = touch.join(" ");
    let hello = |mut container: Value| {
        container["name"] = json!("main");
        container["image"] = json!("sluice.local/hello:1");
        json!({"containers": [container]})
    };
    let words: ConfigMap = serde_json::from_value(
        json!({"metadata": {"name": "words"}, "data": {"LD_PRELOAD": "/tmp/x.so"}}),
    )
    .unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client.clone());
    maps.create(&PostParams::default(), &words).await.unwrap();
    let mut init = hello(json!({}));
    init["initContainers"] = json!([{"name": "first", "image": "shut:1", "command": touch}]);
    let told = [
        ("command", hello(json!({"command": touch}))),
        (
            "args",
            json!({"containers": [{"name": "main", "image": "shut:1", "args": [line]}]}),
        ),
        (
            "readiness",
            hello(json!({"readinessProbe": {"exec": {"command": touch}}})),
        ),
        (
            "liveness",
            hello(json!({"livenessProbe": {"exec": {"command": touch}}})),
        ),
        (
            "startup",
            hello(json!({"startupProbe": {"exec": {"command": touch}}})),
        ),
        ("init", init),
        (
            "path",
            hello(json!({"env": [{"name": "PATH", "value": "/tmp"}]})),
        ),
        (
            "preload",
            hello(json!({"envFrom": [{"configMapRef": {"name": "words"}}]})),
        ),
    ];
    let mut all = String::new();
    for (name, spec) in told {
        cluster.create(name, spec).await;
        let message = refusal(&cluster, name).await;
        let folder = cluster.folder.path().to_string_lossy().into_owned();
        all.push_str(&format!("{name}: {}\n", message.replace(&folder, "HERE")));
    }
    expect_test::expect![[r#"
        command: `command` is not allowed for the image "sluice.local/hello:1": it is a built-in sample, which runs nothing else; name an image of your own, with an entry that says `allowCommand: true` in the file given with --images
        args: `args`, which is the program that `sh -c` runs, is not allowed for the image "shut:1": give the entry `match: "shut:*"` in HERE/images.yaml, the file given with --images, `allowCommand: true`, and start the cluster again
        readiness: `readinessProbe.exec` is not allowed for the image "sluice.local/hello:1": it is a built-in sample, which runs nothing else; name an image of your own, with an entry that says `allowCommand: true` in the file given with --images
        liveness: `livenessProbe.exec` is not allowed for the image "sluice.local/hello:1": it is a built-in sample, which runs nothing else; name an image of your own, with an entry that says `allowCommand: true` in the file given with --images
        startup: `startupProbe.exec` is not allowed for the image "sluice.local/hello:1": it is a built-in sample, which runs nothing else; name an image of your own, with an entry that says `allowCommand: true` in the file given with --images
        init: `command` is not allowed for the image "shut:1": give the entry `match: "shut:*"` in HERE/images.yaml, the file given with --images, `allowCommand: true`, and start the cluster again
        path: the variable `PATH`, which changes what is loaded, is not allowed for the image "sluice.local/hello:1": it is a built-in sample, which runs nothing else; name an image of your own, with an entry that says `allowCommand: true` in the file given with --images
        preload: the variable `LD_PRELOAD`, which changes what is loaded, is not allowed for the image "sluice.local/hello:1": it is a built-in sample, which runs nothing else; name an image of your own, with an entry that says `allowCommand: true` in the file given with --images
    "#]].assert_eq(&all);
    let event = cluster.event("command", "Failed").await;
    let message = event.message.unwrap();
    assert!(
        message.starts_with("Error: `command` is not allowed"),
        "{message}"
    );
    assert!(!witness.exists(), "it ran");
    cluster.stop().await;
}

#[tokio::test]
async fn an_entry_that_allows_commands_allows_all_that_says_what_runs() {
    let cluster = Cluster::start().await;
    let spec = json!({"containers": [{
        "name": "main", "image": "sh:1",
        "command": ["sh", "-c"], "args": ["echo $WHERE; exec sleep 1000"],
        "env": [{"name": "WHERE", "value": "here"}, {"name": "PATH", "value": "/usr/bin:/bin"}],
        "readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1},
    }]});
    cluster.create("free", spec).await;
    cluster.ready("free").await;
    assert_eq!(cluster.first_line("free").await, "here");
    cluster.stop().await;
}

#[tokio::test]
async fn an_app_has_nothing_of_the_clusters_environment_but_what_its_entry_names() {
    // The cluster of these tests is their own process, which Cargo told where it is.
    let secret = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let cluster = Cluster::start().await;
    let once = |image: &str| json!({"restartPolicy": "Never", "containers": [{"name": "main", "image": image}]});
    let mut seen = Vec::new();
    for (name, image) in [("plain", "env:1"), ("passed", "passed:1")] {
        cluster.create(name, once(image)).await;
        let over = |pod: &Pod| pod.status.as_ref().unwrap().phase.as_deref() == Some("Succeeded");
        cluster.wait(name, "over", over).await;
        seen.push(
            cluster
                .pods
                .logs(name, &LogParams::default())
                .await
                .unwrap(),
        );
    }
    let names = |text: &str| -> BTreeSet<String> {
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(name, _)| name.to_owned()).collect()
    };
    let own = ["HOME", "HOSTNAME", "PATH", "PORT", "SLUICE_MOUNTS"].map(str::to_owned);
    assert_eq!(names(&seen[0]), BTreeSet::from(own.clone()), "{}", seen[0]);
    let home = format!("HOME={}", cluster.folder.path().display());
    assert!(seen[0].contains(&home), "{}", seen[0]);
    let more = own.into_iter().chain(["CARGO_MANIFEST_DIR".to_owned()]);
    assert_eq!(names(&seen[1]), more.collect(), "{}", seen[1]);
    assert!(
        seen[1].contains(&format!("CARGO_MANIFEST_DIR={secret}\n")),
        "{}",
        seen[1]
    );
    cluster.stop().await;
}
