//! Routes by hand, and splits that are refused.

use super::*;

#[tokio::test]
async fn a_bad_split_is_refused_in_knatives_words() {
    let cluster = Cluster::start();
    let mut bad = route("r", json!([{"revisionName": "a-00001", "percent": 90}]));
    bad["metadata"]["labels"] = json!({"serving.knative.dev/service": "ceo"});
    let kube::Error::Api(status) = cluster.apply(Kind::Route, bad).await.unwrap_err() else {
        panic!("not an answer of the API server");
    };
    assert_eq!(status.code, 400);
    assert_eq!(
        status.message,
        "admission webhook \"validation.webhook.serving.knative.dev\" denied the request: \
         validation failed: Traffic targets sum to 90, want 100: spec.traffic\n\
         missing field(s): metadata.labels.serving.knative.dev/service"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn a_route_by_hand_mixes_configurations_and_keeps_its_traffic_on_a_bad_target() {
    let cluster = Cluster::start();
    cluster
        .apply(Kind::Configuration, configuration("app", "app:1"))
        .await
        .unwrap();
    cluster
        .apply(Kind::Configuration, configuration("app-pr-42", "app:pr"))
        .await
        .unwrap();
    cluster
        .apply(
            Kind::Route,
            route(
                "app",
                json!([
                    {"revisionName": "app-00001", "percent": 90},
                    {"revisionName": "app-pr-42-00001", "percent": 10, "tag": "pr-42"},
                ]),
            ),
        )
        .await
        .unwrap();
    let ready = cluster.ready(Kind::Route, "app").await;
    let traffic = ready.data["status"]["traffic"].clone();
    assert_eq!(
        traffic,
        json!([
            {"revisionName": "app-00001", "percent": 90, "latestRevision": false},
            {"revisionName": "app-pr-42-00001", "percent": 10, "latestRevision": false,
             "tag": "pr-42", "url": "http://pr-42-app.default.localhost:8080"},
        ])
    );

    // A candidate that never becomes ready gets no traffic and takes none away.
    cluster
        .apply(Kind::Configuration, configuration("app", "never:1"))
        .await
        .unwrap();
    cluster
        .apply(
            Kind::Route,
            route(
                "app",
                json!([
                    {"revisionName": "app-00001", "percent": 50},
                    {"revisionName": "app-00002", "percent": 50},
                ]),
            ),
        )
        .await
        .unwrap();
    let held = cluster
        .wait(Kind::Route, "app", "saw the target", |route| {
            route.data["status"]["observedGeneration"].as_i64() == route.metadata.generation
                && condition(route, "AllTrafficAssigned")["message"]
                    == "Revision \"app-00002\" is not yet ready."
        })
        .await;
    assert_eq!(held.data["status"]["traffic"], traffic);
    assert_eq!(condition(&held, "AllTrafficAssigned")["status"], "Unknown");
    let ingress = cluster.api(Kind::Ingress).get("app").await.unwrap();
    let splits = ingress.data["spec"]["rules"][1]["http"]["paths"][0]["splits"].clone();
    assert_eq!(splits[0]["percent"], 90);
    cluster.stop().await;
}
