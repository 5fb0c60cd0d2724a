//! What is wrong with a CustomResourceDefinition.
//!
//! Source of the rules and their words: `k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation`.

mod names;
mod parts;

use serde_json::Value;

use super::list;
use crate::json::object;
use crate::model::status::Cause;
use crate::schema;
use crate::state::core::Core;
use names::joined;

/// What is wrong with a new definition, or with a change to one.
pub(super) fn definition(core: &Core, definition: &Value, old: Option<&Value>) -> Vec<Cause> {
    let text = |path: &str| object::text_at(definition, path);
    let mut causes = Vec::new();
    if old.is_none() {
        causes.extend(names::own(definition));
    }
    causes.extend(names::group(&text("spec.group")));
    let scope = text("spec.scope");
    match scope.as_str() {
        "Cluster" | "Namespaced" => {}
        "" => causes.push(Cause::required("spec.scope", "")),
        _ => causes.push(Cause::not_supported(
            "spec.scope",
            &scope.into(),
            &["Cluster", "Namespaced"],
        )),
    }
    causes.extend(versions(definition));
    causes.extend(names::names(definition));
    causes.extend(parts::faults(definition));
    causes.extend(conversion(definition));
    if let Some(old) = old {
        causes.extend(immutable(definition, old));
    }
    causes.extend(stored_versions(definition));
    if object::at(definition, "spec.preserveUnknownFields") == Some(&Value::Bool(true)) {
        causes.push(Cause::invalid(
            "spec.preserveUnknownFields",
            &Value::Bool(true),
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        ));
    }
    if object::at(definition, "spec.preserveUnknownFields") == Some(&Value::Bool(true))
        && parts::has_defaults(definition)
    {
        causes.push(Cause::invalid(
            "spec.preserveUnknownFields",
            &Value::Bool(true),
            "must be false in order to use defaults in the schema",
        ));
    }
    let is_built_in = core.built_in.iter().any(|built_in| {
        built_in.group == text("spec.group") && built_in.plural == text("spec.names.plural")
    });
    if is_built_in {
        causes.push(Cause::forbidden(
            "spec.names.plural",
            "this resource is part of the server and cannot be defined anew",
        ));
    }
    causes
}

/// What is said to whoever uses formats that nobody knows, and did not before.
pub(super) fn warnings(definition: &Value, old: Option<&Value>) -> Vec<String> {
    let before = old.map(unknown_formats).unwrap_or_default();
    unknown_formats(definition)
        .into_iter()
        .filter(|format| !before.contains(format))
        .map(|format| format!("unrecognized format {format:?}"))
        .collect()
}

fn unknown_formats(definition: &Value) -> Vec<&str> {
    let mut unknown = Vec::new();
    for version in list(definition, "spec.versions") {
        if let Some(schema) = version.pointer("/schema/openAPIV3Schema") {
            for format in schema::unknown_formats(schema) {
                if !unknown.contains(&format) {
                    unknown.push(format);
                }
            }
        }
    }
    unknown
}

fn versions(definition: &Value) -> Vec<Cause> {
    let all = list(definition, "spec.versions");
    let mut causes = Vec::new();
    for (at, version) in all.iter().enumerate() {
        if version.pointer("/schema/openAPIV3Schema").is_none() {
            let field = format!("spec.versions[{at}].schema.openAPIV3Schema");
            causes.push(Cause::required(field, ""));
        }
        let field = |name: &str| format!("spec.versions[{at}].{name}");
        let name = object::text_at(version, "name");
        causes.extend(joined(field("name"), &name, names::label(&name)));
        // The first version has an older field of its own.
        if at == 0 && !name.is_empty() {
            causes.extend(joined("spec.version", &name, names::label(&name)));
        }
        if let Some(warning) = version.get("deprecationWarning").and_then(Value::as_str) {
            let is_deprecated = version.get("deprecated") == Some(&Value::Bool(true));
            causes.extend(
                deprecation(is_deprecated, warning)
                    .map(|why| Cause::invalid(field("deprecationWarning"), &warning.into(), why)),
            );
        }
    }
    let whole = || object::at(definition, "spec.versions").unwrap_or(&Value::Null);
    let is_unlike_others = |(at, version): (usize, &Value)| {
        let name = version.get("name");
        all.iter().take(at).all(|other| other.get("name") != name)
    };
    if !all.iter().enumerate().all(is_unlike_others) {
        let why = "must contain unique version names";
        causes.push(Cause::invalid("spec.versions", whole(), why));
    }
    if all.iter().filter(|version| stores(version)).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(Cause::invalid("spec.versions", whole(), why));
    }
    causes
}

fn stores(version: &Value) -> bool {
    version.get("storage") == Some(&Value::Bool(true))
}

fn deprecation(is_deprecated: bool, warning: &str) -> Option<&'static str> {
    if !is_deprecated {
        Some("can only be set for deprecated versions")
    } else if warning.len() > 256 {
        Some("must be <= 256 characters long")
    } else if warning.is_empty() {
        Some("must not be an empty string")
    } else {
        None
    }
}

/// Whether objects that are stored can still be read.
fn stored_versions(definition: &Value) -> Vec<Cause> {
    const FIELD: &str = "status.storedVersions";
    let whole = object::at(definition, FIELD).unwrap_or(&Value::Null);
    let stored = object::strings(Some(whole));
    if stored.is_empty() {
        return vec![Cause::invalid(
            FIELD,
            &Value::Null,
            "must have at least one stored version",
        )];
    }
    let versions = list(definition, "spec.versions");
    let mut causes = Vec::new();
    for version in versions.iter().filter(|version| stores(version)) {
        let name = object::text_at(version, "name");
        if !stored.contains(&name.as_str()) {
            let why = format!("must have the storage version {name}");
            causes.push(Cause::invalid(FIELD, whole, &why));
        }
    }
    for (at, name) in stored.iter().enumerate() {
        let is_there = |version: &Value| object::text_at(version, "name") == *name;
        if !versions.iter().any(is_there) {
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            causes.push(Cause::invalid(
                format!("{FIELD}[{at}]"),
                &(*name).into(),
                &why,
            ));
        }
    }
    causes
}

fn conversion(definition: &Value) -> Vec<Cause> {
    let Some(conversion) = object::at(definition, "spec.conversion") else {
        return Vec::new();
    };
    let strategy = object::text_at(conversion, "strategy");
    let field = |name: &str| format!("spec.conversion.{name}");
    let mut causes = Vec::new();
    if strategy != "None"
        && object::at(definition, "spec.preserveUnknownFields") == Some(&Value::Bool(true))
    {
        let why = "must be None if spec.preserveUnknownFields is true";
        causes.push(Cause::invalid(
            field("strategy"),
            &strategy.as_str().into(),
            why,
        ));
    }
    match strategy.as_str() {
        "None" => {}
        "" => causes.push(Cause::required(field("strategy"), "")),
        "Webhook" => {
            causes.push(Cause::forbidden(
                field("strategy"),
                "conversion webhooks are not called by this server; use None",
            ));
            return causes;
        }
        other => causes.push(Cause::not_supported(
            field("strategy"),
            &other.into(),
            &["None", "Webhook"],
        )),
    }
    let why = "should not be set when strategy is not set to Webhook";
    if conversion.pointer("/webhook/clientConfig").is_some() {
        causes.push(Cause::forbidden(field("webhookClientConfig"), why));
    }
    let versions = object::strings(conversion.pointer("/webhook/conversionReviewVersions"));
    if !versions.is_empty() {
        causes.push(Cause::forbidden(field("conversionReviewVersions"), why));
    }
    causes
}

/// Where objects are stored and what they are cannot change; some of it only once the kind is served.
fn immutable(definition: &Value, old: &Value) -> Vec<Cause> {
    let fields: &[&str] = if crate::state::definitions::established(old) {
        &[
            "spec.scope",
            "spec.names.kind",
            "spec.group",
            "spec.names.plural",
        ]
    } else {
        &["spec.group", "spec.names.plural"]
    };
    let text = |of: &Value, field: &str| Value::from(object::text_at(of, field));
    fields
        .iter()
        .filter_map(|field| {
            let (now, before) = (text(definition, field), text(old, field));
            super::immutable(field, Some(&now), Some(&before))
        })
        .collect()
}
