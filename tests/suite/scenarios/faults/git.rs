//! The repository is away, is not what it was, or is no repository at all.

use std::path::PathBuf;

use http::header::CONTENT_TYPE;
use kube::Api;
use sluice::api::delivery::{Delivery, DeliveryStatus, Expand};
use tokio_util::task::AbortOnDropHandle;

use super::{hello, hurried, open_shop};
use crate::harness::{Harness, Hello, PATIENCE};

/// A service at rest, delivered from a repository that trouble is about to come over.
async fn shop() -> (Harness, String) {
    let mut harness = hurried(Expand::Routes).await;
    harness.start_agent().await;
    let first = open_shop(&harness, "300ms").await;
    (harness, first)
}

/// The bare repository's folder.
fn bare(harness: &Harness) -> PathBuf {
    PathBuf::from(harness.repository.url().trim_start_matches("file://"))
}

/// Waits for a moment of the Delivery.
async fn delivery(
    harness: &Harness,
    what: &str,
    reached: impl Fn(&DeliveryStatus) -> bool,
) -> DeliveryStatus {
    let api: Api<Delivery> = Api::namespaced(harness.client.clone(), harness.namespace());
    let condition = |delivery: Option<&Delivery>| {
        delivery
            .and_then(|delivery| delivery.status.as_ref())
            .is_some_and(&reached)
    };
    let seen = kube::runtime::wait::await_condition(api.clone(), "shop", condition);
    if tokio::time::timeout(PATIENCE, seen).await.is_err() {
        let last = api.get("shop").await.unwrap().status;
        panic!("the Delivery never was: {what}\nlast seen: {last:#?}");
    }
    api.get("shop").await.unwrap().status.unwrap()
}

/// A condition's status, reason and message.
fn says<'a>(status: &'a DeliveryStatus, type_: &str) -> (&'a str, &'a str, &'a str) {
    status
        .conditions
        .iter()
        .find(|c| c.type_ == type_)
        .map_or(("", "", ""), |c| (&c.status, &c.reason, &c.message))
}

/// Waits until the Delivery says that its source has failed; checks what it goes on with.
async fn lost(harness: &Harness, commit: &str) -> DeliveryStatus {
    let status = delivery(harness, "without its source", |status| {
        says(status, "SourceReady").0 == "False"
    })
    .await;
    let (ready, _, message) = says(&status, "Ready");
    let still = format!("still on {}", &commit[..12]);
    assert!(ready == "False" && message.contains(&still), "{status:#?}");
    assert_eq!(status.last_good_commit.as_deref(), Some(commit));
    assert!(status.inventory.len() >= 2, "nothing of it is forgotten");
    assert_eq!(harness.ask("hello").await.status, 200);
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_lost_and_back_is_said_and_taken_up_again() {
    let (harness, first) = shop().await;
    let home = bare(&harness);
    let away = home.with_extension("away");
    std::fs::rename(&home, &away).unwrap();
    let status = lost(&harness, &first).await;
    let (_, _, message) = says(&status, "SourceReady");
    assert!(message.contains("since 20"), "since when: {message}");
    let (stalled, reason, _) = says(&status, "Stalled");
    assert_eq!(
        (stalled, reason),
        ("True", "RepositoryNotFound"),
        "a person must look"
    );

    std::fs::rename(&away, &home).unwrap();
    let second = harness.push("Greet two", &[hello("two")]);
    harness.promoted("hello", &second).await;
    let status = delivery(&harness, "well again", |s| says(s, "Ready").0 == "True").await;
    assert_eq!(says(&status, "SourceReady").0, "True");
    assert_eq!(status.last_good_commit, Some(second));
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_force_push_is_followed_wherever_it_leads() {
    let (harness, first) = shop().await;
    let second = harness.push("Greet two", &[hello("two")]);
    harness.promoted("hello", &second).await;
    // Another history with nothing in common.
    harness
        .repository
        .git(&["checkout", "--quiet", "--orphan", "other"]);
    let third = harness.push("Another beginning", &[hello("three")]);
    harness.promoted("hello", &third).await;
    // And back to a commit from before.
    harness
        .repository
        .git(&["checkout", "--quiet", "--force", "-B", "main", &first]);
    harness
        .repository
        .git(&["push", "--quiet", "--force", "origin", "HEAD:main"]);
    harness
        .until("hello", "back", |status| {
            status.stable.as_ref().and_then(|s| s.revision.as_deref()) == Some("hello-00001")
                && status.candidate.is_none()
        })
        .await;
    assert!(harness.ask("hello").await.body.contains("one"));
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_branch_deletes_nothing_and_is_taken_up_when_it_is_there_again() {
    let (harness, first) = shop().await;
    let home = bare(&harness);
    let home = home.to_str().unwrap();
    harness
        .repository
        .git(&["push", "--quiet", "origin", "HEAD:other"]);
    let delete = ["--git-dir", home, "update-ref", "-d", "refs/heads/main"];
    harness.repository.git(&delete);
    let status = lost(&harness, &first).await;
    let (_, _, message) = says(&status, "SourceReady");
    assert!(message.contains("main"), "which branch: {message}");
    let second = harness.push("Greet two", &[hello("two")]);
    harness.promoted("hello", &second).await;
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_answers_nonsense_costs_nobody_else_anything() {
    let (harness, first) = shop().await;
    let home = bare(&harness);
    let head = std::fs::read_to_string(home.join("HEAD")).unwrap();
    std::fs::write(home.join("HEAD"), "all your base\n").unwrap();
    let refs = home.join("refs");
    std::fs::rename(&refs, home.join("refs.away")).unwrap();
    std::fs::write(&refs, [0, 159, 146, 150]).unwrap();
    lost(&harness, &first).await;

    // A service of another Delivery, from a repository that is well.
    let other = crate::harness::TestRepository::create(&harness.folder().join("other.git"));
    other.write("apps/other.yaml", &Hello::new("other", "one").manifest());
    let commit = other.push("Another shop");
    harness
        .deliver_as("other", |spec| spec.source.url = other.url())
        .await;
    harness.promoted("other", &commit).await;

    std::fs::remove_file(&refs).unwrap();
    std::fs::rename(home.join("refs.away"), &refs).unwrap();
    std::fs::write(home.join("HEAD"), head).unwrap();
    let second = harness.push("Greet two", &[hello("two")]);
    harness.promoted("hello", &second).await;
    harness.end().await;
}

/// A web server at the repository's address, which answers as Git's server would, or nearly.
async fn stranger(
    content_type: &'static str,
    body: &'static [u8],
) -> (String, AbortOnDropHandle<()>) {
    let page = move || async move { ([(CONTENT_TYPE, content_type)], body) };
    let pages = axum::Router::new().fallback(page);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/shop.git", listener.local_addr().unwrap());
    let serve = async move { axum::serve(listener, pages).await.unwrap() };
    (url, AbortOnDropHandle::new(tokio::spawn(serve)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server_that_is_no_git_server_is_said_and_loses_nothing() {
    let (harness, first) = shop().await;
    let advertisement = "application/x-git-upload-pack-advertisement";
    let strangers: [(&str, &str, &[u8]); 4] = [
        ("a login page", "text/html", b"<html>Please log in</html>"),
        (
            "no lengths",
            advertisement,
            b"all your base are belong to us",
        ),
        (
            "an id that is none",
            advertisement,
            b"001e# service=git-upload-pack\n0000000egibberish0000",
        ),
        (
            "cut off",
            advertisement,
            b"001e# service=git-upload-pack\n000001554ceb5e2f",
        ),
    ];
    for (what, content_type, body) in strangers {
        let (url, _server) = stranger(content_type, body).await;
        harness
            .deliver_as("shop", |spec| spec.source.url = url.clone())
            .await;
        let status = delivery(&harness, what, |status| {
            let (ready, _, message) = says(status, "SourceReady");
            ready == "False" && message.contains(&url)
        })
        .await;
        assert!(status.inventory.len() >= 2, "{what}: {status:#?}");
        assert_eq!(harness.ask("hello").await.status, 200, "{what}");
    }
    harness.deliver().await;
    delivery(&harness, "well again", |s| says(s, "Ready").0 == "True").await;
    let second = harness.push("Greet two", &[hello("two")]);
    let status = harness.promoted("hello", &second).await;
    assert_eq!(status.history.len(), 2, "{first} was not delivered again");
    harness.end().await;
}
