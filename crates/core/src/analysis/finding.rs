//! What a verdict rests on: one value behind the event, the status, the comment and the test.

use std::fmt;
use std::time::Duration;

use crate::api::duration::HumanDuration;
use crate::api::rollout::EvidenceSource;

use super::latency::Span;

/// Why the evidence says what it says, with its numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum Finding {
    /// Nothing is wrong.
    Healthy(Figures),
    /// Too many errors.
    Errors(Figures),
    /// Too slow.
    Slow {
        /// What was seen.
        figures: Figures,
        /// Which figure: 50 or 99.
        percentile: u8,
        /// The limit that it is over, in milliseconds.
        limit_ms: f64,
    },
    /// Users' answers took too long.
    Late {
        /// What was seen.
        figures: Figures,
        /// Answers over the limit, those that are open and over it among them, of so many.
        late: (u64, u64),
        /// Stable's.
        stable: (u64, u64),
        /// Of the candidate's late ones, those that are not answered yet.
        open: u64,
        /// The limit in milliseconds.
        limit_ms: f64,
        /// Which limit: 50 or 99.
        percentile: u8,
    },
    /// Far more answers of one class than stable gives.
    Class {
        /// What was seen.
        figures: Figures,
        /// `3xx`, `4xx`, or what else became of them.
        class: &'static str,
        /// So many of so many.
        count: (u64, u64),
        /// Stable's.
        stable: (u64, u64),
    },
    /// Nothing is wrong so far.
    Baking {
        /// What was seen.
        figures: Figures,
        /// For how long.
        baked: Duration,
        /// How long it takes.
        bake: Duration,
    },
    /// Too few requests, and nothing else that may speak.
    TooFew {
        /// Requests of users.
        have: u64,
        /// Requests that speak for the step.
        need: u64,
    },
    /// Enough requests, but more likely sick than healthy.
    Undecided(Figures),
    /// Late answers of our own requests, as early in its life as they blame nobody.
    SlowStart {
        /// What was seen.
        figures: Figures,
        /// For how long they blame nobody.
        slow_start: Duration,
    },
    /// No user spoke, and our own requests asked for nothing but a readiness path.
    ReadinessOnly(Figures),
    /// Stable fails as much in the same minutes.
    StableAsBad {
        /// The candidate's.
        figures: Figures,
        /// Stable's failed answers.
        stable_errors: u64,
        /// Of so many.
        stable_requests: u64,
    },
    /// Over the absolute limit, and no figure of stable's to compare with.
    NothingToCompare(Figures),
    /// Enough requests, but the gateway has not told yet how long they took.
    Untimed(Figures),
    /// Nothing was seen.
    NoData {
        /// Why.
        why: String,
    },
    /// Its Revision is Ready.
    Ready,
    /// The cluster says that it never will be Ready, or no longer is.
    NotReady {
        /// What the cluster says of it.
        cause: String,
    },
    /// Its Revision was deleted.
    Gone,
    /// A container of it ended with an error.
    CrashedOnce,
    /// One ended with an error more than once.
    Crashed {
        /// How often.
        crashes: u32,
        /// How it ended last.
        last_exit: Option<String>,
    },
    /// It has Pods, and none of them is Ready at the moment.
    Unready {
        /// So many that should serve.
        running: u32,
        /// How long that may last.
        patience: Duration,
        /// Why one waits, where the cluster says it.
        cause: Option<String>,
    },
    /// None of them was Ready for longer than may be.
    StayedUnready {
        /// So many that should serve.
        running: u32,
        /// For how long.
        waited: Duration,
        /// Why one waits, where the cluster says it.
        cause: Option<String>,
    },
}

/// The figures that a finding rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// What spoke.
    pub source: EvidenceSource,
    /// Failed answers.
    pub errors: u64,
    /// All answers.
    pub requests: u64,
    /// The highest share of errors allowed, in percent.
    pub max_error_rate: f64,
    /// The candidate's median.
    pub p50: Option<Span>,
    /// The candidate's 99th percentile.
    pub p99: Option<Span>,
    /// Stable's 99th percentile in the same time.
    pub stable_p99: Option<Span>,
    /// The requests are those since errors began.
    pub of_the_last: bool,
    /// Requests that have been open for longer than the limit on the 99th percentile.
    pub open: u64,
    /// Queue-proxies counted, which do not see all that a gateway sees.
    pub by_pods: bool,
    /// Stable's failed answers in the same seconds, of so many, where they decided.
    pub stable_errors: Option<(u64, u64)>,
    /// The cold start, of probes.
    pub cold_start: Option<Duration>,
    /// What was asked for, of probes: `/healthz`, `HEAD /healthz`.
    pub paths: Vec<String>,
    /// An error in words, of probes.
    pub error: Option<String>,
    /// Why our own requests speak and not users': `users sent 3 of 8`.
    pub instead_of: Option<String>,
}

impl Figures {
    /// Adds why our own requests speak and not users'.
    pub(super) fn instead_of(self, why: String) -> Self {
        Self {
            instead_of: Some(why),
            ..self
        }
    }

    /// ` at /healthz`; nothing where users spoke.
    fn at(&self) -> String {
        at_paths(&self.paths)
    }

    /// Failed answers in percent.
    pub fn error_rate(&self) -> f64 {
        if self.requests == 0 {
            0.0
        } else {
            self.errors as f64 * 100.0 / self.requests as f64
        }
    }
}

/// ` at /healthz, /api`; of many paths the first three.
pub(super) fn at_paths(paths: &[String]) -> String {
    const NAMED: usize = 3;
    let named: Vec<&str> = paths.iter().take(NAMED).map(String::as_str).collect();
    match paths.len().saturating_sub(NAMED) {
        _ if named.is_empty() => String::new(),
        0 => format!(" at {}", named.join(", ")),
        more => format!(" at {} and {more} more", named.join(", ")),
    }
}

impl Finding {
    /// Whose requests spoke, where any did.
    pub fn source(&self) -> Option<EvidenceSource> {
        match self {
            Self::Healthy(figures)
            | Self::Errors(figures)
            | Self::Undecided(figures)
            | Self::ReadinessOnly(figures)
            | Self::SlowStart { figures, .. }
            | Self::NothingToCompare(figures)
            | Self::Untimed(figures)
            | Self::Slow { figures, .. }
            | Self::Late { figures, .. }
            | Self::Class { figures, .. }
            | Self::Baking { figures, .. }
            | Self::StableAsBad { figures, .. } => Some(figures.source),
            Self::TooFew { .. }
            | Self::NoData { .. }
            | Self::Ready
            | Self::NotReady { .. }
            | Self::Gone
            | Self::CrashedOnce
            | Self::Crashed { .. }
            | Self::Unready { .. }
            | Self::StayedUnready { .. } => None,
        }
    }
}

impl fmt::Display for Figures {
    /// `error rate 0.0 % of 212 (limit 1 %), p99 41 ms (stable 38 ms)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = match self.source {
            EvidenceSource::Metrics => "requests",
            EvidenceSource::Probes => "probes",
            EvidenceSource::SyntheticProbes => "synthetic probes",
        };
        write!(
            f,
            "error rate {:.1} % of {}{} {unit}{} (limit {} %)",
            self.error_rate(),
            if self.of_the_last { "the last " } else { "" },
            self.requests,
            self.at(),
            self.max_error_rate
        )?;
        if let Some((errors, of)) = self.stable_errors {
            write!(f, ", stable {errors} of {of}")?;
        }
        if let Some(p99) = self.p99 {
            write!(f, ", p99 {p99}")?;
            if let Some(stable) = self.stable_p99 {
                write!(f, " (stable {stable})")?;
            }
        }
        if self.open > 0 {
            write!(f, ", {} open for longer than the limit", self.open)?;
        }
        if self.by_pods {
            f.write_str("; by queue-proxies, which tell neither hangs nor bodies that break off nor users who leave")?;
        }
        if let Some(why) = &self.instead_of {
            write!(f, "; {why}")?;
        }
        if let Some(error) = self.error.as_ref().filter(|_| self.errors > 0) {
            write!(f, ": {error}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Healthy(figures) | Self::Errors(figures) => write!(f, "{figures}"),
            Self::Slow {
                figures,
                percentile,
                limit_ms,
            } => {
                let seen = if *percentile == 99 {
                    figures.p99
                } else {
                    figures.p50
                };
                match seen {
                    Some(seen) => write!(f, "p{percentile} {seen}")?,
                    None => write!(f, "p{percentile}")?,
                }
                write!(f, " is over the limit of {limit_ms:.0} ms")?;
                if let (99, Some(stable)) = (percentile, figures.stable_p99) {
                    write!(f, " (stable {stable})")?;
                }
                match figures.paths.as_slice() {
                    [] => Ok(()),
                    paths => write!(f, ", probed{}", at_paths(paths)),
                }
            }
            Self::Late {
                late: (late, of),
                stable: (stable, stable_of),
                open,
                limit_ms,
                percentile,
                ..
            } => {
                write!(f, "{late} of {of} answers took over {limit_ms:.0} ms")?;
                if *open > 0 {
                    write!(f, ", {open} of them have not come yet")?;
                }
                write!(f, " (p{percentile} limit; stable {stable} of {stable_of})")
            }
            Self::Class {
                class,
                count: (count, of),
                stable: (stable, stable_of),
                ..
            } => write!(
                f,
                "{count} of {of} answers were {class} (stable {stable} of {stable_of})"
            ),
            Self::Baking {
                figures,
                baked,
                bake,
            } => write!(
                f,
                "{figures}; baked {} of {}",
                HumanDuration::from_secs(baked.as_secs()),
                HumanDuration(*bake)
            ),
            Self::TooFew { have, need } => {
                write!(f, "users sent {have} of {need}: too few to tell")
            }
            Self::Undecided(figures) => write!(f, "{figures}; too few requests to tell"),
            Self::SlowStart {
                figures,
                slow_start,
            } => write!(
                f,
                "{figures}; late in its first {}, which blames nobody: probed on",
                HumanDuration(*slow_start)
            ),
            Self::ReadinessOnly(figures) => write!(
                f,
                "{figures}; nobody named a path of probes, and a readiness path says nothing of what users ask for"
            ),
            Self::StableAsBad {
                figures,
                stable_errors,
                stable_requests,
            } => write!(
                f,
                "{figures}, but stable fails as well ({stable_errors} of {stable_requests}): not this release's fault"
            ),
            Self::NothingToCompare(figures) => write!(
                f,
                "{figures}; over the absolute limit, and stable was asked too little to compare with"
            ),
            Self::Untimed(figures) => {
                write!(f, "{figures}; the gateway has not told their times yet")
            }
            Self::NoData { why } => write!(f, "no data: {why}"),
            Self::Ready => f.write_str("Ready"),
            Self::NotReady { cause } => write!(f, "not Ready: {cause}"),
            Self::Gone => f.write_str("its Revision was deleted"),
            Self::CrashedOnce => {
                f.write_str("crashed once; it is watched twice as long at this weight")
            }
            Self::Crashed { crashes, last_exit } => {
                write!(f, "crashed {crashes} times")?;
                match last_exit {
                    Some(exit) => write!(f, ", last with {exit}"),
                    None => Ok(()),
                }
            }
            Self::Unready {
                running,
                patience,
                cause,
            } => {
                write!(f, "is without a Ready Pod (0 of {running}")?;
                if let Some(cause) = cause {
                    write!(f, ", {cause}")?;
                }
                let patience = HumanDuration(*patience);
                write!(f, "); it is rolled back after {patience} of that")
            }
            Self::StayedUnready {
                running,
                waited,
                cause,
            } => {
                let waited = HumanDuration::from_secs(waited.as_secs());
                write!(f, "0 of {running} Pods Ready for {waited}")?;
                match cause {
                    Some(cause) => write!(f, ": {cause}"),
                    None => Ok(()),
                }
            }
        }
    }
}
