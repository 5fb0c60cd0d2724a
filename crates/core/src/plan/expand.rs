//! From rendered objects to what is applied for them.
//!
//! A Service becomes a [`ServiceIntent`], every other one a plain object with Sluice's marks. The marks are not rendered:
//! those of a service are on what it becomes, and say of an apply what it was.

use serde_json::{Map, Value, json};

use crate::api::delivery::Expand;
use crate::api::json_text::JsonText;
use crate::api::object::ObjectKey;
use crate::api::serving;
use crate::render::{Destination, Rendered, RenderedObject};

use super::annotations::{self, DeliveryId};
use super::live::Live;
use super::service::ServiceIntent;
use super::steps::{LeftAlone, Why};
use super::{digest, live};

/// A plain object, ready to be applied as [`super::Manager::Objects`].
#[derive(Clone, Debug, PartialEq)]
pub struct PlainObject {
    /// Which object.
    pub key: ObjectKey,
    /// What is applied.
    pub object: Value,
    /// Its digest, which it also carries.
    pub digest: String,
    /// Fields of other managers are taken without asking.
    pub force: bool,
    /// Its file, for messages.
    pub origin: String,
}

/// What is applied for everything that is wanted.
#[derive(Clone, Debug, Default)]
pub struct Expanded {
    /// Everything but services.
    pub objects: Vec<PlainObject>,
    /// Services.
    pub services: Vec<ServiceIntent>,
    /// What is not delivered, and why.
    pub left: Vec<LeftAlone>,
}

/// Works out what is applied for each object. Pure.
pub fn expand(rendered: &Rendered, live: &dyn Live) -> Expanded {
    let to = rendered.to();
    let mut out = Expanded::default();
    for wanted in rendered.objects() {
        let key = wanted.key();
        if key.group != serving::GROUP || key.kind != "Service" {
            out.objects.push(plain(to, wanted));
            continue;
        }
        match service(to, wanted, live) {
            Ok(service) => {
                out.left.extend(mode_note(to, &service));
                out.left.extend(traffic_note(&service, wanted));
                out.services.push(service);
            }
            Err(why) => out.left.push(LeftAlone {
                object: Some(key.clone()),
                origin: Some(wanted.origin().to_string()),
                why,
            }),
        }
    }
    drop_clashes(&mut out);
    out
}

fn plain(to: &Destination, wanted: &RenderedObject) -> PlainObject {
    let mut object = wanted.value().clone();
    mark(&mut object, &to.delivery);
    PlainObject {
        digest: digest::sign(&mut object),
        force: annotations::annotation(&object, annotations::FORCE) == Some("true"),
        origin: wanted.origin().to_string(),
        key: wanted.key().clone(),
        object,
    }
}

fn mark(object: &mut Value, delivery: &DeliveryId) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if annotations.is_null() {
        *annotations = json!({});
    }
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(annotations::DELIVERY.into(), delivery.to_string().into());
    }
}

fn service(
    to: &Destination,
    wanted: &RenderedObject,
    live: &dyn Live,
) -> Result<ServiceIntent, Why> {
    let (key, object) = (wanted.key(), wanted.value());
    let template = object.pointer("/spec/template").ok_or(Why::NoTemplate)?;
    let asked = match annotations::annotation(object, annotations::EXPAND) {
        None => to.expand,
        Some("Routes") => Expand::Routes,
        Some("Service") => Expand::Service,
        Some(other) => return Err(Why::BadExpand(other.to_owned())),
    };
    let map = |name: &str| {
        object
            .pointer(&format!("/metadata/{name}"))
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default()
    };
    let mut labels: Map<String, Value> = map("labels");
    // Knative refuses the label where no Service owns the object.
    labels.remove(serving::label::SERVICE);
    let namespace = key.namespace.clone().unwrap_or_default();
    let mut intent = ServiceIntent {
        delivery: to.delivery.clone(),
        namespace,
        name: key.name.clone(),
        mode: asked,
        origin: wanted.origin().to_string(),
        template_hash: digest::template(template),
        former_hashes: vec![digest::v1::template(template)],
        template: JsonText::of(template),
        traffic: Vec::new(),
        traffic_problem: None,
        policy: annotations::annotation(object, annotations::POLICY).map(str::to_owned),
        force: annotations::annotation(object, annotations::FORCE) == Some("true"),
        labels,
        annotations: map("annotations"),
    };
    intent.mode = mode(&intent, asked, live);
    take_traffic(&mut intent, wanted);
    Ok(intent)
}

/// Git's traffic block, or why it cannot be used.
fn take_traffic(intent: &mut ServiceIntent, wanted: &RenderedObject) {
    let block = wanted.value().pointer("/spec/traffic");
    let Some(block) = block.filter(|block| !block.is_null()) else {
        return;
    };
    let read = || serde_json::from_value(block.clone()).map_err(|error| error.to_string());
    match wanted.traffic_problem(intent.mode).map_or_else(read, Err) {
        Ok(traffic) => intent.traffic = traffic,
        Err(problem) => intent.traffic_problem = Some(problem),
    }
}

/// What a service is written as: what is there already decides, because a Service
/// owns its Configuration and Route, and cannot take over ones that stand alone.
fn mode(service: &ServiceIntent, asked: Expand, live: &dyn Live) -> Expand {
    let there = |kind: &str| -> Option<std::sync::Arc<live::LiveObject>> {
        live.get(&service.key(kind))
            .filter(|object| !object.deleting)
    };
    if there("Service").is_some() {
        return Expand::Service;
    }
    let alone = |kind: &str| there(kind).is_some_and(|object| !object.controlled);
    if alone("Configuration") || alone("Route") {
        return Expand::Routes;
    }
    asked
}

fn mode_note(to: &Destination, service: &ServiceIntent) -> Option<LeftAlone> {
    let asked = match service
        .annotations
        .get(annotations::EXPAND)
        .and_then(Value::as_str)
    {
        Some("Routes") => Expand::Routes,
        Some("Service") => Expand::Service,
        _ => to.expand,
    };
    (asked != service.mode).then(|| LeftAlone {
        object: Some(service.template_key()),
        origin: Some(service.origin.clone()),
        why: Why::KeptMode {
            asked,
            kept: service.mode,
        },
    })
}

/// What is wrong with a traffic block only in the form that the service is delivered in: the rest is said of the file.
fn traffic_note(service: &ServiceIntent, wanted: &RenderedObject) -> Option<LeftAlone> {
    let problem = service.traffic_problem.clone()?;
    if wanted.traffic_problem_in_any_form().is_some() {
        return None;
    }
    Some(LeftAlone {
        object: Some(service.traffic_key()),
        origin: Some(service.origin.clone()),
        why: Why::BadTraffic(problem),
    })
}

/// Two manifests that would be written to one object: neither is delivered, since
/// any order between them would be a guess. (One identity in two files is found
/// by the `manifest` module; this finds a Service beside its own Configuration.)
fn drop_clashes(out: &mut Expanded) {
    let mut seen: std::collections::BTreeMap<ObjectKey, Vec<String>> = Default::default();
    for object in &out.objects {
        seen.entry(object.key.clone())
            .or_default()
            .push(object.origin.clone());
    }
    for service in &out.services {
        for key in service.keys() {
            seen.entry(key).or_default().push(service.origin.clone());
        }
    }
    seen.retain(|_, origins| origins.len() > 1);
    if seen.is_empty() {
        return;
    }
    out.objects.retain(|object| !seen.contains_key(&object.key));
    out.services
        .retain(|service| !service.keys().iter().any(|key| seen.contains_key(key)));
    for (key, origins) in seen {
        out.left.push(LeftAlone {
            object: Some(key),
            origin: origins.first().cloned(),
            why: Why::Clash { origins },
        });
    }
}
