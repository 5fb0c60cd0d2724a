//! What the environment may ask of a sample app, and which request is the one
//! that fails or is late. Pure: the environment is a function, the request is a number.

use std::time::Duration;

use http::StatusCode;

use super::Sample;

/// The knobs of a sample, read from its environment.
///
/// | variable         | meaning                                                          |
/// |------------------|------------------------------------------------------------------|
/// | `PORT`           | where to listen, on 127.0.0.1 (8080)                             |
/// | `TARGET`         | whom to greet (`World`)                                          |
/// | `MAX`            | the highest random number (100)                                  |
/// | `FAIL_PERCENT`   | share of requests that fail (0; fractions work)                  |
/// | `FAIL_STATUS`    | the status of those (500)                                        |
/// | `FAIL_AFTER_MS`  | how long after the first user's request they begin (0)           |
/// | `HANG_PERCENT`   | share of requests that are never answered (0)                    |
/// | `BREAK_PERCENT`  | share of answers that break off in mid-body (0)                  |
/// | `DELAY_MS`       | how late an answer is                                            |
/// | `DELAY_PERCENT`  | share of requests that are late (100)                            |
/// | `DELAY_FOR_MS`   | how long after the start they are (for ever)                     |
/// | `LISTEN_AFTER_MS`| how long the start takes before it listens                       |
/// | `NEVER_READY`    | `1`: listens, but `/healthz` and kubelet probes get 503          |
/// | `UNREADY_AFTER_MS`| `/healthz` and kubelet probes get 503 this long after it listens |
/// | `NEVER_LISTEN`   | `1`: never listens                                               |
/// | `CRASH_AT_START` | exits at once with this status                                   |
/// | `CRASH_AFTER_MS` | exits with status 1 this long after it listens                   |
/// | `CRASH_ON_PATH`  | exits with status 1 when this path is asked for                  |
///
/// Failures and delays hit user requests only, spread evenly and always the same
/// way; `/healthz` and kubelet probes are left out of the count, so that a
/// release can be ready and bad.
#[derive(Debug, Clone, PartialEq)]
pub struct Knobs {
    /// Where to listen.
    pub port: u16,
    /// Whom to greet.
    pub target: String,
    /// The highest random number.
    pub max: u32,
    /// Share of requests that fail.
    pub fail: Share,
    /// All of them fail from when this path is asked for.
    pub fail_from_path: Option<String>,
    /// What these are answered with.
    pub fail_status: StatusCode,
    /// How long after the first user's request they begin.
    pub fail_after: Duration,
    /// Share of requests that are never answered.
    pub hang: Share,
    /// Share of answers that break off in mid-body.
    pub break_off: Share,
    /// How late an answer is.
    pub delay: Duration,
    /// Share of requests that are late.
    pub delayed: Share,
    /// How long after it began to listen they are; for ever when absent.
    pub delayed_for: Option<Duration>,
    /// How long the start takes.
    pub listen_after: Duration,
    /// Probes are answered with 503.
    pub never_ready: bool,
    /// Probes are answered with 503 this long after it listens.
    pub unready_after: Option<Duration>,
    /// Does not listen at all.
    pub never_listen: bool,
    /// Exits at once with this status.
    pub crash_at_start: Option<u8>,
    /// Exits this long after it listens.
    pub crash_after: Option<Duration>,
    /// Exits when this path is asked for.
    pub crash_on_path: Option<String>,
}

/// A knob that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq)]
#[error("{name}={value:?} is not {expected}")]
pub struct KnobError {
    name: &'static str,
    value: String,
    expected: &'static str,
}

/// A share of requests in percent, taken in a fixed, even order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(f64);

impl Share {
    /// Whether the `n`th request (from 0) belongs to the share: of the first
    /// `n` requests `n × percent / 100`, rounded down, do.
    pub fn takes(self, n: u64) -> bool {
        let until = |count: u64| (count as f64 * self.0 / 100.0).floor();
        until(n.saturating_add(1)) > until(n)
    }
}

/// What becomes of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is answered.
    Answered,
    /// It is answered with [`Knobs::fail_status`].
    Fails,
    /// It is never answered.
    Hangs,
    /// Its answer breaks off in mid-body.
    BreaksOff,
}

impl Knobs {
    /// What becomes of the `n`th request of users (from 0), which comes so long after their first one.
    pub fn fate(&self, n: u64, since_first: Duration) -> Fate {
        if self.hang.takes(n) {
            Fate::Hangs
        } else if self.fail.takes(n) && since_first >= self.fail_after {
            Fate::Fails
        } else if self.break_off.takes(n) {
            Fate::BreaksOff
        } else {
            Fate::Answered
        }
    }

    /// Reads the knobs of `sample`; `env` looks a variable up.
    pub fn read(sample: &Sample, env: impl Fn(&str) -> Option<String>) -> Result<Self, KnobError> {
        let crash_is_said = ["CRASH_AT_START", "CRASH_AFTER_MS", "CRASH_ON_PATH"]
            .iter()
            .any(|name| env(name).is_some());
        let look_up = |name: &'static str| {
            env(name).filter(|value| !value.is_empty()).or_else(|| {
                // Asked to crash in one way, a sample shall not crash in the preset's.
                let overruled = name.starts_with("CRASH_") && crash_is_said;
                let preset = sample
                    .preset
                    .iter()
                    .find(|(key, _)| *key == name && !overruled);
                preset.map(|(_, value)| (*value).to_owned())
            })
        };
        let milliseconds = |name| number::<u64>(name, look_up(name), "a number of milliseconds");
        Ok(Self {
            port: number("PORT", look_up("PORT"), "a port")?.unwrap_or(8080),
            target: look_up("TARGET").unwrap_or_else(|| "World".to_owned()),
            max: number("MAX", look_up("MAX"), "a number")?
                .unwrap_or(100)
                .max(1),
            fail: share("FAIL_PERCENT", look_up("FAIL_PERCENT"))?.unwrap_or(Share(0.0)),
            fail_from_path: look_up("FAIL_FROM_PATH"),
            fail_status: number(
                "FAIL_STATUS",
                look_up("FAIL_STATUS"),
                "a status (100 to 999)",
            )?
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            fail_after: Duration::from_millis(milliseconds("FAIL_AFTER_MS")?.unwrap_or(0)),
            hang: share("HANG_PERCENT", look_up("HANG_PERCENT"))?.unwrap_or(Share(0.0)),
            break_off: share("BREAK_PERCENT", look_up("BREAK_PERCENT"))?.unwrap_or(Share(0.0)),
            delay: Duration::from_millis(milliseconds("DELAY_MS")?.unwrap_or(0)),
            delayed: share("DELAY_PERCENT", look_up("DELAY_PERCENT"))?.unwrap_or(Share(100.0)),
            delayed_for: milliseconds("DELAY_FOR_MS")?.map(Duration::from_millis),
            listen_after: Duration::from_millis(milliseconds("LISTEN_AFTER_MS")?.unwrap_or(0)),
            never_ready: flag(look_up("NEVER_READY")),
            unready_after: milliseconds("UNREADY_AFTER_MS")?.map(Duration::from_millis),
            never_listen: flag(look_up("NEVER_LISTEN")),
            crash_at_start: number(
                "CRASH_AT_START",
                look_up("CRASH_AT_START"),
                "an exit status (0 to 255)",
            )?,
            crash_after: milliseconds("CRASH_AFTER_MS")?.map(Duration::from_millis),
            crash_on_path: look_up("CRASH_ON_PATH"),
        })
    }
}

fn flag(value: Option<String>) -> bool {
    value.is_some_and(|value| value != "0" && value != "false")
}

fn number<T: std::str::FromStr>(
    name: &'static str,
    value: Option<String>,
    expected: &'static str,
) -> Result<Option<T>, KnobError> {
    let Some(value) = value else { return Ok(None) };
    match value.trim().parse() {
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(KnobError {
            name,
            value,
            expected,
        }),
    }
}

fn share(name: &'static str, value: Option<String>) -> Result<Option<Share>, KnobError> {
    let expected = "a percentage (0 to 100)";
    match number::<f64>(name, value, expected)? {
        None => Ok(None),
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(Some(Share(percent))),
        Some(percent) => Err(KnobError {
            name,
            value: percent.to_string(),
            expected,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::find;

    fn read(sample: &str, env: &[(&str, &str)]) -> Result<Knobs, KnobError> {
        Knobs::read(find(sample).unwrap(), |key| {
            env.iter()
                .find(|(name, _)| *name == key)
                .map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn a_share_is_exact_over_every_hundred_and_even_within_it() {
        for percent in [0.0, 1.0, 5.0, 33.0, 50.0, 100.0] {
            for start in [0u64, 100, 4200] {
                let taken = (start..start + 100)
                    .filter(|n| Share(percent).takes(*n))
                    .count();
                assert_eq!(taken as f64, percent, "{percent} % from request {start}");
            }
        }
        let half: Vec<bool> = (0..4).map(|n| Share(50.0).takes(n)).collect();
        assert_eq!(half, [false, true, false, true]);
        assert_eq!((0..1000).filter(|n| Share(0.5).takes(*n)).count(), 5);
    }

    #[test]
    fn the_environment_beats_the_preset() {
        assert_eq!(read("fail", &[]).unwrap().fail, Share(100.0));
        assert_eq!(
            read("fail", &[("FAIL_PERCENT", "5")]).unwrap().fail,
            Share(5.0)
        );
        assert_eq!(read("slow", &[]).unwrap().delay, Duration::from_millis(800));
        assert_eq!(read("crash", &[]).unwrap().crash_at_start, Some(1));
    }

    #[test]
    fn what_fails_begins_late_and_has_its_status() {
        let second = Duration::from_secs;
        let env = [
            ("FAIL_PERCENT", "100"),
            ("FAIL_STATUS", "404"),
            ("FAIL_AFTER_MS", "3000"),
        ];
        let knobs = read("hello", &env).unwrap();
        assert_eq!(knobs.fate(9, second(2)), Fate::Answered);
        assert_eq!(knobs.fate(9, second(3)), Fate::Fails);
        assert_eq!(knobs.fail_status, StatusCode::NOT_FOUND);
    }

    #[test]
    fn one_in_ten_hangs_and_one_in_four_breaks_off() {
        let knobs = read("hello", &[("HANG_PERCENT", "10"), ("BREAK_PERCENT", "25")]).unwrap();
        let fates: Vec<Fate> = (0..20).map(|n| knobs.fate(n, Duration::ZERO)).collect();
        let count = |fate| fates.iter().filter(|one| **one == fate).count();
        assert_eq!((count(Fate::Hangs), count(Fate::BreaksOff)), (2, 4));
    }

    #[test]
    fn crash_crashes_only_in_the_way_that_was_asked_for() {
        let knobs = read("crash", &[("CRASH_AFTER_MS", "300")]).unwrap();
        assert_eq!(knobs.crash_at_start, None);
        assert_eq!(knobs.crash_after, Some(Duration::from_millis(300)));
    }

    #[test]
    fn a_wrong_value_is_named() {
        let error = read("hello", &[("FAIL_PERCENT", "many")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"FAIL_PERCENT="many" is not a percentage (0 to 100)"#
        );
        let error = read("hello", &[("FAIL_STATUS", "teapot")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"FAIL_STATUS="teapot" is not a status (100 to 999)"#
        );
        let error = read("hello", &[("DELAY_PERCENT", "120")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"DELAY_PERCENT="120" is not a percentage (0 to 100)"#
        );
    }
}
