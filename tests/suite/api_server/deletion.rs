//! Deletion: finalizers, owners and their dependents, namespaces, Pods on nodes.

use super::*;

fn owned_by(owner: &ConfigMap, name: &str, blocks: bool) -> ConfigMap {
    let mut map = config_map(name, "owned");
    map.metadata.owner_references = serde_json::from_value(json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner.metadata.name,
        "uid": owner.metadata.uid, "blockOwnerDeletion": blocks,
    }]))
    .unwrap();
    map
}

/// Waits (bounded) until the object is gone.
async fn gone(maps: &Api<ConfigMap>, name: &str) {
    let absent =
        kube::runtime::wait::await_condition(maps.clone(), name, |object: Option<&ConfigMap>| {
            object.is_none()
        });
    tokio::time::timeout(Duration::from_secs(10), absent)
        .await
        .unwrap_or_else(|_| panic!("{name} is still there"))
        .unwrap();
}

#[tokio::test]
async fn a_finalizer_holds_its_object() {
    let server = server();
    let maps = maps(&server);
    let mut held = config_map("held", "1");
    held.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    maps.create(&PostParams::default(), &held).await.unwrap();
    maps.delete("held", &DeleteParams::default()).await.unwrap();
    let waiting = maps.get("held").await.unwrap();
    assert!(waiting.metadata.deletion_timestamp.is_some());
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &PatchParams::default(), &release)
        .await
        .unwrap();
    assert!(maps.get_opt("held").await.unwrap().is_none());
    server.shutdown().await;
}

#[tokio::test]
async fn dependents_go_with_their_owner_or_before_it_or_stay() {
    let server = server();
    let maps = maps(&server);
    for (policy, child_goes) in [
        (PropagationPolicy::Background, true),
        (PropagationPolicy::Foreground, true),
        (PropagationPolicy::Orphan, false),
    ] {
        let owner = maps
            .create(&PostParams::default(), &config_map("owner", "1"))
            .await
            .unwrap();
        let child = owned_by(&owner, "child", true);
        maps.create(&PostParams::default(), &child).await.unwrap();
        let params = DeleteParams {
            propagation_policy: Some(policy.clone()),
            ..DeleteParams::default()
        };
        maps.delete("owner", &params).await.unwrap();
        gone(&maps, "owner").await;
        if child_goes {
            gone(&maps, "child").await;
        } else {
            let child = maps.get("child").await.unwrap();
            assert_eq!(child.metadata.owner_references, None, "{policy:?}");
            maps.delete("child", &DeleteParams::default())
                .await
                .unwrap();
        }
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_foreground_deletion_waits_for_a_held_dependent() {
    let server = server();
    let maps = maps(&server);
    let owner = maps
        .create(&PostParams::default(), &config_map("owner", "1"))
        .await
        .unwrap();
    let mut child = owned_by(&owner, "child", true);
    child.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    maps.create(&PostParams::default(), &child).await.unwrap();
    maps.delete("owner", &DeleteParams::foreground())
        .await
        .unwrap();
    let terminating =
        kube::runtime::wait::await_condition(maps.clone(), "child", |map: Option<&ConfigMap>| {
            map.is_some_and(|map| map.metadata.deletion_timestamp.is_some())
        });
    tokio::time::timeout(Duration::from_secs(10), terminating)
        .await
        .unwrap()
        .unwrap();
    assert!(
        maps.get("owner")
            .await
            .unwrap()
            .metadata
            .deletion_timestamp
            .is_some()
    );
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("child", &PatchParams::default(), &release)
        .await
        .unwrap();
    gone(&maps, "owner").await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_dependent_of_nobody_is_collected() {
    let server = server();
    let maps = maps(&server);
    let mut ghost = config_map("ghost", "1");
    ghost.metadata.uid = Some("00000000-0000-0000-0000-000000000000".to_owned());
    maps.create(&PostParams::default(), &owned_by(&ghost, "child", false))
        .await
        .unwrap();
    gone(&maps, "child").await;
    server.shutdown().await;
}

#[tokio::test]
async fn a_namespace_empties_itself_and_takes_nothing_new() {
    let server = server();
    let namespaces: Api<Namespace> = Api::all(server.client());
    let shop: Namespace = serde_json::from_value(json!({"metadata": {"name": "shop"}})).unwrap();
    namespaces
        .create(&PostParams::default(), &shop)
        .await
        .unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(server.client(), "shop");
    let mut held = config_map("held", "1");
    held.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    maps.create(&PostParams::default(), &held).await.unwrap();
    namespaces
        .delete("shop", &DeleteParams::default())
        .await
        .unwrap();
    let refused = maps
        .create(&PostParams::default(), &config_map("late", "1"))
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("because it is being terminated"),
        "{refused}"
    );
    let terminating =
        kube::runtime::wait::await_condition(maps.clone(), "held", |map: Option<&ConfigMap>| {
            map.is_some_and(|map| map.metadata.deletion_timestamp.is_some())
        });
    tokio::time::timeout(Duration::from_secs(10), terminating)
        .await
        .unwrap()
        .unwrap();
    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &PatchParams::default(), &release)
        .await
        .unwrap();
    let absent = kube::runtime::wait::await_condition(
        namespaces.clone(),
        "shop",
        |one: Option<&Namespace>| one.is_none(),
    );
    tokio::time::timeout(Duration::from_secs(10), absent)
        .await
        .unwrap()
        .unwrap();
    server.shutdown().await;
}

#[tokio::test]
async fn a_pod_on_a_node_goes_when_its_node_says_so() {
    let server = server();
    let pods: Api<Pod> = Api::default_namespaced(server.client());
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p"},
        "spec": {"nodeName": "local", "terminationGracePeriodSeconds": 7,
            "containers": [{"name": "c", "image": "x"}]},
    }))
    .unwrap();
    pods.create(&PostParams::default(), &pod).await.unwrap();
    let waiting = pods.delete("p", &DeleteParams::default()).await.unwrap();
    let waiting = waiting.left().unwrap();
    assert_eq!(waiting.metadata.deletion_grace_period_seconds, Some(7));
    assert!(pods.get_opt("p").await.unwrap().is_some());
    let now = DeleteParams {
        grace_period_seconds: Some(0),
        ..DeleteParams::default()
    };
    pods.delete("p", &now).await.unwrap();
    assert!(pods.get_opt("p").await.unwrap().is_none());
    server.shutdown().await;
}

/// Knative's webhook keeps the children of a Service: whoever lets them go is refused, and the Service
/// stays until they are gone.
#[tokio::test]
async fn an_owner_stays_while_its_dependents_may_not_be_let_go() {
    let server = ApiServer::builder()
        .register(sluice::local::knative::registration())
        .build()
        .unwrap();
    let of = |plural: &str| format!("/apis/serving.knative.dev/v1/namespaces/default/{plural}");
    let spec = json!({"template": {"spec": {"containers": [{"image": "sluice.local/hello"}]}}});
    let service = json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Service",
        "metadata": {"name": "a"}, "spec": spec,
    });
    let (status, _, service) = send(
        &server,
        Method::POST,
        &of("services"),
        &[],
        service.to_string(),
    )
    .await;
    assert_eq!(status, 201, "{service}");
    let owner = json!([{
        "apiVersion": "serving.knative.dev/v1", "kind": "Service", "name": "a",
        "uid": service["metadata"]["uid"], "controller": true,
    }]);
    let configuration = json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Configuration",
        "metadata": {
            "name": "a", "ownerReferences": owner,
            "labels": {"serving.knative.dev/service": "a"},
        },
        "spec": spec,
    });
    let (status, _, made) = send(
        &server,
        Method::POST,
        &of("configurations"),
        &[],
        configuration.to_string(),
    )
    .await;
    assert_eq!(status, 201, "{made}");
    let maps = maps(&server);
    let mut map = config_map("a", "owned");
    map.metadata.owner_references = serde_json::from_value(owner).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    let orphan = r#"{"propagationPolicy":"Orphan"}"#;
    let one = format!("{}/a", of("services"));
    let (status, _, going) = send(&server, Method::DELETE, &one, &[], orphan).await;
    assert_eq!(status, 200, "{going}");
    let free = kube::runtime::wait::await_condition(maps, "a", |map: Option<&ConfigMap>| {
        map.is_some_and(|map| map.metadata.owner_references.is_none())
    });
    tokio::time::timeout(Duration::from_secs(10), free)
        .await
        .unwrap()
        .unwrap();
    let held = format!("{}/a", of("configurations"));
    let (_, _, held) = send(&server, Method::GET, &held, &[], "").await;
    assert!(held["metadata"]["ownerReferences"].is_array(), "{held}");
    let (_, _, stays) = send(&server, Method::GET, &one, &[], "").await;
    assert_eq!(stays["metadata"]["finalizers"], json!(["orphan"]));
    server.shutdown().await;
}
