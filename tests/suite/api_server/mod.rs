//! The embedded API server, as clients meet it: in process and through its socket.

mod definitions;
mod deletion;
mod disk;
mod watching;

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
    ApiServer::builder()
        .kinds(sluice::local::knative::kinds())
        .build()
        .unwrap()
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
            format!("{maps}?continue=e30"),
            "",
            400,
            "BadRequest",
            "invalid continue token: continue key is not valid: server does not recognize this encoded version ",
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
        .kinds(sluice::local::knative::kinds())
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
