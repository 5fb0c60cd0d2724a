//! Server-side apply: one object, one field manager, one answer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Resource;
use kube::api::{DynamicObject, GetParams, Patch, PatchParams};
use kube::core::Request;
use parking_lot::Mutex;
use serde_json::Value;

use crate::api::object::ObjectKey;
use crate::backoff::Backoff;
use crate::plan::{LiveObject, Manager, annotations, takeover};

use super::conflict::{self, Conflict, ConflictRights};
use super::error::{Failure, Refusal, WriteError, sort};
use super::hidden::Hidden;
use super::{Cluster, Connectivity, FIRST_WAIT};

/// Tries of one write. With the waits between them, about six seconds: longer
/// than a restart of the API server's load balancer, shorter than a person's patience.
const TRIES: u32 = 6;
/// Longest wait between two tries, and the longest that a server may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);
/// A request that has no answer after this long has none. Knative's webhooks get 10 s each.
pub(super) const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// An object that was written.
#[derive(Clone, Debug)]
pub struct Applied {
    /// As the server has it now.
    pub live: Arc<LiveObject>,
    /// Fields that were taken from other managers: drift, adoption or force.
    pub taken: Vec<Conflict>,
}

/// What of the object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Object,
    Status,
    /// Everything is checked, nothing is kept.
    Nothing,
}

impl Cluster {
    /// Writes an object by server-side apply as `manager`, creating it where it is not
    /// there. Writes of one object wait for each other.
    ///
    /// Fields that other managers own are taken or respected by the rule in
    /// [`super::conflict`]. Transient trouble is tried again for a few seconds.
    pub async fn apply(&self, object: &Value, manager: Manager) -> Result<Applied, WriteError> {
        self.write(object, manager, Part::Object).await
    }

    /// Asks what [`Self::apply`] would answer, without writing.
    ///
    /// On Knative each of these costs 190 ms and the whole cluster answers twenty a
    /// second: only for an existing service that is about to change.
    pub async fn dry_run(&self, object: &Value, manager: Manager) -> Result<Applied, WriteError> {
        self.write(object, manager, Part::Nothing).await
    }

    /// Writes the status of one of Sluice's own objects.
    pub async fn apply_status(&self, object: &Value) -> Result<Applied, WriteError> {
        let written = self.write(object, Manager::Status, Part::Status).await;
        // What this program wrote itself does not fit: the definition is of another release.
        written.map_err(|error| match error.cause {
            Refusal::Invalid(message) => WriteError {
                cause: Refusal::OtherDefinition(message),
                ..error
            },
            _ => error,
        })
    }

    /// Reads an object from the server, past the watches; `None` where it is not there.
    pub async fn refresh(
        &self,
        key: &ObjectKey,
        api_version: &str,
    ) -> Result<Option<Arc<LiveObject>>, WriteError> {
        let failed = |cause| WriteError {
            object: key.clone(),
            cause,
        };
        let kind = self.kind(api_version, &key.kind).await.map_err(failed)?;
        let path = DynamicObject::url_path(&kind.resource, key.namespace.as_deref());
        let requests = Request::new(path);
        let params = GetParams::default();
        let answer = self
            .with_retries(key, None, || requests.get(&key.name, &params))
            .await;
        let live = match answer {
            Ok(answer) => LiveObject::new(answer).map(Arc::new),
            Err(Refusal::Gone) => None,
            Err(refusal) => return Err(failed(refusal)),
        };
        if let Some(live) = &live
            && self.is_watched(key)
        {
            self.0.store.put(Arc::clone(live));
        }
        Ok(live)
    }

    async fn write(
        &self,
        object: &Value,
        manager: Manager,
        part: Part,
    ) -> Result<Applied, WriteError> {
        let Some(key) = ObjectKey::of(object) else {
            return Err(WriteError {
                object: ObjectKey {
                    group: String::new(),
                    kind: "Object".to_owned(),
                    namespace: None,
                    name: String::new(),
                },
                cause: Refusal::NoIdentity,
            });
        };
        // What writes nothing keeps no write waiting, however long a webhook takes over it.
        let lock = self.0.locks.of(&key);
        let mut one_at_a_time = match part {
            Part::Nothing => None,
            Part::Object | Part::Status => Some(lock.lock().await),
        };
        let failed = |cause| WriteError {
            object: key.clone(),
            cause,
        };
        let standing = ConflictRights {
            ours: self
                .0
                .store
                .get(&key)
                .is_some_and(|live| live.applied_by(manager.name())),
            // Our own kinds' status has no other writer worth a conflict.
            force: part == Part::Status
                || annotations::annotation(object, annotations::FORCE) == Some("true"),
        };
        // With somebody else's name in the template a dry-run would be refused for that.
        let takes_name = || {
            let known = self.0.store.get(&key);
            known.is_some_and(|live| takeover::is_foreign_name(&live, object, manager))
        };
        if part == Part::Object || (part == Part::Nothing && takes_name()) {
            if one_at_a_time.is_none() {
                one_at_a_time = Some(lock.lock().await);
            }
            self.take_over(&key, object, manager)
                .await
                .map_err(failed)?;
        }
        if part == Part::Nothing {
            drop(one_at_a_time.take());
        }
        let first = self.patch(&key, object, manager, part, false).await;
        let (answer, taken) = match first {
            Err(Refusal::Conflict(conflicts)) => {
                let respected = conflict::to_respect(&conflicts, standing);
                if !respected.is_empty() {
                    return Err(failed(Refusal::Conflict(respected)));
                }
                (
                    self.patch(&key, object, manager, part, true).await,
                    conflicts,
                )
            }
            answer => (answer, Vec::new()),
        };
        let live = answer.map_err(failed)?;
        let live = Arc::new(
            LiveObject::new(live)
                .ok_or_else(|| failed(Refusal::Other("the answer is no object".to_owned())))?,
        );
        // Without a watch the store would keep it for ever and never hear of it again.
        if part != Part::Nothing && self.is_watched(&key) {
            self.0.store.put(Arc::clone(&live));
        }
        if part == Part::Object
            && let Some(digest) = annotations::annotation(object, annotations::DIGEST)
        {
            // Whatever the server made of it: this is what the write leads to.
            self.0
                .settled
                .lock()
                .insert(key, (digest.to_owned(), live.content));
        }
        Ok(Applied { live, taken })
    }

    async fn patch(
        &self,
        key: &ObjectKey,
        object: &Value,
        manager: Manager,
        part: Part,
        force: bool,
    ) -> Result<Value, Refusal> {
        let api_version = object
            .get("apiVersion")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let kind = self.kind(api_version, &key.kind).await?;
        let mut params = PatchParams::apply(manager.name()).validation_strict();
        params.force = force;
        params.dry_run = part == Part::Nothing;
        let path = DynamicObject::url_path(&kind.resource, key.namespace.as_deref());
        let requests = Request::new(path);
        let patch = Patch::Apply(object);
        self.with_retries(key, Some(object), || match part {
            Part::Status => requests.patch_subresource("status", &key.name, &params, &patch),
            Part::Object | Part::Nothing => requests.patch(&key.name, &params, &patch),
        })
        .await
    }

    /// Sends a request until it is answered for good. `sent` is the object that it carries:
    /// answers that quote its secrets are not passed on as they are.
    pub(super) async fn with_retries(
        &self,
        key: &ObjectKey,
        sent: Option<&Value>,
        build: impl Fn() -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Value, Refusal> {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let request = build().map_err(|error| Refusal::Other(error.to_string()))?;
            let answer = {
                let _turn = self.0.writers.turn(key).await;
                tokio::time::timeout(REQUEST_TIMEOUT, self.0.client.request::<Value>(request)).await
            };
            let (after, message) = match answer {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(error)) => {
                    let hidden = sent.map(Hidden::of).unwrap_or_default();
                    match sort(&error, key, &hidden) {
                        Failure::Final(refusal) => return Err(refusal),
                        Failure::Again { after, message } => (after, message),
                        Failure::Raced { .. } if sent.is_some_and(names_a_version) => {
                            return Err(Refusal::Changed);
                        }
                        Failure::Raced { message } => (None, message),
                    }
                }
                Err(_) => (
                    None,
                    format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
                ),
            };
            let wait = backoff.failed(rand::random());
            // Where the watches already say that the server is away, one more try is enough:
            // a thousand writes that each wait their time would take the night.
            let away = *self.reach().borrow() != Connectivity::Reached;
            if backoff.failures() >= if away { 2 } else { TRIES } {
                return Err(Refusal::Unavailable(message));
            }
            let wait = after.map_or(wait, |after| after.min(LONGEST_RETRY_AFTER));
            tracing::debug!(object = %key, error = %message, ?wait, "trying again");
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.0.stop.cancelled() => return Err(Refusal::Unavailable(message)),
            }
        }
    }
}

/// Whether an object is written only over the version that was read.
fn names_a_version(object: &Value) -> bool {
    object.pointer("/metadata/resourceVersion").is_some()
}

/// One lock an object, for as long as someone holds it.
#[derive(Default)]
pub(super) struct Locks(Mutex<HashMap<ObjectKey, Arc<tokio::sync::Mutex<()>>>>);

impl Locks {
    /// More than this many locks are looked through for ones that nobody holds.
    const MANY: usize = 256;

    pub(super) fn of(&self, key: &ObjectKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock();
        if locks.len() > Self::MANY {
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        Arc::clone(locks.entry(key.clone()).or_default())
    }
}
