//! CustomResourceDefinitions: kinds that come and go at run time.

pub mod compiled;
mod naming;

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::core::Core;
use crate::json::object;
use crate::model::registry::Registry;
pub use compiled::established;
use compiled::{compile, texts, versions};
use naming::Naming;

/// Keeps a definition until its objects are gone.
pub const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
/// The shelf that definitions are on.
pub const STORAGE: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// Serves what the stored definitions define. Called behind every write of one, before
/// the write is answered.
pub fn serve_defined(core: &Arc<Core>) {
    let mut compiled = core.compiled.0.lock();
    let (_, definitions) = core.store.list(STORAGE, None);
    let mut kept = HashMap::with_capacity(definitions.len());
    for definition in &definitions {
        let name = definition.key.name.clone();
        let entry = match compiled.remove(&name) {
            Some(known) if known.revision == definition.revision => known,
            known => compile(definition, known),
        };
        kept.insert(name, entry);
    }
    let custom = definitions
        .iter()
        .filter_map(|definition| kept.get(&definition.key.name))
        .flat_map(|definition| definition.resources.iter().cloned());
    let registry = Registry::new(core.built_in.iter().cloned().chain(custom));
    core.registry.store(Arc::new(registry));
    *compiled = kept;
}

/// Works out a definition's status as the server keeps it: which of its names it has, whether it was
/// ever established, and which versions objects may be stored in.
pub fn complete(core: &Core, definition: &mut Value, old: Option<&Value>) {
    let storage = versions(definition)
        .iter()
        .find(|version| version.get("storage") == Some(&Value::Bool(true)))
        .map(|version| object::text_at(version, "name"));
    let mut stored = old
        .map(|old| texts(old, "status.storedVersions"))
        .unwrap_or_default();
    stored.extend(storage.filter(|storage| !stored.contains(storage)));
    let before = old.and_then(|old| object::at(old, "status"));
    let names = object::at(definition, "spec.names");
    // Names that are as they were are not asked for again, whatever was said of others meanwhile.
    let is_same = before.is_some_and(|before| before.get("acceptedNames") == names);
    let (accepted, mut conditions) = match before {
        Some(before) if is_same => (
            before.get("acceptedNames").cloned().unwrap_or_default(),
            before.get("conditions").cloned().unwrap_or_default(),
        ),
        _ => {
            let naming = naming::names(core, definition, old);
            let conditions = conditions(&naming, old.is_some_and(established));
            (naming.accepted, conditions)
        }
    };
    if object::is_terminating(definition)
        && let Value::Array(conditions) = &mut conditions
        && !conditions
            .iter()
            .any(|one| object::text_at(one, "type") == "Terminating")
    {
        conditions.push(condition(
            "Terminating",
            true,
            "InstanceDeletionInProgress",
            "CustomResource deletion is in progress",
        ));
    }
    let now = object::time(core.now());
    since(&mut conditions, before, &now);
    let status = json!({
        "acceptedNames": accepted,
        "storedVersions": stored,
        "conditions": conditions,
    });
    object::set(definition, "status", status);
}

fn conditions(naming: &Naming, was_established: bool) -> Value {
    let names = match &naming.conflict {
        None => condition("NamesAccepted", true, "NoConflicts", "no conflicts found"),
        Some((reason, message)) => condition("NamesAccepted", false, reason, message),
    };
    let established = if naming.conflict.is_none() || was_established {
        condition(
            "Established",
            true,
            "InitialNamesAccepted",
            "the initial names have been accepted",
        )
    } else {
        condition(
            "Established",
            false,
            "NotAccepted",
            "not all names are accepted",
        )
    };
    json!([names, established])
}

/// Conditions that hold since before keep the time of their coming.
fn since(conditions: &mut Value, before: Option<&Value>, now: &str) {
    let had = before
        .and_then(|before| before.get("conditions"))
        .and_then(Value::as_array);
    for condition in conditions.as_array_mut().into_iter().flatten() {
        let since = had
            .into_iter()
            .flatten()
            .find(|before| {
                ["type", "status"]
                    .iter()
                    .all(|key| before.get(*key) == condition.get(*key))
            })
            .map(|before| object::text_at(before, "lastTransitionTime"))
            .unwrap_or_else(|| now.to_owned());
        object::set(condition, "lastTransitionTime", since);
    }
}

fn condition(kind: &str, is: bool, reason: &str, message: &str) -> Value {
    json!({
        "type": kind,
        "status": if is { "True" } else { "False" },
        "reason": reason,
        "message": message,
    })
}
