//! What an operator of Knative sets in the ConfigMap `config-autoscaler`. Pure: its data
//! over the defaults.

use std::collections::BTreeMap;
use std::time::Duration;

use super::spec::AutoscalerConfig;
use crate::admission::GoDuration;

/// The ConfigMap's name, in the namespace `knative-serving`.
pub const CONFIG_MAP: &str = "config-autoscaler";

/// The configuration under these settings, and the keys whose values cannot be read: those
/// stay at their defaults.
pub fn read(
    defaults: &AutoscalerConfig,
    data: &BTreeMap<String, String>,
) -> (AutoscalerConfig, Vec<&'static str>) {
    let mut config = defaults.clone();
    let mut wrong = Vec::new();
    let mut set = |key: &'static str, put: &mut dyn FnMut(&str) -> Option<()>| {
        if let Some(value) = data.get(key)
            && put(value.trim()).is_none()
        {
            wrong.push(key);
        }
    };
    set("stable-window", &mut |text| {
        let span = u64::try_from(GoDuration::parse(text)?.seconds()).ok()?;
        config.stable_window = Duration::from_secs(span);
        Some(())
    });
    set("enable-scale-to-zero", &mut |text| {
        config.enable_scale_to_zero = text.parse().ok()?;
        Some(())
    });
    set("initial-scale", &mut |text| {
        config.initial_scale = text.parse().ok()?;
        Some(())
    });
    set("panic-window-percentage", &mut |text| {
        config.panic_window_percent = positive(text)?;
        Some(())
    });
    set("panic-threshold-percentage", &mut |text| {
        config.panic_threshold_percent = positive(text)?;
        Some(())
    });
    set("container-concurrency-target-default", &mut |text| {
        config.concurrency_target = positive(text)?;
        Some(())
    });
    set("container-concurrency-target-percentage", &mut |text| {
        let percent = positive(text)?;
        // Knative takes both 0.7 and 70 for seventy percent.
        config.target_utilization_percent = if percent <= 1.0 {
            percent * 100.0
        } else {
            percent
        };
        Some(())
    });
    set("max-scale-up-rate", &mut |text| {
        config.max_scale_up_rate = positive(text).filter(|rate| *rate > 1.0)?;
        Some(())
    });
    set("max-scale-down-rate", &mut |text| {
        config.max_scale_down_rate = positive(text).filter(|rate| *rate > 1.0)?;
        Some(())
    });
    (config, wrong)
}

fn positive(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    (number.is_finite() && number > 0.0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> (AutoscalerConfig, Vec<&'static str>) {
        let data = pairs.iter();
        let data = data.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        read(&AutoscalerConfig::default(), &data.collect())
    }

    #[test]
    fn what_an_operator_sets_goes_over_the_defaults() {
        let (config, wrong) = settings(&[
            ("stable-window", "40s"),
            ("enable-scale-to-zero", "false"),
            ("container-concurrency-target-percentage", "0.5"),
            ("container-concurrency-target-default", "20"),
            ("_example", "all that could be said"),
        ]);
        let expected = AutoscalerConfig {
            stable_window: Duration::from_secs(40),
            enable_scale_to_zero: false,
            target_utilization_percent: 50.0,
            concurrency_target: 20.0,
            ..AutoscalerConfig::default()
        };
        assert_eq!((config, wrong), (expected, vec![]));
    }

    #[test]
    fn what_cannot_be_read_stays_and_is_named() {
        let (config, wrong) = settings(&[
            ("stable-window", "soon"),
            ("max-scale-up-rate", "1"),
            ("enable-scale-to-zero", "perhaps"),
        ]);
        assert_eq!(config, AutoscalerConfig::default());
        assert_eq!(
            wrong,
            ["stable-window", "enable-scale-to-zero", "max-scale-up-rate"]
        );
    }
}
