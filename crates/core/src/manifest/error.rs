//! What is wrong with a manifest: where, in which object, and what to do.

use std::fmt;
use std::sync::Arc;

use crate::api::object::ObjectKey;

/// Where something stands: a file of the repository and a line in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// Path from the repository's root.
    pub file: Arc<str>,
    /// Line, counted from 1.
    pub line: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One thing that is wrong in a file; it costs only the object that it is about.
///
/// `Display` prints it on one line; [`Excerpt`] shows it in the file.
#[derive(Clone)]
pub struct ManifestError {
    /// The file and line.
    pub origin: Origin,
    /// The column, counted from 1 in characters.
    pub column: u32,
    /// The object that is not delivered because of this, where that can be told.
    pub identity: Option<ObjectKey>,
    /// Nobody can tell which objects the file held: while this stands, nothing that Git
    /// seems to have lost may be pruned.
    pub poisons_prune: bool,
    /// The field, such as `spec.template.spec.containers[0].image`; empty for the whole object.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The file's content, for the excerpt.
    pub(super) content: Arc<[u8]>,
}

impl ManifestError {
    /// A file that could not be read at all, such as a link that leaves the repository.
    pub fn unreadable(path: &str, message: &str) -> Self {
        Self {
            origin: Origin {
                file: path.into(),
                line: 1,
            },
            column: 1,
            identity: None,
            poisons_prune: true,
            field: String::new(),
            message: message.to_owned(),
            hint: None,
            content: Arc::new([]),
        }
    }

    /// What is wrong without the place: object, field, message and hint.
    pub fn sentence(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint}", self.statement()),
            None => self.statement(),
        }
    }

    /// Object, field and message.
    fn statement(&self) -> String {
        let mut text = String::new();
        if let Some(key) = &self.identity {
            text.push_str(&subject(key));
            text.push_str(": ");
        }
        if !self.field.is_empty() {
            text.push_str(&self.field);
            text.push_str(": ");
        }
        text.push_str(&self.message);
        text
    }

    /// The bytes of the file that are marked in the excerpt.
    fn span(&self) -> (usize, usize) {
        let text = String::from_utf8_lossy(&self.content);
        let mut offset = 0;
        for (number, line) in (1..).zip(text.split_inclusive('\n')) {
            if number == self.origin.line {
                let from: usize = line
                    .chars()
                    .take(self.column.saturating_sub(1) as usize)
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

/// `Service default/hello`: the group is left out where only a person reads it.
fn subject(key: &ObjectKey) -> String {
    match &key.namespace {
        Some(namespace) => format!("{} {namespace}/{}", key.kind, key.name),
        None => format!("{} {}", key.kind, key.name),
    }
}

impl PartialEq for ManifestError {
    fn eq(&self, other: &Self) -> bool {
        self.origin == other.origin
            && self.column == other.column
            && self.identity == other.identity
            && self.poisons_prune == other.poisons_prune
            && self.sentence() == other.sentence()
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.origin, self.column, self.sentence())
    }
}

impl fmt::Debug for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ManifestError({self})")
    }
}

impl std::error::Error for ManifestError {}

/// An error with the lines of the file around it, for a terminal:
/// `miette::Report::new(Excerpt(error))`.
#[derive(Clone, Debug)]
pub struct Excerpt(pub ManifestError);

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without an excerpt there is no other word of the file.
        if self.0.content.is_empty() {
            write!(f, "{}: ", self.0.origin.file)?;
        }
        f.write_str(&self.0.statement())
    }
}

impl std::error::Error for Excerpt {}

impl miette::Diagnostic for Excerpt {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0
            .hint
            .as_ref()
            .map(|hint| Box::new(hint) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn miette::SourceCode> {
        (!self.0.content.is_empty()).then_some(&self.0 as &dyn miette::SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = miette::LabeledSpan> + '_>> {
        if self.0.content.is_empty() {
            return None;
        }
        let (from, length) = self.0.span();
        Some(Box::new(std::iter::once(miette::LabeledSpan::new(
            Some("here".to_owned()),
            from,
            length,
        ))))
    }
}

impl miette::SourceCode for ManifestError {
    fn read_span<'a>(
        &'a self,
        span: &miette::SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn miette::SpanContents<'a> + 'a>, miette::MietteError> {
        let inner = self.content.read_span(span, lines_before, lines_after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.origin.file.to_string(),
            inner.data(),
            *inner.span(),
            inner.line(),
            inner.column(),
            inner.line_count(),
        )))
    }
}

/// Something a person should know, that stops nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The file and line.
    pub origin: Origin,
    /// The object, where it is about one.
    pub identity: Option<ObjectKey>,
    /// What was seen, and what was made of it.
    pub message: String,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if let Some(key) = &self.identity {
            write!(f, "{}: ", subject(key))?;
        }
        f.write_str(&self.message)
    }
}
