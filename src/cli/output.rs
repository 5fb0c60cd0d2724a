//! What is printed: tables, JSON and YAML; colours only where a terminal shows them.
//!
//! Nothing else in the program writes to standard output. A reader that has gone away
//! (`sluice status | head -1`) is an error here, and no trouble at the end: see [`is_closed`].

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

/// How a listing is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Columns for people.
    #[default]
    Table,
    /// JSON for programs.
    Json,
    /// YAML for programs and people.
    Yaml,
}

/// Prints `value` as JSON or YAML, or `table` for people.
pub fn print<T: Serialize>(
    output: Output,
    value: &T,
    table: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    match output {
        Output::Table => line(table().trim_end()),
        Output::Json => line(serde_json::to_string_pretty(value)?),
        Output::Yaml => text(serde_yaml::to_string(value)?),
    }
}

/// Prints one of many values as they come: a line of JSON, or a YAML document, each.
pub fn print_next<T: Serialize>(
    output: Output,
    value: &T,
    words: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    match output {
        Output::Table => line(words()),
        Output::Json => line(serde_json::to_string(value)?),
        Output::Yaml => text(format!("---\n{}", serde_yaml::to_string(value)?)),
    }
}

/// Prints a line to standard output.
pub fn line(line: impl Display) -> anyhow::Result<()> {
    text(format_args!("{line}\n"))
}

/// Prints to standard output.
pub fn text(text: impl Display) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")?;
    out.flush()?;
    Ok(())
}

/// Prints a line to standard error. Where even that cannot be read there is nobody to tell.
pub fn note(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether an error only says that nobody reads standard output any more.
pub fn is_closed(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Columns without borders, as kubectl's. Colours take no room.
pub fn columns(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let header: Vec<String> = header.iter().map(|&title| title.to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let widths: Vec<usize> = (0..rows.iter().map(Vec::len).max().unwrap_or(0))
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| width(cell)).max().unwrap_or(0)
        })
        .collect();
    rows.iter()
        .map(|row| {
            let cells: String = row
                .iter()
                .zip(&widths)
                .map(|(cell, wide)| format!("{cell}{}", " ".repeat(wide - width(cell) + 3)))
                .collect();
            cells.trim_end().to_owned() + "\n"
        })
        .collect()
}

/// How many characters of a cell are seen.
fn width(cell: &str) -> usize {
    let mut seen = 0;
    let mut in_code = false;
    for character in cell.chars() {
        match (in_code, character) {
            (false, '\x1b') => in_code = true,
            (true, 'm') => in_code = false,
            (true, _) => {}
            (false, _) => seen += 1,
        }
    }
    seen
}

/// What a word means, for its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// On its way, or waiting.
    Busy,
    /// Wrong.
    Bad,
}

/// Colours a word of standard output.
pub fn paint(tone: Tone, text: &str) -> String {
    coloured(colours(), tone, text)
}

/// Colours a word of standard error.
pub fn paint_note(tone: Tone, text: &str) -> String {
    coloured(colours_notes(), tone, text)
}

/// Whether standard error shows colours.
pub fn colours_notes() -> bool {
    wanted() && io::stderr().is_terminal()
}

/// Whether standard output shows colours.
pub fn colours() -> bool {
    wanted() && io::stdout().is_terminal()
}

/// Nobody said that there shall be none (<https://no-color.org>).
fn wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn coloured(really: bool, tone: Tone, text: &str) -> String {
    if !really {
        return text.to_owned();
    }
    let code = match tone {
        Tone::Good => "32",
        Tone::Busy => "33",
        Tone::Bad => "31",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// `3m`, `2h`, `5d`: how long ago, as kubectl says it.
pub fn ago(then: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The first twelve characters of a commit id.
pub fn short(commit: Option<&String>) -> String {
    commit.map_or_else(|| "-".to_owned(), |id| id.chars().take(12).collect())
}

/// `1 object`, `2 objects`.
pub fn count(number: usize, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_titles_whatever_is_coloured() {
        let red = coloured(true, Tone::Bad, "Failed");
        let rows = vec![
            vec!["shop/hello".to_owned(), red.clone(), "crashed".to_owned()],
            vec!["a".to_owned(), "Stable".to_owned(), String::new()],
        ];
        let table = columns(&["SERVICE", "PHASE", "MESSAGE"], rows);
        assert_eq!(
            table,
            format!(
                "SERVICE      PHASE    MESSAGE\nshop/hello   {red}   crashed\na            Stable\n"
            )
        );
    }

    #[test]
    fn only_a_reader_that_has_gone_away_is_no_trouble() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(is_closed(&anyhow::Error::from(closed).context("said")));
        assert!(!is_closed(&anyhow::Error::from(full)));
    }
}
