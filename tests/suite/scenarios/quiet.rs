//! A service that nobody uses: judged on requests of Sluice's own, and the record says so;
//! where the policy does not want that, it holds, says so, and goes on when users come.

use sluice::api::delivery::Expand;
use sluice::api::duration::HumanDuration;
use sluice::api::rollout::{EvidenceSource, HoldReason, Phase};

use crate::harness::{Harness, Hello, Setting, brisk, in_both_forms};

in_both_forms!(
    without_users_a_good_release_is_judged_on_synthetic_probes_and_the_record_says_so,
    without_users_a_bad_release_is_rolled_back,
    without_synthetic_probes_it_holds_says_so_and_goes_on_when_users_come,
);

async fn without_users_a_good_release_is_judged_on_synthetic_probes_and_the_record_says_so(
    expand: Expand,
) {
    let harness = Harness::brisk(expand).await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    let good = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let status = harness.promoted("hello", &good).await;
    let steps: Vec<_> = status.evidence.iter().filter(|e| e.weight > 0).collect();
    assert_eq!(steps.len(), 3, "{:#?}", status.evidence);
    for step in steps {
        assert_eq!(step.source, EvidenceSource::SyntheticProbes, "{step:#?}");
        assert!(step.reason.contains("users sent 0 of 2"), "{}", step.reason);
    }
    assert!(harness.ask("hello").await.body.contains("two"));
    harness.end().await;
}

async fn without_users_a_bad_release_is_rolled_back(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    let bad = Hello::new("hello", "two").env("FAIL_PERCENT", "30");
    let bad = harness.push("Fail", &[bad.without_readiness_path()]);
    let status = harness.rolled_back("hello", &bad).await;
    assert!(
        status.quarantine[0].reason.contains("probes"),
        "{}",
        status.quarantine[0].reason
    );
    assert!(harness.ask("hello").await.body.contains("one"));
    harness.end().await;
}

async fn without_synthetic_probes_it_holds_says_so_and_goes_on_when_users_come(expand: Expand) {
    let harness = Harness::set(Setting {
        expand,
        policy: "users-only".to_owned(),
        ..Setting::default()
    })
    .await;
    let mut policy = brisk();
    policy.analysis.low_traffic.synthetic_probes = false;
    policy.step_timeout = HumanDuration::from_secs(4);
    harness.policy("users-only", policy).await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    let good = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let held = harness
        .until("hello", "held, and what for", |status| {
            status.phase == Phase::Holding && status.message.contains("users sent 0 of 2")
        })
        .await;
    assert_eq!(held.hold.as_ref().unwrap().reason, HoldReason::Evidence);
    assert_eq!(held.weight, 5);
    harness.told("ServiceRollout", "hello", "ReleaseHeld").await;
    let users = harness.users("hello", 20);
    harness.promoted("hello", &good).await;
    let answers = users.stop().await;
    let lost = answers.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(lost, 0, "of {}", answers.len());
    harness.end().await;
}
