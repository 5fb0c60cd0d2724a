//! A thousand manifests, the policy that lets them in, and the node that is played.

use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use serde_json::json;
use sluice::api::rollout_policy::RolloutPolicy;

use crate::fixture::{Fixture, NAMESPACE};
use crate::repository::TestRepository;

/// The policy: nothing is asked of a first revision but to be Ready.
pub const UNPROBED: &str = "unprobed";

/// The service of a number.
pub fn name(number: usize) -> String {
    format!("s-{number:04}")
}

/// Writes the files of `count` services.
pub fn write(repository: &TestRepository, count: usize, target: &str) {
    for number in 0..count {
        write_one(repository, &name(number), target);
    }
}

/// Writes the file of one.
pub fn write_one(repository: &TestRepository, name: &str, target: &str) {
    repository.write(&path(name), &manifest(name, target));
}

/// Adds a comment to every file: new content, the same objects.
pub fn comment(repository: &TestRepository, count: usize) {
    for number in 0..count {
        let name = name(number);
        let commented = format!("# Reviewed.\n{}", manifest(&name, "one"));
        repository.write(&path(&name), &commented);
    }
}

fn path(name: &str) -> String {
    format!("apps/{name}.yaml")
}

fn manifest(name: &str, target: &str) -> String {
    format!(
        "apiVersion: serving.knative.dev/v1\n\
         kind: Service\n\
         metadata:\n\
         \x20 name: {name}\n\
         \x20 labels: {{team: shop}}\n\
         spec:\n\
         \x20 template:\n\
         \x20   metadata:\n\
         \x20     annotations:\n\
         \x20       autoscaling.knative.dev/min-scale: \"1\"\n\
         \x20   spec:\n\
         \x20     containers:\n\
         \x20       - image: sluice.local/hello\n\
         \x20         env:\n\
         \x20           - {{name: TARGET, value: \"{target}\"}}\n\
         \x20         resources:\n\
         \x20           requests: {{cpu: 50m, memory: 32Mi}}\n"
    )
}

/// The object that a manifest of `kind` is applied as, by whoever has no agent.
pub fn object(kind: &str, name: &str) -> serde_json::Value {
    let template = json!({
        "metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1"}},
        "spec": {"containers": [{
            "image": "sluice.local/hello",
            "env": [{"name": "TARGET", "value": "one"}],
            "resources": {"requests": {"cpu": "50m", "memory": "32Mi"}},
        }]},
    });
    let spec = match kind {
        "Route" => json!({"traffic": [{"revisionName": format!("{name}-00001"), "percent": 100}]}),
        _ => json!({"template": template}),
    };
    json!({
        "apiVersion": "serving.knative.dev/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"team": "shop"}},
        "spec": spec,
    })
}

/// Installs Sluice's kinds and the policy.
pub async fn policy(stage: &Fixture) -> anyhow::Result<()> {
    stage.install_kinds().await?;
    let policy: RolloutPolicy = serde_json::from_value(json!({
        "apiVersion": "sluice.dev/v1alpha1",
        "kind": "RolloutPolicy",
        "metadata": {"name": UNPROBED},
        "spec": {"probes": {"count": 0}},
    }))?;
    let api: Api<RolloutPolicy> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let params = PatchParams::apply("bench").force();
    api.patch(UNPROBED, &params, &Patch::Apply(&policy)).await?;
    Ok(())
}

/// Every Pod is Running and Ready as soon as it is there, and gone as soon as it shall go.
pub async fn play_node(client: kube::Client) {
    let all: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let pods = watcher(all.clone(), watcher::Config::default())
        .default_backoff()
        .applied_objects();
    pods.for_each_concurrent(8, |seen| {
        let all = all.clone();
        async move {
            // A watch that broke off is begun again; a Pod that went meanwhile needs nothing.
            if let Ok(pod) = seen {
                let _ = play(&all, &pod).await;
            }
        }
    })
    .await;
}

async fn play(all: &Api<Pod>, pod: &Pod) -> kube::Result<()> {
    let name = pod.name_any();
    if pod.metadata.deletion_timestamp.is_some() {
        let at_once = DeleteParams::default().grace_period(0);
        all.delete(&name, &at_once).await?;
        return Ok(());
    }
    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref());
    if phase == Some("Running") {
        return Ok(());
    }
    // Where it would listen, if it did; the gateway counts no instance without.
    let port = json!({"metadata": {"annotations": {"local.sluice.dev/port": "9"}}});
    let status = json!({"status": {
        "phase": "Running",
        "podIP": "127.0.0.1",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "user-container", "ready": true, "restartCount": 0,
            "image": "sluice.local/hello", "imageID": "", "state": {"running": {}}}],
    }});
    let params = PatchParams::default();
    all.patch(&name, &params, &Patch::Merge(&port)).await?;
    all.patch_status(&name, &params, &Patch::Merge(&status))
        .await?;
    Ok(())
}
