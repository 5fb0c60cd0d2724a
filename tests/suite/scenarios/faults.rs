//! What fails around a release: the API server, Git, the agent, the whole machine. Whatever it
//! is, users are served, and the release comes to the end that it would have come to.

mod death;
mod down;
mod git;
mod halfway;
mod mortal;
mod outage;
mod relay;
mod stopped;

use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use sluice::api::delivery::Expand;
use sluice::api::rollout_policy::RolloutPolicy;

use crate::harness::{Harness, Hello, Setting};

/// A stage for hurried releases: under the policy `quick`, without an agent, not delivered yet.
async fn hurried(expand: Expand) -> Harness {
    Harness::new(Setting {
        expand,
        policy: "quick".to_owned(),
        ..Setting::default()
    })
    .await
}

/// One step at 50 %, and no time lost. `bake` is how long it stands there.
async fn quick_policy(harness: &Harness, bake: &str) {
    let policy = json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "RolloutPolicy",
    "metadata": {"name": "quick", "namespace": harness.namespace()},
    "spec": {
        "steps": [{"weight": 50}],
        "bake": bake, "interval": "100ms", "progressDeadline": "20s", "confirmTimeout": "10s",
        "stepTimeout": "20m", "probes": {"count": 3},
        "analysis": {"minRequests": 2, "p99": {"max": "30s"}, "p50": {"max": "30s"}, "warmUp": {"requests": 0, "duration": "0s"},
            "lowTraffic": {"requests": 3, "readinessOnly": "Promote"}},
    }});
    let api: Api<RolloutPolicy> = Api::namespaced(harness.client.clone(), harness.namespace());
    let params = PatchParams::apply("test").force();
    api.patch("quick", &params, &Patch::Apply(policy))
        .await
        .unwrap();
}

/// `hello` delivered, and at rest on its first revision; the commit that it rests on.
async fn open_shop(harness: &Harness, bake: &str) -> String {
    quick_policy(harness, bake).await;
    harness.deliver().await;
    let first = harness.push("Open the shop", &[hello("one")]);
    harness.promoted("hello", &first).await;
    first
}

fn hello(target: &str) -> Hello {
    Hello::new("hello", target)
}
