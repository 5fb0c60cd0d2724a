//! Looks at one Delivery's repository again and again, and hands on what it finds.
//!
//! The last good state stays what it was while the remote is away; what is wrong
//! is part of what is handed on, so that it can be said.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::context::Context;
use crate::api::delivery::Source;
use crate::cluster::Cluster;
use crate::git::{
    self, CommitId, Credentials, GitError, Reference, RemoteUrl, Repository, Snapshot,
};
use crate::manifest::{self, Loaded, Loader};
use crate::plan::DeliveryId;

/// One commit, read.
#[derive(Debug)]
pub struct Checkout {
    /// The commit and its files.
    pub snapshot: Arc<Snapshot>,
    /// What the files say.
    pub loaded: Arc<Loaded>,
}

/// What is known of a repository.
#[derive(Clone, Debug, Default)]
pub struct SourceState {
    /// The newest commit that could be read.
    pub checkout: Option<Arc<Checkout>>,
    /// Why the last look failed, if it did.
    pub failure: Option<Failure>,
    /// Whether the remote was looked at yet.
    pub looked: bool,
    /// The last wish that a look was begun, and ended, after.
    pub answered: Option<String>,
}

/// A look that failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// One word for conditions.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
    /// Whether waiting may help.
    pub transient: bool,
    /// Since when looks fail without a break.
    pub since: Timestamp,
}

/// What is looked at, and how often.
#[derive(Clone, PartialEq)]
pub struct Poll {
    /// Whose copy it is, for the cache and the log.
    pub owner: DeliveryId,
    /// The repository.
    pub source: git::Source,
    /// Time between two looks.
    pub interval: Duration,
    /// Where copies of repositories are kept.
    pub cache_dir: PathBuf,
    /// What manifests may contain.
    pub options: manifest::Options,
}

/// Looks until cancelled; a new wish in `wishes` brings the next look forward.
///
/// `known` is the commit that was delivered before. A copy of it on this machine is handed
/// on before the first look: a release that is on its way must be watched though the remote
/// is away. Any other copy may be of another time, and is not.
pub async fn follow(
    context: Arc<Context>,
    poll: Poll,
    known: Option<String>,
    state: watch::Sender<SourceState>,
    mut wishes: watch::Receiver<Option<String>>,
    cancel: CancellationToken,
) {
    let mut copy = match Repository::new(
        &poll.owner.to_string(),
        poll.source.clone(),
        &poll.cache_dir,
    ) {
        Ok(repository) => Copy {
            repository: repository.only(manifest::is_manifest_file),
            loader: Loader::default(),
            handed: None,
        },
        Err(error) => {
            // Only a change of the Delivery mends this; it starts a new loop.
            state.send_modify(|state| {
                fail(state, &error);
            });
            return;
        }
    };
    let options = poll.options.clone();
    let remembered = tokio::task::spawn_blocking(move || {
        let found = known.and_then(|known| copy.remember(&known, &options));
        (copy, found)
    });
    let Ok((back, found)) = remembered.await else {
        return;
    };
    copy = back;
    if let Some(checkout) = found {
        info!(delivery = %poll.owner, commit = %checkout.snapshot.commit.short(), "going on from the last commit");
        state.send_modify(|state| {
            state.checkout.get_or_insert(checkout);
        });
    }
    let mut failures = 0;
    loop {
        // A look that is under way already says nothing of what was pushed just now.
        let wish = wishes.borrow_and_update().clone();
        let (options, stop) = (poll.options.clone(), cancel.clone());
        let begun = Instant::now();
        // Git blocks; the copy travels to the thread and back.
        let looked = tokio::task::spawn_blocking(move || {
            let found = copy.look(&options, &stop);
            (copy, found)
        });
        let Ok((back, found)) = looked.await else {
            warn!(delivery = %poll.owner, "the look at the repository was broken off; the runtime is stopping");
            return;
        };
        copy = back;
        if cancel.is_cancelled() {
            return;
        }
        context.metrics.looked(&poll.owner, found.is_ok());
        let wait = match found {
            Ok(found) => {
                if let Some(checkout) = &found {
                    let snapshot = &checkout.snapshot;
                    let took_ms = begun.elapsed().as_millis();
                    info!(delivery = %poll.owner, commit = %snapshot.commit.short(), subject = %snapshot.subject, took_ms, "a commit to deliver");
                }
                failures = 0;
                state.send_if_modified(|state| succeed(state, found) | answer(state, &wish));
                rest(0, poll.interval)
            }
            Err(error) => {
                failures += 1;
                let news =
                    state.send_if_modified(|state| fail(state, &error) | answer(state, &wish));
                if news {
                    warn!(delivery = %poll.owner, reason = error.reason(), failures, "{error}");
                }
                if error.remote_is_well() {
                    failures = 0;
                }
                rest(failures, poll.interval)
            }
        };
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
            Ok(()) = wishes.changed() => {}
        }
    }
}

/// A cached repository with what was read from it.
struct Copy {
    repository: Repository,
    loader: Loader,
    /// The commit that was handed on last.
    handed: Option<CommitId>,
}

impl Copy {
    /// The commit that was delivered before, where the copy still is at it; no network.
    fn remember(&mut self, known: &str, options: &manifest::Options) -> Option<Arc<Checkout>> {
        let snapshot = self.repository.last()?;
        (snapshot.commit.to_string() == known).then(|| self.read(snapshot, options))
    }

    /// `None` when the commit is still the same.
    fn look(
        &mut self,
        options: &manifest::Options,
        cancel: &CancellationToken,
    ) -> Result<Option<Arc<Checkout>>, GitError> {
        let found = self.repository.sync(cancel)?;
        // Not `moved`: a commit that was only remembered has not been handed on.
        if self.handed == Some(found.snapshot.commit) {
            return Ok(None);
        }
        Ok(Some(self.read(found.snapshot, options)))
    }

    fn read(&mut self, snapshot: Arc<Snapshot>, options: &manifest::Options) -> Arc<Checkout> {
        self.handed = Some(snapshot.commit);
        let files: Vec<manifest::File> = snapshot
            .files
            .iter()
            .map(|file| manifest::File {
                path: file.path.clone(),
                content: file.content.clone(),
                id: file.blob.bytes(),
            })
            .collect();
        let unreadable: Vec<(String, String)> = snapshot
            .refused
            .iter()
            .map(|refused| (refused.path.clone(), refused.reason.clone()))
            .collect();
        let loaded = self.loader.load(&files, &unreadable, options);
        Arc::new(Checkout { snapshot, loaded })
    }
}

/// The time to the next look after so many failures in a row of the remote itself.
///
/// One that is well and has not got what is asked for (no folder `lab` in its newest commit) is
/// looked at as often as any: what moves there from another Delivery's folder is waited for by
/// that one for two intervals, and then taken for gone.
fn rest(failures: u32, interval: Duration) -> Duration {
    if failures == 0 {
        return interval.mul_f64(spread());
    }
    git::backoff(failures, rand::random()).max(interval.min(Duration::from_secs(30)))
}

/// Many Deliveries of one server shall not look in one moment: 0.9 to 1.1.
fn spread() -> f64 {
    0.9 + rand::random::<f64>() * 0.2
}

/// Whether anyone needs to hear of it: most looks find nothing new.
fn succeed(state: &mut SourceState, found: Option<Arc<Checkout>>) -> bool {
    let news = found.is_some() || state.failure.is_some() || !state.looked;
    state.looked = true;
    if found.is_some() {
        state.checkout = found;
    }
    state.failure = None;
    news
}

/// Whether the look was a new wish.
fn answer(state: &mut SourceState, wish: &Option<String>) -> bool {
    let news = state.answered != *wish;
    state.answered.clone_from(wish);
    news
}

/// Whether anyone needs to hear of it: the same failure again is no news.
fn fail(state: &mut SourceState, error: &GitError) -> bool {
    let message = error.to_string();
    let known = state.failure.as_ref().map(|failure| &failure.message);
    let news = known != Some(&message) || !state.looked;
    state.looked = true;
    let since = state
        .failure
        .as_ref()
        .map_or_else(Timestamp::now, |failure| failure.since);
    state.failure = Some(Failure {
        reason: error.reason(),
        message,
        transient: error.is_transient(),
        since,
    });
    news
}

/// The repository that a Delivery's spec names, with the credentials of its Secret in
/// `namespace`. The error says what to mend.
pub async fn wanted(
    cluster: &Cluster,
    namespace: &str,
    spec: &Source,
) -> Result<git::Source, String> {
    let credentials = credentials(cluster, namespace, spec).await?;
    source_of(spec, credentials)
}

async fn credentials(
    cluster: &Cluster,
    namespace: &str,
    spec: &Source,
) -> Result<Credentials, String> {
    let Some(reference) = &spec.secret_ref else {
        return Ok(Credentials::default());
    };
    let name = &reference.name;
    let secrets: Api<Secret> = Api::namespaced(cluster.client(), namespace);
    let secret = secrets
        .get(name)
        .await
        .map_err(|error| format!("Secret {name} of the repository cannot be read: {error}"))?;
    let data = secret.data.unwrap_or_default();
    let entries = data
        .into_iter()
        .map(|(name, value)| (name, value.0))
        .collect();
    Credentials::from_entries(&entries).map_err(|error| format!("Secret {name}: {error}"))
}

/// Translates the spec's source into the `git` module's.
fn source_of(source: &Source, credentials: Credentials) -> Result<git::Source, String> {
    let url = RemoteUrl::parse(&source.url).map_err(|error| error.to_string())?;
    let reference = match &source.reference {
        None => Reference::Default,
        Some(reference) => {
            if let Some(commit) = &reference.commit {
                Reference::Commit(
                    commit
                        .parse::<CommitId>()
                        .map_err(|error| error.to_string())?,
                )
            } else if let Some(range) = &reference.semver {
                Reference::Semver(range.clone())
            } else if let Some(tag) = &reference.tag {
                Reference::Tag(tag.clone())
            } else if let Some(branch) = &reference.branch {
                Reference::Branch(branch.clone())
            } else {
                Reference::Default
            }
        }
    };
    Ok(git::Source {
        reference,
        path: source.path.clone().unwrap_or_default(),
        credentials,
        ..git::Source::new(url)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_remote_that_is_not_well_is_left_alone_for_longer_and_longer() {
        let interval = Duration::from_secs(1);
        let nothing_there = GitError::PathMissing {
            url: "file:///shop.git".to_owned(),
            path: "lab".to_owned(),
            commit: "0123456".to_owned(),
            detail: String::new(),
        };
        let away = GitError::TimedOut {
            url: "file:///shop.git".to_owned(),
            seconds: 10,
        };
        assert!(nothing_there.remote_is_well() && !away.remote_is_well());
        assert!(rest(0, interval) <= interval * 2);
        assert!(rest(8, interval) >= Duration::from_secs(60));
    }

    #[test]
    fn the_same_failure_again_is_no_news() {
        let mut state = SourceState::default();
        let failure = |commit: &str| GitError::PathMissing {
            url: "file:///shop.git".to_owned(),
            path: "lab".to_owned(),
            commit: commit.to_owned(),
            detail: String::new(),
        };
        assert!(fail(&mut state, &failure("1")));
        assert!(!fail(&mut state, &failure("1")));
        assert!(fail(&mut state, &failure("2")));
    }
}
