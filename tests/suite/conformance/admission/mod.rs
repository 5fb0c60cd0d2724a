//! What Knative's webhook makes of an object, and what it refuses: manifests of others and made-up
//! ones, spoiled or not, as they are written by every kind of request.

mod container;
mod corpus;
mod objects;
mod spoil;
mod volumes;

use serde_json::{Value, json};

use super::chance::Chance;
use super::kinds::{CONFIGURATION, KNATIVE_SERVICE, Kind, REVISION, ROUTE};
use super::shape::{Form, Shape};
use super::step::{APPLY, Body, JSON, JSON_PATCH, MERGE_PATCH, Step};
use super::{Area, compare_area};

const KINDS: &[(u32, &Kind)] = &[
    (65, &KNATIVE_SERVICE),
    (13, &CONFIGURATION),
    (13, &ROUTE),
    (9, &REVISION),
];

/// How often each comes, of all.
const VERBS: &[(u32, Verb)] = &[
    (40, Verb::Create),
    (22, Verb::Resend),
    (10, Verb::Edit),
    (16, Verb::Apply),
    (6, Verb::Merge),
    (4, Verb::Replace),
    (2, Verb::Delete),
];

#[derive(Clone, Copy)]
enum Verb {
    Create,
    Resend,
    Edit,
    Apply,
    Merge,
    Replace,
    Delete,
}

/// Writes of one manifest of others, spoiled or not, or of made-up objects.
fn writes(_: &[&Kind], chance: &mut Chance) -> Vec<Step> {
    let others = corpus::manifests();
    let (kind, whole) = if chance.percent(25) && !others.is_empty() {
        let mut manifest = chance.pick(others).clone();
        if !chance.sound {
            spoil::spoil(&mut manifest, chance);
        }
        (kind_of(&manifest), Some(manifest))
    } else {
        (chance.weighted(KINDS), None)
    };
    let shape = objects::shape(kind);
    let object = |chance: &mut Chance| match &whole {
        Some(manifest) => manifest.clone(),
        None => {
            let mut object = shape.value(chance, Form::Whole);
            if chance.sound {
                objects::mount(&mut object, chance);
            }
            object
        }
    };
    let mut steps = vec![write(kind, Verb::Create, object(chance), &shape, chance)];
    for _ in 0..2 + chance.below(5) {
        let verb = chance.weighted(VERBS);
        let mut sent = object(chance);
        if chance.odd > 0 && chance.percent(25) {
            spoil::spoil(&mut sent, chance);
        }
        steps.push(write(kind, verb, sent, &shape, chance));
    }
    steps
}

/// A manifest of others as it is: made, sent again, and applied.
fn samples(_: &[&Kind], chance: &mut Chance) -> Vec<Step> {
    let manifest = chance.pick(corpus::manifests()).clone();
    let kind = kind_of(&manifest);
    let shape = objects::shape(kind);
    let mut step = |verb| write(kind, verb, manifest.clone(), &shape, &mut *chance);
    let mut again = step(Verb::Resend);
    let name = manifest["metadata"]["name"].as_str().unwrap();
    again.body = Body::Seen(same(kind, name, json!({})));
    vec![step(Verb::Create), again, step(Verb::Apply)]
}

fn kind_of(manifest: &Value) -> &'static Kind {
    let named = |kind: &&&Kind| manifest["kind"] == kind.kind;
    let kinds = KINDS.iter().map(|(_, kind)| kind);
    kinds.into_iter().find(named).unwrap_or(&KINDS[0].1)
}

fn write(kind: &Kind, verb: Verb, mut object: Value, shape: &Shape, chance: &mut Chance) -> Step {
    let collection = kind.collection();
    // What kind it is of is no matter of the webhook's.
    let of_kind = json!({"apiVersion": kind.api_version, "kind": kind.kind});
    json_patch::merge(&mut object, &of_kind);
    if !object["metadata"].is_object() {
        object["metadata"] = json!({"name": "a"});
    }
    let name = object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .filter(|name| !name.is_empty() && name.len() < 64 && !name.contains(['/', '%', ' ']))
        .unwrap_or("a")
        .to_owned();
    let path = format!("{collection}/{name}");
    let about = format!("{}/{name}", kind.plural);
    let (method, path, media, body) = match verb {
        Verb::Create => ("POST", collection, JSON, Body::Is(object)),
        Verb::Resend => {
            let change = if chance.percent(60) {
                objects::change(kind, chance)
            } else {
                let mut change = shape.value(chance, Form::Merge);
                if let Some(metadata) = change.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.remove("name");
                    metadata.remove("generateName");
                }
                change
            };
            ("PUT", path, JSON, Body::Seen(same(kind, &name, change)))
        }
        Verb::Edit => {
            let operations = objects::edits(kind, chance);
            ("PATCH", path, JSON_PATCH, Body::Is(operations))
        }
        Verb::Apply => ("PATCH", path, APPLY, Body::Is(object)),
        Verb::Merge => {
            let change = objects::change(kind, chance);
            ("PATCH", path, MERGE_PATCH, Body::Is(change))
        }
        Verb::Replace => {
            let mut object = same(kind, &name, object);
            object["metadata"]["resourceVersion"] = "{rv 0}".into();
            ("PUT", path, JSON, Body::Is(object))
        }
        Verb::Delete => ("DELETE", path, JSON, Body::None),
    };
    let mut query = Vec::new();
    if method != "DELETE" {
        query.push(("fieldManager", (*chance.pick(&["ann", "bob"])).to_owned()));
        // A dry-run of a template tries a Pod of it on the real one.
        if chance.percent(8) && matches!(kind.kind, "Route" | "Revision") {
            query.push(("dryRun", "All".to_owned()));
        }
        if media == APPLY && chance.percent(50) {
            query.push(("force", "true".to_owned()));
        }
        if chance.percent(5) {
            let how = *chance.pick(&["Strict", "Warn", "Ignore"]);
            query.push(("fieldValidation", how.to_owned()));
        }
    }
    Step {
        method,
        path,
        query,
        media,
        body,
        about,
        accept: "",
        beside: Vec::new(),
        meanwhile: Vec::new(),
    }
}

/// A change that says which object it is about, for where none was seen.
fn same(kind: &Kind, name: &str, mut change: Value) -> Value {
    let whole =
        json!({"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}});
    json_patch::merge(&mut change, &whole);
    change
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by `make conformance`, some of it by `make test`: the bed's controllers stand still"]
async fn knative_objects_are_admitted_alike() {
    compare_area(Area {
        kinds: &[&KNATIVE_SERVICE, &CONFIGURATION, &ROUTE, &REVISION],
        sequence: writes,
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by `make conformance`, some of it by `make test`: the bed's controllers stand still"]
async fn the_samples_are_admitted_alike() {
    assert!(corpus::manifests().len() > 20, "no samples were found");
    compare_area(Area {
        kinds: &[&KNATIVE_SERVICE, &CONFIGURATION, &ROUTE, &REVISION],
        sequence: samples,
    })
    .await;
}
