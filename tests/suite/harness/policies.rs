//! The policies that stories are told under.

use sluice::api::duration::HumanDuration;
use sluice::api::rollout_policy::{ReadinessOnly, RolloutPolicy, RolloutPolicySpec};

/// Three steps like everybody's, and hardly any waiting: a good release takes five seconds.
pub fn brisk() -> RolloutPolicySpec {
    let mut policy = RolloutPolicySpec {
        bake: HumanDuration::from_millis(1000),
        interval: HumanDuration::from_millis(250),
        step_timeout: HumanDuration::from_secs(60),
        progress_deadline: HumanDuration::from_secs(30),
        confirm_timeout: HumanDuration::from_secs(20),
        watch: HumanDuration::from_secs(0),
        ..RolloutPolicySpec::default()
    };
    policy.analysis.min_requests = 2;
    policy.analysis.warm_up.requests = 3;
    policy.analysis.warm_up.duration = HumanDuration::from_millis(0);
    policy.analysis.low_traffic.requests = 10;
    policy.analysis.low_traffic.readiness_only = ReadinessOnly::Promote;
    policy
}

/// The preset `demo` without its watch: a story that is not about that does not wait for its end.
pub fn unwatched_demo() -> RolloutPolicySpec {
    let preset = include_str!("../../../policies/demo.yaml");
    let preset: RolloutPolicy = serde_yaml::from_str(preset).unwrap();
    RolloutPolicySpec {
        watch: HumanDuration::from_secs(0),
        ..preset.spec
    }
}
