//! Kinds that a CustomResourceDefinition brings.

use super::*;

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

/// What Kubernetes stores empty it reads as absent: the next write is one, though nothing changes.
#[tokio::test]
async fn deleting_again_writes_what_was_stored_with_something_empty() {
    let server = server();
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let shirts = shirts().to_string();
    send(&server, Method::POST, definitions, &[], shirts).await;
    let path = "/apis/example.com/v1/namespaces/default/shirts";
    let shirt = json!({
        "apiVersion": "example.com/v1", "kind": "Shirt", "spec": {"color": "blue"},
        "metadata": {"name": "s", "finalizers": ["example.com/hold"]},
    });
    let (status, _, made) = send(&server, Method::POST, path, &[], shirt.to_string()).await;
    assert_eq!(status, 201, "{made}");
    let one = format!("{path}/s");
    send(&server, Method::DELETE, &one, &[], "").await;
    let apply = [("content-type", "application/apply-patch+yaml")];
    let empty = json!({
        "apiVersion": "example.com/v1", "kind": "Shirt",
        "metadata": {"name": "s", "labels": {}},
    });
    let uri = format!("{one}?fieldManager=m");
    let (status, _, applied) = send(&server, Method::PATCH, &uri, &apply, empty.to_string()).await;
    assert_eq!(status, 200, "{applied}");
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    let (_, _, first) = send(&server, Method::DELETE, &one, &[], "").await;
    let (_, _, second) = send(&server, Method::DELETE, &one, &[], "").await;
    assert_ne!(version(&first), version(&applied));
    assert_eq!(version(&first), version(&second));
    server.shutdown().await;
}
