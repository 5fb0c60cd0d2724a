//! The difference of two templates in the form that Knative's refusals carry: a path through its Go
//! types, and the old and new value under it (`kmp.ShortDiff`, which is `go-cmp` with few words).

use std::fmt::Write as _;

use serde_json::Value;

use super::edit_script::{self, Conformance, Edit};
use super::go_types::{Field, Form, GoStruct, GoType, REVISION_SPEC, REVISION_TEMPLATE_SPEC, zero};
use crate::api::quantity;

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

fn items(text: &mut String, path: &str, item: &GoType, old: &[Value], new: &[Value]) {
    let (mut x, mut y) = (0, 0);
    for edit in edits_of(item, old, new) {
        let (from, to) = (old.get(x), new.get(y));
        match edit {
            Edit::Same | Edit::Changed => {
                let at = if x == y {
                    format!("[{x}]")
                } else {
                    format!("[{x}->{y}]")
                };
                if let (Some(from), Some(to)) = (from, to) {
                    walk(text, &format!("{path}{at}"), item, from, to);
                }
                (x, y) = (x + 1, y + 1);
            }
            Edit::Gone => {
                report(text, &format!("{path}[{x}->?]"), item, from, None);
                x += 1;
            }
            Edit::New => {
                report(text, &format!("{path}[?->{y}]"), item, None, to);
                y += 1;
            }
        }
    }
}

fn edits_of(item: &GoType, old: &[Value], new: &[Value]) -> Vec<Edit> {
    edit_script::edits(old.len(), new.len(), |x, y| {
        let pair = old.get(x).zip(new.get(y));
        pair.map_or(DIFFERENT, |(from, to)| compared(item, from, to))
    })
}

const SAME: Conformance = Conformance {
    same: 1,
    different: 0,
};
const DIFFERENT: Conformance = Conformance {
    same: 0,
    different: 1,
};

/// How many values in them are the same, and how many are not.
fn compared(of: &GoType, old: &Value, new: &Value) -> Conformance {
    let one = if old == new { SAME } else { DIFFERENT };
    match (of, old, new) {
        (GoType::Struct(of), _, _) => {
            let of_field = |field: &Field| {
                let (old, new) = (member(field, old), member(field, new));
                compared(&field.go_type, &old, &new)
            };
            of.all_fields().into_iter().map(of_field).sum()
        }
        (GoType::Pointer(of), _, _) if !old.is_null() && !new.is_null() => compared(of, old, new),
        (GoType::List(item), Value::Array(a), Value::Array(b)) => {
            let (mut from, mut to) = (a.iter(), b.iter());
            let of_edit = |edit| match edit {
                Edit::Same | Edit::Changed => from
                    .next()
                    .zip(to.next())
                    .map_or(DIFFERENT, |(a, b)| compared(item, a, b)),
                Edit::Gone => {
                    from.next();
                    DIFFERENT
                }
                Edit::New => {
                    to.next();
                    DIFFERENT
                }
            };
            edits_of(item, a, b).into_iter().map(of_edit).sum()
        }
        (GoType::Map(_, member), Value::Object(a), Value::Object(b)) => {
            let of_old = a.iter().map(|(key, from)| {
                let to = b.get(key);
                to.map_or(DIFFERENT, |to| compared(member, from, to))
            });
            let only_new = b.keys().filter(|key| !a.contains_key(*key));
            of_old.chain(only_new.map(|_| DIFFERENT)).sum()
        }
        (GoType::Quantity, Value::String(a), Value::String(b)) if quantity::same_amount(a, b) => {
            SAME
        }
        // To Go it is a kind, a number and a text.
        (GoType::IntOrString, _, _) => SAME + SAME + one,
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
    fn items_that_moved_are_compared_with_what_stood_in_their_place() {
        let env = |env: Value| json!({"containers": [{"image": "a", "env": env}]});
        let optional = json!({"secretKeyRef": {"name": "s", "key": "k"}});
        let old = env(json!([{"name": "B"}, {"name": "E", "valueFrom": optional}]));
        let new = env(json!([{"name": "C"}, {"name": "B"}]));
        expect![[r#"
            {v1.RevisionSpec}.PodSpec.Containers[0].Env[0].Name:
            	-: "B"
            	+: "C"
            {v1.RevisionSpec}.PodSpec.Containers[0].Env[1].Name:
            	-: "E"
            	+: "B"
            {v1.RevisionSpec}.PodSpec.Containers[0].Env[1].ValueFrom:
            	-: "&{"secretKeyRef":{"key":"k","name":"s"}}"
            	+: "nil"
        "#]]
        .assert_eq(&revision_spec(&old, &new));
    }

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
