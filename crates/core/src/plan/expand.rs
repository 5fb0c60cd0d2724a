//! From manifests to what is applied for them.
//!
//! A Service manifest becomes a [`ServiceIntent`]; every other manifest becomes
//! a plain object with its namespace, Sluice's marks, and without what only the
//! server may write.

use base64::Engine;
use serde_json::{Map, Value, json};

use crate::api::delivery::Expand;
use crate::api::json_text::JsonText;
use crate::api::object::{ObjectKey, split_api_version};
use crate::api::serving;
use crate::manifest;

use super::annotations::{self, DeliveryId};
use super::live::Live;
use super::service::ServiceIntent;
use super::steps::{LeftAlone, Why};
use super::{digest, live};
use crate::api::scope::Scope;

/// One manifest of Git.
#[derive(Clone, Copy, Debug)]
pub struct ManifestRef<'a> {
    /// The object as the file has it.
    pub value: &'a JsonText,
    /// `apps/hello.yaml:3`.
    pub origin: &'a str,
}

/// Where a Delivery's objects go.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The Delivery.
    pub delivery: DeliveryId,
    /// The namespace of objects that name none.
    pub namespace: String,
    /// What is applied for a Service manifest that does not say.
    pub expand: Expand,
    /// Whether it may write nothing outside the Delivery's own namespace.
    pub confined: bool,
}

impl Destination {
    /// Whether an object may be written for the Delivery.
    pub fn admits(&self, key: &ObjectKey) -> bool {
        !self.confined || key.namespace.as_ref() == Some(&self.delivery.namespace)
    }
}

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

/// What a set of manifests asks for.
#[derive(Clone, Debug, Default)]
pub struct Expanded {
    /// Everything but services.
    pub objects: Vec<PlainObject>,
    /// Services.
    pub services: Vec<ServiceIntent>,
    /// What is not delivered, and why.
    pub left: Vec<LeftAlone>,
}

/// Works out what is applied for each manifest. Pure.
pub fn expand(to: &Destination, manifests: &[ManifestRef<'_>], live: &dyn Live) -> Expanded {
    let defined = definitions(manifests);
    let mut out = Expanded::default();
    for wanted in manifests {
        match one(to, wanted, live, &defined, &mut out.left) {
            Ok(Unit::Plain(object)) => out.objects.push(object),
            Ok(Unit::Service(service)) => {
                out.left.extend(mode_note(to, &service));
                out.left.extend(traffic_note(&service, wanted));
                out.services.push(service);
            }
            Err(left) => out.left.push(*left),
        }
    }
    drop_clashes(&mut out);
    refuse_dangling(&mut out);
    out
}

enum Unit {
    Plain(PlainObject),
    Service(ServiceIntent),
}

/// The kind of what brings kinds.
const CRD: &str = "CustomResourceDefinition";

/// A kind that a CustomResourceDefinition among the manifests brings along.
struct Defined {
    group: String,
    kind: String,
    scope: Scope,
}

fn definitions(manifests: &[ManifestRef<'_>]) -> Vec<Defined> {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    manifests
        .iter()
        .filter(|m| m.value.as_str().contains(CRD))
        .map(|m| m.value.value())
        .filter(|object| object.get("kind").and_then(Value::as_str) == Some(CRD))
        .map(|object| Defined {
            group: text(object.pointer("/spec/group")),
            kind: text(object.pointer("/spec/names/kind")),
            scope: match object.pointer("/spec/scope").and_then(Value::as_str) {
                Some("Cluster") => Scope::Cluster,
                _ => Scope::Namespaced,
            },
        })
        .collect()
}

fn one(
    to: &Destination,
    wanted: &ManifestRef<'_>,
    live: &dyn Live,
    defined: &[Defined],
    notes: &mut Vec<LeftAlone>,
) -> Result<Unit, Box<LeftAlone>> {
    let left = |object: Option<ObjectKey>, why: Why| {
        Box::new(LeftAlone {
            object,
            origin: Some(wanted.origin.to_owned()),
            why,
        })
    };
    let object = wanted.value.value();
    let Some(mut key) = ObjectKey::of(&object) else {
        return Err(left(None, Why::NoIdentity));
    };
    let api_version = object
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let scope = match live.scope(api_version, &key.kind) {
        Scope::Unknown => defined
            .iter()
            .find(|d| d.group == key.group && d.kind == key.kind)
            .map_or(Scope::Unknown, |d| d.scope),
        known => known,
    };
    match scope {
        Scope::Unknown => {
            let api_version = api_version.to_owned();
            return Err(left(Some(key), Why::NoSuchKind { api_version }));
        }
        Scope::Cluster => key.namespace = None,
        Scope::Namespaced => {
            key.namespace.get_or_insert_with(|| to.namespace.clone());
        }
    }
    if !to.admits(&key) {
        let why = Why::Outside(to.delivery.namespace.clone());
        return Err(left(Some(key), why));
    }
    let mut object = cleaned(object, &key);
    for owner in without_lost_owners(&mut object, &key, live) {
        notes.push(*left(Some(key.clone()), Why::LostOwner { owner }));
    }
    if key.group == serving::GROUP && key.kind == "Service" {
        return service(to, &key, &object, wanted.origin, live).map(Unit::Service);
    }
    if key.group.is_empty() && key.kind == "Secret" {
        encode_string_data(&mut object);
    }
    mark(&mut object, &to.delivery);
    Ok(Unit::Plain(PlainObject {
        digest: digest::sign(&mut object),
        force: annotations::annotation(&object, annotations::FORCE) == Some("true"),
        origin: wanted.origin.to_owned(),
        key,
        object,
    }))
}

/// The manifest without what only the server writes, in its namespace.
fn cleaned(mut object: Value, key: &ObjectKey) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for server in [
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "managedFields",
            "selfLink",
        ] {
            metadata.remove(server);
        }
        match &key.namespace {
            Some(namespace) => metadata.insert("namespace".into(), namespace.clone().into()),
            None => metadata.remove("namespace"),
        };
        if let Some(annotations) = metadata
            .get_mut("annotations")
            .and_then(Value::as_object_mut)
        {
            // The first two are Knative's to write, and immutable: applying another
            // value is denied. The third is kubectl's copy of the whole object. The
            // last two are ours.
            for name in [
                "serving.knative.dev/creator",
                "serving.knative.dev/lastModifier",
                "kubectl.kubernetes.io/last-applied-configuration",
                annotations::DELIVERY,
                annotations::DIGEST,
            ] {
                annotations.remove(name);
            }
        }
    }
    object
}

/// Takes away the owners that the cluster does not have, as an export from another cluster, or of
/// another day, names them: the server would collect the object as soon as it is written.
fn without_lost_owners(object: &mut Value, key: &ObjectKey, live: &dyn Live) -> Vec<String> {
    let mut lost = Vec::new();
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return lost;
    };
    let Some(owners) = metadata
        .get_mut("ownerReferences")
        .and_then(Value::as_array_mut)
    else {
        return lost;
    };
    owners.retain(|owner| {
        let text = |name: &str| owner.get(name).and_then(Value::as_str).unwrap_or_default();
        let (group, _) = split_api_version(text("apiVersion"));
        let known = |namespace: Option<String>| {
            live.get(&ObjectKey {
                group: group.to_owned(),
                kind: text("kind").to_owned(),
                namespace,
                name: text("name").to_owned(),
            })
        };
        let there = [key.namespace.clone(), None]
            .into_iter()
            .filter_map(known)
            .any(|owner| owner.uid == text("uid"));
        if !there {
            lost.push(format!("{} {}", text("kind"), text("name")));
        }
        there
    });
    if owners.is_empty() {
        metadata.remove("ownerReferences");
    }
    lost
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

/// `stringData` is write-only: the server moves it to `data`. Doing it here lets
/// the two be compared, and lets a removed key disappear.
fn encode_string_data(secret: &mut Value) {
    let Some(fields) = secret.as_object_mut() else {
        return;
    };
    let Some(Value::Object(text)) = fields.remove("stringData") else {
        return;
    };
    let data = fields.entry("data").or_insert_with(|| json!({}));
    if data.is_null() {
        *data = json!({});
    }
    if let Some(data) = data.as_object_mut() {
        for (name, value) in text {
            if let Some(value) = value.as_str() {
                let encoded = base64::engine::general_purpose::STANDARD.encode(value);
                data.insert(name, encoded.into());
            }
        }
    }
}

fn service(
    to: &Destination,
    key: &ObjectKey,
    object: &Value,
    origin: &str,
    live: &dyn Live,
) -> Result<ServiceIntent, Box<LeftAlone>> {
    let left = |why: Why| {
        Box::new(LeftAlone {
            object: Some(key.clone()),
            origin: Some(origin.to_owned()),
            why,
        })
    };
    let template = object.pointer("/spec/template");
    let template = template.ok_or_else(|| left(Why::NoTemplate))?;
    let asked = match annotations::annotation(object, annotations::EXPAND) {
        None => to.expand,
        Some("Routes") => Expand::Routes,
        Some("Service") => Expand::Service,
        Some(other) => return Err(left(Why::BadExpand(other.to_owned()))),
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
        origin: origin.to_owned(),
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
    if let Some(block) = object.pointer("/spec/traffic") {
        take_traffic(&mut intent, block);
    }
    Ok(intent)
}

/// Git's traffic block, or why it cannot be used.
fn take_traffic(intent: &mut ServiceIntent, block: &Value) {
    if block.is_null() {
        return;
    }
    let read = || serde_json::from_value(block.clone()).map_err(|error| error.to_string());
    let in_this_mode = || match intent.mode {
        Expand::Routes => None,
        Expand::Service => manifest::traffic_problem_in_service(block),
    };
    let problem = manifest::traffic_problem(block, &intent.name).or_else(in_this_mode);
    match problem.map_or_else(read, Err) {
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
fn traffic_note(service: &ServiceIntent, wanted: &ManifestRef<'_>) -> Option<LeftAlone> {
    let problem = service.traffic_problem.clone()?;
    let block = wanted.value.value().pointer("/spec/traffic").cloned();
    if manifest::traffic_problem(&block?, &service.name).is_some() {
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
        let mut dangling = manifest::references(&object.object, namespace);
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
