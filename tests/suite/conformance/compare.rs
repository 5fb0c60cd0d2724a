//! What two answers differ in, for people to read.

use serde_json::{Value, json};
use similar::TextDiff;

use super::side::Answer;

/// The answer as lines.
pub fn lines(answer: &Answer) -> String {
    let mut text = format!("{}\n", answer.code);
    for warning in &answer.warnings {
        text.push_str(&format!("Warning: {warning}\n"));
    }
    let body = match &answer.body {
        Value::String(words) => words.clone(),
        body => serde_json::to_string_pretty(&short(body)).unwrap(),
    };
    text.push_str(&body);
    text.push('\n');
    text
}

/// Field sets on one line each.
fn short(body: &Value) -> Value {
    let mut body = body.clone();
    if let Some(Value::Array(entries)) = body.pointer_mut("/metadata/managedFields") {
        for entry in entries {
            let text = |name: &str| entry[name].as_str().unwrap_or_default();
            let head = format!(
                "{} {} {} {}",
                text("operation"),
                text("manager"),
                text("apiVersion"),
                text("subresource")
            );
            *entry = json!({head: entry["fieldsV1"].to_string()});
        }
    }
    body
}

/// What differs, ours with `-`, the real one's with `+`.
pub fn difference(ours: &Answer, real: &Answer) -> String {
    let (ours, real) = (lines(ours), lines(real));
    let diff = TextDiff::from_lines(&ours, &real);
    diff.unified_diff()
        .context_radius(2)
        .header("here", "Kubernetes")
        .to_string()
}

/// What a difference is like, whatever the values in it: two of one kind are told once.
pub fn conformance(difference: &str) -> String {
    difference
        .lines()
        .filter(|line| {
            line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---")
        })
        .map(|line| {
            let nameless = ["ann", "bob", "kubectl", "conformance", "\"b\""]
                .iter()
                .fold(line.to_owned(), |line, name| line.replace(name, "\"a\""));
            nameless
                .split(|c: char| c.is_ascii_digit())
                .collect::<Vec<_>>()
                .join("#")
        })
        .collect::<Vec<_>>()
        .join("\n")
}
