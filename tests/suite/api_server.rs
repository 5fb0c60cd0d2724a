//! The embedded API server, as clients meet it: in process and through its socket.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::api::{
    Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
    PropagationPolicy, WatchEvent, WatchParams,
};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::watcher;
use kube::{Client, Config};
use serde_json::{Value, json};
use sluice::local::apiserver::{Admission, ApiError, ApiServer, Review};
use tower::ServiceExt as _;

fn server() -> ApiServer {
    ApiServer::builder().build().unwrap()
}

fn maps(server: &ApiServer) -> Api<ConfigMap> {
    Api::default_namespaced(server.client())
}

fn config_map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"app": name}},
        "data": {"key": value},
    }))
    .unwrap()
}

fn owned_by(owner: &ConfigMap, name: &str, blocks: bool) -> ConfigMap {
    let mut map = config_map(name, "owned");
    map.metadata.owner_references = serde_json::from_value(json!([{
        "apiVersion": "v1", "kind": "ConfigMap", "name": owner.metadata.name,
        "uid": owner.metadata.uid, "blockOwnerDeletion": blocks,
    }]))
    .unwrap();
    map
}

/// One request as it is on the wire: status, warnings and body.
async fn send(
    server: &ApiServer,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<String>,
) -> (u16, Vec<String>, Value) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(axum::body::Body::from(body.into())).unwrap();
    let response = server.router().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let warnings = response
        .headers()
        .get_all("warning")
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (
        status,
        warnings,
        serde_json::from_slice(&bytes).unwrap_or_default(),
    )
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
async fn objects_live_their_life_in_process() {
    let server = server();
    let maps = maps(&server);
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
        refused.to_string().contains(
            "Operation cannot be fulfilled on configmaps \"a\": the object has been modified"
        ),
        "{refused}"
    );
    let patch = Patch::Merge(json!({"data": {"key": "2"}}));
    maps.patch("a", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let found = maps
        .list(&ListParams::default().labels("app=a"))
        .await
        .unwrap();
    assert_eq!(found.items.len(), 1);
    maps.delete("a", &DeleteParams::default()).await.unwrap();

    let changed = events.try_next().await.unwrap();
    assert!(
        matches!(changed, Some(WatchEvent::Modified(map)) if map.data.clone().unwrap()["key"] == "2")
    );
    let deleted = events.try_next().await.unwrap();
    assert!(matches!(deleted, Some(WatchEvent::Deleted(_))));
    server.shutdown().await;
}

#[tokio::test]
async fn the_socket_wants_the_token_and_gives_a_kubeconfig() {
    let server = server();
    let listening = server.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let kubeconfig = kube::config::Kubeconfig::from_yaml(&listening.kubeconfig()).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &Default::default())
        .await
        .unwrap();
    let client = Client::try_from(config.clone()).unwrap();
    let namespaces: Api<Namespace> = Api::all(client);
    let names = namespaces.list(&ListParams::default()).await.unwrap().items;
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

#[tokio::test]
async fn a_dry_run_stores_nothing_and_names_are_generated() {
    let server = server();
    let maps = maps(&server);
    let dry = PostParams {
        dry_run: true,
        field_manager: None,
    };
    maps.create(&dry, &config_map("a", "1")).await.unwrap();
    assert!(maps.get_opt("a").await.unwrap().is_none());

    let mut nameless = config_map("", "1");
    nameless.metadata.name = None;
    nameless.metadata.generate_name = Some("gen-".to_owned());
    let one = maps
        .create(&PostParams::default(), &nameless)
        .await
        .unwrap();
    let two = maps
        .create(&PostParams::default(), &nameless)
        .await
        .unwrap();
    let names = [one, two].map(|map| map.metadata.name.unwrap());
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("gen-") && name.len() == 9),
        "{names:?}"
    );
    assert_ne!(names[0], names[1]);
    server.shutdown().await;
}

#[tokio::test]
async fn unknown_fields_are_refused_or_warned_of() {
    let server = server();
    let path = "/api/v1/namespaces/default/configmaps";
    let body = r#"{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"datta":{}}"#;
    let strict = format!("{path}?fieldValidation=Strict");
    let (status, _, answer) = send(&server, Method::POST, &strict, &[], body).await;
    assert_eq!(status, 400);
    assert_eq!(
        answer["message"],
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"datta\""
    );
    let (status, warnings, answer) = send(&server, Method::POST, path, &[], body).await;
    assert_eq!(status, 201);
    assert_eq!(warnings, [r#"299 - "unknown field \"datta\"""#]);
    assert_eq!(answer.get("datta"), None);
    server.shutdown().await;
}

#[tokio::test]
async fn errors_are_statuses_in_kubernetes_words() {
    let server = server();
    let maps = "/api/v1/namespaces/default/configmaps";
    let cases = [
        (
            Method::GET,
            format!("{maps}/a"),
            "",
            404,
            "NotFound",
            "configmaps \"a\" not found",
        ),
        (
            Method::GET,
            "/apis/apps/v1/things".into(),
            "",
            404,
            "NotFound",
            "the server could not find the requested resource",
        ),
        (
            Method::POST,
            "/api/v1/namespaces/none/configmaps".into(),
            r#"{"metadata":{"name":"a"}}"#,
            404,
            "NotFound",
            "namespaces \"none\" not found",
        ),
        (
            Method::PUT,
            "/version".into(),
            "",
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        ),
        (
            Method::POST,
            maps.into(),
            r#"{"kind":"Secret","metadata":{"name":"a"}}"#,
            400,
            "BadRequest",
            "Secret in version \"v1\" cannot be handled as a ConfigMap: converting (v1.Secret) to (core.ConfigMap): unknown conversion",
        ),
        (
            Method::GET,
            format!("{maps}?fieldSelector=data=x"),
            "",
            400,
            "BadRequest",
            "\"data\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
        ),
        (
            Method::GET,
            format!("{maps}?continue=nonsense"),
            "",
            400,
            "BadRequest",
            "invalid continue token: continue key is not valid: it was not given by this server",
        ),
    ];
    for (method, path, body, code, reason, words) in cases {
        let (status, _, answer) = send(&server, method, &path, &[], body).await;
        assert_eq!(
            (status, &answer["reason"]),
            (code, &json!(reason)),
            "{path}"
        );
        assert_eq!(answer["message"], words, "{path}");
    }
    let (status, _, answer) = send(
        &server,
        Method::POST,
        maps,
        &[],
        r#"{"metadata":{"name":"B_"}}"#,
    )
    .await;
    assert_eq!((status, &answer["reason"]), (422, &json!("Invalid")));
    assert_eq!(answer["details"]["causes"][0]["field"], "metadata.name");
    let big = format!(
        r#"{{"metadata":{{"name":"big"}},"data":{{"a":"{}"}}}}"#,
        "x".repeat(4 << 20)
    );
    let (status, _, answer) = send(&server, Method::POST, maps, &[], big).await;
    assert_eq!(
        (status, &answer["reason"]),
        (413, &json!("RequestEntityTooLarge"))
    );
    let yaml = "metadata: {name: from-yaml}\ndata: {a: b}\n";
    let (status, _, _) = send(
        &server,
        Method::POST,
        maps,
        &[("content-type", "application/yaml")],
        yaml,
    )
    .await;
    assert_eq!(status, 201);
    server.shutdown().await;
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

#[tokio::test]
async fn generation_counts_specs_and_status_goes_its_own_way() {
    let server = server();
    let resource = ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("serving.knative.dev", "v1", "Route"),
        "routes",
    );
    let routes: Api<DynamicObject> = Api::default_namespaced_with(server.client(), &resource);
    let route: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Route", "metadata": {"name": "r"},
        "spec": {"traffic": [{"configurationName": "c", "percent": 100}]},
        "status": {"url": "http://forged"},
    }))
    .unwrap();
    let made = routes.create(&PostParams::default(), &route).await.unwrap();
    assert_eq!(made.metadata.generation, Some(1));
    assert_eq!(made.data.get("status"), None);
    let status = Patch::Merge(json!({"status": {"url": "http://r"}, "spec": {"traffic": []}}));
    let seen = routes
        .patch_status("r", &PatchParams::default(), &status)
        .await
        .unwrap();
    assert_eq!(seen.metadata.generation, Some(1));
    assert_eq!(seen.data["status"]["url"], "http://r");
    assert_eq!(seen.data["spec"], made.data["spec"]);
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    let labelled = routes
        .patch("r", &PatchParams::default(), &label)
        .await
        .unwrap();
    assert_eq!(labelled.metadata.generation, Some(1));
    let spec =
        Patch::Merge(json!({"spec": {"traffic": [{"revisionName": "c-1", "percent": 100}]}}));
    let moved = routes
        .patch("r", &PatchParams::default(), &spec)
        .await
        .unwrap();
    assert_eq!(moved.metadata.generation, Some(2));
    let again = routes
        .patch("r", &PatchParams::default(), &spec)
        .await
        .unwrap();
    assert_eq!(
        again.metadata.resource_version, moved.metadata.resource_version,
        "nothing changed, nothing written"
    );
    server.shutdown().await;
}

#[tokio::test]
async fn apply_owns_fields_and_names_the_owner_in_a_conflict() {
    let server = server();
    let maps = maps(&server);
    let applied = |value: &str| {
        Patch::Apply(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"key": value},
        }))
    };
    let made = maps
        .patch("a", &PatchParams::apply("one"), &applied("1"))
        .await
        .unwrap();
    let again = maps
        .patch("a", &PatchParams::apply("one"), &applied("1"))
        .await
        .unwrap();
    assert_eq!(
        made.metadata.resource_version,
        again.metadata.resource_version
    );
    let refused = maps
        .patch("a", &PatchParams::apply("two"), &applied("2"))
        .await
        .unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("conflict with \"one\": .data.key"),
        "{refused}"
    );
    let forced = maps
        .patch("a", &PatchParams::apply("two").force(), &applied("2"))
        .await
        .unwrap();
    assert_eq!(forced.data.unwrap()["key"], "2");
    server.shutdown().await;
}

#[tokio::test]
async fn a_selector_turns_changes_into_comings_and_goings() {
    let server = server();
    let maps = maps(&server);
    let params = WatchParams::default().labels("tier=web");
    let mut events = maps.watch(&params, "0").await.unwrap().boxed();
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
    let server = ApiServer::builder().history(4).build().unwrap();
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

fn shirts() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "shirts.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "shirts", "kind": "Shirt", "shortNames": ["sh"]},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Color", "type": "string", "jsonPath": ".spec.color"}],
                "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                    "spec": {"type": "object", "properties": {
                        "color": {"type": "string"},
                        "size": {"type": "string", "default": "M", "enum": ["S", "M", "L"]}}},
                    "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}},
            }],
        },
    })
}

#[tokio::test]
async fn a_definition_lives_and_takes_its_objects_along() {
    let server = server();
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let (status, _, made) = send(
        &server,
        Method::POST,
        definitions,
        &[],
        shirts().to_string(),
    )
    .await;
    assert_eq!(status, 201, "{made}");
    let established = made["status"]["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True");
    assert!(established, "{made}");

    let path = "/apis/example.com/v1/namespaces/default/shirts";
    let shirt = r#"{"apiVersion":"example.com/v1","kind":"Shirt","metadata":{"name":"s"},"spec":{"color":"blue","cut":"slim"}}"#;
    let (status, warnings, made) = send(&server, Method::POST, path, &[], shirt).await;
    assert_eq!((status, warnings.len()), (201, 1), "{made}");
    assert_eq!(
        made["spec"],
        json!({"color": "blue", "size": "M"}),
        "pruned and defaulted"
    );
    let wrong = shirt
        .replace("\"cut\":\"slim\"", "\"size\":\"XXL\"")
        .replace("\"s\"", "\"t\"");
    let (status, _, refused) = send(&server, Method::POST, path, &[], wrong).await;
    assert_eq!(
        (status, &refused["message"]),
        (
            422,
            &json!(
                "Shirt.example.com \"t\" is invalid: spec.size: Unsupported value: \"XXL\": supported values: \"S\", \"M\", \"L\""
            )
        )
    );
    let table = [("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")];
    let (_, _, table) = send(&server, Method::GET, path, &table, "").await;
    assert_eq!(table["kind"], "Table");
    assert_eq!(table["columnDefinitions"][1]["name"], "Color");
    assert_eq!(table["rows"][0]["cells"], json!(["s", "blue"]));

    let one = format!("{definitions}/shirts.example.com");
    let (status, _, _) = send(&server, Method::DELETE, &one, &[], "").await;
    assert_eq!(status, 200);
    let api: Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> =
        Api::all(server.client());
    let absent =
        kube::runtime::wait::await_condition(api, "shirts.example.com", |one: Option<&_>| {
            one.is_none()
        });
    tokio::time::timeout(Duration::from_secs(10), absent)
        .await
        .unwrap()
        .unwrap();
    let (status, _, _) = send(&server, Method::GET, path, &[], "").await;
    assert_eq!(status, 404);
    server.shutdown().await;
}

#[tokio::test]
async fn events_are_one_thing_in_two_words() {
    let server = server();
    let event = r#"{"metadata":{"name":"e"},"involvedObject":{"kind":"Pod","name":"p","namespace":"default"},"reason":"Started","message":"up","type":"Normal"}"#;
    let (status, _, answer) = send(
        &server,
        Method::POST,
        "/api/v1/namespaces/default/events",
        &[],
        event,
    )
    .await;
    assert_eq!(status, 201, "{answer}");
    let later = "/apis/events.k8s.io/v1/namespaces/default/events?fieldSelector=regarding.name=p";
    let (status, _, list) = send(&server, Method::GET, later, &[], "").await;
    assert_eq!(status, 200, "{list}");
    assert_eq!(list["items"][0]["note"], "up");
    assert_eq!(list["items"][0]["regarding"]["name"], "p");
    server.shutdown().await;
}

struct NoMonday;

impl Admission for NoMonday {
    fn mutate(&self, review: &Review<'_>, object: &mut Value) -> Result<(), ApiError> {
        if review.kind == "ConfigMap" {
            object["data"]["seenBy"] = review.user.name.as_str().into();
            review.warn("it was seen");
        }
        Ok(())
    }

    fn validate(&self, review: &Review<'_>, object: &Value) -> Result<(), ApiError> {
        match review.kind == "ConfigMap" && object["data"]["key"] == "monday" {
            true => Err(ApiError::denied("no.monday.example.com", "not on mondays")),
            false => Ok(()),
        }
    }
}

#[tokio::test]
async fn admission_changes_and_refuses() {
    let server = ApiServer::builder()
        .admission(Arc::new(NoMonday))
        .build()
        .unwrap();
    let maps = maps(&server);
    let made = maps
        .create(&PostParams::default(), &config_map("a", "sunday"))
        .await
        .unwrap();
    assert_eq!(made.data.unwrap()["seenBy"], "system:local");
    let refused = maps
        .create(&PostParams::default(), &config_map("b", "monday"))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().contains(
            "admission webhook \"no.monday.example.com\" denied the request: not on mondays"
        ),
        "{refused}"
    );
    server.shutdown().await;
}

#[tokio::test]
async fn a_data_directory_outlives_its_server() {
    let dir = tempfile::tempdir().unwrap();
    let open = || {
        ApiServer::builder()
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
