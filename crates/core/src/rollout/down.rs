//! Down is unconditional: what a rollback writes first, and how it is known again.
//!
//! The traffic goes out before the status is stored, for the store may refuse. The same write carries the hash of
//! the template that it takes the traffic from (`sluice.dev/rolled-back`). Whoever finds that mark, with whatever
//! memory, takes it for the rollback and the quarantine.

use crate::api::delivery::Expand;
use crate::api::object::TemplateHash;
use crate::api::rollout::{Outcome, Phase, Release};

use super::context::DecisionContext;
use super::decision::{Order, Write};
use super::reason::Reason;
use super::traffic;

/// Why Knative stops at a Configuration: it can make no Revision of its template.
const REVISION_FAILED: &str = "RevisionFailed";
/// What it says of a name that a Revision of another content has. A Revision that merely is broken has the same reason.
const NAME_IS_TAKEN: &str = "already exists";

impl DecisionContext<'_> {
    /// Whether what is decided leads to revisions that are known to be good, and so waits for nothing.
    pub fn order(&self) -> Order {
        let down = match self.phase() {
            Phase::RollingBack | Phase::RolledBack | Phase::Stable | Phase::Failed => true,
            Phase::Promoting => self.goes_back(),
            _ => false,
        };
        if down {
            Order::TrafficFirst
        } else {
            Order::StatusFirst
        }
    }

    /// A promotion of what was promoted before: by a person's undo, or for want of stable.
    fn goes_back(&self) -> bool {
        let outcome = self.candidate.pending_outcome.as_ref().map(|p| p.outcome);
        matches!(outcome, Some(Outcome::Undone | Outcome::Restored))
    }

    /// The template that the traffic is taken from for what it did, while that is being written.
    fn taken_from(&self) -> Option<TemplateHash> {
        let outcome = self.candidate.pending_outcome.as_ref()?.outcome;
        let release = match (self.phase(), outcome) {
            (Phase::RollingBack, Outcome::RolledBack) => self.candidate.release.as_ref(),
            (Phase::Promoting, Outcome::Undone) => self.service.stable.as_ref(),
            _ => None,
        };
        release?.template_hash.clone()
    }

    /// The mark that the object whose traffic it is should have now: what is being rolled back, else the newest that
    /// is in quarantine. It comes back with a Route that somebody deleted; only a retry takes it away.
    fn wanted_mark(&self) -> Option<TemplateHash> {
        let candidate = self.candidate_hash();
        let mut quarantine = self.service.quarantine.iter();
        self.taken_from().or_else(|| {
            let newest =
                quarantine.find(|q| q.refused.is_none() && candidate != Some(&q.template_hash))?;
            Some(newest.template_hash.clone())
        })
    }

    fn candidate_hash(&self) -> Option<&TemplateHash> {
        self.candidate.release.as_ref()?.template_hash.as_ref()
    }

    /// Whether nothing on the Route says that the candidate was rolled back: a retry takes that away first.
    pub fn mark_is_gone(&self) -> bool {
        let mark = self
            .live
            .route
            .as_ref()
            .and_then(|r| r.rolled_back.as_ref());
        mark.is_none() || mark != self.candidate_hash()
    }

    /// The write of the traffic that is wanted, where the cluster has another.
    pub fn traffic_write(&mut self) -> Option<Write> {
        let targets = self.traffic.take()?;
        let mark = self.wanted_mark();
        let is_written = self.live.route.as_ref().is_some_and(|route| {
            let marked = match self.phase() {
                Phase::RollingBack => mark.is_none() || route.rolled_back == mark,
                Phase::Pinning => self.mark_is_gone(),
                _ => true,
            };
            marked && traffic::same(&route.spec, &targets)
        });
        if is_written {
            return None;
        }
        let last_resort = match (self.phase(), self.stable_revision()) {
            (Phase::RollingBack, Some(stable)) => Some(traffic::bare(&stable)),
            _ => None,
        };
        Some(Write::Traffic {
            last_resort: last_resort.filter(|bare| *bare != targets),
            targets,
            rolled_back: mark,
        })
    }

    /// A Service whose Configuration Knative can make no Revision of stays as it was, traffic and all: with
    /// `expand: Service` the way back is stable's template as well. The same makes it Ready after a rollback.
    pub fn stable_template(&self) -> Option<Write> {
        let configuration = self.live.configuration.as_ref()?;
        let ready = configuration.ready.as_ref();
        let failed = ready.filter(|ready| ready.is_false())?.reason == REVISION_FAILED;
        let due = match self.phase() {
            Phase::RollingBack => failed,
            // Only what was rolled back: what serves and is not well is somebody's to see.
            Phase::RolledBack => self.service.confirmed_at.is_some(),
            // Git's own template under Git's own name, which the cluster's defaults have made another since.
            Phase::Stable => {
                failed
                    && ready.is_some_and(|ready| ready.message.contains(NAME_IS_TAKEN))
                    && configuration.template_written
                    && self.names_itself()
            }
            _ => false,
        };
        if !due || self.intent.expand != Expand::Service || !configuration.written_observed {
            return None;
        }
        let stable = self.stable_revision()?;
        let named = configuration.template_name.as_ref() != Some(&stable);
        if !named && !failed {
            return None;
        }
        self.live.revision(&stable)?;
        Some(Write::StableTemplate {
            revision: stable,
            named,
        })
    }

    /// Takes a mark that the memory knows nothing of for what it is: a rollback that was begun, and a template
    /// that stays out.
    pub fn find_rollback(&mut self) {
        self.find_attempt();
        let route = self.live.route.as_ref();
        let Some(hash) = route.and_then(|route| route.rolled_back.clone()) else {
            return;
        };
        if self.is_quarantined(&hash) {
            return;
        }
        let is_candidate = self.candidate_hash() == Some(&hash);
        match self.phase() {
            // A retry: the mark is on its way out.
            Phase::Pinning if is_candidate => {}
            Phase::Staging | Phase::Probing | Phase::Stepping | Phase::Promoting
                if is_candidate && self.service.stable.is_some() =>
            {
                let back = self.roll_back(Reason::FoundRolledBack);
                self.take(back);
            }
            // What serves by a memory that is older, or newer, than the mark is judged by nobody here.
            _ if self.serves(&hash) => {}
            _ => {
                let release = Release {
                    template_hash: Some(hash),
                    since: Some(self.now),
                    ..Release::default()
                };
                self.quarantine(&release, &Reason::FoundRolledBack);
            }
        }
    }

    /// A memory from before the last attempt at a template learns of it from the cluster: a retry that was carried out
    /// is not carried out again.
    fn find_attempt(&mut self) {
        let configuration = self.live.configuration.as_ref();
        let Some(attempt) = configuration
            .filter(|c| c.template_written)
            .map(|c| c.attempt)
        else {
            return;
        };
        let git = &self.intent.template_hash;
        if self.candidate_hash() == Some(git) {
            return;
        }
        for quarantine in &mut self.service.quarantine {
            if quarantine.template_hash == *git {
                quarantine.attempt = quarantine.attempt.max(attempt);
            }
        }
    }

    fn serves(&self, hash: &TemplateHash) -> bool {
        let stable = self.service.stable.as_ref();
        stable.is_some_and(|stable| stable.template_hash.as_ref() == Some(hash))
    }

    /// Kept out for what it did, not because the cluster did not take it.
    fn is_quarantined(&self, hash: &TemplateHash) -> bool {
        self.service
            .quarantine
            .iter()
            .any(|q| q.template_hash == *hash && q.refused.is_none())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::api::delivery::Drift;
    use crate::api::rollout::{PendingOutcome, RolloutStatus};
    use crate::api::serving::{KnativeCondition, TrafficTarget};
    use crate::policy;
    use crate::rollout::{ConfigurationFacts, Intent, Live, RevisionFacts, RouteFacts, decide};

    fn condition(status: &str, reason: &str) -> Option<KnativeCondition> {
        Some(KnativeCondition {
            type_: "Ready".to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            ..KnativeCondition::default()
        })
    }

    fn release(revision: &str, hash: &str) -> Option<Release> {
        Some(Release {
            revision: Some(revision.to_owned()),
            template_hash: Some(TemplateHash(hash.to_owned())),
            ..Release::default()
        })
    }

    fn intent(expand: Expand) -> Intent {
        Intent {
            namespace: "default".to_owned(),
            name: "hello".to_owned(),
            expand,
            template_hash: TemplateHash("bad".to_owned()),
            manifest: "bad".to_owned(),
            revision_name: Some("hello-v1".to_owned()),
            final_traffic: Vec::new(),
            traffic_problem: None,
            commit: None,
            subject: None,
            suspended: false,
            withdrawn: false,
            policy_problem: None,
            memory_problem: None,
            source_problem: None,
            drift: Drift::Correct,
            config_changes: vec![],
        }
    }

    /// What a rollback of `hello-v1`, used again with another content, writes; `named` is the name in the template that
    /// the Service has now.
    fn writes(expand: Expand, failed: &str, named: &str) -> Vec<Write> {
        let stable = RevisionFacts {
            name: "hello-v2".to_owned(),
            configuration: "hello".to_owned(),
            ready: condition("True", ""),
            ..RevisionFacts::default()
        };
        let to_stable = TrafficTarget {
            revision_name: Some("hello-v2".to_owned()),
            latest_revision: Some(false),
            percent: Some(100),
            ..TrafficTarget::default()
        };
        let live = Live {
            configuration: Some(ConfigurationFacts {
                written_observed: true,
                template_name: Some(named.to_owned()),
                ready: condition("False", failed),
                ..ConfigurationFacts::default()
            }),
            route: Some(RouteFacts {
                spec: vec![to_stable],
                ready: condition("False", "RevisionNameTaken"),
                rolled_back: Some(TemplateHash("bad".to_owned())),
                ..RouteFacts::default()
            }),
            revisions: vec![stable],
            ..Live::default()
        };
        let status = RolloutStatus {
            phase: Phase::RollingBack,
            stable: release("hello-v2", "good"),
            candidate: release("hello-v1", "bad"),
            pending_outcome: Some(PendingOutcome {
                outcome: Outcome::RolledBack,
                reason: "refused".to_owned(),
                weight: 0,
            }),
            ..RolloutStatus::default()
        };
        let intent = intent(expand);
        decided(&intent, &status, &live)
    }

    fn decided(intent: &Intent, status: &RolloutStatus, live: &Live) -> Vec<Write> {
        let (policy, now) = (policy::of_last_resort(), Timestamp::UNIX_EPOCH);
        let (spec, evidence) = Default::default();
        decide(&policy, intent, status, &spec, live, &evidence, now).writes
    }

    /// What is written at rest where Git's manifest calls its revision `hello-v1`, and that serves.
    fn at_rest(configuration: ConfigurationFacts) -> Vec<Write> {
        let named = || Some("hello-v1".to_owned());
        let all = TrafficTarget {
            revision_name: named(),
            latest_revision: Some(false),
            percent: Some(100),
            ..TrafficTarget::default()
        };
        let live = Live {
            configuration: Some(configuration),
            route: Some(RouteFacts {
                spec: vec![all.clone()],
                status: vec![all],
                ready: condition("True", ""),
                ..RouteFacts::default()
            }),
            revisions: vec![RevisionFacts {
                name: "hello-v1".to_owned(),
                configuration: "hello".to_owned(),
                ready: condition("True", ""),
                kept: true,
                ..RevisionFacts::default()
            }],
            ..Live::default()
        };
        let status = RolloutStatus {
            phase: Phase::Stable,
            stable: release("hello-v1", "good"),
            ..RolloutStatus::default()
        };
        let intent = Intent {
            template_hash: TemplateHash("good".to_owned()),
            ..intent(Expand::Service)
        };
        decided(&intent, &status, &live)
    }

    #[test]
    fn a_service_that_knative_stopped_at_gets_stable_s_template_back_under_a_name_that_fits() {
        let template = |named| Write::StableTemplate {
            revision: "hello-v2".to_owned(),
            named,
        };
        assert_eq!(
            writes(Expand::Service, REVISION_FAILED, "hello-v1"),
            [template(true)]
        );
        // What the cluster's defaults make of it is not what the revision has: a twin, then.
        assert_eq!(
            writes(Expand::Service, REVISION_FAILED, "hello-v2"),
            [template(false)]
        );
    }

    #[test]
    fn a_route_of_its_own_follows_whatever_the_configuration_says() {
        assert_eq!(writes(Expand::Routes, REVISION_FAILED, "hello-v1"), []);
    }

    #[test]
    fn a_candidate_that_is_merely_broken_keeps_no_service_from_its_way_back() {
        assert_eq!(writes(Expand::Service, "ExitCode3", "hello-v1"), []);
    }

    #[test]
    fn a_name_that_the_cluster_s_defaults_have_taken_is_left_to_its_revision_at_rest_as_well() {
        let why = r#"revisions.serving.knative.dev "hello-v1" already exists."#;
        let ready = |message: &str| {
            condition("False", REVISION_FAILED).map(|ready| KnativeCondition {
                message: message.to_owned(),
                ..ready
            })
        };
        let stopped = |message| ConfigurationFacts {
            template_written: true,
            written_observed: true,
            template_name: Some("hello-v1".to_owned()),
            ready: ready(message),
            ..ConfigurationFacts::default()
        };
        let twin = Write::StableTemplate {
            revision: "hello-v1".to_owned(),
            named: false,
        };
        assert_eq!(at_rest(stopped(why)), [twin]);
        // It is broken, and no twin would be any better.
        let broken = r#"Revision "hello-v1" failed with message: crashed."#;
        assert_eq!(at_rest(stopped(broken)), []);
        // Git's name is not put back afterwards.
        let healed = ConfigurationFacts {
            written_but_for_name: true,
            written_observed: true,
            ready: condition("True", ""),
            ..ConfigurationFacts::default()
        };
        assert_eq!(at_rest(healed), []);
    }
}
