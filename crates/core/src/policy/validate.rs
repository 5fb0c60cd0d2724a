//! Reading and checking a RolloutPolicy: every complaint names the field and what to write.

use std::fmt;
use std::time::Duration;

use crate::api::probe::{self, ProbeMethod};
use crate::api::rollout_policy::{
    Analysis, LatencyLimit, Probes, RolloutPolicy, RolloutPolicySpec,
};

use super::{Policy, Presets};

/// A policy that cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PolicyError {
    /// Nothing has that name.
    #[error(
        "there is no RolloutPolicy {name:?} in the namespace and no preset of that name; the presets are {presets}",
        presets = presets.names().collect::<Vec<_>>().join(", ")
    )]
    Unknown {
        /// The name.
        name: String,
        /// The presets that were asked.
        presets: Presets,
    },
    /// The text is not a RolloutPolicy.
    #[error("RolloutPolicy cannot be read: {0}")]
    Unreadable(String),
    /// Fields are out of range.
    #[error("RolloutPolicy {name:?}: {}", list(problems))]
    Invalid {
        /// The policy's name.
        name: String,
        /// Every field that is wrong.
        problems: Vec<FieldProblem>,
    },
}

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// `spec.steps[1].weight`.
    pub field: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

fn list(problems: &[FieldProblem]) -> String {
    let texts: Vec<String> = problems.iter().map(FieldProblem::to_string).collect();
    texts.join("; ")
}

/// Reads a RolloutPolicy manifest (YAML or JSON).
///
/// # Errors
/// When it is not one, or fields are out of range.
pub fn read(text: &str) -> Result<Policy, PolicyError> {
    let object: RolloutPolicy =
        serde_yaml::from_str(text).map_err(|error| PolicyError::Unreadable(error.to_string()))?;
    let name = object.metadata.name.as_deref().unwrap_or("unnamed");
    check(name, &object.spec)
}

/// Checks a spec and fills it in.
///
/// # Errors
/// When fields are out of range; all of them are named at once.
pub fn check(name: &str, spec: &RolloutPolicySpec) -> Result<Policy, PolicyError> {
    let mut problems = Problems::default();
    problems.check_steps(spec);
    problems.check_durations(spec);
    problems.check_probes(&spec.probes);
    problems.check_analysis(&spec.analysis);
    if problems.0.is_empty() {
        Ok(Policy::from_checked(name, spec))
    } else {
        Err(PolicyError::Invalid {
            name: name.to_owned(),
            problems: problems.0,
        })
    }
}

/// What was found to be wrong so far, in the order of the spec's fields.
#[derive(Default)]
struct Problems(Vec<FieldProblem>);

impl Problems {
    fn wrong(&mut self, field: &str, message: String) {
        self.0.push(FieldProblem {
            field: format!("spec.{field}"),
            message,
        });
    }

    fn check_steps(&mut self, spec: &RolloutPolicySpec) {
        if spec.steps.len() > 50 {
            self.wrong(
                "steps",
                format!("{} steps; 50 are the limit", spec.steps.len()),
            );
        }
        let mut before = 0;
        for (i, step) in spec.steps.iter().enumerate() {
            let field = format!("steps[{i}].weight");
            if !(1..=99).contains(&step.weight) {
                self.wrong(
                    &field,
                    format!(
                        "{} is not between 1 and 99 (100 % is the promotion and not a step)",
                        step.weight
                    ),
                );
            } else if step.weight <= before {
                self.wrong(
                    &field,
                    format!(
                        "{} is not above {before}, the step before it: weights rise",
                        step.weight
                    ),
                );
            }
            before = before.max(step.weight);
        }
    }

    fn check_durations(&mut self, spec: &RolloutPolicySpec) {
        let second = Duration::from_secs(1);
        let millisecond = Duration::from_millis(1);
        for (field, value, least) in [
            ("interval", spec.interval, millisecond * 100),
            ("stepTimeout", spec.step_timeout, second),
            ("progressDeadline", spec.progress_deadline, second),
            ("confirmTimeout", spec.confirm_timeout, second),
            ("probes.timeout", spec.probes.timeout, millisecond),
        ] {
            if value.get() < least {
                self.wrong(
                    field,
                    format!("{value} is too short: at least {}ms", least.as_millis()),
                );
            }
        }
        let bakes = spec.steps.iter().map(|step| step.bake.unwrap_or(spec.bake));
        if let Some((i, bake)) = bakes
            .enumerate()
            .find(|(_, bake)| *bake >= spec.step_timeout)
        {
            self.wrong(
                "stepTimeout",
                format!(
                    "{} must be longer than the bake of steps[{i}] ({bake}), or that step always holds",
                    spec.step_timeout
                ),
            );
        }
    }

    fn check_probes(&mut self, probes: &Probes) {
        let paths: Vec<String> = probes.path.iter().chain(&probes.paths).cloned().collect();
        if probes.path.is_some() && !probes.paths.is_empty() {
            self.wrong("probes.path", "write path or paths, not both".to_owned());
        } else if let Err(refused) = probe::check_paths(&paths) {
            let field = if probes.path.is_some() {
                "path"
            } else {
                "paths"
            };
            self.wrong(&format!("probes.{field}"), refused.to_string());
        }
        if let Err(refused) = probe::check_headers(&probes.headers) {
            self.wrong("probes.headers", refused.to_string());
        }
        match probes
            .expected_body
            .as_ref()
            .map(probe::ExpectedBody::check)
        {
            Some(Err((field, refused))) => {
                let dot = if field.is_empty() { "" } else { "." };
                let field = format!("probes.expectedBody{dot}{field}");
                self.wrong(&field, refused.to_string());
            }
            Some(Ok(_)) if probes.method == ProbeMethod::Head => self.wrong(
                "probes.expectedBody",
                "an answer to HEAD has no body; write another method".to_owned(),
            ),
            Some(Ok(_)) | None => {}
        }
        if probes.count > 10_000 {
            self.wrong(
                "probes.count",
                format!("{} is more than 10000", probes.count),
            );
        }
        if !(1..=64).contains(&probes.concurrency) {
            self.wrong(
                "probes.concurrency",
                format!("{} is not between 1 and 64", probes.concurrency),
            );
        }
    }

    fn check_analysis(&mut self, analysis: &Analysis) {
        if !(1..=100).contains(&analysis.consecutive_failures) {
            self.wrong(
                "analysis.consecutiveFailures",
                format!("{} is not between 1 and 100", analysis.consecutive_failures),
            );
        }
        if !(0.0..=100.0).contains(&analysis.max_error_rate) {
            self.wrong(
                "analysis.maxErrorRate",
                format!(
                    "{} is not between 0 and 100 (percent)",
                    analysis.max_error_rate
                ),
            );
        }
        self.check_limit("analysis.p99", &analysis.p99);
        self.check_limit("analysis.p50", &analysis.p50);
        let low = &analysis.low_traffic;
        if low.synthetic_probes && !(1..=10_000).contains(&low.requests) {
            self.wrong(
                "analysis.lowTraffic.requests",
                format!(
                    "{} is not between 1 and 10000; syntheticProbes: false switches them off",
                    low.requests
                ),
            );
        }
    }

    fn check_limit(&mut self, field: &str, limit: &LatencyLimit) {
        if let Some(max) = limit.max.filter(|max| max.get().is_zero()) {
            self.wrong(
                &format!("{field}.max"),
                format!("{max} lets nothing pass; leave it out for no limit"),
            );
        }
        if let Some(ratio) = limit
            .max_ratio
            .filter(|ratio| !(*ratio >= 1.0 && ratio.is_finite()))
        {
            self.wrong(
                &format!("{field}.maxRatio"),
                format!("{ratio} must be 1 or more (1.25 allows a quarter more than stable)"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn complains(yaml: &str, expected: Expect) {
        let text = format!(
            "apiVersion: sluice.dev/v1alpha1\nkind: RolloutPolicy\nmetadata: {{name: mine}}\nspec: {yaml}\n"
        );
        let said = read(&text).map_or_else(|error| error.to_string(), |_| "fine".to_owned());
        expected.assert_eq(&said);
    }

    #[test]
    fn a_policy_says_only_where_it_differs() {
        complains(
            "{steps: [{weight: 10}], analysis: {p99: {max: 300ms}}}",
            expect!["fine"],
        );
        complains("{steps: []}", expect!["fine"]);
    }

    #[test]
    fn weights_that_do_not_rise_are_named_with_their_place() {
        complains(
            "{steps: [{weight: 50}, {weight: 20}, {weight: 100}]}",
            expect![[
                r#"RolloutPolicy "mine": spec.steps[1].weight: 20 is not above 50, the step before it: weights rise; spec.steps[2].weight: 100 is not between 1 and 99 (100 % is the promotion and not a step)"#
            ]],
        );
    }

    #[test]
    fn numbers_out_of_range_say_what_would_be_right() {
        complains(
            "{interval: 1ms, probes: {path: healthz, concurrency: 0}, analysis: {maxErrorRate: 101, p50: {maxRatio: 0.5}}}",
            expect![[
                r#"RolloutPolicy "mine": spec.interval: 1ms is too short: at least 100ms; spec.probes.path: "healthz" must start with /; spec.probes.concurrency: 0 is not between 1 and 64; spec.analysis.maxErrorRate: 101 is not between 0 and 100 (percent); spec.analysis.p50.maxRatio: 0.5 must be 1 or more (1.25 allows a quarter more than stable)"#
            ]],
        );
        complains(
            "{probes: {path: /a, paths: [/b]}}",
            expect![[r#"RolloutPolicy "mine": spec.probes.path: write path or paths, not both"#]],
        );
        complains(
            "{probes: {paths: [/a, b], method: HEAD, headers: {host: x}, expectedBody: {contains: ok}}}",
            expect![[
                r#"RolloutPolicy "mine": spec.probes.paths: "b" must start with /; spec.probes.headers: host leads the probe to the candidate and cannot be another; spec.probes.expectedBody: an answer to HEAD has no body; write another method"#
            ]],
        );
        complains(
            "{probes: {expectedBody: {jsonPath: status, equals: up}}}",
            expect![[
                r#"RolloutPolicy "mine": spec.probes.expectedBody.jsonPath: "status" is no path of a field; write it like .status or .checks[0].name"#
            ]],
        );
        complains(
            "{probes: {expectedBody: {jsonPath: .status}}}",
            expect![[
                r#"RolloutPolicy "mine": spec.probes.expectedBody.equals: write the value that jsonPath leads to"#
            ]],
        );
        complains(
            "{probes: {expectedStatus: 99}}",
            expect![
                "RolloutPolicy cannot be read: spec.probes: 99 is no HTTP status (100 to 599) at line 4 column 16"
            ],
        );
        complains(
            "{probes: {paths: [/healthz, /api], method: POST, headers: {x-tenant: probe}, expectedStatus: '200-299, 404', expectedBody: {jsonPath: .status, equals: up}}}",
            expect!["fine"],
        );
        complains(
            "{bake: 1h}",
            expect![[
                r#"RolloutPolicy "mine": spec.stepTimeout: 30m must be longer than the bake of steps[0] (1h), or that step always holds"#
            ]],
        );
    }

    #[test]
    fn unknown_fields_and_names_are_refused() {
        complains(
            "{stepps: []}",
            expect![
                "RolloutPolicy cannot be read: spec: unknown field `stepps`, expected one of `steps`, `bake`, `interval`, `stepTimeout`, `progressDeadline`, `confirmTimeout`, `probes`, `analysis` at line 4 column 8"
            ],
        );
        expect![[r#"there is no RolloutPolicy "bold" in the namespace and no preset of that name; the presets are standard, cautious, fast, demo"#]]
            .assert_eq(&super::super::preset("bold").unwrap_err().to_string());
    }
}
