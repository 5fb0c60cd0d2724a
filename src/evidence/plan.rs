//! How a revision is probed: where to, with which requests, and how patiently.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::client::Answer;
use crate::api::probe::{BodyExpectation, ExpectedStatus, ProbeMethod};
use crate::policy::Policy;

/// Time that a revision without a Pod has for its very first answer, which does not count. Knative's activator gives
/// up later than that.
const WAKE: Duration = Duration::from_secs(60);

/// Where to ask.
#[derive(Clone, Debug)]
pub struct ProbeTarget {
    /// `http://candidate-hello.default.example.com`; the plan's path is put behind it.
    pub url: String,
    /// Connect here whatever the URL's host; the host still goes into the request.
    pub connect_to: Option<SocketAddr>,
    /// It has no Pod that is Ready: the first request waits for one.
    pub sleeps: bool,
    /// When its slow start is over.
    pub slow_start: SlowStart,
}

/// The time after a revision's first answer in which it may be slow. Its clones begin, and end, together: rounds that
/// follow one another have one slow start.
#[derive(Clone, Debug)]
pub struct SlowStart {
    length: Duration,
    began: Arc<OnceLock<Instant>>,
}

impl SlowStart {
    /// One that has not begun.
    pub fn of(policy: &Policy) -> Self {
        Self {
            length: policy.probes.slow_start,
            began: Arc::default(),
        }
    }

    /// One that is over.
    pub fn over() -> Self {
        Self {
            length: Duration::ZERO,
            began: Arc::default(),
        }
    }

    /// It has begun by now.
    pub fn begin(&self, now: Instant) {
        let _ = self.began.set(now);
    }

    /// Whether what is asked now may be slow because of it.
    pub fn lasts(&self, now: Instant) -> bool {
        let began = self.began.get().copied().unwrap_or(now);
        now.saturating_duration_since(began) < self.length
    }
}

/// How to ask.
#[derive(Clone, Debug, PartialEq)]
pub struct ProbePlan {
    /// Requests that count.
    pub count: u32,
    /// Requests before them that do not.
    pub warm_up: u32,
    /// How many are under way at once.
    pub concurrency: u32,
    /// Paths, asked for in turn.
    pub paths: Vec<String>,
    /// Nobody named a path.
    pub readiness_only: bool,
    /// Method.
    pub method: Method,
    /// Headers.
    pub headers: HeaderMap,
    /// The statuses that pass; anything below 500 when absent.
    pub expected_status: Option<ExpectedStatus>,
    /// What the body must have.
    pub expected_body: Option<BodyExpectation>,
    /// An answer later than this has failed.
    pub timeout: Duration,
    /// The time that a revision without a Pod has for its first answer.
    pub wake: Duration,
}

impl ProbePlan {
    /// The policy's plan for `count` requests; `readiness_path` is the container's own,
    /// which is asked where nobody named a path.
    pub fn of(policy: &Policy, count: u32, readiness_path: Option<&str>) -> Self {
        let probes = &policy.probes;
        let readiness_only = probes.paths.is_empty();
        let paths = if readiness_only {
            vec![readiness_path.unwrap_or("/").to_owned()]
        } else {
            probes.paths.clone()
        };
        // The policy's were checked when it was read.
        let headers = probes.headers.iter().filter_map(|(name, value)| {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            Some((name, HeaderValue::from_str(value).ok()?))
        });
        Self {
            count,
            warm_up: policy.analysis.warm_up_requests,
            concurrency: probes.concurrency,
            paths,
            readiness_only,
            method: method(probes.method),
            headers: headers.collect(),
            expected_status: probes.expected_status.clone(),
            expected_body: probes.expected_body.clone(),
            timeout: probes.timeout,
            wake: WAKE.min(policy.progress_deadline).max(probes.timeout),
        }
    }

    /// The path of the n-th request.
    pub fn path(&self, n: u32) -> &str {
        let paths = self.paths.iter().map(String::as_str);
        let number = (n as usize).checked_rem(self.paths.len());
        number.and_then(|n| paths.clone().nth(n)).unwrap_or("/")
    }

    /// What people read of a request: `/healthz`, `HEAD /healthz`.
    pub fn line(&self, path: &str) -> String {
        if self.method == Method::GET {
            path.to_owned()
        } else {
            format!("{} {path}", self.method)
        }
    }

    /// Why an answer is not as expected, if it is not: `404, expected 200-299`.
    pub fn unexpected(&self, answer: &Answer) -> Option<String> {
        let status = answer.status.as_u16();
        match &self.expected_status {
            Some(expected) if !expected.contains(status) => {
                return Some(format!("{status}, expected {expected}"));
            }
            None if status >= 500 => return Some(format!("{status}, expected below 500")),
            Some(_) | None => {}
        }
        let body = self.expected_body.as_ref()?;
        (!body.holds(&answer.body)).then(|| format!("{status}, expected {body}"))
    }
}

fn method(method: ProbeMethod) -> Method {
    match method {
        ProbeMethod::Get => Method::GET,
        ProbeMethod::Head => Method::HEAD,
        ProbeMethod::Options => Method::OPTIONS,
        ProbeMethod::Post => Method::POST,
    }
}
