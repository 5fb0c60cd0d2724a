//! What only a real cluster can show: it is told where one is at hand (`make test-real`).
//!
//! The scenarios of every cluster are in `scenarios/`; inside a test bed they play there too.

mod collected;
mod deploy;
mod evidence;
mod expired;
mod faults;
mod kinds;
mod kn;

use std::process::Command;

use crate::harness::real;

/// Whether there is a real cluster. Where there is none, the stories of this folder are over
/// before they begin; the Makefile says so, loudly.
fn at_hand() -> bool {
    real::is_here()
}

/// Runs `kubectl` and gives what it printed.
fn kubectl(arguments: &[&str]) -> String {
    let out = Command::new("kubectl").args(arguments).output().unwrap();
    assert!(
        out.status.success(),
        "kubectl {arguments:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap()
}
