//! Who owns what.

use serde_json::{Value, json};

use super::super::ResetFields;
use super::{Story, things};

fn story() -> Story {
    Story::of(things())
}

#[test]
fn an_update_owns_what_it_changed_and_takes_it_from_others() {
    story()
        .apply("a", json!({"numeric": 1, "string": "x"}))
        .update("u", json!({"numeric": 2, "string": "x", "bool": true}))
        .owned("a Apply: .string\nu Update: .bool .numeric");
}

#[test]
fn status_is_owned_only_through_the_status_subresource() {
    let mut story = story()
        .resetting(ResetFields::Status)
        .apply("a", json!({"numeric": 1, "status": {"phase": "Ready"}}));
    assert_eq!(story.owners(), "a Apply: .numeric");
    story.update_through(
        "controller",
        json!({"numeric": 1, "metadata": {"labels": {"x": "y"}}, "status": {"phase": "Gone"}}),
        Some("status"),
    );
    assert_eq!(
        story.owners(),
        "a Apply: .numeric\ncontroller/status Update: .status.phase"
    );
    let error = story
        .try_apply_with(
            "b",
            json!({"status": {"phase": "No"}}),
            false,
            Some("status"),
        )
        .unwrap_err();
    assert_eq!(
        error,
        "Apply failed with 1 conflict: conflict with \"controller\" with subresource \"status\" using v1: .status.phase"
    );
}

#[test]
fn a_manager_that_owns_nothing_any_more_is_dropped() {
    story()
        .update("u", json!({"numeric": 1}))
        .update("v", json!({"numeric": 2}))
        .owned("v Update: .numeric")
        .update("v", json!({}))
        .owned("");
}

#[test]
fn at_most_ten_updaters_are_told_apart() {
    let mut story = story();
    let mut map = serde_json::Map::new();
    for index in 10..25 {
        map.insert(format!("k{index}"), Value::from("v"));
        story.update_through(&format!("m{index}"), json!({"map": map}), None);
    }
    let owners = story.owners();
    assert_eq!(owners.lines().count(), 10, "{owners}");
    let ancient = owners.lines().next().unwrap();
    assert_eq!(
        ancient,
        "ancient-changes Update: .map .map.k10 .map.k11 .map.k12 .map.k13 .map.k14 .map.k15"
    );
}
