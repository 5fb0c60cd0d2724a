//! Plans told as scenarios, and what holds of every plan.

mod claims;
mod config_changes;
mod diff;
mod equal;
mod forms;
mod properties;
mod refused;
mod scenarios;
