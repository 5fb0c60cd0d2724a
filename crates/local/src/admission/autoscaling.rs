//! The `autoscaling.knative.dev/` annotations of a template, and their bounds.

use super::field_error::FieldErrors;
use super::go_duration::GoDuration;
use super::go_number;
use super::metadata::{Annotations, find};

/// The group that the keys start with.
pub const GROUP: &str = "autoscaling.knative.dev";

const KPA: &str = "kpa.autoscaling.knative.dev";
const HPA: &str = "hpa.autoscaling.knative.dev";

const CLASS: &[&str] = &["autoscaling.knative.dev/class"];
const MIN_SCALE: &[&str] = &[
    "autoscaling.knative.dev/min-scale",
    "autoscaling.knative.dev/minScale",
];
const MAX_SCALE: &[&str] = &[
    "autoscaling.knative.dev/max-scale",
    "autoscaling.knative.dev/maxScale",
];
const INITIAL_SCALE: &[&str] = &[
    "autoscaling.knative.dev/initial-scale",
    "autoscaling.knative.dev/initialScale",
];
const ACTIVATION_SCALE: &[&str] = &["autoscaling.knative.dev/activation-scale"];
const SCALE_DOWN_DELAY: &[&str] = &[
    "autoscaling.knative.dev/scale-down-delay",
    "autoscaling.knative.dev/scaleDownDelay",
];
const RETENTION: &[&str] = &[
    "autoscaling.knative.dev/scale-to-zero-pod-retention-period",
    "autoscaling.knative.dev/scaleToZeroPodRetentionPeriod",
];
const METRIC: &[&str] = &["autoscaling.knative.dev/metric"];
const ALGORITHM: &[&str] = &[
    "autoscaling.knative.dev/metric-aggregation-algorithm",
    "autoscaling.knative.dev/metricAggregationAlgorithm",
];
const TARGET: &[&str] = &["autoscaling.knative.dev/target"];
const UTILIZATION: &[&str] = &[
    "autoscaling.knative.dev/target-utilization-percentage",
    "autoscaling.knative.dev/targetUtilizationPercentage",
];
const BURST: &[&str] = &[
    "autoscaling.knative.dev/target-burst-capacity",
    "autoscaling.knative.dev/targetBurstCapacity",
];
const PANIC_WINDOW: &[&str] = &[
    "autoscaling.knative.dev/panic-window-percentage",
    "autoscaling.knative.dev/panicWindowPercentage",
];
const PANIC_THRESHOLD: &[&str] = &[
    "autoscaling.knative.dev/panic-threshold-percentage",
    "autoscaling.knative.dev/panicThresholdPercentage",
];
const WINDOW: &[&str] = &["autoscaling.knative.dev/window"];

/// The longest window, and so the longest of the delays.
const HOUR: GoDuration = GoDuration::from_secs(3600);
const NOUGHT: GoDuration = GoDuration::from_secs(0);

/// Everything wrong with them (paths from the annotations).
pub fn annotations(all: &Annotations<'_>) -> FieldErrors {
    class(all)
        .also(scale(all))
        .also(numbers(all))
        .also(window(all))
        .also(retention(all))
        .also(scale_down_delay(all))
        .also(metric(all))
        .also(algorithm(all))
        .also(initial_scale(all))
}

fn class(all: &Annotations<'_>) -> FieldErrors {
    match find(all, CLASS) {
        Some((key, value)) if value.ends_with(".knative.dev") && ![KPA, HPA].contains(&value) => {
            FieldErrors::invalid(value, key)
        }
        _ => FieldErrors::none(),
    }
}

fn scale(all: &Annotations<'_>) -> FieldErrors {
    let (min, mut errors) = count(all, MIN_SCALE);
    let (max, more) = count(all, MAX_SCALE);
    errors.add(more);
    if max != 0 && max < min {
        errors.add(FieldErrors::new(
            format!("max-scale={max} is less than min-scale={min}"),
            MAX_SCALE
                .iter()
                .take(1)
                .chain(MIN_SCALE.iter().take(1))
                .copied(),
        ));
    }
    let Some((key, value)) = find(all, ACTIVATION_SCALE) else {
        return errors;
    };
    errors.add(match value.parse::<i32>() {
        Err(_) => FieldErrors::invalid(value, key),
        Ok(scale) if min > scale => FieldErrors::at(
            format!("min-scale={min} is greater than activation-scale={scale}"),
            key,
        ),
        Ok(scale) if max < scale && max != 0 => FieldErrors::at(
            format!("max-scale={max} is less than activation-scale={scale}"),
            key,
        ),
        Ok(scale) if scale < 2 => FieldErrors::at(
            format!("activation-scale={scale} must be greater than 1"),
            key,
        ),
        Ok(_) => FieldErrors::none(),
    });
    errors
}

fn count(all: &Annotations<'_>, keys: &[&'static str]) -> (i32, FieldErrors) {
    let Some((key, value)) = find(all, keys) else {
        return (0, FieldErrors::none());
    };
    match value.parse::<i128>() {
        Ok(number) => match i32::try_from(number) {
            Ok(number) if number >= 0 => (number, FieldErrors::none()),
            _ => (0, FieldErrors::out_of_bounds(value, 0, i32::MAX, key)),
        },
        Err(_) => (0, FieldErrors::invalid(value, key)),
    }
}

fn numbers(all: &Annotations<'_>) -> FieldErrors {
    let bounded = |keys: &[&'static str], low: f64, high: f64| match find(all, keys) {
        None => FieldErrors::none(),
        Some((key, value)) => match go_number::float(value) {
            None => FieldErrors::invalid(value, key),
            Some(number) if number < low || number > high => {
                FieldErrors::out_of_bounds(value, low, high, key)
            }
            Some(_) => FieldErrors::none(),
        },
    };
    let mut errors = bounded(PANIC_WINDOW, 1.0, 100.0)
        .also(bounded(PANIC_THRESHOLD, 110.0, 1000.0))
        .also(bounded(UTILIZATION, 1.0, 100.0));
    if let Some((key, value)) = find(all, TARGET) {
        errors.add(match go_number::float(value) {
            None => FieldErrors::invalid(value, key),
            Some(number) if number < 0.01 => {
                FieldErrors::at(format!("target {value} should be at least 0.01"), key)
            }
            Some(_) => FieldErrors::none(),
        });
    }
    if let Some((key, value)) = find(all, BURST) {
        let bad = |number: f64| number < 0.0 && number != -1.0;
        if go_number::float(value).is_none_or(bad) {
            errors.add(FieldErrors::invalid(value, key));
        }
    }
    errors
}

fn window(all: &Annotations<'_>) -> FieldErrors {
    let Some((key, value)) = find(all, WINDOW) else {
        return FieldErrors::none();
    };
    match GoDuration::parse(value) {
        None => FieldErrors::invalid(value, key),
        Some(span) if span < GoDuration::from_secs(6) || span > HOUR => {
            FieldErrors::out_of_bounds(value, "6s", "1h0m0s", key)
        }
        Some(span) if !span.is_whole_seconds() => second_precision(key),
        Some(_) => FieldErrors::none(),
    }
}

fn retention(all: &Annotations<'_>) -> FieldErrors {
    let Some((key, value)) = find(all, RETENTION) else {
        return FieldErrors::none();
    };
    up_to_an_hour(key, value).map_or_else(|errors| errors, |_| FieldErrors::none())
}

fn scale_down_delay(all: &Annotations<'_>) -> FieldErrors {
    let Some((key, value)) = find(all, SCALE_DOWN_DELAY) else {
        return FieldErrors::none();
    };
    match up_to_an_hour(key, value) {
        Err(errors) => errors,
        Ok(span) if !span.is_whole_seconds() => second_precision(key),
        Ok(_) => FieldErrors::none(),
    }
}

fn up_to_an_hour(key: &str, value: &str) -> Result<GoDuration, FieldErrors> {
    match GoDuration::parse(value) {
        None => Err(FieldErrors::invalid(value, key)),
        Some(span) if span < NOUGHT || span > HOUR => {
            Err(FieldErrors::out_of_bounds(value, "0s", "1h0m0s", key))
        }
        Some(span) => Ok(span),
    }
}

fn second_precision(key: &str) -> FieldErrors {
    FieldErrors::at("must be specified with at most second precision", key)
}

fn metric(all: &Annotations<'_>) -> FieldErrors {
    let Some((key, metric)) = find(all, METRIC) else {
        return FieldErrors::none();
    };
    let good = match find(all, CLASS).map_or(KPA, |(_, class)| class) {
        KPA => matches!(metric, "concurrency" | "rps"),
        HPA => !metric.is_empty(),
        _ => true,
    };
    if good {
        FieldErrors::none()
    } else {
        FieldErrors::invalid(metric, key)
    }
}

fn algorithm(all: &Annotations<'_>) -> FieldErrors {
    // Another autoscaler may know others.
    if find(all, CLASS).is_none_or(|(_, class)| class != KPA) {
        return FieldErrors::none();
    }
    match find(all, ALGORITHM) {
        None | Some((_, "" | "linear" | "weighted-exponential" | "weightedExponential")) => {
            FieldErrors::none()
        }
        Some((key, value)) => FieldErrors::invalid(value, key),
    }
}

fn initial_scale(all: &Annotations<'_>) -> FieldErrors {
    let Some((key, value)) = find(all, INITIAL_SCALE) else {
        return FieldErrors::none();
    };
    match value.parse::<i64>() {
        Err(_) => FieldErrors::invalid(value, key),
        Ok(scale) if scale < 0 => {
            FieldErrors::invalid(value, &format!("{key} must be greater than 0"))
        }
        // `allow-zero-initial-scale` is off, as it is by default.
        Ok(0) => FieldErrors::invalid(value, &format!("{key}=0 not allowed by cluster")),
        Ok(_) => FieldErrors::none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(pairs: &[(&str, &str)], expected: Expect) {
        expected.assert_eq(&annotations(pairs).to_string());
    }

    #[test]
    fn the_usual_annotations_pass() {
        check(
            &[
                ("autoscaling.knative.dev/class", KPA),
                ("autoscaling.knative.dev/min-scale", "1"),
                ("autoscaling.knative.dev/maxScale", "10"),
                ("autoscaling.knative.dev/target", "0.5"),
                ("autoscaling.knative.dev/window", "60s"),
                ("autoscaling.knative.dev/metric", "rps"),
                ("autoscaling.knative.dev/target-burst-capacity", "-1"),
                ("autoscaling.knative.dev/scale-down-delay", "15m"),
                ("example.com/anything", "goes"),
            ],
            expect![[""]],
        );
    }

    #[test]
    fn each_bound_is_named() {
        check(
            &[
                (
                    "autoscaling.knative.dev/class",
                    "xpa.autoscaling.knative.dev",
                ),
                ("autoscaling.knative.dev/min-scale", "5"),
                ("autoscaling.knative.dev/max-scale", "3"),
                ("autoscaling.knative.dev/activation-scale", "4"),
                ("autoscaling.knative.dev/initial-scale", "0"),
                ("autoscaling.knative.dev/target", "0.001"),
                ("autoscaling.knative.dev/panic-window-percentage", "0.5"),
                ("autoscaling.knative.dev/panic-threshold-percentage", "50"),
                ("autoscaling.knative.dev/window", "5s"),
                ("autoscaling.knative.dev/scale-down-delay", "1500ms"),
                (
                    "autoscaling.knative.dev/scale-to-zero-pod-retention-period",
                    "2h",
                ),
            ],
            expect![[r#"
                expected 0s <= 2h <= 1h0m0s: autoscaling.knative.dev/scale-to-zero-pod-retention-period
                expected 1 <= 0.5 <= 100: autoscaling.knative.dev/panic-window-percentage
                expected 110 <= 50 <= 1000: autoscaling.knative.dev/panic-threshold-percentage
                expected 6s <= 5s <= 1h0m0s: autoscaling.knative.dev/window
                invalid value: 0: autoscaling.knative.dev/initial-scale=0 not allowed by cluster
                invalid value: xpa.autoscaling.knative.dev: autoscaling.knative.dev/class
                max-scale=3 is less than min-scale=5: autoscaling.knative.dev/max-scale, autoscaling.knative.dev/min-scale
                min-scale=5 is greater than activation-scale=4: autoscaling.knative.dev/activation-scale
                must be specified with at most second precision: autoscaling.knative.dev/scale-down-delay
                target 0.001 should be at least 0.01: autoscaling.knative.dev/target"#]],
        );
    }
}
