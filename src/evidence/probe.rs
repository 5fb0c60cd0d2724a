//! Asks a revision again and again, and reports what came back.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures::future::{Either, select};
use futures::{StreamExt, stream};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::analysis::{
    LEAST_TO_COMPARE, Latencies, ProbeReport, ProbeRound, Verdict, judge_probes,
};
use crate::policy::Policy;

use super::client::{Answer, Ask, FetchError, HttpClient};
use super::plan::{ProbePlan, ProbeTarget, SlowStart};
use super::trust::Trust;

/// Stable is asked at most this often: for a figure to compare with, not for a verdict.
const STABLE_PROBES: u32 = 50;

/// Different errors that a report quotes.
const QUOTED: usize = 5;

/// Asks stable and the candidate side by side, so that a machine that stalls is slow for both,
/// and stops as soon as the candidate is beyond doubt bad.
///
/// Dropping the future stops it between two requests, with nothing left behind.
pub async fn round(
    policy: &Policy,
    trust: &Trust,
    candidate: &ProbeTarget,
    stable: Option<&ProbeTarget>,
    plan: &ProbePlan,
) -> ProbeRound {
    let so_far = |report: &ProbeReport, stable: &Option<ProbeReport>| ProbeRound {
        at: Timestamp::now(),
        candidate: report.clone(),
        stable: stable.clone(),
        readiness_only: plan.readiness_only,
        ..ProbeRound::default()
    };
    // What stable has shown by now, as the candidate is looked at.
    let seen = Mutex::new(stable.map(|_| ProbeReport::default()));
    let beside = pin!(async {
        if let Some(stable) = stable {
            let plan = ProbePlan {
                count: plan.count.min(STABLE_PROBES),
                ..plan.clone()
            };
            let all = run(trust, stable, &plan, |report| {
                *seen.lock() = Some(report.clone());
                false
            })
            .await;
            *seen.lock() = Some(all);
        }
    });
    let is_bad = |report: &ProbeReport| {
        let stable = seen.lock().clone();
        // Until stable has said something, whatever is wrong may be wrong for both.
        let known = stable
            .as_ref()
            .is_none_or(|stable| stable.sent >= LEAST_TO_COMPARE);
        let verdict = judge_probes(policy, &so_far(report, &stable));
        known && matches!(verdict, Verdict::Fail { at_once: true, .. })
    };
    let asked = pin!(run(trust, candidate, plan, is_bad));
    let report = match select(asked, beside).await {
        Either::Left((report, beside)) => {
            if !is_bad(&report) {
                beside.await;
            }
            report
        }
        Either::Right(((), asked)) => asked.await,
    };
    let stable = seen.lock().clone();
    so_far(&report, &stable)
}

/// Carries out a plan; `enough` is asked now and then whether to stop early.
pub async fn run(
    trust: &Trust,
    target: &ProbeTarget,
    plan: &ProbePlan,
    enough: impl Fn(&ProbeReport) -> bool,
) -> ProbeReport {
    let mut tally = Tally::default();
    let client = HttpClient::new(target.connect_to, trust);
    let ask = |n: u32, timeout: Duration| {
        let (client, path) = (&client, plan.path(n));
        let url = format!("{}{path}", target.url.trim_end_matches('/'));
        async move {
            let start = Instant::now();
            let ask = Ask {
                method: plan.method.clone(),
                url: &url,
                headers: &plan.headers,
                timeout,
            };
            let answer = client.ask(ask).await;
            Asked {
                path,
                start,
                answer,
                took: start.elapsed(),
            }
        }
    };

    // One request wakes it, alone: whatever waits behind a cold start would look slow too. Where a Pod is there,
    // nothing needs to wake, and a request that takes longer than a probe may hangs.
    for n in 0..plan.warm_up {
        let wakes = n == 0 && target.sleeps;
        let asked = ask(n, if wakes { plan.wake } else { plan.timeout }).await;
        target.slow_start.begin(Instant::now());
        if let Err(error @ FetchError::Untrusted { .. }) = &asked.answer {
            return unsent(error.to_string());
        }
        tally.warm_up(plan, &asked);
        // One that hangs is not waited for again and again: those that count show it.
        if matches!(asked.answer, Err(FetchError::Timeout(_))) {
            break;
        }
    }
    target.slow_start.begin(Instant::now());
    let concurrency = plan.concurrency.max(1) as usize;
    let mut answers = stream::iter(0..plan.count)
        .map(|n| ask(n, plan.timeout))
        .buffer_unordered(concurrency);
    let mut since_asked = 0;
    while let Some(asked) = answers.next().await {
        if let Err(error @ FetchError::Untrusted { .. }) = &asked.answer {
            return unsent(error.to_string());
        }
        tally.add(plan, asked, &target.slow_start);
        since_asked += 1;
        if since_asked >= concurrency {
            since_asked = 0;
            if enough(&tally.report()) {
                break;
            }
        }
    }
    tally.report()
}

/// Nothing reached the service, which blames nobody.
fn unsent(why: String) -> ProbeReport {
    ProbeReport {
        errors: vec![why],
        ..ProbeReport::default()
    }
}

/// One request, and what came of it.
struct Asked<'a> {
    path: &'a str,
    start: Instant,
    answer: Result<Answer, FetchError>,
    took: Duration,
}

/// A report in the making.
#[derive(Default)]
struct Tally {
    report: ProbeReport,
    times: Vec<f64>,
    /// Of those that were sent while a slow start may last.
    early: Vec<f64>,
}

impl Tally {
    /// It does not count, and is quoted where it failed.
    fn warm_up(&mut self, plan: &ProbePlan, asked: &Asked<'_>) {
        self.report.first.get_or_insert(asked.took);
        self.book(asked);
        if let Some(why) = failure(plan, &asked.answer) {
            self.quote(plan, asked.path, &why);
        }
    }

    /// Books a request as a gateway counts it.
    fn book(&mut self, asked: &Asked<'_>) {
        let status = asked.answer.as_ref();
        let status = status.map_or(0, |answer| answer.status.as_u16());
        let booked = &mut self.report.booked;
        *booked.statuses.entry(status).or_default() += 1;
        booked.times.push(asked.took.as_secs_f64() * 1000.0);
    }

    fn add(&mut self, plan: &ProbePlan, asked: Asked<'_>, slow_start: &SlowStart) {
        self.report.first.get_or_insert(asked.took);
        self.book(&asked);
        let early = slow_start.lasts(asked.start);
        let times = if early {
            &mut self.early
        } else {
            &mut self.times
        };
        times.push(asked.took.as_secs_f64() * 1000.0);
        let failure = failure(plan, &asked.answer);
        if let Some(why) = &failure {
            self.quote(plan, asked.path, why);
        }
        // So late that it was not waited for is late, while lateness blames nobody.
        if early && matches!(asked.answer, Err(FetchError::Timeout(_))) {
            return;
        }
        self.report.sent += 1;
        let path = self.report.paths.entry(plan.line(asked.path)).or_default();
        let status = asked.answer.ok().map(|answer| answer.status.as_u16());
        match (status, failure) {
            (Some(status), None) => *path.passed.entry(status).or_default() += 1,
            _ => {
                path.failed += 1;
                self.report.failed += 1;
            }
        }
        match status {
            Some(status) => *self.report.statuses.entry(status).or_default() += 1,
            None => self.report.unanswered += 1,
        }
    }

    /// Quotes an error once: `GET /healthz: 404, expected 200-299`.
    fn quote(&mut self, plan: &ProbePlan, path: &str, why: &str) {
        let text = format!("{} {path}: {why}", plan.method);
        if self.report.errors.len() < QUOTED && !self.report.errors.contains(&text) {
            self.report.errors.push(text);
        }
    }

    fn report(&self) -> ProbeReport {
        ProbeReport {
            latencies: Latencies::exact(self.times.clone()),
            early: Latencies::exact(self.early.clone()),
            ..self.report.clone()
        }
    }
}

/// Why an answer has failed, if it has.
fn failure(plan: &ProbePlan, answer: &Result<Answer, FetchError>) -> Option<String> {
    match answer {
        Ok(answer) => plan.unexpected(answer),
        Err(error) => Some(error.to_string()),
    }
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;
