//! One release from its push to its end, and what its users met meanwhile.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::Context;
use kube::Api;
use kube::api::{Patch, PatchParams};
use sluice::api::rollout::{HistoryEntry, Outcome, Phase, RolloutStatus};
use sluice::api::rollout_policy::{RolloutPolicy, Step};

use super::Watched;
use super::faults::{Course, Fault};
use crate::fixture::{Fixture, NAMESPACE};
use crate::releases::{Moment, Releases};
use crate::users::{Answer, Users};

/// The preset `fast`, with a step at 40 % in the place of the one at 50 %.
const FORTY: &str = "fast-40";
/// Requests a second.
const RATE: u32 = 20;
/// Users before the push, so that nothing is cold.
const BEFORE: Duration = Duration::from_secs(2);
/// Users after the end: what is rolled back must harm nobody any more.
const AFTER: Duration = Duration::from_secs(3);
/// What takes longer is stuck.
const STUCK: Duration = Duration::from_secs(180);
/// An answer later than this has harmed somebody.
const LATE: Duration = Duration::from_millis(500);

/// One release of one service.
pub struct Trial {
    fault: Fault,
    watched: Watched,
    service: String,
}

/// What came of it.
pub struct Ended {
    /// From the push to the first answer of the bad revision to a user.
    pub exposed: Option<Duration>,
    /// Harmed requests.
    pub harmed: usize,
    /// Requests from the push to the end.
    pub requests: usize,
    /// From the push to the confirmed end; `None`: stuck.
    pub end: Option<Duration>,
    /// How it ended.
    pub how: String,
    /// Whether it ended as it should: the good one promoted, the bad one rolled back.
    pub as_it_should_be: bool,
    /// p99 of the stable revision's answers.
    pub stable_p99: Option<Duration>,
    /// All of it, for a person.
    pub story: String,
}

/// The policies beside the presets.
pub async fn policies(stage: &Fixture) -> anyhow::Result<()> {
    let mut policy: RolloutPolicy =
        serde_yaml::from_str(include_str!("../../../policies/fast.yaml"))?;
    policy.metadata.name = Some(FORTY.to_owned());
    policy.spec.steps = [5, 20, 40].into_iter().map(Step::weight).collect();
    let api: Api<RolloutPolicy> = Api::namespaced(stage.client.clone(), NAMESPACE);
    stage.install_kinds().await?;
    let params = PatchParams::apply("bench").force();
    api.patch(FORTY, &params, &Patch::Apply(&policy)).await?;
    Ok(())
}

/// Delivers the first, good version of every service, and waits until all of them serve.
pub async fn open(stage: &Fixture, releases: &Releases, trials: &[Trial]) -> anyhow::Result<()> {
    for trial in trials {
        trial.write(stage, "one", &[]);
    }
    let commit = stage.repository.push("Open");
    for trial in trials {
        releases.promoted(&trial.service, &commit, STUCK).await?;
    }
    Ok(())
}

impl Trial {
    /// A trial of its own service.
    pub fn new(fault: &Fault, watched: Watched, round: usize) -> Self {
        let watched_name = match watched {
            Watched::ByUsers => "users",
            Watched::HiddenFromProbes => "hidden",
            Watched::WithoutUsers => "quiet",
        };
        Self {
            fault: fault.clone(),
            watched,
            service: format!("{}-{watched_name}-{round}", fault.name),
        }
    }

    /// Runs it, `wait` after the others of its round.
    pub async fn run(
        &self,
        stage: &Fixture,
        releases: &Releases,
        wait: Duration,
    ) -> anyhow::Result<Ended> {
        tokio::time::sleep(wait).await;
        let host = format!("{}.{NAMESPACE}.localhost", self.service);
        let gateway = stage.gateway()?;
        let users =
            (self.watched != Watched::WithoutUsers).then(|| Users::start(gateway, host, RATE));
        tokio::time::sleep(BEFORE).await;
        self.good_before_it(stage, releases).await?;
        self.write(stage, "two", self.fault.env);
        stage.repository.push(&format!("{}: two", self.service));
        let pushed = Instant::now();
        let generation = self.generation();
        let end = releases
            .until(&self.service, "an end", STUCK, |status| {
                ended(status, generation).is_some()
            })
            .await;
        tokio::time::sleep(AFTER).await;
        let answers = match users {
            Some(users) => users.stop().await,
            None => Vec::new(),
        };
        Ok(self.judge(releases, pushed, end.as_ref().ok(), &answers))
    }

    /// Which of the service's templates is the tried one, from 1.
    ///
    /// Not told by its commit: of two that were pushed between two looks at the repository
    /// the agent sees the newer.
    fn generation(&self) -> i64 {
        match self.fault.course {
            Course::Quiet => 2,
            Course::OverFortyPercent | Course::WhilePromoting => 3,
        }
    }

    /// The good release that the bad one comes on top of.
    async fn good_before_it(&self, stage: &Fixture, releases: &Releases) -> anyhow::Result<()> {
        if self.fault.course == Course::Quiet {
            return Ok(());
        }
        self.write(stage, "between", &[]);
        stage.repository.push(&format!("{}: between", self.service));
        let brought = |status: &RolloutStatus| {
            let candidate = status.candidate.as_ref().or(status.stable.as_ref());
            candidate.is_some_and(|release| release.generation == Some(2))
        };
        let course = self.fault.course;
        releases
            .until(&self.service, "its good release", STUCK, |status| {
                brought(status)
                    && match course {
                        Course::OverFortyPercent => {
                            status.phase == Phase::Stepping
                                && status.weight == 40
                                && status.confirmed_at.is_some()
                        }
                        _ => matches!(status.phase, Phase::Promoting | Phase::Stable),
                    }
            })
            .await
            .context("the good release before the bad one")?;
        Ok(())
    }

    fn write(&self, stage: &Fixture, target: &str, env: &[(&str, &str)]) {
        let mut variables = format!("            - {{name: TARGET, value: \"{target}\"}}\n");
        for (name, value) in env {
            let _ = writeln!(
                variables,
                "            - {{name: {name}, value: \"{value}\"}}"
            );
        }
        let policy = match self.fault.course {
            Course::Quiet => "fast",
            Course::OverFortyPercent | Course::WhilePromoting => FORTY,
        };
        let readiness = match self.watched {
            Watched::HiddenFromProbes => {
                "          readinessProbe:\n            httpGet: {path: /healthz}\n"
            }
            Watched::ByUsers | Watched::WithoutUsers => "",
        };
        let manifest = format!(
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: {}\n  annotations:\n    \
             sluice.dev/policy: {policy}\nspec:\n  template:\n    spec:\n      containers:\n        \
             - image: sluice.local/hello\n          env:\n{variables}{readiness}",
            self.service
        );
        stage
            .repository
            .write(&format!("apps/{}.yaml", self.service), &manifest);
    }

    fn judge(
        &self,
        releases: &Releases,
        pushed: Instant,
        end: Option<&Moment>,
        answers: &[Answer],
    ) -> Ended {
        let moments = releases.of(&self.service);
        let generation = self.generation();
        let revision = moments
            .iter()
            .rev()
            .find_map(|moment| {
                let status = &moment.status;
                let past = status.history.iter().map(|entry| &entry.release);
                let known = status.candidate.iter().chain(&status.stable).chain(past);
                known
                    .filter(|release| release.generation == Some(generation))
                    .find_map(|release| release.revision.clone())
            })
            .unwrap_or_default();
        let since: Vec<&Answer> = answers.iter().filter(|one| one.at >= pushed).collect();
        let harmed = |answer: &&&Answer| answer.status != 200 || answer.took > LATE;
        let exposed = since
            .iter()
            .filter(|answer| answer.revision == revision && !revision.is_empty())
            .map(|answer| answer.at + answer.took)
            .min()
            .map(|at| at.saturating_duration_since(pushed));
        let mut times: Vec<Duration> = since
            .iter()
            .filter(|answer| answer.revision != revision && answer.status == 200)
            .map(|answer| answer.took)
            .collect();
        times.sort();
        let entry = end.and_then(|moment| ended(&moment.status, generation));
        let outcome = entry.map(|entry| entry.outcome);
        let good = self.fault.is_good();
        let mut one = Ended {
            exposed,
            harmed: since.iter().filter(harmed).count(),
            requests: since.len(),
            end: end.map(|moment| moment.at.saturating_duration_since(pushed)),
            how: entry.map_or_else(
                || "stuck".to_owned(),
                |entry| match entry.outcome {
                    Outcome::RolledBack => format!("rolled back from {} %", entry.weight),
                    Outcome::Promoted => "100 %".to_owned(),
                    other => other.to_string(),
                },
            ),
            as_it_should_be: outcome
                == Some(if good {
                    Outcome::Promoted
                } else {
                    Outcome::RolledBack
                }),
            stable_p99: times.get(times.len().saturating_sub(1) * 99 / 100).copied(),
            story: String::new(),
        };
        one.story = self.story(&moments, pushed, entry, &since, &one);
        one
    }

    fn story(
        &self,
        moments: &[Moment],
        pushed: Instant,
        entry: Option<&HistoryEntry>,
        answers: &[&Answer],
        ended: &Ended,
    ) -> String {
        let mut story = format!(
            "{}: {} of {} harmed; {}\n",
            self.service,
            ended.harmed,
            ended.requests,
            entry.map_or("stuck", |entry| &entry.reason)
        );
        let after = |at: Instant| at.saturating_duration_since(pushed).as_secs_f64();
        for moment in moments.iter().filter(|moment| moment.at >= pushed) {
            let status = &moment.status;
            let _ = writeln!(
                story,
                "  {:6.2} s {:<11} {:>3} %  {}",
                after(moment.at),
                status.phase.to_string(),
                status.weight,
                status.message
            );
        }
        for answer in answers
            .iter()
            .filter(|answer| answer.status != 200 || answer.took > LATE)
            .take(20)
        {
            let _ = writeln!(
                story,
                "  harmed at {:.2} s: {} after {} ms by {:?}",
                after(answer.at),
                answer.status,
                answer.took.as_millis(),
                answer.revision
            );
        }
        story
    }
}

/// The entry of the history that says how the release of a template ended, once it is at rest.
fn ended(status: &RolloutStatus, generation: i64) -> Option<&HistoryEntry> {
    let at_rest = matches!(
        status.phase,
        Phase::Stable | Phase::RolledBack | Phase::Failed
    );
    status
        .history
        .iter()
        .find(|entry| entry.release.generation == Some(generation))
        .filter(|_| at_rest)
}
