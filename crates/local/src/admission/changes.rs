//! What two templates differ in, by the path of each value: the details of a refused change.

use std::fmt::Write as _;

use serde_json::Value;

use crate::api::quantity;

/// The values that differ below a path, the old one with `-`, the new one with `+`; empty where both
/// mean the same.
pub fn told(path: &str, old: &Value, new: &Value) -> String {
    let mut text = String::new();
    walk(&mut text, path, Some(old), Some(new));
    text
}

fn walk(text: &mut String, path: &str, old: Option<&Value>, new: Option<&Value>) {
    match (old, new) {
        _ if old.unwrap_or(&Value::Null) == new.unwrap_or(&Value::Null) => {}
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let is_amounts = [".limits", ".requests"]
                .iter()
                .any(|end| path.ends_with(end));
            let only_new = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(only_new) {
                let (from, to) = (a.get(key), b.get(key));
                if !(is_amounts && is_same_amount(from, to)) {
                    walk(text, &format!("{path}.{key}"), from, to);
                }
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for index in 0..a.len().max(b.len()) {
                walk(
                    text,
                    &format!("{path}[{index}]"),
                    a.get(index),
                    b.get(index),
                );
            }
        }
        _ => {
            // Writing to a String cannot fail.
            let _ = write!(text, "{}{path}:", if text.is_empty() { "" } else { "\n" });
            for (sign, value) in [('-', old), ('+', new)] {
                if let Some(value) = value {
                    let _ = write!(text, "\n\t{sign}: {value}");
                }
            }
        }
    }
}

fn is_same_amount(a: Option<&Value>, b: Option<&Value>) -> bool {
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let pair = text(a).zip(text(b));
    pair.is_some_and(|(a, b)| quantity::same_amount(&a, &b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn each_value_that_differs_is_told_by_its_path() {
        let old = json!({
            "containers": [{"image": "a:1", "resources": {"limits": {"cpu": "1"}}, "args": ["x", "y"]}],
            "timeoutSeconds": 300,
        });
        let new = json!({
            "containers": [{"image": "a:2", "resources": {"limits": {"cpu": "1000m"}}, "args": ["x"]}],
            "timeoutSeconds": 300,
            "enableServiceLinks": false,
        });
        expect![[r#"
            spec.containers[0].args[1]:
            	-: "y"
            spec.containers[0].image:
            	-: "a:1"
            	+: "a:2"
            spec.enableServiceLinks:
            	+: false"#]]
        .assert_eq(&told("spec", &old, &new));
        assert_eq!(told("spec", &old, &old), "");
    }
}
