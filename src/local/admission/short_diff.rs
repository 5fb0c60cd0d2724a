//! The difference of two templates in the form that Knative's refusals carry: a path through its Go
//! types, and the old and new value under it (`kmp.ShortDiff`, which is `go-cmp` with few words).

use std::fmt::Write as _;

use serde_json::Value;

use super::go_types::{Field, Form, GoStruct, GoType, REVISION_SPEC, REVISION_TEMPLATE_SPEC, zero};
use super::quantity;

/// The difference of two revision specs; empty where they mean the same.
pub fn revision_spec(old: &Value, new: &Value) -> String {
    difference("{v1.RevisionSpec}", &REVISION_SPEC, old, new)
}

/// The difference of two templates; empty where they mean the same.
pub fn template(old: &Value, new: &Value) -> String {
    difference(
        "{*v1.RevisionTemplateSpec}",
        &REVISION_TEMPLATE_SPEC,
        old,
        new,
    )
}

fn difference(root: &str, of: &'static GoStruct, old: &Value, new: &Value) -> String {
    let mut text = String::new();
    fields(&mut text, root, of, old, new);
    text
}

fn fields(text: &mut String, path: &str, of: &'static GoStruct, old: &Value, new: &Value) {
    for field in of.fields {
        let path = format!("{path}.{}", go_name(field));
        match (&field.go_type, field.form) {
            (GoType::Struct(embedded), Form::Inline) => fields(text, &path, embedded, old, new),
            (of, _) => walk(text, &path, of, &member(field, old), &member(field, new)),
        }
    }
}

fn walk(text: &mut String, path: &str, of: &GoType, old: &Value, new: &Value) {
    match (of, old, new) {
        _ if old == new => {}
        (GoType::Struct(of), _, _) => fields(text, path, of, old, new),
        (GoType::Pointer(of), _, _) if !old.is_null() && !new.is_null() => match of {
            // A field of what is pointed to needs no star.
            GoType::Struct(_) => walk(text, path, of, old, new),
            of => walk(text, &format!("*{path}"), of, old, new),
        },
        (GoType::List(item), Value::Array(a), Value::Array(b)) => items(text, path, item, a, b),
        (GoType::Map(_, member), Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<_> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let path = format!("{path}[{key:?}]");
                match (a.get(key), b.get(key)) {
                    (Some(a), Some(b)) => walk(text, &path, member, a, b),
                    (a, b) => report(text, &path, member, a, b),
                }
            }
        }
        (GoType::Quantity, Value::String(a), Value::String(b)) if quantity::same_amount(a, b) => {}
        (GoType::IntOrString, Value::String(a), Value::String(b)) => {
            let (a, b) = (a.as_str().into(), b.as_str().into());
            report(text, &format!("{path}.StrVal"), of, Some(&a), Some(&b));
        }
        (GoType::IntOrString, Value::Number(_), Value::Number(_)) => {
            report(text, &format!("{path}.IntVal"), of, Some(old), Some(new));
        }
        _ => report(text, path, of, Some(old), Some(new)),
    }
}

/// The longest list of items that are in both is left; what is between them is compared.
fn items(text: &mut String, path: &str, item: &GoType, old: &[Value], new: &[Value]) {
    let (mut x, mut y) = (0, 0);
    let ends = (old.len(), new.len());
    for (to_x, to_y) in common(old, new).into_iter().chain([ends]) {
        while x < to_x || y < to_y {
            let pair = old.get(x).filter(|_| x < to_x);
            let pair = pair.zip(new.get(y).filter(|_| y < to_y));
            match pair {
                Some((from, to)) if is_similar(item, from, to) => {
                    let at = if x == y {
                        format!("[{x}]")
                    } else {
                        format!("[{x}->{y}]")
                    };
                    walk(text, &format!("{path}{at}"), item, from, to);
                    (x, y) = (x + 1, y + 1);
                }
                // Of two that have nothing to do with each other the longer rest goes first.
                Some(_) if to_x - x < to_y - y => {
                    report(text, &format!("{path}[?->{y}]"), item, None, new.get(y));
                    y += 1;
                }
                _ if x < to_x => {
                    report(text, &format!("{path}[{x}->?]"), item, old.get(x), None);
                    x += 1;
                }
                _ => {
                    report(text, &format!("{path}[?->{y}]"), item, None, new.get(y));
                    y += 1;
                }
            }
        }
        (x, y) = (to_x + 1, to_y + 1);
    }
}

/// The places of the longest list of items that are in both, in order.
fn common(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    let mut best: Vec<Vec<(usize, usize)>> = vec![Vec::new(); new.len() + 1];
    for (x, from) in old.iter().enumerate() {
        let mut next = vec![Vec::new()];
        for (y, to) in new.iter().enumerate() {
            let mut longest = best.get(y + 1).cloned().unwrap_or_default();
            let left = next.last().cloned().unwrap_or_default();
            if left.len() > longest.len() {
                longest = left;
            }
            let mut matched = best.get(y).cloned().unwrap_or_default();
            if from == to && matched.len() >= longest.len() {
                matched.push((x, y));
                longest = matched;
            }
            next.push(longest);
        }
        best = next;
    }
    best.pop().unwrap_or_default()
}

/// Whether one item is the other, changed: no more of it may differ than is the same, and one.
fn is_similar(of: &GoType, old: &Value, new: &Value) -> bool {
    let (same, different) = compared(of, old, new);
    same + 1 >= different
}

/// How many values in them are the same, and how many are not.
fn compared(of: &GoType, old: &Value, new: &Value) -> (usize, usize) {
    let one = if old == new { (1, 0) } else { (0, 1) };
    let sum = |all: Vec<(usize, usize)>| {
        let add = |sum: (usize, usize), one: (usize, usize)| (sum.0 + one.0, sum.1 + one.1);
        all.into_iter().fold((0, 0), add)
    };
    match (of, old, new) {
        (GoType::Struct(of), _, _) => {
            let of_field = |field: &Field| {
                let (old, new) = (member(field, old), member(field, new));
                compared(&field.go_type, &old, &new)
            };
            sum(of.all_fields().into_iter().map(of_field).collect())
        }
        (GoType::Pointer(of), _, _) if !old.is_null() && !new.is_null() => compared(of, old, new),
        (GoType::List(item), Value::Array(a), Value::Array(b)) => {
            let pairs = a.iter().zip(b).map(|(a, b)| compared(item, a, b));
            let mut all: Vec<_> = pairs.collect();
            all.push((0, a.len().abs_diff(b.len())));
            sum(all)
        }
        (GoType::Map(..), Value::Object(a), Value::Object(b)) => {
            let same = a.iter().filter(|(key, value)| b.get(*key) == Some(value));
            let same = same.count();
            (same, a.len().max(b.len()) - same)
        }
        // To Go it is a kind, a number and a text.
        (GoType::IntOrString, _, _) => (2 + one.0, one.1),
        _ => one,
    }
}

/// Absent fields have the zero value of their type.
fn member(field: &Field, object: &Value) -> Value {
    let given = object.get(field.name).filter(|value| !value.is_null());
    given.cloned().unwrap_or_else(|| zero(&field.go_type))
}

fn report(text: &mut String, path: &str, of: &GoType, old: Option<&Value>, new: Option<&Value>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{path}:");
    let kind = match of {
        GoType::Struct(_) | GoType::Quantity => format!("{}: ", of.name()),
        _ => String::new(),
    };
    for (sign, value) in [('-', old), ('+', new)] {
        if let Some(value) = value {
            let _ = writeln!(text, "\t{sign}: {kind}\"{}\"", plain(of, value));
        }
    }
}

/// A value as Go prints it; what is in a struct is shown as JSON.
fn plain(of: &GoType, value: &Value) -> String {
    match (of, value) {
        (GoType::List(_), Value::Null) => "[]".to_owned(),
        (GoType::Map(..), Value::Null) => "map[]".to_owned(),
        // Structs print themselves.
        (GoType::Pointer(GoType::Struct(_) | GoType::Opaque(_)), Value::Null) => "nil".to_owned(),
        (_, Value::Null) => "<nil>".to_owned(),
        (GoType::Pointer(of), value) => match of {
            GoType::Struct(_) | GoType::Opaque(_) => format!("&{value}"),
            // The address of what Go allocated.
            _ => "0xc000000000".to_owned(),
        },
        (GoType::List(item), Value::Array(items)) => {
            let items: Vec<_> = items.iter().map(|one| plain(item, one)).collect();
            format!("[{}]", items.join(" "))
        }
        (GoType::Map(_, member), Value::Object(members)) => {
            let members: Vec<_> = members
                .iter()
                .map(|(key, value)| format!("{key}:{}", plain(member, value)))
                .collect();
            format!("map[{}]", members.join(" "))
        }
        (GoType::Quantity, value) => format!("{{{value}}}"),
        (_, Value::String(text)) => text.clone(),
        (_, other) => other.to_string(),
    }
}

/// The Go field behind a JSON key.
fn go_name(field: &Field) -> String {
    const SHORT: &[(&str, &str)] = &[
        ("apiVersion", "APIVersion"),
        ("dnsConfig", "DNSConfig"),
        ("dnsPolicy", "DNSPolicy"),
        ("fsGroup", "FSGroup"),
        ("fsType", "FSType"),
        ("grpc", "GRPC"),
        ("httpGet", "HTTPGet"),
        ("httpHeaders", "HTTPHeaders"),
        ("ip", "IP"),
        ("metadata", "ObjectMeta"),
        ("seLinuxOptions", "SELinuxOptions"),
        ("tcpSocket", "TCPSocket"),
        ("tty", "TTY"),
        ("uid", "UID"),
        ("url", "URL"),
    ];
    if let Some((_, name)) = SHORT.iter().find(|(key, _)| *key == field.name) {
        return (*name).to_owned();
    }
    let mut letters = field.name.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn a_difference_reads_as_knative_writes_it() {
        let old = json!({
            "containers": [{"image": "a:1", "resources": {"limits": {"cpu": "1"}}, "args": ["x", "y"]}],
            "timeoutSeconds": 300,
            "serviceAccountName": "robot",
            "volumes": [{"name": "a"}, {"name": "b"}, {"name": "c"}],
        });
        let new = json!({
            "containers": [{"image": "a:2", "resources": {"limits": {"cpu": "1000m"}}, "args": ["x"]}],
            "timeoutSeconds": 60,
            "enableServiceLinks": false,
            "volumes": [{"name": "b"}],
        });
        expect![[r#"
            {v1.RevisionSpec}.PodSpec.Volumes[0->?]:
            	-: v1.Volume: "{"name":"a"}"
            {v1.RevisionSpec}.PodSpec.Volumes[2->?]:
            	-: v1.Volume: "{"name":"c"}"
            {v1.RevisionSpec}.PodSpec.Containers[0].Image:
            	-: "a:1"
            	+: "a:2"
            {v1.RevisionSpec}.PodSpec.Containers[0].Args[1->?]:
            	-: "y"
            {v1.RevisionSpec}.PodSpec.ServiceAccountName:
            	-: "robot"
            	+: ""
            {v1.RevisionSpec}.PodSpec.EnableServiceLinks:
            	-: "<nil>"
            	+: "0xc000000000"
            *{v1.RevisionSpec}.TimeoutSeconds:
            	-: "300"
            	+: "60"
        "#]]
        .assert_eq(&revision_spec(&old, &new));
    }
}
