//! The built program, run as a person runs it.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

/// What a run of the program came to.
#[derive(Debug)]
pub struct Said {
    /// The exit status.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Standard output of a run that must have gone well.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:#?}");
        self.out
    }

    /// Standard error of a run that must have failed.
    #[track_caller]
    pub fn failed(self) -> String {
        assert_eq!(self.code, Some(2), "{self:#?}");
        self.err
    }
}

/// The program with arguments; nothing of this machine's own settings plays a part.
pub fn sluice(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    command
        .env_clear()
        .env("PATH", path)
        .env("HOME", home)
        .env("USER", "ada")
        .current_dir(home)
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs it to its end.
pub async fn run(home: &Path, arguments: &[&str]) -> Said {
    said(sluice(home, arguments)).await
}

/// Runs a prepared command to its end.
pub async fn said(mut command: Command) -> Said {
    let out = command.output().await.unwrap();
    Said {
        code: out.status.code(),
        out: String::from_utf8(out.stdout).unwrap(),
        err: String::from_utf8(out.stderr).unwrap(),
    }
}
