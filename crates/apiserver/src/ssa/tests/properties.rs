//! What holds of every object.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::fields_v1::{decode, encode};
use super::super::typed::field_set;
use super::super::{PathElement, Set, extract};
use super::generate::fields;
use super::{Story, object, things};

/// The part of an object that falls to one of two managers, field by field.
fn half(fields: &Value, of: bool) -> Value {
    let part: Map<String, Value> = fields
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| (name.len() % 2 == 0) == of)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    Value::Object(part)
}

/// The object with the items of its sets and keyed lists in one order: which of two
/// appliers came first shows there, and nowhere else.
fn unordered(mut value: Value) -> Value {
    for name in ["set", "list", "ports"] {
        if let Some(Value::Array(items)) = value.get_mut(name) {
            items.sort_by_key(Value::to_string);
        }
    }
    value
}

/// An empty list is nobody's: it stays where an apply has put it.
fn without_empty_lists(mut value: Value) -> Value {
    match &mut value {
        Value::Object(members) => {
            members.retain(|_, member| member.as_array().is_none_or(|items| !items.is_empty()));
            for member in members.values_mut() {
                *member = without_empty_lists(member.take());
            }
        }
        Value::Array(items) => {
            for item in items.iter_mut() {
                *item = without_empty_lists(item.take());
            }
        }
        _ => {}
    }
    value
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_apply_again_changes_nothing(before in fields(), applied in fields()) {
        let mut story = Story::of(things()).update("u", before).force("a", applied.clone());
        let once = story.live().clone();
        story.try_apply("a", applied).unwrap();
        prop_assert_eq!(story.live(), &once);
    }

    #[test]
    fn disjoint_applies_commute(all in fields()) {
        // Where all that is there is an empty list, Kubernetes too takes it for an object that
        // nobody has applied yet.
        let all = without_empty_lists(all);
        let (one, other) = (half(&all, true), half(&all, false));
        let this_way = Story::of(things()).apply("a", one.clone()).apply("b", other.clone());
        let that_way = Story::of(things()).apply("b", other).apply("a", one);
        prop_assert_eq!(unordered(this_way.fields()), unordered(that_way.fields()));
        prop_assert_eq!(this_way.owners(), that_way.owners());
    }

    #[test]
    fn what_two_own_stays_until_both_let_go(shared in fields(), own in fields()) {
        let shared = without_empty_lists(shared);
        let story = Story::of(things())
            .apply("a", shared.clone())
            .apply("b", shared.clone())
            .apply("a", json!({}));
        let without_a = Story::of(things()).apply("b", shared);
        prop_assert_eq!(story.fields(), without_a.fields());
        prop_assert_eq!(story.owners(), without_a.owners());
        let empty = story.apply("b", json!({}));
        prop_assert_eq!(empty.fields(), json!({}));
        prop_assert_eq!(empty.owners(), "");
        // And what comes after starts afresh.
        let afresh = Story::of(things()).apply("c", own.clone());
        prop_assert_eq!(empty.apply("c", own).fields(), afresh.fields());
    }

    #[test]
    fn a_force_wins_and_others_keep_the_rest(first in fields(), second in fields()) {
        let story = Story::of(things()).apply("a", first).force("b", second.clone());
        let applied = Story::of(things()).apply("b", second);
        // Whatever b applied, it owns, whoever was there before.
        let line = |story: &Story| {
            story.owners().lines().find(|line| line.starts_with("b ")).map(str::to_owned)
        };
        prop_assert_eq!(line(&story), line(&applied));
    }

    #[test]
    fn what_is_extracted_can_be_applied_again_without_a_change(
        before in fields(), applied in fields(),
    ) {
        let mut story = Story::of(things()).update("u", before).force("a", applied);
        let once = story.live().clone();
        if let Some(own) = extract(story.live(), &things(), "a", None) {
            story.try_apply("a", own).unwrap();
            let (mut left, mut right) = (story.live().clone(), once);
            // Empty lists are nobody's, and an extract does not have them.
            for object in [&mut left, &mut right] {
                object["metadata"].as_object_mut().unwrap().remove("managedFields");
            }
            prop_assert_eq!(left, right);
        }
    }

    #[test]
    fn fields_v1_reads_back_what_it_wrote(fields in fields()) {
        let set = field_set(things().root(), &object(fields));
        prop_assert_eq!(decode(&encode(&set)).unwrap(), set);
    }

    #[test]
    fn sets_are_sets(one in fields(), other in fields()) {
        let schema = things();
        let one = field_set(schema.root(), &object(one));
        let other = field_set(schema.root(), &object(other));
        let both = one.intersection(&other);
        prop_assert_eq!(one.union(&other).len(), one.len() + other.len() - both.len());
        prop_assert_eq!(one.difference(&other).union(&both), one.clone());
        prop_assert!(both.is_subset(&one) && both.is_subset(&other));
        prop_assert!(one.difference(&other).intersection(&other).is_empty());
        let again: Set = Set::from_paths(one.paths());
        prop_assert_eq!(again, one);
    }
}

#[test]
fn elements_of_all_kinds_are_written_and_read_back() {
    let text = json!({
        "f:list": {
            ".": {},
            "i:0": {},
            "k:{\"a\":1,\"b\":\"x\",\"c\":true}": {".": {}, "f:deep": {}},
            "v:\"text\"": {},
            "v:1.5": {},
            "v:false": {},
        },
        "f:with:colons/and\"quotes\"": {},
    });
    let set = decode(&text).unwrap();
    assert_eq!(encode(&set), text);
    assert!(set.contains(&[PathElement::field("list"), PathElement::Index(0)]));
    let paths = [
        ".list",
        ".with:colons/and\"quotes\"",
        ".list[a=1,b=\"x\",c=true]",
        ".list[=1.5]",
        ".list[=\"text\"]",
        ".list[=false]",
        ".list[0]",
        ".list[a=1,b=\"x\",c=true].deep",
    ];
    assert_eq!(set.to_string(), paths.join("\n"));
    // A later version may know more kinds; a malformed one is refused.
    assert!(decode(&json!({"z:new": {}})).unwrap().is_empty());
    for bad in [
        json!({"f": {}}),
        json!({"v:{": {}}),
        json!({"k:[]": {}}),
        json!({"i:x": {}}),
        json!({"f:a": 1}),
    ] {
        assert!(decode(&bad).is_err(), "{bad}");
    }
}
