//! After 100 %: what is wrong by then is rolled back by itself, onto a revision that is still warm.

use std::time::Duration;

use kube::ResourceExt;
use kube::api::ListParams;
use sluice::api::delivery::Expand;
use sluice::api::duration::HumanDuration;
use sluice::api::min_scale::RAISED;
use sluice::api::rollout::{Outcome, Phase};

use crate::harness::{DELIVERY, Harness, Hello, Setting, brisk, in_both_forms};

in_both_forms!(
    errors_that_begin_after_the_promotion_are_rolled_back_onto_a_revision_that_is_warm,
    a_watch_that_ends_well_leaves_nothing_behind,
);

/// An instance that nobody asks goes after six seconds, the shortest that Knative knows.
fn hello(target: &str) -> Hello {
    Hello::new("hello", target).template_annotated("autoscaling.knative.dev/window", "6s")
}

/// A stage with `hello` on its first revision, whose releases are watched for so long.
async fn open(expand: Expand, watch: Duration) -> Harness {
    let policy = "watched".to_owned();
    let mut harness = Harness::new(Setting {
        expand,
        policy: policy.clone(),
        ..Setting::default()
    })
    .await;
    harness.start_agent().await;
    let mut spec = brisk();
    spec.watch = HumanDuration(watch);
    harness.policy(&policy, spec).await;
    harness.deliver().await;
    let first = harness.push("Open the shop", &[hello("one")]);
    harness.promoted("hello", &first).await;
    harness
}

/// How many Pods of a revision are Ready.
async fn ready_pods(harness: &Harness, revision: &str) -> usize {
    let of = ListParams::default().labels(&format!("serving.knative.dev/revision={revision}"));
    let pods = harness.objects("v1", "Pod").list(&of).await.unwrap();
    let is_ready = |pod: &&kube::api::DynamicObject| {
        let conditions = pod.data["status"]["conditions"].as_array();
        pod.metadata.deletion_timestamp.is_none()
            && conditions
                .into_iter()
                .flatten()
                .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    pods.items.iter().filter(is_ready).count()
}

/// Waits until nothing of Sluice's is left in a revision's scale.
async fn cold(harness: &Harness, revision: &str) {
    harness
        .when(
            harness.serving("Revision"),
            revision,
            "not kept warm",
            |revision| !revision.annotations().contains_key(RAISED),
        )
        .await;
}

async fn errors_that_begin_after_the_promotion_are_rolled_back_onto_a_revision_that_is_warm(
    expand: Expand,
) {
    let harness = open(expand, Duration::from_secs(300)).await;
    let users = harness.users("hello", 20);
    let bad = harness.push("Turn bad", &[hello("two").env("FAIL_FROM_PATH", "/turn")]);
    let status = harness.promoted("hello", &bad).await;
    let stable = status.stable.clone().unwrap().revision.unwrap();
    let watch = status.watch.expect("it is watched");
    let previous = watch.previous.revision.unwrap();
    assert_eq!(status.history[0].outcome, Outcome::Promoted);
    let delivery = harness
        .delivery(DELIVERY, "ready, and watched", |delivery| {
            let mut conditions = delivery.conditions.iter();
            let ready = conditions.find(|condition| condition.type_ == "Ready");
            ready.is_some_and(|ready| ready.is_true() && ready.message.contains("still watched"))
        })
        .await;
    assert_eq!(delivery.last_good_commit.as_ref(), Some(&bad));
    // Long enough for an instance without users to go.
    harness.serves("hello", Duration::from_secs(12)).await;
    assert_eq!(
        ready_pods(&harness, &previous).await,
        1,
        "{previous} is warm"
    );

    assert_eq!(
        harness
            .ask_in(harness.namespace(), "hello", "/turn")
            .await
            .status,
        500
    );
    let status = harness.rolled_back("hello", &bad).await;
    assert_eq!(status.stable.unwrap().revision.as_ref(), Some(&previous));
    assert_eq!(status.history[0].outcome, Outcome::RolledBack);
    assert_eq!(status.history[0].release.revision.as_ref(), Some(&stable));
    assert_eq!(status.history[0].weight, 100);
    let answers = users.stop().await;
    let failed = answers.iter().filter(|answer| answer.status != 200).count();
    assert!(
        failed > 0 && failed < answers.len() / 4,
        "{failed} of {}",
        answers.len()
    );
    let after = harness.ask("hello").await;
    assert_eq!(
        (after.status, after.body.contains("one")),
        (200, true),
        "{after:?}"
    );
    cold(&harness, &previous).await;
    cold(&harness, &stable).await;
    harness.end().await;
}

async fn a_watch_that_ends_well_leaves_nothing_behind(expand: Expand) {
    let harness = open(expand, Duration::from_secs(3)).await;
    let users = harness.users("hello", 20);
    let good = harness.push("Greet two", &[hello("two")]);
    let status = harness.promoted("hello", &good).await;
    let previous = status.watch.unwrap().previous.revision.unwrap();
    let status = harness.settled("hello").await;
    assert_eq!((status.phase, status.watch), (Phase::Stable, None));
    assert_eq!(status.history.len(), 2, "{:#?}", status.history);
    cold(&harness, &previous).await;
    let traffic = harness.traffic_object().get("hello").await.unwrap();
    let targets = traffic.data["spec"]["traffic"].as_array().unwrap().clone();
    assert!(
        targets.iter().all(|target| target.get("tag").is_none()),
        "{targets:?}"
    );
    harness.told("ServiceRollout", "hello", "WatchEnded").await;
    let answers = users.stop().await;
    let lost = answers.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(lost, 0, "of {}", answers.len());
    harness.end().await;
}
