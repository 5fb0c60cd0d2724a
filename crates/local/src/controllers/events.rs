//! Events about objects, published behind the controllers' backs: telling is never worth
//! waiting for.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::decision::Note;
use super::dispatch::Controller;
use super::kind::Kind;
use super::object::{Object, ObjectExt};

/// Events that may wait; beyond that they are dropped, as Kubernetes' clients do.
const WAITING: usize = 4096;

/// Where controllers leave their notes.
#[derive(Clone)]
pub struct Events(mpsc::Sender<(Controller, ObjectReference, Note)>);

/// The notes that are waiting to be published.
pub struct Outbox(mpsc::Receiver<(Controller, ObjectReference, Note)>);

/// A way to leave notes, and the outbox that [`publish`] empties.
pub fn channel() -> (Events, Outbox) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Events(sender), Outbox(receiver))
}

impl Events {
    /// Leaves a note about an object.
    pub fn note(&self, controller: Controller, kind: Kind, object: &Object, note: Note) {
        let reference = ObjectReference {
            api_version: Some(kind.api_version()),
            kind: Some(kind.name().to_owned()),
            namespace: Some(object.namespace().to_owned()),
            name: Some(object.name().to_owned()),
            uid: Some(object.uid().to_owned()),
            resource_version: object.metadata.resource_version.clone(),
            field_path: None,
        };
        if self.0.try_send((controller, reference, note)).is_err() {
            tracing::debug!("too many events at once: one is dropped");
        }
    }
}

/// Publishes notes until cancelled.
pub async fn publish(client: Client, mut outbox: Outbox, cancel: CancellationToken) {
    let recorder = |controller: Controller| {
        Recorder::new(
            client.clone(),
            Reporter {
                controller: controller.name().to_owned(),
                instance: None,
            },
        )
    };
    let recorders: std::collections::HashMap<_, _> = Controller::ALL
        .into_iter()
        .map(|controller| (controller, recorder(controller)))
        .collect();
    while let Some(Some((controller, reference, note))) =
        cancel.run_until_cancelled(outbox.0.recv()).await
    {
        let event = Event {
            type_: if note.warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: note.reason.to_owned(),
            note: Some(note.message),
            action: note.reason.to_owned(),
            secondary: None,
        };
        let Some(recorder) = recorders.get(&controller) else {
            continue;
        };
        let published = cancel
            .run_until_cancelled(recorder.publish(&event, &reference))
            .await;
        if let Some(Err(error)) = published {
            tracing::debug!(%error, "an event could not be published");
        }
    }
}
