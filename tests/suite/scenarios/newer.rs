//! A newer commit while a release is on its way: stable first, then the newer one from 0 %.
//! Weight is never inherited.

use sluice::api::delivery::Expand;
use sluice::api::rollout::{Outcome, Phase, RolloutStatus};

use crate::harness::{Answer, Harness, Hello, Setting, TrafficHistory, in_both_forms, share};

in_both_forms!(
    a_newer_commit_in_mid_release_begins_at_0_percent_after_stable_has_everything_again,
    a_bad_commit_over_a_good_canary_inherits_nothing_of_it,
    a_bad_commit_while_promoting_leaves_the_good_one_stable,
);

async fn open(expand: Expand) -> (Harness, String) {
    let harness = Harness::set(Setting {
        expand,
        ..Setting::default()
    })
    .await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    let status = harness.promoted("hello", &first).await;
    let stable = status.stable.unwrap().revision.unwrap();
    (harness, stable)
}

fn candidate(status: &RolloutStatus) -> String {
    let candidate = status.candidate.clone().expect("there is a candidate");
    candidate.revision.expect("it has a revision")
}

/// Waits until the candidate of a commit has this share, and gives its revision.
async fn at(harness: &Harness, commit: &str, weight: u8) -> String {
    let status = harness
        .until("hello", &format!("at {weight} %"), |status| {
            let of = status.candidate.as_ref().and_then(|c| c.commit.as_deref());
            of == Some(commit)
                && status.phase == Phase::Stepping
                && status.weight == weight
                && status.confirmed_at.is_some()
        })
        .await;
    candidate(&status)
}

/// Stable had everything, confirmed by the Route itself, between the last share of the one
/// and the first sight of the other; and the other began at 0 %.
fn handed_over(history: &TrafficHistory, stable: &str, old: &str, new: &str) {
    let splits = history.so_far();
    let last_of_old = splits.iter().rposition(|split| share(split, old) > 0);
    let names = |split: &[_], name: &str| {
        let named =
            |t: &sluice::api::serving::TrafficTarget| t.revision_name.as_deref() == Some(name);
        split.iter().any(named)
    };
    let first_of_new = splits.iter().position(|split| names(split, new));
    let (last, first) = (last_of_old.unwrap(), first_of_new.unwrap());
    assert!(last < first, "{splits:#?}");
    assert!(
        splits[last..first]
            .iter()
            .any(|split| share(split, stable) == 100 && !names(split, old)),
        "{splits:#?}"
    );
    assert_eq!(share(&splits[first], new), 0, "{splits:#?}");
}

async fn a_newer_commit_in_mid_release_begins_at_0_percent_after_stable_has_everything_again(
    expand: Expand,
) {
    let (harness, stable) = open(expand).await;
    let history = harness.watch_traffic("hello");
    let users = harness.users("hello", 20);
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let old = at(&harness, &second, 20).await;
    let third = harness.push("Greet three", &[Hello::new("hello", "three")]);
    let status = harness.promoted("hello", &third).await;
    let answers = users.stop().await;
    let new = status.stable.as_ref().unwrap().revision.clone().unwrap();

    handed_over(&history, &stable, &old, &new);
    assert_eq!(history.shares(&old), [0, 5, 20, 0]);
    assert_eq!(history.shares(&new), [0, 5, 20, 50, 100]);
    let superseded = &status.history[1];
    assert_eq!(
        (superseded.outcome, superseded.release.revision.as_ref()),
        (Outcome::Superseded, Some(&old))
    );
    assert!(status.quarantine.is_empty(), "nothing was bad");
    let lost = answers.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(lost, 0, "of {}", answers.len());
    harness.end().await;
}

async fn a_bad_commit_over_a_good_canary_inherits_nothing_of_it(expand: Expand) {
    let (harness, stable) = open(expand).await;
    let history = harness.watch_traffic("hello");
    let users = harness.users("hello", 20);
    let good = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let old = at(&harness, &good, 20).await;
    let bad = Hello::new("hello", "three").env("FAIL_PERCENT", "100");
    let bad = harness.push("Fail", &[bad]);
    let status = harness.rolled_back("hello", &bad).await;
    let answers = users.stop().await;
    let new = status.quarantine[0].revision.clone().unwrap();

    handed_over(&history, &stable, &old, &new);
    assert_eq!(history.shares(&new), [0, 5, 0]);
    assert_eq!(status.stable.unwrap().revision, Some(stable));
    // Flagger's figure is 158.
    let harmed = |answer: &&Answer| answer.harmed("Hello one!\n");
    let harmed = answers.iter().filter(harmed).count();
    assert!(harmed <= 39, "{harmed} of {}", answers.len());
    harness.end().await;
}

async fn a_bad_commit_while_promoting_leaves_the_good_one_stable(expand: Expand) {
    let (harness, _) = open(expand).await;
    let history = harness.watch_traffic("hello");
    let users = harness.users("hello", 20);
    let good = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let status = harness
        .until("hello", "promoting", |status| {
            status.phase == Phase::Promoting
        })
        .await;
    let stable = candidate(&status);
    let bad = Hello::new("hello", "three").env("FAIL_PERCENT", "100");
    let bad = harness.push("Fail", &[bad]);
    let status = harness.rolled_back("hello", &bad).await;
    let answers = users.stop().await;
    let new = status.quarantine[0].revision.clone().unwrap();

    assert_eq!(history.shares(&new), [0, 5, 0]);
    let now = status.stable.unwrap();
    assert_eq!(
        (now.revision, now.commit.as_deref()),
        (Some(stable), Some(good.as_str()))
    );
    assert!(harness.ask("hello").await.body.contains("two"));
    // Flagger's figure is 1,038, and it never came back.
    // Both good revisions may be late on a busy machine.
    let harmed = |answer: &&Answer| answer.harmed("Hello two!\n") && answer.body != "Hello one!\n";
    let harmed = answers.iter().filter(harmed).count();
    assert!(harmed <= 39, "{harmed} of {}", answers.len());
    harness.end().await;
}
