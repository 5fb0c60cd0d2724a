//! Looks at one Delivery's repository again and again, and hands on what it finds.
//!
//! The last good state stays what it was while the remote is away; what is wrong
//! is part of what is handed on, so that it can be said.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::context::Context;
use super::login::{Login, LoginError};
use crate::api::delivery::Source;
use crate::git::{
    self, CommitId, Credentials, GitError, NotACommitId, Reference, RemoteUrl, Repository, Snapshot,
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
    /// What is wrong with the Secret of the credentials, also where looks go on without it.
    pub trouble: Option<String>,
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
    /// The repository; its credentials are read by whoever looks.
    pub source: git::RepositorySource,
    /// The Secret with the credentials, in the owner's namespace.
    pub secret: Option<String>,
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
                fail(state, &error.into());
            });
            return;
        }
    };
    let client = context.cluster.client();
    let mut login = Login::new(client, &poll.owner.namespace, poll.secret.clone());
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
    let mut heard = None;
    loop {
        // A look that is under way already says nothing of what was pushed just now.
        let wish = wishes.borrow_and_update().clone();
        let begun = Instant::now();
        // Who asks for a look may just have changed the Secret.
        let asked = heard != wish;
        heard.clone_from(&wish);
        let Some((back, found)) = look(copy, &mut login, asked, &poll, &cancel).await else {
            warn!(delivery = %poll.owner, "the look at the repository was broken off; the runtime is stopping");
            return;
        };
        copy = back;
        if cancel.is_cancelled() {
            return;
        }
        context.metrics.looked(&poll.owner, found.is_ok());
        state.send_if_modified(|state| note(state, login.trouble()));
        let mut doubtful = login.trouble().is_some();
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
                doubtful |= error.may_be_the_login();
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
        let secret = (doubtful && login.has_secret()).then_some((&mut login, poll.interval));
        tokio::select! {
            () = cancel.cancelled() => return,
            () = pause(wait, secret) => {}
            Ok(()) = wishes.changed() => {}
        }
    }
}

/// Waits for the next look: so long, or until a Secret that does not serve has changed. That is
/// asked for as often as the remote usually is, however seldom it is asked now.
async fn pause(wait: Duration, secret: Option<(&mut Login, Duration)>) {
    let until = tokio::time::Instant::now() + wait;
    let changed = async {
        match secret {
            None => std::future::pending().await,
            Some((login, interval)) => loop {
                tokio::time::sleep(interval).await;
                if login.read().await {
                    return;
                }
            },
        }
    };
    tokio::select! {
        () = tokio::time::sleep_until(until) => {}
        () = changed => {}
    }
}

/// One look at the remote with the credentials that are known; where it does not take them,
/// another one with those that the Secret has by then. `None` where the runtime is stopping.
async fn look(
    mut copy: Copy,
    login: &mut Login,
    asked: bool,
    poll: &Poll,
    cancel: &CancellationToken,
) -> Option<(Copy, Result<Option<Arc<Checkout>>, LookError>)> {
    // Only what asks the cluster is broken off: Git's thread must have let go of the copy.
    tokio::select! {
        () = cancel.cancelled() => {}
        _ = login.refresh(asked) => {}
    }
    loop {
        let credentials = match login.credentials() {
            Ok(credentials) => credentials,
            Err(error) => return Some((copy, Err(error.into()))),
        };
        let (options, stop) = (poll.options.clone(), cancel.clone());
        let used = credentials.clone();
        // Git blocks; the copy travels to the thread and back.
        let looked = tokio::task::spawn_blocking(move || {
            let found = copy.look(used, &options, &stop);
            (copy, found)
        });
        let (back, found) = looked.await.ok()?;
        copy = back;
        match found {
            Err(error) if error.may_be_the_login() => {
                tokio::select! {
                    () = cancel.cancelled() => {}
                    _ = login.read() => {}
                }
                let same = login.credentials().is_ok_and(|now| now == credentials);
                if same || cancel.is_cancelled() {
                    return Some((copy, Err(error.into())));
                }
            }
            found => return Some((copy, found.map_err(LookError::from))),
        }
    }
}

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
enum LookError {
    /// The remote, or the way there.
    #[error(transparent)]
    Git(#[from] GitError),
    /// There are no credentials to show it.
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl LookError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Git(error) => error.reason(),
            Self::Login(error) => error.reason(),
        }
    }

    fn is_transient(&self) -> bool {
        match self {
            Self::Git(error) => error.is_transient(),
            Self::Login(error) => error.is_transient(),
        }
    }

    fn may_be_the_login(&self) -> bool {
        match self {
            Self::Git(error) => error.may_be_the_login(),
            Self::Login(_) => true,
        }
    }

    fn remote_is_well(&self) -> bool {
        matches!(self, Self::Git(error) if error.remote_is_well())
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
        credentials: Credentials,
        options: &manifest::Options,
        cancel: &CancellationToken,
    ) -> Result<Option<Arc<Checkout>>, GitError> {
        self.repository.use_credentials(credentials);
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

/// Whether anyone needs to hear of it: what is wrong with the Secret is no news the second time.
fn note(state: &mut SourceState, trouble: Option<&LoginError>) -> bool {
    let trouble = trouble.map(ToString::to_string);
    let news = state.trouble != trouble;
    state.trouble = trouble;
    news
}

/// Whether the look was a new wish.
fn answer(state: &mut SourceState, wish: &Option<String>) -> bool {
    let news = state.answered != *wish;
    state.answered.clone_from(wish);
    news
}

/// Whether anyone needs to hear of it: the same failure again is no news.
fn fail(state: &mut SourceState, error: &LookError) -> bool {
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

/// Why a Delivery's repository is not looked at.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The URL cannot be understood.
    #[error(transparent)]
    Url(#[from] GitError),
    /// The commit is none.
    #[error(transparent)]
    Commit(#[from] NotACommitId),
    /// This agent does not read repositories of its own machine.
    #[error(
        "{url} is a repository on the agent's own machine, and an agent in a cluster reads none of these: use https:// or ssh://, or start the agent with --allow-file-repositories"
    )]
    File {
        /// The repository.
        url: String,
    },
}

/// The repository that a Delivery's spec names, without credentials; `files`: repositories on
/// this machine are read.
pub fn wanted(source: &Source, files: bool) -> Result<git::RepositorySource, SourceError> {
    let url = RemoteUrl::parse(&source.url)?;
    if !files && matches!(url, RemoteUrl::File(_)) {
        return Err(SourceError::File {
            url: url.to_string(),
        });
    }
    let reference = match &source.reference {
        None => Reference::Default,
        Some(reference) => {
            if let Some(commit) = &reference.commit {
                Reference::Commit(commit.parse::<CommitId>()?)
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
    Ok(git::RepositorySource {
        reference,
        path: source.path.clone().unwrap_or_default(),
        ..git::RepositorySource::new(url)
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
    fn a_repository_on_the_agents_own_machine_is_refused_where_it_reads_none() {
        for url in [
            "file:///srv/shop.git",
            "/srv/shop.git",
            "FILE://localhost/srv/shop.git",
        ] {
            let source = Source {
                url: url.to_owned(),
                ..Source::default()
            };
            assert!(wanted(&source, true).is_ok());
            let refused = wanted(&source, false).unwrap_err().to_string();
            assert!(refused.contains("--allow-file-repositories"), "{refused}");
        }
        let remote = Source {
            url: "https://git.example.com/shop.git".to_owned(),
            ..Source::default()
        };
        assert!(wanted(&remote, false).is_ok());
    }

    #[test]
    fn the_same_failure_again_is_no_news() {
        let mut state = SourceState::default();
        let failure = |commit: &str| {
            LookError::from(GitError::PathMissing {
                url: "file:///shop.git".to_owned(),
                path: "lab".to_owned(),
                commit: commit.to_owned(),
                detail: String::new(),
            })
        };
        assert!(fail(&mut state, &failure("1")));
        assert!(!fail(&mut state, &failure("1")));
        assert!(fail(&mut state, &failure("2")));
    }
}
