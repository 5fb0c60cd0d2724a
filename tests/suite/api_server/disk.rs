//! What is left of a server when it comes back.

use super::*;

#[tokio::test]
async fn a_data_directory_outlives_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        ApiServer::builder()
            .kinds(sluice::local::knative::kinds())
            .data_dir(Some(dir.path().to_owned()))
            .build()
            .unwrap()
    };
    let server = open();
    let (status, _, _) = send(
        &server,
        Method::POST,
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        &[],
        shirts().to_string(),
    )
    .await;
    assert_eq!(status, 201);
    let maps_then = maps(&server);
    let made = maps_then
        .create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    let listening = server.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let (ca, token) = (listening.ca_pem.clone(), listening.token.clone());
    server.shutdown().await;
    listening.shutdown().await;
    drop((server, maps_then));

    let server = open();
    let found = maps(&server).get("a").await.unwrap();
    assert_eq!(found, made, "as it was, resource version included");
    let (status, _, _) = send(&server, Method::GET, "/apis/example.com/v1/shirts", &[], "").await;
    assert_eq!(status, 200, "the definition is served again");
    let next = maps(&server)
        .create(&PostParams::default(), &config_map("b", "1"))
        .await
        .unwrap();
    let number = |map: &ConfigMap| {
        map.metadata
            .resource_version
            .clone()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert!(number(&next) > number(&made));
    let mut stale = maps(&server)
        .watch(&WatchParams::default(), "1")
        .await
        .unwrap()
        .boxed();
    assert!(
        matches!(stale.try_next().await.unwrap(), Some(WatchEvent::Error(status)) if status.code == 410)
    );
    let listening = server.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    assert_eq!(
        (listening.ca_pem.as_str(), listening.token.as_str()),
        (ca.as_str(), token.as_str())
    );
    server.shutdown().await;
    listening.shutdown().await;
}

#[tokio::test]
async fn what_was_answered_is_on_disk_at_that_moment() {
    let dir = tempfile::tempdir().unwrap();
    let server = ApiServer::builder()
        .kinds(sluice::local::knative::kinds())
        .data_dir(Some(dir.path().to_owned()))
        .build()
        .unwrap();
    let maps = maps(&server);
    let writes = (0..50).map(|n| {
        let maps = maps.clone();
        async move {
            maps.create(&PostParams::default(), &config_map(&format!("m{n}"), "1"))
                .await
                .unwrap()
        }
    });
    futures::future::join_all(writes).await;
    // What a kill at this moment would leave behind, opened by another server.
    let left = tempfile::tempdir().unwrap();
    std::fs::copy(
        dir.path().join("objects.redb"),
        left.path().join("objects.redb"),
    )
    .unwrap();
    let other = ApiServer::builder()
        .kinds(sluice::local::knative::kinds())
        .data_dir(Some(left.path().to_owned()))
        .build()
        .unwrap();
    let found: Api<ConfigMap> = Api::default_namespaced(other.client());
    assert_eq!(
        found
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        50
    );
    other.shutdown().await;
    server.shutdown().await;
}
