//! The life of a Pod on the node, as a kubelet would live it: init containers in
//! order, then the main ones; restarts and their back-off; the end.
//!
//! Pure: what happened goes in, what to do comes out, and the time is an
//! argument. The worker ([`super::worker`]) carries out the effects.

pub mod backoff;
pub mod container;
pub mod probe;
pub mod status;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};

use super::runtime::Exit;
use backoff::{Backoff, BackoffPolicy};
use container::{Container, Ended, Running, StartFailure, State, Waiting};
use probe::ProbeKind;

/// What a retry of something that the user has to mend waits: soon enough that
/// making the missing ConfigMap is seen at once, as a kubelet's sync would.
const CONFIG_BACKOFF: BackoffPolicy = BackoffPolicy {
    initial: std::time::Duration::from_secs(1),
    max: std::time::Duration::from_secs(10),
};

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

/// Something that happened to a container.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// Its process runs.
    Started {
        /// `containerID`.
        id: String,
        /// `imageID`.
        image_id: String,
    },
    /// It could not be started.
    Failed(StartFailure),
    /// A probe came to another verdict.
    Verdict(ProbeKind, bool),
    /// A single attempt of a probe failed; said for the record.
    Unhealthy(ProbeKind, String),
    /// Its process, and everything that it started, is gone.
    Exited {
        /// How.
        exit: Exit,
        /// Its last words.
        message: String,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Start this container.
    Start(usize),
    /// Stop it: SIGTERM, and after its grace period SIGKILL.
    Stop {
        /// Which container.
        container: usize,
        /// Which probe's grace period counts, where it has one of its own.
        probe: Option<ProbeKind>,
    },
    /// It waits for its next run: its log is the previous one now.
    Waits(usize),
    /// Tell the world by an Event on the Pod.
    Tell(Note),
    /// Nothing runs any more, and nothing will: the Pod may go.
    Finish,
}

/// An Event on a Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// `Warning` instead of `Normal`.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
    /// The container that it is about: (name, is an init container).
    pub container: Option<(String, bool)>,
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

impl Container {
    /// Takes over what the last status said, from a node that is gone.
    fn resume(&mut self, status: &ContainerStatus, now: Timestamp) {
        self.restarts = status.restart_count;
        self.image_id = status.image_id.clone();
        self.id = status.container_id.clone().unwrap_or_default();
        let last = status
            .last_state
            .as_ref()
            .and_then(|state| state.terminated.as_ref());
        self.last = last.map(|last| Ended::read(last, now));
        let Some(state) = &status.state else { return };
        if let Some(terminated) = &state.terminated {
            self.state = State::Ended(Ended::read(terminated, now));
        } else if let Some(running) = &state.running {
            let started = running.started_at.as_ref().map(|time| time.0);
            self.state = State::Ended(Ended {
                reason: "Unknown".to_owned(),
                message: "The node was stopped, and its containers with it".to_owned(),
                ..Ended::new(Exit::Unknown, String::new(), started, now, &self.id)
            });
        } else if let State::Waiting(waiting) = &mut self.state {
            waiting.is_restart = self.last.is_some();
        }
    }

    fn failed_to_start(
        &mut self,
        failure: StartFailure,
        policy: BackoffPolicy,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) {
        let again = self.start_backoff != Backoff::default();
        let policy = match failure {
            // Mended by another spec, or a cluster that is started again.
            StartFailure::Image(_) | StartFailure::NotAllowed(_) => policy,
            _ => CONFIG_BACKOFF,
        };
        self.start_backoff.restarted(policy, now, now);
        let wait = self.start_backoff.wait(policy, now);
        let until = wait.and_then(|wait| now.checked_add(wait).ok());
        let (reason, message) = match failure {
            StartFailure::Image(message) => {
                let image = &self.image;
                effects.push(match again {
                    false => self.warn(
                        "Failed",
                        format!("Failed to pull image \"{image}\": {message}"),
                    ),
                    true => self.tell("BackOff", format!("Back-off pulling image \"{image}\"")),
                });
                match again {
                    false => ("ErrImagePull", message),
                    true => (
                        "ImagePullBackOff",
                        format!("Back-off pulling image \"{image}\": ErrImagePull: {message}"),
                    ),
                }
            }
            StartFailure::Config(message) => {
                effects.push(self.warn("Failed", format!("Error: {message}")));
                ("CreateContainerConfigError", message)
            }
            StartFailure::Volume(message) => {
                effects.push(Effect::Tell(Note {
                    warning: true,
                    reason: "FailedMount",
                    message,
                    container: None,
                }));
                ("ContainerCreating", String::new())
            }
            StartFailure::NotAllowed(message) | StartFailure::Node(message) => {
                effects.push(self.warn("Failed", format!("Error: {message}")));
                ("CreateContainerError", message)
            }
            StartFailure::Command(message) => {
                effects.push(self.warn("Failed", format!("Error: {message}")));
                // It ran as far as containers go; a container engine's words.
                self.state = State::Ended(Ended {
                    reason: "StartError".to_owned(),
                    ..Ended::new(Exit::Code(128), message, None, now, &self.id)
                });
                return;
            }
        };
        self.state = State::Waiting(Waiting {
            reason,
            message,
            until,
            is_restart: false,
        });
    }

    fn judged(&mut self, index: usize, kind: ProbeKind, good: bool, effects: &mut Vec<Effect>) {
        let State::Running(running) = &mut self.state else {
            return;
        };
        match (kind, good) {
            (ProbeKind::Readiness, good) => running.ready = good,
            (ProbeKind::Startup, true) => {
                running.started = true;
                running.ready = !self.has_readiness_probe;
            }
            (ProbeKind::Liveness, true) => {}
            (ProbeKind::Startup | ProbeKind::Liveness, false) => {
                if !std::mem::replace(&mut running.stopping, true) {
                    effects.push(Effect::Stop {
                        container: index,
                        probe: Some(kind),
                    });
                    let word = kind.word().to_lowercase();
                    let name = &self.name;
                    effects.push(self.tell(
                        "Killing",
                        format!("Container {name} failed {word} probe, will be restarted"),
                    ));
                }
            }
        }
    }

    fn tell(&self, reason: &'static str, message: String) -> Effect {
        let container = Some((self.name.clone(), self.is_init));
        Effect::Tell(Note {
            warning: false,
            reason,
            message,
            container,
        })
    }

    fn warn(&self, reason: &'static str, message: String) -> Effect {
        let container = Some((self.name.clone(), self.is_init));
        Effect::Tell(Note {
            warning: true,
            reason,
            message,
            container,
        })
    }
}

impl Ended {
    fn new(
        exit: Exit,
        message: String,
        started: Option<Timestamp>,
        finished: Timestamp,
        id: &str,
    ) -> Self {
        let (code, signal) = match exit {
            Exit::Code(code) => (code, None),
            Exit::Signal(signal) => (128 + signal, Some(signal)),
            // What container engines say of a container that they lost.
            Exit::Unknown => (255, None),
        };
        let reason = match (exit, code) {
            (Exit::Unknown, _) => "Unknown",
            (_, 0) => "Completed",
            _ => "Error",
        };
        Self {
            code,
            signal,
            reason: reason.to_owned(),
            message,
            started,
            finished,
            id: id.to_owned(),
        }
    }

    /// Reads what a status says of an earlier end.
    fn read(status: &ContainerStateTerminated, now: Timestamp) -> Self {
        Self {
            code: status.exit_code,
            signal: status.signal,
            reason: status.reason.clone().unwrap_or_default(),
            message: status.message.clone().unwrap_or_default(),
            started: status.started_at.as_ref().map(|time| time.0),
            finished: status.finished_at.as_ref().map_or(now, |time| time.0),
            id: status.container_id.clone().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests;
