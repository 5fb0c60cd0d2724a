//! Made-up objects of the [`things`](super::things) schema, from small vocabularies so that managers
//! meet.

use proptest::collection::{btree_map, vec};
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

/// What an object says beside its identity.
pub(super) fn fields() -> impl Strategy<Value = Value> {
    let scalars = object(vec![
        ("numeric", (0..3).prop_map(Value::from).boxed()),
        ("string", word().boxed()),
        ("bool", any::<bool>().prop_map(Value::from).boxed()),
        (
            "mixed",
            prop_oneof![(0..2).prop_map(Value::from), word()].boxed(),
        ),
        ("status", object(vec![("phase", word().boxed())]).boxed()),
        ("metadata", metadata().boxed()),
    ]);
    let containers = object(vec![
        ("struct", structure().boxed()),
        (
            "atomicStruct",
            object(vec![
                ("numeric", small().boxed()),
                ("string", word().boxed()),
            ])
            .boxed(),
        ),
        ("map", words().boxed()),
        (
            "maps",
            btree_map(
                name(),
                object(vec![("a", small().boxed()), ("b", small().boxed())]),
                0..3,
            )
            .prop_map(|map| Value::Object(map.into_iter().collect()))
            .boxed(),
        ),
        ("atomicMap", words().boxed()),
        ("any", anything().boxed()),
    ]);
    let lists = object(vec![
        (
            "atomicList",
            vec(word(), 0..3).prop_map(Value::from).boxed(),
        ),
        ("set", set().boxed()),
        ("list", list().boxed()),
        ("ports", ports().boxed()),
    ]);
    (scalars, containers, lists).prop_map(|parts| {
        let mut all = Map::new();
        for part in <[Value; 3]>::from(parts) {
            if let Value::Object(part) = part {
                all.extend(part);
            }
        }
        Value::Object(all)
    })
}

/// Each field is there half of the time.
fn object(
    fields: Vec<(&'static str, BoxedStrategy<Value>)>,
) -> impl Strategy<Value = Value> + Clone {
    let fields: Vec<_> = fields
        .into_iter()
        .map(|(name, value)| weighted(0.5, value.prop_map(move |value| (name.to_owned(), value))))
        .collect();
    fields.prop_map(|fields| Value::Object(fields.into_iter().flatten().collect()))
}

fn name() -> impl Strategy<Value = String> + Clone {
    select(vec!["a", "b", "c"]).prop_map(str::to_owned)
}

fn word() -> impl Strategy<Value = Value> + Clone {
    select(vec!["x", "y", "z"]).prop_map(Value::from)
}

fn small() -> impl Strategy<Value = Value> + Clone {
    (0..3).prop_map(Value::from)
}

fn words() -> impl Strategy<Value = Value> + Clone {
    btree_map(name(), word(), 0..3).prop_map(|map| Value::Object(map.into_iter().collect()))
}

fn metadata() -> impl Strategy<Value = Value> + Clone {
    object(vec![
        ("labels", words().boxed()),
        ("annotations", words().boxed()),
        ("finalizers", set().boxed()),
        (
            "ownerReferences",
            subsequence(vec!["u1", "u2"], 0..=2)
                .prop_map(|uids| {
                    uids.into_iter()
                        .map(
                            |uid| json!({"apiVersion": "v1", "kind": "K", "name": uid, "uid": uid}),
                        )
                        .collect()
                })
                .boxed(),
        ),
    ])
}

fn structure() -> impl Strategy<Value = Value> + Clone {
    object(vec![
        ("numeric", small().boxed()),
        ("string", word().boxed()),
        ("inner", object(vec![("value", small().boxed())]).boxed()),
    ])
}

fn set() -> impl Strategy<Value = Value> + Clone {
    subsequence(vec!["x", "y", "z"], 0..=3)
        .prop_shuffle()
        .prop_map(|items| json!(items))
}

fn list() -> impl Strategy<Value = Value> + Clone {
    subsequence(vec!["a", "b", "c", "d"], 0..=4)
        .prop_shuffle()
        .prop_flat_map(|names| {
            names
                .into_iter()
                .map(|name| {
                    object(vec![
                        ("value", small().boxed()),
                        ("other", small().boxed()),
                        ("tags", set().boxed()),
                    ])
                    .prop_map(move |mut item| {
                        item["name"] = json!(name);
                        item
                    })
                })
                .collect::<Vec<_>>()
        })
        .prop_map(Value::from)
}

/// Ports told apart by number and protocol, where no protocol is TCP.
fn ports() -> impl Strategy<Value = Value> + Clone {
    let port = (1..3, select(vec![None, Some("TCP"), Some("UDP")]), name());
    vec(port, 0..4).prop_map(|ports| {
        let mut seen = Vec::new();
        let mut kept = Vec::new();
        for (number, protocol, name) in ports {
            let key = (number, protocol.unwrap_or("TCP"));
            if seen.contains(&key) {
                continue;
            }
            seen.push(key);
            let mut port = json!({"port": number, "name": name});
            if let Some(protocol) = protocol {
                port["protocol"] = json!(protocol);
            }
            kept.push(port);
        }
        Value::from(kept)
    })
}

/// What no schema speaks of.
fn anything() -> impl Strategy<Value = Value> + Clone {
    let leaf = prop_oneof![word(), small(), any::<bool>().prop_map(Value::from)];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map(name(), inner, 0..3).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// An object with a list in which items come twice, as an update (never an apply) may have.
pub(super) fn doubled() -> impl Strategy<Value = Value> {
    (fields(), list(), any::<bool>()).prop_map(|(mut fields, more, double)| {
        if double
            && let (Some(Value::Array(items)), Value::Array(more)) = (fields.get_mut("list"), more)
        {
            items.extend(more);
        }
        fields
    })
}
