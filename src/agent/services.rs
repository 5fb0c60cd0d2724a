//! The loops of one Delivery's services: started, told what Git wants, and ended.
//!
//! Of two loops for one service each would undo what the other does, so a service that is
//! no longer this Delivery's loses its loop before anybody else can hear of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::config_changes::ConfigChanges;
use super::context::Context;
use super::from_cluster::{self, Footing};
use super::index::Name;
use super::service::{DesiredService, ServiceLoop, ServiceSummary};
use super::source::Checkout;
use super::template_origin::TemplateOrigins;
use crate::api::delivery::{DeliverySpec, Problem};
use crate::api::object::ObjectKey;
use crate::api::rollout::ConfigChange;
use crate::api::rollout_policy::RolloutPolicySpec;
use crate::api::{GROUP, VERSION, serving};
use crate::plan::{Action, ConfigDiff, DeliveryId, Plan, ServiceIntent, Why};
use crate::policy::{self, Policy};
use crate::presets::PRESETS;

/// How often it is said that the releases of a deleted Delivery are not rolled back yet.
const REMINDER: Duration = Duration::from_secs(60);

/// The loops, by namespace and name.
pub struct Services {
    context: Arc<Context>,
    running: BTreeMap<Name, Running>,
    /// Of these, the ones that left Git and may not be pruned.
    kept: BTreeSet<Name>,
    template_origins: TemplateOrigins,
    config_changes: ConfigChanges,
    /// Told whenever a service stands differently.
    news: Arc<Notify>,
    cancel: CancellationToken,
}

struct Running {
    wanted: watch::Sender<Arc<DesiredService>>,
    summary: watch::Receiver<ServiceSummary>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    /// Where the service stands with what Git wants of it now: where it stood with something
    /// else before is no answer.
    fn summary(&self) -> ServiceSummary {
        let summary = self.summary.borrow().clone();
        if summary.template.as_ref() == Some(&self.wanted.borrow().intent.template_hash) {
            summary
        } else {
            ServiceSummary::default()
        }
    }

    async fn end(self) {
        self.cancel.cancel();
        let _ = self.task.await;
    }
}

/// What becomes of a loop whose service the plan does not want any more.
enum Fate {
    /// Git still means it, or nobody knows: it goes on as before.
    Stays,
    /// It left Git and is kept in the cluster: a release on its way is brought to its end, and
    /// it is not counted any more.
    Kept,
    /// It is another Delivery's, or a person's.
    Ends,
    /// Nothing of it is left: its ServiceRollout goes as well.
    Forgotten,
}

impl Services {
    /// No service yet.
    pub fn new(context: Arc<Context>, news: Arc<Notify>, cancel: CancellationToken) -> Self {
        Self {
            context,
            running: BTreeMap::new(),
            kept: BTreeSet::new(),
            template_origins: TemplateOrigins::default(),
            config_changes: ConfigChanges::default(),
            news,
            cancel,
        }
    }

    /// Notes what a commit has changed of what the services' templates name: their loops hear of it with
    /// [`Self::sync`].
    pub fn note_config_changes(&mut self, plan: &Plan, checkout: &Checkout, diffs: &[ConfigDiff]) {
        let snapshot = &checkout.snapshot;
        for diff in diffs {
            let change = ConfigChange {
                kind: diff.object.kind.clone(),
                name: diff.object.name.clone(),
                commit: snapshot.commit.to_string(),
                subject: snapshot.subject.clone(),
                diff: diff.lines.clone(),
                since: Timestamp::now(),
            };
            let named = plan.services.iter();
            for intent in named.filter(|intent| intent.names_config(&diff.object)) {
                let name = (intent.namespace.clone(), intent.name.clone());
                self.config_changes.note(name, change.clone());
            }
        }
    }

    /// Tells each service's loop what Git wants of it now, starting loops that are missing.
    pub fn sync(
        &mut self,
        spec: &DeliverySpec,
        checkout: &Checkout,
        policies: &BTreeMap<String, RolloutPolicySpec>,
        plan: &Plan,
    ) {
        for intent in &plan.services {
            let name = (intent.namespace.clone(), intent.name.clone());
            let (commit, subject) =
                self.template_origins
                    .of(&self.context.cluster, &name, intent, checkout);
            let wanted = Arc::new(DesiredService {
                intent: intent.clone(),
                policy: resolve(intent, spec, policies),
                commit,
                subject,
                suspended: spec.suspend,
                withdrawn: false,
                source_problem: None,
                drift: spec.drift,
                config_changes: self.config_changes.of(&name),
            });
            match self.running.get(&name) {
                // One that broke is begun again, from what its ServiceRollout remembers.
                Some(running) if !running.task.is_finished() => {
                    running.wanted.send_if_modified(|known| {
                        let changed = **known != *wanted;
                        if changed {
                            *known = wanted;
                        }
                        changed
                    });
                }
                _ => {
                    let running = self.start(wanted);
                    self.running.insert(name, running);
                }
            }
        }
    }

    /// Watches on over the releases of a Delivery that are under way while it is not known what Git wants: whoever
    /// has a loop keeps it.
    pub fn take_up(
        &mut self,
        delivery: &DeliveryId,
        spec: &DeliverySpec,
        policies: &BTreeMap<String, RolloutPolicySpec>,
        why: &str,
    ) {
        for rollout in self.context.cluster.list(GROUP, "ServiceRollout", None) {
            let namespace = rollout.key.namespace.clone().unwrap_or_default();
            let name = (namespace, rollout.key.name.clone());
            // Looked at first: of a thousand services that have their loops no status is read.
            if self.running.contains_key(&name) {
                continue;
            }
            let release = from_cluster::under_way(&self.context.cluster, &rollout);
            let Some(release) = release.filter(|release| release.intent.delivery == *delivery)
            else {
                continue;
            };
            let intent = &release.intent;
            let policy = resolve(intent, spec, policies);
            let wanted = release.wanted(policy, Footing::SourceAway(why.to_owned()));
            warn!(service = %format_args!("{}/{}", name.0, name.1), "its release is watched from what the cluster has: {why}");
            let running = self.start(Arc::new(wanted));
            self.running.insert(name, running);
        }
    }

    fn start(&self, wanted: Arc<DesiredService>) -> Running {
        let (wanted, receiver) = watch::channel(wanted);
        let (summary, seen) = watch::channel(ServiceSummary::default());
        let cancel = self.cancel.child_token();
        let service = ServiceLoop::new(self.context.clone(), receiver, summary, self.news.clone());
        let task = tokio::spawn(service.run(cancel.clone()));
        Running {
            wanted,
            summary: seen,
            cancel,
            task,
        }
    }

    /// Ends the loops of services that are no longer this Delivery's. Call it before the
    /// inventory is stored: another Delivery may take a service over from that moment on.
    pub async fn stop_unowned(&mut self, plan: &Plan) {
        let wanted: BTreeSet<(&str, &str)> = plan
            .services
            .iter()
            .map(|service| (service.namespace.as_str(), service.name.as_str()))
            .collect();
        let unwanted: Vec<Name> = self
            .running
            .keys()
            .filter(|(namespace, name)| !wanted.contains(&(namespace.as_str(), name.as_str())))
            .cloned()
            .collect();
        self.kept.clear();
        for name in unwanted {
            let fate = match self.running.get(&name) {
                Some(running) => fate(&running.wanted.borrow().intent, plan),
                None => continue,
            };
            if matches!(fate, Fate::Kept) {
                self.kept.insert(name.clone());
            }
            if matches!(fate, Fate::Stays | Fate::Kept) {
                continue;
            }
            info!(service = %format_args!("{}/{}", name.0, name.1), "its releases are no longer watched from here");
            self.end(&name).await;
            if matches!(fate, Fate::Forgotten) {
                self.forget_rollout(&name).await;
            }
        }
    }

    /// Ends the loops of services that are about to be pruned, and forgets their releases.
    pub async fn stop_pruned(&mut self, plan: &Plan) {
        let pruned = plan
            .steps
            .iter()
            .filter(|step| matches!(step.action, Action::Prune { .. }))
            .filter(|step| step.key.group == serving::GROUP);
        for step in pruned {
            let name = (
                step.key.namespace.clone().unwrap_or_default(),
                step.key.name.clone(),
            );
            if self.end(&name).await {
                self.forget_rollout(&name).await;
            }
        }
    }

    /// Ends one loop; `false` where there is none.
    async fn end(&mut self, name: &Name) -> bool {
        let Some(running) = self.running.remove(name) else {
            return false;
        };
        running.end().await;
        self.config_changes.forget(name);
        self.template_origins.forget(name);
        true
    }

    async fn forget_rollout(&self, name: &Name) {
        let key = ObjectKey::namespaced(GROUP, "ServiceRollout", &name.0, &name.1);
        if let Some(live) = self.context.cluster.get(&key)
            && let Err(error) = self.context.cluster.delete(&key, VERSION, &live.uid).await
        {
            warn!("{error}");
        }
    }

    /// Rolls back releases that no Delivery watches, and ends.
    pub async fn roll_back(mut self, releases: Vec<Arc<DesiredService>>) {
        for wanted in releases {
            let name = (wanted.intent.namespace.clone(), wanted.intent.name.clone());
            let running = self.start(wanted);
            self.running.insert(name, running);
        }
        self.roll_back_all().await;
        self.stop().await;
    }

    /// The Delivery was deleted: nobody will watch its releases any more, so what is not yet
    /// good is rolled back, however long the cluster takes to confirm it. What rests stays as it is.
    pub async fn roll_back_all(&mut self) {
        let withdrawals: Vec<_> = self
            .running
            .values_mut()
            .map(|running| {
                running.wanted.send_modify(|wanted| {
                    *wanted = Arc::new(DesiredService {
                        withdrawn: true,
                        ..DesiredService::clone(wanted)
                    });
                });
                let mut summary = running.summary.clone();
                async move {
                    let _ = summary.wait_for(|summary| summary.withdrawn).await;
                }
            })
            .collect();
        let all = futures::future::join_all(withdrawals);
        let mut all = std::pin::pin!(all);
        loop {
            tokio::select! {
                _ = &mut all => return,
                () = self.cancel.cancelled() => return,
                () = tokio::time::sleep(REMINDER) => warn!(
                    "a release of a deleted Delivery is not rolled back yet; its ServiceRollout says why"
                ),
            }
        }
    }

    /// The services that Git still has.
    fn counted(&self) -> impl Iterator<Item = (&Name, &Running)> {
        self.running
            .iter()
            .filter(|(name, _)| !self.kept.contains(*name))
    }

    /// Where each service stands.
    pub fn summaries(&self) -> Vec<ServiceSummary> {
        self.counted()
            .map(|(_, running)| running.summary())
            .collect()
    }

    /// What about the services needs a person.
    pub fn problems(&self) -> impl Iterator<Item = Problem> {
        self.counted().filter_map(|((namespace, name), running)| {
            let message = running.summary().problem?;
            Some(Problem {
                object: Some(ObjectKey::namespaced(
                    serving::GROUP,
                    "Service",
                    namespace,
                    name,
                )),
                origin: Some(running.wanted.borrow().intent.origin.clone()),
                message,
            })
        })
    }

    /// Ends every loop.
    pub async fn stop(&mut self) {
        let running = std::mem::take(&mut self.running);
        for one in running.values() {
            one.cancel.cancel();
        }
        for one in running.into_values() {
            one.end().await;
        }
    }
}

/// The policy of a service, or why there is none.
fn resolve(
    intent: &ServiceIntent,
    spec: &DeliverySpec,
    policies: &BTreeMap<String, RolloutPolicySpec>,
) -> Result<Policy, String> {
    let found = policy::resolve(
        intent.policy.as_deref(),
        spec.policy.as_deref(),
        |name| policies.get(name),
        PRESETS,
    );
    let policy = found.map_err(|error| error.to_string())?;
    policy
        .with_probe_annotations(&intent.probes)
        .map_err(|error| error.to_string())
}

/// What becomes of a service that is not among the plan's.
fn fate(intent: &ServiceIntent, plan: &Plan) -> Fate {
    let keys = intent.keys();
    let lost = plan.left.iter().any(|left| {
        matches!(left.why, Why::OwnedBy(_) | Why::MovedTo(_) | Why::NotOurs)
            && left.object.as_ref().is_some_and(|key| keys.contains(key))
    });
    let kept = plan.left.iter().any(|left| {
        matches!(left.why, Why::PruneDisabled)
            && left.object.as_ref().is_some_and(|key| keys.contains(key))
    });
    if lost {
        Fate::Ends
    } else if kept {
        Fate::Kept
    } else if keys.iter().any(|key| plan.inventory.contains(key)) {
        Fate::Stays
    } else {
        Fate::Forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest;
    use crate::plan::{Claims, DeliveryId, Input, LiveObject, plan};
    use crate::render::{Destination, render};
    use serde_json::json;

    type Cluster = BTreeMap<ObjectKey, Arc<LiveObject>>;

    fn planned(git: &[serde_json::Value], live: &Cluster, inventory: &[ObjectKey]) -> Plan {
        let files: Vec<manifest::File> = git
            .iter()
            .enumerate()
            .map(|(n, object)| manifest::File {
                path: format!("apps/{n}.yaml").into(),
                content: object.to_string().into_bytes().into(),
                id: [n as u8; 20],
            })
            .collect();
        let loaded = Arc::new(manifest::load(&files, &manifest::Options::default()));
        let to = Destination::new(DeliveryId::new("default", "shop"));
        plan(&Input {
            rendered: &render(&loaded, to, live),
            inventory,
            elsewhere: &Claims::default(),
            awaits: None,
            prune: false,
            drift: Default::default(),
            live,
        })
    }

    fn live(kind: &str, delivery: &str) -> (ObjectKey, Arc<LiveObject>) {
        let object = json!({"apiVersion": "serving.knative.dev/v1", "kind": kind, "metadata":
            {"name": "hello", "namespace": "default", "uid": kind, "resourceVersion": "1",
             "annotations": {"sluice.dev/delivery": delivery}}, "spec": {}});
        let object = Arc::new(LiveObject::new(object).unwrap());
        (object.key.clone(), object)
    }

    #[test]
    fn a_loop_ends_with_what_is_no_longer_ours_and_stays_with_what_merely_left_git() {
        let hello = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata":
            {"name": "hello"}, "spec": {"template": {"spec": {"containers": [{"image": "a"}]}}}});
        let settings = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
        let with = planned(&[hello, settings.clone()], &Cluster::new(), &[]);
        let intent = with.services[0].clone();
        let without = |delivery: Option<&str>| {
            let cluster: Cluster = delivery.into_iter().map(|by| live("Service", by)).collect();
            fate(
                &intent,
                &planned(std::slice::from_ref(&settings), &cluster, &with.inventory),
            )
        };
        assert!(matches!(without(Some("default.shop")), Fate::Stays));
        assert!(matches!(without(Some("default.other")), Fate::Ends));
        assert!(matches!(without(None), Fate::Forgotten));
    }
}
