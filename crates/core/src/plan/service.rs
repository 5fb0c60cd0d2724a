//! One service as Git wants it, and the objects it is written as.
//!
//! What goes out when is the rollout's decision; this only knows how a template
//! or a traffic block is put into an object, so that both modes look the same
//! from outside.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::api::delivery::Expand;
use crate::api::json_text::JsonText;
use crate::api::object::{ObjectKey, TemplateHash};
use crate::api::serving::{API_VERSION, GROUP, TrafficTarget, annotation};

use super::annotations::{self, DeliveryId};
use super::live::LiveObject;
use super::manager::Manager;
use super::normalize::{ChangeKind, FieldChange};
use super::path::FieldPath;
use super::{digest, spelling, template};

/// A service as Git wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceIntent {
    /// The Delivery it comes from.
    pub delivery: DeliveryId,
    /// Where it lives.
    pub namespace: String,
    /// Its name, which its Configuration and Route share.
    pub name: String,
    /// What is applied for it: as the Delivery or its annotation says, or as the cluster has it.
    pub mode: Expand,
    /// Its file, for messages.
    pub origin: String,
    /// `spec.template` as Git writes it.
    pub template: JsonText,
    /// What a revision of it is recognised by.
    pub template_hash: TemplateHash,
    /// What agents before this one named the same template, and may have stored.
    pub former_hashes: Vec<TemplateHash>,
    /// The user's own traffic block: the shape that a rollout ends in. Empty where Git has none.
    pub traffic: Vec<TrafficTarget>,
    /// Why Git's block cannot be used, where there is one that cannot: then `traffic` is empty, and what the cluster has
    /// stays.
    pub traffic_problem: Option<String>,
    /// The policy named by its annotation.
    pub policy: Option<String>,
    /// What its annotations say of probes, by their full names.
    pub probes: BTreeMap<String, String>,
    /// Fields of other managers are taken without asking.
    pub force: bool,
    pub(super) labels: Map<String, Value>,
    pub(super) annotations: Map<String, Value>,
}

impl ServiceIntent {
    /// A service as the cluster has it, where no Git says what it wants any more. The hash is that of its
    /// template in Git; of its Route's labels and annotations it has those that are ours.
    pub fn of_cluster(
        delivery: DeliveryId,
        mode: Expand,
        template: &LiveObject,
        route: &LiveObject,
        template_hash: TemplateHash,
        traffic: Vec<TrafficTarget>,
    ) -> Self {
        let mut annotations = owned_metadata(route, "annotations");
        annotations.remove(annotations::DIGEST);
        annotations.remove(annotation::ROLLED_BACK);
        let value = template.value();
        let found = value.pointer("/spec/template").cloned();
        let policy = annotations::annotation(&value, annotations::POLICY).map(str::to_owned);
        Self {
            delivery,
            namespace: template.key.namespace.clone().unwrap_or_default(),
            name: template.key.name.clone(),
            mode,
            origin: template.key.to_string(),
            template: JsonText::of(&found.unwrap_or_default()),
            template_hash,
            former_hashes: Vec::new(),
            traffic,
            traffic_problem: None,
            policy,
            probes: probes(&value),
            force: false,
            labels: owned_metadata(route, "labels"),
            annotations,
        }
    }

    /// The key of one of its objects: `Service`, `Configuration`, `Route`.
    pub fn key(&self, kind: &str) -> ObjectKey {
        ObjectKey::namespaced(GROUP, kind, &self.namespace, &self.name)
    }

    /// The object that holds its template.
    pub fn template_key(&self) -> ObjectKey {
        self.key(match self.mode {
            Expand::Routes => "Configuration",
            Expand::Service => "Service",
        })
    }

    /// The object that holds its traffic.
    pub fn traffic_key(&self) -> ObjectKey {
        self.key(match self.mode {
            Expand::Routes => "Route",
            Expand::Service => "Service",
        })
    }

    /// The digest of the whole manifest but for its traffic, to the letter: what was refused in
    /// one spelling may be taken in another.
    pub fn manifest(&self) -> String {
        digest::v1::object(&self.unsigned_template_object(&self.template.value()))
    }

    /// Whether what we wrote last to the object of a kind says of Git what Git says now.
    /// `object` is what would be written.
    pub fn was_written_to(&self, live: &LiveObject, object: &Value) -> bool {
        let Some(known) = live.digest.as_deref() else {
            return false;
        };
        annotations::annotation(object, annotations::DIGEST) == Some(known)
            || (live.key == self.template_key() && known == self.manifest())
    }

    /// The fields in which the live object's template differs from Git's, where a write of Git's
    /// changes them.
    pub fn template_changes(&self, live: &LiveObject) -> Vec<FieldChange> {
        let last_written = live.digest.as_deref().is_some_and(|known| {
            digest::template_in(known) == Some(self.template_hash.0.as_str())
                || (digest::template_in(known).is_none() && known == self.manifest())
        });
        template::changes_in(&self.template.value(), live, last_written)
    }

    /// Whether the live object has Git's template but for the name that Git gives its revision, and none in its place.
    pub fn is_written_unnamed(&self, live: &LiveObject) -> bool {
        let name = FieldPath::fields(&["spec", "template", "metadata", "name"]);
        let changes = self.template_changes(live);
        let is_its_name =
            |change: &FieldChange| change.kind == ChangeKind::Added && change.path == name;
        !changes.is_empty() && changes.iter().all(is_its_name)
    }

    /// Says whether a Revision was made from Git's template, as [`template::makes_revision`] does. Where that is
    /// written, the Revision is compared with what the server made of it.
    pub fn makes_revision(&self, written: Option<&LiveObject>, revision: &Value) -> Option<bool> {
        let written = written.filter(|written| self.template_changes(written).is_empty());
        let written =
            written.and_then(|written| written.value().pointer("/spec/template").cloned());
        let template = written.unwrap_or_else(|| self.template.value());
        template::makes_revision(&template, revision)
    }

    /// Git's template in the live object's words, where the two mean the same: a write of it
    /// changes nothing, so that labels can follow Git and Knative makes no Revision.
    pub fn template_as_in(&self, live: &LiveObject) -> Value {
        spelling::as_in(&self.template.value(), live)
    }

    /// The name that its manifest gives its next revision itself.
    pub fn revision_name(&self) -> Option<String> {
        let template = self.template.value();
        let name = template.pointer("/metadata/name").and_then(Value::as_str);
        name.map(str::to_owned)
    }

    /// Every object it is written as, for the inventory.
    pub fn keys(&self) -> Vec<ObjectKey> {
        let mut keys = vec![self.template_key(), self.traffic_key()];
        keys.dedup();
        keys
    }

    /// Git's template, marked with the attempt where it is not the first.
    pub fn template_of(&self, attempt: u32) -> Value {
        let mut template = self.template.value();
        if attempt > 0
            && let Some(fields) = template.as_object_mut()
        {
            let metadata = fields.entry("metadata").or_insert_with(|| json!({}));
            if let Some(metadata) = metadata.as_object_mut() {
                let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
                if let Some(annotations) = annotations.as_object_mut() {
                    annotations.insert(annotation::ATTEMPT.to_owned(), attempt.to_string().into());
                }
            }
        }
        template
    }

    /// The object to apply as [`Manager::Objects`], with this template: a Configuration,
    /// or a Service without traffic.
    pub fn template_object(&self, template: &Value) -> Value {
        let mut object = self.unsigned_template_object(template);
        digest::sign_template(&mut object, &self.template_hash);
        object
    }

    /// The object to apply as [`Manager::Objects`] with the template of a Revision: what is in the cluster then is
    /// not Git's template, and no difference from it is the server's doing.
    pub fn restored_object(&self, template: &Value) -> Value {
        let mut object = self.unsigned_template_object(template);
        digest::sign_template(&mut object, &digest::template(template));
        object
    }

    fn unsigned_template_object(&self, template: &Value) -> Value {
        let mut annotations = self.annotations.clone();
        if self.mode == Expand::Routes {
            // Knative's webhook knows this one on Services and Routes only.
            annotations.remove(annotation::ROLLOUT_DURATION);
        }
        let spec = json!({"template": template});
        self.object(&self.template_key().kind, annotations, spec)
    }

    /// The object to apply as [`Manager::Traffic`], with this traffic, and the mark of the template that it was
    /// taken from.
    pub fn traffic_write(
        &self,
        traffic: &[TrafficTarget],
        rolled_back: Option<&TemplateHash>,
    ) -> Value {
        let mut object = self.traffic_object(traffic);
        if let Some(hash) = rolled_back
            && let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut)
        {
            let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
            if let Some(annotations) = annotations.as_object_mut() {
                annotations.insert(annotation::ROLLED_BACK.to_owned(), hash.0.clone().into());
            }
        }
        object
    }

    /// The object to apply as [`Manager::Traffic`], with this traffic: a Route with its
    /// metadata, or nothing but `spec.traffic` of a Service.
    pub fn traffic_object(&self, traffic: &[TrafficTarget]) -> Value {
        let targets = json!(traffic);
        match self.mode {
            Expand::Routes => {
                // The digest says whether Git's part changed; traffic is not Git's.
                let mut object = self.object("Route", self.annotations.clone(), Value::Null);
                digest::sign(&mut object);
                if let Some(fields) = object.as_object_mut() {
                    fields.insert("spec".into(), json!({"traffic": targets}));
                }
                object
            }
            Expand::Service => json!({
                "apiVersion": API_VERSION,
                "kind": "Service",
                "metadata": {"name": self.name, "namespace": self.namespace},
                "spec": {"traffic": targets},
            }),
        }
    }

    /// The manager that owns the traffic object's metadata.
    pub fn manager_of(&self, kind: &str) -> Manager {
        if kind == "Route" {
            Manager::Traffic
        } else {
            Manager::Objects
        }
    }

    fn object(&self, kind: &str, mut annotations: Map<String, Value>, spec: Value) -> Value {
        annotations.insert(
            annotations::DELIVERY.into(),
            self.delivery.to_string().into(),
        );
        let mut metadata = Map::from_iter([
            ("name".to_owned(), Value::from(self.name.clone())),
            ("namespace".to_owned(), self.namespace.clone().into()),
            ("annotations".to_owned(), annotations.into()),
        ]);
        if !self.labels.is_empty() {
            metadata.insert("labels".into(), self.labels.clone().into());
        }
        json!({"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec})
    }
}

/// An object's annotations about probes.
pub(super) fn probes(object: &Value) -> BTreeMap<String, String> {
    let all = object.pointer("/metadata/annotations");
    let all = all.and_then(Value::as_object).into_iter().flatten();
    let ours = all.filter(|(name, _)| name.starts_with(annotations::PROBES));
    ours.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

/// A Route's labels or annotations that we applied.
fn owned_metadata(route: &LiveObject, part: &str) -> Map<String, Value> {
    let owner = route.owner(Manager::Traffic.name());
    let owned: Value = owner
        .and_then(|owner| serde_json::from_str(&owner.fields).ok())
        .unwrap_or_default();
    let live = route.value();
    let (owned, live) = (
        owned.pointer(&format!("/f:metadata/f:{part}")),
        live.pointer(&format!("/metadata/{part}")),
    );
    let mut values = live.and_then(Value::as_object).cloned().unwrap_or_default();
    values.retain(|key, _| owned.is_some_and(|owned| owned.get(format!("f:{key}")).is_some()));
    values
}
