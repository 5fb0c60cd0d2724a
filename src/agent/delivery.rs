//! The loop of one Delivery: what Git says becomes a plan, the plan is carried out, and each
//! service's release gets a loop of its own.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::context::Context;
use super::index::Name;
use super::lineage::Lineage;
use super::reading;
use super::report::{self, Knowledge};
use super::service::{ServiceLoop, Standing, Wanted};
use super::source::{self, Checkout, Poll, SourceState};
use crate::api::delivery::{DEFAULT_INTERVAL, Delivery, DeliveryStatus, Problem, SYNC};
use crate::api::object::ObjectKey;
use crate::api::rollout_policy::RolloutPolicySpec;
use crate::api::{GROUP, VERSION, serving};
use crate::cluster::Changes;
use crate::manifest;
use crate::plan::{self, Action, DeliveryId, Destination, Input, Plan, Stage};
use crate::policy;

/// Least time between two plans.
const GAP: Duration = Duration::from_millis(100);
/// How soon something that failed is tried again, and at most how late.
const RETRY: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(60));

/// Runs one Delivery until cancelled. `spec` brings each change of the object.
pub async fn run(
    context: Arc<Context>,
    id: DeliveryId,
    spec: watch::Receiver<Arc<Delivery>>,
    cancel: CancellationToken,
) {
    let changes = context.cluster.changes();
    let status = spec.borrow().status.clone().unwrap_or_default();
    let mut this = DeliveryLoop {
        context,
        id,
        spec,
        changes,
        source: None,
        services: BTreeMap::new(),
        lineage: Lineage::default(),
        seen: BTreeMap::new(),
        status,
        news: Arc::new(Notify::new()),
        failures: 0,
        sync: None,
        cancel,
    };
    this.run().await;
    this.stop().await;
}

struct DeliveryLoop {
    context: Arc<Context>,
    id: DeliveryId,
    spec: watch::Receiver<Arc<Delivery>>,
    changes: Changes,
    source: Option<RunningSource>,
    services: BTreeMap<Name, RunningService>,
    lineage: Lineage,
    /// Content of every object of the inventory at the last plan.
    seen: BTreeMap<ObjectKey, Option<u64>>,
    status: DeliveryStatus,
    news: Arc<Notify>,
    failures: u32,
    /// The last `sluice sync`, and how often the remote had been looked at then.
    sync: Option<(String, u64)>,
    cancel: CancellationToken,
}

struct RunningSource {
    poll: Poll,
    state: watch::Receiver<SourceState>,
    wishes: mpsc::Sender<()>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

struct RunningService {
    wanted: watch::Sender<Arc<Wanted>>,
    standing: watch::Receiver<Standing>,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

/// What a pass came to.
#[derive(Default)]
struct Pass {
    applied: bool,
    problems: Vec<Problem>,
    inventory: Vec<ObjectKey>,
}

impl DeliveryLoop {
    async fn run(&mut self) {
        let mut due = true;
        let mut pass = Pass {
            inventory: self.status.inventory.clone(),
            ..Pass::default()
        };
        let mut retry = None;
        while !self.cancel.is_cancelled() {
            if due {
                let started = Instant::now();
                if let Some(done) = self.pass().await {
                    pass = done;
                }
                retry = self.next_try(&pass);
                // A plan over many services is not made again and again while they all move.
                let gap = GAP.max(started.elapsed() * 4);
                tokio::select! {
                    () = self.cancel.cancelled() => return,
                    () = tokio::time::sleep(gap) => {}
                }
            }
            self.report(&pass).await;
            due = self.wait(retry).await;
        }
    }

    /// Waits for something to do; `true` when a new plan is due, `false` for a report.
    async fn wait(&mut self, retry: Option<Duration>) -> bool {
        let source = async {
            match &mut self.source {
                Some(running) => running.state.changed().await.is_ok(),
                None => std::future::pending().await,
            }
        };
        let retry = async {
            match retry {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.cancel.cancelled() => false,
            changed = self.spec.changed() => changed.is_ok(),
            _ = source => true,
            changed = self.changes.next() => changed.iter().any(|key| self.is_news(key)),
            () = self.news.notified() => false,
            () = retry => true,
        }
    }

    /// Whether a change is one that a plan might answer: a status is not.
    fn is_news(&self, key: &ObjectKey) -> bool {
        if key.group == GROUP {
            return key.kind == "RolloutPolicy";
        }
        let now = self.context.cluster.get(key).map(|live| live.content);
        self.seen.get(key).is_some_and(|then| *then != now)
    }

    fn next_try(&mut self, pass: &Pass) -> Option<Duration> {
        if pass.problems.is_empty() {
            self.failures = 0;
            return None;
        }
        self.failures += 1;
        let doubled = RETRY.0.saturating_mul(1 << self.failures.min(8));
        Some(doubled.min(RETRY.1))
    }

    /// One plan, carried out. `None` while there is nothing to plan with.
    async fn pass(&mut self) -> Option<Pass> {
        let delivery = self.spec.borrow_and_update().clone();
        if let Err(problem) = self.look_at_source(&delivery).await {
            let problem = Problem {
                object: None,
                origin: None,
                message: problem,
            };
            return Some(Pass {
                problems: vec![problem],
                inventory: self.status.inventory.clone(),
                applied: false,
            });
        }
        self.hear_wish(&delivery);
        let checkout = self
            .source
            .as_mut()?
            .state
            .borrow_and_update()
            .checkout
            .clone()?;
        let mut problems = self.watch_kinds(&checkout).await;
        let plan = self.plan(&delivery, &checkout);
        self.context.cluster.settle(&plan.settled);
        if delivery.spec.suspend {
            self.direct(&delivery, &checkout, &plan).await;
            return Some(Pass {
                applied: false,
                problems,
                inventory: self.status.inventory.clone(),
            });
        }
        if !plan.is_empty() {
            info!(delivery = %self.id, commit = %checkout.snapshot.commit.short(), "plan:\n{plan}");
        }
        // What is written down first is never lost, whoever dies in between.
        if plan.inventory != self.status.inventory {
            let mut status = self.status.clone();
            status.inventory.clone_from(&plan.inventory);
            if let Err(error) = self.store(status).await {
                problems.push(error);
                return Some(Pass {
                    applied: false,
                    problems,
                    inventory: self.status.inventory.clone(),
                });
            }
        }
        let mut outcomes = self
            .context
            .cluster
            .carry_out(&plan, Stage::Namespaces..=Stage::Objects)
            .await;
        self.direct(&delivery, &checkout, &plan).await;
        self.dismiss(&plan).await;
        outcomes.extend(
            self.context
                .cluster
                .carry_out(&plan, Stage::Admission..=Stage::Prune)
                .await,
        );
        problems.extend(outcomes.iter().filter_map(reading::failure));
        problems.extend(reading::problems(&checkout.loaded));
        problems.extend(reading::left(&plan));
        self.seen = plan
            .inventory
            .iter()
            .map(|key| {
                (
                    key.clone(),
                    self.context.cluster.get(key).map(|live| live.content),
                )
            })
            .collect();
        let applied = outcomes.iter().all(|outcome| outcome.result.is_ok());
        Some(Pass {
            applied,
            problems,
            inventory: plan.inventory,
        })
    }

    /// Sees to it that the repository of the present spec is followed.
    async fn look_at_source(&mut self, delivery: &Delivery) -> Result<(), String> {
        let poll = Poll {
            owner: self.id.to_string(),
            source: source::wanted(
                &self.context.cluster,
                &self.id.namespace,
                &delivery.spec.source,
            )
            .await?,
            interval: delivery
                .spec
                .source
                .interval
                .unwrap_or(DEFAULT_INTERVAL)
                .get()
                .max(GAP),
            cache_dir: self.context.cache_dir.clone(),
            options: manifest::Options {
                namespace: self.namespace(delivery),
                ..manifest::Options::default()
            },
        };
        if self
            .source
            .as_ref()
            .is_some_and(|running| running.poll == poll)
        {
            return Ok(());
        }
        let mut known = SourceState::default();
        if let Some(old) = self.source.take() {
            old.cancel.cancel();
            let _ = old.task.await;
            // Looked at more often or less: what was read stays good while the remote is away.
            if (&old.poll.source, &old.poll.options) == (&poll.source, &poll.options) {
                known = old.state.borrow().clone();
            }
        }
        let (state, seen) = watch::channel(known);
        let (wishes, wished) = mpsc::channel(1);
        let cancel = self.cancel.child_token();
        let task = tokio::spawn(source::follow(poll.clone(), state, wished, cancel.clone()));
        self.source = Some(RunningSource {
            wishes,
            poll,
            state: seen,
            cancel,
            task,
        });
        Ok(())
    }

    /// A person wants the remote looked at now.
    fn hear_wish(&mut self, delivery: &Delivery) {
        let Some(wish) = delivery
            .metadata
            .annotations
            .as_ref()
            .and_then(|all| all.get(SYNC))
        else {
            return;
        };
        let Some(source) = &self.source else { return };
        let known = self
            .sync
            .as_ref()
            .map(|(id, _)| id)
            .or(self.status.handled_sync.as_ref());
        if known != Some(wish) {
            self.sync = Some((wish.clone(), source.state.borrow().looks));
            // A wish that is on its way already will do.
            let _ = source.wishes.try_send(());
        }
    }

    fn namespace(&self, delivery: &Delivery) -> String {
        delivery
            .spec
            .target
            .namespace
            .clone()
            .unwrap_or_else(|| self.id.namespace.clone())
    }

    /// Watches every kind that Git or the inventory has; a kind that cannot be watched is said.
    async fn watch_kinds(&self, checkout: &Checkout) -> Vec<Problem> {
        let manifests = checkout
            .loaded
            .objects
            .iter()
            .map(|m| (m.api_version.clone(), m.key.kind.clone()));
        let mut kinds: std::collections::BTreeSet<(String, String)> = manifests.collect();
        kinds.remove(&(serving::API_VERSION.to_owned(), "Service".to_owned()));
        let cluster = &self.context.cluster;
        let mut problems = Vec::new();
        // What left Git can only be pruned where it can be seen.
        for key in &self.status.inventory {
            if let Err(error) = cluster.watch_kind_of(key).await {
                let object = Some(key.clone());
                problems.push(Problem {
                    object,
                    origin: None,
                    message: error.to_string(),
                });
            }
        }
        for (api_version, kind) in kinds {
            match cluster.watch(&api_version, &kind, None).await {
                // The plan says so of the objects, and a definition in Git may bring the kind.
                Ok(()) | Err(crate::cluster::WatchError::NoSuchKind { .. }) => {}
                Err(error) => problems.push(Problem {
                    object: None,
                    origin: None,
                    message: error.to_string(),
                }),
            }
        }
        problems
    }

    fn plan(&self, delivery: &Delivery, checkout: &Checkout) -> Plan {
        let origins = reading::origins(&checkout.loaded);
        let manifests = reading::manifests(&checkout.loaded, &origins);
        let broken = reading::broken(&checkout.loaded);
        plan::plan(&Input {
            to: &Destination {
                delivery: self.id.clone(),
                namespace: self.namespace(delivery),
                expand: delivery.spec.target.expand,
            },
            manifests: &manifests,
            broken: &broken,
            inventory: &self.status.inventory,
            elsewhere: &self.elsewhere(),
            prune: delivery.spec.prune,
            drift: delivery.spec.drift,
            live: &self.context.cluster,
        })
    }

    /// What other Deliveries apply, by their inventories.
    fn elsewhere(&self) -> BTreeMap<ObjectKey, DeliveryId> {
        let mut owned = BTreeMap::new();
        for live in self.context.cluster.list(GROUP, "Delivery", None) {
            let id = DeliveryId::new(
                live.key.namespace.clone().unwrap_or_default(),
                live.key.name.clone(),
            );
            if id == self.id {
                continue;
            }
            let Ok(other) = serde_json::from_value::<Delivery>(live.value()) else {
                continue;
            };
            for key in other
                .status
                .map(|status| status.inventory)
                .unwrap_or_default()
            {
                owned.insert(key, id.clone());
            }
        }
        owned
    }

    /// Tells each service's loop what Git wants of it now, starting loops that are missing.
    async fn direct(&mut self, delivery: &Delivery, checkout: &Checkout, plan: &Plan) {
        let policies = self.policies();
        for intent in &plan.services {
            let name = (intent.namespace.clone(), intent.name.clone());
            let (commit, subject) = self.lineage.of(
                &self.context.cluster,
                &name,
                &intent.template_hash,
                checkout,
            );
            let policy = policy::resolve(
                intent.policy.as_deref(),
                delivery.spec.policy.as_deref(),
                |name| policies.get(name),
            );
            let wanted = Arc::new(Wanted {
                intent: intent.clone(),
                policy: policy.map_err(|error| error.to_string()),
                commit,
                subject,
                suspended: delivery.spec.suspend,
            });
            match self.services.get(&name) {
                Some(running) => {
                    running.wanted.send_if_modified(|known| {
                        let changed = **known != *wanted;
                        if changed {
                            *known = wanted;
                        }
                        changed
                    });
                }
                None => {
                    let running = self.start(wanted);
                    self.services.insert(name, running);
                }
            }
        }
    }

    fn start(&self, wanted: Arc<Wanted>) -> RunningService {
        let (wanted, receiver) = watch::channel(wanted);
        let (standing, seen) = watch::channel(Standing::default());
        let cancel = self.cancel.child_token();
        let service = ServiceLoop::new(self.context.clone(), receiver, standing, self.news.clone());
        let task = tokio::spawn(service.run(cancel.clone()));
        RunningService {
            wanted,
            standing: seen,
            cancel,
            task,
        }
    }

    fn policies(&self) -> BTreeMap<String, RolloutPolicySpec> {
        let live = self
            .context
            .cluster
            .list(GROUP, "RolloutPolicy", Some(&self.id.namespace));
        let spec =
            |value: serde_json::Value| serde_json::from_value(value.get("spec")?.clone()).ok();
        live.iter()
            .filter_map(|live| Some((live.key.name.clone(), spec(live.value())?)))
            .collect()
    }

    /// Ends the loops of services that are about to be pruned, and forgets their releases.
    async fn dismiss(&mut self, plan: &Plan) {
        for step in plan
            .steps
            .iter()
            .filter(|step| matches!(step.action, Action::Prune { .. }))
        {
            if step.key.group != serving::GROUP {
                continue;
            }
            let name = (
                step.key.namespace.clone().unwrap_or_default(),
                step.key.name.clone(),
            );
            let Some(running) = self.services.remove(&name) else {
                continue;
            };
            running.cancel.cancel();
            let _ = running.task.await;
            self.lineage.forget(&name);
            let key = ObjectKey::namespaced(GROUP, "Rollout", &name.0, &name.1);
            if let Some(live) = self.context.cluster.get(&key)
                && let Err(error) = self.context.cluster.delete(&key, VERSION, &live.uid).await
            {
                warn!(delivery = %self.id, "{error}");
            }
        }
    }

    /// Writes the status where it says something new.
    async fn report(&mut self, pass: &Pass) {
        let delivery = self.spec.borrow().clone();
        let standings: Vec<Standing> = self
            .services
            .values()
            .map(|running| running.standing.borrow().clone())
            .collect();
        let mut problems = pass.problems.clone();
        for ((namespace, name), running) in &self.services {
            if let Some(problem) = &running.standing.borrow().problem {
                let object = ObjectKey::namespaced(serving::GROUP, "Service", namespace, name);
                let origin = Some(running.wanted.borrow().intent.origin.clone());
                problems.push(Problem {
                    object: Some(object),
                    origin,
                    message: problem.clone(),
                });
            }
        }
        let source = self
            .source
            .as_ref()
            .map(|running| running.state.borrow().clone())
            .unwrap_or_default();
        let knowledge = Knowledge {
            generation: delivery.metadata.generation,
            suspended: delivery.spec.suspend,
            source: &source,
            applied: pass.applied,
            services: &standings,
            problems,
            inventory: pass.inventory.clone(),
            handled_sync: self
                .sync
                .as_ref()
                .filter(|(_, looks)| source.looks > *looks)
                .map(|(id, _)| id.clone()),
        };
        let status = report::status(&self.status, knowledge, Timestamp::now());
        if let Err(problem) = self.store(status).await {
            debug!(delivery = %self.id, "{}", problem.message);
        }
    }

    async fn store(&mut self, status: DeliveryStatus) -> Result<(), Problem> {
        if status == self.status {
            return Ok(());
        }
        let object = json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Delivery",
            "metadata": {"name": self.id.name, "namespace": self.id.namespace}, "status": status});
        match self.context.cluster.apply_status(&object).await {
            Ok(_) => {
                self.status = status;
                Ok(())
            }
            Err(error) => Err(Problem {
                object: Some(error.object.clone()),
                origin: None,
                message: error.to_string(),
            }),
        }
    }

    /// Ends every loop that this one started.
    async fn stop(&mut self) {
        if let Some(source) = self.source.take() {
            source.cancel.cancel();
            let _ = source.task.await;
        }
        for running in std::mem::take(&mut self.services).into_values() {
            running.cancel.cancel();
            let _ = running.task.await;
        }
    }
}
