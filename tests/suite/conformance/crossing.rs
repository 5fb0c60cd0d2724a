//! Several watches at once, while objects come into their selections and leave them.

use serde_json::{Map, Value};

use super::chance::Chance;
use super::reading::Reader;
use super::step::{Body, MERGE_PATCH, Step};

/// Selectors that all mean an object with the labels of [`meant`].
const SELECTORS: &[&str] = &[
    "",
    "app",
    "app=a",
    "app!=b",
    "app in (a,b)",
    "team",
    "team!=y",
    "app=a,team=x",
    "size>3",
    "!example.com/app",
];

fn meant() -> Value {
    serde_json::json!({"app": "a", "team": "x", "size": "5"})
}

/// Two to four watches from the same version, each with a selector of its own.
pub fn crossings(reader: &Reader<'_>, chance: &mut Chance, at: usize) -> Step {
    let version = *chance.pick(&["", "0", "{at 0}", "{at 1}", "{at 6}"]);
    let mut step = watch(reader, version, chance);
    for _ in 0..1 + chance.below(3) {
        step.beside.push(watch(reader, version, chance));
    }
    for _ in 0..2 + chance.below(5) {
        let write = if chance.percent(75) {
            labelled(reader, chance)
        } else {
            reader.write(chance)
        };
        step.meanwhile.push(write);
    }
    step.meanwhile.push(reader.end("z", meant(), at));
    step
}

fn watch(reader: &Reader<'_>, version: &str, chance: &mut Chance) -> Step {
    let mut step = reader.list();
    let selector = *chance.pick(SELECTORS);
    for (name, value) in [("labelSelector", selector), ("resourceVersion", version)] {
        if !value.is_empty() {
            step.query.push((name, value.into()));
        }
    }
    step.query.push(("watch", "1".into()));
    step.query.push(("timeoutSeconds", "1".into()));
    step
}

/// A change of labels, and of nothing else.
fn labelled(reader: &Reader<'_>, chance: &mut Chance) -> Step {
    let name = *chance.pick(&["a", "b", "c"]);
    let mut step = reader.step("PATCH", Some(name));
    step.media = MERGE_PATCH;
    let mut labels = Map::new();
    for (label, values) in [
        ("app", &["a", "b"][..]),
        ("team", &["x", "y"]),
        ("size", &["1", "5"]),
    ] {
        if chance.percent(60) {
            let value = if chance.percent(30) {
                Value::Null
            } else {
                (*chance.pick(values)).into()
            };
            labels.insert(label.to_owned(), value);
        }
    }
    step.body = Body::Is(serde_json::json!({"metadata": {"labels": labels}}));
    step
}
