//! The repository that a Delivery's loop has followed, and the change to another one.

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::DeliveryLoop;
use crate::agent::planning;
use crate::agent::source::{self, Poll, SourceError, SourceState};
use crate::api::delivery::{Delivery, Problem, SYNC};
use crate::manifest;

/// A task that looks at a repository, and what it found.
pub(super) struct RunningSource {
    pub poll: Poll,
    pub state: watch::Receiver<SourceState>,
    wishes: watch::Sender<Option<String>>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl RunningSource {
    pub(super) async fn stop(self) {
        self.cancel.cancel();
        let _ = self.task.await;
    }
}

/// A problem with the repository or its Secret.
pub(super) fn about_source(words: &impl ToString) -> Problem {
    Problem {
        object: None,
        origin: None,
        message: words.to_string(),
    }
}

/// Resolves when the repository was looked at and there is something new to say of it.
pub(super) async fn moved(source: &mut Option<RunningSource>) {
    // One that ended by itself has said why, and has no more to say.
    let changed = match source {
        Some(running) => running.state.changed().await.is_ok(),
        None => false,
    };
    if !changed {
        std::future::pending().await
    }
}

impl DeliveryLoop {
    /// Sees to it that the repository of the present spec is followed.
    pub(super) async fn look_at_source(&mut self, delivery: &Delivery) -> Result<(), SourceError> {
        let spec = &delivery.spec.source;
        let poll = Poll {
            owner: self.id.clone(),
            source: source::wanted(spec, self.context.file_repositories)?,
            secret: spec.secret_ref.as_ref().map(|secret| secret.name.clone()),
            interval: planning::interval(&delivery.spec),
            cache_dir: self.context.cache_dir.clone(),
            options: manifest::Options {
                namespace: planning::namespace(&self.id, delivery),
                ..manifest::Options::default()
            },
        };
        if self
            .source
            .as_ref()
            .is_some_and(|running| running.poll == poll)
        {
            return Ok(());
        }
        let mut read = SourceState::default();
        if let Some(old) = self.source.take() {
            let (before, state) = (old.poll.clone(), old.state.clone());
            old.stop().await;
            // Looked at more often or less: what was read stays good while the remote is away.
            if (&before.source, &before.options) == (&poll.source, &poll.options) {
                read = state.borrow().clone();
            }
        }
        let (state, seen) = watch::channel(read);
        let (wishes, wished) = watch::channel(None);
        let cancel = self.cancel.child_token();
        let known = self.status.observed_commit.clone();
        let task = tokio::spawn(source::follow(
            self.context.clone(),
            poll.clone(),
            known,
            state,
            wished,
            cancel.clone(),
        ));
        self.source = Some(RunningSource {
            wishes,
            poll,
            state: seen,
            cancel,
            task,
        });
        Ok(())
    }

    /// A person wants the remote looked at now.
    pub(super) fn hear_wish(&mut self, delivery: &Delivery) {
        let Some(wish) = delivery
            .metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(SYNC))
        else {
            return;
        };
        let Some(source) = &self.source else { return };
        if self.status.handled_sync.as_ref() != Some(wish) {
            self.attempts.forget();
            source.wishes.send_if_modified(|known| {
                let new = known.as_ref() != Some(wish);
                *known = Some(wish.clone());
                new
            });
        }
    }
}
