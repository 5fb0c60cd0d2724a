//! Spoils a sound manifest in a few places: something is gone, there twice, there though nobody
//! knows it, or not what belongs there.

use serde_json::{Value, json};

use crate::conformance::chance::Chance;
use crate::conformance::shape::odd;

/// Spoils one to three places of the spec or the metadata.
pub fn spoil(manifest: &mut Value, chance: &mut Chance) {
    for _ in 0..1 + chance.below(3) {
        let mut places = Vec::new();
        collect(manifest, String::new(), &mut places);
        places.retain(|place| place.starts_with("/spec/") || place.starts_with("/metadata/a"));
        if places.is_empty() {
            return;
        }
        let place = chance.pick(&places).clone();
        one(manifest, &place, chance);
    }
}

fn collect(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                collect(field, format!("{at}/{name}"), places);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, format!("{at}/{index}"), places);
            }
        }
        _ => {}
    }
    places.push(at);
}

fn one(manifest: &mut Value, place: &str, chance: &mut Chance) {
    let (within, last) = place.rsplit_once('/').unwrap();
    let last = last.replace("~1", "/").replace("~0", "~");
    match manifest.pointer_mut(within) {
        Some(Value::Object(fields)) => match chance.below(6) {
            0 | 1 => {
                fields.remove(&last);
            }
            2 => {
                fields.insert("unheard".to_owned(), odd(chance));
            }
            3 => {
                let value = fields.remove(&last).unwrap_or_default();
                fields.insert(last.to_uppercase(), value);
            }
            _ => {
                let value = fields.get(&last).cloned().unwrap_or_default();
                fields.insert(last, other(value, chance));
            }
        },
        Some(Value::Array(items)) => {
            let index: usize = last.parse().unwrap();
            match chance.below(4) {
                0 => {
                    items.remove(index);
                }
                1 | 2 => {
                    let again = items[index].clone();
                    items.push(again);
                }
                _ => items[index] = other(items[index].clone(), chance),
            }
        }
        _ => {}
    }
}

/// Something else of the same type, or, now and then, of another.
fn other(value: Value, chance: &mut Chance) -> Value {
    match value {
        _ if chance.percent(25) => odd(chance),
        Value::String(text) => match chance.below(7) {
            0 => json!(""),
            1 => json!(text.to_uppercase()),
            2 => json!(format!("{text}-")),
            3 => json!(format!("{text}{}", "x".repeat(70))),
            4 => json!(format!(" {text}")),
            5 => json!("7"),
            _ => json!(text.repeat(2)),
        },
        Value::Number(number) => {
            let number = number.as_i64().unwrap_or_default();
            json!(chance.pick(&[
                -1,
                0,
                1,
                number.saturating_add(1),
                number.saturating_mul(1000),
                number.saturating_neg(),
                i64::MAX
            ]))
        }
        Value::Bool(value) => json!(!value),
        Value::Object(_) => json!({}),
        other => other,
    }
}
