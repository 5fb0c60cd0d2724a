//! The JSONPath of printer columns and selectable fields: enough for CRDs as they are
//! written (`.a.b`, `['a.b']`, `[0]`, `[*]`, `[?(@.type=="Ready")]`, escaped dots).

use serde_json::Value;

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Field(String),
    Index(i64),
    Every,
    Where {
        path: Vec<Step>,
        equal: bool,
        value: Value,
    },
}

/// A path that was parsed.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonPath(Vec<Step>);

impl JsonPath {
    /// Parses a path, with or without its braces. Nothing where it is not understood.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text
            .strip_prefix('{')
            .and_then(|inner| inner.strip_suffix('}'))
            .unwrap_or(text);
        let text = text.strip_prefix('$').unwrap_or(text);
        steps(text).map(Self)
    }

    /// The first value that the path finds.
    pub fn first<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        find(&self.0, object).into_iter().next()
    }
}

fn find<'a>(steps: &[Step], value: &'a Value) -> Vec<&'a Value> {
    let Some((step, rest)) = steps.split_first() else {
        return vec![value];
    };
    let next: Vec<&Value> = match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::Index(at) => value
            .as_array()
            .and_then(|list| {
                let at = if *at < 0 {
                    list.len()
                        .checked_sub(usize::try_from(at.unsigned_abs()).ok()?)?
                } else {
                    usize::try_from(*at).ok()?
                };
                list.get(at)
            })
            .into_iter()
            .collect(),
        Step::Every => match value {
            Value::Array(list) => list.iter().collect(),
            Value::Object(map) => map.values().collect(),
            _ => Vec::new(),
        },
        Step::Where {
            path,
            equal,
            value: wanted,
        } => value
            .as_array()
            .into_iter()
            .flatten()
            .filter(|entry| {
                let found = find(path, entry).into_iter().next();
                found.is_some_and(|found| (found == wanted) == *equal)
            })
            .collect(),
    };
    next.into_iter()
        .flat_map(|value| find(rest, value))
        .collect()
}

fn steps(text: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let end = closing(after)?;
            let (inside, after) = after.split_at_checked(end)?;
            steps.push(bracket(inside.trim())?);
            rest = after.strip_prefix(']')?;
            continue;
        }
        rest = rest.strip_prefix('.').unwrap_or(rest);
        let (name, after) = field(rest);
        if name.is_empty() {
            // A lone dot is the object itself; anything else is not understood.
            if after.is_empty() && steps.is_empty() {
                return Some(steps);
            }
            if !after.starts_with('[') {
                return None;
            }
        } else if name == "*" {
            steps.push(Step::Every);
        } else {
            steps.push(Step::Field(name));
        }
        rest = after;
    }
    Some(steps)
}

/// A field name up to the next step; a backslash takes the next character as it is.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                if let Some((_, next)) = chars.next() {
                    name.push(next);
                }
            }
            '.' | '[' => return (name, text.get(at..).unwrap_or_default()),
            c => name.push(c),
        }
    }
    (name, "")
}

/// Where the bracket that is open already closes.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_u32;
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '[') => depth += 1,
            (None, ']') if depth == 0 => return Some(at),
            (None, ']') => depth -= 1,
            (None, _) => {}
        }
    }
    None
}

fn bracket(inside: &str) -> Option<Step> {
    if inside == "*" {
        return Some(Step::Every);
    }
    if let Some(name) = quoted(inside) {
        return Some(Step::Field(name));
    }
    if let Some(condition) = inside
        .strip_prefix("?(")
        .and_then(|rest| rest.strip_suffix(')'))
    {
        let (left, right, equal) = match condition.split_once("==") {
            Some((left, right)) => (left, right, true),
            None => {
                let (left, right) = condition.split_once("!=")?;
                (left, right, false)
            }
        };
        let path = steps(left.trim().strip_prefix('@')?)?;
        let right = right.trim();
        let value = match quoted(right) {
            Some(text) => Value::String(text),
            None => serde_json::from_str(right).ok()?,
        };
        return Some(Step::Where { path, equal, value });
    }
    inside.parse().ok().map(Step::Index)
}

fn quoted(text: &str) -> Option<String> {
    ['"', '\''].into_iter().find_map(|quote| {
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        Some(inner.replace('\\', ""))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_of_real_printer_columns_find_their_values() {
        let object = json!({
            "metadata": {"labels": {"serving.example.dev/configuration": "hello"}},
            "spec": {"list": [1, 2, 3]},
            "status": {"conditions": [
                {"type": "Other", "status": "False"}, {"type": "Ready", "status": "True"}]},
        });
        for (path, found) in [
            (
                ".metadata.labels['serving\\.example\\.dev/configuration']",
                json!("hello"),
            ),
            (
                ".metadata.labels.serving\\.example\\.dev/configuration",
                json!("hello"),
            ),
            (
                ".status.conditions[?(@.type==\"Ready\")].status",
                json!("True"),
            ),
            (
                ".status.conditions[?(@.type=='Ready')].status",
                json!("True"),
            ),
            (
                ".status.conditions[?(@.type!='Ready')].type",
                json!("Other"),
            ),
            ("{.spec.list[1]}", json!(2)),
            (".spec.list[-1]", json!(3)),
            (".spec.list[*]", json!(1)),
        ] {
            let parsed = JsonPath::parse(path).unwrap();
            assert_eq!(parsed.first(&object), Some(&found), "{path}");
        }
        let missing = JsonPath::parse(".status.url.host").unwrap();
        assert_eq!(missing.first(&object), None);
    }

    #[test]
    fn what_is_not_understood_is_no_path() {
        for bad in [".a[", ".a..b", "[?(x)]", ".a[b]"] {
            assert_eq!(JsonPath::parse(bad), None, "{bad}");
        }
    }
}
