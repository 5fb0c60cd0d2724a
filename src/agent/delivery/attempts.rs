//! What was tried and did not last: what the cluster refused, and what vanished again.
//!
//! Each is tried again by a back-off of its own, whatever else wakes the Delivery meanwhile, and is
//! said as long as it waits. Another manifest, or another live object, is tried at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::api::delivery::Problem;
use crate::api::object::ObjectKey;
use crate::backoff::Backoff;
use crate::cluster::{Done, StepOutcome};
use crate::plan::{Action, Plan, Step, annotations};

/// How soon something is tried again.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// At most how late it is.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// What is gone sooner than this after it was created has vanished; later, somebody deleted it.
const LASTS: Duration = Duration::from_secs(120);
/// So often it comes back at once: a person may well delete something twice.
const AT_ONCE: u32 = 2;

/// The tries that came to nothing, by object.
#[derive(Debug, Default)]
pub(super) struct Attempts(BTreeMap<ObjectKey, Attempt>);

#[derive(Debug)]
struct Attempt {
    /// What was written.
    digest: Option<String>,
    /// What the cluster had then.
    content: Option<u64>,
    backoff: Backoff,
    /// Not before this.
    next: Instant,
    came_to: CameTo,
}

#[derive(Debug)]
enum CameTo {
    /// The cluster's words.
    Refused(String),
    /// It was created, so often, and last then.
    Created { times: u32, at: Instant },
}

/// What waits, and until when.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// What is said of it.
    pub problems: Vec<Problem>,
    /// When the first of it is due.
    pub due_in: Option<Duration>,
}

impl Attempts {
    /// A person wants everything tried now.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// Takes the steps out of a plan that are not due yet. `content` is what the cluster has.
    pub fn hold(
        &mut self,
        plan: &mut Plan,
        now: Instant,
        content: impl Fn(&ObjectKey) -> Option<u64>,
    ) -> Held {
        self.0.retain(|key, _| plan.inventory.contains(key));
        let mut held = Held::default();
        plan.steps.retain(|step| {
            let waits = self.wait(step, now, content(&step.key));
            let Some((left, message)) = waits else {
                return true;
            };
            held.due_in = Some(held.due_in.map_or(left, |due| due.min(left)));
            held.problems.push(Problem {
                object: Some(step.key.clone()),
                origin: step.origin.clone(),
                message,
            });
            false
        });
        held
    }

    fn wait(
        &mut self,
        step: &Step,
        now: Instant,
        content: Option<u64>,
    ) -> Option<(Duration, String)> {
        let attempt = self.0.get_mut(&step.key)?;
        let same = attempt.digest == digest_of(step);
        let message = match &attempt.came_to {
            CameTo::Refused(words) if same && attempt.content == content => tried_again(words),
            CameTo::Created { times, at }
                if same && is_creation(step) && now.duration_since(*at) < LASTS =>
            {
                if *times < AT_ONCE {
                    return None;
                }
                format!(
                    "it was created {times} times and is gone again each time: something deletes it, as the \
                     cluster itself does with what has an owner that is gone; see who does (its finalizers, owners, \
                     another tool), or take it out of Git. It is tried again every {} s at the latest",
                    LONGEST_WAIT.as_secs()
                )
            }
            _ => {
                self.0.remove(&step.key);
                return None;
            }
        };
        let left = attempt.next.saturating_duration_since(now);
        (!left.is_zero()).then_some((left, message))
    }

    /// Takes in how the steps of a plan went.
    pub fn note(
        &mut self,
        plan: &Plan,
        outcomes: &[StepOutcome],
        now: Instant,
        content: impl Fn(&ObjectKey) -> Option<u64>,
    ) {
        for outcome in outcomes {
            let step = plan.steps.iter().find(|step| step.key == outcome.key);
            let Some(step) = step else {
                continue;
            };
            match &outcome.result {
                Err(error) if error.is_transient() => {}
                Err(error) => self.refused(step, error.to_string(), now, content(&step.key)),
                Ok(Done::Applied(_)) if is_creation(step) => self.created(step, now),
                Ok(_) => {
                    if let Some(Attempt {
                        came_to: CameTo::Refused(_),
                        ..
                    }) = self.0.get(&step.key)
                    {
                        self.0.remove(&step.key);
                    }
                }
            }
        }
    }

    fn refused(&mut self, step: &Step, words: String, now: Instant, content: Option<u64>) {
        let attempt = self
            .0
            .entry(step.key.clone())
            .or_insert_with(|| Attempt::new(now));
        if matches!(attempt.came_to, CameTo::Created { .. }) {
            attempt.backoff.reset();
        }
        attempt.came_to = CameTo::Refused(words);
        attempt.tried(step, now, content);
    }

    fn created(&mut self, step: &Step, now: Instant) {
        let attempt = self
            .0
            .entry(step.key.clone())
            .or_insert_with(|| Attempt::new(now));
        let times = match attempt.came_to {
            CameTo::Created { times, .. } => times.saturating_add(1),
            CameTo::Refused(_) => 1,
        };
        if times < AT_ONCE {
            attempt.backoff.reset();
        }
        attempt.came_to = CameTo::Created { times, at: now };
        attempt.tried(step, now, None);
    }
}

impl Attempt {
    fn new(now: Instant) -> Self {
        Self {
            digest: None,
            content: None,
            backoff: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
            next: now,
            came_to: CameTo::Created { times: 0, at: now },
        }
    }

    fn tried(&mut self, step: &Step, now: Instant, content: Option<u64>) {
        self.digest = digest_of(step);
        self.content = content;
        self.next = now + self.backoff.failed(0.0);
    }
}

/// The cluster's words on what it refused, and that it is asked again.
pub(super) fn tried_again(words: &str) -> String {
    format!(
        "{words}; it is tried again every {} s at the latest",
        LONGEST_WAIT.as_secs()
    )
}

fn is_creation(step: &Step) -> bool {
    matches!(step.action, Action::Create { .. })
}

/// What a step writes; of a deletion, nothing.
fn digest_of(step: &Step) -> Option<String> {
    annotations::annotation(step.object()?, annotations::DIGEST).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::object::ObjectKey;
    use crate::cluster::{Applied, Refusal, WriteError};
    use crate::plan::{LiveObject, Stage};
    use serde_json::json;
    use std::sync::Arc;

    fn plan(digest: &str, there: bool) -> Plan {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a",
            "namespace": "default", "annotations": {"sluice.dev/digest": digest}}});
        let key = ObjectKey::of(&object).unwrap();
        let action = match there {
            true => Action::Adopt {
                object,
                from: Vec::new(),
                changed: Vec::new(),
            },
            false => Action::Create { object },
        };
        Plan {
            inventory: vec![key.clone()],
            steps: vec![Step {
                key,
                stage: Stage::Inputs,
                origin: None,
                action,
            }],
            ..Plan::default()
        }
    }

    fn came_to(plan: &Plan, refused: bool) -> Vec<StepOutcome> {
        let object = plan.steps[0].object().unwrap().clone();
        let key = plan.steps[0].key.clone();
        let applied = Applied {
            live: Arc::new(LiveObject::new(object).unwrap()),
            taken: Vec::new(),
        };
        let result = match refused {
            true => Err(WriteError {
                object: key.clone(),
                cause: Refusal::Invalid("no".to_owned()),
            }),
            false => Ok(Done::Applied(applied)),
        };
        vec![StepOutcome { key, result }]
    }

    /// At which seconds of two minutes a step is tried, where a plan is made ten times a second.
    fn tries(refused: bool) -> (Vec<u64>, Vec<String>) {
        let start = Instant::now();
        let mut attempts = Attempts::default();
        let (mut seconds, mut said) = (Vec::new(), Vec::new());
        for tick in 0..1200 {
            let now = start + Duration::from_millis(tick * 100);
            let mut plan = plan("d", refused);
            let held = attempts.hold(&mut plan, now, |_| None);
            said.extend(held.problems.into_iter().map(|problem| problem.message));
            if !plan.steps.is_empty() {
                seconds.push(tick / 10);
                attempts.note(&plan, &came_to(&plan, refused), now, |_| None);
            }
        }
        said.dedup();
        (seconds, said)
    }

    #[test]
    fn what_is_refused_is_tried_again_ever_later_and_said_meanwhile() {
        let (seconds, said) = tries(true);
        assert_eq!(seconds, [0, 2, 6, 14, 30, 62]);
        assert_eq!(said.len(), 1);
        assert!(said[0].contains("no"), "{said:?}");
    }

    #[test]
    fn a_deletion_that_is_refused_is_tried_again_ever_later_and_said_meanwhile() {
        let start = Instant::now();
        let mut attempts = Attempts::default();
        let (mut seconds, mut said) = (Vec::new(), Vec::new());
        for tick in 0..1200 {
            let now = start + Duration::from_millis(tick * 100);
            let mut deletion = plan("d", true);
            deletion.steps[0].stage = Stage::Prune;
            deletion.steps[0].action = Action::Prune {
                uid: "uid".to_owned(),
                version: "v1".to_owned(),
            };
            let outcomes = came_to(&plan("d", true), true);
            let held = attempts.hold(&mut deletion, now, |_| Some(1));
            said.extend(held.problems.into_iter().map(|problem| problem.message));
            if !deletion.steps.is_empty() {
                seconds.push(tick / 10);
                attempts.note(&deletion, &outcomes, now, |_| Some(1));
            }
        }
        said.dedup();
        assert_eq!(seconds, [0, 2, 6, 14, 30, 62]);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].ends_with("tried again every 60 s at the latest"));
    }

    #[test]
    fn what_vanishes_again_and_again_is_created_ever_later_and_said() {
        let (seconds, said) = tries(false);
        assert_eq!(seconds, [0, 0, 4, 12, 28, 60]);
        assert!(said[0].starts_with("it was created 2 times"), "{said:?}");
        assert!(said[4].starts_with("it was created 6 times"), "{said:?}");
    }

    #[test]
    fn another_manifest_or_another_live_object_is_tried_at_once() {
        let now = Instant::now();
        let mut attempts = Attempts::default();
        let refused = plan("d", true);
        attempts.note(&refused, &came_to(&refused, true), now, |_| Some(1));
        for (digest, content, waits) in [("d", 1, true), ("d", 2, false), ("e", 1, false)] {
            let mut again = plan(digest, true);
            let held = attempts.hold(&mut again, now, |_| Some(content));
            assert_eq!(
                held.problems.len(),
                usize::from(waits),
                "{digest} {content}"
            );
            assert_eq!(again.steps.is_empty(), waits);
            attempts.note(&refused, &came_to(&refused, true), now, |_| Some(1));
        }
        attempts.forget();
        assert!(
            attempts
                .hold(&mut plan("d", true), now, |_| Some(1))
                .problems
                .is_empty()
        );
    }

    #[test]
    fn what_somebody_deletes_after_a_while_comes_back_at_once() {
        let start = Instant::now();
        let mut attempts = Attempts::default();
        for minutes in 0..5 {
            let now = start + Duration::from_secs(minutes * 180);
            let mut plan = plan("d", false);
            assert!(attempts.hold(&mut plan, now, |_| None).problems.is_empty());
            attempts.note(&plan, &came_to(&plan, false), now, |_| None);
        }
    }
}
