//! Where the gateway's counters cannot be had: each Pod's queue-proxy keeps some of its own, if
//! Knative's `config-observability` says `request-metrics-protocol: prometheus`.
//!
//! They see less than a gateway: what never came to a Pod is in none of them.

use serde_json::Value;

use crate::api::serving::label;
use crate::cluster::Cluster;

/// The queue-proxy's port for request metrics, as Knative names it.
const PORT: &str = "http-usermetric";

/// The metrics pages of the Pods of these revisions, as the watch knows them.
pub fn pages(cluster: &Cluster, namespace: &str, revisions: &[&str]) -> Vec<String> {
    cluster
        .list("", "Pod", Some(namespace))
        .iter()
        .filter_map(|pod| page(&pod.value(), revisions))
        .collect()
}

fn page(pod: &Value, revisions: &[&str]) -> Option<String> {
    let revision = pod.get("metadata")?.get("labels")?.get(label::REVISION)?;
    if !revisions.contains(&revision.as_str()?) {
        return None;
    }
    let ip = pod.pointer("/status/podIP")?.as_str()?;
    let ip = if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip.to_owned()
    };
    let containers = pod.pointer("/spec/containers")?.as_array()?;
    let mut ports = containers
        .iter()
        .filter_map(|container| container.get("ports")?.as_array())
        .flatten();
    let port = ports.find(|port| port.get("name").and_then(Value::as_str) == Some(PORT))?;
    let port = port.get("containerPort")?.as_u64()?;
    Some(format!("http://{ip}:{port}/metrics"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(revision: &str, port: &str, ip: Option<&str>) -> Value {
        json!({
            "metadata": {"labels": {"serving.knative.dev/revision": revision}},
            "spec": {"containers": [
                {"name": "user-container"},
                {"name": "queue-proxy", "ports": [
                    {"name": "http-autometric", "containerPort": 9090},
                    {"name": port, "containerPort": 9091}]},
            ]},
            "status": {"podIP": ip},
        })
    }

    #[test]
    fn each_pod_of_the_two_revisions_has_a_page() {
        let both = ["hello-00001", "hello-00002"];
        let at = |pod: Value| page(&pod, &both);
        assert_eq!(
            at(pod("hello-00002", PORT, Some("10.1.0.7"))).as_deref(),
            Some("http://10.1.0.7:9091/metrics")
        );
        assert_eq!(
            at(pod("hello-00001", PORT, Some("fd00::7"))).as_deref(),
            Some("http://[fd00::7]:9091/metrics")
        );
        assert_eq!(at(pod("hello-00003", PORT, Some("10.1.0.7"))), None);
        assert_eq!(at(pod("hello-00002", PORT, None)), None, "not started yet");
        assert_eq!(
            at(pod("hello-00002", "other", Some("10.1.0.7"))),
            None,
            "not on Knative's queue-proxy"
        );
    }
}
