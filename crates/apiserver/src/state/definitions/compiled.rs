//! What a CustomResourceDefinition defines: the resources that are served of it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::Value;

use crate::json::jsonpath::JsonPath;
use crate::json::object;
use crate::model::columns;
use crate::model::registry::version_rank;
use crate::model::resource::{Column, Origin, Resource, SchemaCell, Version, api_version};
use crate::model::strategy::Strategy;
use crate::schema::Schema;
use crate::store::Stored;

/// What stored definitions define, by definition and revision: schemas are compiled once.
#[derive(Default)]
pub struct Compiled(pub(super) Mutex<HashMap<String, Definition>>);

/// A definition as it was compiled.
pub struct Definition {
    /// The revision that it was compiled at.
    pub(super) revision: u64,
    generation: i64,
    /// The revision since which its spec is what it is.
    since: u64,
    /// What is served of it.
    pub(super) resources: Vec<Arc<Resource>>,
}

/// Compiles a definition; `known` is what was made of it before.
pub(super) fn compile(stored: &Stored, known: Option<Definition>) -> Definition {
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
    let is_served = |version: &&Value| version.get("served") == Some(&Value::Bool(true));
    let served = if established(&definition) {
        versions.iter().filter(is_served).collect()
    } else {
        Vec::new()
    };
    let resources = served.into_iter().map(|version| {
        Arc::new(Resource {
            known: known.clone(),
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

/// Its versions.
pub(super) fn versions(definition: &Value) -> Vec<Value> {
    object::at(definition, "spec.versions")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

/// The texts of the list at a path.
pub(super) fn texts(object: &Value, path: &str) -> Vec<String> {
    object::strings(object::at(object, path))
        .into_iter()
        .map(str::to_owned)
        .collect()
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
        scale: false,
        columns: printer_columns(version),
        selectable,
        storage: object::name(definition).to_owned(),
        storage_api_version: api_version(&group, &storage_version),
        schema: SchemaCell::from(schema(version)),
        known: Vec::new(),
        since: 0,
        warning: deprecation(definition, version),
        fingerprint: object::meta_str(definition, "resourceVersion").to_owned(),
        webhook: false,
        strategy: Strategy::Plain,
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
