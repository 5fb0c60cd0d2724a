//! Knative stops at a template under a revision name that exists with another content: a Service's traffic is not
//! carried to its Route any more. A candidate that fails meanwhile loses its users all the same.

use kube::api::DynamicObject;
use serde_json::json;
use sluice::api::delivery::Expand;
use sluice::api::rollout::Phase;

use super::halfway::Halfway;
use super::hello;
use crate::harness::in_both_forms;

in_both_forms!(
    a_hand_s_template_under_the_candidate_s_name_keeps_no_failing_candidate_up,
    a_hand_s_template_under_stable_s_name_keeps_no_failing_candidate_up,
);

/// Stable's template comes back under its own name: Knative makes no Revision of it.
async fn a_hand_s_template_under_the_candidate_s_name_keeps_no_failing_candidate_up(
    expand: Expand,
) {
    let halfway = Halfway::begin(expand).await;
    let name = halfway.candidate.clone();
    goes_down(halfway, &name).await;
}

/// That name is the one that Knative stops at: stable's template comes back under a new one.
async fn a_hand_s_template_under_stable_s_name_keeps_no_failing_candidate_up(expand: Expand) {
    let halfway = Halfway::begin(expand).await;
    let name = halfway.stable.clone();
    goes_down(halfway, &name).await;
}

async fn goes_down(halfway: Halfway, name: &str) {
    let harness = &halfway.harness;
    let used = hello("a hand").revision(name).configuration();
    let change = json!({"spec": {"template": used["spec"]["template"]}});
    harness
        .by_hand(&harness.template_object(), "hello", "kubectl-edit", &change)
        .await;
    harness
        .when(harness.serving("Configuration"), "hello", "stopped", |c| {
            says(c, "Ready", "False", "RevisionFailed")
        })
        .await;
    halfway.fail().await;
    halfway.comes_down().await;
    harness
        .until("hello", "rolled back", |status| {
            status.phase == Phase::RolledBack
        })
        .await;
    harness
        .when(harness.traffic_object(), "hello", "Ready", |object| {
            says(object, "Ready", "True", "")
        })
        .await;
    let fix = harness.push("Mended", &[hello("three")]);
    harness
        .until("hello", "the fix at its step", |status| {
            let candidate = status.candidate.as_ref();
            candidate.and_then(|release| release.commit.as_ref()) == Some(&fix)
                && status.phase == Phase::Stepping
                && status.confirmed_at.is_some()
        })
        .await;
    halfway.harness.end().await;
}

/// Whether a condition stands so; an empty reason is any.
fn says(object: &DynamicObject, kind: &str, status: &str, reason: &str) -> bool {
    let conditions = object.data["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions.any(|c| {
        c["type"] == kind && c["status"] == status && (reason.is_empty() || c["reason"] == reason)
    })
}
