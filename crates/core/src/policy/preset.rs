//! The policies that come with the program: texts that it hands in.

use super::Policy;
use super::validate::{PolicyError, read};
use crate::api::rollout_policy::{Analysis, LatencyLimit, RolloutPolicySpec};

/// The presets of a program: the name of each, and its RolloutPolicy as YAML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presets(&'static [(&'static str, &'static str)]);

impl Presets {
    /// Takes name and text of every preset; a text is read when its name is asked for.
    pub const fn new(texts: &'static [(&'static str, &'static str)]) -> Self {
        Self(texts)
    }

    /// Returns the name of every preset.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|(name, _)| *name)
    }

    /// Reads the preset of that name.
    ///
    /// # Errors
    /// When there is none, or its text is not a valid RolloutPolicy.
    pub fn policy(self, name: &str) -> Result<Policy, PolicyError> {
        let (_, text) = self
            .0
            .iter()
            .find(|(preset, _)| *preset == name)
            .ok_or_else(|| PolicyError::Unknown {
                name: name.to_owned(),
                presets: self,
            })?;
        read(text)
    }
}

/// The presets that the root package embeds, for the tests of whatever decides by a policy.
#[cfg(test)]
const PRESETS: Presets = Presets::new(&[
    (
        "standard",
        include_str!("../../../../policies/standard.yaml"),
    ),
    (
        "cautious",
        include_str!("../../../../policies/cautious.yaml"),
    ),
    ("fast", include_str!("../../../../policies/fast.yaml")),
    ("demo", include_str!("../../../../policies/demo.yaml")),
]);

/// The preset of that name, in tests.
#[cfg(test)]
pub(crate) fn preset(name: &str) -> Result<Policy, PolicyError> {
    PRESETS.policy(name)
}

/// What a release on its way is watched by when its policy cannot be read and was never known
/// here: `standard`, without limits on answer times, which only the team knows.
pub fn of_last_resort() -> Policy {
    let spec = RolloutPolicySpec {
        analysis: Analysis {
            p99: LatencyLimit::default(),
            p50: LatencyLimit::default(),
            ..Analysis::default()
        },
        ..RolloutPolicySpec::default()
    };
    Policy::from_checked("standard", &spec)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_preset_is_valid_and_bears_its_file_s_name() {
        for name in PRESETS.names() {
            assert_eq!(preset(name).unwrap().name, name);
        }
    }

    #[test]
    fn standard_is_what_a_policy_without_a_word_means() {
        let silent = super::super::validate::check("standard", &RolloutPolicySpec::default());
        assert_eq!(preset("standard").unwrap(), silent.unwrap());
    }

    #[test]
    fn the_last_resort_is_standard_but_for_answer_times() {
        let mut standard = preset("standard").unwrap();
        assert_ne!(of_last_resort(), standard);
        standard.analysis.p99 = LatencyLimit::default();
        standard.analysis.p50 = LatencyLimit::default();
        assert_eq!(of_last_resort(), standard);
    }

    #[test]
    fn demo_and_fast_bake_a_good_release_within_their_promise() {
        let baked = |name: &str| -> Duration {
            preset(name)
                .unwrap()
                .steps
                .iter()
                .map(|step| step.bake)
                .sum()
        };
        // Readiness, probes and confirmations take the rest of 25 s and of 60 s.
        assert!(
            baked("demo") <= Duration::from_secs(16),
            "{:?}",
            baked("demo")
        );
        assert!(
            baked("fast") <= Duration::from_secs(40),
            "{:?}",
            baked("fast")
        );
    }

    #[test]
    fn fast_probes_enough_to_find_five_percent_of_errors_before_any_user_does() {
        // 0.95^n < 1/1000: a release with 5 % errors shows at least one in n probes.
        assert!(preset("fast").unwrap().probes.count >= 135);
    }
}
