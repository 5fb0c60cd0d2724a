//! What an operator of Knative sets in the ConfigMaps of `knative-serving`, as far as it
//! means something to these controllers. Pure: a ConfigMap's data over a configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use super::config::ControllersConfig;
use crate::admission::GoDuration;

/// Where Knative's ConfigMaps are.
pub const NAMESPACE: &str = "knative-serving";
/// Those that are read here: revision garbage collection, how long a Revision may take to
/// become ready, and how long to take over.
pub const NAMES: [&str; 3] = ["config-gc", "config-deployment", "config-network"];

/// A value that cannot be read; the setting stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ConfigMap {NAMESPACE}/{map}: {key}: {value:?} is not {expected}")]
pub struct SettingError {
    map: String,
    key: &'static str,
    value: String,
    expected: &'static str,
}

/// Puts a ConfigMap's data over `config`. What it does not mention, or not so that it can
/// be read, stays as it is.
pub fn read(
    map: &str,
    data: &BTreeMap<String, String>,
    config: &mut ControllersConfig,
) -> Vec<SettingError> {
    let mut reader = Reader {
        map,
        data,
        errors: Vec::new(),
    };
    match map {
        "config-gc" => {
            let rules = &mut config.revision_gc;
            reader.switchable_span("retain-since-create-time", &mut rules.retain_since_create);
            reader.switchable_span(
                "retain-since-last-active-time",
                &mut rules.retain_since_active,
            );
            reader.count("min-non-active-revisions", &mut rules.min_non_active);
            reader.switchable_count("max-non-active-revisions", &mut rules.max_non_active);
        }
        "config-deployment" => reader.span("progress-deadline", &mut config.progress_deadline),
        "config-network" => {
            // Knative has this one in bare seconds.
            let seconds = |text: &str| text.parse().ok().map(Duration::from_secs);
            let field = &mut config.rollout_duration;
            reader.set("rollout-duration", "a number of seconds", seconds, field);
        }
        _ => {}
    }
    reader.errors
}

struct Reader<'a> {
    map: &'a str,
    data: &'a BTreeMap<String, String>,
    errors: Vec<SettingError>,
}

/// The word that switches a rule of garbage collection off.
const DISABLED: &str = "disabled";

impl Reader<'_> {
    /// Reads a key, if it is there, by `parse`.
    fn set<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        parse: impl Fn(&str) -> Option<T>,
        field: &mut T,
    ) {
        let Some(value) = self.data.get(key) else {
            return;
        };
        match parse(value.trim()) {
            Some(parsed) => *field = parsed,
            None => self.errors.push(SettingError {
                map: self.map.to_owned(),
                key,
                value: value.clone(),
                expected,
            }),
        }
    }

    fn span(&mut self, key: &'static str, field: &mut Duration) {
        self.set(key, "a duration like 10m", span, field);
    }

    fn switchable_span(&mut self, key: &'static str, field: &mut Option<Duration>) {
        let parse = |text: &str| switchable(text, span);
        self.set(key, "a duration like 48h, or disabled", parse, field);
    }

    fn count(&mut self, key: &'static str, field: &mut usize) {
        self.set(key, "a number", |text| text.parse().ok(), field);
    }

    fn switchable_count(&mut self, key: &'static str, field: &mut Option<usize>) {
        let parse = |text: &str| switchable(text, |text| text.parse().ok());
        self.set(key, "a number, or disabled", parse, field);
    }
}

fn switchable<T>(text: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    match text.eq_ignore_ascii_case(DISABLED) {
        true => Some(None),
        false => parse(text).map(Some),
    }
}

fn span(text: &str) -> Option<Duration> {
    u64::try_from(GoDuration::parse(text)?.seconds())
        .ok()
        .map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::config::RevisionGc;

    fn settings(map: &str, pairs: &[(&str, &str)]) -> (ControllersConfig, String) {
        let data = pairs.iter();
        let data = data
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect();
        let mut config = ControllersConfig::default();
        let errors = read(map, &data, &mut config);
        let told = errors.iter().map(|error| format!("{error}\n")).collect();
        (config, told)
    }

    #[test]
    fn garbage_collection_is_set_as_on_knative() {
        let (config, told) = settings(
            "config-gc",
            &[
                ("retain-since-create-time", "disabled"),
                ("retain-since-last-active-time", "1h30m"),
                ("min-non-active-revisions", "3"),
                ("max-non-active-revisions", "Disabled"),
                ("_example", "everything that could be said"),
            ],
        );
        assert_eq!(told, "");
        let expected = RevisionGc {
            retain_since_create: None,
            retain_since_active: Some(Duration::from_secs(5400)),
            min_non_active: 3,
            max_non_active: None,
        };
        assert_eq!(config.revision_gc, expected);
        let (config, _) = settings("config-deployment", &[("progress-deadline", "2m")]);
        assert_eq!(config.progress_deadline, Duration::from_secs(120));
        let (config, _) = settings("config-network", &[("rollout-duration", "45")]);
        assert_eq!(config.rollout_duration, Duration::from_secs(45));
    }

    #[test]
    fn what_cannot_be_read_is_told_and_changes_nothing() {
        let (config, told) = settings(
            "config-gc",
            &[
                ("retain-since-create-time", "a while"),
                ("min-non-active-revisions", "-1"),
            ],
        );
        assert_eq!(config.revision_gc, RevisionGc::default());
        expect_test::expect![[r#"
            ConfigMap knative-serving/config-gc: retain-since-create-time: "a while" is not a duration like 48h, or disabled
            ConfigMap knative-serving/config-gc: min-non-active-revisions: "-1" is not a number
        "#]]
        .assert_eq(&told);
    }
}
