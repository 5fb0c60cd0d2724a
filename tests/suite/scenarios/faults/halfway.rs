//! A release that stands at 50 %, and a candidate that fails when the story says so.

use std::time::Duration;

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::json;
use sluice::api::delivery::Expand;
use sluice::api::rollout::{Phase, Release};
use sluice::api::rollout_policy::RolloutPolicy;

use super::{hello, open_shop};
use crate::harness::{Harness, Hello, Setting, share, split_of};

/// How long the cluster has to confirm a rollback before stable alone is written: longer than any story waits for it,
/// so that nothing comes down by that alone.
pub const CONFIRM_TIMEOUT: Duration = Duration::from_secs(60);

/// One whose process ends when it is told to.
pub fn fragile(target: &str) -> Hello {
    hello(target).env("CRASH_ON_PATH", "/crash")
}

/// A release that stands at 50 %.
pub struct Halfway {
    pub harness: Harness,
    pub stable: String,
    pub candidate: String,
}

impl Halfway {
    /// Such a release; other stories may be told on the same cluster.
    pub async fn begin(expand: Expand) -> Self {
        Self::told(expand, false).await
    }

    /// For a story that changes something of the whole cluster: nobody else's is told meanwhile.
    pub async fn alone(expand: Expand) -> Self {
        Self::told(expand, true).await
    }

    async fn told(expand: Expand, alone: bool) -> Self {
        let mut harness = Harness::new(Setting {
            expand,
            policy: "quick".to_owned(),
            alone,
            ..Setting::default()
        })
        .await;
        harness.start_agent().await;
        open_shop(&harness, "10m").await;
        let policies: Api<RolloutPolicy> =
            Api::namespaced(harness.client.clone(), harness.namespace());
        let patient =
            json!({"spec": {"confirmTimeout": format!("{}s", CONFIRM_TIMEOUT.as_secs())}});
        let patch = Patch::Merge(patient);
        policies
            .patch("quick", &PatchParams::default(), &patch)
            .await
            .unwrap();
        harness.push("Greet two", &[fragile("two")]);
        let status = harness
            .until("hello", "at 50 %", |status| {
                status.phase == Phase::Stepping && status.confirmed_at.is_some()
            })
            .await;
        let name = |release: Option<Release>| release.unwrap().revision.unwrap();
        Self {
            harness,
            stable: name(status.stable),
            candidate: name(status.candidate),
        }
    }

    /// Its process ends twice, which is a pattern.
    pub async fn fail(&self) {
        self.harness.crash(&self.candidate, 2).await;
    }

    /// The candidate's share by what is asked of the cluster.
    pub async fn share_of_candidate(&self) -> i64 {
        let object = self.harness.traffic_object().get("hello").await.unwrap();
        share(&split_of(&object, "/spec/traffic"), &self.candidate)
    }

    /// Nobody is on the candidate any more, by what the Route has, and not by any memory.
    pub async fn comes_down(&self) {
        let candidate = self.candidate.clone();
        let down =
            |object: &DynamicObject| share(&split_of(object, "/status/traffic"), &candidate) == 0;
        let api = self.harness.serving("Route");
        let object = self.harness.when(api, "hello", "stable alone", down).await;
        assert_eq!(
            share(&split_of(&object, "/status/traffic"), &self.stable),
            100
        );
        assert_eq!(self.harness.ask("hello").await.body, "Hello one!\n");
    }
}
