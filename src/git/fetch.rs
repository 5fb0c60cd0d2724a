//! One conversation with a remote: what it has, and the objects of one commit.

use std::sync::Arc;

use git2::{Direction, FetchOptions, Remote, RemoteCallbacks, RemoteConnection};
use tracing::debug;

use super::copy::INCOMING;
use super::reference::{Advertised, Target};
use super::snapshot::Fault;
use super::wire::Wire;
use super::{CommitId, GitError, Reference, RemoteUrl};

/// Where all branches and tags go when a commit has to be looked for in them.
const ALL: [(&str, &str); 2] = [
    ("refs/heads/", "refs/sluice/heads/"),
    ("refs/tags/", "refs/sluice/tags/"),
];

/// An open line to a remote.
pub(super) struct Line<'repo, 'remote> {
    wire: &'remote Arc<Wire>,
    connection: RemoteConnection<'repo, 'remote, 'static>,
    /// What the remote shows to the credentials of the wire.
    pub heads: Vec<Advertised>,
}

impl<'repo, 'remote> Line<'repo, 'remote> {
    /// The remote at the end of a wire; nothing is sent yet.
    pub fn remote(repo: &'repo git2::Repository, wire: &Arc<Wire>) -> Result<Remote<'repo>, Fault> {
        wire.check()?;
        let address = wire.address();
        let remote = repo.remote_anonymous(&address)?;
        if remote.url().ok() != Some(address.as_str()) {
            return Err(Fault::Said(GitError::BadUrl {
                url: wire.url.to_string(),
                detail:
                    "this machine's Git configuration (url.*.insteadOf) leads elsewhere; write the \
                         URL that is meant"
                        .into(),
            }));
        }
        Ok(remote)
    }

    /// Asks what there is.
    pub fn connect(
        remote: &'remote mut Remote<'repo>,
        wire: &'remote Arc<Wire>,
    ) -> Result<Self, Fault> {
        let connection = remote
            .connect_auth(Direction::Fetch, Some(callbacks(wire)), None)
            .map_err(|error| wire.explain_connect(error))?;
        let heads = connection
            .list()
            .map_err(|error| wire.explain_connect(error))?
            .iter()
            .map(|head| Advertised {
                name: head.name().to_owned(),
                oid: head.oid(),
            })
            .collect();
        Ok(Self {
            wire,
            connection,
            heads,
        })
    }

    /// Fetches a commit's objects; `repo` is the copy that they go to.
    pub fn download(
        &mut self,
        repo: &git2::Repository,
        target: &Target,
        reference: &Reference,
    ) -> Result<CommitId, Fault> {
        let url = self.wire.url.to_string();
        debug!(%url, commit = %target.commit.short(), "fetching");
        let Some(name) = &target.name else {
            return self.unadvertised(repo, target.commit, reference);
        };
        self.fetch(repo, &[format!("+{name}:{INCOMING}")], true)?;
        if repo.find_commit(target.commit.oid()).is_ok() {
            return Ok(target.commit);
        }
        // The branch moved between the question and the fetch: what came is newer.
        let incoming = repo.find_reference(INCOMING)?;
        Ok(incoming.peel_to_commit()?.id().into())
    }

    /// A commit that no branch and no tag stands at. It may be here since another owner fetched it:
    /// the server is asked all the same.
    fn unadvertised(
        &mut self,
        repo: &git2::Repository,
        commit: CommitId,
        reference: &Reference,
    ) -> Result<CommitId, Fault> {
        if self
            .fetch(repo, &[format!("+{commit}:{INCOMING}")], true)
            .is_ok()
            && repo.find_commit(commit.oid()).is_ok()
        {
            return Ok(commit);
        }
        // Not every server hands out a commit by its id: fetch all there is, and look.
        self.wire.check()?;
        for (_, to) in ALL {
            for old in repo.references_glob(&format!("{to}*"))? {
                old?.delete()?;
            }
        }
        let all = ALL.map(|(from, to)| format!("+{from}*:{to}*"));
        self.fetch(repo, &all, false)?;
        let is_here = repo.find_commit(commit.oid()).is_ok();
        for (_, to) in ALL.iter().filter(|_| is_here) {
            for shown in repo.references_glob(&format!("{to}*"))? {
                let Ok(tip) = shown?.peel_to_commit() else {
                    continue;
                };
                if tip.id() == commit.oid() || repo.graph_descendant_of(tip.id(), commit.oid())? {
                    return Ok(commit);
                }
            }
        }
        Err(Fault::Said(GitError::RefMissing {
            url: self.wire.url.to_string(),
            reference: reference.to_string(),
            detail: "no branch and no tag leads to it; was it pushed, or lost by a force-push?"
                .into(),
        }))
    }

    fn fetch(
        &mut self,
        repo: &git2::Repository,
        refspecs: &[String],
        shallow: bool,
    ) -> Result<(), Fault> {
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(callbacks(self.wire))
            .download_tags(git2::AutotagOption::None)
            .update_fetchhead(false);
        // libgit2 refuses a depth on local paths, where copying costs little anyway.
        if !matches!(self.wire.url, RemoteUrl::File(_)) {
            if shallow {
                options.depth(1);
            } else if repo.is_shallow() {
                // GIT_FETCH_DEPTH_UNSHALLOW: without it nothing below a known tip is sent.
                options.depth(i32::MAX);
            }
        }
        self.connection
            .remote()
            .fetch(refspecs, Some(&mut options), None)
            .map_err(|error| self.wire.explain_fetch(error))
    }
}

/// Progress reports are where libgit2 lets us out of a long transfer.
fn callbacks(wire: &Arc<Wire>) -> RemoteCallbacks<'static> {
    let mut callbacks = RemoteCallbacks::new();
    let transfer = Arc::clone(wire);
    callbacks.transfer_progress(move |_| transfer.go_on());
    let sideband = Arc::clone(wire);
    callbacks.sideband_progress(move |_| sideband.go_on());
    callbacks
}
