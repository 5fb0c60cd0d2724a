//! CustomResourceDefinitions: kinds that come and go at run time.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::columns;
use super::core::Core;
use super::jsonpath::JsonPath;
use super::object;
use super::registry::Registry;
use super::resource::{Column, Origin, Resource, ScalePaths, api_version};
use super::rules;
use super::schema::Schema;
use super::schemas::SchemaCell;
use super::status::Cause;
use super::store::Stored;

/// Keeps a definition until its objects are gone.
pub const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
/// The shelf that definitions are on.
pub const STORAGE: &str = "customresourcedefinitions.apiextensions.k8s.io";

/// What stored definitions define, by definition and revision: schemas are compiled once.
#[derive(Default)]
pub struct Compiled(Mutex<HashMap<String, Definition>>);

/// The definition's revision, and the resources that it defines.
type Definition = (u64, Vec<Arc<Resource>>);

/// Serves what the stored definitions define. Called behind every write of one, before
/// the write is answered.
pub fn serve_defined(core: &Arc<Core>) {
    let mut compiled = core.compiled.0.lock();
    let (_, definitions) = core.store.list(STORAGE, None);
    let mut kept = HashMap::with_capacity(definitions.len());
    for definition in &definitions {
        let name = definition.key.name.clone();
        let entry = compiled
            .remove(&name)
            .filter(|(revision, _)| *revision == definition.revision)
            .unwrap_or_else(|| (definition.revision, compile(definition)));
        kept.insert(name, entry);
    }
    let custom = definitions
        .iter()
        .filter_map(|definition| kept.get(&definition.key.name))
        .flat_map(|(_, resources)| resources.iter().cloned());
    let registry = Registry::new(core.built_in.iter().cloned().chain(custom));
    core.registry.store(Arc::new(registry));
    *compiled = kept;
}

fn compile(definition: &Stored) -> Vec<Arc<Resource>> {
    let definition = definition.value();
    if !established(&definition) {
        return Vec::new();
    }
    versions(&definition)
        .iter()
        .filter(|version| version.get("served") == Some(&Value::Bool(true)))
        .map(|version| Arc::new(resource(&definition, version)))
        .collect()
}

fn established(definition: &Value) -> bool {
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

fn resource(definition: &Value, version: &Value) -> Resource {
    let text = |path: &str| object::text_at(definition, path);
    let group = text("spec.group");
    let storage_version = versions(definition)
        .iter()
        .find(|version| version.get("storage") == Some(&Value::Bool(true)))
        .map(|version| object::text_at(version, "name"))
        .unwrap_or_default();
    let schema = version
        .pointer("/schema/openAPIV3Schema")
        .and_then(|schema| Schema::from_openapi(schema).ok())
        .unwrap_or_else(Schema::untyped);
    let scale = version
        .pointer("/subresources/scale")
        .map(|scale| ScalePaths {
            spec: object::text_at(scale, "specReplicasPath"),
            status: object::text_at(scale, "statusReplicasPath"),
            selector: object::at(scale, "labelSelectorPath")
                .and_then(Value::as_str)
                .map(str::to_owned),
        });
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
        kind: text("spec.names.kind"),
        list_kind: text("spec.names.listKind"),
        plural: text("spec.names.plural"),
        singular: text("spec.names.singular"),
        namespaced: text("spec.scope") == "Namespaced",
        short_names: texts(definition, "spec.names.shortNames"),
        categories: texts(definition, "spec.names.categories"),
        status: version.pointer("/subresources/status").is_some(),
        generation: true,
        scale,
        columns: printer_columns(version),
        selectable,
        storage: object::name(definition).to_owned(),
        storage_api_version: api_version(&group, &storage_version),
        schema: SchemaCell::from(schema),
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

/// Works out a definition's status as the server keeps it: its names are taken, it is
/// established, and which versions objects may be stored in.
pub fn complete(core: &Core, definition: &mut Value, old: Option<&Value>) {
    let now = object::time(core.now());
    let clash = clash(core, definition);
    let names = object::at(definition, "spec.names")
        .cloned()
        .unwrap_or_default();
    let storage = versions(definition)
        .iter()
        .find(|version| version.get("storage") == Some(&Value::Bool(true)))
        .map(|version| object::text_at(version, "name"));
    let mut stored = old
        .map(|old| texts(old, "status.storedVersions"))
        .unwrap_or_default();
    stored.extend(storage.filter(|storage| !stored.contains(storage)));
    let was_established = old.is_some_and(established);
    let accepted = match (&clash, old) {
        (None, _) => names,
        (Some(_), Some(old)) => object::at(old, "status.acceptedNames")
            .cloned()
            .unwrap_or_default(),
        (Some(_), None) => json!({"plural": "", "kind": ""}),
    };
    let mut conditions = vec![match &clash {
        None => condition("NamesAccepted", true, "NoConflicts", "no conflicts found"),
        Some((reason, message)) => condition("NamesAccepted", false, reason, message),
    }];
    conditions.push(if clash.is_none() || was_established {
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
    });
    if object::is_terminating(definition) {
        conditions.push(condition(
            "Terminating",
            true,
            "InstanceDeletionInProgress",
            "CustomResource deletion is in progress",
        ));
    }
    for condition in &mut conditions {
        let since = old
            .and_then(|old| object::at(old, "status.conditions"))
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .find(|before| {
                ["type", "status"]
                    .iter()
                    .all(|key| before.get(*key) == condition.get(*key))
            })
            .map(|before| object::text_at(before, "lastTransitionTime"))
            .unwrap_or_else(|| now.clone());
        object::set(condition, "lastTransitionTime", since);
    }
    let status = json!({
        "acceptedNames": accepted,
        "storedVersions": stored,
        "conditions": conditions,
    });
    object::set(definition, "status", status);
}

fn condition(kind: &str, is: bool, reason: &str, message: &str) -> Value {
    json!({
        "type": kind,
        "status": if is { "True" } else { "False" },
        "reason": reason,
        "message": message,
    })
}

/// Whether another resource of the group has one of the names already.
fn clash(core: &Core, definition: &Value) -> Option<(&'static str, String)> {
    let text = |path: &str| object::text_at(definition, path);
    let group = text("spec.group");
    let own = object::name(definition);
    let registry = core.registry.load();
    let others = || {
        registry
            .all()
            .iter()
            .filter(|other| other.group == group && other.storage != own)
    };
    let (plural, singular, kind, list_kind) = (
        text("spec.names.plural"),
        text("spec.names.singular"),
        text("spec.names.kind"),
        text("spec.names.listKind"),
    );
    let names = |other: &Resource, name: &str| {
        other.plural == name
            || other.singular == name
            || other.short_names.iter().any(|short| short == name)
    };
    let kinds = |other: &Resource, kind: &str| other.kind == kind || other.list_kind == kind;
    let in_use = |name: &str| format!("\"{name}\" is already in use");
    let short = texts(definition, "spec.names.shortNames");
    if others().any(|other| names(other, &plural)) {
        return Some(("PluralConflict", in_use(&plural)));
    }
    if others().any(|other| names(other, &singular)) {
        return Some(("SingularConflict", in_use(&singular)));
    }
    if let Some(taken) = short
        .iter()
        .find(|short| others().any(|other| names(other, short)))
    {
        return Some(("ShortNamesConflict", in_use(taken)));
    }
    if others().any(|other| kinds(other, &kind)) {
        return Some(("KindConflict", in_use(&kind)));
    }
    if others().any(|other| kinds(other, &list_kind)) {
        return Some(("ListKindConflict", in_use(&list_kind)));
    }
    None
}

/// What is wrong with a definition, beyond its schema.
pub fn validate(core: &Core, definition: &Value) -> Vec<Cause> {
    let text = |path: &str| object::text_at(definition, path);
    let mut causes = Vec::new();
    let expected = format!("{}.{}", text("spec.names.plural"), text("spec.group"));
    let name = object::name(definition);
    if name != expected {
        causes.push(Cause::invalid(
            "metadata.name",
            &name.into(),
            "must be spec.names.plural+\".\"+spec.group",
        ));
    }
    let built_in = core.built_in.iter().any(|built_in| {
        built_in.group == text("spec.group") && built_in.plural == text("spec.names.plural")
    });
    if built_in {
        causes.push(Cause::forbidden(
            "spec.names.plural",
            "this resource is part of the server and cannot be defined anew",
        ));
    }
    let versions = versions(definition);
    let storing = versions
        .iter()
        .filter(|version| version.get("storage") == Some(&Value::Bool(true)))
        .count();
    if storing != 1 {
        causes.push(Cause::invalid(
            "spec.versions",
            object::at(definition, "spec.versions").unwrap_or(&Value::Null),
            "must have exactly one version marked as storage version",
        ));
    }
    if text("spec.conversion.strategy") == "Webhook" {
        causes.push(Cause::forbidden(
            "spec.conversion.strategy",
            "conversion webhooks are not called by this server; use None",
        ));
    }
    for (at, version) in versions.iter().enumerate() {
        if version.pointer("/schema/openAPIV3Schema").is_none() {
            let path = format!("spec.versions[{at}].schema.openAPIV3Schema");
            causes.push(Cause::required(path, ""));
        }
    }
    for (path, version) in rules::definition::places(&versions, "schema") {
        // What all versions share has an older name, by which it is told of.
        let part = if path == "spec" {
            "validation"
        } else {
            "schema"
        };
        let path = format!("{path}.{part}.openAPIV3Schema");
        if let Some(schema) = version.pointer("/schema/openAPIV3Schema")
            && let Err(error) = Schema::from_openapi(schema)
        {
            causes.extend(error.faults.iter().map(|fault| fault_in(&path, fault)));
        }
    }
    if object::at(definition, "spec.preserveUnknownFields") == Some(&Value::Bool(true)) {
        causes.push(Cause::invalid(
            "spec.preserveUnknownFields",
            &Value::Bool(true),
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ));
    }
    causes
}

/// A schema's fault with the place of the schema in front.
fn fault_in(path: &str, fault: &str) -> Cause {
    let (field, message) = fault.split_once(": ").unwrap_or(("", fault));
    let reason = if message.starts_with("Required value") {
        "FieldValueRequired"
    } else if message.starts_with("Forbidden") {
        "FieldValueForbidden"
    } else {
        "FieldValueInvalid"
    };
    let field = if field.is_empty() {
        path.to_owned()
    } else {
        format!("{path}.{field}")
    };
    Cause {
        reason,
        message: message.to_owned(),
        field,
    }
}
