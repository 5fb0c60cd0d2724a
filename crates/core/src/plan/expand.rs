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
use super::service::{ServiceIntent, probes};
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
    refuse_dangling(&mut out);
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
        probes: probes(object),
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
/// owns its Configuration and Route, and cannot take over ones that stand alone. Where
/// such stand beside a Service, it is they that users meet.
fn mode(service: &ServiceIntent, asked: Expand, live: &dyn Live) -> Expand {
    let there = |kind: &str| -> Option<std::sync::Arc<live::LiveObject>> {
        live.get(&service.key(kind))
            .filter(|object| !object.deleting)
    };
    let alone = |kind: &str| there(kind).is_some_and(|object| !object.controlled);
    if alone("Configuration") || alone("Route") {
        return Expand::Routes;
    }
    if there("Service").is_some() {
        return Expand::Service;
    }
    asked
}

fn mode_note(to: &Destination, service: &ServiceIntent) -> Option<LeftAlone> {
    let own = service
        .annotations
        .get(annotations::EXPAND)
        .and_then(Value::as_str);
    let asked = match own {
        Some("Routes") => Expand::Routes,
        Some("Service") => Expand::Service,
        _ => to.expand,
    };
    (asked != service.mode).then(|| LeftAlone {
        object: Some(service.template_key()),
        origin: Some(service.origin.clone()),
        why: Why::KeptMode {
            service: service.name.clone(),
            asked,
            kept: service.mode,
            explicit: own.is_some(),
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

/// Objects that name a Service of these manifests which is written as a Configuration and a Route: the cluster has no
/// such Service, and they would wait for it for ever.
fn refuse_dangling(out: &mut Expanded) {
    let as_routes: std::collections::BTreeSet<ObjectKey> = out
        .services
        .iter()
        .filter(|service| service.mode == Expand::Routes)
        .map(|service| service.key("Service"))
        .collect();
    if as_routes.is_empty() {
        return;
    }
    let left = &mut out.left;
    out.objects.retain(|object| {
        let namespace = object.key.namespace.as_deref().unwrap_or_default();
        let mut dangling = crate::render::references(&object.object, namespace);
        dangling.retain(|reference| as_routes.contains(&reference.service));
        left.extend(dangling.iter().map(|reference| LeftAlone {
            object: Some(object.key.clone()),
            origin: Some(object.origin.clone()),
            why: Why::Dangling(reference.clone()),
        }));
        dangling.is_empty()
    });
}

/// The objects of a service in either form.
fn forms(service: &ServiceIntent) -> [ObjectKey; 3] {
    ["Service", "Configuration", "Route"].map(|kind| service.key(kind))
}

/// Two manifests that would be written to one object: neither is delivered, since
/// any order between them would be a guess. (One identity in two files is found
/// by the `manifest` module; this finds a Service beside its own Configuration, which is its
/// own in both forms: what it is not written as, Knative makes of it.)
fn drop_clashes(out: &mut Expanded) {
    let mut seen: std::collections::BTreeMap<ObjectKey, Vec<String>> = Default::default();
    for object in &out.objects {
        seen.entry(object.key.clone())
            .or_default()
            .push(object.origin.clone());
    }
    for service in &out.services {
        for key in forms(service) {
            seen.entry(key).or_default().push(service.origin.clone());
        }
    }
    seen.retain(|_, origins| origins.len() > 1);
    if seen.is_empty() {
        return;
    }
    out.objects.retain(|object| !seen.contains_key(&object.key));
    let mut dropped = Vec::new();
    out.services.retain(|service| {
        let clash = forms(service).iter().find_map(|key| seen.get(key).cloned());
        // Said of the Service as well: nothing that it was written as is pruned while it is.
        dropped.extend(
            clash
                .clone()
                .map(|origins| (service.key("Service"), origins)),
        );
        clash.is_none()
    });
    seen.extend(dropped);
    for (key, origins) in seen {
        out.left.push(LeftAlone {
            object: Some(key),
            origin: origins.first().cloned(),
            why: Why::Clash { origins },
        });
    }
}
