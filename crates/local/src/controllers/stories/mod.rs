//! Stories of the controllers in a world of values: no server, no clock, no tasks.
//!
//! The [`World`] keeps objects, their caches and queues as the running controllers have
//! them, asks the same decisions, and carries them out in memory. What is not a
//! controller of this module is played: a node that makes Pods ready, a gateway, an
//! autoscaler.

mod deploying;
mod rolling;
mod routing;
mod serving;
mod sweeping;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::Event;
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::cache::{Cache, Name};
use super::config::ControllersConfig;
use super::decision::Step;
use super::dispatch::{Controller, Queues};
use super::kind::Kind;
use super::object::{Object, ObjectExt, integer, list, set, text};
use super::view::View;
use crate::admission;

/// The namespace of every story.
const NAMESPACE: &str = "default";

struct World {
    now: Timestamp,
    view: View,
    objects: BTreeMap<(Kind, String), Object>,
    writers: HashMap<Kind, Writer<Object>>,
    queues: Queues,
    inboxes: Vec<(Controller, UnboundedReceiver<Name>)>,
    versions: i64,
    /// How new Pods fare.
    node: Node,
    /// Writes since the last look.
    writes: Vec<String>,
    notes: Vec<String>,
}

/// What the played node does with Pods.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Node {
    /// Every Pod is ready at once.
    Ready,
    /// Every Pod exits with 3 and is started again.
    Crashing,
    /// The node was stopped, and every container with it; they start again.
    Back,
    /// Pods stay as they are.
    Idle,
}

impl World {
    fn new() -> Self {
        Self::with(ControllersConfig {
            gateway_port: Some(8080),
            ..ControllersConfig::default()
        })
    }

    fn with(config: ControllersConfig) -> Self {
        let (cache, writers) = Cache::new();
        let view = View::new(config, cache);
        let mut writers: HashMap<_, _> = writers.into_iter().collect();
        for (kind, writer) in &mut writers {
            for event in [Event::Init, Event::InitDone] {
                view.cache.of(*kind).take(writer, &event);
            }
        }
        let mut senders = HashMap::new();
        let mut inboxes = Vec::new();
        for controller in Controller::ALL {
            let (sender, receiver) = mpsc::unbounded_channel();
            senders.insert(controller, sender);
            inboxes.push((controller, receiver));
        }
        Self {
            now: Timestamp::UNIX_EPOCH,
            view,
            objects: BTreeMap::new(),
            writers,
            queues: Queues(senders),
            inboxes,
            versions: 0,
            node: Node::Ready,
            writes: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn get(&self, kind: Kind, name: &str) -> &Object {
        self.objects
            .get(&(kind, name.to_owned()))
            .unwrap_or_else(|| panic!("there is no {} {name}", kind.name()))
    }

    fn has(&self, kind: Kind, name: &str) -> bool {
        self.objects.contains_key(&(kind, name.to_owned()))
    }

    /// Stores an object as the API server would.
    fn put(&mut self, kind: Kind, mut object: Object) {
        self.versions += 1;
        let id = (kind, object.name().to_owned());
        let old = self.objects.get(&id);
        object.metadata.namespace = Some(NAMESPACE.to_owned());
        object.metadata.resource_version = Some(self.versions.to_string());
        match old {
            Some(old) => {
                object.metadata.uid = old.metadata.uid.clone();
                object.metadata.creation_timestamp = old.metadata.creation_timestamp.clone();
                let changed = i64::from(old.spec() != object.spec());
                object.metadata.generation = Some(old.generation() + changed);
            }
            None => {
                object.metadata.uid = Some(format!("uid-{}", self.versions));
                object.metadata.creation_timestamp = Some(
                    k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.now),
                );
                object.metadata.generation = Some(1);
            }
        }
        self.objects.insert(id, object.clone());
        self.tell(kind, object, false);
    }

    fn tell(&mut self, kind: Kind, object: Object, gone: bool) {
        let writer = self.writers.get_mut(&kind).unwrap();
        let event = if gone {
            Event::Delete(object.clone())
        } else {
            Event::Apply(object.clone())
        };
        self.view.cache.of(kind).take(writer, &event);
        self.queues.notify(&self.view.cache, kind, &object);
    }

    fn delete(&mut self, kind: Kind, name: &str) {
        let Some(object) = self.objects.remove(&(kind, name.to_owned())) else {
            return;
        };
        let uid = object.uid().to_owned();
        self.tell(kind, object, true);
        let children: Vec<_> = self
            .objects
            .iter()
            .filter(|(_, child)| child.controller().is_some_and(|owner| owner.uid == uid))
            .map(|(id, _)| id.clone())
            .collect();
        for (kind, name) in children {
            self.delete(kind, &name);
        }
    }

    /// Writes an object as a user would, through the webhook; then lets everything settle.
    fn apply(&mut self, manifest: &str) -> Result<(), String> {
        let value: Value = serde_yaml::from_str(manifest).unwrap();
        let kind = match text(&value, "kind") {
            "Service" => Kind::Service,
            "Configuration" => Kind::Configuration,
            "Route" => Kind::Route,
            other => panic!("stories do not write {other}"),
        };
        let name = value["metadata"]["name"].as_str().unwrap().to_owned();
        // As an apply does: what the manifest does not mention stays.
        let mut merged = match self.objects.get(&(kind, name)) {
            Some(old) => serde_json::to_value(old).unwrap(),
            None => json!({}),
        };
        json_patch::merge(&mut merged, &value);
        let object: Object = serde_json::from_value(merged).unwrap();
        self.write(kind, object)?;
        self.settle();
        Ok(())
    }

    /// A write of one of the webhook's kinds, defaulted and checked.
    fn write(&mut self, kind: Kind, object: Object) -> Result<(), String> {
        let mut value = serde_json::to_value(&object).unwrap();
        let old = self.objects.get(&(kind, object.name().to_owned()));
        let old = old.map(|old| serde_json::to_value(old).unwrap());
        let review = admission::Review {
            kind: kind.name(),
            operation: match old {
                Some(_) => admission::Operation::Update,
                None => admission::Operation::Create,
            },
            old: old.as_ref(),
            username: "ada",
        };
        if !matches!(
            kind,
            Kind::Service | Kind::Configuration | Kind::Revision | Kind::Route
        ) {
            self.put(kind, object);
            return Ok(());
        }
        admission::fill_defaults(&review, &mut value).map_err(|why| why.to_string())?;
        let verdict = admission::validate(&review, &value);
        if !verdict.errors.is_empty() {
            return Err(admission::refusal(&verdict.errors));
        }
        self.put(kind, serde_json::from_value(value).unwrap());
        Ok(())
    }

    /// Runs controllers and the played parts until nobody has anything to do.
    fn settle(&mut self) {
        for _ in 0..500 {
            let worked = self.work();
            let played = self.play();
            if !worked && !played {
                return;
            }
        }
        panic!("the controllers never come to rest: {:#?}", self.writes);
    }

    fn work(&mut self) -> bool {
        let mut due = BTreeSet::new();
        for (index, (_, inbox)) in self.inboxes.iter_mut().enumerate() {
            while let Ok((_, name)) = inbox.try_recv() {
                due.insert((index, name));
            }
        }
        for (index, name) in &due {
            let controller = self.inboxes[*index].0;
            self.pass(controller, name);
        }
        !due.is_empty()
    }

    /// Whether a controller has been told to look at an object (and forgets it again).
    fn is_due(&mut self, controller: Controller, name: &str) -> bool {
        let inbox = self
            .inboxes
            .iter_mut()
            .find(|(other, _)| *other == controller);
        let (_, inbox) = inbox.unwrap();
        let mut due = false;
        while let Ok((_, queued)) = inbox.try_recv() {
            due |= queued == name;
        }
        due
    }

    fn pass(&mut self, controller: Controller, name: &str) {
        let kind = controller.kind();
        let Some(object) = self.view.cache.get(kind, NAMESPACE, name) else {
            return;
        };
        let decision = self.view.decide(controller, &object, self.now);
        for note in decision.notes {
            self.notes.push(format!(
                "{} {name}: {} {}",
                kind.name(),
                note.reason,
                note.message
            ));
        }
        for step in decision.steps {
            self.carry_out(controller, &object, step);
        }
        let Some(status) = decision.status.map(Value::Object) else {
            return;
        };
        let mut now = self.get(kind, name).clone();
        if now.status() != &status {
            self.writes.push(format!("status {} {name}", kind.name()));
            set(&mut now, "status", status);
            self.put(kind, now);
        }
    }

    fn carry_out(&mut self, controller: Controller, object: &Object, step: Step) {
        match step {
            Step::Create(kind, child) => {
                self.writes
                    .push(format!("create {} {}", kind.name(), child.name()));
                assert!(
                    !self.has(kind, child.name()),
                    "{} is there already",
                    child.name()
                );
                self.write(kind, *child).unwrap();
            }
            Step::Replace(kind, child) => {
                self.writes
                    .push(format!("update {} {}", kind.name(), child.name()));
                self.write(kind, *child).unwrap();
            }
            Step::Patch(kind, name, patch) => {
                self.writes.push(format!("patch {} {name}", kind.name()));
                let mut value = serde_json::to_value(self.get(kind, &name)).unwrap();
                let mut patch = patch;
                if let Some(metadata) = patch["metadata"].as_object_mut() {
                    metadata.remove("resourceVersion");
                }
                json_patch::merge(&mut value, &patch);
                self.put(kind, serde_json::from_value(value).unwrap());
            }
            Step::Delete(kind, name) => {
                self.writes.push(format!("delete {} {name}", kind.name()));
                self.delete(kind, &name);
            }
        }
        let _ = (controller, object);
    }

    /// The node, the autoscaler and the gateway; whether they did anything.
    fn play(&mut self) -> bool {
        let mut new = Vec::new();
        for ((kind, _), object) in &self.objects {
            let status = match kind {
                Kind::Pod => self.pod_status(),
                Kind::PodAutoscaler => self.autoscaler_status(object),
                Kind::Ingress => Some(json!({
                    "observedGeneration": object.generation(),
                    "conditions": [{"type": "Ready", "status": "True"}],
                })),
                _ => None,
            };
            if let Some(status) = status.filter(|status| status != object.status()) {
                let mut object = object.clone();
                set(&mut object, "status", status);
                new.push((*kind, object));
            }
        }
        let played = !new.is_empty();
        for (kind, object) in new {
            self.put(kind, object);
        }
        played
    }

    fn pod_status(&self) -> Option<Value> {
        match self.node {
            Node::Idle => None,
            Node::Ready => Some(json!({
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "True"}],
            })),
            Node::Back => Some(json!({
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "False"}],
                "containerStatuses": [{
                    "name": "user-container",
                    "restartCount": 1,
                    "state": {"waiting": {"reason": "ContainerCreating"}},
                    "lastState": {"terminated": {"exitCode": 255, "reason": "Unknown"}},
                }],
            })),
            Node::Crashing => Some(json!({
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": "False"}],
                "containerStatuses": [{
                    "name": "user-container",
                    "restartCount": 2,
                    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
                    "lastState": {"terminated": {"exitCode": 3, "message": "no such table: users"}},
                }],
            })),
        }
    }

    fn autoscaler_status(&self, autoscaler: &Object) -> Option<Value> {
        let target = &autoscaler.spec()["scaleTargetRef"];
        let deployment = self
            .objects
            .get(&(Kind::Deployment, text(target, "name").to_owned()))?;
        let ready = integer(deployment.status(), "readyReplicas").unwrap_or(0);
        let wanted = integer(deployment.spec(), "replicas").unwrap_or(0);
        let was = autoscaler.condition_status("ScaleTargetInitialized") == "True";
        let (status, reason) = match (wanted, ready) {
            (0, _) => ("False", "NoTraffic"),
            (_, 0) => ("Unknown", "Queued"),
            _ => ("True", ""),
        };
        Some(json!({
            "actualScale": ready,
            "desiredScale": wanted,
            "conditions": [
                {"type": "Ready", "status": status, "reason": reason, "message": ""},
                {"type": "ScaleTargetInitialized", "status": if was || ready > 0 { "True" } else { "Unknown" }},
            ],
        }))
    }

    /// Lets time pass, and wakes every controller, as their own alarms would.
    fn after(&mut self, time: SignedDuration) {
        self.now = self.now.checked_add(time).unwrap();
        self.wake();
        self.settle();
    }

    fn wake(&mut self) {
        let all: Vec<_> = self
            .objects
            .iter()
            .map(|((kind, _), o)| (*kind, o.clone()))
            .collect();
        for (kind, object) in all {
            self.queues.notify(&self.view.cache, kind, &object);
        }
    }

    /// Nobody wants to write anything any more, even when asked.
    fn assert_at_rest(&mut self) {
        self.writes.clear();
        self.wake();
        self.settle();
        assert_eq!(self.writes, Vec::<String>::new());
    }

    /// An object in a few lines: what it is noted for, its conditions, its traffic.
    fn show(&self, kind: Kind, name: &str) -> String {
        let object = self.get(kind, name);
        let mut shown = format!("{} {name}\n", kind.name());
        for key in [
            "latestCreatedRevisionName",
            "latestReadyRevisionName",
            "url",
        ] {
            let value = text(object.status(), key);
            if !value.is_empty() {
                let _ = writeln!(shown, "  {key}: {value}");
            }
        }
        for target in list(object.status(), "traffic") {
            let mut words = vec![
                format!("{}%", integer(target, "percent").unwrap_or(0)),
                text(target, "revisionName").to_owned(),
            ];
            if target["latestRevision"] == json!(true) {
                words.push("latest".to_owned());
            }
            let tag = text(target, "tag");
            if !tag.is_empty() {
                words.push(format!("{tag} at {}", text(target, "url")));
            }
            let _ = writeln!(shown, "  {}", words.join(" "));
        }
        for condition in list(object.status(), "conditions") {
            let mut line = format!(
                "  {} {}",
                text(condition, "type"),
                text(condition, "status")
            );
            for key in ["reason", "message"] {
                let value = text(condition, key);
                if !value.is_empty() {
                    let _ = write!(line, " {value}{}", if key == "reason" { ":" } else { "" });
                }
            }
            let _ = writeln!(shown, "{}", line.trim_end_matches(':'));
        }
        shown
    }

    /// How the main host and the tags are split, as the gateway is told.
    fn splits(&self, route: &str) -> String {
        let ingress = self.get(Kind::Ingress, route);
        let mut shown = String::new();
        for rule in list(ingress.spec(), "rules") {
            if text(rule, "visibility") != "ExternalIP" {
                continue;
            }
            let splits: Vec<_> = rule["http"]["paths"][0]["splits"]
                .as_array()
                .unwrap()
                .iter()
                .map(|split| format!("{}% {}", split["percent"], text(split, "serviceName")))
                .collect();
            let _ = writeln!(
                shown,
                "{}: {}",
                rule["hosts"][0].as_str().unwrap(),
                splits.join(", ")
            );
        }
        shown
    }

    fn names(&self, kind: Kind) -> Vec<&str> {
        self.objects
            .keys()
            .filter(|(other, _)| *other == kind)
            .map(|(_, name)| name.as_str())
            .collect()
    }
}

/// A Service manifest with one container.
fn service(name: &str, image: &str) -> String {
    format!(
        "{{kind: Service, apiVersion: serving.knative.dev/v1, metadata: {{name: {name}}}, spec: {{template: {{spec: {{containers: [{{image: '{image}'}}]}}}}}}}}"
    )
}

/// A Configuration manifest with one container.
fn configuration(name: &str, image: &str) -> String {
    service(name, image).replace("kind: Service", "kind: Configuration")
}

/// A Route manifest.
fn route(name: &str, targets: &[&str]) -> String {
    format!(
        "{{kind: Route, apiVersion: serving.knative.dev/v1, metadata: {{name: {name}}}, spec: {{traffic: [{}]}}}}",
        targets.join(", ")
    )
}
