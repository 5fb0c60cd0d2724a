//! What a gateway charges nothing for, or too late: hangs, bodies that break off, tails, clients that leave, and what begins or
//! ends in the middle of a step. The readiness path is well throughout, so that only users' requests can tell.

use std::time::Duration;

use sluice::api::delivery::Expand;
use sluice::api::duration::HumanDuration;
use sluice::api::rollout::{Outcome, RolloutStatus};
use sluice::api::rollout_policy::Step;

use crate::harness::{Answer, Harness, Hello, Setting, brisk, in_both_forms};

in_both_forms!(
    one_in_ten_that_never_answers_is_rolled_back,
    one_body_in_ten_that_breaks_off_is_rolled_back,
);

/// So many requests a second.
const RATE: u32 = 40;
/// Users who wait longer than any story of theirs takes.
const PATIENT: Duration = Duration::from_secs(12);

/// A service on its first revision, and a policy that gives a fault of one in ten the time to show itself.
async fn open(expand: Expand, warm_up: Duration) -> Harness {
    let harness = Harness::set(Setting {
        expand,
        policy: "thorough".to_owned(),
        ..Setting::default()
    })
    .await;
    let mut policy = brisk();
    policy.bake = HumanDuration::from_secs(10);
    policy.steps = vec![Step::weight(20), Step::weight(50)];
    policy.analysis.warm_up.duration = HumanDuration(warm_up);
    harness.policy("thorough", policy).await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    harness
}

/// A release and its users, from its push to its end.
struct Met {
    status: RolloutStatus,
    answers: Vec<Answer>,
    stable: String,
}

impl Met {
    /// It was rolled back, in these words, at the cost of at most so many users.
    fn was_rolled_back(&self, words: &str, harmed_at_most: usize) {
        let reason = &self.status.quarantine[0].reason;
        assert!(reason.contains(words), "{reason}");
        let harmed = self.answers.iter().filter(|answer| self.harmed(answer));
        let (harmed, all) = (harmed.count(), self.answers.len());
        assert!(harmed <= harmed_at_most, "{harmed} of {all}: {reason}");
        println!("{reason}: {harmed} of {all} harmed");
    }

    fn harmed(&self, answer: &Answer) -> bool {
        answer.harmed(&self.stable)
    }
}

/// Pushes a bad release under users of this patience, and waits until it was rolled back.
async fn roll_back(harness: &Harness, bad: Hello, patience: Duration) -> Met {
    let stable = harness.ask("hello").await.body;
    let users = harness.users_who_wait("hello", RATE, patience);
    let commit = harness.push("A bad idea", &[bad]);
    let status = harness.rolled_back("hello", &commit).await;
    let answers = users.stop().await;
    assert_eq!(status.history[0].outcome, Outcome::RolledBack);
    assert_eq!(harness.ask("hello").await.body, stable, "stable serves");
    Met {
        status,
        answers,
        stable,
    }
}

fn bad(knobs: &[(&str, &str)]) -> Hello {
    let bad = Hello::new("hello", "two");
    knobs
        .iter()
        .fold(bad, |bad, (knob, value)| bad.env(knob, value))
}

async fn one_in_ten_that_never_answers_is_rolled_back(expand: Expand) {
    let harness = open(expand, Duration::ZERO).await;
    let met = roll_back(&harness, bad(&[("HANG_PERCENT", "10")]), PATIENT).await;
    met.was_rolled_back("have not come yet", 20);
    harness.end().await;
}

async fn one_body_in_ten_that_breaks_off_is_rolled_back(expand: Expand) {
    let harness = open(expand, Duration::ZERO).await;
    let met = roll_back(&harness, bad(&[("BREAK_PERCENT", "10")]), PATIENT).await;
    met.was_rolled_back("error rate", 20);
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_late_answer_in_ten_is_rolled_back() {
    let harness = open(Expand::Service, Duration::ZERO).await;
    let tail = bad(&[("DELAY_MS", "1200"), ("DELAY_PERCENT", "10")]);
    let met = roll_back(&harness, tail, PATIENT).await;
    met.was_rolled_back("took over 500 ms", 40);
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_who_leave_before_an_answer_that_is_slow_for_them_roll_it_back() {
    let harness = open(Expand::Service, Duration::ZERO).await;
    // Below the limit of 500 ms, and more than these users wait for.
    let slow = bad(&[("DELAY_MS", "450"), ("DELAY_PERCENT", "50")]);
    let met = roll_back(&harness, slow, Duration::from_millis(250)).await;
    met.was_rolled_back("left by their client", 60);
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_of_the_answers_404_is_rolled_back() {
    let harness = open(Expand::Service, Duration::ZERO).await;
    let half = bad(&[("FAIL_PERCENT", "50"), ("FAIL_STATUS", "404")]);
    let met = roll_back(&harness, half, PATIENT).await;
    met.was_rolled_back("answers were 4xx", 40);
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_that_begin_in_the_middle_of_a_step_are_rolled_back() {
    let harness = open(Expand::Service, Duration::ZERO).await;
    let late = bad(&[("FAIL_PERCENT", "50"), ("FAIL_AFTER_MS", "5000")]);
    let met = roll_back(&harness, late, PATIENT).await;
    met.was_rolled_back("error rate", 40);
    assert!(
        met.status.history[0].weight <= 50,
        "{:#?}",
        met.status.history[0]
    );
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_release_that_is_slow_for_its_first_seconds_is_promoted() {
    let harness = open(Expand::Service, Duration::from_secs(10)).await;
    let users = harness.users_who_wait("hello", RATE, PATIENT);
    let good = bad(&[("DELAY_MS", "800"), ("DELAY_FOR_MS", "8000")]);
    let commit = harness.push("Greet two", &[good]);
    harness.promoted("hello", &commit).await;
    let answers = users.stop().await;
    let lost = answers.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(lost, 0, "of {}", answers.len());
    harness.end().await;
}
