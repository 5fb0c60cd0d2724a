//! Holds the sample apps: one small HTTP server with knobs, under several names.
//!
//! They stand in for a team's own services: what a manifest says in `env` decides
//! whether a release is good, slow, failing, never ready or crashing. The node
//! starts them for images under `sluice.local/` (and for those of the examples
//! repository) as `sluice sample NAME`.
//!
//! | sample   | answers                          | preset                                |
//! |----------|----------------------------------|---------------------------------------|
//! | `hello`  | `Hello ${TARGET}!`               | none                                  |
//! | `random` | a random number as JSON          | none                                  |
//! | `fail`   | like `hello`, but status 500     | `FAIL_PERCENT=100`                    |
//! | `slow`   | like `hello`, but late           | `DELAY_MS=800`                        |
//! | `crash`  | nothing: exits at start          | `CRASH_AT_START=1` unless a `CRASH_*` |
//!
//! Every sample honours every knob; [`knobs::Knobs`] lists them. A value in the
//! environment beats the preset.

pub mod knobs;
mod server;

use std::ffi::OsString;
use std::process::ExitCode;

use knobs::Knobs;

/// What a sample answers at `/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `Hello ${TARGET}!`
    Hello,
    /// `{"number": 42}`
    Random,
}

/// A sample app by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// The name after `sluice sample`, and after `sluice.local/`.
    pub name: &'static str,
    /// What it answers.
    pub answer: Answer,
    /// Knobs that are set unless the environment sets them.
    pub preset: &'static [(&'static str, &'static str)],
}

/// All samples.
pub const SAMPLES: &[Sample] = &[
    Sample {
        name: "hello",
        answer: Answer::Hello,
        preset: &[],
    },
    Sample {
        name: "random",
        answer: Answer::Random,
        preset: &[],
    },
    Sample {
        name: "fail",
        answer: Answer::Hello,
        preset: &[("FAIL_PERCENT", "100")],
    },
    Sample {
        name: "slow",
        answer: Answer::Hello,
        preset: &[("DELAY_MS", "800")],
    },
    Sample {
        name: "crash",
        answer: Answer::Hello,
        preset: &[("CRASH_AT_START", "1")],
    },
];

/// Finds a sample by its name.
pub fn find(name: &str) -> Option<&'static Sample> {
    SAMPLES.iter().find(|sample| sample.name == name)
}

/// `sluice sample NAME`: serves until SIGTERM; `args` are what follows `sample`.
pub fn main(args: &[OsString]) -> ExitCode {
    let name = args
        .first()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let Some(sample) = find(name) else {
        let known: Vec<&str> = SAMPLES.iter().map(|sample| sample.name).collect();
        eprintln!(
            "no sample is called {name:?}; there are: {}",
            known.join(", ")
        );
        return ExitCode::from(2);
    };
    let knobs = match Knobs::read(sample, |key| std::env::var(key).ok()) {
        Ok(knobs) => knobs,
        Err(error) => {
            eprintln!("sample {name}: {error}");
            return ExitCode::from(2);
        }
    };
    server::main(sample, knobs)
}
