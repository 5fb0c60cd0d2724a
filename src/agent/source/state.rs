//! What is known of a repository, and whether a look at it found anything new.

use std::sync::Arc;

use jiff::Timestamp;

use super::Checkout;
use super::follow::LookError;
use crate::agent::login::LoginError;

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

impl SourceState {
    /// Whether anyone needs to hear of it: most looks find nothing new.
    pub(super) fn succeed(&mut self, found: Option<Arc<Checkout>>) -> bool {
        let news = found.is_some() || self.failure.is_some() || !self.looked;
        self.looked = true;
        if found.is_some() {
            self.checkout = found;
        }
        self.failure = None;
        news
    }

    /// Whether anyone needs to hear of it: what is wrong with the Secret is no news the second time.
    pub(super) fn note(&mut self, trouble: Option<&LoginError>) -> bool {
        let trouble = trouble.map(ToString::to_string);
        let news = self.trouble != trouble;
        self.trouble = trouble;
        news
    }

    /// Whether the look was a new wish.
    pub(super) fn answer(&mut self, wish: &Option<String>) -> bool {
        let news = self.answered != *wish;
        self.answered.clone_from(wish);
        news
    }

    /// Whether anyone needs to hear of it: the same failure again is no news.
    pub(super) fn fail(&mut self, error: &LookError) -> bool {
        let message = error.to_string();
        let known = self.failure.as_ref().map(|failure| &failure.message);
        let news = known != Some(&message) || !self.looked;
        self.looked = true;
        let since = self
            .failure
            .as_ref()
            .map_or_else(Timestamp::now, |failure| failure.since);
        self.failure = Some(Failure {
            reason: error.reason(),
            message,
            transient: error.is_transient(),
            since,
        });
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::GitError;

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
        assert!(state.fail(&failure("1")));
        assert!(!state.fail(&failure("1")));
        assert!(state.fail(&failure("2")));
    }
}
