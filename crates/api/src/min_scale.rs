//! The fewest instances of a Revision, as they stand and as Sluice raised them while a rollback might need them.
//!
//! Knative scales by the annotations of the Revision, whatever its template said. What they were before is kept in an
//! annotation beside them, so that it can be put back by whoever comes next and remembers nothing. Its name begins like
//! Knative's own: all others are copied to the Pods' template, and a change there would replace every Pod.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

/// The fewest instances of a Revision that can be reached.
pub const MIN_SCALE: &str = "autoscaling.knative.dev/min-scale";
/// Ours: what that was, and what we made of it: `1/3`, or `/3` where there was none.
pub const RAISED: &str = "autoscaling.knative.dev/sluice-raised-min-scale";

/// The older spelling of [`MIN_SCALE`], which goes behind it.
const MIN_SCALE_OLD: &str = "autoscaling.knative.dev/minScale";
/// What Knative allows no minimum to be over; each in both spellings, the newer first.
const MOST: [[&str; 2]; 2] = [
    [
        "autoscaling.knative.dev/max-scale",
        "autoscaling.knative.dev/maxScale",
    ],
    [
        "autoscaling.knative.dev/activation-scale",
        "autoscaling.knative.dev/activationScale",
    ],
];

/// The bounds of a Revision's instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScaleBounds {
    /// [`MIN_SCALE`] as it is written.
    pub min_scale: Option<String>,
    /// The fewest instances that are in force by it, or by its older spelling.
    pub least: u32,
    /// What that may be raised to; `None` is without bound.
    pub most: Option<u32>,
    /// Sluice raised it.
    pub raised: Option<Raised>,
}

/// What Sluice made of a minimum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raised {
    /// [`MIN_SCALE`] as it was before; `None` where there was none.
    pub before: Option<String>,
    /// What it is since.
    pub now: u32,
}

impl ScaleBounds {
    /// Reads the annotations of a Revision. What is no number bounds nothing.
    pub fn of(annotations: &Map<String, Value>) -> Self {
        let text = |name: &str| annotations.get(name).and_then(Value::as_str);
        let number = |names: &[&str]| -> Option<u32> {
            names.iter().find_map(|name| text(name))?.parse().ok()
        };
        // 0 is without bound.
        let bounds = MOST.iter().filter_map(|names| number(names));
        Self {
            min_scale: text(MIN_SCALE).map(str::to_owned),
            least: number(&[MIN_SCALE, MIN_SCALE_OLD]).unwrap_or_default(),
            most: bounds.filter(|bound| *bound > 0).min(),
            raised: text(RAISED).and_then(|text| text.parse().ok()),
        }
    }

    /// [`MIN_SCALE`] as it is without Sluice: what it was, unless somebody else has changed it since.
    pub fn without_sluice(&self) -> Option<&String> {
        match &self.raised {
            Some(raised) if self.min_scale == Some(raised.now.to_string()) => {
                raised.before.as_ref()
            }
            _ => self.min_scale.as_ref(),
        }
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}/{}",
            self.before.as_deref().unwrap_or_default(),
            self.now
        )
    }
}

impl FromStr for Raised {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (before, now) = text.rsplit_once('/').unwrap_or(("", text));
        Ok(Self {
            before: (!before.is_empty()).then(|| before.to_owned()),
            now: now.parse()?,
        })
    }
}

/// The annotations of a Revision as they are without Sluice's minimum.
pub fn without_raised(annotations: &Map<String, Value>) -> Map<String, Value> {
    let bounds = ScaleBounds::of(annotations);
    let mut before = annotations.clone();
    if before.remove(RAISED).is_some() {
        match bounds.without_sluice() {
            Some(min) => before.insert(MIN_SCALE.to_owned(), min.as_str().into()),
            None => before.remove(MIN_SCALE),
        };
    }
    before
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn annotations(pairs: Value) -> Map<String, Value> {
        pairs.as_object().cloned().unwrap()
    }

    #[test]
    fn a_minimum_that_sluice_raised_reads_back_and_goes_without_a_trace() {
        for before in [None, Some("1".to_owned())] {
            let raised = Raised {
                before: before.clone(),
                now: 3,
            };
            let mut found = annotations(json!({"app": "hello", MIN_SCALE: "3"}));
            found.insert(RAISED.to_owned(), raised.to_string().into());
            let bounds = ScaleBounds::of(&found);
            assert_eq!((bounds.least, bounds.raised.as_ref()), (3, Some(&raised)));
            let mut expected = annotations(json!({"app": "hello"}));
            expected.extend(before.map(|before| (MIN_SCALE.to_owned(), before.into())));
            assert_eq!(without_raised(&found), expected);
        }
    }

    #[test]
    fn what_somebody_else_wrote_since_is_theirs() {
        let found = annotations(json!({MIN_SCALE: "9", RAISED: "1/3"}));
        assert_eq!(without_raised(&found), annotations(json!({MIN_SCALE: "9"})));
    }

    #[test]
    fn bounds_are_read_in_both_spellings_and_the_lower_of_them_counts() {
        let of = |pairs| {
            let bounds = ScaleBounds::of(&annotations(pairs));
            (bounds.least, bounds.most)
        };
        let group = "autoscaling.knative.dev";
        assert_eq!(of(json!({format!("{group}/minScale"): "2"})), (2, None));
        assert_eq!(of(json!({format!("{group}/max-scale"): "0"})), (0, None));
        assert_eq!(
            of(json!({format!("{group}/maxScale"): "5", format!("{group}/activation-scale"): "3"})),
            (0, Some(3))
        );
        assert_eq!(of(json!({MIN_SCALE: "many"})), (0, None));
    }
}
