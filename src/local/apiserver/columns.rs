//! The columns of tables: what `kubectl get` shows of a kind.

use jiff::Timestamp;
use serde_json::Value;

use super::object;
use super::resource::{Column, Resource};

/// The columns of a built-in kind; the ones with no path are computed.
pub fn of(_group: &str, _kind: &str) -> Vec<Column> {
    Vec::new()
}

/// All columns of a resource, the name first.
pub fn shown(resource: &Resource) -> Vec<Column> {
    let mut columns = vec![Column {
        name: "Name".to_owned(),
        kind: "string".to_owned(),
        format: "name".to_owned(),
        description: "Name must be unique within a namespace.".to_owned(),
        priority: 0,
        path: ".metadata.name".to_owned(),
    }];
    if resource.columns.is_empty() {
        columns.push(Column {
            name: "Age".to_owned(),
            kind: "date".to_owned(),
            format: String::new(),
            description: "The time since the object was created.".to_owned(),
            priority: 0,
            path: ".metadata.creationTimestamp".to_owned(),
        });
    }
    columns.extend(resource.columns.iter().cloned());
    columns
}

/// One object's cells.
pub fn cells(resource: &Resource, object: &Value, now: Timestamp) -> Vec<Value> {
    shown(resource)
        .iter()
        .map(|column| cell(column, object, now))
        .collect()
}

fn cell(column: &Column, object: &Value, now: Timestamp) -> Value {
    let text = object::text_at(object, &column.path);
    if column.kind == "date" {
        return age(&text, now).into();
    }
    text.into()
}

/// How long ago, as Kubernetes says it: `5s`, `2m30s`, `3h`, `4d2h`.
pub fn age(since: &str, now: Timestamp) -> String {
    let Ok(since) = since.parse::<Timestamp>() else {
        return "<unknown>".to_owned();
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
