//! The life of a Pod on the node, as a kubelet would live it: init containers in
//! order, then the main ones; restarts and their back-off; the end.
//!
//! Pure: what happened goes in, what to do comes out, and the time is an
//! argument. The worker ([`super::worker`]) carries out the effects.

pub mod backoff;
pub mod container;
mod effect;
pub mod probe;
pub mod status;
mod transitions;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use backoff::{Backoff, BackoffPolicy};
use container::{Container, Ended, Running, State, Waiting};
pub use effect::{Effect, Happening, Note};

/// A Pod and where its containers stand.
#[derive(Debug, Clone)]
pub struct PodLife {
    /// `POD_NAMESPACE(UID)`, as a kubelet's messages name it.
    label: String,
    restart: RestartPolicy,
    backoff: BackoffPolicy,
    /// Init containers first, in the spec's order.
    pub containers: Vec<Container>,
    /// Wanted no more: everything is to stop.
    ending: bool,
    /// It came to its end before (`Succeeded`, `Failed`), and stays there.
    over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl PodLife {
    /// Takes a Pod on: a new one, or one that this node ran before it was
    /// stopped. Then its processes are gone and, as after a reboot, what was
    /// running starts again as a further run.
    pub fn new(pod: &Pod, backoff: BackoffPolicy, now: Timestamp) -> Self {
        let spec = pod.spec.clone().unwrap_or_default();
        let status = pod.status.clone().unwrap_or_default();
        let restart = match spec.restart_policy.as_deref() {
            Some("OnFailure") => RestartPolicy::OnFailure,
            Some("Never") => RestartPolicy::Never,
            _ => RestartPolicy::Always,
        };
        let init = spec.init_containers.unwrap_or_default();
        let has_init = !init.is_empty();
        let containers = init.into_iter().map(|one| (one, true));
        let containers = containers.chain(spec.containers.into_iter().map(|one| (one, false)));
        let earlier = |name: &str, is_init: bool| {
            let statuses = match is_init {
                true => status.init_container_statuses.as_deref(),
                false => status.container_statuses.as_deref(),
            };
            statuses
                .unwrap_or_default()
                .iter()
                .find(|status| status.name == name)
        };
        let containers = containers.map(|(spec, is_init)| {
            let mut container = Container {
                image: spec.image.unwrap_or_default(),
                is_init,
                has_startup_probe: spec.startup_probe.is_some(),
                has_readiness_probe: spec.readiness_probe.is_some(),
                state: State::Waiting(match has_init {
                    true => Waiting::initializing(),
                    false => Waiting::creating(),
                }),
                last: None,
                restarts: 0,
                id: String::new(),
                image_id: String::new(),
                backoff: Backoff::default(),
                start_backoff: Backoff::default(),
                name: spec.name,
            };
            if let Some(status) = earlier(&container.name, is_init) {
                container.resume(status, now);
            }
            container
        });
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let uid = pod.metadata.uid.as_deref().unwrap_or_default();
        Self {
            label: format!("{name}_{namespace}({uid})"),
            restart,
            backoff,
            containers: containers.collect(),
            ending: false,
            over: matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")),
        }
    }

    /// The Pod is to end.
    pub fn end(&mut self) {
        self.ending = true;
    }

    /// The Pod came to its end by itself; nothing is started any more.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Takes in what happened to a container.
    pub fn happened(&mut self, index: usize, what: Happening, now: Timestamp) -> Vec<Effect> {
        let Some(container) = self.containers.get_mut(index) else {
            return Vec::new();
        };
        let mut effects = Vec::new();
        match what {
            Happening::Started { id, image_id } => {
                let stopping = matches!(container.state, State::Starting { stopping: true });
                container.id = id;
                container.image_id = image_id;
                container.start_backoff = Backoff::default();
                container.state = State::Running(Running {
                    since: now,
                    started: !container.has_startup_probe,
                    ready: !container.has_readiness_probe,
                    stopping,
                });
                effects.extend([
                    container.tell(
                        "Pulled",
                        format!(
                            "Container image \"{}\" already present on machine",
                            container.image
                        ),
                    ),
                    container.tell("Created", format!("Created container: {}", container.name)),
                    container.tell("Started", format!("Started container {}", container.name)),
                ]);
            }
            Happening::Failed(failure) => {
                container.failed_to_start(failure, self.backoff, now, &mut effects)
            }
            Happening::Verdict(kind, good) => container.judged(index, kind, good, &mut effects),
            Happening::Unhealthy(kind, message) => {
                let message = format!("{} probe failed: {message}", kind.word());
                effects.push(container.warn("Unhealthy", message));
            }
            Happening::Exited { exit, message } => {
                let started = match &container.state {
                    State::Running(running) => Some(running.since),
                    _ => None,
                };
                container.state =
                    State::Ended(Ended::new(exit, message, started, now, &container.id));
            }
        }
        effects
    }

    /// What is to be done now, and when to ask again if nothing happens.
    pub fn next(&mut self, now: Timestamp) -> (Vec<Effect>, Option<Timestamp>) {
        let mut effects = Vec::new();
        if self.ending || self.over {
            self.stop_all(&mut effects);
            if self.ending && !self.containers.iter().any(Container::is_live) {
                effects.push(Effect::Finish);
            }
            return (effects, None);
        }
        let mut wake = None;
        for index in 0..self.containers.len() {
            let Some(container) = self.containers.get(index) else {
                continue;
            };
            if container.is_init && matches!(&container.state, State::Ended(end) if end.code == 0) {
                continue;
            }
            let is_init = container.is_init;
            let time = self.attend(index, now, &mut effects);
            wake = [wake, time].into_iter().flatten().min();
            if is_init {
                // What comes after it waits for its end.
                break;
            }
        }
        self.over = self.has_ended();
        (effects, wake)
    }

    /// Sees to one container that may run; gives the time of its next start.
    fn attend(
        &mut self,
        index: usize,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Option<Timestamp> {
        let (restart, policy) = (self.restart, self.backoff);
        let container = self.containers.get_mut(index)?;
        if let State::Ended(ended) = &container.state {
            if !restart.applies(container.is_init, ended) {
                return None;
            }
            let ended = ended.clone();
            let wait = container.backoff.wait(policy, ended.finished);
            let until = wait.and_then(|wait| ended.finished.checked_add(wait).ok());
            container.last = Some(ended);
            container.state = State::Waiting(match wait.filter(|_| until > Some(now)) {
                None => Waiting {
                    is_restart: true,
                    ..Waiting::creating()
                },
                Some(wait) => {
                    let who = format!("container {} in pod {}", container.name, self.label);
                    effects.push(Effect::Waits(index));
                    effects.push(
                        container.warn("BackOff", format!("Back-off restarting failed {who}")),
                    );
                    Waiting {
                        reason: "CrashLoopBackOff",
                        message: format!(
                            "back-off {} restarting failed container={} pod={}",
                            backoff::words(wait),
                            container.name,
                            self.label
                        ),
                        until,
                        is_restart: true,
                    }
                }
            });
        }
        let State::Waiting(waiting) = &container.state else {
            return None;
        };
        if let Some(until) = waiting.until.filter(|until| *until > now) {
            return Some(until);
        }
        if let Some(last) = container.last.as_ref().filter(|_| waiting.is_restart) {
            let failed = last.finished;
            container.backoff.restarted(policy, failed, now);
            container.restarts = container.restarts.saturating_add(1);
        }
        container.state = State::Starting { stopping: false };
        effects.push(Effect::Start(index));
        None
    }

    fn stop_all(&mut self, effects: &mut Vec<Effect>) {
        for (index, container) in self.containers.iter_mut().enumerate() {
            let stopping = match &mut container.state {
                State::Starting { stopping } => stopping,
                State::Running(running) => &mut running.stopping,
                State::Waiting(_) | State::Ended(_) => continue,
            };
            if !std::mem::replace(stopping, true) {
                effects.push(Effect::Stop {
                    container: index,
                    probe: None,
                });
                let message = format!("Stopping container {}", container.name);
                effects.push(container.tell("Killing", message));
            }
        }
    }

    fn has_ended(&self) -> bool {
        let ended_for_good = |container: &Container| match &container.state {
            State::Ended(ended) => !self.restart.applies(container.is_init, ended),
            _ => false,
        };
        let mut init = self.containers.iter().filter(|container| container.is_init);
        let init_failed = init.any(|container| match &container.state {
            State::Ended(ended) => ended.code != 0 && ended_for_good(container),
            _ => false,
        });
        let mut main = self
            .containers
            .iter()
            .filter(|container| !container.is_init);
        init_failed || main.all(ended_for_good)
    }
}

impl RestartPolicy {
    fn applies(self, is_init: bool, ended: &Ended) -> bool {
        match self {
            Self::Never => false,
            // An init container that did its work is done under every policy.
            Self::Always if !is_init => true,
            Self::Always | Self::OnFailure => ended.code != 0,
        }
    }
}

#[cfg(test)]
mod tests;
