//! A service that nobody uses: judged on requests of Sluice's own, and the record says so;
//! where the policy does not want that, it holds, says so, and goes on when users come.

use sluice::api::delivery::Expand;
use sluice::api::duration::HumanDuration;
use sluice::api::rollout::{EvidenceSource, HoldReason, Phase};

use crate::world::{Hello, Setting, World, brisk, in_both_forms};

in_both_forms!(
    without_users_a_good_release_is_judged_on_synthetic_probes_and_the_record_says_so,
    without_users_a_bad_release_is_rolled_back,
    without_synthetic_probes_it_holds_says_so_and_goes_on_when_users_come,
);

async fn without_users_a_good_release_is_judged_on_synthetic_probes_and_the_record_says_so(
    expand: Expand,
) {
    let world = World::brisk(expand).await;
    let first = world.push("Open the shop", &[Hello::new("hello", "one")]);
    world.promoted("hello", &first).await;
    let good = world.push("Greet two", &[Hello::new("hello", "two")]);
    let status = world.promoted("hello", &good).await;
    let steps: Vec<_> = status.evidence.iter().filter(|e| e.weight > 0).collect();
    assert_eq!(steps.len(), 3, "{:#?}", status.evidence);
    for step in steps {
        assert_eq!(step.source, EvidenceSource::SyntheticProbes, "{step:#?}");
        assert!(step.reason.contains("users sent 0 of 2"), "{}", step.reason);
    }
    assert!(world.ask("hello").await.body.contains("two"));
    world.end().await;
}

async fn without_users_a_bad_release_is_rolled_back(expand: Expand) {
    let world = World::brisk(expand).await;
    let first = world.push("Open the shop", &[Hello::new("hello", "one")]);
    world.promoted("hello", &first).await;
    let bad = Hello::new("hello", "two").env("FAIL_PERCENT", "30");
    let bad = world.push("Fail", &[bad.without_readiness_path()]);
    let status = world.rolled_back("hello", &bad).await;
    assert!(
        status.quarantine[0].reason.contains("probes"),
        "{}",
        status.quarantine[0].reason
    );
    assert!(world.ask("hello").await.body.contains("one"));
    world.end().await;
}

async fn without_synthetic_probes_it_holds_says_so_and_goes_on_when_users_come(expand: Expand) {
    let world = World::set(Setting {
        expand,
        policy: "users-only".to_owned(),
        ..Setting::default()
    })
    .await;
    let mut policy = brisk();
    policy.analysis.low_traffic.synthetic_probes = false;
    policy.step_timeout = HumanDuration::from_secs(4);
    world.policy("users-only", policy).await;
    let first = world.push("Open the shop", &[Hello::new("hello", "one")]);
    world.promoted("hello", &first).await;
    let good = world.push("Greet two", &[Hello::new("hello", "two")]);
    let held = world
        .until("hello", "held, and what for", |status| {
            status.phase == Phase::Holding
                && status
                    .message
                    .contains("0 requests are too few, 2 are needed")
        })
        .await;
    assert_eq!(held.hold.as_ref().unwrap().reason, HoldReason::Evidence);
    assert_eq!(held.weight, 5);
    world.told("ServiceRollout", "hello", "ReleaseHeld").await;
    let users = world.users("hello", 20);
    world.promoted("hello", &good).await;
    let answers = users.stop().await;
    let lost = answers.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(lost, 0, "of {}", answers.len());
    world.end().await;
}
