//! `Table` and `PartialObjectMetadata`: the forms that `kubectl get` and metadata
//! watchers ask for.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::media::Meta;
use super::query::Params;
use super::view;
use crate::model::columns;
use crate::model::resource::{Column, Resource};
use crate::model::status::ApiError;
use crate::store::Stored;

/// What a table's rows carry of their objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Include {
    /// Nothing.
    None,
    /// The metadata (the usual).
    #[default]
    Metadata,
    /// The whole object.
    Object,
}

impl Include {
    /// Reads `includeObject`.
    pub fn of(params: &Params) -> Result<Self, ApiError> {
        match params.text("includeObject") {
            Some("None") => Ok(Self::None),
            Some("Object") => Ok(Self::Object),
            None | Some("Metadata") => Ok(Self::Metadata),
            Some(other) => Err(ApiError::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', 'None', or empty"
            ))),
        }
    }
}

/// A table of objects.
pub fn table(
    resource: &Resource,
    objects: &[Arc<Stored>],
    list_meta: &Value,
    (include, meta): (Include, Meta),
    now: Timestamp,
) -> Bytes {
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            row(
                resource,
                &view::value(resource, object),
                (include, meta),
                now,
            )
        })
        .collect();
    Bytes::from(table_of(rows, Some(definitions(resource)), list_meta, meta).to_string())
}

/// A table as it goes into a watch event: the headings come with the first one only.
pub fn table_of(
    rows: Vec<Value>,
    definitions: Option<Value>,
    list_meta: &Value,
    meta: Meta,
) -> Value {
    json!({
        "kind": "Table",
        "apiVersion": meta.api_version(),
        "metadata": list_meta,
        "columnDefinitions": definitions.unwrap_or(Value::Null),
        "rows": rows,
    })
}

/// One object's row.
pub fn row(
    resource: &Resource,
    object: &Value,
    (include, meta): (Include, Meta),
    now: Timestamp,
) -> Value {
    let cells = columns::cells(resource, object, now);
    match include {
        Include::None => json!({"cells": cells, "object": null}),
        Include::Metadata => json!({"cells": cells, "object": metadata_only(object, meta)}),
        Include::Object => json!({"cells": cells, "object": object}),
    }
}

/// The headings.
pub fn definitions(resource: &Resource) -> Value {
    resource.columns.iter().map(definition).collect()
}

fn definition(column: &Column) -> Value {
    json!({
        "name": column.name,
        "type": column.kind,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    })
}

/// The object's metadata as an object of its own.
pub fn metadata_only(object: &Value, meta: Meta) -> Value {
    let mut only = Map::new();
    only.insert("kind".to_owned(), "PartialObjectMetadata".into());
    only.insert("apiVersion".to_owned(), meta.api_version().into());
    only.insert(
        "metadata".to_owned(),
        object.get("metadata").cloned().unwrap_or_default(),
    );
    Value::Object(only)
}

/// One object was asked for as metadata, and there are several.
pub fn is_a_list(resource: &Resource) -> ApiError {
    let go = if resource.is_kubernetes_own() {
        format!("{}List", go_type(resource))
    } else {
        "unstructured.UnstructuredList".to_owned()
    };
    ApiError::new(
        406,
        "NotAcceptable",
        format!("you requested PartialObjectMetadata, but the requested object is a list (*{go})"),
    )
}

/// A list of metadata was asked for, and there is one object.
pub fn is_no_list(resource: &Resource) -> ApiError {
    if !resource.is_kubernetes_own() {
        return ApiError::plain(500, "content is not a list");
    }
    let go = go_type(resource);
    ApiError::new(
        406,
        "NotAcceptable",
        format!(
            "you requested PartialObjectMetadataList, but the requested object is not a list (*{go})"
        ),
    )
}

/// The type's name in Kubernetes' code.
fn go_type(resource: &Resource) -> String {
    let package = match resource.group.split('.').next() {
        None | Some("") => "core",
        Some(package) => package,
    };
    format!("{package}.{}", resource.kind)
}

/// A list of metadata.
pub fn metadata_list(
    resource: &Resource,
    objects: &[Arc<Stored>],
    list_meta: &Value,
    meta: Meta,
) -> Bytes {
    let items = objects
        .iter()
        .map(|object| metadata_only(&view::value(resource, object), meta));
    // Kubernetes says no items by null here.
    let items: Option<Vec<Value>> = (!objects.is_empty()).then(|| items.collect());
    Bytes::from(
        json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": meta.api_version(),
            "metadata": list_meta,
            "items": items,
        })
        .to_string(),
    )
}
