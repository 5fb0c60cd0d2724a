//! Gradual rollout (`serving.knative.dev/rollout-duration`): a new latest Revision takes
//! over the main host's requests point by point, in a given time.
//!
//! It is purely timed; nothing is judged, and nothing is rolled back. The state is JSON in
//! an annotation of the Ingress, next to the splits that follow from it, so that both
//! change together (`pkg/reconciler/route/traffic/rollout.go` in Knative Serving). The
//! hosts of tags follow the latest Revision at once.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::traffic::Target;

/// The annotation of the Ingress.
pub const ANNOTATION: &str = "networking.internal.knative.dev/rollout";

const SECOND: i64 = 1_000_000_000;

/// Every target that follows a Configuration, and how far it has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollout {
    #[serde(default)]
    configurations: Vec<Share>,
}

/// One target's percent, divided between the Revisions that have it now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Share {
    configuration_name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    tag: String,
    percent: i64,
    /// Oldest first; the last one is to have all.
    revisions: Vec<RevisionShare>,
    #[serde(default, skip_serializing_if = "Steps::is_unset")]
    step_params: Steps,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RevisionShare {
    revision_name: String,
    percent: i64,
}

/// Times in nanoseconds since the epoch; a size of 0 says that the steps are not known yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Steps {
    #[serde(rename = "starttime")]
    start_time: i64,
    next_step_time: i64,
    step_duration: i64,
    step_size: i64,
}

impl Steps {
    fn is_unset(&self) -> bool {
        *self == Self::default()
    }
}

impl Rollout {
    /// What an Ingress says; nothing where it cannot be read.
    pub fn read(annotation: Option<&str>) -> Self {
        annotation
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// As the annotation says it.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Whether some older Revision still has a part.
    pub fn is_under_way(&self) -> bool {
        self.configurations.iter().any(Share::is_under_way)
    }

    /// When the next step is due.
    pub fn next_step(&self) -> Option<Timestamp> {
        let moving = self.configurations.iter();
        let times = moving.filter(|share| share.is_under_way() && share.step_params.step_size > 0);
        let next = times.map(|share| share.step_params.next_step_time).min()?;
        Timestamp::from_nanosecond(next.into()).ok()
    }

    /// The state after this look at a Route's targets. `in_force`: the gateway serves what
    /// `self` says.
    pub fn advance(
        &self,
        targets: &[Target],
        duration: Duration,
        in_force: bool,
        now: Timestamp,
    ) -> Self {
        let now = i64::try_from(now.as_nanosecond()).unwrap_or(i64::MAX);
        let following = targets
            .iter()
            .filter(|target| !target.configuration.is_empty() && target.percent > 0);
        let configurations = following.map(|target| {
            let known = self.configurations.iter().find(|share| {
                share.configuration_name == target.configuration && share.tag == target.tag
            });
            match known {
                // A point cannot be divided.
                Some(share) if !duration.is_zero() && target.percent > 1 => {
                    share.clone().advance(target, duration, in_force, now)
                }
                _ => Share::whole(target),
            }
        });
        Self {
            configurations: configurations.collect(),
        }
    }

    /// The targets with each that is on its way divided between its Revisions.
    pub fn divide(&self, targets: &[Target]) -> Vec<Target> {
        let mut divided = Vec::new();
        for target in targets {
            let share = self.configurations.iter().find(|share| {
                share.configuration_name == target.configuration && share.tag == target.tag
            });
            match share.filter(|share| share.is_under_way()) {
                None => divided.push(target.clone()),
                Some(share) => divided.extend(share.revisions.iter().map(|part| Target {
                    revision: part.revision_name.clone(),
                    latest: part.revision_name == target.revision,
                    percent: part.percent,
                    ..target.clone()
                })),
            }
        }
        divided
    }
}

impl Share {
    fn whole(target: &Target) -> Self {
        Self {
            configuration_name: target.configuration.clone(),
            tag: target.tag.clone(),
            percent: target.percent,
            revisions: vec![RevisionShare {
                revision_name: target.revision.clone(),
                percent: target.percent,
            }],
            step_params: Steps::default(),
        }
    }

    fn is_under_way(&self) -> bool {
        self.revisions.len() > 1
    }

    fn advance(mut self, target: &Target, duration: Duration, in_force: bool, now: i64) -> Self {
        self.resize(target.percent);
        let newest = self.revisions.last();
        if newest.is_none_or(|newest| newest.revision_name != target.revision) {
            self.begin(&target.revision, now);
        } else if self.is_under_way() && self.step_params.step_size == 0 {
            if in_force {
                self.plan(duration, now);
            }
        } else if self.is_under_way() && self.step_params.next_step_time <= now {
            self.step(now);
        }
        self.revisions.retain(|part| part.percent > 0);
        if !self.is_under_way() {
            self.step_params = Steps::default();
        }
        self
    }

    /// More goes to the newest, less comes off the oldest.
    fn resize(&mut self, percent: i64) {
        let more = percent - self.percent;
        self.percent = percent;
        if more > 0 {
            if let Some(newest) = self.revisions.last_mut() {
                newest.percent += more;
            }
            return;
        }
        let mut less = -more;
        for part in &mut self.revisions {
            let taken = less.min(part.percent);
            part.percent -= taken;
            less -= taken;
        }
    }

    /// A new Revision gets one point at once, from the newest that has any; the rest waits
    /// until that is in force.
    fn begin(&mut self, revision: &str, now: i64) {
        // One that is on its way out and comes back begins with what it has.
        let had = self
            .revisions
            .iter()
            .position(|part| part.revision_name == revision)
            .map_or(0, |at| self.revisions.remove(at).percent);
        let mut given = had;
        if given == 0
            && let Some(giver) = self
                .revisions
                .iter_mut()
                .rev()
                .find(|part| part.percent > 0)
        {
            giver.percent -= 1;
            given = 1;
        }
        self.revisions.push(RevisionShare {
            revision_name: revision.to_owned(),
            percent: given,
        });
        self.step_params = Steps {
            start_time: now,
            ..Steps::default()
        };
    }

    /// The first point is in force: what that took is what a step takes, and the steps are
    /// laid over the time that is left.
    fn plan(&mut self, duration: Duration, now: i64) {
        let duration = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        let since = (now - self.step_params.start_time).max(0);
        let took = (since + SECOND - 1).div_euclid(SECOND).max(1);
        let left = (duration - took).max(1);
        let points = self.percent - 1;
        let steps = (left / took).clamp(1, points.max(1));
        // Rounded to the nearest: half a point up.
        let size = (2 * points + steps) / (2 * steps);
        let every = left.saturating_mul(SECOND) / steps;
        self.step_params.step_size = size.max(1);
        self.step_params.step_duration = every;
        self.step_params.next_step_time = now.saturating_add(every);
    }

    /// Moves one step's points to the newest, from the newest of the others first.
    fn step(&mut self, now: i64) {
        let Some((newest, others)) = self.revisions.split_last_mut() else {
            return;
        };
        let mut left = self.step_params.step_size;
        for part in others.iter_mut().rev() {
            let moved = left.min(part.percent);
            part.percent -= moved;
            newest.percent += moved;
            left -= moved;
        }
        self.step_params.next_step_time = now.saturating_add(self.step_params.step_duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(revision: &str, percent: i64) -> Target {
        Target {
            tag: String::new(),
            configuration: "app".into(),
            revision: revision.into(),
            latest: true,
            percent,
            protocol: "http1",
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The shares after a look at each of these moments, as `REVISION PERCENT` pairs.
    fn looks(looks: &[(i64, &str, i64)], duration: u64) -> Vec<String> {
        let mut rollout = Rollout::default();
        looks
            .iter()
            .map(|(second, revision, percent)| {
                let targets = [target(revision, *percent)];
                let duration = Duration::from_secs(duration);
                rollout = rollout.advance(&targets, duration, true, at(*second));
                let divided = rollout.divide(&targets);
                assert_eq!(divided.iter().map(|t| t.percent).sum::<i64>(), *percent);
                let parts = divided.iter();
                let parts = parts.map(|part| format!("{} {}", part.revision, part.percent));
                format!("{second}: {}", parts.collect::<Vec<_>>().join(", "))
            })
            .collect()
    }

    #[test]
    fn a_new_revision_gets_a_point_and_then_a_step_at_a_time() {
        let told = looks(
            &[
                (0, "a", 100),
                (10, "b", 100),
                // In force after a second: nine steps of eleven points in nine seconds.
                (11, "b", 100),
                (12, "b", 100),
                (12, "b", 100),
                (13, "b", 100),
                (14, "b", 100),
                (15, "b", 100),
                (16, "b", 100),
                (17, "b", 100),
                (18, "b", 100),
                (19, "b", 100),
                (20, "b", 100),
            ],
            10,
        );
        expect_test::expect![[r#"
            0: a 100
            10: a 99, b 1
            11: a 99, b 1
            12: a 88, b 12
            12: a 88, b 12
            13: a 77, b 23
            14: a 66, b 34
            15: a 55, b 45
            16: a 44, b 56
            17: a 33, b 67
            18: a 22, b 78
            19: a 11, b 89
            20: b 100"#]]
        .assert_eq(&told.join("\n"));
    }

    #[test]
    fn a_third_revision_joins_and_changed_percents_are_divided() {
        let told = looks(
            &[
                (0, "a", 80),
                (10, "b", 80),
                (11, "b", 80),
                (20, "b", 80),
                (21, "c", 80),
                (22, "c", 90),
                (23, "c", 40),
                (60, "c", 40),
                (99, "c", 40),
            ],
            30,
        );
        expect_test::expect![[r#"
            0: a 80
            10: a 79, b 1
            11: a 79, b 1
            20: a 76, b 4
            21: a 76, b 3, c 1
            22: a 76, b 3, c 11
            23: a 26, c 14
            60: a 23, c 17
            99: a 20, c 20"#]]
        .assert_eq(&told.join("\n"));
    }

    #[test]
    fn without_a_duration_the_latest_has_all_at_once() {
        let told = looks(&[(0, "a", 100), (1, "b", 100), (2, "c", 1)], 0);
        assert_eq!(told, ["0: a 100", "1: b 100", "2: c 1"]);
    }

    #[test]
    fn the_annotation_is_read_back_as_it_was_written() {
        let ten = Duration::from_secs(10);
        let one = Rollout::default().advance(&[target("a", 100)], ten, true, at(0));
        let two = one.advance(&[target("b", 100)], ten, true, at(1));
        expect_test::expect![[r#"{"configurations":[{"configurationName":"app","percent":100,"revisions":[{"revisionName":"a","percent":99},{"revisionName":"b","percent":1}],"stepParams":{"starttime":1000000000,"nextStepTime":0,"stepDuration":0,"stepSize":0}}]}"#]]
            .assert_eq(&two.write());
        assert_eq!(Rollout::read(Some(&two.write())), two);
        assert_eq!(Rollout::read(Some("not json")), Rollout::default());
    }
}
