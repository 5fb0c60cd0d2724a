//! Pass after pass of one Delivery: what it costs, and what it finds.

use serde_json::json;
use sluice::cluster::Verb;
use sluice::plan::{Action, Cause};

use super::bed::{Hand, bed, config_map, data, key, repository};

#[tokio::test]
async fn a_second_pass_over_unchanged_input_costs_no_request_and_a_restart_no_write() {
    let mut bed = bed().await;
    let outcomes = bed.deliver(&repository()).await;
    assert!(
        outcomes.iter().all(|outcome| outcome.result.is_ok()),
        "{outcomes:?}"
    );
    let before = bed.cluster.requests();
    let plan = bed.plan(&repository());
    assert!(plan.is_empty(), "{plan}");
    assert!(plan.left.is_empty(), "{plan}");
    assert!(bed.deliver(&repository()).await.is_empty());
    assert_eq!(bed.cluster.requests().since(&before).by_verb, []);

    bed.restart().await;
    let plan = bed.plan(&repository());
    assert!(plan.is_empty(), "after a restart: {plan}");
    let requests = bed.cluster.requests();
    assert_eq!(requests.writes(), 0);
    assert_eq!(requests.of(Verb::Get), 0);
    bed.end().await;
}

#[tokio::test]
async fn a_hand_made_change_is_seen_named_and_rolled_back() {
    let mut bed = bed().await;
    bed.deliver(&[config_map("a", "git")]).await;
    bed.someone("kubectl-edit", &config_map("a", "hand"), Hand::Merge)
        .await;
    bed.until(|cluster| data(cluster, "a").as_deref() == Some("hand"))
        .await;
    let plan = bed.plan(&[config_map("a", "git")]);
    let Action::Update {
        cause: Cause::Drift { by, at },
        ..
    } = &plan.steps[0].action
    else {
        panic!("{plan}");
    };
    assert_eq!(by.as_deref(), Some("kubectl-edit"));
    assert!(at.is_some());
    bed.deliver(&[config_map("a", "git")]).await;
    assert_eq!(data(&bed.cluster, "a").as_deref(), Some("git"));
    assert!(bed.plan(&[config_map("a", "git")]).is_empty());
    bed.end().await;
}

#[tokio::test]
async fn a_field_that_left_git_leaves_the_cluster_even_after_a_restart() {
    let mut bed = bed().await;
    let mut with_label = config_map("a", "1");
    with_label["metadata"]["labels"] = json!({"team": "x"});
    with_label["data"]["b"] = json!("2");
    bed.deliver(&[with_label]).await;
    bed.restart().await;
    bed.deliver(&[config_map("a", "1")]).await;
    let live = bed.cluster.get(&key("a")).unwrap().value();
    assert_eq!(live["data"], json!({"a": "1"}));
    assert!(live["metadata"].get("labels").is_none(), "{live}");
    bed.end().await;
}

#[tokio::test]
async fn what_left_git_is_pruned_and_what_others_made_is_not() {
    let mut bed = bed().await;
    bed.someone("kubectl-create", &config_map("theirs", "1"), Hand::Apply)
        .await;
    bed.deliver(&[config_map("a", "1"), config_map("b", "1")])
        .await;
    bed.deliver(&[config_map("a", "1")]).await;
    bed.until(|cluster| cluster.get(&key("b")).is_none()).await;
    assert!(bed.cluster.get(&key("theirs")).is_some());
    assert!(bed.plan(&[config_map("a", "1")]).is_empty());
    bed.end().await;
}

#[tokio::test]
async fn what_left_git_while_the_agent_was_away_is_still_pruned() {
    let mut bed = bed().await;
    let role = serde_json::json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "reader"}, "rules": []});
    bed.deliver(&[config_map("a", "1"), role]).await;
    bed.restart().await;
    // Nothing in Git is a Role any more, so nothing made the new agent look at Roles.
    let plan = bed.plan(&[config_map("a", "1")]);
    assert!(plan.is_empty(), "{plan}");
    assert_eq!(plan.inventory.len(), 2, "not seen is not gone");
    for key in bed.inventory.clone() {
        bed.cluster.watch_kind_of(&key).await.unwrap();
    }
    bed.deliver(&[config_map("a", "1")]).await;
    let role = &bed.inventory[1];
    assert!(bed.cluster.wait_gone(role, super::bed::PATIENCE).await);
    assert_eq!(bed.plan(&[config_map("a", "1")]).inventory.len(), 1);
    bed.end().await;
}
