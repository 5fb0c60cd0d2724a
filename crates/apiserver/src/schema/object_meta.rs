//! `ObjectMeta` as every kind has it, custom or built in.
//!
//! The shape comes from Kubernetes' own types; the marks are what Kubernetes
//! publishes about how its lists and maps merge.

use std::sync::LazyLock;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Map, Value, json};

use super::Definitions;
use super::merge_keys::mark;

/// The definition's name.
pub(super) const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

const MARKS: &str = "
meta.v1.ObjectMeta finalizers=set,patch:merge ownerReferences=map:uid,patch:merge:uid
meta.v1.OwnerReference .=atomic
";

/// `ObjectMeta` and what it refers to.
pub(crate) fn definitions() -> &'static Definitions {
    static DEFINITIONS: LazyLock<Definitions> = LazyLock::new(|| {
        let mut definitions = from_schemars(schemars::schema_for!(ObjectMeta));
        mark(&mut definitions, MARKS);
        definitions
    });
    &DEFINITIONS
}

/// Turns what `schemars` makes of a Kubernetes type into OpenAPI v3 definitions, the
/// type itself among them.
pub(crate) fn from_schemars(schema: schemars::Schema) -> Definitions {
    let mut root = match schema.to_value() {
        Value::Object(root) => root,
        _ => Map::new(),
    };
    let mut definitions = Definitions::new();
    if let Some(Value::Object(named)) = root.remove("$defs") {
        definitions.extend(named);
    }
    root.remove("$schema");
    if let Some(Value::String(title)) = root.remove("title") {
        definitions.insert(title, Value::Object(root));
    }
    for definition in definitions.values_mut() {
        rewrite_references(definition);
    }
    definitions
}

/// `{"$ref": "#/$defs/X", "description": ...}` becomes an `allOf` of one reference, the
/// way Kubernetes publishes it (OpenAPI v3.0 allows nothing beside a `$ref`).
fn rewrite_references(value: &mut Value) {
    match value {
        Value::Object(object) => {
            if let Some(Value::String(target)) = object.get("$ref") {
                let name = target.rsplit('/').next().unwrap_or_default();
                let reference = json!({"$ref": format!("#/components/schemas/{name}")});
                object.remove("$ref");
                if object.is_empty() {
                    *value = reference;
                } else {
                    object.insert("allOf".to_owned(), json!([reference]));
                }
                return;
            }
            object.values_mut().for_each(rewrite_references);
        }
        Value::Array(items) => items.iter_mut().for_each(rewrite_references),
        _ => {}
    }
}
