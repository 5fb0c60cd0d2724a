//! The Secret of a repository's credentials: whose it is, and what becomes of it.

use std::sync::Arc;

use base64::Engine;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sluice::api::delivery::DeliveryStatus;
use sluice::cluster::Verb;
use sluice::local::apiserver::{Admission, ApiError, Review};

use super::fixture::{Fixture, config_map, holds};
use super::forge::Forge;
use crate::harness::{NAMESPACE, TestRepository};

const LABEL: &str = "sluice.dev/git-credentials";

fn secrets(stage: &Fixture) -> Api<Secret> {
    Api::namespaced(stage.client.clone(), NAMESPACE)
}

async fn write_secret(stage: &Fixture, password: &str, labels: Value) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "login", "labels": labels},
        "stringData": {"username": "bot", "password": password}});
    let params = PatchParams::apply("owner").force();
    secrets(stage)
        .patch("login", &params, &Patch::Apply(&secret))
        .await
        .unwrap();
}

async fn allowed(stage: &Fixture, password: &str) {
    write_secret(stage, password, json!({LABEL: "true"})).await;
}

async fn follow(stage: &Fixture, repository: &TestRepository, forge: &Forge) {
    let source = json!({"url": forge.url("shop.git"), "secretRef": {"name": "login"}});
    stage.deliver("shop", repository, source, json!({})).await;
}

fn says(status: &DeliveryStatus, type_: &str, words: &str) -> bool {
    let mut conditions = status.conditions.iter();
    conditions.any(|c| c.type_ == type_ && format!("{} {}", c.reason, c.message).contains(words))
}

fn complains(status: &DeliveryStatus, words: &str) -> bool {
    let mut problems = status.problems.iter();
    problems.any(|problem| problem.message.contains(words))
}

#[tokio::test]
async fn a_password_that_was_changed_is_used_without_a_restart() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    let forge = Forge::start(&stage.path(""), "one").await;
    repository.write("apps/a.yaml", &config_map("a", "1"));
    let first = repository.push("One");
    allowed(&stage, "one").await;
    follow(&stage, &repository, &forge).await;
    stage.delivered("shop", &first).await;

    // The server first: looks fail until the Secret follows.
    forge.change_password("two");
    stage
        .says("shop", "that the login is refused", |status| {
            says(status, "SourceReady", "AuthenticationFailed")
        })
        .await;
    repository.write("apps/a.yaml", &config_map("a", "2"));
    let second = repository.push("Two");
    allowed(&stage, "two").await;
    let status = stage.delivered("shop", &second).await;
    assert!(holds(&stage.maps().get("a").await.unwrap(), "2"));
    assert!(says(&status, "SourceReady", "Fetched"), "{status:#?}");

    // The Secret first: one request is refused, and nobody hears of it.
    let (_, wrong) = forge.asked();
    allowed(&stage, "three").await;
    forge.change_password("three");
    repository.write("apps/a.yaml", &config_map("a", "3"));
    let third = repository.push("Three");
    stage.delivered("shop", &third).await;
    assert!(forge.asked().1 <= wrong + 1, "{:?}", forge.asked());
    stage.end().await;
}

#[tokio::test]
async fn looks_that_find_nothing_new_cost_the_cluster_no_request() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    let forge = Forge::start(&stage.path(""), "one").await;
    repository.write("apps/a.yaml", &config_map("a", "1"));
    let commit = repository.push("One");
    allowed(&stage, "one").await;
    follow(&stage, &repository, &forge).await;
    stage.delivered("shop", &commit).await;
    // What the last status brings about is over with the second look after it.
    let (asked, _) = forge.asked();
    forge.until("two looks", |(all, _)| all >= asked + 2).await;
    let before = stage.requests();
    forge
        .until("ten looks more", |(all, _)| all >= asked + 12)
        .await;
    let since = stage.requests().since(&before);
    assert_eq!(since.of(Verb::Get), 0, "{since:?}");
    assert_eq!(since.writes(), 0, "{since:?}");
    stage.end().await;
}

#[tokio::test]
async fn a_secret_that_is_gone_is_said_and_its_credentials_serve_for_a_while() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    let forge = Forge::start(&stage.path(""), "one").await;
    repository.write("apps/a.yaml", &config_map("a", "1"));
    let first = repository.push("One");
    allowed(&stage, "one").await;
    follow(&stage, &repository, &forge).await;
    stage.delivered("shop", &first).await;
    stage.delete(&secrets(&stage), "login").await;
    // A person's wish has the Secret read again; it would be in some minutes anyway.
    let wish = json!({"metadata": {"annotations": {"sluice.dev/sync": "now"}}});
    stage
        .deliveries()
        .patch("shop", &PatchParams::default(), &Patch::Merge(&wish))
        .await
        .unwrap();
    stage
        .says("shop", "its Secret is gone", |status| {
            complains(status, "Secret login of the repository cannot be read")
        })
        .await;
    repository.write("apps/a.yaml", &config_map("a", "2"));
    let second = repository.push("Two");
    let status = stage
        .says("shop", "delivered all the same", |status| {
            status.applied_commit.as_deref() == Some(&*second)
        })
        .await;
    assert!(complains(&status, "not found"), "{status:#?}");
    assert!(holds(&stage.maps().get("a").await.unwrap(), "2"));
    allowed(&stage, "one").await;
    stage.delivered("shop", &second).await;
    stage.end().await;
}

#[tokio::test]
async fn a_secret_that_its_owner_did_not_label_is_shown_to_nobody() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    let forge = Forge::start(&stage.path(""), "sesame-open").await;
    repository.write("apps/a.yaml", &config_map("a", "1"));
    let commit = repository.push("One");
    for labels in [json!({}), json!({LABEL: "false"})] {
        write_secret(&stage, "sesame-open", labels).await;
        follow(&stage, &repository, &forge).await;
        let status = stage
            .says("shop", "which label is missing", |status| {
                complains(
                    status,
                    "kubectl label secret login sluice.dev/git-credentials=true",
                )
            })
            .await;
        assert!(
            says(&status, "Ready", "CredentialsNotAllowed"),
            "{status:#?}"
        );
        assert!(!format!("{status:?}").contains("sesame"), "{status:#?}");
    }
    assert_eq!(forge.asked(), (0, 0), "the server saw nothing of it");
    allowed(&stage, "sesame-open").await;
    stage.delivered("shop", &commit).await;
    stage.end().await;
}

#[tokio::test]
async fn an_agent_that_reads_no_files_says_so_of_that_one_delivery() {
    let mut stage = Fixture::new().await;
    stage.stop_agent().await;
    let repository = stage.repository("shop.git");
    let forge = Forge::start(&stage.path(""), "one").await;
    repository.write("apps/a.yaml", &config_map("a", "1"));
    let commit = repository.push("One");
    stage
        .start_agent_with(|config| config.file_repositories = false)
        .await;
    allowed(&stage, "one").await;
    follow(&stage, &repository, &forge).await;
    let other = json!({"path": "other"});
    stage.deliver("files", &repository, other, json!({})).await;
    stage
        .says("files", "that it reads no files", |status| {
            complains(status, "--allow-file-repositories")
                && says(status, "Ready", "--allow-file-repositories")
        })
        .await;
    stage.delivered("shop", &commit).await;
    stage.end().await;
}

/// A webhook that tells everybody what it does not like.
struct Gossip;

impl Admission for Gossip {
    fn validate(&self, review: &Review<'_>, object: &Value) -> Result<(), ApiError> {
        match review.kind {
            "Secret" if review.name == "pin" => Err(ApiError::denied(
                "gossip.example.com",
                &format!("sesame-open is on a list of bad passwords: {object}"),
            )),
            _ => Ok(()),
        }
    }
}

#[tokio::test]
async fn what_the_cluster_quotes_of_a_secret_is_not_passed_on() {
    let stage = Fixture::with(Arc::new(Gossip)).await;
    let repository = stage.repository("shop.git");
    let pin = "apiVersion: v1\nkind: Secret\nmetadata: {name: pin}\nstringData: {a: sesame-open}\n";
    repository.write("apps/pin.yaml", pin);
    repository.push("A pin");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    let status = stage
        .says("shop", "why it is refused", |status| {
            !status.problems.is_empty()
        })
        .await;
    assert!(
        complains(&status, "*** is on a list of bad passwords"),
        "{status:#?}"
    );
    let said = serde_json::to_string(&status).unwrap();
    let encoded = base64::engine::general_purpose::STANDARD.encode("sesame-open");
    assert!(
        !said.contains("sesame") && !said.contains(&encoded),
        "{said}"
    );
    stage.end().await;
}
