//! What becomes of the object.

use serde_json::json;

use super::{Story, things};

fn story() -> Story {
    Story::of(things())
}

#[test]
fn a_first_apply_makes_the_object_and_owns_what_it_says() {
    story()
        .apply(
            "a",
            json!({"numeric": 1, "struct": {"string": "x"}, "metadata": {"labels": {"l": "1"}}}),
        )
        .has(json!({"numeric": 1, "struct": {"string": "x"}, "metadata": {"labels": {"l": "1"}}}))
        .owned("a Apply: .numeric .metadata.labels.l .struct.string");
}

#[test]
fn the_same_apply_again_changes_nothing_at_all() {
    let fields = json!({"numeric": 1, "list": [{"name": "a", "value": 1}], "set": ["x"]});
    let mut story = story().apply("a", fields.clone());
    let before = story.live().clone();
    story.try_apply("a", fields).unwrap();
    assert_eq!(story.live(), &before);
}

#[test]
fn what_is_no_longer_applied_is_removed() {
    story()
        .apply("a", json!({"numeric": 1, "string": "x", "map": {"k": "v", "l": "w"}, "list": [{"name": "a"}, {"name": "b"}]}))
        .apply("a", json!({"string": "x", "map": {"l": "w"}, "list": [{"name": "b"}]}))
        .has(json!({"string": "x", "map": {"l": "w"}, "list": [{"name": "b"}]}))
        .apply("a", json!({"string": "x"}))
        .has(json!({"string": "x"}))
        .owned("a Apply: .string");
}

#[test]
fn what_another_manager_owns_too_stays() {
    story()
        .apply("a", json!({"numeric": 1, "string": "x"}))
        .apply("b", json!({"numeric": 1}))
        .apply("a", json!({"string": "x"}))
        .has(json!({"numeric": 1, "string": "x"}))
        .owned("a Apply: .string\nb Apply: .numeric")
        .apply("b", json!({}))
        .has(json!({"string": "x"}))
        .owned("a Apply: .string");
}

#[test]
fn what_an_updater_set_is_not_the_appliers_to_remove() {
    story()
        .apply("a", json!({"struct": {"numeric": 1}}))
        .update("u", json!({"struct": {"numeric": 1, "string": "u"}}))
        .apply("a", json!({}))
        .has(json!({"struct": {"string": "u"}}))
        .owned("u Update: .struct.string");
}

#[test]
fn conflicts_name_the_manager_and_the_field() {
    story()
        .update("kubectl-create", json!({"numeric": 1}))
        .refuses(
            "a",
            json!({"numeric": 2}),
            "Apply failed with 1 conflict: conflict with \"kubectl-create\" using v1: .numeric",
        )
        .apply("b", json!({"string": "b", "list": [{"name": "x", "value": 1}]}))
        .refuses(
            "a",
            json!({"string": "a", "numeric": 2, "list": [{"name": "x", "value": 2}]}),
            "Apply failed with 3 conflicts: conflicts with \"b\":\n- .string\n- .list[name=\"x\"].value\nconflicts with \"kubectl-create\" using v1:\n- .numeric",
        );
}

#[test]
fn force_takes_the_field_and_leaves_the_rest() {
    story()
        .update("kubectl-create", json!({"numeric": 1, "string": "x"}))
        .force("a", json!({"numeric": 2}))
        .has(json!({"numeric": 2, "string": "x"}))
        .owned("a Apply: .numeric\nkubectl-create Update: .string");
}
