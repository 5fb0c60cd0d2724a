//! CustomResourceDefinitions: kinds that come and go at run time.

mod naming;

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::columns;
use super::core::Core;
use super::jsonpath::JsonPath;
use super::object;
use super::registry::{Registry, version_rank};
use super::resource::{Column, Origin, Resource, ScalePaths, api_version};
use super::schema::Schema;
use super::schemas::SchemaCell;
use super::ssa::Version;
use super::store::Stored;
use naming::Naming;

/// Keeps a definition until its objects are gone.
pub const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
/// The shelf that definitions are on.
pub const STORAGE: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// What stored definitions define, by definition and revision: schemas are compiled once.
#[derive(Default)]
pub struct Compiled(Mutex<HashMap<String, Definition>>);

/// A definition as it was compiled.
struct Definition {
    revision: u64,
    generation: i64,
    /// The revision since which its spec is what it is.
    since: u64,
    resources: Vec<Arc<Resource>>,
}

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

fn compile(stored: &Stored, known: Option<Definition>) -> Definition {
    let definition = stored.value();
    let generation = object::meta(&definition, "generation")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    let since = known
        .filter(|known| known.generation == generation)
        .map_or(stored.revision, |known| known.since);
    let versions = versions(&definition);
    let group = object::text_at(&definition, "spec.group");
    let known: Vec<Version> = versions
        .iter()
        .map(|version| Version {
            api_version: api_version(&group, &object::text_at(version, "name")),
            schema: schema(version),
        })
        .collect();
    let replicas: Vec<Option<String>> = versions
        .iter()
        .map(|version| scale(version).map(|paths| paths.spec))
        .collect();
    let is_served = |version: &&Value| version.get("served") == Some(&Value::Bool(true));
    let served = if established(&definition) {
        versions.iter().filter(is_served).collect()
    } else {
        Vec::new()
    };
    let resources = served.into_iter().map(|version| {
        Arc::new(Resource {
            known: known.clone(),
            replicas: replicas.clone(),
            since,
            ..resource(&definition, version)
        })
    });
    Definition {
        revision: stored.revision,
        generation,
        since,
        resources: resources.collect(),
    }
}

fn schema(version: &Value) -> Schema {
    version
        .pointer("/schema/openAPIV3Schema")
        .map_or_else(Schema::untyped, Schema::from_openapi)
}

/// What everybody is told who uses a version that is deprecated.
fn deprecation(definition: &Value, version: &Value) -> Option<String> {
    let is = |version: &Value, key: &str| version.get(key) == Some(&Value::Bool(true));
    if !is(version, "deprecated") {
        return None;
    }
    if let Some(own) = version.get("deprecationWarning").and_then(Value::as_str) {
        return Some(own.to_owned());
    }
    let group = object::text_at(definition, "spec.group");
    let kind = object::text_at(definition, "spec.names.kind");
    let name = object::text_at(version, "name");
    let newest = versions(definition)
        .iter()
        .filter(|other| is(other, "served") && !is(other, "deprecated"))
        .map(|other| object::text_at(other, "name"))
        .filter(|other| version_rank(other) > version_rank(&name))
        .max_by_key(|other| version_rank(other));
    let instead = newest.map_or(String::new(), |newest| {
        format!("; use {group}/{newest} {kind}")
    });
    Some(format!("{group}/{name} {kind} is deprecated{instead}"))
}

/// Whether the kind was ever accepted.
pub fn established(definition: &Value) -> bool {
    object::at(definition, "status.conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .any(|condition| {
            object::text_at(condition, "type") == "Established"
                && object::text_at(condition, "status") == "True"
        })
}

fn versions(definition: &Value) -> Vec<Value> {
    object::at(definition, "spec.versions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

fn texts(object: &Value, path: &str) -> Vec<String> {
    object::strings(object::at(object, path))
        .into_iter()
        .map(str::to_owned)
        .collect()
}

fn scale(version: &Value) -> Option<ScalePaths> {
    let scale = version.pointer("/subresources/scale")?;
    Some(ScalePaths {
        spec: object::text_at(scale, "specReplicasPath"),
        status: object::text_at(scale, "statusReplicasPath"),
        selector: object::at(scale, "labelSelectorPath")
            .and_then(Value::as_str)
            .map(str::to_owned),
    })
}

fn resource(definition: &Value, version: &Value) -> Resource {
    let text = |path: &str| object::text_at(definition, path);
    let group = text("spec.group");
    let storage_version = versions(definition)
        .iter()
        .find(|version| version.get("storage") == Some(&Value::Bool(true)))
        .map(|version| object::text_at(version, "name"))
        .unwrap_or_default();
    let selectable = version
        .get("selectableFields")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|field| object::text_at(field, "jsonPath"))
        .map(|path| path.trim_start_matches('.').to_owned())
        .collect();
    Resource {
        version: object::text_at(version, "name"),
        kind: text("status.acceptedNames.kind"),
        list_kind: text("status.acceptedNames.listKind"),
        plural: text("status.acceptedNames.plural"),
        singular: text("status.acceptedNames.singular"),
        namespaced: text("spec.scope") == "Namespaced",
        short_names: texts(definition, "status.acceptedNames.shortNames"),
        categories: texts(definition, "status.acceptedNames.categories"),
        status: version.pointer("/subresources/status").is_some(),
        generation: true,
        scale: scale(version),
        columns: printer_columns(version),
        selectable,
        storage: object::name(definition).to_owned(),
        storage_api_version: api_version(&group, &storage_version),
        schema: SchemaCell::from(schema(version)),
        known: Vec::new(),
        replicas: Vec::new(),
        since: 0,
        warning: deprecation(definition, version),
        fingerprint: object::meta_str(definition, "resourceVersion").to_owned(),
        behaviour: Behaviour::Plain,
        origin: Origin::Custom,
        group,
    }
}

fn printer_columns(version: &Value) -> Vec<Column> {
    let mut shown = vec![columns::name()];
    match version
        .get("additionalPrinterColumns")
        .and_then(Value::as_array)
    {
        None => shown.push(columns::custom_age_column()),
        Some(declared) => shown.extend(declared.iter().map(|column| {
            let path = object::text_at(column, "jsonPath");
            let mut description = object::text_at(column, "description");
            if description.is_empty() {
                description =
                    format!("Custom resource definition column (in JSONPath format): {path}");
            }
            Column {
                name: object::text_at(column, "name"),
                kind: object::text_at(column, "type"),
                format: object::text_at(column, "format"),
                description,
                priority: column.get("priority").and_then(Value::as_i64).unwrap_or(0),
                // A path that is not understood finds nothing, as one that is not there.
                path: JsonPath::parse(&path).or_else(|| JsonPath::parse(".spec['']")),
            }
        })),
    }
    shown
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
