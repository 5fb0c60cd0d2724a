//! Says of each Ingress that it is served: only after its routes are in force, so that
//! a Route's readiness means what it says.

use std::time::Duration;

use futures::StreamExt as _;
use jiff::Timestamp;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

use super::config_snapshot::Served;
use crate::controllers::{conditions::Conditions, kind::Kind, object::Object};

/// Statuses written at once.
const AT_ONCE: usize = 16;
/// The gateway's name inside the cluster; Routes' placeholder Services point at it.
const DOMAIN_INTERNAL: &str = "sluice-gateway.knative-serving.svc.cluster.local";
const DEPENDENTS: &[&str] = &["LoadBalancerReady", "NetworkConfigured"];

/// Writes statuses until cancelled, or until the sender is gone.
pub async fn run(
    client: Client,
    served: mpsc::UnboundedReceiver<Served>,
    cancel: CancellationToken,
) {
    let written = UnboundedReceiverStream::new(served)
        .for_each_concurrent(AT_ONCE, |served| write(client.clone(), served));
    tokio::select! { () = written => {}, () = cancel.cancelled() => {} }
}

/// Writes one status; tries again until it is written or there is nothing to write to.
async fn write(client: Client, served: Served) {
    let (namespace, name) = &served.name;
    let api: Api<Object> = Api::namespaced_with(client, namespace, &Kind::Ingress.resource());
    let status = json!({"status": ready(&served, Timestamp::now())});
    let mut pause = Duration::from_millis(50);
    loop {
        let error = match api
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
            .await
        {
            Ok(_) => return,
            Err(kube::Error::Api(answer)) if answer.code == 404 => return,
            Err(error) => error,
        };
        tracing::warn!(%namespace, ingress = %name, %error, "Ingress status not written: trying again");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
    }
}

fn ready(served: &Served, now: Timestamp) -> Value {
    let mut conditions = Conditions::begin(DEPENDENTS, &served.status, false, now);
    conditions.ok("NetworkConfigured");
    conditions.ok("LoadBalancerReady");
    let balancer = json!({"ingress": [{"domainInternal": DOMAIN_INTERNAL}]});
    json!({
        "observedGeneration": served.generation,
        "conditions": conditions.finish(),
        "publicLoadBalancer": balancer,
        "privateLoadBalancer": balancer,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::object::list;

    #[test]
    fn the_status_is_ready_at_the_generation_that_is_served() {
        let served = Served {
            name: ("default".into(), "hello".into()),
            generation: 3,
            status: Value::Null,
        };
        let status = ready(&served, Timestamp::UNIX_EPOCH);
        assert_eq!(status["observedGeneration"], 3);
        let shown: Vec<_> = list(&status, "conditions")
            .iter()
            .map(|c| {
                format!(
                    "{}={}",
                    c["type"].as_str().unwrap(),
                    c["status"].as_str().unwrap()
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "LoadBalancerReady=True",
                "NetworkConfigured=True",
                "Ready=True"
            ]
        );
        let again = Served {
            status: status.clone(),
            ..served
        };
        let later = ready(&again, Timestamp::from_second(60).unwrap());
        assert_eq!(later, status, "times move with changes only");
    }
}
