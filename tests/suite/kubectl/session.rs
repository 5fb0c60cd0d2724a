//! A session at a terminal: commands as a person types them, and what they then see.
//!
//! A transcript is a text in `tests/kubectl/sessions/`. Its script lines are run in order, and
//! what comes out is written below each; the whole is then compared with the text as it stands:
//!
//! | line | is |
//! |---|---|
//! | `## words` | a remark |
//! | `$ command` | run by `sh`, its output and errors as they come, a status that is not 0 last |
//! | `> more` | the command goes on (a here-document, mostly) |
//! | `? command` | is run again and again until its status is 0: what comes in its own time is waited for |
//! | `$ command &` | runs beside what follows, once it has printed a line |
//! | `^C 3` | shows the three lines that the command beside printed, waiting for them, and ends it |
//!
//! Everything else is output. To write a new case, write its script lines and run with
//! `UPDATE_EXPECT=1`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use expect_test::expect_file;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::volatile;

/// No command takes longer, however busy the machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A terminal with `kubectl` on its path and a kubeconfig.
pub struct Terminal {
    home: tempfile::TempDir,
    path: std::ffi::OsString,
}

enum Line {
    Remark(String),
    Command(String),
    Until(String),
    Interrupt(usize),
}

/// A command that runs beside the others.
struct Beside {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    printed: Vec<String>,
}

impl Terminal {
    /// Opens a terminal; its home is empty but for the kubeconfig.
    pub fn open(kubectl: &Path, kubeconfig: &Path) -> Self {
        let home = tempfile::tempdir().unwrap();
        for folder in ["bin", "tmp", "work", ".kube"] {
            std::fs::create_dir(home.path().join(folder)).unwrap();
        }
        std::os::unix::fs::symlink(kubectl, home.path().join("bin/kubectl")).unwrap();
        std::fs::copy(kubeconfig, home.path().join(".kube/config")).unwrap();
        let mut path = home.path().join("bin").into_os_string();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        Self { home, path }
    }

    /// Plays the transcript of that name and compares.
    pub async fn plays(&self, name: &str) {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests/kubectl/sessions")
            .join(format!("{name}.txt"));
        let script = std::fs::read_to_string(&file).unwrap();
        let seen = self.play(&read(&script)).await;
        expect_file![file].assert_eq(&seen);
    }

    async fn play(&self, script: &[Line]) -> String {
        let mut seen = String::new();
        let mut beside: Option<Beside> = None;
        for line in script {
            match line {
                Line::Remark(words) => {
                    let gap = if seen.is_empty() { "" } else { "\n" };
                    let _ = writeln!(seen, "{gap}## {words}");
                }
                Line::Command(command) => {
                    let _ = writeln!(seen, "$ {}", command.replace('\n', "\n> "));
                    if let Some(command) = command.strip_suffix('&') {
                        assert!(beside.is_none(), "one command beside at a time");
                        beside = Some(self.start(command).await);
                    } else {
                        seen.push_str(&self.run(command).await);
                    }
                }
                Line::Until(command) => {
                    let _ = writeln!(seen, "? {command}");
                    seen.push_str(&self.run_until_it_succeeds(command).await);
                }
                Line::Interrupt(lines) => {
                    let _ = writeln!(seen, "^C {lines}");
                    let running = beside.take().expect("a command runs beside");
                    seen.push_str(&running.interrupt(*lines).await);
                }
            }
        }
        seen
    }

    fn shell(&self, command: &str) -> Command {
        let home = self.home.path();
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(command)
            .current_dir(home.join("work"))
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", home)
            .env("TMPDIR", home.join("tmp"))
            .env("TZ", "UTC")
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        shell
    }

    async fn run(&self, command: &str) -> String {
        let output = tokio::time::timeout(PATIENCE, self.output(command))
            .await
            .unwrap_or_else(|_| panic!("it never ended: {command}"));
        let mut seen = self.told(&String::from_utf8_lossy(&output.stdout));
        let _ = seen.write_str(&status(output.status));
        seen
    }

    async fn run_until_it_succeeds(&self, command: &str) -> String {
        let succeeded = async {
            loop {
                let output = self.output(command).await;
                if output.status.success() {
                    return output.stdout;
                }
            }
        };
        let printed = tokio::time::timeout(PATIENCE, succeeded)
            .await
            .unwrap_or_else(|_| panic!("it never succeeded: {command}"));
        self.told(&String::from_utf8_lossy(&printed))
    }

    async fn output(&self, command: &str) -> Output {
        let mut shell = self.shell(&format!("exec 2>&1\n{command}"));
        shell.output().await.unwrap()
    }

    async fn start(&self, command: &str) -> Beside {
        let mut child = self.shell(&format!("exec {command} 2>&1")).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut beside = Beside {
            child,
            lines,
            printed: Vec::new(),
        };
        beside.wait_for(1).await;
        beside
    }

    /// The output with what no two runs share replaced by words.
    fn told(&self, output: &str) -> String {
        let home = self.home.path().display().to_string();
        let mut told = volatile::replaced(&output.replace(&home, "HOME"));
        if !told.is_empty() && !told.ends_with('\n') {
            told.push_str("(no newline)\n");
        }
        told
    }
}

impl Beside {
    async fn wait_for(&mut self, lines: usize) {
        while self.printed.len() < lines {
            let next = tokio::time::timeout(PATIENCE, self.lines.next_line()).await;
            let next = next.unwrap_or_else(|_| panic!("no line after {:#?}", self.printed));
            match next.unwrap() {
                Some(line) => self.printed.push(line),
                None => panic!("it ended by itself after {:#?}", self.printed),
            }
        }
    }

    async fn interrupt(mut self, lines: usize) -> String {
        self.wait_for(lines).await;
        self.child.kill().await.unwrap();
        let mut text = self.printed.join("\n");
        text.push('\n');
        volatile::replaced(&text)
    }
}

fn status(status: ExitStatus) -> String {
    match status.code() {
        Some(0) => String::new(),
        Some(code) => format!("(status {code})\n"),
        None => format!("({status})\n"),
    }
}

/// The script lines of a transcript.
fn read(text: &str) -> Vec<Line> {
    let mut script = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        match script.last_mut() {
            Some(Line::Command(command)) if goes_on && line.starts_with('>') => {
                let more = line.strip_prefix("> ").unwrap_or("");
                let _ = write!(command, "\n{more}");
                continue;
            }
            _ => goes_on = false,
        }
        if let Some(words) = line.strip_prefix("## ") {
            script.push(Line::Remark(words.to_owned()));
        } else if let Some(command) = line.strip_prefix("$ ") {
            script.push(Line::Command(command.to_owned()));
            goes_on = true;
        } else if let Some(command) = line.strip_prefix("? ") {
            script.push(Line::Until(command.to_owned()));
        } else if let Some(lines) = line.strip_prefix("^C ") {
            script.push(Line::Interrupt(lines.parse().unwrap()));
        }
    }
    script
}
