//! Which object a text is about that cannot be parsed.
//!
//! A broken file must not look like a deleted one. Where the text names exactly one kind
//! and one name at the usual places, that object is meant; where there is any doubt the
//! answer is "unknown", and nothing is pruned until the file is mended.

use super::loader::Options;
use crate::api::object::{ObjectKey, split_api_version};
use crate::api::scope::{self, Scope};

/// Which object, if that can be told.
#[derive(Debug, Default)]
pub(super) struct Guess {
    pub identity: Option<ObjectKey>,
}

/// Looks for `apiVersion:`, `kind:` and `metadata:` with `name:` at the start of lines.
pub(super) fn identity(text: &str, options: &Options) -> Guess {
    Guess {
        identity: look(text, options),
    }
}

fn look(text: &str, options: &Options) -> Option<ObjectKey> {
    let api_version = only(text.lines().filter_map(|line| field(line, "apiVersion")))?;
    let kind = only(text.lines().filter_map(|line| field(line, "kind")))?;
    if kind.ends_with("List") {
        return None;
    }
    let metadata = only(
        text.lines()
            .filter_map(|line| line.strip_prefix("metadata:")),
    )?;
    let (name, namespace) = if metadata.trim().is_empty() {
        block(text)?
    } else {
        flow(metadata)?
    };
    let mut key = ObjectKey {
        group: split_api_version(api_version).0.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    };
    let scope = match scope::of(&key.group, &key.kind) {
        Scope::Unknown => options.scope_of(&key),
        known => known,
    };
    match scope {
        Scope::Cluster => key.namespace = None,
        Scope::Unknown if key.namespace.is_none() => return None,
        _ => {
            key.namespace
                .get_or_insert_with(|| options.namespace.clone());
        }
    }
    Some(key)
}

/// Name and namespace out of the indented lines below `metadata:`.
fn block(text: &str) -> Option<(&str, Option<&str>)> {
    let mut lines = text
        .lines()
        .skip_while(|line| !line.starts_with("metadata:"))
        .skip(1)
        .take_while(|line| line.is_empty() || line.starts_with([' ', '\t', '#']))
        .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .peekable();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let level = indent(lines.peek()?);
    let own: Vec<&str> = lines.filter(|line| indent(line) == level).collect();
    pair(own.iter().map(|line| line.trim_start()))
}

/// Name and namespace out of `{name: hello, namespace: default}` on one line.
fn flow(metadata: &str) -> Option<(&str, Option<&str>)> {
    let inside = metadata.trim().strip_prefix('{')?.strip_suffix('}')?;
    if inside.contains(['{', '}', '[', ']']) {
        return None;
    }
    pair(inside.split(',').map(str::trim))
}

fn pair<'a>(lines: impl Iterator<Item = &'a str> + Clone) -> Option<(&'a str, Option<&'a str>)> {
    let name = only(lines.clone().filter_map(|line| field(line, "name")))?;
    let mut namespaces = lines.filter_map(|line| field(line, "namespace"));
    let namespace = namespaces.next();
    namespaces.next().is_none().then_some((name, namespace))
}

/// The one thing of an iterator that yields exactly one.
fn only<T>(mut things: impl Iterator<Item = T>) -> Option<T> {
    let first = things.next()?;
    things.next().is_none().then_some(first)
}

/// The plain or quoted word behind `name:` at the start of a line.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let value = line.strip_prefix(name)?.strip_prefix(':')?;
    let value = value.split(" #").next().unwrap_or_default().trim();
    let value = value.trim_matches(['"', '\'']);
    let plain = !value.is_empty()
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':'));
    plain.then_some(value)
}
