//! Releases from a push to their end, on a whole cluster with real requests.

use std::time::Duration;

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice::api::delivery::Expand;
use sluice::api::duration::HumanDuration;
use sluice::api::rollout::{Outcome, Phase, RolloutStatus, ServiceRollout};
use sluice::api::rollout_policy::{LatencyLimit, RolloutPolicySpec, Step};

use crate::harness::{Answer, DELIVERY, Harness, Hello, Setting, brisk, in_both_forms};

in_both_forms!(
    a_good_release_walks_up_and_one_that_fails_every_other_time_is_rolled_back_at_its_first_step,
    every_answer_500_is_rolled_back_at_the_first_step,
    every_answer_500_harms_nobody_where_probes_ask_what_users_ask,
    five_percent_500_is_found_by_the_probes,
    five_percent_500_that_only_users_meet_is_rolled_back_on_the_way_up,
    answers_that_are_800_ms_late_are_rolled_back_at_the_first_step,
    what_is_never_ready_harms_nobody,
    what_is_not_ready_any_more_is_rolled_back,
    a_crash_before_it_listens_is_told_by_its_pods_and_harms_nobody,
    a_crash_while_it_is_probed_harms_nobody,
    a_crash_at_20_percent_is_rolled_back,
    a_crash_on_the_path_that_users_ask_for_is_rolled_back,
    an_exact_revert_puts_the_old_revision_back_without_a_new_one,
    what_was_rolled_back_stays_out_across_a_restart_of_the_agent_until_a_person_says_retry,
);

/// The usual stage in one form, with a policy, and `hello` on its first revision.
async fn open(expand: Expand, policy: &str) -> Harness {
    let harness = Harness::set(Setting {
        expand,
        policy: policy.to_owned(),
        ..Setting::default()
    })
    .await;
    // Whatever is called otherwise is a policy of the story's own.
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    harness
}

/// A bad release met by users, from its push until it was rolled back.
struct Taken {
    status: RolloutStatus,
    answers: Vec<Answer>,
    /// What stable answers.
    stable: String,
}

impl Taken {
    /// How many were harmed.
    fn harmed(&self) -> usize {
        let harmed = |answer: &&Answer| answer.harmed(&self.stable);
        self.answers.iter().filter(harmed).count()
    }

    /// Nobody was harmed, and nobody met it.
    fn harmed_nobody(&self) {
        assert_eq!(self.harmed(), 0, "of {}", self.answers.len());
        assert_eq!(self.status.history[0].weight, 0, "it never met a user");
    }

    /// It was let in to this share and no further, at the cost of so many at most.
    fn at(&self, weight: u8, harmed_at_most: usize) {
        assert_eq!(
            self.status.history[0].weight,
            weight,
            "{}: {:#?}",
            self.reason(),
            self.status.evidence
        );
        assert!(
            self.harmed() <= harmed_at_most,
            "{} of {} were harmed: {}",
            self.harmed(),
            self.answers.len(),
            self.reason()
        );
    }

    fn reason(&self) -> &str {
        &self.status.quarantine[0].reason
    }

    fn says(&self, words: &str) {
        assert!(self.reason().contains(words), "{}", self.reason());
    }
}

/// Pushes a bad template under 20 requests a second, waits until it was rolled back, and sees
/// to it that stable serves on.
async fn roll_back(harness: &Harness, bad: Hello) -> Taken {
    let before = harness.ask("hello").await.body;
    let users = harness.users("hello", 20);
    let commit = harness.push("A bad idea", &[bad]);
    let status = harness.rolled_back("hello", &commit).await;
    let delivery = harness.delivery(DELIVERY, "there", |_| true).await;
    assert_ne!(delivery.last_good_commit.as_ref(), Some(&commit));
    let answers = users.stop().await;
    assert_eq!(status.history[0].outcome, Outcome::RolledBack);
    assert_eq!(status.history[0].release.commit.as_ref(), Some(&commit));
    let after = harness.ask("hello").await;
    assert_eq!((after.status, &after.body), (200, &before), "stable serves");
    Taken {
        status,
        answers,
        stable: before,
    }
}

async fn a_good_release_walks_up_and_one_that_fails_every_other_time_is_rolled_back_at_its_first_step(
    expand: Expand,
) {
    let harness = open(expand, "demo").await;
    let users = harness.users("hello", 20);
    let good = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let status = harness.promoted("hello", &good).await;
    let weights: Vec<u8> = status
        .evidence
        .iter()
        .map(|evidence| evidence.weight)
        .collect();
    assert_eq!(
        weights,
        [0, 5, 20, 50],
        "every step was judged, in order: {:#?}",
        status.evidence
    );
    assert!(harness.ask("hello").await.body.contains("two"));
    let answers = users.stop().await;
    let lost = answers.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(lost, 0, "a good release harms nobody of {}", answers.len());

    let bad = Hello::new("hello", "three").env("FAIL_PERCENT", "50");
    let taken = roll_back(&harness, bad).await;
    taken.at(5, 30);
    taken.says("error rate");
    harness.end().await;
}

async fn every_answer_500_is_rolled_back_at_the_first_step(expand: Expand) {
    let harness = open(expand, "demo").await;
    let taken = roll_back(
        &harness,
        Hello::new("hello", "two").env("FAIL_PERCENT", "100"),
    )
    .await;
    // Its readiness path is well, so only users can tell; Flagger's figure is 108.
    taken.at(5, 27);
    harness.end().await;
}

async fn every_answer_500_harms_nobody_where_probes_ask_what_users_ask(expand: Expand) {
    let harness = open(expand, "demo").await;
    let bad = Hello::new("hello", "two").env("FAIL_PERCENT", "100");
    let taken = roll_back(&harness, bad.without_readiness_path()).await;
    taken.harmed_nobody();
    harness.end().await;
}

async fn five_percent_500_is_found_by_the_probes(expand: Expand) {
    // `fast` probes 200 times before anybody meets the candidate.
    let harness = open(expand, "fast").await;
    let bad = Hello::new("hello", "two").env("FAIL_PERCENT", "5");
    let taken = roll_back(&harness, bad.without_readiness_path()).await;
    taken.harmed_nobody();
    harness.end().await;
}

async fn five_percent_500_that_only_users_meet_is_rolled_back_on_the_way_up(expand: Expand) {
    let harness = open(expand, "demo").await;
    let taken = roll_back(
        &harness,
        Hello::new("hello", "two").env("FAIL_PERCENT", "5"),
    )
    .await;
    assert!(taken.status.history[0].weight < 100);
    // Four early errors condemn; what is on its way then comes on top.
    let lost = taken.answers.iter().filter(|a| a.status != 200).count();
    assert!((1..=10).contains(&lost), "{lost}: {}", taken.reason());
    harness.end().await;
}

async fn answers_that_are_800_ms_late_are_rolled_back_at_the_first_step(expand: Expand) {
    let harness = open(expand, "demo").await;
    let taken = roll_back(&harness, Hello::new("hello", "two").env("DELAY_MS", "800")).await;
    taken.says("p99");
    // Flagger's figure is 106.
    taken.at(5, 26);
    harness.end().await;
}

async fn what_is_never_ready_harms_nobody(expand: Expand) {
    let harness = Harness::set(Setting {
        expand,
        policy: "impatient".to_owned(),
        ..Setting::default()
    })
    .await;
    let impatient = RolloutPolicySpec {
        progress_deadline: HumanDuration::from_secs(12),
        ..brisk()
    };
    harness.policy("impatient", impatient).await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    let taken = roll_back(&harness, Hello::new("hello", "two").env("NEVER_READY", "1")).await;
    taken.harmed_nobody();
    taken.says("not Ready after 12s");
    harness.end().await;
}

async fn what_is_not_ready_any_more_is_rolled_back(expand: Expand) {
    let harness = Harness::set(Setting {
        expand,
        policy: "attentive".to_owned(),
        ..Setting::default()
    })
    .await;
    // A step takes longer than the candidate stays Ready.
    let mut attentive = RolloutPolicySpec {
        bake: HumanDuration::from_secs(10),
        confirm_timeout: HumanDuration::from_secs(4),
        ..brisk()
    };
    // Users who wait would tell of it as well; here the Pods are to.
    attentive.analysis.p99 = LatencyLimit::default();
    attentive.analysis.p50 = LatencyLimit::default();
    harness.policy("attentive", attentive).await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    let bad = Hello::new("hello", "two")
        .probed_every_second()
        .env("UNREADY_AFTER_MS", "5000");
    let taken = roll_back(&harness, bad).await;
    assert!(taken.status.history[0].weight > 0, "it met users");
    taken.says("0 of 1 Pods Ready for 4s");
    harness.end().await;
}

async fn a_crash_before_it_listens_is_told_by_its_pods_and_harms_nobody(expand: Expand) {
    let harness = open(expand, "demo").await;
    let began = std::time::Instant::now();
    let bad = Hello::new("hello", "two").env("CRASH_AT_START", "3");
    let taken = roll_back(&harness, bad).await;
    taken.harmed_nobody();
    taken.says("crashed 2 times, last with exit code 3");
    assert!(
        began.elapsed() < Duration::from_secs(30),
        "long before the deadline: {:?}",
        began.elapsed()
    );
    harness.end().await;
}

async fn a_crash_while_it_is_probed_harms_nobody(expand: Expand) {
    let harness = Harness::set(Setting {
        expand,
        policy: "thorough".to_owned(),
        ..Setting::default()
    })
    .await;
    let mut thorough = brisk();
    thorough.probes.count = 5000;
    harness.policy("thorough", thorough).await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    let bad = Hello::new("hello", "two").env("CRASH_AFTER_MS", "400");
    let taken = roll_back(&harness, bad).await;
    taken.harmed_nobody();
    harness.end().await;
}

async fn a_crash_at_20_percent_is_rolled_back(expand: Expand) {
    let harness = Harness::set(Setting {
        expand,
        policy: "patient".to_owned(),
        ..Setting::default()
    })
    .await;
    // Nobody stays at 5 %, everybody at 20 % for longer than two crashes take.
    let mut patient = brisk();
    patient.steps = vec![Step::weight(5), Step::weight(20)];
    patient.steps[1].bake = Some(HumanDuration::from_secs(50));
    harness.policy("patient", patient).await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    let bad = Hello::new("hello", "two").env("CRASH_ON_PATH", "/crash");
    let crashing = async {
        let meets_users = |status: &RolloutStatus| {
            status.phase == Phase::Stepping && status.weight == 20 && status.confirmed_at.is_some()
        };
        let status = harness.until("hello", "at 20 %", meets_users).await;
        let revision = status.candidate.unwrap().revision.unwrap();
        harness.crash(&revision, i32::MAX).await;
    };
    let taken = tokio::select! {
        taken = roll_back(&harness, bad) => taken,
        () = crashing => unreachable!("it crashes for ever"),
    };
    // What was on its way when it crashed; the rest waits until it is up again.
    taken.at(20, 20);
    // A gateway that answers 502 for a container that is away, as a real one may, tells as much as
    // its Pods do, and sooner: four failed answers condemn.
    let by_its_pods =
        taken.reason().contains("crashed 2 times") || taken.reason().contains("ExitCode1");
    let by_its_answers = taken.reason().contains("error rate") && taken.harmed() > 0;
    assert!(by_its_pods || by_its_answers, "{}", taken.reason());
    harness.end().await;
}

async fn a_crash_on_the_path_that_users_ask_for_is_rolled_back(expand: Expand) {
    let harness = open(expand, "demo").await;
    let taken = roll_back(
        &harness,
        Hello::new("hello", "two").env("CRASH_ON_PATH", "/"),
    )
    .await;
    taken.at(5, 10);
    harness.end().await;
}

async fn an_exact_revert_puts_the_old_revision_back_without_a_new_one(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    let old = harness.promoted("hello", &first).await.stable.unwrap();
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    harness.promoted("hello", &second).await;
    let history = harness.watch_traffic("hello");
    harness.push("Revert: greet one", &[Hello::new("hello", "one")]);
    let status = harness
        .until("hello", "back on the first revision", |status| {
            status.phase == Phase::Stable
                && status
                    .stable
                    .as_ref()
                    .is_some_and(|stable| stable.revision == old.revision)
        })
        .await;
    assert_eq!(status.history[0].outcome, Outcome::Reverted);
    let old = old.revision.unwrap();
    assert_eq!(history.shares(&old), [0, 100], "at once, with no canary");
    assert!(
        harness.ask("hello").await.body.contains("one"),
        "{status:#?}"
    );
    harness.end().await;
}

async fn what_was_rolled_back_stays_out_across_a_restart_of_the_agent_until_a_person_says_retry(
    expand: Expand,
) {
    let mut harness = Harness::brisk(expand).await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    let stable = harness.promoted("hello", &first).await.stable.unwrap();
    let bad = Hello::new("hello", "two").env("CRASH_AT_START", "3");
    let bad = harness.push("Crash", &[bad]);
    harness.rolled_back("hello", &bad).await;

    harness.stop_agent().await;
    harness.start_agent().await;
    // A second service shows that the new agent has read Git and acted on it.
    let other = harness.push("Another service", &[Hello::new("other", "one")]);
    harness.promoted("other", &other).await;
    let status = harness.until("hello", "at rest", |_| true).await;
    assert_eq!(
        (status.phase, status.stable.unwrap().revision),
        (Phase::RolledBack, stable.revision)
    );

    let request = json!({"spec": {"requests": [{"id": "again", "action": "retry"}]}});
    let rollouts: Api<ServiceRollout> =
        Api::namespaced(harness.client.clone(), harness.namespace());
    rollouts
        .patch("hello", &PatchParams::default(), &Patch::Merge(&request))
        .await
        .unwrap();
    let status = harness
        .until("hello", "tried again and rolled back again", |status| {
            status.phase == Phase::RolledBack
                && status.quarantine.iter().any(|bad| bad.attempt == 1)
        })
        .await;
    assert!(status.answer("again").is_some());
    harness.end().await;
}
