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

#[test]
fn atomic_lists_and_maps_are_owned_and_replaced_whole() {
    story()
        .apply("a", json!({"atomicList": ["x", "y"], "atomicMap": {"k": "v"}, "atomicStruct": {"numeric": 1}}))
        .owned("a Apply: .atomicList .atomicMap .atomicStruct")
        .force("b", json!({"atomicList": ["z"], "atomicMap": {"l": "w"}}))
        .has(json!({"atomicList": ["z"], "atomicMap": {"l": "w"}, "atomicStruct": {"numeric": 1}}))
        .owned("a Apply: .atomicStruct\nb Apply: .atomicList .atomicMap");
}

#[test]
fn items_of_a_keyed_list_have_owners_of_their_own() {
    story()
        .apply("a", json!({"list": [{"name": "x", "value": 1}]}))
        .apply(
            "b",
            json!({"list": [{"name": "x", "other": 2}, {"name": "y", "value": 3}]}),
        )
        .has(json!({"list": [{"name": "x", "value": 1, "other": 2}, {"name": "y", "value": 3}]}))
        .apply("a", json!({}))
        .has(json!({"list": [{"name": "x", "other": 2}, {"name": "y", "value": 3}]}))
        .apply("b", json!({"list": [{"name": "y"}]}))
        .has(json!({"list": [{"name": "y"}]}));
}

#[test]
fn a_key_that_is_left_out_stands_for_its_default() {
    story()
        .apply("a", json!({"ports": [{"port": 80, "name": "web"}]}))
        .owned("a Apply: .ports[port=80,protocol=\"TCP\"] .ports[port=80,protocol=\"TCP\"].name .ports[port=80,protocol=\"TCP\"].port")
        .refuses(
            "b",
            json!({"ports": [{"port": 80, "protocol": "TCP", "name": "other"}]}),
            "Apply failed with 1 conflict: conflict with \"a\": .ports[port=80,protocol=\"TCP\"].name",
        )
        .apply("b", json!({"ports": [{"port": 80, "protocol": "UDP", "name": "dns"}]}))
        .has(json!({"ports": [{"port": 80, "name": "web"}, {"port": 80, "protocol": "UDP", "name": "dns"}]}));
}

#[test]
fn applied_items_keep_their_order_and_live_ones_their_place() {
    let names = |names: &[&str]| {
        let items: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        json!({"list": items})
    };
    story()
        .apply("a", names(&["a", "b", "c"]))
        .apply("b", names(&["x", "a", "y"]))
        .has(names(&["x", "a", "b", "c", "y"]))
        .apply("b", names(&["y", "x"]))
        .has(names(&["a", "b", "c", "y", "x"]))
        .apply("a", names(&["c", "a"]))
        .has(names(&["c", "y", "x", "a"]));
}

#[test]
fn an_applied_object_has_each_item_once_and_no_unknown_field() {
    let typed = |what: &str| {
        format!("failed to create typed patch object (/thing; /v1, Kind=Thing): {what}")
    };
    story()
        .refuses("a", json!({"set": ["x", "x"]}), &typed(".set: duplicate entries for key [=\"x\"]"))
        .refuses(
            "a",
            json!({"list": [{"name": "x"}, {"name": "x"}]}),
            &typed(".list: duplicate entries for key [name=\"x\"]"),
        )
        .refuses("a", json!({"unknown": 1}), &typed(".unknown: field not declared in schema"))
        .refuses(
            "a",
            json!({"list": [{"value": 1}]}),
            &typed(".list: element 0: associative list with keys has an element that omits all key fields [\"name\"] (and doesn't have default values for any key fields)"),
        );
}

#[test]
fn what_no_schema_speaks_of_is_deduced_maps_granular_lists_atomic() {
    story()
        .apply(
            "a",
            json!({"any": {"map": {"k": 1}, "list": [{"x": 1}], "text": "t"}}),
        )
        .owned("a Apply: .any.list .any.map .any.text .any.map.k")
        .apply("b", json!({"any": {"map": {"l": 2}}}))
        .has(json!({"any": {"map": {"k": 1, "l": 2}, "list": [{"x": 1}], "text": "t"}}))
        .force("b", json!({"any": {"map": "scalar"}}))
        .has(json!({"any": {"map": "scalar", "list": [{"x": 1}], "text": "t"}}));
}

#[test]
fn a_number_is_a_number_however_it_is_written() {
    story()
        .update("u", json!({"any": {"n": 1}}))
        .apply("a", json!({"any": {"n": 1.0}}))
        .owned("a Apply: .any.n\nu Update: .any .any.n");
}
