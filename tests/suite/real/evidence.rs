//! Evidence where Sluice finds it by itself: Kourier's Envoy, and else the queue-proxies.

use sluice::api::rollout::{EvidenceSource, RolloutStatus};

use super::{at_hand, kubectl};
use crate::harness::{Harness, Hello, Setting};

fn sources(status: &RolloutStatus) -> Vec<EvidenceSource> {
    status
        .evidence
        .iter()
        .map(|evidence| evidence.source)
        .collect()
}

const BY_USERS: [EvidenceSource; 4] = [
    EvidenceSource::Probes,
    EvidenceSource::Metrics,
    EvidenceSource::Metrics,
    EvidenceSource::Metrics,
];

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_judged_by_what_kouriers_envoy_counted_of_users() {
    if !at_hand() {
        return;
    }
    let harness = Harness::set(Setting::default()).await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    let users = harness.users("hello", 30);
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let status = harness.promoted("hello", &second).await;
    assert_eq!(sources(&status), BY_USERS, "{:#?}", status.evidence);
    let answers = users.stop().await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    harness.end().await;
}

/// Hides Kourier's Services from whoever looks for them, and has the queue-proxies count.
struct WithoutEnvoy;

impl WithoutEnvoy {
    const LABEL: &str = "networking.knative.dev/ingress-provider";

    fn begin() -> Self {
        let counting = r#"{"data": {"request-metrics-protocol": "prometheus"}}"#;
        kubectl(&[
            "patch",
            "configmap",
            "config-observability",
            "-n",
            "knative-serving",
            "--type=merge",
            "-p",
            counting,
        ]);
        Self::label("hidden");
        Self
    }

    fn label(value: &str) {
        let label = format!("{}={value}", Self::LABEL);
        for service in ["kourier", "kourier-internal"] {
            kubectl(&[
                "label",
                "service",
                service,
                "-n",
                "kourier-system",
                "--overwrite",
                &label,
            ]);
        }
    }
}

impl Drop for WithoutEnvoy {
    fn drop(&mut self) {
        Self::label("kourier");
        let quiet = r#"{"data": {"request-metrics-protocol": null}}"#;
        kubectl(&[
            "patch",
            "configmap",
            "config-observability",
            "-n",
            "knative-serving",
            "--type=merge",
            "-p",
            quiet,
        ]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_gateway_keeps_no_counters_the_queue_proxies_are_asked() {
    if !at_hand() {
        return;
    }
    let harness = Harness::set(Setting {
        alone: true,
        ..Setting::default()
    })
    .await;
    let without = WithoutEnvoy::begin();
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    let users = harness.users("hello", 30);
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let status = harness.promoted("hello", &second).await;
    assert_eq!(sources(&status), BY_USERS, "{:#?}", status.evidence);
    let last = &status.evidence[status.evidence.len() - 1].reason;
    assert!(
        last.contains("by queue-proxies, which tell neither hangs"),
        "{last}"
    );
    let bad = harness.push(
        "Half of the answers fail",
        &[Hello::new("hello", "three").env("FAIL_PERCENT", "50")],
    );
    let status = harness.rolled_back("hello", &bad).await;
    assert_eq!(status.history[0].weight, 5, "{:#?}", status.history[0]);
    users.stop().await;
    drop(without);
    harness.end().await;
}
