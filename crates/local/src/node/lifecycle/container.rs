//! What the node knows of one container of a Pod.

use jiff::Timestamp;

use super::backoff::Backoff;

/// One container, over all its runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// Its name in the spec.
    pub name: String,
    /// The image, as the spec has it.
    pub image: String,
    /// Runs before the main containers, to its end.
    pub is_init: bool,
    /// It has a startup probe.
    pub has_startup_probe: bool,
    /// It has a readiness probe.
    pub has_readiness_probe: bool,
    /// What it does now.
    pub state: State,
    /// How its run before this one ended.
    pub last: Option<Ended>,
    /// How often it was started again.
    pub restarts: i32,
    /// `status.containerStatuses[].containerID` of its last run.
    pub id: String,
    /// `status.containerStatuses[].imageID`.
    pub image_id: String,
    /// After ends of its process.
    pub backoff: Backoff,
    /// After failures to even start it.
    pub start_backoff: Backoff,
}

/// What a container does now.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Not running; started when its time comes.
    Waiting(Waiting),
    /// Being started.
    Starting {
        /// Told to stop meanwhile.
        stopping: bool,
    },
    /// Running.
    Running(Running),
    /// Ended; whether it is started again is the restart policy's business.
    Ended(Ended),
}

/// Why a container does not run yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// `ContainerCreating`, `CrashLoopBackOff`, ...
    pub reason: &'static str,
    /// In words, or empty.
    pub message: String,
    /// Not to be started before.
    pub until: Option<Timestamp>,
    /// The start that it waits for is a further run, not the first try of one.
    pub is_restart: bool,
}

/// A container that runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Running {
    /// Since when.
    pub since: Timestamp,
    /// Its startup probe succeeded, or it has none.
    pub started: bool,
    /// Its readiness probe says so, or it has none.
    pub ready: bool,
    /// Told to stop.
    pub stopping: bool,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Ended {
    /// The exit status; 128 + N for signal N.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// `Completed`, `Error`, ...
    pub reason: String,
    /// Its last words, or empty.
    pub message: String,
    /// When it started.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Timestamp,
    /// Which run it was.
    pub id: String,
}

/// Why a container could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartFailure {
    /// No command is known for its image.
    Image(String),
    /// Its spec asks for something that its image does not allow.
    NotAllowed(String),
    /// Something that its environment refers to is missing or not understood.
    Config(String),
    /// A volume cannot be made (names the volume in the message).
    Volume(String),
    /// Its command cannot be run.
    Command(String),
    /// The node's own fault.
    Node(String),
}

impl Container {
    /// There is a process, or there will be in a moment.
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Running(_))
    }

    /// Counts for the Pod's readiness.
    pub fn is_ready(&self) -> bool {
        match &self.state {
            State::Running(running) => running.started && running.ready,
            State::Ended(ended) => self.is_init && ended.code == 0,
            _ => false,
        }
    }
}

impl Waiting {
    /// Before the first start, or between two runs with nothing in between.
    pub fn creating() -> Self {
        Self {
            reason: "ContainerCreating",
            message: String::new(),
            until: None,
            is_restart: false,
        }
    }

    /// A main container whose init containers are not through.
    pub fn initializing() -> Self {
        Self {
            reason: "PodInitializing",
            message: String::new(),
            until: None,
            is_restart: false,
        }
    }
}
