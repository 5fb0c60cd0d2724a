//! How a container goes from one state to another, and what is told of it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus};

use super::backoff::{Backoff, BackoffPolicy};
use super::container::{Container, Ended, StartFailure, State, Waiting};
use super::effect::{Effect, Note};
use super::probe::ProbeKind;
use crate::node::runtime::Exit;

/// What a retry of something that the user has to mend waits: soon enough that
/// making the missing ConfigMap is seen at once, as a kubelet's sync would.
const CONFIG_BACKOFF: BackoffPolicy = BackoffPolicy {
    initial: std::time::Duration::from_secs(1),
    max: std::time::Duration::from_secs(10),
};

impl Container {
    /// Takes over what the last status said, from a node that is gone.
    pub(super) fn resume(&mut self, status: &ContainerStatus, now: Timestamp) {
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

    pub(super) fn failed_to_start(
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

    pub(super) fn judged(
        &mut self,
        index: usize,
        kind: ProbeKind,
        good: bool,
        effects: &mut Vec<Effect>,
    ) {
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

    pub(super) fn tell(&self, reason: &'static str, message: String) -> Effect {
        let container = Some((self.name.clone(), self.is_init));
        Effect::Tell(Note {
            warning: false,
            reason,
            message,
            container,
        })
    }

    pub(super) fn warn(&self, reason: &'static str, message: String) -> Effect {
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
    pub(super) fn new(
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
