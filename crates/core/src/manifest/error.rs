//! What is wrong with a manifest: where, in which object, and what to do.

use std::fmt;
use std::sync::Arc;

use crate::api::delivery::Problem;
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
/// `Display` prints it on one line; [`super::Excerpt`] shows it in the file.
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
    /// The object is delivered all the same, but for what this is about: the traffic block of a Service, which stays as
    /// the cluster has it.
    pub keeps_object: bool,
    /// The field, such as `spec.template.spec.containers[0].image`; empty for the whole object.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The file's content, for the excerpt, which shows nothing of a Secret.
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
            keeps_object: false,
            field: String::new(),
            message: message.to_owned(),
            hint: None,
            content: Arc::new([]),
        }
    }

    /// The same as a line of a Delivery's status.
    pub fn problem(&self) -> Problem {
        Problem {
            object: self.identity.clone(),
            origin: Some(format!("{}:{}", self.origin, self.column)),
            message: self.sentence(),
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
    pub(super) fn statement(&self) -> String {
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
