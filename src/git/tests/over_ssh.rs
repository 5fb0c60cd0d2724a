//! Repositories behind an SSH server.

use super::fixture::{Team, files, sync};
use super::sshd::{Sshd, key_pair};
use crate::git::{Credentials, GitError, Reference, RemoteUrl, RepositorySource};

struct Door {
    team: Team,
    sshd: Sshd,
    identity: String,
}

impl Door {
    fn new() -> Self {
        let (identity, public) = key_pair();
        Self {
            team: Team::new(),
            sshd: Sshd::start(public),
            identity,
        }
    }

    fn credentials(&self) -> Credentials {
        Credentials {
            identity: Some(self.identity.clone()),
            known_hosts: Some(self.sshd.known_hosts()),
            ..Credentials::default()
        }
    }

    fn source(&self, credentials: Credentials) -> RepositorySource {
        let path = self.team.bare();
        let url = format!("ssh://git@localhost:{}{}", self.sshd.port, path.display());
        RepositorySource {
            path: "apps".into(),
            credentials,
            ..RepositorySource::new(RemoteUrl::parse(&url).unwrap())
        }
    }

    fn refused(&self, credentials: Credentials) -> GitError {
        sync(&mut self.team.repository(self.source(credentials))).unwrap_err()
    }
}

#[test]
fn a_repository_is_fetched_with_a_key_and_then_followed() {
    let door = Door::new();
    let mut repository = door.team.repository(door.source(door.credentials()));
    let first = sync(&mut repository).unwrap();
    assert_eq!(files(&first), ["apps/hello.yaml=kind: Service"]);
    assert!(!sync(&mut repository).unwrap().fetched);

    let next = door.team.commit(
        "apps/hello.yaml",
        &"v: 2\n".repeat(50_000),
        "Larger than a window",
    );
    let moved = sync(&mut repository).unwrap();
    assert!(moved.fetched);
    assert_eq!(moved.snapshot.commit, next);

    door.team.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let rewritten = door.team.commit("apps/hello.yaml", "v: 3\n", "Rewritten");
    assert_eq!(sync(&mut repository).unwrap().snapshot.commit, rewritten);
}

#[test]
fn an_old_commit_is_found_over_ssh() {
    let door = Door::new();
    let first = door.team.head();
    door.team.commit("apps/hello.yaml", "v: 2\n", "Second");
    let source = RepositorySource {
        reference: Reference::Commit(first),
        ..door.source(door.credentials())
    };
    let look = sync(&mut door.team.repository(source)).unwrap();
    assert_eq!(files(&look), ["apps/hello.yaml=kind: Service"]);
}

#[test]
fn an_unknown_host_key_is_refused_with_its_fingerprint() {
    let door = Door::new();
    let error = door.refused(Credentials {
        known_hosts: None,
        ..door.credentials()
    });
    let print = door
        .sshd
        .host_key
        .fingerprint(Default::default())
        .to_string();
    assert!(matches!(error, GitError::HostKey { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains(&print) && text.contains("ssh-keyscan"),
        "{text}"
    );
}

#[test]
fn a_changed_host_key_is_refused_loudly() {
    let door = Door::new();
    let (_, other) = key_pair();
    let line = format!(
        "[localhost]:{} {}\n",
        door.sshd.port,
        other.to_openssh().unwrap()
    );
    let error = door.refused(Credentials {
        known_hosts: Some(format!("# hosts\n{line}")),
        ..door.credentials()
    });
    assert!(
        error
            .to_string()
            .contains("IT HAS CHANGED: line 2 of knownHosts"),
        "{error}"
    );
}

#[test]
fn a_key_that_the_server_does_not_know_is_refused() {
    let door = Door::new();
    let (stranger, public) = key_pair();
    let error = door.refused(Credentials {
        identity: Some(stranger),
        ..door.credentials()
    });
    assert_eq!(error.reason(), "AuthenticationFailed", "{error}");
    let print = public.fingerprint(Default::default()).to_string();
    assert!(error.to_string().contains(&print), "{error}");
}

#[test]
fn a_key_that_is_none_or_missing_is_said_before_anything_is_sent() {
    let door = Door::new();
    for identity in [None, Some("ssh-ed25519 AAAA".to_owned())] {
        let error = door.refused(Credentials {
            identity,
            ..door.credentials()
        });
        assert!(
            matches!(error, GitError::BadCredentials { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn a_passphrase_opens_a_key_and_a_wrong_one_is_said() {
    let door = Door::new();
    let key = russh::keys::PrivateKey::from_openssh(&door.identity).unwrap();
    let locked = key.encrypt(&mut rand::rng(), "open sesame").unwrap();
    let locked = locked.to_openssh(Default::default()).unwrap().to_string();
    let with = |passphrase: Option<&str>| Credentials {
        identity: Some(locked.clone()),
        passphrase: passphrase.map(str::to_owned),
        ..door.credentials()
    };
    let source = door.source(with(Some("open sesame")));
    assert!(sync(&mut door.team.repository(source)).is_ok());
    assert!(
        door.refused(with(None))
            .to_string()
            .contains("give its passphrase")
    );
    assert!(
        door.refused(with(Some("x")))
            .to_string()
            .contains("passphrase is wrong")
    );
}

#[test]
fn a_repository_that_is_not_there_is_said_in_the_servers_words() {
    let door = Door::new();
    std::fs::rename(door.team.bare(), door.team.root().join("gone.git")).unwrap();
    let error = door.refused(door.credentials());
    assert_eq!(error.reason(), "RepositoryNotFound", "{error}");
    assert!(
        error
            .to_string()
            .contains("does not appear to be a git repository"),
        "{error}"
    );
}

#[test]
fn nobody_listening_is_unreachable() {
    let door = Door::new();
    let source = door.source(door.credentials());
    let Door { team, sshd, .. } = door;
    drop(sshd);
    let error = sync(&mut team.repository(source)).unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}
