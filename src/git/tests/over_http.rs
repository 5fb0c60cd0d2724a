//! Repositories behind a web server.

use axum::http::StatusCode;
use tokio_util::sync::CancellationToken;

use super::fixture::{Team, files, sync};
use super::forge::Forge;
use crate::git::{Credentials, GitError, Reference, RemoteUrl, Repository, RepositorySource};

fn source(url: &str, credentials: Credentials) -> RepositorySource {
    RepositorySource {
        credentials,
        path: "apps".into(),
        ..RepositorySource::new(RemoteUrl::parse(url).unwrap())
    }
}

fn trusting(forge: &Forge) -> Credentials {
    Credentials {
        ca_bundle: Some(forge.ca.clone()),
        ..Credentials::default()
    }
}

fn login(user: &str, password: &str) -> Credentials {
    Credentials {
        username: Some(user.into()),
        password: Some(password.into()),
        ..Credentials::default()
    }
}

fn look(team: &Team, source: RepositorySource) -> Result<crate::git::Sync, GitError> {
    sync(&mut team.repository(source))
}

#[test]
fn an_unchanged_head_costs_one_request() {
    let team = Team::new();
    let forge = Forge::tls(&team);
    let mut repository = team.repository(source(&forge.url("shop.git"), trusting(&forge)));

    let first = sync(&mut repository).unwrap();
    assert_eq!(first.snapshot.commit, team.head());
    assert_eq!(files(&first), ["apps/hello.yaml=kind: Service"]);
    // A shallow fetch is two rounds: where history ends, and then the pack.
    let round = "POST /shop.git/git-upload-pack";
    let asked = ["GET /shop.git/info/refs", round, round];
    assert_eq!(forge.requests(), asked);

    assert!(!sync(&mut repository).unwrap().fetched);
    assert_eq!(forge.requests(), asked[..1]);

    let next = team.commit("apps/hello.yaml", "v: 2\n", "Second");
    let moved = sync(&mut repository).unwrap();
    assert_eq!(moved.snapshot.commit, next);
    assert_eq!(files(&moved), ["apps/hello.yaml=v: 2"]);
    assert_eq!(forge.requests(), asked);
}

#[test]
fn only_the_last_commit_is_fetched() {
    let team = Team::new();
    let forge = Forge::plain(&team);
    for n in 0..5 {
        team.commit("apps/hello.yaml", &format!("n: {n}\n"), "Next");
    }
    let mut repository = team.repository(source(&forge.url("shop.git"), Credentials::default()));
    sync(&mut repository).unwrap();
    for n in 5..8 {
        team.commit("apps/hello.yaml", &format!("n: {n}\n"), "Next");
        assert_eq!(
            files(&sync(&mut repository).unwrap()),
            [format!("apps/hello.yaml=n: {n}")]
        );
    }
    let copy = git2::Repository::open_bare(team.copy()).unwrap();
    let oldest = team.git(&["rev-list", "--max-parents=0", "HEAD"]);
    assert!(copy.find_commit(oldest.trim().parse().unwrap()).is_err());
}

#[test]
fn force_pushes_tags_and_old_commits_work_over_http_too() {
    let team = Team::new();
    let first = team.head();
    team.git(&["tag", "-a", "v1.0.0", "-m", "One"]);
    team.commit("apps/hello.yaml", "v: 2\n", "Second");
    let third = team.commit("apps/hello.yaml", "v: 3\n", "Third");
    team.git(&["push", "-q", "--tags"]);
    let forge = Forge::plain(&team);
    let at = |reference| {
        let source = RepositorySource {
            reference,
            ..source(&forge.url("shop.git"), Credentials::default())
        };
        look(&team, source).map(|look| look.snapshot.commit)
    };
    assert_eq!(at(Reference::Default).unwrap(), third);
    assert_eq!(at(Reference::Semver("1.x".into())).unwrap(), first);
    let second = team.git(&["rev-parse", "HEAD~1"]).trim().parse().unwrap();
    assert_eq!(at(Reference::Commit(second)).unwrap(), second);
    let nobody = "1234567890123456789012345678901234567890".parse().unwrap();
    let error = at(Reference::Commit(nobody)).unwrap_err();
    assert!(matches!(error, GitError::RefMissing { .. }), "{error:?}");

    team.git(&["reset", "-q", "--hard", "HEAD~2"]);
    let rewritten = team.commit("apps/hello.yaml", "v: 4\n", "Rewritten");
    assert_eq!(at(Reference::Default).unwrap(), rewritten);
}

#[test]
fn a_login_is_sent_and_a_wrong_one_is_said() {
    let team = Team::new();
    let forge = Forge::plain(&team);
    *forge.desk.login.lock() = Some("bot:s3cret");
    let url = forge.url("shop.git");
    assert!(look(&team, source(&url, login("bot", "s3cret"))).is_ok());

    let none = look(&team, source(&url, Credentials::default())).unwrap_err();
    assert!(none.to_string().contains("it asks for a login"), "{none}");
    let wrong = look(&team, source(&url, login("bot", "wrong"))).unwrap_err();
    assert_eq!(wrong.reason(), "AuthenticationFailed");
    assert!(!wrong.to_string().contains("wrong:") && wrong.to_string().contains("has expired"));
}

#[test]
fn a_certificate_that_nobody_vouches_for_is_refused() {
    let team = Team::new();
    let forge = Forge::tls(&team);
    let other = Forge::tls(&team);
    let url = forge.url("shop.git");
    for credentials in [Credentials::default(), trusting(&other)] {
        let error = look(&team, source(&url, credentials)).unwrap_err();
        assert!(matches!(error, GitError::Untrusted { .. }), "{error:?}");
        assert!(error.to_string().contains("caBundle"), "{error}");
    }
    let name = url.replace("localhost", "127.0.0.1");
    let error = look(&team, source(&name, trusting(&forge))).unwrap_err();
    assert!(error.to_string().contains("another host"), "{error}");
    assert_eq!(forge.requests().len(), 0);
}

#[test]
fn a_broken_ca_bundle_is_said_before_anything_is_sent() {
    let team = Team::new();
    let forge = Forge::tls(&team);
    let credentials = Credentials {
        ca_bundle: Some("not a certificate".into()),
        ..Credentials::default()
    };
    let error = look(&team, source(&forge.url("shop.git"), credentials)).unwrap_err();
    assert!(
        matches!(error, GitError::BadCredentials { .. }),
        "{error:?}"
    );
}

#[test]
fn a_moved_repository_is_followed_and_credentials_stay_with_their_host() {
    let team = Team::new();
    let forge = Forge::plain(&team);
    *forge.desk.login.lock() = Some("bot:s3cret");
    let moved = look(
        &team,
        source(&forge.url("moved.git"), login("bot", "s3cret")),
    )
    .unwrap();
    assert_eq!(files(&moved), ["apps/hello.yaml=kind: Service"]);

    let away = look(
        &team,
        source(&forge.url("away.git"), login("bot", "s3cret")),
    )
    .unwrap_err();
    assert!(
        away.to_string()
            .contains("which does not get the credentials"),
        "{away}"
    );
}

#[test]
fn a_login_is_not_sent_where_everybody_can_read_it() {
    let team = Team::new();
    // Refused before anything is sent: nobody answers at this address.
    let url = "http://192.0.2.1/shop.git";
    let bearer = Credentials {
        bearer_token: Some("s3cret".into()),
        ..Credentials::default()
    };
    for credentials in [login("bot", "s3cret"), bearer] {
        let error = look(&team, source(url, credentials)).unwrap_err();
        assert_eq!(error.reason(), "NotEncrypted", "{error}");
        assert!(error.to_string().contains("use https://"), "{error}");
    }
}

#[test]
fn every_refusal_says_what_to_do() {
    let team = Team::new();
    let forge = Forge::plain(&team);
    let url = forge.url("shop.git");
    for (status, reason) in [
        (StatusCode::FORBIDDEN, "AuthenticationFailed"),
        (StatusCode::NOT_FOUND, "RepositoryNotFound"),
        (StatusCode::SERVICE_UNAVAILABLE, "GitUnreachable"),
        (StatusCode::OK, "NotAGitServer"),
        (StatusCode::IM_A_TEAPOT, "NotAGitServer"),
    ] {
        *forge.desk.status.lock() = Some(status);
        let error = look(&team, source(&url, Credentials::default())).unwrap_err();
        assert_eq!(error.reason(), reason, "{status}: {error}");
    }
    *forge.desk.status.lock() = None;
    let missing = look(&team, source(&forge.url("no.git"), Credentials::default())).unwrap_err();
    assert_eq!(missing.reason(), "RepositoryNotFound", "{missing}");
}

#[test]
fn a_server_that_goes_away_and_comes_back_is_followed_again() {
    let team = Team::new();
    let forge = Forge::plain(&team);
    let mut repository = team.repository(source(&forge.url("shop.git"), Credentials::default()));
    let good = sync(&mut repository).unwrap();
    *forge.desk.status.lock() = Some(StatusCode::BAD_GATEWAY);
    let error = sync(&mut repository).unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(repository.last().unwrap().commit, good.snapshot.commit);
    *forge.desk.status.lock() = None;
    assert!(!sync(&mut repository).unwrap().moved);
}

#[test]
fn nobody_listening_is_unreachable() {
    let team = Team::new();
    let forge = Forge::plain(&team);
    let url = forge.url("shop.git");
    drop(forge);
    let error = look(&team, source(&url, Credentials::default())).unwrap_err();
    assert!(matches!(error, GitError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn a_server_that_says_nothing_is_left_at_the_deadline() {
    let team = Team::new();
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/shop.git", silent.local_addr().unwrap());
    let slow = RepositorySource {
        timeout: std::time::Duration::from_millis(300),
        ..source(&url, Credentials::default())
    };
    let error = look(&team, slow).unwrap_err();
    assert!(matches!(error, GitError::TimedOut { .. }), "{error:?}");
}

#[test]
fn a_look_that_is_called_off_ends_though_the_server_says_nothing() {
    let team = Team::new();
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/shop.git", silent.local_addr().unwrap());
    let cancel = CancellationToken::new();
    let mut repository = team.repository(source(&url, Credentials::default()));
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| repository.sync(&cancel));
        // Once it has knocked, it is on its way.
        let _held = silent.accept().unwrap();
        cancel.cancel();
        let error = looking.join().unwrap().unwrap_err();
        assert!(matches!(error, GitError::Cancelled { .. }), "{error:?}");
    });
}

#[test]
fn sources_with_different_logins_fetch_side_by_side() {
    let team = Team::new();
    let mine = Forge::plain(&team);
    let yours = Forge::tls(&team);
    *mine.desk.login.lock() = Some("me:one");
    *yours.desk.login.lock() = Some("you:two");
    let my_source = source(&mine.url("shop.git"), login("me", "one"));
    let your_source = source(
        &yours.url("shop.git"),
        Credentials {
            ca_bundle: Some(yours.ca.clone()),
            ..login("you", "two")
        },
    );
    std::thread::scope(|scope| {
        for n in 0..3 {
            for (owner, source) in [("me", my_source.clone()), ("you", your_source.clone())] {
                let cache = team.cache();
                scope.spawn(move || {
                    let owner = format!("{owner}/{n}");
                    let mut repository = Repository::new(&owner, source, &cache).unwrap();
                    sync(&mut repository).unwrap();
                });
            }
        }
    });
}
