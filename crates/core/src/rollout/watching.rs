//! After 100 %: the promoted revision is watched for the policy's `watch`, and a fault rolls it back by itself.
//!
//! It is the stable revision by then, and the release is in the history: a promotion takes no longer for being watched.
//! The phase is `Stable` (or `RolledBack`, where Git has gone on to a template that is kept out), so drift, traffic,
//! templates and people's requests are what they are at rest. What differs is in [`Watch`]: the previous revision keeps a
//! tag of its own, its instances (`warm.rs`) and its `no-gc`, and while it can take requests it is one write away.
//!
//! What its Pods and its Revision say rolls back at once. What users say is about whatever the service hangs on as
//! well, so the previous revision is probed first, in the same seconds: where that fails too nobody is blamed.

use std::time::Duration;

use jiff::Timestamp;

use crate::analysis::{
    Check, CheckId, Finding, ProbeRound, Verdict, Window, judge_probes, judge_window,
};
use crate::api::rollout::{Outcome, Release, Watch, WatchHold, WatchHoldReason};
use crate::api::serving::TrafficTarget;
use crate::policy::Step;

use super::allocate::Split;
use super::context::DecisionContext;
use super::decision::{Gather, ProbeTargets};
use super::event::{Event, WatchEnd};
use super::own_tags;
use super::reason::Reason;
use super::transition::Transition;
use super::words::briefer;

/// Everybody's share by now.
const ALL: u8 = 100;

/// The most requests to the previous revision before users' failures are blamed on the promoted one. At 5 % of errors
/// 135 show one for sure; more would only cost time.
const MOST_PROBES: u32 = 200;
/// The fewest, where the policy asks for no probes at all.
const LEAST_PROBES: u32 = 20;

/// What the previous revision says where users of the promoted one meet failures.
enum Previous {
    /// It answers well, or nobody can tell: users come first.
    IsBetter,
    /// It fails in the same seconds.
    FailsToo(Finding),
    /// It is being asked.
    IsAsked(ProbeTargets),
}

impl DecisionContext<'_> {
    /// What a promotion under way will be rolled back to while it is watched: only a new template is, and not where
    /// something that was good before is put back.
    fn to_be_kept(&self) -> Option<&Release> {
        let outcome = self.candidate.pending_outcome.as_ref()?.outcome;
        let stable = self.service.stable.as_ref()?;
        let candidate = self.candidate.release.as_ref()?;
        let watched = outcome == Outcome::Promoted && !self.policy.watch.is_zero();
        (watched && stable.revision != candidate.revision).then_some(stable)
    }

    /// A promotion's traffic: what will be kept keeps a tag, so that the promotion's one write is the last.
    pub fn promoted_split<'s>(&'s self, candidate: &'s str) -> Split<'s> {
        let previous = self.to_be_kept().and_then(|kept| kept.revision.as_deref());
        self.kept_beside(candidate, previous)
    }

    /// Traffic at rest: what is kept for a rollback beside stable.
    pub fn resting_split<'s>(&'s self, stable: &'s str) -> Split<'s> {
        let watch = self.service.watch.as_ref();
        let previous = watch.and_then(|watch| watch.previous.revision.as_deref());
        self.kept_beside(stable, previous)
    }

    /// A Route with one target that is missing or not Ready stops following its spec, so that one gets no tag.
    fn kept_beside<'s>(&'s self, stable: &'s str, previous: Option<&'s str>) -> Split<'s> {
        Split {
            previous: previous.filter(|name| self.live.is_usable(name)),
            ..Split::alone(stable)
        }
    }

    /// The candidate is about to be stable: what it will be rolled back to after a fault, if anything.
    pub fn begin_watch(&self) -> Option<Watch> {
        let previous = self.to_be_kept()?.clone();
        let (since, held) = (self.now, None);
        let until = self.now.saturating_add(self.policy.watch);
        let until = until.unwrap_or(since);
        Some(Watch {
            previous,
            since,
            until,
            held,
        })
    }

    /// The watch of the stable revision, at rest: judges what there is of it and asks for more. A transition where it is
    /// rolled back.
    pub fn watch_stable(&mut self, stable: &str) -> Option<Transition> {
        // What it keeps warm is put back first: nobody will come to it later.
        if self.intent.withdrawn && !self.keeps_any_warm() {
            self.end_watch(WatchEnd::Withdrawn);
        }
        let previous = self.service.watch.as_ref()?.previous.revision.clone()?;
        self.gather = Gather::Metrics {
            candidate: stable.to_owned(),
            stable: previous.clone(),
            weight: ALL,
            since: self.candidate.analysis_started_at.unwrap_or(self.now),
            warm_until: self.warm_until_of(stable),
            remembered: self.candidate.ledger.clone().map(Box::new),
            synthetic: None,
        };
        if let Some(reason) = self.watched_fault(stable, &previous)
            && let Some(turn) = self.roll_back_to(&previous, reason)
        {
            return Some(turn);
        }
        // Who is being asked has a time of its own.
        if !matches!(self.gather, Gather::Probes(_)) {
            self.end_in_time();
        }
        None
    }

    /// What it is to be rolled back for now.
    fn watched_fault(&mut self, stable: &str, previous: &str) -> Option<Reason> {
        if let Some(reason) = self.fault_of(Some(stable)) {
            return Some(reason);
        }
        let verdict = self.judge_users(stable);
        let Some(finding) = verdict.as_ref().and_then(|v| self.enough(v)) else {
            if self.speaks_well(verdict.as_ref()) {
                self.release_hold();
            }
            return None;
        };
        let reason = Reason::Evidence {
            weight: ALL,
            finding,
        };
        if self.why_unusable(previous).is_some() {
            return Some(reason);
        }
        match self.ask_previous(previous) {
            Previous::IsBetter => return Some(reason),
            Previous::FailsToo(finding) => self.hold_shared(previous, &reason, &finding),
            Previous::IsAsked(targets) => self.gather = Gather::Probes(targets),
        }
        None
    }

    /// How long at most until it is looked at again; `None` where nothing is watched.
    pub fn watch_wait(&self) -> Option<Duration> {
        let watch = self.service.watch.as_ref()?;
        let left = Duration::try_from(watch.until.duration_since(self.now)).unwrap_or_default();
        let longest = self.policy.interval;
        Some(if left.is_zero() {
            longest
        } else {
            left.min(longest)
        })
    }

    /// Adds to the message that it is watched, or what is wrong with it.
    pub fn say_watched(&mut self) {
        let held = |watch: &Watch| watch.held.as_ref().map(|held| held.message.clone());
        let more = match &self.service.watch {
            Some(watch) => {
                held(watch).or_else(|| Some(format!("watched until {:.0}", watch.until)))
            }
            None => self.serving_trouble(),
        };
        let Some(more) = more else {
            return;
        };
        self.candidate.message = format!("{}; {more}", self.candidate.message);
    }

    /// Ends the watch before anything else comes of it.
    pub fn end_watch(&mut self, because: WatchEnd) {
        if self.service.watch.take().is_none() {
            return;
        }
        self.candidate.failures = 0;
        self.events.push(Event::WatchEnded {
            revision: self.stable_revision().unwrap_or_default(),
            service: self.intent.name.clone(),
            because,
        });
    }

    /// A mark of a rollback on the Route that is about the watched revision: the agent before this one took the traffic
    /// from it and was killed before it could store that. After the requests of people, since an undo leaves the same mark
    /// and is carried out again in its own way.
    pub fn finish_watch_rollback(&mut self) {
        let route = self.live.route.as_ref();
        let mark = route.and_then(|route| route.rolled_back.as_ref());
        let stable = self.service.stable.as_ref();
        let serving = stable.and_then(|stable| stable.template_hash.as_ref());
        if !self.phase().rests() || mark.is_none() || mark != serving {
            return;
        }
        if let Some(watch) = self.service.watch.take() {
            let back = self.take_back(watch.previous, Reason::FoundRolledBack);
            self.take(back);
        }
    }

    /// A person wants what is watched taken back.
    pub fn abort_watched(&mut self, reason: Reason) -> Option<Transition> {
        let watch = self.service.watch.take()?;
        Some(self.take_back(watch.previous, reason))
    }

    /// Whether the revision that a request is about is the one that is watched.
    pub fn watches(&self, revision: Option<&String>) -> bool {
        let stable = self.service.stable.as_ref();
        self.service.watch.is_some()
            && revision.is_some()
            && stable.and_then(|stable| stable.revision.as_ref()) == revision
    }

    /// Rolls back where the previous revision can take requests; else says that it cannot.
    fn roll_back_to(&mut self, previous: &str, reason: Reason) -> Option<Transition> {
        if let Some(why) = self.why_unusable(previous) {
            let message = format!("{reason}; not rolled back: {why}");
            self.hold_watch(WatchHoldReason::PreviousUnusable, message);
            return None;
        }
        let watch = self.service.watch.take()?;
        Some(self.take_back(watch.previous, reason))
    }

    /// Stable is a candidate again, and the revision before it stable: from here on it is a rollback like any other.
    fn take_back(&mut self, previous: Release, reason: Reason) -> Transition {
        self.candidate.release = self.service.stable.replace(previous);
        self.candidate.weight = ALL;
        self.roll_back(reason)
    }

    /// Why nothing can be rolled back onto it, by the cluster's word.
    fn why_unusable(&self, previous: &str) -> Option<String> {
        let Some(revision) = self.live.revision(previous) else {
            return Some(format!("{previous} is gone"));
        };
        if !revision.is_ready() {
            let cause = revision.ready.as_ref().map(|ready| ready.cause());
            let cause = cause.unwrap_or_else(|| "the cluster gives no reason".to_owned());
            return Some(format!("{previous} is not Ready: {cause}"));
        }
        // Its Pods are kept beside it all the while: what takes them down is nothing that the promoted one brought.
        let pods = &revision.pods;
        (pods.is_crash_looping() && pods.ready == 0)
            .then(|| format!("the Pods of {previous} crash as well"))
    }

    /// What users of the promoted revision meet, recorded where it counts; `None` before anything was seen.
    fn judge_users(&mut self, stable: &str) -> Option<Verdict> {
        let window = self.window(stable, ALL)?;
        let verdict = self.judge_promoted(window);
        match &verdict {
            // Every other verdict would be one more write of a status that nobody waits for.
            Verdict::Fail { .. } => {
                let check = Check::asked(CheckId::Requests, Some(verdict.clone()));
                if self.record_at(ALL, &check, window.at) {
                    self.candidate.failures += 1;
                    self.candidate.ledger = Some(window.ledger.clone());
                }
            }
            _ => self.candidate.failures = 0,
        }
        Some(verdict)
    }

    /// Judges what was counted since the promotion: the promoted revision has all users, so there is nobody to compare
    /// it with, and what is late is asked of the previous revision before it is blamed.
    fn judge_promoted(&self, window: &Window) -> Verdict {
        let without_steps = Step {
            weight: ALL,
            bake: Duration::ZERO,
            min_requests: 1,
            approval: false,
        };
        let step = self.policy.step_at(ALL).unwrap_or(&without_steps);
        match judge_window(self.policy, step, window) {
            Verdict::Inconclusive(finding @ Finding::NothingToCompare(_)) => Verdict::Fail {
                finding,
                at_once: false,
            },
            verdict => verdict,
        }
    }

    /// What is wrong, where it is beyond doubt or was seen often enough.
    fn enough(&self, verdict: &Verdict) -> Option<Finding> {
        let often = self.candidate.failures >= self.policy.analysis.consecutive_failures;
        match verdict {
            Verdict::Fail { finding, at_once } if *at_once || often => Some(finding.clone()),
            _ => None,
        }
    }

    /// Nothing is wrong in what was counted for a step's bake.
    fn speaks_well(&self, verdict: Option<&Verdict>) -> bool {
        let bake = self.policy.step_at(ALL).map(|step| step.bake);
        match verdict {
            None | Some(Verdict::Fail { .. }) => false,
            Some(Verdict::Pass(_)) => true,
            Some(Verdict::Inconclusive(_)) => {
                self.since(self.candidate.analysis_started_at) >= bake.unwrap_or_default()
            }
        }
    }

    /// Asks the previous revision whether it fails in the same seconds; what it said before users' failures were counted
    /// is of another time. Where it has no tag, or no answer comes in the time that a confirmation has, users come first.
    fn ask_previous(&self, previous: &str) -> Previous {
        let counted = self.evidence.window.as_ref().map(|window| window.at);
        let asked = self.since(counted);
        let round = self.evidence.probes.as_ref();
        let round = round.filter(|round| round.revision == previous && Some(round.at) >= counted);
        match round.map(|round: &ProbeRound| judge_probes(self.policy, round)) {
            Some(Verdict::Fail { finding, .. }) => return Previous::FailsToo(finding),
            Some(Verdict::Pass(_)) => return Previous::IsBetter,
            Some(Verdict::Inconclusive(_)) | None if asked >= self.policy.confirm_timeout => {
                return Previous::IsBetter;
            }
            Some(Verdict::Inconclusive(_)) | None => {}
        }
        match self.url_of_previous(previous) {
            Some(candidate_url) => Previous::IsAsked(ProbeTargets {
                revision: previous.to_owned(),
                release_since: None,
                candidate_url,
                candidate_sleeps: self.sleeps(previous),
                stable_url: None,
                stable_sleeps: false,
                count: self.policy.probes.count.clamp(LEAST_PROBES, MOST_PROBES),
            }),
            None => Previous::IsBetter,
        }
    }

    /// Where its own tag leads, or any other that it has.
    fn url_of_previous(&self, previous: &str) -> Option<String> {
        let own = own_tags::tags(&self.shape(), &self.intent.name).previous;
        let route = self.live.route.as_ref()?;
        let shows = |entry: &&TrafficTarget| {
            entry.revision_name.as_deref() == Some(previous) && entry.url.is_some()
        };
        let mut tagged = route.status.iter().filter(|entry| entry.tag.is_some());
        let mut all = tagged.clone().filter(shows);
        let found = tagged.find(|entry| shows(entry) && entry.tag == own);
        found.or_else(|| all.next())?.url.clone()
    }

    /// Both fail: nobody is blamed, and what was counted meanwhile speaks for nobody.
    fn hold_shared(&mut self, previous: &str, reason: &Reason, finding: &Finding) {
        let message = format!(
            "{reason}; shared: the previous revision fails as well ({previous}: {finding})"
        );
        self.hold_watch(WatchHoldReason::SharedFault, message);
        self.candidate.analysis_started_at = Some(self.now);
        self.candidate.failures = 0;
        if let Gather::Metrics { since, .. } = &mut self.gather {
            *since = self.now;
        }
    }

    fn hold_watch(&mut self, reason: WatchHoldReason, message: String) {
        let (now, message) = (self.now, briefer(&message));
        let revision = self.stable_revision().unwrap_or_default();
        let Some(watch) = &mut self.service.watch else {
            return;
        };
        let known = watch.held.as_ref().filter(|held| held.reason == reason);
        let since = known.map_or(now, |held| held.since);
        if known.is_none() {
            let detail = message.clone();
            self.events.push(Event::WatchHeld { revision, detail });
        }
        watch.held = Some(WatchHold {
            reason,
            since,
            message,
        });
    }

    fn release_hold(&mut self) {
        if let Some(watch) = &mut self.service.watch {
            watch.held = None;
        }
    }

    /// Ends the watch when its time is up. What is held for a fault has twice its time: it might be the promoted
    /// revision's after all. A suspended Delivery's goes on, since nothing could be written that ends it.
    fn end_in_time(&mut self) {
        let Some(watch) = &self.service.watch else {
            return;
        };
        let times = if watch.held.is_some() { 2 } else { 1 };
        let since = watch.since;
        let watched = self.since(Some(since));
        let limit = self.policy.watch.saturating_mul(times);
        if watched >= limit && !self.intent.suspended {
            let held = watch.held.as_ref().map(|held| held.message.clone());
            self.end_watch(WatchEnd::Over { watched, held });
            self.gather = Gather::Nothing;
            return;
        }
        let from: Timestamp = self.live.watching_since.unwrap_or(since).max(since);
        if let Some(watch) = &mut self.service.watch {
            watch.until = from.saturating_add(limit).unwrap_or(from);
        }
    }

    /// What is wrong with what serves while no watch would roll it back, and what a person can do about it.
    pub fn serving_trouble(&self) -> Option<String> {
        let stable = self.stable_revision()?;
        let crashes = || {
            let pods = &self.live.revision(&stable)?.pods;
            let last = pods.last_exit.as_deref();
            let last = last.map_or_else(String::new, |last| format!(", last with {last}"));
            pods.is_crash_looping()
                .then(|| format!("the Pods of {stable} crash again and again{last}"))
        };
        let cause = self.stable_trouble().or_else(crashes)?;
        // What is gone is replaced by itself.
        let is_a_person_s = self.phase().rests()
            && self.service.watch.is_none()
            && self.live.revision(&stable).is_some();
        let earlier = self.best_left(&stable).filter(|_| is_a_person_s);
        Some(match earlier.and_then(|release| release.revision) {
            Some(earlier) => format!(
                "{cause}; `sluice rollout undo {}` rolls back to {earlier}",
                self.intent.name
            ),
            None => cause,
        })
    }
}
