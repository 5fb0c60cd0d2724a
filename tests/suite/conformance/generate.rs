//! Sequences of requests: a few names, a few managers, and every way to write.

use serde_json::{Map, Value, json};

use super::chance::Chance;
use super::kinds::Kind;
use super::shape::{Form, Shape};
use super::step::{APPLY, Body, JSON, JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, Step};

const MANAGERS: &[&str] = &["ann", "ann", "bob", "bob", "kubectl", ""];

#[derive(Clone, Copy)]
enum Verb {
    Create,
    Apply,
    Replace,
    Resend,
    Merge,
    Strategic,
    Patch,
    Delete,
    Get,
}

/// How often each comes, of all.
const VERBS: &[(u32, Verb)] = &[
    (12, Verb::Create),
    (38, Verb::Apply),
    (7, Verb::Replace),
    (8, Verb::Resend),
    (10, Verb::Merge),
    (9, Verb::Strategic),
    (9, Verb::Patch),
    (5, Verb::Delete),
    (2, Verb::Get),
];

/// The writes of several managers to one or two objects of these kinds.
pub fn writes(kinds: &[&Kind], chance: &mut Chance) -> Vec<Step> {
    let kind = *chance.pick(kinds);
    let shape = kind.shape();
    let length = 4 + chance.below(12);
    (0..length)
        .map(|_| {
            let name = if chance.percent(88) { "a" } else { "b" };
            let subresource = match kind.subresources {
                [] => None,
                _ if chance.percent(85) => None,
                some => Some(*chance.pick(some)),
            };
            write(kind, &shape, name, subresource, chance)
        })
        .filter(Step::is_harmless)
        .collect()
}

fn write(
    kind: &Kind,
    shape: &Shape,
    name: &str,
    subresource: Option<&str>,
    chance: &mut Chance,
) -> Step {
    let verb = chance.weighted(VERBS);
    let below;
    let shape = match subresource {
        Some(_) => {
            below = kind.shape_of_status();
            &below
        }
        None => shape,
    };
    let collection = kind.collection();
    let object = match subresource {
        Some(subresource) => format!("{collection}/{name}/{subresource}"),
        None => format!("{collection}/{name}"),
    };
    let mut step = Step {
        method: "PATCH",
        path: object,
        query: Vec::new(),
        media: JSON,
        body: Body::None,
        about: format!("{}/{name}", kind.plural),
        accept: "",
        beside: Vec::new(),
        meanwhile: Vec::new(),
    };
    match verb {
        Verb::Create => {
            step.method = "POST";
            if subresource.is_none() {
                step.path = collection;
            }
            step.body = Body::Is(named(shape.value(chance, Form::Whole), name, chance));
        }
        Verb::Apply => {
            step.media = APPLY;
            let mut applied = named(shape.value(chance, Form::Whole), name, chance);
            if !kind.strategic {
                without_empties(&mut applied);
            }
            step.body = Body::Is(applied);
            if chance.percent(30) {
                step.query.push(("force", "true".into()));
            }
        }
        Verb::Replace => {
            step.method = "PUT";
            step.body = Body::Is(named(shape.value(chance, Form::Whole), name, chance));
        }
        Verb::Resend => {
            step.method = "PUT";
            step.body = Body::Seen(patch(shape, Form::Merge, chance));
        }
        Verb::Strategic if kind.strategic => {
            step.media = STRATEGIC_PATCH;
            step.body = Body::Is(patch(shape, Form::Strategic, chance));
        }
        Verb::Merge | Verb::Strategic => {
            step.media = MERGE_PATCH;
            step.body = Body::Is(patch(shape, Form::Merge, chance));
        }
        Verb::Patch => {
            step.media = JSON_PATCH;
            step.body = Body::Is(json_patch(shape, chance));
        }
        Verb::Delete => {
            step.method = "DELETE";
            step.body = deletion(chance);
            if chance.percent(5) {
                step.path = collection;
            }
        }
        Verb::Get => step.method = "GET",
    }
    options(verb, &mut step, chance);
    step
}

fn options(verb: Verb, step: &mut Step, chance: &mut Chance) {
    if matches!(verb, Verb::Get | Verb::Delete) {
        return;
    }
    let manager = *chance.pick(MANAGERS);
    if !manager.is_empty() || matches!(verb, Verb::Apply) {
        let manager = if manager.is_empty() { "ann" } else { manager };
        step.query.push(("fieldManager", manager.into()));
    }
    if chance.percent(5) {
        step.query.push(("dryRun", "All".into()));
    }
    if chance.percent(10) {
        let how = *chance.pick(&["Strict", "Warn", "Ignore"]);
        step.query.push(("fieldValidation", how.into()));
    }
    if chance.odd > 0
        && chance.percent(1)
        && !step.query.iter().any(|(name, _)| *name != "fieldManager")
    {
        let odd = *chance.pick(&[
            ("dryRun", "Some"),
            ("fieldValidation", "Maybe"),
            ("force", "perhaps"),
            ("force", "false"),
        ]);
        step.query.push((odd.0, odd.1.into()));
    }
}

fn named(mut object: Value, name: &str, chance: &mut Chance) -> Value {
    let misnamed = chance.odd > 0 && chance.percent(2);
    let name = if misnamed {
        *chance.pick(&["", "b", "Not.Good_"])
    } else {
        name
    };
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.insert("name".to_owned(), name.into());
        if chance.percent(5) {
            metadata.insert("namespace".to_owned(), "{ns}".into());
        }
    }
    object
}

/// Of custom kinds, what is applied and empty is a change to the same again, once the second is over.
fn without_empties(object: &mut Value) {
    if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
        metadata.retain(|_, value| match value {
            Value::Object(map) => !map.is_empty(),
            Value::Array(list) => !list.is_empty(),
            _ => true,
        });
    }
}

/// Some of an object: what a patch says, without kind and version for the most part.
fn patch(shape: &Shape, form: Form, chance: &mut Chance) -> Value {
    let mut patch = shape.value(chance, form);
    if let Value::Object(fields) = &mut patch
        && chance.percent(85)
    {
        fields.remove("apiVersion");
        fields.remove("kind");
    }
    patch
}

fn json_patch(shape: &Shape, chance: &mut Chance) -> Value {
    let count = 1 + chance.below(3);
    let operations = (0..count).map(|_| {
        let (path, at) = way(shape, chance);
        let operation = *chance.pick(&["add", "add", "replace", "remove", "test", "move", "copy"]);
        let mut one = Map::new();
        one.insert("op".to_owned(), operation.into());
        one.insert("path".to_owned(), path.into());
        match operation {
            "add" | "replace" | "test" => {
                one.insert("value".to_owned(), at.value(chance, Form::Whole));
            }
            "move" | "copy" => {
                one.insert("from".to_owned(), way(shape, chance).0.into());
            }
            _ => {}
        }
        Value::Object(one)
    });
    Value::Array(operations.collect())
}

/// A way that leads neither to what the object is nor to what differs from server to server.
fn way<'s>(shape: &'s Shape, chance: &mut Chance) -> (String, &'s Shape) {
    const NOT: &[&str] = &["/apiVersion", "/kind", "/metadata/"];
    const FINE: &[&str] = &[
        "/metadata/labels",
        "/metadata/annotations",
        "/metadata/finalizers",
        "/metadata/ownerReferences",
    ];
    loop {
        let way = shape.way(chance);
        let leads_to = |all: &[&str]| all.iter().any(|one| way.0.starts_with(one));
        if !leads_to(NOT) || leads_to(FINE) {
            return way;
        }
    }
}

/// What a deletion asks for.
pub fn deletion(chance: &mut Chance) -> Body {
    if chance.percent(60) {
        return Body::None;
    }
    let options = [
        json!({"propagationPolicy": "Foreground"}),
        json!({"propagationPolicy": "Background"}),
        json!({"propagationPolicy": "Orphan"}),
        json!({"preconditions": {"uid": "{uid}"}}),
        json!({"preconditions": {"uid": "u9"}}),
        json!({"preconditions": {"resourceVersion": "{rv 0}"}}),
        json!({"preconditions": {"resourceVersion": "{rv 1}"}}),
        json!({"gracePeriodSeconds": 0}),
        json!({"gracePeriodSeconds": -1}),
        json!({"dryRun": ["All"]}),
        json!({"orphanDependents": true}),
        json!({"orphanDependents": true, "propagationPolicy": "Background"}),
        json!({"propagationPolicy": "Odd"}),
    ];
    Body::Is(chance.pick(&options).clone())
}
