//! The loop that looks at a repository: when it looks, with which login, and how soon again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::copy::Copy;
use super::{Checkout, Poll, SourceState};
use crate::agent::context::Context;
use crate::agent::login::{Login, LoginError};
use crate::backoff::Backoff;
use crate::git::GitError;

/// The wait after a remote's first failure.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// The longest one: a remote that comes back is noticed within five minutes.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

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
    let copy = match Copy::open(&poll) {
        Ok(copy) => copy,
        Err(error) => {
            // Only a change of the Delivery mends this; it starts a new loop.
            state.send_modify(|state| {
                state.fail(&error.into());
            });
            return;
        }
    };
    let client = context.cluster.client();
    let mut login = Login::new(client, &poll.owner.namespace, poll.secret.clone());
    let Some(mut copy) = remember(copy, known, &poll, &state).await else {
        return;
    };
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
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
        state.send_if_modified(|state| state.note(login.trouble()));
        let refused = matches!(&found, Err(error) if error.may_be_the_login());
        let doubtful = refused || login.trouble().is_some();
        let wait = hand_on(&poll, &state, found, (wish, begun), &mut backoff);
        let secret = (doubtful && login.has_secret()).then_some((&mut login, poll.interval));
        tokio::select! {
            () = cancel.cancelled() => return,
            () = pause(wait, secret) => {}
            Ok(()) = wishes.changed() => {}
        }
    }
}

/// Hands on what a look came to. Returns the time to the next one.
fn hand_on(
    poll: &Poll,
    state: &watch::Sender<SourceState>,
    found: Result<Option<Arc<Checkout>>, LookError>,
    (wish, begun): (Option<String>, Instant),
    backoff: &mut Backoff,
) -> Duration {
    match found {
        Ok(found) => {
            if let Some(checkout) = &found {
                let snapshot = &checkout.snapshot;
                let took_ms = begun.elapsed().as_millis();
                info!(delivery = %poll.owner, commit = %snapshot.commit.short(), subject = %snapshot.subject, took_ms, "a commit to deliver");
            }
            backoff.reset();
            state.send_if_modified(|state| state.succeed(found) | state.answer(&wish));
            rest(None, poll.interval)
        }
        Err(error) => {
            let wait = backoff.failed(rand::random());
            let failures = backoff.failures();
            let news = state.send_if_modified(|state| state.fail(&error) | state.answer(&wish));
            if news {
                warn!(delivery = %poll.owner, reason = error.reason(), failures, "{error}");
            }
            if error.remote_is_well() {
                backoff.reset();
                return rest(None, poll.interval);
            }
            rest(Some(wait), poll.interval)
        }
    }
}

/// Hands on the commit that was delivered before, where the copy still is at it. `None` where the
/// runtime is stopping.
async fn remember(
    mut copy: Copy,
    known: Option<String>,
    poll: &Poll,
    state: &watch::Sender<SourceState>,
) -> Option<Copy> {
    let options = poll.options.clone();
    let remembered = tokio::task::spawn_blocking(move || {
        let found = known.and_then(|known| copy.remember(&known, &options));
        (copy, found)
    });
    let (copy, found) = remembered.await.ok()?;
    if let Some(checkout) = found {
        info!(delivery = %poll.owner, commit = %checkout.snapshot.commit.short(), "going on from the last commit");
        state.send_modify(|state| {
            state.checkout.get_or_insert(checkout);
        });
    }
    Some(copy)
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
pub(super) enum LookError {
    /// The remote, or the way there.
    #[error(transparent)]
    Git(#[from] GitError),
    /// There are no credentials to show it.
    #[error(transparent)]
    Login(#[from] LoginError),
}

impl LookError {
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Git(error) => error.reason(),
            Self::Login(error) => error.reason(),
        }
    }

    pub(super) fn is_transient(&self) -> bool {
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

/// The time to the next look; `wait` is the back-off's where the remote itself failed.
///
/// One that is well and has not got what is asked for (no folder `lab` in its newest commit) is
/// looked at as often as any: what moves there from another Delivery's folder is waited for by
/// that one for two intervals, and then taken for gone.
fn rest(wait: Option<Duration>, interval: Duration) -> Duration {
    match wait {
        None => interval.mul_f64(spread()),
        Some(wait) => wait.max(interval.min(Duration::from_secs(30))),
    }
}

/// Many Deliveries of one server shall not look in one moment: 0.9 to 1.1.
fn spread() -> f64 {
    0.9 + rand::random::<f64>() * 0.2
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
        assert!(rest(None, interval) <= interval * 2);
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let last = (0..8).map(|_| backoff.failed(1.0)).last();
        assert!(rest(last, interval) >= Duration::from_secs(60));
    }
}
