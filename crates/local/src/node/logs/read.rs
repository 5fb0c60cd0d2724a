//! Reading a kept log as `kubectl logs` asks for it.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use jiff::{SignedDuration, Timestamp};

use super::file::RunLog;
use super::record::Record;
use crate::apiserver::LogRequest;

/// A kubelet's bounds for a termination message that is taken from the log.
const MESSAGE_BYTES: usize = 2048;
const MESSAGE_LINES: usize = 80;

/// Streams `log` as `request` asks.
pub fn stream(
    log: Arc<RunLog>,
    request: &LogRequest,
    now: Timestamp,
) -> BoxStream<'static, io::Result<Bytes>> {
    let since = request
        .since_seconds
        .and_then(|seconds| now.checked_sub(SignedDuration::from_secs(seconds)).ok());
    let reader = Reader {
        progress: log.progress(),
        log,
        start: request.tail_lines.map_or(Start::At(0), Start::Tail),
        carry: Vec::new(),
        since,
        timestamps: request.timestamps,
        follow: request.follow,
        left: request.limit_bytes,
        at_line_start: true,
    };
    futures::stream::try_unfold(reader, Reader::next).boxed()
}

/// The end of a log, as the message of a container that failed.
pub fn termination_message(log: &RunLog) -> String {
    let Ok(mut position) = log.tail(MESSAGE_LINES) else {
        return String::new();
    };
    let mut text: Vec<u8> = Vec::new();
    let mut raw: Vec<u8> = Vec::new();
    while let Ok((from, bytes)) = log.read(position) {
        if bytes.is_empty() {
            break;
        }
        position = from + bytes.len() as u64;
        raw.extend_from_slice(&bytes);
    }
    for line in raw.split(|byte| *byte == b'\n') {
        if let Some(record) = Record::parse(line) {
            text.extend_from_slice(record.text);
            if record.ends_line {
                text.push(b'\n');
            }
        }
    }
    let tail = text
        .get(text.len().saturating_sub(MESSAGE_BYTES)..)
        .unwrap_or_default();
    String::from_utf8_lossy(tail).into_owned()
}

enum Start {
    Tail(usize),
    At(u64),
}

struct Reader {
    log: Arc<RunLog>,
    progress: tokio::sync::watch::Receiver<super::file::Progress>,
    start: Start,
    /// The beginning of a record whose end was not read yet.
    carry: Vec<u8>,
    since: Option<Timestamp>,
    timestamps: bool,
    follow: bool,
    left: Option<usize>,
    at_line_start: bool,
}

impl Reader {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        let mut position = match self.start {
            Start::At(position) => position,
            Start::Tail(lines) => {
                // May read the whole log: not on a thread that serves others.
                let log = Arc::clone(&self.log);
                let tail = tokio::task::spawn_blocking(move || log.tail(lines));
                tail.await.map_err(io::Error::other)??
            }
        };
        loop {
            if self.left == Some(0) {
                return Ok(None);
            }
            let seen = *self.progress.borrow_and_update();
            let (from, bytes) = self.log.read(position)?;
            if bytes.is_empty() {
                if seen.closed || !self.follow || self.progress.changed().await.is_err() {
                    return Ok(None);
                }
                continue;
            }
            if from != position {
                self.carry.clear();
            }
            position = from + bytes.len() as u64;
            let text = self.render(&bytes);
            if !text.is_empty() {
                self.start = Start::At(position);
                return Ok(Some((text, self)));
            }
        }
    }

    fn render(&mut self, bytes: &[u8]) -> Bytes {
        let mut text = Vec::with_capacity(bytes.len());
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.carry.extend_from_slice(piece);
            if self.carry.last() != Some(&b'\n') {
                continue;
            }
            self.carry.pop();
            let line = std::mem::take(&mut self.carry);
            let Some(record) = Record::parse(&line) else {
                continue;
            };
            let is_young = self
                .since
                .is_none_or(|since| record.timestamp().is_none_or(|time| time >= since));
            if is_young {
                if self.timestamps && self.at_line_start {
                    text.extend_from_slice(record.time.as_bytes());
                    text.push(b' ');
                }
                text.extend_from_slice(record.text);
                if record.ends_line {
                    text.push(b'\n');
                }
            }
            self.at_line_start = record.ends_line;
        }
        if let Some(left) = &mut self.left {
            text.truncate(*left);
            *left -= text.len();
        }
        Bytes::from(text)
    }
}
