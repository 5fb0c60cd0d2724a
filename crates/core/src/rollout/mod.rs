//! Holds the state machine of one service's release.
//!
//! [`decide`] is the whole of it: values in, values out. It knows no clock (the time is an
//! argument), no cluster (what the cluster says is [`Live`]) and no network (what was seen
//! of the candidate is [`Evidence`](crate::analysis::Evidence)). The same arguments always
//! give the same answer.
//!
//! It is level-triggered. In every phase the traffic that is wanted follows from the status
//! alone and is compared with what the cluster has; a write comes out only where they
//! differ, and the release goes on only when the Route's status confirms it. Whoever calls
//! it keeps one promise, the [`Order`] of a [`Decision`]: **up is careful** (first the status is
//! stored, then the writes are carried out), **down is unconditional** (first the traffic is
//! written, whatever becomes of the status). It may die between any two of these calls; the
//! next pass, by anyone, goes on from what was stored and from what the Route carries.
//!
//! `docs/rollout.md` has the phases with their ways out.

mod allocate;
mod checks;
mod config_change;
mod context;
mod decide;
mod decision;
mod down;
mod event;
mod gates;
mod initial;
mod input;
pub mod memory;
mod own_tags;
mod reason;
mod refusal;
mod request;
mod rollback;
mod stable_health;
mod staging;
mod state;
mod steady;
mod stepping;
mod traffic;
mod transition;
mod words;

#[cfg(test)]
mod tests;

pub use decide::decide;
pub use decision::{Decision, Gather, Order, ProbeTargets, Write};
pub use event::Event;
pub use input::{
    ASKED_AGAIN, ConfigurationFacts, Intent, Live, PodFacts, RevisionFacts, RouteFacts,
};
pub use reason::Reason;
pub use refusal::{asked_again, way_out};
pub use stable_health::serves_nobody;
pub use traffic::{LEFT_OUT, describe, traffic_without_release};
pub use transition::phases;
