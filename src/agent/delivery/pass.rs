//! One pass over a Delivery: a plan is made and carried out.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::{Duration, Instant};

use tracing::info;

use super::DeliveryLoop;
use super::attempts::{Held, tried_again};
use super::running_source::about_source;
use crate::agent::source::Checkout;
use crate::agent::{drift, planning, report};
use crate::api::delivery::{Delivery, Problem};
use crate::api::object::ObjectKey;
use crate::api::serving;
use crate::cluster::{Done, StepOutcome, WatchError};
use crate::manifest::ManifestError;
use crate::plan::{ConfigDiff, Plan, Stage, Why};
use crate::render::{Remark, Rendered};

/// How soon it is looked again at what another Delivery has seen, or a new kind is watched.
const SOON: Duration = Duration::from_secs(1);

/// How long Git has to answer before releases under way are watched without it.
const MOMENT: Duration = Duration::from_secs(2);
/// How long the services' loops wait for the objects beside them: what they need is applied before them, and a
/// definition that is never served keeps none of them from being rolled back.
const SERVICES_WAIT: Duration = Duration::from_secs(5);

/// What a pass came to.
#[derive(Default)]
pub(super) struct Pass {
    pub applied: bool,
    pub problems: Vec<Problem>,
    pub inventory: Vec<ObjectKey>,
    /// Another one is due by then, whatever happens.
    pub again: Option<Duration>,
}

impl DeliveryLoop {
    /// One plan, carried out. `None` while there is nothing to plan with.
    pub(super) async fn pass(&mut self) -> Option<Pass> {
        let delivery = self.spec.borrow_and_update().clone();
        if let Err(error) = self.look_at_source(&delivery).await {
            self.take_up(&delivery, &error.to_string());
            return Some(self.only(vec![about_source(&error)]));
        }
        self.hear_wish(&delivery);
        self.looked = self.source.as_mut()?.state.borrow_and_update().clone();
        let trouble = self.looked.trouble.as_ref().map(about_source);
        let Some(checkout) = self.looked.checkout.clone() else {
            return self.without_checkout(&delivery, trouble);
        };
        let mut problems = self.watch_kinds(&checkout).await;
        problems.extend(trouble);
        let rendered = planning::render(&self.context, &self.id, &delivery, &checkout);
        let mut plan = self.make_plan(&delivery, &checkout, &rendered).await;
        if let Some(problem) = report::too_many(&plan.inventory) {
            self.take_up(&delivery, &problem.message);
            problems.push(problem);
            return Some(self.only(problems));
        }
        // What is written down first is never lost, whoever dies in between.
        if plan.inventory != self.status.inventory {
            let mut status = self.status.clone();
            status.inventory.clone_from(&plan.inventory);
            if let Err(error) = self.store(status).await {
                problems.push(error);
                return Some(self.only(problems));
            }
        }
        let head = checkout.snapshot.commit.to_string();
        if self
            .planned
            .as_ref()
            .is_none_or(|(commit, _)| *commit != head)
        {
            self.planned = Some((head, Instant::now()));
        }
        if delivery.spec.suspend {
            self.sync(&delivery, &checkout, &plan);
            return Some(self.only(problems));
        }
        let cluster = self.context.cluster.clone();
        let content = |key: &ObjectKey| cluster.get(key).map(|live| live.content);
        let held = self.attempts.hold(&mut plan, Instant::now(), content);
        let outcomes = self.carry_out(&delivery, &checkout, &plan).await;
        self.attempts
            .note(&plan, &outcomes, Instant::now(), content);
        problems.extend(outcomes.iter().filter_map(failure));
        problems.extend(rendered.problems());
        let dangling = rendered.dangling(plan.dangling());
        problems.extend(dangling.iter().map(ManifestError::problem));
        problems.extend(plan.problems());
        Some(self.done(plan, &outcomes, held, problems))
    }

    /// Nothing of Git is known, and an agent that has just begun knows nothing of before: what is under way is watched
    /// from what the cluster has, once Git has had a moment.
    fn without_checkout(&mut self, delivery: &Delivery, trouble: Option<Problem>) -> Option<Pass> {
        let why = match &self.looked.failure {
            Some(failure) => Some(failure.message.clone()),
            None => (self.began.elapsed() >= MOMENT)
                .then(|| "Git has not answered since the agent began".to_owned()),
        };
        let Some(why) = why else {
            let mut pass = self.only(trouble.into_iter().collect());
            pass.again = Some(MOMENT);
            return Some(pass);
        };
        self.take_up(delivery, &why);
        trouble.map(|problem| self.only(vec![problem]))
    }

    fn take_up(&mut self, delivery: &Delivery, why: &str) {
        let policies = planning::policies(&self.context.cluster, &self.id.namespace);
        self.services
            .take_up(&self.id, &delivery.spec, &policies, why);
    }

    /// A pass that came to nothing but this.
    pub(super) fn only(&self, problems: Vec<Problem>) -> Pass {
        Pass {
            problems,
            inventory: self.status.inventory.clone(),
            ..Pass::default()
        }
    }

    /// Makes a plan, and notes which state of the cluster it is made from.
    async fn make_plan(
        &mut self,
        delivery: &Delivery,
        checkout: &Checkout,
        rendered: &Rendered,
    ) -> Plan {
        // Before the plan is made: what changes from now on is news, also while it is carried out.
        let before = self.contents(&self.status.inventory);
        let plan = self.plan(delivery, checkout, rendered);
        self.seen = self.contents(&plan.inventory);
        self.seen.extend(before);
        self.context.cluster.settle(&plan.settled);
        self.services.stop_unowned(&plan).await;
        let corrections = planning::corrections(&plan);
        self.context.metrics.corrected(&self.id, corrections);
        plan
    }

    /// Carries a plan out, and tells the services' loops what Git wants of them now.
    async fn carry_out(
        &mut self,
        delivery: &Delivery,
        checkout: &Checkout,
        plan: &Plan,
    ) -> Vec<StepOutcome> {
        if !plan.is_empty() {
            info!(delivery = %self.id, commit = %checkout.snapshot.commit.short(), "plan:\n{plan}");
        }
        let cluster = self.context.cluster.clone();
        // From what the cluster has before they are applied.
        let diffs = plan.config_diffs(&cluster);
        let mut objects = pin!(cluster.carry_out(plan, Stage::Namespaces..=Stage::Objects));
        let mut outcomes = match tokio::time::timeout(SERVICES_WAIT, &mut objects).await {
            Ok(outcomes) => {
                self.note_config(checkout, plan, diffs, &outcomes);
                self.sync(delivery, checkout, plan);
                outcomes
            }
            Err(_) => {
                self.sync(delivery, checkout, plan);
                let outcomes = objects.await;
                if self.note_config(checkout, plan, diffs, &outcomes) {
                    self.sync(delivery, checkout, plan);
                }
                outcomes
            }
        };
        self.services.stop_pruned(plan).await;
        outcomes.extend(
            cluster
                .carry_out(plan, Stage::Admission..=Stage::Prune)
                .await,
        );
        self.tell_drift(plan, &outcomes);
        for outcome in &outcomes {
            if let Ok(Done::Applied(applied)) = &outcome.result {
                self.seen
                    .insert(outcome.key.clone(), Some(applied.live.content));
            }
        }
        outcomes
    }

    /// Notes what was changed of what templates name, as far as the cluster took it, and says whether anything was.
    fn note_config(
        &mut self,
        checkout: &Checkout,
        plan: &Plan,
        mut diffs: Vec<ConfigDiff>,
        outcomes: &[StepOutcome],
    ) -> bool {
        let took = |diff: &ConfigDiff| {
            let mut outcomes = outcomes.iter();
            outcomes.any(|outcome| outcome.key == diff.object && outcome.result.is_ok())
        };
        diffs.retain(took);
        self.services.note_config_changes(plan, checkout, &diffs);
        !diffs.is_empty()
    }

    /// What a plan that was carried out came to.
    fn done(
        &mut self,
        plan: Plan,
        outcomes: &[StepOutcome],
        held: Held,
        mut problems: Vec<Problem>,
    ) -> Pass {
        // What is still going has to go before it can be there again.
        let going = plan
            .left
            .iter()
            .any(|left| left.why == Why::Terminating && left.origin.is_some());
        let all_went_well = outcomes.iter().all(|outcome| outcome.result.is_ok());
        let applied = !going && all_went_well && held.problems.is_empty();
        problems.extend(held.problems);
        let left = |why: fn(&Why) -> bool| plan.left.iter().any(|left| why(&left.why));
        self.missing = left(|why| match why {
            Why::NoNamespace | Why::OwnedBy(_) => true,
            Why::Render(note) => matches!(note.remark, Remark::NoSuchKind { .. }),
            _ => false,
        });
        // Objects of a kind that came with this plan are not watched yet.
        let new_kinds = plan.steps.iter().any(|step| {
            let mut outcomes = outcomes.iter();
            step.stage == Stage::Definitions
                && outcomes.any(|outcome| outcome.key == step.key && outcome.result.is_ok())
        });
        let awaits = left(|why| matches!(why, Why::Awaits(_)));
        Pass {
            applied,
            problems,
            inventory: plan.inventory,
            again: (new_kinds || awaits)
                .then_some(SOON)
                .into_iter()
                .chain(held.due_in)
                .min(),
        }
    }

    fn contents(&self, keys: &[ObjectKey]) -> BTreeMap<ObjectKey, Option<u64>> {
        let now = |key: &ObjectKey| self.context.cluster.get(key).map(|live| live.content);
        keys.iter().map(|key| (key.clone(), now(key))).collect()
    }

    /// Says what was changed by hand: that it was corrected, or, once, that it is left so.
    fn tell_drift(&mut self, plan: &Plan, outcomes: &[StepOutcome]) {
        for (key, message) in drift::corrected(plan, outcomes) {
            self.context.tell(&key, "DriftCorrected", &message, true);
        }
        let left = drift::left(plan);
        for (key, message) in &left {
            if self.left_drift.get(key) != Some(message) {
                self.context.tell(key, "DriftLeft", message, true);
            }
        }
        self.left_drift = left;
    }

    /// Watches every kind that Git or the inventory has; a kind that cannot be watched is said.
    async fn watch_kinds(&self, checkout: &Checkout) -> Vec<Problem> {
        let mut kinds = checkout.kinds();
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
                Ok(()) | Err(WatchError::NoSuchKind { .. }) => {}
                Err(error) => problems.push(Problem {
                    object: None,
                    origin: None,
                    message: error.to_string(),
                }),
            }
        }
        problems
    }

    fn plan(&self, delivery: &Delivery, checkout: &Checkout, rendered: &Rendered) -> Plan {
        let commit = checkout.snapshot.commit.to_string();
        let since = match &self.planned {
            Some((planned, since)) if *planned == commit => since.elapsed(),
            _ => Duration::ZERO,
        };
        planning::plan(
            &self.context,
            delivery,
            rendered,
            &commit,
            &self.status.inventory,
            since,
        )
    }

    fn sync(&mut self, delivery: &Delivery, checkout: &Checkout, plan: &Plan) {
        let policies = planning::policies(&self.context.cluster, &self.id.namespace);
        self.services
            .sync(&delivery.spec, checkout, &policies, plan);
        // A manifest that is broken now keeps nobody from a release that it began: whoever has a loop goes on, and an
        // agent that has just begun takes it up.
        let why = "Git has no manifest of it that can be read";
        self.services
            .take_up(&self.id, &delivery.spec, &policies, why);
    }
}

/// Why a step of a plan was not carried out.
fn failure(outcome: &StepOutcome) -> Option<Problem> {
    let error = outcome.result.as_ref().err()?;
    let words = error.to_string();
    Some(Problem {
        object: Some(outcome.key.clone()),
        origin: None,
        message: if error.is_transient() {
            words
        } else {
            tried_again(&words)
        },
    })
}
