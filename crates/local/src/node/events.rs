//! Events on Pods, written by one task; what is said again is counted.

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::{Client, Resource};
use serde_json::json;
use tokio::sync::mpsc;

use super::environment::NODE_NAME;
use super::lifecycle::Note;

/// Events wait here for the writer; more than this at once are dropped, as a
/// kubelet drops them.
const WAITING: usize = 4096;

/// After this many different events the counts start again.
const REMEMBERED: usize = 4096;

/// Where events are told.
#[derive(Debug, Clone)]
pub struct Events {
    sender: mpsc::Sender<Told>,
}

/// What was told and is to be written.
#[derive(Debug)]
pub struct Told {
    about: ObjectReference,
    note: Note,
    at: Timestamp,
}

impl Events {
    /// The telling and the writing end.
    pub fn channel() -> (Self, mpsc::Receiver<Told>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender }, receiver)
    }

    /// Tells of something that happened to a Pod.
    pub fn tell(&self, pod: &Pod, note: Note) {
        let mut about = pod.object_ref(&());
        about.field_path = note
            .container
            .as_ref()
            .map(|(name, is_init)| match is_init {
                true => format!("spec.initContainers{{{name}}}"),
                false => format!("spec.containers{{{name}}}"),
            });
        let reason = note.reason;
        if self
            .sender
            .try_send(Told {
                about,
                note,
                at: Timestamp::now(),
            })
            .is_err()
        {
            tracing::debug!(reason, "too many events at once: one is dropped");
        }
    }
}

/// Writes events until every teller is gone.
pub async fn write(client: Client, mut told: mpsc::Receiver<Told>) {
    let mut counted: HashMap<(String, String, &'static str, String), Counted> = HashMap::new();
    while let Some(told) = told.recv().await {
        let namespace = told.about.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
        let uid = told.about.uid.clone().unwrap_or_default();
        let place = told.about.field_path.clone().unwrap_or_default();
        let key = (uid, place, told.note.reason, told.note.message.clone());
        if let Some(known) = counted.get_mut(&key) {
            known.count += 1;
            let patch = json!({"count": known.count, "lastTimestamp": seconds(told.at)});
            let params = PatchParams::default();
            match api.patch(&known.name, &params, &Patch::Merge(&patch)).await {
                Ok(_) => continue,
                Err(error) => tracing::debug!(%error, "an event cannot be counted: told anew"),
            }
        }
        let event = event(&told, &namespace);
        let name = event.metadata.name.clone().unwrap_or_default();
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => {
                if counted.len() >= REMEMBERED {
                    counted.clear();
                }
                counted.insert(key, Counted { name, count: 1 });
            }
            // The Pod's namespace may be going; nothing hangs on an event.
            Err(error) => tracing::debug!(%error, "an event cannot be written"),
        }
    }
}

struct Counted {
    name: String,
    count: i32,
}

fn event(told: &Told, namespace: &str) -> Event {
    let pod = told.about.name.as_deref().unwrap_or_default();
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{pod}.{:016x}", rand::random::<u64>())),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        involved_object: told.about.clone(),
        type_: Some(
            if told.note.warning {
                "Warning"
            } else {
                "Normal"
            }
            .to_owned(),
        ),
        reason: Some(told.note.reason.to_owned()),
        message: Some(told.note.message.clone()),
        count: Some(1),
        first_timestamp: Some(seconds(told.at)),
        last_timestamp: Some(seconds(told.at)),
        source: Some(EventSource {
            component: Some("kubelet".to_owned()),
            host: Some(NODE_NAME.to_owned()),
        }),
        reporting_component: Some("kubelet".to_owned()),
        reporting_instance: Some(NODE_NAME.to_owned()),
        ..Event::default()
    }
}

fn seconds(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}
