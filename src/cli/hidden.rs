//! Subcommands that the binary calls on itself: no help, no completion, and no
//! time spent in a parser, because the node starts one of each per container.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::local::{node, samples};

/// Runs a hidden subcommand; `args` is the whole command line, program name included.
/// `None`: it is not a hidden one.
pub fn dispatch(args: &[OsString]) -> Option<ExitCode> {
    let rest = args.get(2..).unwrap_or_default();
    match args.get(1)?.to_str()? {
        "sample" => Some(samples::main(rest)),
        "node-shim" => Some(node::shim::main(rest)),
        _ => None,
    }
}
