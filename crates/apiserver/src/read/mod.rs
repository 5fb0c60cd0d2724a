//! Answers requests that read: get and list, watches, logs, discovery, OpenAPI and reviews.

pub mod discovery;
mod list;
pub mod logs;
pub mod openapi;
pub mod review;
pub mod watch;

use std::num::ParseIntError;
use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::{Value, json};

pub use self::list::list;
use crate::json::object;
use crate::model::resource::Resource;
use crate::model::status::{ApiError, Cause};
use crate::state::core::{Core, key};
use crate::store::selector::Selector;
use crate::store::{Broken, Stored};
use crate::wire::media::{self, Form};
use crate::wire::path::ResourcePath;
use crate::wire::query::Params;
use crate::wire::{table, view};

impl From<Broken> for ApiError {
    fn from(broken: Broken) -> Self {
        Self::internal(broken)
    }
}

/// Answers one object.
pub async fn get(
    core: &Core,
    resource: &Resource,
    path: &ResourcePath,
    params: &Params,
    form: Form,
) -> Result<Response<Body>, ApiError> {
    let name = path.name.as_deref().unwrap_or_default();
    let namespace = path.namespace.as_deref().unwrap_or_default();
    check_revision(params, core.store.revision(), |why| {
        ApiError::plain(500, why.to_string())
    })?;
    let found = core.store.get(&key(resource, namespace, name));
    let object = found.ok_or_else(|| ApiError::not_found(resource, name))?;
    core.store.durable(object.revision).await?;
    let body = match form {
        Form::Plain if path.subresource.as_deref() == Some("status") => {
            Bytes::from(view::whole(resource, &object).to_string())
        }
        Form::Plain => view::bytes(resource, &object),
        Form::MetadataList(_) => return Err(table::is_no_list(resource)),
        Form::Metadata(meta) => {
            Bytes::from(table::metadata_only(&view::value(resource, &object), meta).to_string())
        }
        Form::Table(meta) => table::table(
            resource,
            std::slice::from_ref(&object),
            &json!({"resourceVersion": object.revision.to_string()}),
            (table::Include::of(params)?, meta),
            core.now(),
        ),
    };
    Ok(media::json(StatusCode::OK, body))
}

/// What a list says of itself; custom kinds' say that they do not go on.
pub fn list_meta(resource: &Resource, revision: u64) -> Value {
    let mut meta = json!({"resourceVersion": revision.to_string()});
    if !resource.is_kubernetes_own() {
        object::set(&mut meta, "continue", "");
    }
    meta
}

/// The selector of a list or watch; a name in the path is one too.
pub fn selector(
    resource: &Resource,
    path: &ResourcePath,
    params: &Params,
) -> Result<Selector, ApiError> {
    let fields = params
        .text("fieldSelector")
        .map(|fields| view::stored_selector(resource, fields));
    let named = path
        .name
        .as_ref()
        .map(|name| format!("metadata.name={name}"));
    let fields = match (fields, &named) {
        (Some(fields), Some(named)) => Some(format!("{fields},{named}")),
        (Some(fields), None) => Some(fields.into_owned()),
        (None, named) => named.clone(),
    };
    Selector::parse(resource, params.text("labelSelector"), fields.as_deref())
}

/// The objects that are meant, and the revision at which this was so.
pub fn matching(
    core: &Core,
    resource: &Resource,
    path: &ResourcePath,
    selector: &Selector,
) -> (u64, Vec<Arc<Stored>>) {
    let name = selector
        .name()
        .filter(|_| is_single(resource, path, selector));
    let (revision, mut objects) = candidates(core, resource, path, name);
    if !selector.is_empty() {
        objects.retain(|object| selector.matches(object));
    }
    (revision, objects)
}

/// The objects that a selector chooses from, where it may be one by its name alone, and the revision
/// at which this was so.
fn candidates(
    core: &Core,
    resource: &Resource,
    path: &ResourcePath,
    name: Option<&str>,
) -> (u64, Vec<Arc<Stored>>) {
    let Some(name) = name else {
        let namespace = path.namespace.as_deref();
        return core.store.list(&resource.storage, namespace);
    };
    let namespace = path.namespace.as_deref().unwrap_or_default();
    let (revision, found) = core.store.get_at(&key(resource, namespace, name));
    (revision, found.into_iter().collect())
}

/// Whether it is about one object, by its name.
fn is_single(resource: &Resource, path: &ResourcePath, selector: &Selector) -> bool {
    selector.name().is_some() && (path.namespace.is_some() || !resource.namespaced)
}

/// Holds a read against the revision that the client asks for.
fn check_revision(
    params: &Params,
    current: u64,
    unread: fn(RevisionError) -> ApiError,
) -> Result<(), ApiError> {
    let Some(text) = params.text("resourceVersion") else {
        return Ok(());
    };
    let wanted = parse_revision(text).map_err(unread)?;
    if wanted > current {
        return Err(too_large_revision(wanted, current));
    }
    Ok(())
}

/// A revision as clients write it, or what is wrong with it.
pub fn parse_revision(text: &str) -> Result<u64, RevisionError> {
    text.parse().map_err(|source| RevisionError {
        text: text.to_owned(),
        source,
    })
}

/// A text that is no revision, in the words of Kubernetes.
#[derive(Debug, thiserror::Error)]
#[error(
    "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
)]
pub struct RevisionError {
    text: String,
    source: ParseIntError,
}

fn too_large_revision(wanted: u64, current: u64) -> ApiError {
    let mut error = ApiError::new(
        504,
        "Timeout",
        format!("Timeout: Too large resource version: {wanted}, current: {current}"),
    );
    error.details.causes.push(Cause {
        reason: "ResourceVersionTooLarge",
        message: "Too large resource version".to_owned(),
        field: String::new(),
    });
    error.details.retry_after = Some(1);
    error
}
