//! One copy for a repository, however many owners, folders and refs are read from it.

use std::fs::{self, File};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::fixture::{Team, files, git, sync};
use super::forge::Forge;
use crate::git::copy::Copy;
use crate::git::{Credentials, GitError, Reference, RemoteUrl, Repository, RepositorySource};

const ASKED: &str = "GET /shop.git/info/refs";
const ROUND: &str = "POST /shop.git/git-upload-pack";

fn at(url: &str, path: &str, reference: Reference) -> RepositorySource {
    RepositorySource {
        reference,
        path: path.into(),
        ..RepositorySource::new(RemoteUrl::parse(url).unwrap())
    }
}

fn login(password: &str) -> Credentials {
    Credentials {
        username: Some("bot".into()),
        password: Some(password.into()),
        ..Credentials::default()
    }
}

/// How often the forge was asked what it has, and for objects.
fn asked(forge: &Forge) -> (usize, usize) {
    let requests = forge.requests();
    let of = |what: &str| requests.iter().filter(|request| *request == what).count();
    (of(ASKED), of(ROUND))
}

/// Two folders of one branch, and another branch.
fn three(team: &Team, forge: &Forge) -> [Repository; 3] {
    team.commit("lab/other.yaml", "kind: ConfigMap\n", "Two folders");
    team.git(&["push", "-q", "origin", "HEAD~1:refs/heads/dev"]);
    let url = forge.url("shop.git");
    let dev = Reference::Branch("dev".into());
    [
        team.owned("a/apps", at(&url, "apps", Reference::Default)),
        team.owned("b/lab", at(&url, "lab", Reference::Default)),
        team.owned("b/dev", at(&url, "apps", dev)),
    ]
}

#[test]
fn a_push_is_fetched_once_for_three_owners_and_there_is_one_copy() {
    let team = Team::new();
    let forge = Forge::plain(&team);
    let mut all = three(&team, &forge);
    let first: Vec<_> = all.iter_mut().map(|one| sync(one).unwrap()).collect();
    assert_eq!(files(&first[1]), ["lab/other.yaml=kind: ConfigMap"]);
    assert_eq!(files(&first[2]), ["apps/hello.yaml=kind: Service"]);
    // A shallow fetch is two rounds, and there are two commits.
    assert_eq!(asked(&forge), (3, 4));

    let pushed = team.commit("apps/hello.yaml", "v: 2\n", "A push");
    for _ in 0..3 {
        std::thread::scope(|scope| {
            for one in &mut all {
                scope.spawn(|| sync(one).unwrap());
            }
        });
    }
    assert_eq!(asked(&forge), (9, 2), "nine polls, one fetch");
    let commits = all.each_mut().map(|one| one.last().unwrap().commit);
    assert_eq!(commits[..2], [pushed, pushed]);
    assert_ne!(commits[2], pushed);
    git(&team.copy(), &["fsck", "--no-dangling"]);

    // Each of them is remembered by the next process, with the remote away.
    drop(forge);
    let again = all.map(|one| one.source().clone());
    let owners = ["a/apps", "b/lab", "b/dev"];
    for ((owner, source), commit) in owners.into_iter().zip(again).zip(commits) {
        assert_eq!(team.owned(owner, source).last().unwrap().commit, commit);
    }
}

#[test]
fn a_wrong_login_reads_nothing_of_what_a_right_one_fetched() {
    let team = Team::new();
    let below = team.head();
    let tip = team.commit("apps/hello.yaml", "v: 2\n", "Second");
    let forge = Forge::plain(&team);
    *forge.desk.login.lock() = Some("bot:s3cret");
    let url = forge.url("shop.git");
    let wishes = [
        Reference::Default,
        Reference::Branch("main".into()),
        Reference::Commit(tip),
        Reference::Commit(below),
    ];
    for (n, wish) in wishes.iter().enumerate() {
        let source = RepositorySource {
            credentials: login("s3cret"),
            ..at(&url, "apps", wish.clone())
        };
        sync(&mut team.owned(&format!("mine/{n}"), source)).unwrap();
    }
    for (n, wish) in wishes.into_iter().enumerate() {
        for wrong in [login("wrong"), Credentials::default()] {
            let source = RepositorySource {
                credentials: wrong,
                ..at(&url, "apps", wish.clone())
            };
            let mut other = team.owned(&format!("other/{n}"), source);
            assert!(other.last().is_none(), "{wish}");
            let error = sync(&mut other).unwrap_err();
            assert_eq!(error.reason(), "AuthenticationFailed", "{wish}: {error}");
            assert!(other.last().is_none(), "{wish}");
        }
    }
    team.copy();
}

#[test]
fn a_commit_that_another_owner_has_is_read_only_where_the_remote_shows_it() {
    let team = Team::new();
    let below = team.head();
    let tip = team.commit("apps/hello.yaml", "v: 2\n", "Second");
    let forge = Forge::plain(&team);
    let url = forge.url("shop.git");
    for (owner, pinned) in [("a/below", below), ("a/tip", tip)] {
        let source = at(&url, "apps", Reference::Commit(pinned));
        sync(&mut team.owned(owner, source)).unwrap();
    }
    team.git(&["reset", "-q", "--hard", "HEAD~1"]);
    team.commit("apps/hello.yaml", "v: 3\n", "Rewritten");
    forge.requests();

    let mut other = team.owned("b/below", at(&url, "apps", Reference::Commit(below)));
    let found = sync(&mut other).unwrap();
    assert_eq!(files(&found), ["apps/hello.yaml=kind: Service"]);
    assert!(asked(&forge).0 > 0);
    // And never again.
    sync(&mut other).unwrap();
    assert_eq!(asked(&forge), (0, 0));

    let mut lost = team.owned("b/tip", at(&url, "apps", Reference::Commit(tip)));
    let error = sync(&mut lost).unwrap_err();
    assert!(matches!(error, GitError::RefMissing { .. }), "{error:?}");
    assert!(lost.last().is_none());
}

#[test]
fn what_has_become_one_pack_is_whole_and_is_fetched_into_again() {
    let team = Team::new();
    let forge = Forge::plain(&team);
    let url = forge.url("shop.git");
    let mut all = three(&team, &forge);
    for n in 0..3 {
        team.commit("apps/hello.yaml", &format!("n: {n}\n"), "Next");
        for one in &mut all {
            sync(one).unwrap();
        }
    }
    let before = all.each_mut().map(|one| one.last().unwrap());
    let copy = Copy::new(&RemoteUrl::parse(&url).unwrap(), &team.cache());
    copy.repack(&copy.open().unwrap().unwrap()).unwrap();
    let packs = fs::read_dir(team.copy().join("objects/pack")).unwrap();
    assert_eq!(packs.count(), 2, "one pack and its index");
    git(&team.copy(), &["fsck", "--no-dangling"]);

    for (one, before) in all.iter().zip(before) {
        let owner = ["a/apps", "b/lab", "b/dev"];
        let found = owner.iter().find_map(|owner| {
            let mut one = team.owned(owner, one.source().clone());
            one.last().filter(|last| last.commit == before.commit)
        });
        assert_eq!(found.as_deref(), Some(&*before));
    }
    let next = team.commit("apps/hello.yaml", "n: 4\n", "After it");
    assert_eq!(sync(&mut all[0]).unwrap().snapshot.commit, next);
    git(&team.copy(), &["fsck", "--no-dangling"]);
}

#[test]
fn what_an_older_release_fetched_is_remembered_and_then_goes() {
    let team = Team::new();
    let source = team.source();
    let hex = |text: &str, bytes: usize| -> String {
        let digest = Sha256::digest(text);
        digest
            .iter()
            .take(bytes)
            .map(|b| format!("{b:02x}"))
            .collect()
    };
    let old = hex(&format!("default/shop\n{}", source.url), 12);
    let old = team.cache().join(format!("{old}.git"));
    let from = team.bare().display().to_string();
    let to = old.display().to_string();
    git(team.root(), &["clone", "-q", "--bare", &from, &to]);
    let name = format!("refs/sluice/{}", hex(&source.reference.to_string(), 8));
    git(&old, &["update-ref", &name, "HEAD"]);

    let mut repository = team.repository(source);
    assert_eq!(repository.last().unwrap().commit, team.head());
    assert!(old.exists(), "the remote may be away");
    sync(&mut repository).unwrap();
    assert!(!old.exists());
    team.copy();
}

#[test]
fn a_copy_that_another_process_writes_to_is_waited_for() {
    let team = Team::new();
    sync(&mut team.repository(team.source())).unwrap();
    let lock = team.copy().with_extension("lock");
    let other = File::open(&lock).unwrap();
    other.lock().unwrap();
    let next = team.commit("apps/hello.yaml", "v: 2\n", "Second");
    let mut hasty = team.repository(RepositorySource {
        timeout: Duration::from_millis(50),
        ..team.source()
    });
    let error = sync(&mut hasty).unwrap_err();
    assert!(error.to_string().contains("another fetch"), "{error}");

    let cancel = CancellationToken::new();
    let mut patient = team.repository(team.source());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| patient.sync(&cancel));
        cancel.cancel();
        let error = waiting.join().unwrap().unwrap_err();
        assert!(matches!(error, GitError::Cancelled { .. }), "{error:?}");
    });
    drop(other);
    let found: Arc<_> = sync(&mut hasty).unwrap().snapshot;
    assert_eq!(found.commit, next);
}
