//! Releases told as stories in a small cluster, and what must hold in every one of them.

mod properties;
mod simulation;
mod size;
mod stories;
mod world;
