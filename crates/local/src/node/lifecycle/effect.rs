//! What goes into a Pod's life and what comes out of it.

use super::container::StartFailure;
use super::probe::ProbeKind;
use crate::node::runtime::Exit;

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
