//! Plans of Deliveries beside one another: whose an object is, and who may delete it.

use expect_test::expect;
use serde_json::json;

use super::scenarios::{config_map, key, story};
use crate::plan::*;

#[test]
fn an_object_that_another_delivery_claims_is_not_taken_until_it_lets_go() {
    let other = DeliveryId::new("default", "other");
    let mut theirs = config_map("a", "2");
    theirs["metadata"] = json!({"name": "a", "namespace": "default",
        "annotations": {"sluice.dev/delivery": "default.other", "sluice.dev/digest": "x"}});
    let claimed = || {
        story().git([config_map("a", "1")]).with(|s| {
            s.serve(&theirs, "sluice");
            s.elsewhere = Claims::from_iter([(key("ConfigMap", "a"), other.clone())]);
        })
    };
    claimed().tells(expect![[r#"
        nothing to do
        skip    ConfigMap default/a: Delivery default.other applies it; remove it from one of the two repositories
    "#]]);
    assert_eq!(
        claimed().plan().inventory,
        [key("ConfigMap", "a")],
        "the claim is on record"
    );
    claimed()
        .with(|s| s.elsewhere = Claims::default())
        .tells(expect![[r#"
        adopt   ConfigMap default/a from Delivery default.other (~data.a)
    "#]]);
}

#[test]
fn of_three_deliveries_with_one_object_the_one_that_has_it_keeps_it() {
    let mut theirs = config_map("a", "2");
    theirs["metadata"] = json!({"name": "a", "namespace": "default",
        "annotations": {"sluice.dev/delivery": "default.beta", "sluice.dev/digest": "x"}});
    let claims = ["alpha", "beta", "gamma"]
        .map(|name| (key("ConfigMap", "a"), DeliveryId::new("default", name)));
    let story = story().git([config_map("a", "1")]).with(|s| {
        s.serve(&theirs, "sluice");
        s.elsewhere = Claims::from_iter(claims);
    });
    assert!(story.plan().is_empty(), "{}", story.plan());
}

#[test]
fn nothing_is_pruned_before_the_deliveries_beside_this_one_had_their_say() {
    let moved = || {
        story()
            .git([config_map("a", "1"), config_map("b", "1")])
            .delivered()
            .git([config_map("a", "1")])
    };
    let waiting = moved().with(|s| s.awaits = Some(DeliveryId::new("default", "other")));
    waiting.tells(expect![[r#"
        nothing to do
        skip    ConfigMap default/b: no longer in Git here, kept until Delivery default.other has looked at this commit: it may have moved there
    "#]]);
    assert_eq!(
        waiting.plan().inventory,
        [key("ConfigMap", "a"), key("ConfigMap", "b")],
        "it is not forgotten meanwhile"
    );
    moved().tells(expect![[r#"
        prune   ConfigMap default/b: no longer in Git
    "#]]);
}

#[test]
fn a_child_that_bears_its_owners_mark_is_not_pruned() {
    let story = story()
        .git([config_map("a", "1"), config_map("b", "1")])
        .delivered()
        .with(|s| {
            let mut child = s.live[&key("ConfigMap", "b")].value();
            child["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap",
                "name": "a", "uid": "u", "controller": true}]);
            s.serve(&child, "sluice");
        })
        .git([config_map("a", "1")]);
    story.tells(expect![[r#"
        nothing to do
        skip    ConfigMap default/b: no longer in Git, kept: it is no longer ours
    "#]]);
}
