//! The agent of the small cluster: gathers, decides, stores, writes, and can be killed after
//! each of these calls. What it writes is checked against the invariants.

use super::*;

impl World {
    pub(super) fn report(&self, name: &str, count: u64, early: bool) -> ProbeReport {
        let behaviour = self
            .revisions
            .get(name)
            .map(|r| self.behaviour(r))
            .unwrap_or_else(good);
        let behaviour = if behaviour.hidden { good() } else { behaviour };
        let failed = (count * behaviour.errors).div_ceil(100);
        let path = PathReport {
            passed: [(behaviour.status, count - failed)].into(),
            failed,
        };
        let mut times = vec![behaviour.ms; usize::try_from(count).unwrap()];
        let age = self.revisions.get(name).map_or(0, |r| self.second - r.born);
        if behaviour.slow_until.is_some_and(|until| age < until) {
            times.fill(800.0);
        }
        let times = Latencies::exact(times);
        let (early, latencies) = if early {
            (times, Latencies::default())
        } else {
            (Latencies::default(), times)
        };
        ProbeReport {
            sent: count,
            booked: Booked {
                statuses: [(behaviour.status, count - failed), (500, failed)].into(),
                times: vec![behaviour.ms; usize::try_from(count).unwrap()],
            },
            failed,
            statuses: [(behaviour.status, count - failed), (500, failed)]
                .into_iter()
                .filter(|(_, n)| *n > 0)
                .collect(),
            paths: [("/".to_owned(), path)].into(),
            latencies,
            early,
            first: Some(Duration::from_millis(900)),
            errors: if failed > 0 {
                vec!["GET /: 500, expected below 500".to_owned()]
            } else {
                vec![]
            },
            ..ProbeReport::default()
        }
    }

    pub(super) fn round(&mut self, targets: &ProbeTargets) -> ProbeRound {
        let count = u64::from(targets.count);
        let about = (targets.revision.clone(), targets.release_since);
        let first = match &self.first_probed {
            Some((known, second)) if *known == about => *second,
            _ => self.second,
        };
        self.first_probed = Some((about, first));
        let early = self.second - first < self.policy.probes.slow_start.as_secs();
        let stable = self.status.stable.as_ref();
        let stable = stable.filter(|_| targets.stable_url.is_some());
        let stable = stable.and_then(|stable| stable.revision.clone());
        let candidate = self.report(&targets.revision, count, early);
        self.gateway_counts(&targets.revision, &candidate.booked);
        let stable = stable.map(|name| {
            let report = self.report(&name, count.min(50), early);
            self.gateway_counts(&name, &report.booked);
            report
        });
        ProbeRound {
            revision: targets.revision.clone(),
            release_since: targets.release_since,
            at: self.now(),
            candidate,
            stable,
            readiness_only: self.readiness_only,
        }
    }

    /// The gateway counts requests, whoever sent them.
    pub(super) fn gateway_counts(&mut self, revision: &str, requests: &Booked) {
        let edges = [10, 25, 50, 100, 250, 500, 1000, 2500].map(|ms: u64| ms * 1000);
        let edges = Counters {
            up_to: edges
                .into_iter()
                .chain([u64::MAX])
                .map(|e| (e, 0))
                .collect(),
            ..Counters::default()
        };
        self.gateway
            .of_mut("default", revision)
            .book(requests, &edges);
    }

    /// What the agent gathers within a second.
    pub(super) fn observe(&mut self) {
        match self.gather.clone() {
            Gather::Nothing => {}
            Gather::Probes(targets) => {
                let round = self.round(&targets);
                self.unbooked.push(round.clone());
                match &mut self.evidence.probes {
                    Some(old) if round.continues(old) => old.add(round),
                    slot => *slot = Some(round),
                }
            }
            Gather::Metrics {
                candidate,
                stable,
                weight,
                since,
                warm_until,
                remembered,
                synthetic,
            } => {
                let now = (self.started + Duration::from_secs(self.second), self.now());
                let about = (candidate.clone(), weight, since);
                let open = self.window.take().filter(|(known, _)| *known == about);
                let mut window = open.map_or_else(
                    || {
                        self.evidence.window = None;
                        self.evidence.probes = None;
                        self.counted.clear();
                        let mut window = StepWindow::open(
                            "default",
                            (&candidate, &stable),
                            weight,
                            since,
                            remembered.as_deref(),
                            Limits::of(&self.policy),
                            now,
                        );
                        for round in std::mem::take(&mut self.unbooked) {
                            if remembered.is_some() {
                                window.book(&round);
                            }
                        }
                        window
                    },
                    |(_, window)| window,
                );
                if self.blind {
                    window.blind(Unmeasured::Unread(self.blind_words.clone()), now);
                } else {
                    window.add("gateway", &self.gateway, warm_until, now);
                }
                if let Some(targets) = synthetic {
                    window.add_synthetic(self.round(&targets));
                }
                self.evidence.window = Some(window.window());
                self.window = Some((about, window));
            }
        }
    }

    /// What the caches say: what the cluster says now, or what it said some seconds ago.
    fn seen(&self) -> Live {
        match self.said.get(self.lag) {
            Some(old) if self.lag > 0 => self.live_of(old.clone()),
            _ => self.live(),
        }
    }

    /// Whether the object that a write is about is not what the caches have.
    fn is_behind(&self) -> bool {
        let seen = self.seen().route.map(|route| route.generation);
        seen != self.route.as_ref().map(|route| route.generation)
    }

    /// One pass of the agent: look, decide, store, write.
    pub(super) fn agent(&mut self) {
        let live = self.seen();
        let once = || {
            decide(
                &self.policy,
                &self.git,
                &self.status,
                &self.spec,
                &live,
                &self.evidence,
                self.now(),
            )
        };
        let decision = once();
        if self.chance.is_none() {
            assert_eq!(decision, once(), "the same arguments give the same answer");
        }
        let first = decision.order == Order::TrafficFirst;
        let stores = decision.status != self.stored && !decision.persist_deferred;
        if stores && self.stores_nothing && !first {
            // It decides the same again, until it can be stored.
            return;
        }
        for event in &decision.events {
            self.say(&event.to_string());
        }
        if decision.status != self.status {
            let before = std::mem::replace(&mut self.status, decision.status);
            self.check_step(&before);
        }
        let is_urgent = |write: &Write| {
            first && matches!(write, Write::Traffic { .. } | Write::StableTemplate { .. })
        };
        let (urgent, others): (Vec<_>, Vec<_>) = decision.writes.into_iter().partition(is_urgent);
        for write in urgent {
            self.write(write);
            if self.dies() {
                return;
            }
        }
        if stores && !self.stores_nothing {
            self.stored = self.status.clone();
            if self.dies() {
                return;
            }
        }
        for write in others {
            // Up, a write that finds another object than was read is not made; it is decided anew.
            if matches!(write, Write::Traffic { .. }) && self.is_behind() {
                continue;
            }
            self.write(write);
            if self.dies() {
                return;
            }
        }
        if self.status.phase != Phase::Pending && decision.wake_after.is_none() && self.moving() {
            self.broken.push(format!(
                "{}: {} waits for ever",
                self.clock(),
                self.status.phase
            ));
        }
        if self.status.watch.is_some() && decision.wake_after.is_none() {
            let broken = format!("{}: nobody looks at what is watched", self.clock());
            self.broken.push(broken);
        }
        self.expect_to_be_woken(decision.wake_after);
        self.expect_patience_to_end(&live, decision.wake_after);
        self.gather = decision.gather;
    }

    /// A gate with a time opens when that comes, whether or not anything else happens.
    fn expect_to_be_woken(&mut self, wake_after: Option<Duration>) {
        let (Some(until), true) = (self.spec.paused_until, self.spec.is_paused(self.now())) else {
            return;
        };
        if wake_after.is_none_or(|wait| self.now() + wait > until) {
            let broken = format!("{}: nobody wakes it at {until}", self.clock());
            self.broken.push(broken);
        }
    }

    /// No event says that Pods have been without readiness for too long.
    fn expect_patience_to_end(&mut self, live: &Live, wake_after: Option<Duration>) {
        let status = &self.status;
        let names = [&status.stable, &status.candidate];
        let names = names
            .into_iter()
            .flatten()
            .filter_map(|r| r.revision.as_ref());
        for revision in names.filter_map(|name| live.revision(name)) {
            let Some(since) = revision.pods.unready_since.max(live.watching_since) else {
                continue;
            };
            let end = since + self.policy.confirm_timeout;
            let is_due = revision.pods.unready_since.is_some() && end > self.now();
            if is_due && wake_after.is_none_or(|wait| self.now() + wait > end) {
                let broken = format!("{}: nobody looks at its Pods at {end}", self.clock());
                self.broken.push(broken);
            }
        }
    }

    /// Phases that must end by themselves; a hold by people's word need not.
    pub(super) fn moving(&self) -> bool {
        matches!(
            self.status.phase,
            Phase::Initial
                | Phase::Pinning
                | Phase::Staging
                | Phase::Probing
                | Phase::Stepping
                | Phase::Promoting
                | Phase::RollingBack
        )
    }

    pub(super) fn dies(&mut self) -> bool {
        self.calls += 1;
        if self.dies_after == Some(self.calls) {
            self.restart();
            return true;
        }
        false
    }

    pub(super) fn write(&mut self, write: Write) {
        match write {
            Write::Template { .. } if self.refuses.is_some() => {}
            Write::Template { attempt } => {
                let c = self.configuration.get_or_insert_with(Config::default);
                if c.template != self.git.template_hash.0 || c.attempt != attempt {
                    c.template = self.git.template_hash.0.clone();
                    c.attempt = attempt;
                    c.generation += 1;
                    c.changed_at = self.second;
                }
            }
            Write::StableTemplate { .. } => {}
            Write::Traffic {
                targets,
                rolled_back,
                last_resort,
            } => {
                let splits =
                    |targets: &[TrafficTarget]| targets.iter().any(|t| t.percent != Some(100));
                let refused = self.refuses_splits && splits(&targets);
                let targets = match last_resort {
                    Some(bare) if refused => bare,
                    _ if refused => return,
                    _ => targets,
                };
                if refused && let Some(route) = &mut self.route {
                    route.refused = Some("Traffic targets sum to 90, want 100".to_owned());
                }
                self.check_traffic(&targets);
                // A retry that waits for the rollback lifts it with good right.
                let waits = self.spec.requests.iter().any(|request| {
                    request.action == Action::Retry && self.status.answer(&request.id).is_none()
                });
                if let Some(hash) = &rolled_back
                    && !waits
                {
                    self.condemned.insert(hash.0.clone());
                    if self.was_promoted(hash) {
                        self.condemned_in_watch.insert(hash.0.clone());
                    }
                }
                let second = self.second;
                let route = self.route.get_or_insert_with(Route::default);
                route.rolled_back = rolled_back;
                if route.spec != targets {
                    route.spec = targets;
                    route.generation += 1;
                    route.changed_at = second;
                }
            }
            Write::KeepRevision { name, keep } => {
                if let Some(revision) = self.revisions.get_mut(&name) {
                    revision.kept = keep;
                }
            }
            Write::MinScale {
                revision,
                min_scale,
                raised,
            } => {
                if let Some(revision) = self.revisions.get_mut(&revision) {
                    revision.min_scale = min_scale;
                    revision.raised = raised;
                }
            }
        }
    }

    /// Invariant 1, and sums.
    pub(super) fn check_traffic(&mut self, targets: &[TrafficTarget]) {
        let sum: i64 = targets.iter().filter_map(|entry| entry.percent).sum();
        if sum != 100 {
            self.broken
                .push(format!("{}: traffic sums to {sum}", self.clock()));
        }
        let first = self.status.stable.is_none();
        for entry in targets {
            if entry.latest_revision == Some(true) && entry.configuration_name.is_none() {
                self.broken
                    .push(format!("{}: latestRevision decides", self.clock()));
            }
            let Some(name) = entry.revision_name.clone() else {
                continue;
            };
            let percent = entry.percent.unwrap_or(0);
            let is = |release: &Option<crate::api::rollout::Release>| {
                release.as_ref().and_then(|r| r.revision.as_ref()) == Some(&name)
            };
            let candidate = is(&self.status.candidate) && !is(&self.status.stable);
            let known = self
                .status
                .history
                .iter()
                .any(|h| h.release.revision.as_ref() == Some(&name) && h.weight == 100);
            let judged = self
                .status
                .evidence
                .iter()
                .any(|e| e.verdict == crate::api::rollout::EvidenceVerdict::Pass)
                || self
                    .status
                    .pending_outcome
                    .as_ref()
                    .is_some_and(|e| e.reason.contains("by ada"));
            // Once the last good revision is gone, what is left is better than nothing.
            let hash = self.revisions.get(&name).map(|revision| &revision.hash);
            let serves = is(&self.status.stable);
            if percent > 0 && !first && !serves && hash.is_some_and(|h| self.condemned.contains(h))
            {
                self.broken.push(format!(
                    "{}: {name} gets {percent} % after it was rolled back",
                    self.clock()
                ));
            }
            // What a watch rolled back serves by no memory.
            if percent > 0 && !first && hash.is_some_and(|h| self.condemned_in_watch.contains(h)) {
                self.broken.push(format!(
                    "{}: {name} gets {percent} % after its watch rolled it back",
                    self.clock()
                ));
            }
            let unasked = self.asks_for_no_probes();
            let exempt = first || judged || known || unasked || self.stable_is_dead();
            if candidate && percent > 0 && !exempt {
                self.broken.push(format!(
                    "{}: {name} gets {percent} % unanalysed",
                    self.clock()
                ));
            }
        }
    }

    /// No Route can name it, so nothing can be probed beside it.
    fn stable_is_dead(&self) -> bool {
        let stable = self
            .status
            .stable
            .as_ref()
            .and_then(|s| s.revision.as_ref());
        stable.is_some_and(|name| {
            let revision = self.revisions.get(name);
            revision.is_none_or(|revision| !self.facts(name, revision).is_ready())
        })
    }

    /// Whether what is being rolled back was promoted, and is taken back for what it did since.
    fn was_promoted(&self, hash: &TemplateHash) -> bool {
        let status = &self.status;
        let pending = status.pending_outcome.as_ref().map(|p| p.outcome);
        status.phase == Phase::RollingBack
            && pending == Some(Outcome::RolledBack)
            && status.history.first().is_some_and(|newest| {
                newest.outcome == Outcome::Promoted
                    && newest.release.template_hash.as_ref() == Some(hash)
            })
    }

    /// The first step of a policy with `probes.count: 0` has nothing to be judged by.
    fn asks_for_no_probes(&self) -> bool {
        self.policy.probes.count == 0 && self.status.step == Some(0)
    }

    /// Weights only rise on passing evidence (or a person's word).
    pub(super) fn check_step(&mut self, before: &RolloutStatus) {
        let same = before.candidate.as_ref().and_then(|c| c.revision.as_ref())
            == self
                .status
                .candidate
                .as_ref()
                .and_then(|c| c.revision.as_ref());
        // With nothing left that serves, it is a first delivery again.
        let first = before.stable.is_none() || self.status.stable.is_none();
        if self.status.weight > before.weight && !first {
            let passed = self.status.evidence.iter().any(|e| {
                e.weight == before.weight && e.verdict == crate::api::rollout::EvidenceVerdict::Pass
            });
            let known = self.status.pending_outcome.as_ref().is_some_and(|e| {
                e.outcome != crate::api::rollout::Outcome::Promoted || e.reason.contains("by ada")
            });
            let asked = self.status.answers != before.answers;
            let unasked = before.weight == 0 && self.asks_for_no_probes();
            if !passed && !known && !asked && !unasked {
                self.broken.push(format!(
                    "{}: weight {} -> {} without evidence",
                    self.clock(),
                    before.weight,
                    self.status.weight
                ));
            }
            if !same && before.candidate.is_some() && self.status.candidate.is_some() && !known {
                self.broken
                    .push(format!("{}: weight inherited", self.clock()));
            }
        }
    }
}
