//! An error with the lines of its file around it.

use std::fmt;
use std::sync::Arc;

use super::error::ManifestError;
use super::private;

/// An error with the lines of the file around it, for a terminal:
/// `miette::Report::new(Excerpt::of(error))`. Of a Secret only names are shown.
#[derive(Clone, Debug)]
pub struct Excerpt {
    error: ManifestError,
    lines: Lines,
}

/// The lines of a file as they may be shown.
#[derive(Clone)]
struct Lines {
    file: Arc<str>,
    text: Arc<[u8]>,
}

impl Excerpt {
    /// Takes the lines out of the file, without what may not be shown of it.
    pub fn of(error: ManifestError) -> Self {
        let file = Arc::clone(&error.origin.file);
        let text = private::shown(&file, &error.content);
        let text = match Arc::ptr_eq(&text, &error.content) {
            true => text,
            false => widened(&text, error.origin.line, error.column),
        };
        Self {
            error,
            lines: Lines { file, text },
        }
    }

    /// The bytes that are marked.
    fn span(&self) -> (usize, usize) {
        let text = String::from_utf8_lossy(&self.lines.text);
        let mut offset = 0;
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            if number == self.error.origin.line {
                let from: usize = line
                    .chars()
                    .take(self.error.column.saturating_sub(1) as usize)
                    .map(char::len_utf8)
                    .sum();
                let rest = line.get(from..).unwrap_or_default().trim_end();
                let word = rest.find([' ', ',', '}', ']']).unwrap_or(rest.len());
                return (offset + from, word.max(1));
            }
            offset += line.len();
        }
        (text.len(), 0)
    }
}

/// The text with blanks at the end of a line that is not shown whole, so that it has the column.
fn widened(text: &[u8], number: u32, column: u32) -> Arc<[u8]> {
    let text = String::from_utf8_lossy(text);
    let mut wide = String::with_capacity(text.len());
    for (line, content) in (1..).zip(text.split_inclusive('\n')) {
        let bare = content.trim_end_matches(['\r', '\n']);
        wide.push_str(bare);
        if line == number {
            let missing = (column as usize).saturating_sub(bare.chars().count());
            wide.push_str(&" ".repeat(missing));
        }
        wide.push_str(content.get(bare.len()..).unwrap_or_default());
    }
    wide.into_bytes().into()
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lines({}, {} bytes)", self.file, self.text.len())
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without an excerpt there is no other word of the file.
        if self.lines.text.is_empty() {
            write!(f, "{}: ", self.lines.file)?;
        }
        f.write_str(&self.error.statement())
    }
}

impl std::error::Error for Excerpt {}

impl miette::Diagnostic for Excerpt {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.error
            .hint
            .as_ref()
            .map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        (!self.lines.text.is_empty()).then_some(&self.lines as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        if self.lines.text.is_empty() {
            return None;
        }
        let (from, length) = self.span();
        Some(Box::new(std::iter::once(miette::LabeledSpan::new(
            Some("here".to_owned()),
            from,
            length,
        ))))
    }
}

impl miette::SourceCode for Lines {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let inner = self.text.read_span(span, lines_before, lines_after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.file.to_string(),
            inner.data(),
            *inner.span(),
            inner.line(),
            inner.column(),
            inner.line_count(),
        )))
    }
}
