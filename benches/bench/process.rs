//! A program at work: its log in a file, its time and memory from `/proc`, an orderly end.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// The program that is measured.
pub const SLUICE: &str = env!("CARGO_BIN_EXE_sluice");

/// How long an end in good order may take.
const GRACE: Duration = Duration::from_secs(60);

/// A running `sluice`.
pub struct Process {
    child: Child,
    pid: u32,
    log: PathBuf,
    /// Its standard output; kept open, for a closed one would end it.
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts `sluice ARGUMENTS`; what it says on standard error goes to `log`.
    pub fn start(arguments: &[impl AsRef<OsStr>], log: &Path) -> anyhow::Result<Self> {
        let errors = std::fs::File::create(log)
            .with_context(|| format!("{} cannot be written", log.display()))?;
        let mut child = Command::new(SLUICE)
            .args(arguments)
            // The log is read by programs.
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{SLUICE} does not start"))?;
        let pid = child.id().context("it ended at once")?;
        let output = child.stdout.take().context("it has no output")?;
        Ok(Self {
            child,
            pid,
            log: log.to_owned(),
            output: BufReader::new(output),
        })
    }

    /// Reads its output until a line has `word` in it.
    pub async fn says(&mut self, word: &str) -> anyhow::Result<()> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.output.read_line(&mut line).await? == 0 {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                bail!("it ended without saying {word:?}:\n{log}");
            }
            if line.contains(word) {
                return Ok(());
            }
        }
    }

    /// Processor time so far, of all its threads.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        /// `sysconf(_SC_CLK_TCK)` on Linux, whatever the kernel's own tick.
        const TICKS_A_SECOND: u64 = 100;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // The program's name is in brackets and may hold anything.
        let (_, rest) = stat
            .rsplit_once(") ")
            .context("no name in /proc/PID/stat")?;
        // utime and stime are the 14th and 15th fields, the state after the name the third.
        let ticks = rest
            .split(' ')
            .skip(11)
            .take(2)
            .map(str::parse::<u64>)
            .sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 1000 / TICKS_A_SECOND))
    }

    /// The most memory it ever had resident, and what it has now, in MiB.
    pub fn memory(&self) -> anyhow::Result<(f64, f64)> {
        memory_of(self.pid)
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// When an agent had read a commit, and how long its look at the repository took, by its log.
    pub fn look(&self, commit: &str) -> anyhow::Result<(Timestamp, Duration)> {
        let log = self.log();
        let short = commit.get(..7).unwrap_or(commit);
        let line = log
            .lines()
            .find(|line| line.contains("a commit to deliver") && line.contains(short))
            .with_context(|| format!("the agent's log does not mention {short}:\n{log}"))?;
        let at = line.split_whitespace().next().unwrap_or_default().parse()?;
        let took = line
            .split("took_ms=")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next())
            .context("the agent's log does not say how long the look took")?
            .parse()?;
        Ok((at, Duration::from_millis(took)))
    }

    /// Ends it in good order.
    pub async fn end(mut self) -> anyhow::Result<()> {
        let pid = i32::try_from(self.pid)?;
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        tokio::time::timeout(GRACE, self.child.wait())
            .await
            .with_context(|| format!("process {pid} does not end"))??;
        Ok(())
    }
}

/// The most memory a process ever had resident, and what it has now, in MiB.
pub fn memory_of(pid: u32) -> anyhow::Result<(f64, f64)> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let of = |field: &str| -> anyhow::Result<f64> {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .with_context(|| format!("no {field} in /proc/PID/status"))?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    };
    Ok((of("VmHWM:")?, of("VmRSS:")?))
}
