//! What Knative does within a second, as it was seen to do it.

use super::*;

impl World {
    pub(super) fn behaviour(&self, revision: &Rev) -> Behaviour {
        self.behaviours[&revision.hash].clone()
    }

    pub(super) fn facts(&self, name: &str, revision: &Rev) -> RevisionFacts {
        let behaviour = self.behaviour(revision);
        let age = self.second - revision.born;
        let crashes = behaviour.crashes.iter().filter(|at| **at <= age).count();
        let failed = behaviour.fails_at.filter(|(at, _)| *at <= age);
        let up = behaviour.ready_after.is_some_and(|after| after <= age);
        let unready = behaviour
            .unready
            .filter(|(from, to)| (*from..*to).contains(&age));
        let has_ready_pod = up && unready.is_none() && failed.is_none();
        let since = |age: u64| self.time(revision.born + age);
        let (status, reason) = match (failed, up) {
            (Some((_, reason)), _) => ("False", reason),
            (None, true) => ("True", ""),
            (None, false) => ("Unknown", "Deploying"),
        };
        RevisionFacts {
            name: name.to_owned(),
            configuration: "hello".to_owned(),
            generation: revision.generation,
            ready: Some(KnativeCondition {
                type_: "Ready".to_owned(),
                status: status.to_owned(),
                reason: reason.to_owned(),
                ..KnativeCondition::default()
            }),
            kept: revision.kept,
            made_from_git: (self.reused && self.git.revision_name.as_deref() == Some(name))
                .then_some(false),
            pods: PodFacts {
                crashes: u32::try_from(crashes).unwrap(),
                last_exit: (crashes > 0).then(|| "exit code 3".to_owned()),
                waiting_reason: (crashes > 1).then(|| "CrashLoopBackOff".to_owned()),
                running: 1,
                ready: u32::from(has_ready_pod),
                newest_ready: behaviour.ready_after.filter(|_| has_ready_pod).map(since),
                unready_since: unready.map(|(from, _)| since(from)),
                starting_since: (!up).then(|| since(0)),
            },
        }
    }

    pub(super) fn live(&self) -> Live {
        let facts = self.revisions.iter();
        self.live_of(Objects {
            configuration: self.configuration.clone(),
            route: self.route.clone(),
            revisions: facts.map(|(name, one)| self.facts(name, one)).collect(),
        })
    }

    /// What objects say, by what Git wants now.
    pub(super) fn live_of(&self, objects: Objects) -> Live {
        Live {
            watching_since: Some(self.time(self.watching_since)),
            configuration: objects.configuration.as_ref().map(|c| {
                let written = c.template == self.git.template_hash.0;
                ConfigurationFacts {
                    generation: c.generation,
                    observed_generation: c.observed,
                    latest_created: (c.observed > 0).then(|| format!("hello-{:05}", c.observed)),
                    latest_ready: None,
                    template_written: written,
                    written_but_for_name: false,
                    begun_here: c.generation == 1,
                    written_observed: c.observed == c.generation,
                    template_taken_up: written && !self.foreign,
                    template_name: None,
                    attempt: c.attempt,
                    ready: None,
                }
            }),
            route: objects.route.as_ref().map(|route| RouteFacts {
                generation: route.generation,
                observed_generation: route.observed,
                spec: route.spec.clone(),
                status: route.status.clone(),
                ready: Some(route.ready.clone()),
                url: Some("http://hello.default.example.com".to_owned()),
                rolled_back: route.rolled_back.clone(),
                refused: route.refused.clone(),
            }),
            revisions: objects.revisions,
            refused: self.refuses.clone(),
            accepted: self.asked_again && self.refuses.is_none(),
        }
    }

    /// Knative's controllers, a second after each change.
    pub(super) fn cluster(&mut self) {
        if self.stuck {
            return;
        }
        if let Some(c) = &mut self.configuration
            && c.observed < c.generation
            && self.second > c.changed_at
        {
            c.observed = c.generation;
            let name = format!("hello-{:05}", c.generation);
            let revision = Rev {
                generation: c.generation,
                hash: c.template.clone(),
                born: self.second,
                kept: false,
            };
            self.revisions.insert(name, revision);
        }
        // The newest revision is made again when it is deleted.
        if let Some(c) = &self.configuration
            && c.observed == c.generation
        {
            let name = format!("hello-{:05}", c.generation);
            let revision = Rev {
                generation: c.generation,
                hash: c.template.clone(),
                born: self.second,
                kept: false,
            };
            self.revisions.entry(name).or_insert(revision);
        }
        let latest = self
            .revisions
            .iter()
            .filter(|(name, r)| self.facts(name, r).is_ready())
            .max_by_key(|(_, r)| r.generation)
            .map(|(name, _)| name.clone());
        let Some(route) = &self.route else { return };
        if self.second <= route.changed_at {
            return;
        }
        let resolved: Vec<TrafficTarget> = route
            .spec
            .iter()
            .map(|entry| TrafficTarget {
                revision_name: entry.revision_name.clone().or(latest.clone()),
                url: entry
                    .tag
                    .as_ref()
                    .map(|tag| format!("http://{tag}-hello.default.example.com")),
                ..entry.clone()
            })
            .collect();
        let missing = resolved
            .iter()
            .filter_map(|e| e.revision_name.as_ref())
            .find(|name| {
                !self
                    .revisions
                    .get(*name)
                    .is_some_and(|r| self.facts(name, r).is_ready())
            })
            .cloned();
        let Some(route) = &mut self.route else { return };
        route.observed = route.generation;
        match missing {
            _ if self.denied => {
                route.ready = KnativeCondition {
                    type_: "Ready".to_owned(),
                    status: "False".to_owned(),
                    reason: "CertificateMissing".to_owned(),
                    ..KnativeCondition::default()
                };
            }
            None => {
                route.status = resolved;
                route.ready = KnativeCondition {
                    type_: "Ready".to_owned(),
                    status: "True".to_owned(),
                    ..KnativeCondition::default()
                };
            }
            Some(name) => {
                route.ready = KnativeCondition {
                    type_: "Ready".to_owned(),
                    status: "Unknown".to_owned(),
                    reason: "RevisionMissing".to_owned(),
                    message: format!("Revision \"{name}\" is not yet ready."),
                    ..KnativeCondition::default()
                };
            }
        }
    }

    /// A second of users: exact shares, exact error rates.
    pub(super) fn users(&mut self) {
        if self.chance.is_some() {
            return self.users_by_chance();
        }
        let Some(route) = &self.route else { return };
        for entry in route.status.clone() {
            let Some(name) = entry.revision_name else {
                continue;
            };
            let credit = self.credit.entry(name.clone()).or_default();
            *credit += self.users * u64::try_from(entry.percent.unwrap_or(0)).unwrap();
            let requests = *credit / 100;
            *credit %= 100;
            let behaviour = self
                .revisions
                .get(&name)
                .map(|r| (self.behaviour(r), self.facts(&name, r)));
            // Who finds no Pod that is Ready waits, and is counted once there is an answer.
            let waits =
                |(_, facts): &(Behaviour, RevisionFacts)| facts.is_ready() && facts.pods.ready == 0;
            if behaviour.as_ref().is_some_and(waits) {
                self.requests += requests;
                self.harmed += requests;
                continue;
            }
            let (total, bad) = self.counted.entry(name.clone()).or_default();
            *total += requests;
            let failed = match &behaviour {
                Some((b, facts)) if facts.is_ready() => {
                    (*total * b.errors / 100).saturating_sub(*bad).min(requests)
                }
                _ => requests,
            };
            *bad += failed;
            self.requests += requests;
            let ms = behaviour.as_ref().map_or(20.0, |(b, _)| b.ms);
            let booked = Booked {
                statuses: [(200, requests - failed), (500, failed)].into(),
                times: vec![ms; usize::try_from(requests).unwrap()],
            };
            self.gateway_counts(&name, &booked);
            let slow = behaviour.is_some_and(|(b, _)| b.ms > 500.0);
            self.harmed += if slow { requests } else { failed };
        }
    }
}
