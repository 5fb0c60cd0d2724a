//! The one integration binary: each module tells one part of the story.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests may fail loudly, in their helping functions too"
)]

mod agent;
mod api_server;
mod api_server_wire;
mod cluster;
mod command_line;
mod conformance;
mod deploy;
mod documents;
mod gateway;
mod gateway_moves;
mod harness;
mod kubectl;
mod node;
mod node_containers;
mod processes;
mod processes_resume;
mod program;
mod real;
mod scenarios;
mod serving;
mod serving_on_processes;
mod tidy;
