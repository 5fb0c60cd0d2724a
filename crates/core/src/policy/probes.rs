//! Requests of our own, as a policy asks for them and as a Service's annotations have it otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::annotations::PROBE_METHOD;
use crate::api::probe::{
    BodyExpectation, ExpectedStatus, ProbeMethod, ProbeSetting, ProbeValueError,
};
use crate::api::rollout_policy as api;

use super::Policy;

/// Requests to the candidate's tag URL.
#[derive(Clone, Debug, PartialEq)]
pub struct Probes {
    /// Paths that somebody named; where there are none, the container's readiness path, or `/`.
    pub paths: Vec<String>,
    /// The method.
    pub method: ProbeMethod,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// The statuses that pass; where none are named, what is below 500 and no worse than stable's.
    pub expected_status: Option<ExpectedStatus>,
    /// What the body must have.
    pub expected_body: Option<BodyExpectation>,
    /// How many must pass; 0 switches the gate off.
    pub count: u32,
    /// How many are under way at once.
    pub concurrency: u32,
    /// An answer later than this has failed.
    pub timeout: Duration,
    /// How long after a revision's first answer late ones blame nobody.
    pub slow_start: Duration,
}

/// An annotation about probes that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("metadata.annotations[{annotation:?}]: {source}")]
pub struct ProbeAnnotationError {
    /// Its full name.
    pub annotation: String,
    /// What is wrong with it.
    #[source]
    pub source: ProbeValueError,
}

impl Probes {
    /// The probes that a spec stands for; its fields must have been checked.
    pub(super) fn from_checked(policy: &api::RolloutPolicySpec) -> Self {
        let spec = &policy.probes;
        // A policy that holds early has no time for the slow start that is everybody's default.
        let slow_start = spec.slow_start.get().min(policy.step_timeout.get() / 2);
        let one = spec.path.iter().cloned();
        Self {
            paths: one.chain(spec.paths.iter().cloned()).collect(),
            method: spec.method,
            headers: spec.headers.clone(),
            expected_status: spec.expected_status.clone(),
            expected_body: (spec.expected_body.as_ref()).and_then(|body| body.check().ok()),
            count: spec.count,
            concurrency: spec.concurrency,
            timeout: spec.timeout.get(),
            slow_start,
        }
    }

    fn set(&mut self, setting: ProbeSetting) {
        match setting {
            ProbeSetting::Paths(paths) => self.paths = paths,
            ProbeSetting::Method(method) => self.method = method,
            ProbeSetting::Headers(headers) => self.headers = headers,
            ProbeSetting::ExpectedStatus(statuses) => self.expected_status = Some(statuses),
            ProbeSetting::ExpectedBody(body) => self.expected_body = Some(body),
        }
    }
}

impl Policy {
    /// The policy of one service: what its annotations say of its probes goes before what the policy says.
    ///
    /// # Errors
    /// When one of them cannot be used.
    pub fn with_probe_annotations(
        mut self,
        annotations: &BTreeMap<String, String>,
    ) -> Result<Self, ProbeAnnotationError> {
        for (annotation, value) in annotations {
            match ProbeSetting::read(annotation, value) {
                None => {}
                Some(Ok(setting)) => self.probes.set(setting),
                Some(Err(source)) => {
                    let annotation = annotation.clone();
                    return Err(ProbeAnnotationError { annotation, source });
                }
            }
        }
        if self.probes.method == ProbeMethod::Head && self.probes.expected_body.is_some() {
            let message = "an answer to HEAD has no body, and one is expected".to_owned();
            return Err(ProbeAnnotationError {
                annotation: PROBE_METHOD.to_owned(),
                source: ProbeValueError(message),
            });
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::api::annotations;
    use crate::api::duration::HumanDuration;
    use crate::api::rollout_policy::RolloutPolicySpec;
    use crate::policy::preset;
    use crate::policy::validate::check;

    #[test]
    fn a_slow_start_leaves_time_for_a_verdict() {
        let mut spec = RolloutPolicySpec::default();
        let slow_start = |spec: &RolloutPolicySpec| check("mine", spec).unwrap().probes.slow_start;
        assert_eq!(slow_start(&spec), Duration::from_secs(30));
        (spec.bake, spec.step_timeout) =
            (HumanDuration(Duration::ZERO), HumanDuration::from_secs(4));
        assert_eq!(slow_start(&spec), Duration::from_secs(2));
    }

    #[test]
    fn a_service_s_annotations_go_before_its_policy() {
        let policy = preset("fast").unwrap();
        let said = |pairs: &[(&str, &str)]| {
            let pairs = pairs
                .iter()
                .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()));
            policy.clone().with_probe_annotations(&pairs.collect())
        };
        let probes = said(&[
            (annotations::PROBE_PATH, "/healthz,/api"),
            (annotations::PROBE_EXPECTED_STATUS, "200-299"),
        ]);
        let probes = probes.unwrap().probes;
        assert_eq!(probes.paths, ["/healthz", "/api"]);
        assert!(!probes.expected_status.unwrap().contains(302));
        assert_eq!(
            probes.count, policy.probes.count,
            "the rest is the policy's"
        );
        let refused = said(&[(annotations::PROBE_PATH, "healthz")]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "metadata.annotations[\"sluice.dev/probe-path\"]: \"healthz\" must start with /"
        );
    }
}
