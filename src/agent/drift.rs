//! What is said of changes by hand: that they were corrected, or that they are left so.

use std::collections::BTreeMap;

use crate::api::object::ObjectKey;
use crate::cluster::StepOutcome;
use crate::plan::{Action, Cause, Plan, Why};

/// What was corrected by these steps of a plan, in words.
pub fn corrected(plan: &Plan, outcomes: &[StepOutcome]) -> Vec<(ObjectKey, String)> {
    let by_hand = plan.steps.iter().filter(|step| {
        let Action::Update { cause, .. } = &step.action else {
            return false;
        };
        matches!(cause, Cause::Drift { .. })
    });
    let done = by_hand.filter(|step| {
        let mut outcomes = outcomes.iter();
        outcomes.any(|outcome| outcome.key == step.key && outcome.result.is_ok())
    });
    done.map(|step| {
        let message = format!("changed by hand and corrected: {step}");
        (step.key.clone(), message)
    })
    .collect()
}

/// What a plan leaves as somebody made it, in words.
pub fn left(plan: &Plan) -> BTreeMap<ObjectKey, String> {
    plan.left
        .iter()
        .filter(|left| matches!(left.why, Why::DriftLeft { .. }))
        .filter_map(|left| Some((left.object.clone()?, left.why.to_string())))
        .collect()
}

/// The first of them, and how many more there are.
pub fn summary(left: &BTreeMap<ObjectKey, String>) -> Option<String> {
    let (key, message) = left.first_key_value()?;
    Some(match left.len().saturating_sub(1) {
        0 => format!("{key}: {message}"),
        more => format!("{key}: {message} (and {more} more)"),
    })
}
