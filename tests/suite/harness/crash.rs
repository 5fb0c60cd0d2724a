//! Processes that end because they were asked to.

use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::{Api, ResourceExt};

use super::Harness;

impl Harness {
    /// Asks the only container of `hello`'s candidate to crash (`CRASH_ON_PATH: /crash`), so many times, each time
    /// that it is up. What the gateway answers meanwhile is not listened to: each has words of its own for it.
    pub async fn crash(&self, revision: &str, times: i32) {
        // One that was scaled to zero is started for that.
        self.ask("candidate-hello").await;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), self.namespace());
        let of_it =
            ListParams::default().labels(&format!("serving.knative.dev/revision={revision}"));
        let pod = pods.list(&of_it).await.unwrap().items.remove(0).name_any();
        for crashes in 0..times {
            let is_up_again = |pod: &Pod| {
                let status = pod.status.as_ref();
                let containers = status.and_then(|status| status.container_statuses.as_ref());
                containers.is_some_and(|all| {
                    all.iter().all(|one| one.ready)
                        && all.iter().any(|one| one.restart_count >= crashes)
                })
            };
            let what = format!("up after {crashes} crashes");
            self.when(pods.clone(), &pod, &what, is_up_again).await;
            self.ask_in(self.namespace(), "candidate-hello", "/crash")
                .await;
        }
    }
}
