//! What of a file may be shown, where it holds a Secret or may hold one.
//!
//! Of such a document only names are shown: those of its fields and of the object, and never a
//! text as it stands in the file. Whatever could not be parsed and is not plainly of another
//! kind is treated as a Secret.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ignored::{IGNORE_FILE, split};
use super::loader;
use super::node::{Entry, Kind, Node};
use super::schema::{join, nearest};
use super::words::HIDDEN;
use super::yaml::{Document, Parsed, Wrong};

/// Fields of a Secret whose names are shown.
const KNOWN: [&str; 7] = [
    "apiVersion",
    "kind",
    "metadata",
    "type",
    "immutable",
    "data",
    "stringData",
];

/// Whether what is said of a document may quote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Privacy {
    /// It holds no Secret.
    Open,
    /// It holds a Secret, or may hold one: these fields may be named, and nothing quoted.
    Secret(BTreeSet<String>),
}

/// What may be shown of something wrong.
pub(super) struct Told {
    pub field: String,
    pub message: String,
    pub hint: Option<String>,
}

impl Privacy {
    /// Looks whether a document, or a text that is none, holds a Secret. `file` is all of the
    /// file: a part that does not say what it is may belong to another one.
    pub fn of(content: &Result<Parsed, Wrong>, part: &str, file: &str) -> Self {
        match content {
            Ok(parsed) if !is_private(parsed, file) => Self::Open,
            Ok(parsed) => {
                let mut names: BTreeSet<String> = ["apiVersion", "kind"]
                    .into_iter()
                    .chain([
                        "metadata.name",
                        "metadata.namespace",
                        "metadata.generateName",
                    ])
                    .map(str::to_owned)
                    .collect();
                nameable(&parsed.root, "", &mut names);
                Self::Secret(names)
            }
            Err(_) if may_hold_secret(part, file) => Self::Secret(BTreeSet::new()),
            Err(_) => Self::Open,
        }
    }

    /// What is wrong, as far as it may be shown.
    pub fn tell(&self, wrong: &Wrong) -> Told {
        let quotes = matches!(self, Self::Open);
        Told {
            field: match self {
                Self::Open => wrong.field.clone(),
                Self::Secret(names) => named(&wrong.field, names).to_owned(),
            },
            message: wrong.message.text(quotes),
            hint: wrong.hint.as_ref().map(|hint| hint.text(quotes)),
        }
    }
}

/// The longest part of a field's path that may be shown.
fn named<'a>(field: &'a str, names: &BTreeSet<String>) -> &'a str {
    let ends = field
        .char_indices()
        .filter(|(_, c)| matches!(c, '.' | '['))
        .map(|(at, _)| at);
    ends.chain([field.len()])
        .filter_map(|end| field.get(..end))
        .rfind(|part| names.contains(*part))
        .unwrap_or_default()
}

/// Whether a kind may be meant for a Secret's.
fn is_secret_kind(kind: &str) -> bool {
    kind.to_lowercase().contains("secret")
        || nearest(kind, ["Secret", "SecretList"].into_iter()).is_some()
}

fn is_private(parsed: &Parsed, file: &str) -> bool {
    // Two kinds in one document: a lost `---`, and what the second one is has no node.
    let two_kinds = parsed
        .wrong
        .iter()
        .any(|wrong| wrong.field.ends_with("kind"));
    two_kinds || is_secret(&parsed.root, file) || holds_secret(&parsed.root)
}

/// Whether an object is a Secret, or would be one but for a slip of the pen.
fn is_secret(object: &Node, file: &str) -> bool {
    match object.get("kind").map(Node::as_str) {
        Some(Some("List")) => list_items(object).iter().any(|item| is_secret(item, file)),
        Some(Some(kind)) => is_secret_kind(kind),
        // The kind is misspelled or forgotten, or stands in another part of the file.
        _ => speaks_of_secrets(file),
    }
}

/// Whether a text has a word in it that every Secret has.
fn speaks_of_secrets(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|word| {
        word.to_lowercase().contains("secret")
            || nearest(word, ["data", "stringData"].into_iter()).is_some()
    })
}

fn list_items(object: &Node) -> &[Node] {
    object.get("items").map(Node::items).unwrap_or_default()
}

/// Whether a Secret stands somewhere inside, as in a List, a template or a patch.
fn holds_secret(node: &Node) -> bool {
    let is_one = || {
        let kind = node.get("kind").and_then(Node::as_str);
        let has = |name| node.get(name).is_some();
        has("stringData")
            || has("secretGenerator")
            || (kind.is_some_and(is_secret_kind) && has("data"))
    };
    match &node.kind {
        Kind::Map(entries) => is_one() || entries.iter().any(|entry| holds_secret(&entry.value)),
        Kind::List(items) => items.iter().any(holds_secret),
        _ => false,
    }
}

/// The same of a text that could not be parsed.
fn may_hold_secret(text: &str, file: &str) -> bool {
    let mut kinds = kinds(text).peekable();
    (kinds.peek().is_none() && speaks_of_secrets(file))
        || kinds.any(|kind| kind.is_empty() || kind.ends_with("List") || is_secret_kind(kind))
        || text
            .split(|c: char| !c.is_alphanumeric())
            // Whatever a slip of the pen put before it or behind it.
            .any(|word| word.contains("Secret") || word.contains("stringData"))
}

/// The word behind each `kind:`; empty where it is none.
fn kinds(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("kind").filter_map(|(at, name)| {
        let before = text.get(..at)?.chars().next_back();
        if before.is_some_and(char::is_alphanumeric) {
            return None;
        }
        let rest = text.get(at + name.len()..)?;
        let rest = rest.strip_prefix(['"', '\'']).unwrap_or(rest).trim_start();
        let rest = rest.strip_prefix(':')?;
        let rest = rest.trim_start_matches([' ', '\t', '"', '\'']);
        let end = rest.find(|c: char| !c.is_alphanumeric());
        rest.get(..end.unwrap_or(rest.len()))
    })
}

/// Collects the paths of fields whose names may be shown: those of the object itself, of its
/// metadata, and the keys of its data. What is below a key is a value, whatever it looks like.
fn nameable(object: &Node, path: &str, names: &mut BTreeSet<String>) {
    for entry in object.entries() {
        let at = join(path, &entry.key);
        match entry.key.as_str() {
            "data" | "stringData" => {
                let keys = entry.value.entries().iter().filter(|key| is_key(key));
                names.extend(keys.map(|key| join(&at, &key.key)));
            }
            "metadata" => {
                for field in entry.value.entries() {
                    let at = join(&at, &field.key);
                    let inner = field.value.entries().iter();
                    names.extend(inner.map(|entry| join(&at, &entry.key)));
                    names.insert(at);
                }
            }
            "items" => {
                for (index, item) in entry.value.items().iter().enumerate() {
                    let at = format!("{at}[{index}]");
                    nameable(item, &at, names);
                    // Of an item it is also spoken as of an object by itself.
                    nameable(item, "", names);
                    names.insert(at);
                }
            }
            key if nearest(key, KNOWN.into_iter()).is_none() => continue,
            _ => {}
        }
        names.insert(at);
    }
}

/// Whether an entry of a Secret's data is a key with a value, and not a value that came to
/// stand where a key should.
fn is_key(entry: &Entry) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !entry.value.is_null() && !entry.key.is_empty() && entry.key.chars().all(plain)
}

/// The content of a file for people's eyes: line for line the same, but that of a document that
/// holds a Secret only names are left.
pub(super) fn shown(path: &str, content: &Arc<[u8]>) -> Arc<[u8]> {
    if split(path).1 == IGNORE_FILE {
        return Arc::clone(content);
    }
    let text = String::from_utf8_lossy(content);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut hidden: BTreeMap<(usize, usize), Lines> = BTreeMap::new();
    let mut open = true;
    for document in loader::documents(path, text) {
        let part = text.get(document.text.clone()).unwrap_or_default();
        let private = Privacy::of(&document.content, part, text) != Privacy::Open;
        open &= !private;
        let of_part = hidden
            .entry((document.text.start, document.text.end))
            .or_default();
        of_part.hidden |= private;
        of_part.read(&document);
    }
    if open {
        return Arc::clone(content);
    }
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let part = hidden
            .iter()
            .find(|((from, to), part)| part.hidden && (*from..*to).contains(&at));
        match part {
            Some((_, part)) => out.push_str(&part.line(number, line)),
            None => out.push_str(line),
        }
        at += line.len();
    }
    out.into_bytes().into()
}

/// What is shown of the lines of one part of a file.
#[derive(Default)]
struct Lines {
    hidden: bool,
    /// It could not be parsed.
    unread: bool,
    names: BTreeMap<u32, Vec<Name>>,
}

/// A field's name in a line.
struct Name {
    column: u32,
    /// The name, where it may be shown.
    text: Option<String>,
    /// What is shown behind the colon.
    value: Option<String>,
}

impl Lines {
    fn read(&mut self, document: &Document) {
        match &document.content {
            Ok(parsed) => {
                let mut names = BTreeSet::new();
                nameable(&parsed.root, "", &mut names);
                self.walk(&parsed.root, "", &names);
            }
            Err(_) => self.unread = true,
        }
    }

    fn walk(&mut self, node: &Node, path: &str, names: &BTreeSet<String>) {
        for (index, item) in node.items().iter().enumerate() {
            self.walk(item, &format!("{path}[{index}]"), names);
        }
        for entry in node.entries() {
            let at = join(path, &entry.key);
            let may = names.contains(&at);
            let last = at.rsplit(']').next().unwrap_or_default();
            let last = last.trim_start_matches('.');
            let is_name = [
                "apiVersion",
                "kind",
                "type",
                "metadata.name",
                "metadata.namespace",
            ];
            let value = match entry.value.as_str() {
                Some(text) if is_name.contains(&last) && is_word(text) => Some(text.to_owned()),
                _ if entry.value.at.line != entry.at.line => None,
                _ => Some(HIDDEN.to_owned()),
            };
            self.names.entry(entry.at.line).or_default().push(Name {
                column: entry.at.column,
                text: may.then(|| entry.key.clone()),
                value,
            });
            self.walk(&entry.value, &at, names);
        }
    }

    /// A line with what may be shown of it; its indentation stays.
    fn line(&self, number: u32, line: &str) -> String {
        let bare = line.trim_end_matches(['\r', '\n']);
        let end = line.get(bare.len()..).unwrap_or_default();
        let indent: String = bare.chars().take_while(|c| c.is_whitespace()).collect();
        if indent.len() == bare.len() || bare == "---" {
            return line.to_owned();
        }
        let names = self.names.get(&number).map(Vec::as_slice);
        let first = names
            .unwrap_or_default()
            .iter()
            .min_by_key(|name| name.column);
        let text = match first {
            _ if self.unread => unread(bare),
            Some(Name {
                column,
                text: Some(name),
                value,
            }) => {
                let indent = " ".repeat(column.saturating_sub(1).min(256) as usize);
                let alone = names.is_some_and(|names| names.len() == 1);
                match value {
                    Some(value) if alone => Some(format!("{indent}{name}: {value}")),
                    None if alone => Some(format!("{indent}{name}:")),
                    _ => Some(format!("{indent}{name}: {HIDDEN}")),
                }
            }
            _ => None,
        };
        text.unwrap_or_else(|| format!("{indent}{HIDDEN}")) + end
    }
}

/// What is shown of a line that could not be parsed: a field of the object itself.
fn unread(line: &str) -> Option<String> {
    let (name, value) = line.split_once(':')?;
    if !KNOWN.contains(&name) {
        return None;
    }
    let value = value.trim();
    Some(match name {
        _ if value.is_empty() => format!("{name}:"),
        "apiVersion" | "kind" if is_word(value) => format!("{name}: {value}"),
        _ => format!("{name}: {HIDDEN}"),
    })
}

/// Whether a text is one word, as names of kinds and objects are.
fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    !text.is_empty() && text.len() <= 253 && text.chars().all(plain)
}
