//! How messages are laid out, read from `messages.txt` when the first one comes.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The name of a field whose message's fields stand in the outer one.
pub const INLINE: &str = "^";

/// What a field holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    String,
    /// Yes or no.
    Bool,
    /// A whole number.
    Int,
    /// A number.
    Double,
    /// Bytes, in base64 as JSON has them.
    Bytes,
    /// `resource.Quantity`.
    Quantity,
    /// `intstr.IntOrString`.
    IntOrString,
    /// `metav1.Time`.
    Time,
    /// `metav1.MicroTime`.
    MicroTime,
    /// Any JSON, as text.
    Json,
    /// Another message.
    Message(&'static str),
    /// Several.
    List(Box<Self>),
    /// By name.
    Map(Box<Self>),
}

/// A field of a message.
#[derive(Debug)]
pub struct Field {
    /// Its JSON name.
    pub name: &'static str,
    /// Whether zero is something else than nothing.
    pub pointer: bool,
    /// What it holds.
    pub kind: Kind,
}

/// A message's fields by number.
#[derive(Debug)]
pub struct Message(HashMap<u64, Field>);

impl Message {
    /// The field of that number.
    pub fn field(&self, number: u64) -> Option<&Field> {
        self.0.get(&number)
    }
}

static MESSAGES: LazyLock<HashMap<&'static str, Message>> = LazyLock::new(|| {
    include_str!("messages.txt")
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let name = words.next()?;
            Some((name, Message(words.filter_map(field).collect())))
        })
        .collect()
});

/// The layout of a message.
pub fn find(name: &str) -> Option<&'static Message> {
    MESSAGES.get(name)
}

/// A kind's message: `core.v1.Pod`, `rbac.v1.Role`.
pub fn name(api_version: &str, kind: &str) -> String {
    if kind == "DeleteOptions" {
        return "meta.v1.DeleteOptions".to_owned();
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    let package = group.split('.').next().unwrap_or_default();
    format!("{package}.{version}.{kind}")
}

fn field(text: &'static str) -> Option<(u64, Field)> {
    let (name, rest) = text.split_once('=')?;
    let (number, kind) = rest.split_once(':')?;
    let (name, pointer) = match name.strip_suffix('?') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let field = Field {
        name,
        pointer,
        kind: kind_of(kind),
    };
    Some((number.parse().ok()?, field))
}

fn kind_of(text: &'static str) -> Kind {
    if let Some(item) = text.strip_prefix("[]") {
        return Kind::List(Box::new(kind_of(item)));
    }
    if let Some(value) = text.strip_prefix("{}") {
        return Kind::Map(Box::new(kind_of(value)));
    }
    match text {
        "string" => Kind::String,
        "bool" => Kind::Bool,
        "int" => Kind::Int,
        "double" => Kind::Double,
        "bytes" => Kind::Bytes,
        "quantity" => Kind::Quantity,
        "intstr" => Kind::IntOrString,
        "time" => Kind::Time,
        "microtime" => Kind::MicroTime,
        "json" => Kind::Json,
        message => Kind::Message(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_that_a_field_holds_has_a_layout() {
        fn held(kind: &Kind) -> Option<&'static str> {
            match kind {
                Kind::Message(name) => Some(name),
                Kind::List(item) | Kind::Map(item) => held(item),
                _ => None,
            }
        }
        assert!(MESSAGES.len() > 200);
        for (name, message) in MESSAGES.iter() {
            for field in message.0.values() {
                if let Some(inner) = held(&field.kind) {
                    assert!(find(inner).is_some(), "{name} holds {inner}");
                }
            }
        }
        assert_eq!(name("rbac.authorization.k8s.io/v1", "Role"), "rbac.v1.Role");
        assert_eq!(name("v1", "Pod"), "core.v1.Pod");
    }
}
