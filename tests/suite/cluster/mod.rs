//! The agent's side of the cluster against the embedded API server: nothing here knows
//! that it is embedded.

mod bed;
mod defaults;
mod definitions;
mod outages;
mod passes;
mod writes;
