//! The embedded API server, as clients meet it: in process and through its socket.

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::{Client, Config};
use serde_json::json;
use sluice::local::apiserver::ApiServer;

fn config_map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"app": name}},
        "data": {"key": value},
    }))
    .unwrap()
}

#[tokio::test]
async fn objects_live_their_life_in_process() {
    let server = ApiServer::builder().build().unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(server.client());
    let made = maps
        .create(&PostParams::default(), &config_map("a", "1"))
        .await
        .unwrap();
    assert!(made.metadata.uid.is_some() && made.metadata.resource_version.is_some());
    let version = made.metadata.resource_version.unwrap();
    let mut events = maps
        .watch(&WatchParams::default(), &version)
        .await
        .unwrap()
        .boxed();

    let mut stale = config_map("a", "2");
    stale.metadata.resource_version = Some("1".to_owned());
    let refused = maps
        .replace("a", &PostParams::default(), &stale)
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains("the object has been modified"),
        "{refused}"
    );
    let patch = Patch::Merge(json!({"data": {"key": "2"}}));
    maps.patch("a", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(
        maps.list(&ListParams::default().labels("app=a"))
            .await
            .unwrap()
            .items
            .len(),
        1
    );
    maps.delete("a", &DeleteParams::default()).await.unwrap();

    let changed = events.try_next().await.unwrap();
    assert!(
        matches!(changed, Some(WatchEvent::Modified(map)) if map.data.clone().unwrap()["key"] == "2")
    );
    assert!(matches!(
        events.try_next().await.unwrap(),
        Some(WatchEvent::Deleted(_))
    ));
    server.shutdown().await;
}

#[tokio::test]
async fn the_socket_wants_the_token_and_gives_a_kubeconfig() {
    let server = ApiServer::builder().build().unwrap();
    let listening = server.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&listening.kubeconfig()).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &Default::default())
        .await
        .unwrap();
    let client = Client::try_from(config.clone()).unwrap();
    let namespaces: Api<Namespace> = Api::all(client);
    let names: Vec<_> = namespaces.list(&ListParams::default()).await.unwrap().items;
    assert!(
        names
            .iter()
            .any(|one| one.metadata.name.as_deref() == Some("default"))
    );

    config.auth_info = Default::default();
    let stranger: Api<Namespace> = Api::all(Client::try_from(config).unwrap());
    let refused = stranger.list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.code == 401));
    server.shutdown().await;
    listening.shutdown().await;
}
