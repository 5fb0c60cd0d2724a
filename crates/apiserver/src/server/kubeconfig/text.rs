//! A kubeconfig as text. Every program that reads one has rules of its own for what is a text and
//! what a number or a boolean (`yes`, `0x1F`, `1_0`), so whatever might be taken for something
//! else stands in quotes.

use serde_yaml::{Mapping, Sequence, Value};

/// A value that stands for nothing that a kubeconfig may hold.
#[derive(Debug, thiserror::Error)]
#[error("it holds a value with a tag, or a key that is neither text nor number")]
pub struct NotPlain;

/// Writes a mapping in block style, with sequences as far in as their keys, as kubectl does.
pub fn write(config: &Mapping) -> Result<String, NotPlain> {
    let mut out = String::new();
    mapping(&mut out, config, 0, false)?;
    Ok(out)
}

fn mapping(
    out: &mut String,
    entries: &Mapping,
    indent: usize,
    mut is_begun: bool,
) -> Result<(), NotPlain> {
    for (key, value) in entries {
        if !std::mem::take(&mut is_begun) {
            out.push_str(&" ".repeat(indent));
        }
        if matches!(key, Value::Mapping(_) | Value::Sequence(_)) {
            return Err(NotPlain);
        }
        scalar(out, key)?;
        out.push(':');
        match value {
            Value::Mapping(inner) if !inner.is_empty() => {
                out.push('\n');
                mapping(out, inner, indent + 2, false)?;
            }
            Value::Sequence(inner) if !inner.is_empty() => {
                out.push('\n');
                sequence(out, inner, indent, false)?;
            }
            other => {
                out.push(' ');
                scalar(out, other)?;
                out.push('\n');
            }
        }
    }
    Ok(())
}

fn sequence(
    out: &mut String,
    items: &Sequence,
    indent: usize,
    mut is_begun: bool,
) -> Result<(), NotPlain> {
    for item in items {
        if !std::mem::take(&mut is_begun) {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str("- ");
        match item {
            Value::Mapping(inner) if !inner.is_empty() => mapping(out, inner, indent + 2, true)?,
            Value::Sequence(inner) if !inner.is_empty() => sequence(out, inner, indent + 2, true)?,
            other => {
                scalar(out, other)?;
                out.push('\n');
            }
        }
    }
    Ok(())
}

fn scalar(out: &mut String, value: &Value) -> Result<(), NotPlain> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(text) if is_plain(text) => out.push_str(text),
        Value::String(text) => quoted(out, text),
        Value::Sequence(_) => out.push_str("[]"),
        Value::Mapping(_) => out.push_str("{}"),
        Value::Tagged(_) => return Err(NotPlain),
    }
    Ok(())
}

/// In double quotes, with an escape for whatever a reader may take for the end of a line or not show.
fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            ' '..='~' => out.push(c),
            _ if c.is_alphanumeric() => out.push(c),
            _ => out.push_str(&format!("\\U{:08X}", u32::from(c))),
        }
    }
    out.push('"');
}

/// Whether a text needs no quotes for any reader of YAML 1.1 or 1.2.
fn is_plain(text: &str) -> bool {
    const WORDS: [&str; 11] = [
        "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf",
    ];
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_./:@+=-".contains(c))
        && !text.ends_with(':')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_as_it_was() {
        let config: Value = serde_yaml::from_str(
            r#"
            texts: ["", yes, "No", "1", "0o17", "1_0", "12e5", "~", "<<", "a: b", "c#", "d:", "2024-01-01", " e ",
              "two\nlines\t\"quoted\" \\ é \u0007 \u0085 \u2028", https://127.0.0.1:6443, LS0tLS1=]
            others: [1, -2.5, true, null, .inf, {}, []]
            deep: [[1, [a, {b: c}], [{d: [e]}]], {f: {g: []}, "7": x, 7: y, "on": z}]
            "#,
        )
        .unwrap();
        let text = write(config.as_mapping().unwrap()).unwrap();
        assert_eq!(
            serde_yaml::from_str::<Value>(&text).unwrap(),
            config,
            "{text}"
        );
        for plain in [
            "- https://127.0.0.1:6443\n",
            "- LS0tLS1=\n",
            "- \"yes\"\n",
            "- \"12e5\"\n",
        ] {
            assert!(text.contains(plain), "{plain:?} in {text}");
        }
    }

    #[test]
    fn what_a_kubeconfig_cannot_hold_is_refused() {
        for text in ["a: !secret b", "{[a]: b}"] {
            let config: Value = serde_yaml::from_str(text).unwrap();
            assert!(write(config.as_mapping().unwrap()).is_err(), "{text}");
        }
    }
}
