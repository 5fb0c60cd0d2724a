//! One line of a kept log, in the form that container runtimes keep theirs:
//! `2026-03-01T10:00:00.123456789Z stdout F text`, with `P` in place of `F` for a
//! part of a line that was too long to wait for.

use jiff::Timestamp;

/// Where a line was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line longer than this is kept in parts, so that nobody's memory grows with it.
const LONGEST_PART: usize = 16 * 1024;

/// Cuts what a stream brings into records.
pub struct Splitter {
    stream: Stream,
    rest: Vec<u8>,
}

impl Splitter {
    /// A splitter for one stream of one run.
    pub fn new(stream: Stream) -> Self {
        Self {
            stream,
            rest: Vec::new(),
        }
    }

    /// The records that `bytes`, printed at `now`, complete.
    pub fn push(&mut self, bytes: &[u8], now: Timestamp) -> Vec<u8> {
        let mut records = Vec::with_capacity(bytes.len() + 64);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(piece);
            if self.rest.last() == Some(&b'\n') {
                self.rest.pop();
                self.record(b'F', now, &mut records);
            } else if self.rest.len() >= LONGEST_PART {
                self.record(b'P', now, &mut records);
            }
        }
        records
    }

    /// The last line, if it did not end in a line feed.
    pub fn finish(&mut self, now: Timestamp) -> Vec<u8> {
        let mut records = Vec::new();
        if !self.rest.is_empty() {
            self.record(b'F', now, &mut records);
        }
        records
    }

    fn record(&mut self, tag: u8, now: Timestamp, out: &mut Vec<u8>) {
        let stream = match self.stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        out.extend_from_slice(format!("{now:.9} {stream} ").as_bytes());
        out.extend_from_slice(&[tag, b' ']);
        out.append(&mut self.rest);
        out.push(b'\n');
    }
}

/// A record read back, without its line feed.
#[derive(Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// When it was printed, as written.
    pub time: &'a str,
    /// Whether the line ends here.
    pub ends_line: bool,
    /// What was printed.
    pub text: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads one; `None` for what the node did not write.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let mut parts = line.splitn(4, |byte| *byte == b' ');
        let time = std::str::from_utf8(parts.next()?).ok()?;
        parts.next()?;
        let ends_line = parts.next()? == b"F";
        Some(Self {
            time,
            ends_line,
            text: parts.next()?,
        })
    }

    /// When it was printed.
    pub fn timestamp(&self) -> Option<Timestamp> {
        self.time.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    #[test]
    fn lines_come_out_as_they_went_in() {
        let mut splitter = Splitter::new(Stream::Stdout);
        let mut records = splitter.push(b"one\ntw", at(0));
        records.extend(splitter.push(b"o\n\nthr", at(1)));
        records.extend(splitter.finish(at(2)));
        expect_test::expect![[r#"
            2023-11-14T22:13:20.000000000Z stdout F one
            2023-11-14T22:13:21.000000000Z stdout F two
            2023-11-14T22:13:21.000000000Z stdout F 
            2023-11-14T22:13:22.000000000Z stdout F thr
        "#]]
        .assert_eq(std::str::from_utf8(&records).unwrap());
        let first = records.split(|byte| *byte == b'\n').next().unwrap();
        let record = Record::parse(first).unwrap();
        assert_eq!((record.text, record.ends_line), (&b"one"[..], true));
        assert_eq!(record.timestamp(), Some(at(0)));
    }

    #[test]
    fn a_line_without_end_is_kept_in_parts() {
        let mut splitter = Splitter::new(Stream::Stderr);
        let records = splitter.push(&vec![b'x'; LONGEST_PART], at(0));
        assert!(
            !Record::parse(&records[..records.len() - 1])
                .unwrap()
                .ends_line
        );
        assert!(splitter.finish(at(0)).is_empty());
    }
}
