//! The kept log of one run of one container: a file that one writer appends to
//! and any number of readers follow. Past a size it starts a new file and keeps
//! one old one, so a chatty container costs at most twice the size.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// A file is rotated past this size (a kubelet's `containerLogMaxSize`).
pub const ROTATE_AT: u64 = 10 * 1024 * 1024;

/// How much a reader takes at once: from the page cache, some microseconds.
const CHUNK: usize = 64 * 1024;

/// The log of one run. Positions count bytes from the run's first, rotated ones included.
#[derive(Debug)]
pub struct RunLog {
    path: PathBuf,
    rotate_at: u64,
    state: Mutex<Segments>,
    progress: watch::Sender<Progress>,
}

/// How far a log has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes ever written.
    pub end: u64,
    /// No more will come.
    pub closed: bool,
}

/// `[old_start, start)` is in the rotated file, `[start, ...)` in the current one.
#[derive(Debug)]
struct Segments {
    /// `None` once closed.
    file: Option<File>,
    start: u64,
    old_start: u64,
}

impl RunLog {
    /// Starts a new log at `path`; what is there is overwritten.
    pub fn create(path: PathBuf, rotate_at: u64) -> io::Result<Arc<Self>> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = File::create(&path)?;
        let _ = std::fs::remove_file(rotated(&path));
        let state = Segments {
            file: Some(file),
            start: 0,
            old_start: 0,
        };
        Ok(Self::with(
            path,
            rotate_at,
            state,
            Progress {
                end: 0,
                closed: false,
            },
        ))
    }

    /// A finished log that an earlier node left at `path`; `None` if there is none.
    pub fn reopen(path: PathBuf) -> Option<Arc<Self>> {
        let size = std::fs::metadata(&path).ok()?.len();
        let old = std::fs::metadata(rotated(&path)).map_or(0, |old| old.len());
        let state = Segments {
            file: None,
            start: old,
            old_start: 0,
        };
        Some(Self::with(
            path,
            ROTATE_AT,
            state,
            Progress {
                end: old + size,
                closed: true,
            },
        ))
    }

    fn with(path: PathBuf, rotate_at: u64, state: Segments, progress: Progress) -> Arc<Self> {
        let progress = watch::Sender::new(progress);
        Arc::new(Self {
            path,
            rotate_at,
            state: Mutex::new(state),
            progress,
        })
    }

    /// Appends whole records. When the disk refuses, they are lost and said to be:
    /// a container must not hang because its log cannot be kept.
    pub fn append(&self, records: &[u8]) {
        if records.is_empty() {
            return;
        }
        let mut state = self.state.lock();
        let end = self.progress.borrow().end;
        if end.saturating_sub(state.start) >= self.rotate_at
            && let Err(error) = self.rotate(&mut state, end)
        {
            tracing::warn!(file = %self.path.display(), %error, "a log cannot be rotated");
        }
        let Some(file) = &mut state.file else { return };
        match file.write_all(records) {
            Ok(()) => self
                .progress
                .send_modify(|progress| progress.end += records.len() as u64),
            Err(error) => {
                tracing::warn!(file = %self.path.display(), %error, "a log cannot be kept");
            }
        }
    }

    fn rotate(&self, state: &mut Segments, end: u64) -> io::Result<()> {
        std::fs::rename(&self.path, rotated(&self.path))?;
        state.file = Some(File::create(&self.path)?);
        state.old_start = state.start;
        state.start = end;
        Ok(())
    }

    /// Says that the run is over: followers come to their end.
    pub fn close(&self) {
        self.state.lock().file = None;
        self.progress.send_modify(|progress| progress.closed = true);
    }

    /// Tells of every append, and of the end.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The next bytes from `position` on, and where they begin: later than asked
    /// where rotation has taken the asked ones. Empty at the end.
    pub fn read(&self, position: u64) -> io::Result<(u64, Vec<u8>)> {
        let (mut file, position, length) = {
            let state = self.state.lock();
            let end = self.progress.borrow().end;
            let position = position.max(state.old_start).min(end);
            // Opened under the lock: a rotation would change what the name means.
            if position < state.start {
                let mut file = File::open(rotated(&self.path))?;
                file.seek(SeekFrom::Start(position - state.old_start))?;
                (file, position, state.start - position)
            } else {
                let mut file = File::open(&self.path)?;
                file.seek(SeekFrom::Start(position - state.start))?;
                (file, position, end - position)
            }
        };
        let length = usize::try_from(length).unwrap_or(CHUNK).min(CHUNK);
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes)?;
        Ok((position, bytes))
    }

    /// Where the records begin that make up the last `lines` lines.
    pub fn tail(&self, lines: usize) -> io::Result<u64> {
        let mut starts = std::collections::VecDeque::with_capacity(lines.min(1024) + 1);
        let mut at_line_start = true;
        let mut position = 0;
        let mut record: Vec<u8> = Vec::new();
        loop {
            let (from, bytes) = self.read(position)?;
            if bytes.is_empty() {
                return Ok(starts.front().copied().unwrap_or(position));
            }
            if from != position {
                // Skipped by a rotation: whole records were dropped.
                record.clear();
                position = from;
            }
            for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
                let begin = position - record.len() as u64;
                record.extend_from_slice(piece);
                position += piece.len() as u64;
                if !record.ends_with(b"\n") {
                    continue;
                }
                if at_line_start {
                    starts.push_back(begin);
                    if starts.len() > lines {
                        starts.pop_front();
                    }
                }
                let parsed = super::record::Record::parse(&record);
                at_line_start = parsed.is_none_or(|record| record.ends_line);
                record.clear();
            }
            if lines == 0 {
                position = self.progress.borrow().end;
            }
        }
    }
}

fn rotated(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}
