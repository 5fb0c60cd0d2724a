//! What a controller decided: writes in their order, the new status, what to tell.

use std::time::Duration;

use serde_json::{Map, Value};

use super::kind::Kind;
use super::object::Object;

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Make a child.
    Create(Kind, Box<Object>),
    /// Replace a child (its resourceVersion guards against a stale view).
    Replace(Kind, Box<Object>),
    /// Merge-patch an object in the same namespace.
    Patch(Kind, String, Value),
    /// Remove an object in the same namespace.
    Delete(Kind, String),
}

/// An Event about the object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Whether it is something bad.
    pub warning: bool,
    /// One word.
    pub reason: &'static str,
    /// A sentence.
    pub message: String,
}

impl Note {
    /// Something happened as it should.
    pub fn normal(reason: &'static str, message: String) -> Self {
        Self {
            warning: false,
            reason,
            message,
        }
    }

    /// Something went wrong.
    pub fn warning(reason: &'static str, message: String) -> Self {
        Self {
            warning: true,
            reason,
            message,
        }
    }
}

/// The outcome of looking at one object.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Decision {
    /// Writes, in this order; the first that fails ends the pass.
    pub steps: Vec<Step>,
    /// The object's new status; `None` leaves it alone.
    pub status: Option<Map<String, Value>>,
    /// What to tell about it.
    pub notes: Vec<Note>,
    /// Why the pass did not come to its end; it is tried again.
    pub problem: Option<String>,
    /// When to look again without being asked.
    pub again_in: Option<Duration>,
}

impl Decision {
    /// Adds a write.
    pub fn then(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Adds the making of a child, and the note about it.
    pub fn create(&mut self, kind: Kind, child: Object) {
        self.then(Step::Create(kind, Box::new(child)));
    }

    /// Asks to be called again no later than this.
    pub fn again_within(&mut self, wait: Duration) {
        self.again_in = Some(self.again_in.map_or(wait, |other| other.min(wait)));
    }
}
