//! The kept log of one run of one container: a file that one writer appends to
//! and any number of readers follow. Past a size it starts a new file and keeps
//! one old one, so a chatty container costs at most twice the size.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::apiserver::private;

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
/// Both stay open: who reads a Pod's log to its end shall get it, also when the
/// Pod and its files are gone by then.
#[derive(Debug)]
struct Segments {
    current: Arc<File>,
    start: u64,
    old: Option<Arc<File>>,
    old_start: u64,
}

impl RunLog {
    /// Starts a new log at `path`; what is there is overwritten.
    pub fn create(path: PathBuf, rotate_at: u64) -> io::Result<Arc<Self>> {
        if let Some(folder) = path.parent() {
            private::make_folder(folder)?;
        }
        let _ = std::fs::remove_file(rotated(&path));
        let current = Arc::new(private::create(&path)?);
        let state = Segments {
            current,
            start: 0,
            old: None,
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
        let current = File::open(&path).ok()?;
        let old = File::open(rotated(&path)).ok();
        let size = |file: &File| file.metadata().map_or(0, |data| data.len());
        let start = old.as_ref().map_or(0, size);
        let progress = Progress {
            end: start + size(&current),
            closed: true,
        };
        let (current, old) = (Arc::new(current), old.map(Arc::new));
        let state = Segments {
            current,
            start,
            old,
            old_start: 0,
        };
        Some(Self::with(path, ROTATE_AT, state, progress))
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
        let Progress { end, closed } = *self.progress.borrow();
        if closed {
            return;
        }
        if end.saturating_sub(state.start) >= self.rotate_at
            && let Err(error) = self.rotate(&mut state, end)
        {
            tracing::warn!(file = %self.path.display(), %error, "a log cannot be rotated");
        }
        match state.current.write_all_at(records, end - state.start) {
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
        let current = Arc::new(private::create(&self.path)?);
        state.old = Some(std::mem::replace(&mut state.current, current));
        state.old_start = state.start;
        state.start = end;
        Ok(())
    }

    /// Says that the run is over: followers come to their end.
    pub fn close(&self) {
        self.progress.send_modify(|progress| progress.closed = true);
    }

    /// Tells of every append, and of the end.
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// The next bytes from `position` on, and where they begin: later than asked
    /// where rotation has taken the asked ones. Empty at the end.
    pub fn read(&self, position: u64) -> io::Result<(u64, Vec<u8>)> {
        let (file, offset, position, length) = {
            let state = self.state.lock();
            let end = self.progress.borrow().end;
            let position = position.max(state.old_start).min(end);
            match &state.old {
                Some(old) if position < state.start => {
                    let offset = position - state.old_start;
                    (Arc::clone(old), offset, position, state.start - position)
                }
                _ => {
                    let position = position.max(state.start);
                    (
                        Arc::clone(&state.current),
                        position - state.start,
                        position,
                        end - position,
                    )
                }
            }
        };
        let length = usize::try_from(length).unwrap_or(CHUNK).min(CHUNK);
        let mut bytes = vec![0; length];
        file.read_exact_at(&mut bytes, offset)?;
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
