//! The Node object: one, called `local`, always ready while the cluster is.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node as NodeObject;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;

use super::environment::NODE_NAME;
use super::lifecycle::status::ADDRESS;

/// The version of Kubernetes whose kubelet this node behaves like.
const KUBELET_VERSION: &str = "v1.34.0";

/// Registers the node, or says that it is there again.
pub async fn register(client: &Client) -> Result<(), kube::Error> {
    let api: Api<NodeObject> = Api::all(client.clone());
    if api.get_opt(NODE_NAME).await?.is_none() {
        let node: NodeObject = serde_json::from_value(json!({
            "metadata": {
                "name": NODE_NAME,
                "labels": {
                    "kubernetes.io/hostname": NODE_NAME,
                    "kubernetes.io/os": std::env::consts::OS,
                    "kubernetes.io/arch": architecture(),
                },
            },
            "spec": {"podCIDR": "127.0.0.0/8"},
        }))
        .map_err(kube::Error::SerdeError)?;
        api.create(&PostParams::default(), &node).await?;
    }
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let capacity = json!({"cpu": cpus.to_string(), "pods": "4096"});
    let condition = |type_: &str, status: &str, reason: &str, message: &str| {
        json!({
            "type": type_, "status": status, "reason": reason, "message": message,
            "lastHeartbeatTime": now.to_string(), "lastTransitionTime": now.to_string(),
        })
    };
    let status = json!({"status": {
        "addresses": [
            {"type": "InternalIP", "address": ADDRESS},
            {"type": "Hostname", "address": NODE_NAME},
        ],
        "capacity": capacity,
        "allocatable": capacity,
        "conditions": [
            condition("Ready", "True", "KubeletReady", "this machine runs Pods as processes"),
        ],
        "nodeInfo": {
            "architecture": architecture(),
            "operatingSystem": std::env::consts::OS,
            "osImage": std::env::consts::OS,
            "kernelVersion": "",
            "containerRuntimeVersion": concat!("process://", env!("CARGO_PKG_VERSION")),
            "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": "",
            "machineID": "", "systemUUID": "", "bootID": "",
        },
    }});
    api.patch_status(NODE_NAME, &PatchParams::default(), &Patch::Merge(status))
        .await?;
    Ok(())
}

/// As Go, and so Kubernetes, names it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
