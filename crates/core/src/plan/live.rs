//! What the cluster has, as the planner sees it: slim, immutable, comparable.
//!
//! A live object is kept as its JSON text and parsed when it is looked at: a
//! tree of `serde_json::Value` takes about ten times its text, and a thousand
//! services with their children would not fit in the agent's memory limit.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::json_text::JsonText;
use crate::api::object::{ObjectKey, split_api_version};
use crate::render::ClusterFacts;

use super::annotations::{self, DeliveryId};
use super::path::FieldPath;
use crate::api::scope::Scope;

/// An object as the cluster has it, without `managedFields` in its text.
#[derive(Clone)]
pub struct LiveObject {
    /// Which object.
    pub key: ObjectKey,
    /// The version it was read in, such as `v1` of `serving.knative.dev/v1`.
    pub version: String,
    /// The server's identity of this incarnation.
    pub uid: String,
    /// The server's counter of writes.
    pub resource_version: String,
    /// The server's counter of spec changes; absent on kinds without one.
    pub generation: Option<i64>,
    /// Deletion was asked for and waits for finalizers.
    pub deleting: bool,
    /// Another object controls this one: it is somebody's child.
    pub controlled: bool,
    /// The Delivery that applied it, as its annotation says.
    pub delivery: Option<DeliveryId>,
    /// The digest written with the last apply.
    pub digest: Option<String>,
    /// Hash of everything but status and the server's own counters: it changes
    /// when someone changes what we may have set.
    pub content: u64,
    /// Who manages which fields (status writers left out).
    pub managers: Vec<FieldOwner>,
    text: JsonText,
}

/// One entry of `metadata.managedFields`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldOwner {
    /// The field manager's name.
    pub manager: String,
    /// Server-side apply, or any other write.
    pub operation: Operation,
    /// `scale`, or none for the object itself.
    pub subresource: Option<String>,
    /// When it last wrote.
    pub time: Option<Timestamp>,
    /// Its FieldsV1, as JSON text.
    pub fields: Box<str>,
}

/// How a field manager wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// By server-side apply: it declares what it wants to own.
    Apply,
    /// By any other write: it owns what it changed.
    Update,
}

impl FieldOwner {
    /// Whether this manager owns the field, or the whole that it is part of.
    pub fn owns(&self, path: &FieldPath) -> bool {
        serde_json::from_str(&self.fields).is_ok_and(|fields| path.is_in(&fields))
    }

    /// Whether its fields become ours with the first apply: a person's `kubectl apply` from the
    /// client's side says what a manifest has, and that manifest is in Git now.
    pub fn is_taken_over(&self) -> bool {
        self.operation == Operation::Update
            && self.subresource.is_none()
            && super::takeover::is_from(&self.manager)
    }
}

impl LiveObject {
    /// Slims an object as the server sent it. `None` where it has no kind or name.
    pub fn new(mut object: Value) -> Option<Self> {
        let key = ObjectKey::of(&object)?;
        let (_, version) = split_api_version(object.get("apiVersion")?.as_str()?);
        let version = version.to_owned();
        let metadata = object.get_mut("metadata")?.as_object_mut()?;
        let managers = metadata
            .remove("managedFields")
            .map(|entries| owners(&entries))
            .unwrap_or_default();
        let text_of = |name: &str| {
            metadata
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let (uid, resource_version) = (text_of("uid"), text_of("resourceVersion"));
        let generation = metadata.get("generation").and_then(Value::as_i64);
        let deleting = metadata.contains_key("deletionTimestamp");
        let controlled = metadata
            .get("ownerReferences")
            .and_then(Value::as_array)
            .is_some_and(|owners| {
                owners
                    .iter()
                    .any(|o| o.get("controller").and_then(Value::as_bool) == Some(true))
            });
        Some(Self {
            content: content(&object),
            delivery: annotations::annotation(&object, annotations::DELIVERY)
                .and_then(DeliveryId::parse),
            digest: annotations::annotation(&object, annotations::DIGEST).map(str::to_owned),
            text: JsonText::of(&object),
            key,
            version,
            uid,
            resource_version,
            generation,
            deleting,
            controlled,
            managers,
        })
    }

    /// The object, parsed anew at each call; `Null` never happens for what [`Self::new`] made.
    pub fn value(&self) -> Value {
        self.text.value()
    }

    /// The object's JSON text.
    pub fn text(&self) -> &str {
        self.text.as_str()
    }

    /// Whether a server-side apply of `manager` is on record.
    pub fn applied_by(&self, manager: &str) -> bool {
        self.owner(manager).is_some()
    }

    /// The apply entry of a manager.
    pub fn owner(&self, manager: &str) -> Option<&FieldOwner> {
        self.managers
            .iter()
            .find(|o| o.manager == manager && o.operation == Operation::Apply)
    }

    /// Who other than us wrote the object last.
    pub fn last_foreign_writer(&self) -> Option<&FieldOwner> {
        self.managers
            .iter()
            .filter(|owner| !is_ours(&owner.manager))
            .max_by_key(|owner| owner.time)
    }
}

impl fmt::Debug for LiveObject {
    /// Without the content: it may be a Secret's, and this may be a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveObject")
            .field("key", &self.key)
            .field("uid", &self.uid)
            .field("resource_version", &self.resource_version)
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

/// Whether a field manager is one of Sluice's.
pub fn is_ours(manager: &str) -> bool {
    manager == "sluice" || manager.starts_with("sluice-")
}

fn owners(entries: &Value) -> Vec<FieldOwner> {
    let text =
        |entry: &Value, name: &str| entry.get(name).and_then(Value::as_str).map(str::to_owned);
    entries
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let subresource = text(entry, "subresource").filter(|s| !s.is_empty());
            if subresource.as_deref() == Some("status") {
                return None;
            }
            Some(FieldOwner {
                manager: text(entry, "manager")?,
                operation: match entry.get("operation").and_then(Value::as_str) {
                    Some("Apply") => Operation::Apply,
                    _ => Operation::Update,
                },
                subresource,
                time: text(entry, "time").and_then(|time| time.parse().ok()),
                fields: entry
                    .get("fieldsV1")
                    .map(Value::to_string)
                    .unwrap_or_default()
                    .into_boxed_str(),
            })
        })
        .collect()
}

fn content(object: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    for (name, part) in object.as_object().into_iter().flatten() {
        match name.as_str() {
            "status" => {}
            "metadata" => {
                for (name, part) in part.as_object().into_iter().flatten() {
                    if !matches!(name.as_str(), "resourceVersion" | "generation") {
                        name.hash(&mut hasher);
                        part.to_string().hash(&mut hasher);
                    }
                }
            }
            _ => {
                name.hash(&mut hasher);
                part.to_string().hash(&mut hasher);
            }
        }
    }
    hasher.finish()
}

/// What the planner asks of the cluster's state; the watch caches answer it,
/// and a map does in tests.
pub trait Live {
    /// The object, if the cluster has it.
    fn get(&self, key: &ObjectKey) -> Option<Arc<LiveObject>>;

    /// Whether objects of a kind live in namespaces; `Unknown` where the cluster has no such kind.
    fn scope(&self, api_version: &str, kind: &str) -> Scope;

    /// Whether a namespace exists; `None` where that cannot be seen.
    fn namespace_exists(&self, name: &str) -> Option<bool>;

    /// Whether the cluster would show the object if it had it: its kind is watched, or not
    /// served at all. Where it would not, absence means nothing.
    fn would_show(&self, _key: &ObjectKey) -> bool {
        true
    }

    /// Whether exactly this desired state (by digest) was already found to hold in
    /// exactly this live content, so that nothing needs comparing.
    fn is_settled(&self, _key: &ObjectKey, _digest: &str, _content: u64) -> bool {
        false
    }
}

/// What rendering asks is in the caches as well.
impl<L: Live + ?Sized> ClusterFacts for L {
    fn scope_of(&self, api_version: &str, kind: &str) -> Scope {
        self.scope(api_version, kind)
    }

    fn has(&self, key: &ObjectKey, uid: &str) -> bool {
        self.get(key).is_some_and(|live| live.uid == uid)
    }
}

impl Live for BTreeMap<ObjectKey, Arc<LiveObject>> {
    fn get(&self, key: &ObjectKey) -> Option<Arc<LiveObject>> {
        BTreeMap::get(self, key).cloned()
    }

    fn scope(&self, api_version: &str, kind: &str) -> Scope {
        Scope::by_convention(api_version, kind)
    }

    fn namespace_exists(&self, name: &str) -> Option<bool> {
        let key = ObjectKey {
            group: String::new(),
            kind: "Namespace".to_owned(),
            namespace: None,
            name: name.to_owned(),
        };
        // A map without any Namespace is a cluster whose namespaces we may not see.
        self.keys()
            .any(|k| k.kind == "Namespace" && k.group.is_empty())
            .then(|| self.contains_key(&key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn configuration() -> Value {
        json!({"apiVersion": "serving.knative.dev/v1", "kind": "Configuration",
            "metadata": {"name": "hello", "namespace": "default", "uid": "u1", "resourceVersion": "7",
                "generation": 2, "annotations": {"sluice.dev/delivery": "default.shop", "sluice.dev/digest": "abc"},
                "managedFields": [
                    {"manager": "sluice", "operation": "Apply", "time": "2026-01-01T00:00:00Z",
                     "fieldsV1": {"f:spec": {"f:template": {"f:spec": {"f:containers": {}}}}}},
                    {"manager": "kubectl-edit", "operation": "Update", "time": "2026-01-02T00:00:00Z",
                     "fieldsV1": {"f:metadata": {"f:labels": {"f:x": {}}}}},
                    {"manager": "controller", "operation": "Update", "subresource": "status",
                     "time": "2026-01-03T00:00:00Z", "fieldsV1": {"f:status": {}}}]},
            "spec": {"template": {"spec": {"containers": [{"image": "a"}]}}},
            "status": {"observedGeneration": 2}})
    }

    #[test]
    fn a_live_object_is_slim_but_knows_who_wrote_what() {
        let live = LiveObject::new(configuration()).unwrap();
        assert!(!live.text().contains("managedFields"));
        assert_eq!(live.delivery, Some(DeliveryId::new("default", "shop")));
        assert_eq!(live.digest.as_deref(), Some("abc"));
        assert_eq!(live.managers.len(), 2, "status writers are left out");
        assert_eq!(
            live.last_foreign_writer().map(|o| o.manager.as_str()),
            Some("kubectl-edit")
        );
        let ours = live.owner("sluice").unwrap();
        assert!(ours.owns(&FieldPath::fields(&[
            "spec",
            "template",
            "spec",
            "containers"
        ])));
        assert!(!ours.owns(&FieldPath::fields(&["spec", "traffic"])));
    }

    #[test]
    fn a_status_write_leaves_the_content_as_it_was_and_a_label_does_not() {
        let before = LiveObject::new(configuration()).unwrap().content;
        let mut status = configuration();
        status["status"] = json!({"observedGeneration": 3});
        status["metadata"]["resourceVersion"] = json!("8");
        assert_eq!(LiveObject::new(status).unwrap().content, before);
        let mut label = configuration();
        label["metadata"]["labels"] = json!({"x": "y"});
        assert_ne!(LiveObject::new(label).unwrap().content, before);
    }
}
