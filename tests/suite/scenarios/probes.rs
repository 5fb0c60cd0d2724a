//! What probes ask for is a team's to say, and what nobody asked for speaks for nothing.

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice::api::delivery::Expand;
use sluice::api::rollout::{HoldReason, Phase, ServiceRollout};
use sluice::api::rollout_policy::ReadinessOnly;

use crate::harness::{Harness, Hello, Setting, brisk, in_both_forms};

in_both_forms!(
    a_path_that_the_service_names_is_probed_and_every_line_says_so,
    a_release_that_is_slow_at_its_start_is_promoted_and_harms_nobody,
    a_readiness_path_alone_holds_a_quiet_release_until_a_person_promotes_it,
);

async fn a_path_that_the_service_names_is_probed_and_every_line_says_so(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    // Its readiness path is well whatever its users meet.
    let probed = |target| {
        Hello::new("hello", target)
            .annotated("sluice.dev/probe-path", "/healthz, /shop")
            .annotated("sluice.dev/probe-expected-status", "200-299")
    };
    let first = harness.push("Open the shop", &[probed("one")]);
    let status = harness.promoted("hello", &first).await;
    let reason = &status.history[0].reason;
    assert!(reason.contains("probes at /healthz, /shop"), "{reason}");
    let bad = probed("two").env("FAIL_PERCENT", "100");
    let bad = harness.push("Fail", &[bad]);
    let status = harness.rolled_back("hello", &bad).await;
    assert_eq!(status.history[0].weight, 0, "it never met a user");
    let reason = &status.quarantine[0].reason;
    assert!(reason.contains("probes at /healthz, /shop"), "{reason}");
    assert!(
        reason.contains("GET /shop: 500, expected 200-299"),
        "{reason}"
    );
    harness.end().await;
}

async fn a_release_that_is_slow_at_its_start_is_promoted_and_harms_nobody(expand: Expand) {
    let harness = Harness::set(Setting {
        expand,
        policy: "fast".to_owned(),
        ..Setting::default()
    })
    .await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    let good = Hello::new("hello", "two").env("DELAY_MS", "600");
    let good = good.env("DELAY_FOR_MS", "5000").without_readiness_path();
    let good = harness.push("Greet two", &[good]);
    let probed = |status: &sluice::api::rollout::RolloutStatus| {
        assert!(status.quarantine.is_empty(), "{:#?}", status.quarantine);
        status.phase == Phase::Stepping && status.weight == 5
    };
    let status = harness.until("hello", "at 5 %", probed).await;
    assert_eq!(status.candidate.unwrap().commit.as_ref(), Some(&good));
    harness.end().await;
}

async fn a_readiness_path_alone_holds_a_quiet_release_until_a_person_promotes_it(expand: Expand) {
    let harness = Harness::set(Setting {
        expand,
        policy: "careful".to_owned(),
        ..Setting::default()
    })
    .await;
    let mut careful = brisk();
    careful.analysis.low_traffic.readiness_only = ReadinessOnly::Hold;
    harness.policy("careful", careful).await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    // What users ask for always fails, and nobody comes.
    let bad = Hello::new("hello", "two").env("FAIL_PERCENT", "100");
    let bad = harness.push("Fail", &[bad]);
    let held = |status: &sluice::api::rollout::RolloutStatus| status.phase == Phase::Holding;
    let status = harness.until("hello", "held", held).await;
    assert_eq!(status.hold.as_ref().unwrap().reason, HoldReason::Evidence);
    for words in [
        "synthetic probes at /healthz",
        "users sent 0 of 2",
        "sluice rollout promote hello",
    ] {
        assert!(status.message.contains(words), "{}", status.message);
    }
    let request = json!({"spec": {"requests": [{"id": "on", "action": "promote"}]}});
    let rollouts: Api<ServiceRollout> =
        Api::namespaced(harness.client.clone(), harness.namespace());
    rollouts
        .patch("hello", &PatchParams::default(), &Patch::Merge(&request))
        .await
        .unwrap();
    harness.promoted("hello", &bad).await;
    harness.end().await;
}
