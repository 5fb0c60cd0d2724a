//! For tests: what a gateway counts of two revisions second by second, through a window.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::evidence::{Booked, ProbeReport, ProbeRound, Unmeasured, Window};
use super::limits::Limits;
use super::metrics::{Counters, Scrape};
use super::window::StepWindow;
use crate::api::rollout::EvidenceLedger;
use crate::policy::{Policy, preset};

/// Answers of one second.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answers {
    /// 200, quick.
    pub good: u64,
    /// 500, quick.
    pub bad: u64,
    /// 200 after 800 ms.
    pub late: u64,
    /// Another status, quick.
    pub other: (u16, u64),
    /// Open at the end of the second.
    pub open: u64,
}

/// So many good answers.
pub fn good(good: u64) -> Answers {
    Answers {
        good,
        ..Answers::default()
    }
}

/// So many good answers, and so many failed ones.
pub fn bad(good: u64, bad: u64) -> Answers {
    Answers {
        good,
        bad,
        ..Answers::default()
    }
}

/// So many good answers, and so many late ones.
pub fn late(good: u64, late: u64) -> Answers {
    Answers {
        good,
        late,
        ..Answers::default()
    }
}

/// A gateway, and the window of a step that looks at it each second.
pub struct Watched {
    pub policy: Policy,
    pub gateway: Scrape,
    pub window: StepWindow,
    pub second: u64,
    pub warm_until: Option<Timestamp>,
    start: Instant,
}

impl Watched {
    /// Under this policy, from the beginning.
    pub fn by(policy: &str) -> Self {
        Self::from(preset(policy).unwrap(), Scrape::default(), None)
    }

    fn from(policy: Policy, gateway: Scrape, remembered: Option<&EvidenceLedger>) -> Self {
        let start = Instant::now();
        let window = StepWindow::open(
            "default",
            ("hello-00002", "hello-00001"),
            5,
            Timestamp::UNIX_EPOCH,
            remembered,
            Limits::of(&policy),
            (start, Timestamp::UNIX_EPOCH),
        );
        let mut watched = Self {
            policy,
            gateway,
            window,
            second: 0,
            warm_until: None,
            start,
        };
        watched.look();
        watched
    }

    /// The agent dies, users go on for these seconds, and another takes up what was remembered.
    pub fn dies(mut self, meanwhile: &[[Answers; 2]]) -> Self {
        for answers in meanwhile {
            self.count(*answers);
        }
        let remembered = self.window.window().ledger;
        Self::from(self.policy, self.gateway, Some(&remembered))
    }

    /// So many seconds of these answers of candidate and stable, with a look after each.
    pub fn seconds(mut self, seconds: u64, answers: impl Fn(u64) -> [Answers; 2]) -> Self {
        for second in 0..seconds {
            self.second += 1;
            self.count(answers(second));
            self.look();
        }
        self
    }

    /// The gateway counts.
    pub fn count(&mut self, answers: [Answers; 2]) {
        for (revision, answers) in ["hello-00002", "hello-00001"].into_iter().zip(answers) {
            let quick = answers.good + answers.bad + answers.other.1;
            let mut times = vec![40.0; usize::try_from(quick).unwrap()];
            times.resize(times.len() + usize::try_from(answers.late).unwrap(), 800.0);
            let mut statuses: std::collections::BTreeMap<u16, u64> =
                [(200, answers.good + answers.late), (500, answers.bad)].into();
            if answers.other.1 > 0 {
                *statuses.entry(answers.other.0).or_default() += answers.other.1;
            }
            self.send(revision, &Booked { statuses, times });
            self.gateway.of_mut("default", revision).open = answers.open;
        }
    }

    fn send(&mut self, revision: &str, requests: &Booked) {
        let edges = [25_000, 50_000, 250_000, 500_000, 1_000_000, u64::MAX];
        let edges = Counters {
            up_to: edges.map(|edge| (edge, 0)).into(),
            ..Counters::default()
        };
        self.gateway
            .of_mut("default", revision)
            .book(requests, &edges);
    }

    /// The window looks at the gateway.
    pub fn look(&mut self) {
        let time = Duration::from_secs(self.second);
        let moment = (self.start + time, Timestamp::UNIX_EPOCH + time);
        self.window
            .add("envoy", &self.gateway, self.warm_until, moment);
    }

    /// There is nothing to look at.
    pub fn blind(mut self, why: &str) -> Self {
        let time = Duration::from_secs(self.second);
        let moment = (self.start + time, Timestamp::UNIX_EPOCH + time);
        let why = Unmeasured::Unread(why.to_owned());
        self.window.blind(why, moment);
        self
    }

    /// A round of our own requests, and a look that has them.
    pub fn probed(mut self, sent: u64, failed: u64) -> Self {
        self.probe(sent, failed);
        self.look();
        self
    }

    /// A round of our own requests, which the gateway counts too: so many, of which so many fail, after a warm-up that fails.
    pub fn probe(&mut self, sent: u64, failed: u64) {
        let report = |failed| ProbeReport {
            sent,
            failed,
            statuses: [(200, sent - failed), (500, failed)].into(),
            latencies: super::Latencies::exact(vec![30.0; usize::try_from(sent).unwrap()]),
            booked: Booked {
                statuses: [(200, sent - failed), (500, failed + 5)].into(),
                times: vec![30.0; usize::try_from(sent + 5).unwrap()],
            },
            ..ProbeReport::default()
        };
        let (candidate, stable) = (report(failed), report(0));
        self.send("hello-00002", &candidate.booked);
        self.send("hello-00001", &stable.booked);
        let at = Timestamp::UNIX_EPOCH + Duration::from_secs(self.second);
        self.window.add_synthetic(ProbeRound {
            revision: "hello-00002".to_owned(),
            at,
            candidate,
            stable: Some(stable),
            ..ProbeRound::default()
        });
    }

    /// What was seen.
    pub fn seen(&self) -> Window {
        self.window.window()
    }
}
