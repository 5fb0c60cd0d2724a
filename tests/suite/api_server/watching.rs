//! Lists and watches.

use super::*;

#[tokio::test]
async fn a_selector_turns_changes_into_comings_and_goings() {
    let server = server();
    let maps = maps(&server);
    let params = WatchParams::default().labels("tier=web");
    let mut events = maps.watch(&params, "0").await.unwrap().boxed();
    let none_yet = events.try_next().await.unwrap();
    assert!(
        matches!(none_yet, Some(WatchEvent::Bookmark(_))),
        "the end of what was there is told: {none_yet:?}"
    );
    maps.create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let label = |tier: &str| Patch::Merge(json!({"metadata": {"labels": {"tier": tier}}}));
    maps.patch("a", &PatchParams::default(), &label("web"))
        .await
        .unwrap();
    maps.patch("a", &PatchParams::default(), &label("db"))
        .await
        .unwrap();
    let came = events.try_next().await.unwrap();
    assert!(matches!(came, Some(WatchEvent::Added(_))), "{came:?}");
    let went = events.try_next().await.unwrap();
    let Some(WatchEvent::Deleted(went)) = went else {
        panic!("{went:?}");
    };
    let now = maps.get("a").await.unwrap();
    assert_eq!(
        went.metadata.resource_version,
        now.metadata.resource_version
    );
    assert_eq!(
        went.metadata.labels.unwrap()["tier"],
        "web",
        "told as it was when it was last seen"
    );
    server.shutdown().await;
}

#[tokio::test]
async fn a_watch_from_before_the_rings_end_is_told_to_list_again() {
    let server = ApiServer::builder()
        .kinds(sluice::local::knative::kinds())
        .history(4)
        .build()
        .unwrap();
    let maps = maps(&server);
    let first = maps
        .create(&PostParams::default(), &config_map("a", "0"))
        .await
        .unwrap();
    for value in 1..9 {
        let patch = Patch::Merge(json!({"data": {"key": value.to_string()}}));
        maps.patch("a", &PatchParams::default(), &patch)
            .await
            .unwrap();
    }
    let version = first.metadata.resource_version.unwrap();
    let mut events = maps
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .boxed();
    let told = events.try_next().await.unwrap();
    assert!(
        matches!(&told, Some(WatchEvent::Error(status)) if status.code == 410 && status.reason == "Expired"),
        "{told:?}"
    );
    assert!(
        events.try_next().await.unwrap().is_none(),
        "and it is closed"
    );
    server.shutdown().await;
}

#[tokio::test]
async fn a_streaming_list_ends_with_a_bookmark_and_idle_watches_get_more() {
    let server = ApiServer::builder()
        .kinds(sluice::local::knative::kinds())
        .bookmark_every(Duration::from_millis(5))
        .build()
        .unwrap();
    let maps = maps(&server);
    maps.create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let params = WatchParams::default().initial_events();
    let mut events = maps.watch(&params, "0").await.unwrap().boxed();
    let added = events.try_next().await.unwrap();
    assert!(matches!(added, Some(WatchEvent::Added(_))), "{added:?}");
    let end = events.try_next().await.unwrap();
    let Some(WatchEvent::Bookmark(end)) = end else {
        panic!("{end:?}");
    };
    assert_eq!(
        end.metadata.annotations["k8s.io/initial-events-end"],
        "true"
    );
    let idle = events.try_next().await.unwrap();
    assert!(matches!(idle, Some(WatchEvent::Bookmark(_))), "{idle:?}");
    server.shutdown().await;
}

#[tokio::test]
async fn kube_runtimes_watcher_is_at_home_in_both_modes() {
    let server = server();
    let maps = maps(&server);
    maps.create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    for config in [
        watcher::Config::default(),
        watcher::Config::default().streaming_lists(),
    ] {
        let mut events = watcher(maps.clone(), config).boxed();
        let mut seen = Vec::new();
        while !matches!(seen.last(), Some(watcher::Event::InitDone)) {
            seen.push(events.try_next().await.unwrap().unwrap());
        }
        assert!(seen.iter().any(|event| matches!(event, watcher::Event::InitApply(map) if map.metadata.name.as_deref() == Some("a"))));
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_list_in_pieces_is_the_list_at_one_revision() {
    let server = server();
    let maps = maps(&server);
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &config_map(name, "1"))
            .await
            .unwrap();
    }
    let first = maps.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(1));
    maps.delete("c", &DeleteParams::default()).await.unwrap();
    let token = first.metadata.continue_.clone().unwrap();
    let rest = maps
        .list(&ListParams::default().limit(2).continue_token(&token))
        .await
        .unwrap();
    assert_eq!(rest.items[0].metadata.name.as_deref(), Some("c"));
    assert_eq!(
        rest.metadata.resource_version,
        first.metadata.resource_version
    );
    server.shutdown().await;
}

#[tokio::test]
async fn a_watch_from_a_version_to_come_tells_what_comes_after_it() {
    let server = server();
    let maps = maps(&server);
    let first = maps
        .create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let version = |map: &ConfigMap| -> u64 {
        let version = map.metadata.resource_version.as_ref().unwrap();
        version.parse().unwrap()
    };
    let later = version(&first) + 20;
    let mut events = maps
        .watch(&WatchParams::default(), &later.to_string())
        .await
        .unwrap()
        .boxed();
    let mut now = 0;
    for value in 0.. {
        let patch = Patch::Merge(json!({"data": {"key": value.to_string()}}));
        let map = maps.patch("a", &PatchParams::default(), &patch).await;
        now = version(&map.unwrap());
        if now > later {
            break;
        }
    }
    let told = events.try_next().await.unwrap();
    assert!(
        matches!(&told, Some(WatchEvent::Modified(map)) if version(map) == now),
        "{told:?}"
    );
    server.shutdown().await;
}
