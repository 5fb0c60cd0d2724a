//! Sluice's field managers: who owns what in the cluster.

use std::fmt;

/// One of Sluice's field managers for server-side apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Manager {
    /// Plain objects, and a service's template and metadata.
    Objects,
    /// Traffic: a service's Route, or `spec.traffic` of a Service.
    Traffic,
    /// The status of Sluice's own kinds.
    Status,
}

impl Manager {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Objects => "sluice",
            Self::Traffic => "sluice-traffic",
            Self::Status => "sluice-status",
        }
    }
}

impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
