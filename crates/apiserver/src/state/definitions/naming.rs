//! Which of the names that a definition asks for it gets, as Kubernetes' naming controller decides it
//! (`k8s.io/apiextensions-apiserver/pkg/controller/status/naming_controller.go`).

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::super::core::Core;
use crate::json::object;

/// The names that a definition has, and why it does not have all that it asks for.
pub(super) struct Naming {
    pub accepted: Value,
    pub conflict: Option<(&'static str, String)>,
}

/// The names of resources and of kinds that are taken in the definition's group, its own among them.
struct Taken {
    resources: HashSet<String>,
    kinds: HashSet<String>,
}

impl Taken {
    fn of(core: &Core, definition: &Value, accepted: &Value) -> Self {
        let own = object::name(definition);
        let group = object::text_at(definition, "spec.group");
        let text = |key: &str| object::text_at(accepted, key);
        let mut taken = Self {
            resources: [text("plural"), text("singular")].into(),
            kinds: [text("kind"), text("listKind")].into(),
        };
        let short = object::strings(accepted.get("shortNames"));
        taken.resources.extend(short.into_iter().map(str::to_owned));
        for other in core.registry.load().all() {
            if other.group == group && other.storage != own {
                taken.resources.insert(other.plural.clone());
                taken.resources.insert(other.singular.clone());
                taken.resources.extend(other.short_names.iter().cloned());
                taken.kinds.insert(other.kind.clone());
                taken.kinds.insert(other.list_kind.clone());
            }
        }
        taken
    }
}

pub(super) fn names(core: &Core, definition: &Value, old: Option<&Value>) -> Naming {
    let before = old
        .and_then(|old| object::at(old, "status.acceptedNames"))
        .cloned()
        .unwrap_or_else(|| json!({"plural": "", "kind": ""}));
    let taken = Taken::of(core, definition, &before);
    let wanted = |key: &str| object::text_at(definition, &format!("spec.names.{key}"));
    let mut accepted = object_of(before);
    let mut conflict = None;
    for (key, names, reason) in [
        ("plural", &taken.resources, "PluralConflict"),
        ("singular", &taken.resources, "SingularConflict"),
    ] {
        conflict = one(&mut accepted, key, &wanted(key), names, reason).or(conflict);
    }
    let short = object::at(definition, "spec.names.shortNames").cloned();
    if short.as_ref() != accepted.get("shortNames") {
        let had = object::strings(accepted.get("shortNames"));
        let mut clashes: Vec<String> = object::strings(short.as_ref())
            .into_iter()
            .filter(|name| !had.contains(name) && taken.resources.contains(*name))
            .map(|name| format!("{name:?} is already in use"))
            .collect();
        clashes.dedup();
        match clashes.as_slice() {
            [] => put(&mut accepted, "shortNames", short),
            [only] => conflict = Some(("ShortNamesConflict", only.clone())),
            all => conflict = Some(("ShortNamesConflict", format!("[{}]", all.join(", ")))),
        }
    }
    for (key, names, reason) in [
        ("kind", &taken.kinds, "KindConflict"),
        ("listKind", &taken.kinds, "ListKindConflict"),
    ] {
        conflict = one(&mut accepted, key, &wanted(key), names, reason).or(conflict);
    }
    let categories = object::at(definition, "spec.names.categories").cloned();
    put(&mut accepted, "categories", categories);
    Naming {
        accepted: accepted.into(),
        conflict,
    }
}

/// Gives one name, unless it is taken.
fn one(
    accepted: &mut Map<String, Value>,
    key: &str,
    wanted: &str,
    taken: &HashSet<String>,
    reason: &'static str,
) -> Option<(&'static str, String)> {
    let had = accepted
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default();
    if had != wanted && taken.contains(wanted) {
        return Some((reason, format!("{wanted:?} is already in use")));
    }
    put(accepted, key, Some(wanted.into()));
    None
}

fn put(names: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    match value {
        Some(value) => names.insert(key.to_owned(), value),
        None => names.remove(key),
    };
}

fn object_of(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}
