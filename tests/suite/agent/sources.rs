//! What may happen to a repository, and to the way there.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use serde_json::json;
use sluice::api::condition::Condition;
use sluice::api::delivery::CREDENTIALS_LABEL;

use super::fixture::{Fixture, config_map, holds, until};
use crate::harness::NAMESPACE;

#[tokio::test]
async fn a_restarted_agent_goes_on_though_the_repository_is_away() {
    let mut stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    repository.write("apps/a.yaml", &config_map("a", "1"));
    let commit = repository.push("One");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage.delivered("shop", &commit).await;
    stage.stop_agent().await;
    std::fs::rename(stage.path("shop.git"), stage.path("away.git")).unwrap();
    stage.delete(&stage.maps(), "a").await;
    stage.start_agent().await;
    until(
        &stage.maps(),
        "a",
        "made again from the last commit",
        |map| holds(map, "1"),
    )
    .await;
    let status = stage
        .says("shop", "that the repository is away", |status| {
            let mut conditions = status.conditions.iter();
            conditions.any(|c| c.type_ == "SourceReady" && c.status == "False")
        })
        .await;
    assert_eq!(status.observed_commit.as_deref(), Some(commit.as_str()));

    std::fs::rename(stage.path("away.git"), stage.path("shop.git")).unwrap();
    repository.write("apps/a.yaml", &config_map("a", "2"));
    let second = repository.push("Two");
    stage.delivered("shop", &second).await;
    stage.end().await;
}

#[tokio::test]
async fn an_old_copy_of_a_repository_is_not_taken_for_the_last_commit() {
    let mut stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    repository.write("apps/a.yaml", &config_map("a", "1"));
    let first = repository.push("One");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage.delivered("shop", &first).await;
    stage.stop_agent().await;
    // As if another agent, with another copy, had delivered the next commit meanwhile.
    let newer = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "Delivery",
        "metadata": {"name": "shop", "namespace": NAMESPACE},
        "status": {"observedCommit": "1111111111111111111111111111111111111111"}});
    stage
        .deliveries()
        .patch_status(
            "shop",
            &Default::default(),
            &kube::api::Patch::Merge(&newer),
        )
        .await
        .unwrap();
    std::fs::rename(stage.path("shop.git"), stage.path("away.git")).unwrap();
    stage.delete(&stage.maps(), "a").await;
    stage.start_agent().await;
    stage
        .says("shop", "that the repository is away", |status| {
            let mut conditions = status.conditions.iter();
            conditions.any(|c| c.type_ == "Ready" && c.message.contains("shop.git"))
        })
        .await;
    assert!(
        stage.maps().get_opt("a").await.unwrap().is_none(),
        "nothing old is delivered"
    );
    stage.end().await;
}

#[tokio::test]
async fn a_missing_secret_is_said_and_read_once_it_is_there() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    repository.write("apps/a.yaml", &config_map("a", "1"));
    let commit = repository.push("One");
    let source = json!({"secretRef": {"name": "login"}});
    stage.deliver("shop", &repository, source, json!({})).await;
    let status = stage
        .says("shop", "its Secret is missing", |status| {
            !status.problems.is_empty()
        })
        .await;
    let words = &status.problems[0].message;
    assert!(
        words.contains("Secret login") && words.contains("not found"),
        "{words}"
    );
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some("login".to_owned()),
            labels: Some([(CREDENTIALS_LABEL.to_owned(), "true".to_owned())].into()),
            ..ObjectMeta::default()
        },
        string_data: Some([("token".to_owned(), "s3cret".to_owned())].into()),
        ..Secret::default()
    };
    secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    let status = stage.delivered("shop", &commit).await;
    let all = serde_json::to_string(&status).unwrap();
    assert!(!all.contains("s3cret"), "{all}");
    stage.end().await;
}

#[tokio::test]
async fn a_login_in_the_url_is_refused_and_told_to_nobody() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    let url = json!({"url": "https://bot:s3cret@git.example.com/shop.git"});
    stage.deliver("shop", &repository, url, json!({})).await;
    let status = stage
        .says("shop", "no login in a URL", |status| {
            !status.problems.is_empty()
        })
        .await;
    let all = serde_json::to_string(&status).unwrap();
    assert!(all.contains("Secret") && !all.contains("s3cret"), "{all}");
    stage.end().await;
}

#[tokio::test]
async fn a_reference_that_no_repository_can_have_is_said_until_it_is_mended() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    repository.write("apps/a.yaml", &config_map("a", "1"));
    let commit = repository.push("One");
    let bad = json!({"ref": {"branch": "not..a..branch"}});
    stage.deliver("shop", &repository, bad, json!({})).await;
    stage
        .says("shop", "no valid name", |status| {
            let stalled = |c: &Condition| c.type_ == "Stalled" && c.status == "True";
            let said = |c: &Condition| c.type_ == "Ready" && c.message.contains("no valid name");
            status.conditions.iter().any(stalled) && status.conditions.iter().any(said)
        })
        .await;
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    let status = stage.delivered("shop", &commit).await;
    let stalled = |c: &Condition| c.type_ == "Stalled" && c.status == "False";
    assert!(status.conditions.iter().any(stalled), "{status:#?}");
    stage.end().await;
}

#[tokio::test]
async fn a_range_of_versions_follows_its_highest_tag_and_a_deleted_branch_leaves_all_as_it_is() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    repository.write("apps/a.yaml", &config_map("a", "1"));
    let first = repository.push("One");
    repository.git(&["tag", "v1.0.0"]);
    repository.git(&["push", "--quiet", "origin", "v1.0.0"]);
    let range = json!({"ref": {"semver": ">=1.0, <2"}});
    stage.deliver("shop", &repository, range, json!({})).await;
    stage.delivered("shop", &first).await;
    for (value, tag, taken) in [
        ("2", "v1.1.0", true),
        ("3", "v2.0.0", false),
        ("4", "v1.2.0", true),
    ] {
        repository.write("apps/a.yaml", &config_map("a", value));
        let commit = repository.push(value);
        repository.git(&["tag", tag]);
        repository.git(&["push", "--quiet", "origin", tag]);
        if taken {
            stage.delivered("shop", &commit).await;
            assert!(holds(&stage.maps().get("a").await.unwrap(), value));
        }
    }
    let branch = json!({"ref": {"branch": "feature"}});
    repository.git(&["push", "--quiet", "origin", "HEAD:feature"]);
    stage.deliver("shop", &repository, branch, json!({})).await;
    stage
        .says("shop", "on the branch", |status| {
            let mut conditions = status.conditions.iter();
            conditions.any(|c| c.type_ == "SourceReady" && c.status == "True")
        })
        .await;
    repository.git(&["push", "--quiet", "origin", "--delete", "feature"]);
    let status = stage
        .says("shop", "its branch is gone", |status| {
            let mut conditions = status.conditions.iter();
            conditions.any(|c| c.type_ == "Ready" && c.message.contains("deleted"))
        })
        .await;
    assert_eq!(status.inventory.len(), 1);
    assert!(holds(&stage.maps().get("a").await.unwrap(), "4"));
    stage.end().await;
}
