//! The columns of tables: what `kubectl get` shows of a kind.
//!
//! A column has a JSONPath, as a CRD's printer columns have, or (for the kinds that
//! Kubernetes prints by code) it is computed, see [`computed`].

mod built_in;
mod computed;

use jiff::Timestamp;
use serde_json::Value;

use super::resource::{Column, Resource};
use crate::json::jsonpath::JsonPath;

pub use built_in::of;

/// One object's cells.
pub fn cells(resource: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
    resource
        .columns
        .iter()
        .map(|column| match &column.path {
            Some(path) => match path.first(object) {
                // A bookmark has none.
                None if column.format == "name" => "".into(),
                found => cell(&column.kind, found, now),
            },
            None => computed::cell(resource, &column.name, object, now),
        })
        .collect()
}

/// A column with a path.
pub fn column(name: &str, kind: &str, path: &str) -> Column {
    Column {
        name: name.to_owned(),
        kind: kind.to_owned(),
        format: String::new(),
        description: String::new(),
        priority: 0,
        path: JsonPath::parse(path),
    }
}

/// The name, which comes first in all tables but that of events.
pub fn name() -> Column {
    Column {
        format: "name".to_owned(),
        description: NAME.to_owned(),
        ..column("Name", "string", ".metadata.name")
    }
}

/// How old the object is. Kinds that Kubernetes prints by code say it in words.
pub fn age_column() -> Column {
    Column {
        kind: "string".to_owned(),
        path: None,
        ..custom_age_column()
    }
}

/// How old an object is whose kind declares no columns.
pub fn custom_age_column() -> Column {
    Column {
        description: CREATED.to_owned(),
        ..column("Age", "date", ".metadata.creationTimestamp")
    }
}

const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
const CREATED: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// What a path found, in the column's type; nothing is shown as `<none>`.
fn cell(kind: &str, found: Option<&Value>, now: Timestamp) -> Value {
    let Some(found) = found else {
        return Value::Null;
    };
    match (kind, found) {
        (_, Value::Null) => Value::Null,
        ("date", Value::String(text)) => age(text, now).into(),
        ("integer", Value::Number(number)) => number
            .as_i64()
            .or_else(|| number.as_f64().map(|number| number as i64))
            .into(),
        ("number", Value::Number(_)) | ("boolean", Value::Bool(_)) => found.clone(),
        ("integer" | "number" | "boolean" | "date", _) => Value::Null,
        (_, Value::String(_)) => found.clone(),
        (_, other) => other.to_string().into(),
    }
}

/// How long ago, as Kubernetes says it: `5s`, `2m30s`, `3h`, `4d2h`.
pub fn age(since: &str, now: Timestamp) -> String {
    let Ok(since) = since.parse::<Timestamp>() else {
        let what = if since.is_empty() {
            "<unknown>"
        } else {
            "<invalid>"
        };
        return what.to_owned();
    };
    human_duration(now.as_second() - since.as_second())
}

/// Kubernetes' `HumanDuration`: two digits of precision, coarser as it grows.
pub fn human_duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let with = |big: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 {
            format!("{big}{unit}")
        } else {
            format!("{big}{unit}{small}{small_unit}")
        }
    };
    match seconds {
        i64::MIN..=-2 => "<invalid>".to_owned(),
        -1..=0 => "0s".to_owned(),
        1..120 => format!("{seconds}s"),
        120..600 => with(minutes, "m", seconds % 60, "s"),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => with(hours, "h", minutes % 60, "m"),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => with(days, "d", hours % 24, "h"),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => with(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::human_duration;

    #[test]
    fn ages_read_as_kubernetes_writes_them() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (3600, "60m"),
            (10_800, "3h"),
            (11_100, "3h5m"),
            (86_400, "24h"),
            (180_000, "2d2h"),
            (864_000, "10d"),
        ] {
            assert_eq!(human_duration(seconds), text);
        }
    }
}
