//! What a cluster stops to honour after a while: versions that a watch goes on from, and tokens.

use std::path::Path;

use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::{DeleteParams, PostParams};
use kube::config::KubeConfigOptions;
use kube::{Api, Client, Config, ResourceExt};
use serde_json::json;
use sluice::agent::AgentConfig;

use super::faults::{Down, goes_through, on_its_way, open};
use super::{at_hand, deploy};
use crate::harness::{BRISK, Harness, Hello, PATIENCE, Setting, etcd};

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_expired_begin_anew_and_miss_nothing() {
    if !at_hand() {
        return;
    }
    let harness = open(BRISK).await;
    let secrets: Api<Secret> = Api::namespaced(harness.client.clone(), harness.namespace());
    let seen = secrets.list_metadata(&Default::default()).await.unwrap();
    let seen = seen.metadata.resource_version.unwrap();
    let server = Down::keep("kube-apiserver").await;
    etcd::compact().await;
    drop(server);
    // From here on a watch from before is refused.
    let words = tokio::time::timeout(PATIENCE, expired(&secrets, &seen)).await;
    assert!(words.expect("it expires").contains("too old"));

    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    harness.promoted("hello", &second).await;
    let by_hand = json!({"spec": {"template": {"spec": Hello::new("hello", "three").service()["spec"]["template"]["spec"]}}});
    harness
        .by_hand(
            &harness.template_object(),
            "hello",
            "kubectl-edit",
            &by_hand,
        )
        .await;
    harness
        .told("ServiceRollout", "hello", "TemplateDrift")
        .await;
    harness.end().await;
}

/// What the API server says to a watch from a version that it has not any more.
async fn expired(secrets: &Api<Secret>, version: &str) -> String {
    use futures::StreamExt;
    loop {
        // It may not answer yet.
        let Ok(events) = secrets.watch_metadata(&Default::default(), version).await else {
            tokio::task::yield_now().await;
            continue;
        };
        let first = std::pin::pin!(events).next().await;
        if let Some(Ok(kube::core::WatchEvent::Error(status))) = first {
            return status.message.clone();
        }
    }
}

/// A token of the agent's account that is good for as long as a Secret exists, as that of a Pod is
/// for as long as the Pod does.
async fn token_bound_to(client: &Client, secret: &str) -> String {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), deploy::SYSTEM);
    let made: Secret = serde_json::from_value(json!({"metadata": {"name": secret}})).unwrap();
    let made = secrets.create(&PostParams::default(), &made).await.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), deploy::SYSTEM);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            bound_object_ref: Some(BoundObjectReference {
                api_version: Some("v1".to_owned()),
                kind: Some("Secret".to_owned()),
                name: Some(secret.to_owned()),
                uid: made.uid(),
            }),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let token = accounts
        .create_token_request(deploy::ACCOUNT, &PostParams::default(), &request)
        .await
        .unwrap();
    token.status.unwrap().token
}

async fn client_with(token_file: &Path) -> Client {
    let mut config = Config::from_kubeconfig(&KubeConfigOptions::default())
        .await
        .unwrap();
    config.auth_info.token = None;
    config.auth_info.token_file = Some(token_file.to_str().unwrap().to_owned());
    Client::try_from(config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_expires_in_mid_release_is_read_anew() {
    if !at_hand() {
        return;
    }
    let mut harness = Harness::new(Setting {
        policy: BRISK.to_owned(),
        alone: true,
        ..Setting::default()
    })
    .await;
    deploy::install_without_agent();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, token_bound_to(&harness.client, "first").await).unwrap();
    let mut config = AgentConfig::new(client_with(&file).await);
    config.install_crds = false;
    harness.start_agent_with(config).await;
    harness.deliver().await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;

    let (users, second) = on_its_way(&harness).await;
    let secrets: Api<Secret> = Api::namespaced(harness.client.clone(), deploy::SYSTEM);
    secrets
        .delete("first", &DeleteParams::default())
        .await
        .unwrap();
    let refused = async {
        let with_it = client_with(&file).await;
        while with_it.apiserver_version().await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, refused)
        .await
        .expect("the first token expires");
    std::fs::write(&file, token_bound_to(&harness.client, "second").await).unwrap();
    goes_through(&harness, users, &second).await;
    deploy::remove();
    harness.end().await;
}
