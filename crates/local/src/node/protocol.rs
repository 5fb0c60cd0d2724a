//! What the node and a container's shim say to each other: one JSON document a
//! line, over the socket that is the shim's standard input.
//!
//! First the node sends a [`Launch`], then any number of [`Order`]s; the shim
//! answers with [`Report`]s. The end of the stream is a message too: the node is
//! gone, so everything that the shim started has to go.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One process to run, complete: nothing is inherited but what stands here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Who it is, for a reader of `ps`: `NAMESPACE/POD/CONTAINER`.
    pub label: String,
    /// Program and arguments; the program is looked up in the `PATH` of `env`.
    pub command: Vec<String>,
    /// The whole environment, in order; a later value of a name wins.
    pub env: Vec<(String, String)>,
    /// The working directory.
    pub workdir: PathBuf,
    /// The port that it is to listen on, which the node has just let go of.
    pub port: Option<u16>,
}

/// What the node wants of a running process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Order {
    /// Ask the whole process group to end (SIGTERM).
    Terminate,
    /// End the whole process group, and whatever left it (SIGKILL).
    Kill,
}

/// What the shim tells of its process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Report {
    /// It runs.
    Started {
        /// Its process id, which is its group's too.
        pid: u32,
    },
    /// It could not be started.
    Failed {
        /// Why, as the system says it.
        message: String,
    },
    /// It ended by itself, and nothing of its group is left.
    Exited {
        /// The exit status, 0 to 255.
        code: i32,
    },
    /// A signal ended it, and nothing of its group is left.
    Killed {
        /// The signal's number.
        signal: i32,
    },
}
