//! What a PodAutoscaler asks for: bounds, window and target, from its annotations over
//! the cluster's defaults (`autoscaling.knative.dev/*`, as Knative reads them).

use std::time::Duration;

use crate::{
    admission::GoDuration,
    controllers::object::{Object, ObjectExt as _, integer, key, text},
};

/// The cluster's defaults: those of Knative's `config-autoscaler`.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoscalerConfig {
    /// Time over which load is averaged, and without which nothing goes to zero.
    pub stable_window: Duration,
    /// The panic window as a part of the stable one, percent.
    pub panic_window_percent: f64,
    /// Load over capacity that starts panic, percent.
    pub panic_threshold_percent: f64,
    /// Concurrent requests per instance where neither annotation nor
    /// containerConcurrency says otherwise.
    pub concurrency_target: f64,
    /// Part of the target that is used before another instance starts, percent.
    pub target_utilization_percent: f64,
    /// Largest factor of growth in one decision.
    pub max_scale_up_rate: f64,
    /// Largest factor of decline in one decision.
    pub max_scale_down_rate: f64,
    /// Whether anything goes to zero.
    pub enable_scale_to_zero: bool,
    /// Instances that a new revision starts with.
    pub initial_scale: u32,
    /// How long an activation may take.
    pub progress_deadline: Duration,
    /// Time between two decisions while there are instances.
    pub tick: Duration,
}

impl Default for AutoscalerConfig {
    fn default() -> Self {
        AutoscalerConfig {
            stable_window: Duration::from_secs(60),
            panic_window_percent: 10.0,
            panic_threshold_percent: 200.0,
            concurrency_target: 100.0,
            target_utilization_percent: 70.0,
            max_scale_up_rate: 1_000.0,
            max_scale_down_rate: 2.0,
            enable_scale_to_zero: true,
            initial_scale: 1,
            progress_deadline: Duration::from_secs(600),
            // Knative decides every 2 s and samples every second; here both are one.
            tick: Duration::from_secs(1),
        }
    }
}

/// Whether a Route sends requests to the revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reachability {
    /// Not known yet.
    #[default]
    Unknown,
    /// Yes.
    Reachable,
    /// No: it may go to zero whatever its minimum.
    Unreachable,
}

/// What one PodAutoscaler asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleSpec {
    /// Fewest instances while reachable.
    pub min: u32,
    /// Most instances; `None` is without bound.
    pub max: Option<u32>,
    /// Instances to reach before the revision counts as ready.
    pub initial: u32,
    /// Fewest instances when it leaves zero.
    pub activation: u32,
    /// Concurrent requests per instance to aim at.
    pub target: f64,
    /// Stable window.
    pub window: Duration,
    /// Panic window.
    pub panic_window: Duration,
    /// Desired over ready instances that starts panic.
    pub panic_threshold: f64,
    /// How long a smaller scale has to be asked for before it is taken.
    pub scale_down_delay: Duration,
    /// How long the last instance stays beyond the window.
    pub retention: Duration,
    /// How long an activation may take.
    pub progress_deadline: Duration,
    /// Whether a Route sends requests here.
    pub reachability: Reachability,
    /// Largest factor of growth and decline in one decision.
    pub rates: (f64, f64),
    /// Whether it may go to zero.
    pub scale_to_zero: bool,
}

impl ScaleSpec {
    /// Reads a PodAutoscaler. What does not parse counts as absent: admission has
    /// refused it where a person wrote it.
    pub fn read(autoscaler: &Object, config: &AutoscalerConfig) -> ScaleSpec {
        let of = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| autoscaler.annotation(&format!("{}/{name}", key::AUTOSCALING)))
        };
        let count = |names: &[&str]| of(names).and_then(|text| text.parse::<u32>().ok());
        let number = |names: &[&str]| of(names).and_then(|text| text.parse::<f64>().ok());
        let span = |names: &[&str]| of(names).and_then(duration);
        let spec = autoscaler.spec();
        let limit = integer(spec, "containerConcurrency").filter(|limit| *limit > 0);
        let limit = limit
            .and_then(|limit| u32::try_from(limit).ok())
            .map(f64::from);
        let total = match (number(&["target"]), limit) {
            (Some(target), Some(limit)) => target.min(limit),
            (Some(target), None) => target,
            (None, Some(limit)) => limit,
            (None, None) => config.concurrency_target,
        };
        let utilization = number(&[
            "target-utilization-percentage",
            "targetUtilizationPercentage",
        ])
        .unwrap_or(config.target_utilization_percent);
        let window = span(&["window"]).unwrap_or(config.stable_window);
        let panic_percent = number(&["panic-window-percentage", "panicWindowPercentage"])
            .unwrap_or(config.panic_window_percent);
        let panic_seconds = (window.as_secs_f64() * panic_percent / 100.0)
            .round()
            .max(1.0);
        ScaleSpec {
            min: count(&["min-scale", "minScale"]).unwrap_or(0),
            max: count(&["max-scale", "maxScale"]).filter(|max| *max > 0),
            initial: count(&["initial-scale", "initialScale"]).unwrap_or(config.initial_scale),
            activation: count(&["activation-scale"]).unwrap_or(1).max(1),
            // Knative never aims at less than a hundredth of a request.
            target: (total * utilization / 100.0).max(0.01),
            window,
            panic_window: Duration::from_secs_f64(panic_seconds),
            panic_threshold: number(&["panic-threshold-percentage", "panicThresholdPercentage"])
                .unwrap_or(config.panic_threshold_percent)
                / 100.0,
            scale_down_delay: span(&["scale-down-delay", "scaleDownDelay"]).unwrap_or_default(),
            retention: span(&[
                "scale-to-zero-pod-retention-period",
                "scaleToZeroPodRetentionPeriod",
            ])
            .unwrap_or_default(),
            progress_deadline: autoscaler
                .annotation(key::PROGRESS_DEADLINE)
                .and_then(duration)
                .unwrap_or(config.progress_deadline),
            reachability: match text(spec, "reachability") {
                "Reachable" => Reachability::Reachable,
                "Unreachable" => Reachability::Unreachable,
                _ => Reachability::Unknown,
            },
            rates: (config.max_scale_up_rate, config.max_scale_down_rate),
            scale_to_zero: config.enable_scale_to_zero,
        }
    }
}

fn duration(text: &str) -> Option<Duration> {
    u64::try_from(GoDuration::parse(text)?.seconds())
        .ok()
        .map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(annotations: serde_json::Value, spec: serde_json::Value) -> ScaleSpec {
        let object: Object = serde_json::from_value(json!({
            "metadata": {"name": "hello-1", "annotations": annotations}, "spec": spec,
        }))
        .unwrap();
        ScaleSpec::read(&object, &AutoscalerConfig::default())
    }

    #[test]
    fn defaults_are_knatives() {
        let spec = read(json!({}), json!({}));
        assert_eq!(
            (spec.min, spec.max, spec.initial, spec.activation),
            (0, None, 1, 1)
        );
        assert!((spec.target - 70.0).abs() < 1e-9);
        assert_eq!(
            (spec.window.as_secs(), spec.panic_window.as_secs()),
            (60, 6)
        );
    }

    #[test]
    fn annotations_and_container_concurrency_are_heard() {
        let spec = read(
            json!({
                "autoscaling.knative.dev/minScale": "2",
                "autoscaling.knative.dev/max-scale": "5",
                "autoscaling.knative.dev/initial-scale": "3",
                "autoscaling.knative.dev/window": "6s",
                "autoscaling.knative.dev/target": "20",
                "autoscaling.knative.dev/target-utilization-percentage": "100",
                "serving.knative.dev/progress-deadline": "2m",
            }),
            json!({"containerConcurrency": 10, "reachability": "Unreachable"}),
        );
        assert_eq!((spec.min, spec.max, spec.initial), (2, Some(5), 3));
        assert_eq!((spec.window.as_secs(), spec.panic_window.as_secs()), (6, 1));
        assert!(
            (spec.target - 10.0).abs() < 1e-9,
            "never more than the limit"
        );
        assert_eq!(spec.progress_deadline.as_secs(), 120);
        assert_eq!(spec.reachability, Reachability::Unreachable);
    }
}
