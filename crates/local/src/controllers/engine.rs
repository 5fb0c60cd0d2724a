//! Carries decisions out: the one place where controllers write to the cluster.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::controller::Action;
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::cache::Name;
use super::configuration;
use super::decision::{Decision, Note, Step};
use super::dispatch::Controller;
use super::events::Events;
use super::kind::Kind;
use super::object::{Object, ObjectExt, set};
use super::view::View;

/// The first wait after a failure; it doubles from there (client-go's rate limiter).
const FIRST_WAIT: Duration = Duration::from_millis(5);
/// The longest wait after failures.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Why a pass has to be made again.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The API server refused a write.
    #[error("cannot {verb} {kind} {namespace}/{name}: {source}")]
    Write {
        /// What was tried.
        verb: &'static str,
        /// On what kind.
        kind: &'static str,
        /// In which namespace.
        namespace: String,
        /// On which object.
        name: String,
        /// The server's answer.
        source: Box<kube::Error>,
    },
    /// The cluster is not as it should be.
    #[error("{0}")]
    Problem(String),
}

impl PassError {
    fn is_race(&self) -> bool {
        matches!(self, Self::Write { source, .. } if matches!(&**source, kube::Error::Api(status) if status.code == 409))
    }
}

/// What all controllers share.
pub struct Engine {
    pub(super) client: Client,
    pub(super) view: View,
    events: Events,
    failures: Mutex<HashMap<(Controller, Name), u32>>,
}

impl Engine {
    /// Nothing is done until [`Engine::pass`] is called.
    pub fn new(client: Client, view: View, events: Events) -> Self {
        Self {
            client,
            view,
            events,
            failures: Mutex::default(),
        }
    }

    /// Looks at one object and does what has to be done.
    pub async fn pass(
        &self,
        controller: Controller,
        object: Arc<Object>,
    ) -> Result<Action, PassError> {
        let now = Timestamp::now();
        let decision = self.view.decide(controller, &object, now);
        let again = decision.again_in;
        self.carry_out(controller, &object, decision, now).await?;
        self.failures.lock().remove(&(controller, name_of(&object)));
        Ok(again.map_or_else(Action::await_change, Action::requeue))
    }

    /// How long to wait before the next try.
    pub fn wait_after(&self, controller: Controller, object: &Object, error: &PassError) -> Action {
        let mut failures = self.failures.lock();
        let count = failures
            .entry((controller, name_of(object)))
            .and_modify(|count| *count = count.saturating_add(1))
            .or_insert(0);
        let wait = FIRST_WAIT
            .saturating_mul(1u32.checked_shl(*count).unwrap_or(u32::MAX))
            .min(LONGEST_WAIT);
        let (name, namespace) = (object.name(), object.namespace());
        // What fails again and again is not said for ever: the status says it all the while.
        if error.is_race() || *count > 1 {
            tracing::debug!(controller = controller.name(), namespace, name, %error, "will look again");
        } else {
            tracing::warn!(controller = controller.name(), namespace, name, %error, wait_ms = wait.as_millis(), "will try again");
        }
        Action::requeue(wait)
    }

    /// Writes in order. The status is written even where a write failed: it says so.
    async fn carry_out(
        &self,
        controller: Controller,
        object: &Arc<Object>,
        decision: Decision,
        now: Timestamp,
    ) -> Result<(), PassError> {
        // What is on its way out needs no children; only its marks are taken away.
        if object.is_terminating() && controller != Controller::Labeller {
            return Ok(());
        }
        let kind = controller.kind();
        let mut failure = None;
        for step in decision.steps {
            if let Err(error) = self.step(controller, object, step).await {
                failure = Some(error);
                break;
            }
        }
        let mut status = decision.status;
        if let Some(PassError::Write {
            verb: "create",
            source,
            ..
        }) = &failure
        {
            let raced = matches!(&**source, kube::Error::Api(status) if status.code == 409);
            if !raced {
                self.creation_failed(controller, object, source, &mut status, now);
            }
        }
        for note in decision.notes {
            self.events.note(controller, kind, object, note);
        }
        if let Some(status) = status {
            self.write_status(kind, object, status).await?;
        }
        match (failure, decision.problem) {
            (Some(error), _) => Err(error),
            (None, Some(problem)) => Err(PassError::Problem(problem)),
            (None, None) => Ok(()),
        }
    }

    /// A child was refused: the status of a Configuration or Deployment tells why.
    fn creation_failed(
        &self,
        controller: Controller,
        object: &Object,
        error: &kube::Error,
        status: &mut Option<Map<String, Value>>,
        now: Timestamp,
    ) {
        let message = match error {
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        };
        match controller {
            Controller::Configuration => {
                *status = Some(configuration::creation_failed(object, &message, now));
            }
            Controller::Deployment => {
                self.view
                    .create_errors
                    .lock()
                    .insert(object.uid().to_owned(), message);
            }
            _ => {}
        }
    }

    async fn step(
        &self,
        controller: Controller,
        object: &Object,
        step: Step,
    ) -> Result<(), PassError> {
        let namespace = object.namespace();
        match step {
            Step::Create(kind, child) => self.create(controller, object, kind, &child).await,
            Step::Replace(kind, child) => {
                let name = child.name().to_owned();
                self.api(kind, namespace)
                    .replace(&name, &writer(controller), &child)
                    .await
                    .map(|_| ())
                    .map_err(|source| failed("update", kind, namespace, &name, source))
            }
            Step::Patch(kind, name, patch) => {
                let params = PatchParams {
                    field_manager: Some(controller.name().to_owned()),
                    ..PatchParams::default()
                };
                let answer = self
                    .api(kind, namespace)
                    .patch(&name, &params, &Patch::Merge(patch))
                    .await;
                gone_is_fine(answer.map(|_| ()))
                    .map_err(|source| failed("patch", kind, namespace, &name, source))
            }
            Step::Delete(kind, name) => self.delete(kind, namespace, &name).await,
        }
    }

    async fn create(
        &self,
        controller: Controller,
        object: &Object,
        kind: Kind,
        child: &Object,
    ) -> Result<(), PassError> {
        let (namespace, name) = (object.namespace(), child.name());
        if kind == Kind::Pod {
            self.view
                .expectations
                .expect(object.uid(), name, Timestamp::now());
        }
        let answer = self
            .api(kind, namespace)
            .create(&writer(controller), child)
            .await;
        if kind == Kind::Pod {
            match &answer {
                Ok(_) => {
                    self.view.create_errors.lock().remove(object.uid());
                }
                Err(_) => self.view.expectations.forget(object.uid(), name),
            }
        }
        let answer = answer
            .map(|_| ())
            .map_err(|source| failed("create", kind, namespace, name, source));
        if let Some(note) = note_of_creation(controller, kind, name, &answer) {
            self.events
                .note(controller, controller.kind(), object, note);
        }
        answer
    }

    async fn delete(&self, kind: Kind, namespace: &str, name: &str) -> Result<(), PassError> {
        let uid = self
            .view
            .cache
            .get(kind, namespace, name)
            .map(|o| o.uid().to_owned());
        let params = DeleteParams {
            preconditions: uid.map(|uid| Preconditions {
                uid: Some(uid),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        let answer = self.api(kind, namespace).delete(name, &params).await;
        gone_is_fine(answer.map(|_| ()))
            .map_err(|source| failed("delete", kind, namespace, name, source))
    }

    async fn write_status(
        &self,
        kind: Kind,
        object: &Arc<Object>,
        status: Map<String, Value>,
    ) -> Result<(), PassError> {
        let status = Value::Object(status);
        if &status == object.status() {
            return Ok(());
        }
        let mut updated = (**object).clone();
        updated.types = Some(kube::api::TypeMeta {
            api_version: kind.api_version(),
            kind: kind.name().to_owned(),
        });
        set(&mut updated, "status", status);
        let (namespace, name) = (object.namespace(), object.name());
        let answer = self
            .api(kind, namespace)
            .replace_status(name, &status_writer(), &updated)
            .await;
        gone_is_fine(answer.map(|_| ()))
            .map_err(|source| failed("update the status of", kind, namespace, name, source))
    }

    fn api(&self, kind: Kind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &kind.resource())
    }
}

/// What the parent's events say of a child that was made, or was refused.
fn note_of_creation(
    controller: Controller,
    kind: Kind,
    name: &str,
    answer: &Result<(), PassError>,
) -> Option<Note> {
    let what = match kind {
        Kind::CoreService => "placeholder service",
        other => other.name(),
    };
    match answer {
        Ok(()) if kind == Kind::Pod => Some(Note::normal(
            "SuccessfulCreate",
            format!("Created pod: {name}"),
        )),
        // Knative tells of what it makes, but for a Revision's own resources.
        Ok(()) if controller == Controller::Revision => None,
        Ok(()) => Some(Note::normal("Created", format!("Created {what} {name:?}"))),
        Err(error) if error.is_race() => None,
        Err(error) => Some(Note::warning(
            "CreationFailed",
            format!("Failed to create {what} {name:?}: {}", cause(error)),
        )),
    }
}

fn name_of(object: &Object) -> Name {
    (object.namespace().to_owned(), object.name().to_owned())
}

fn writer(controller: Controller) -> PostParams {
    PostParams {
        field_manager: Some(controller.name().to_owned()),
        ..PostParams::default()
    }
}

fn status_writer() -> PostParams {
    PostParams {
        field_manager: Some("controller".to_owned()),
        ..PostParams::default()
    }
}

fn failed(
    verb: &'static str,
    kind: Kind,
    namespace: &str,
    name: &str,
    source: kube::Error,
) -> PassError {
    PassError::Write {
        verb,
        kind: kind.name(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        source: Box::new(source),
    }
}

fn cause(error: &PassError) -> String {
    match error {
        PassError::Write { source, .. } => match &**source {
            kube::Error::Api(status) => status.message.clone(),
            other => other.to_string(),
        },
        PassError::Problem(problem) => problem.clone(),
    }
}

/// What is to be changed or removed may be gone already.
fn gone_is_fine(answer: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match answer {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other,
    }
}
