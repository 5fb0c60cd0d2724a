//! Answers requests that read: get and list, watches, logs, discovery, OpenAPI and reviews.

pub mod discovery;
pub mod logs;
pub mod openapi;
pub mod review;
pub mod watch;

use std::sync::Arc;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

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
        ApiError::plain(500, why)
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

/// Where a list goes on: the revision that it is of, and the first key that was not sent. The same
/// bytes as Kubernetes' own.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    #[serde(default)]
    v: String,
    #[serde(default)]
    rv: i64,
    #[serde(default)]
    start: String,
}

impl Continue {
    const VERSION: &str = "meta.k8s.io/v1";
    /// Goes on with what there is by now, where the revision is forgotten.
    const LATEST: i64 = -1;

    fn decode(token: &str) -> Result<Self, ApiError> {
        let wrong = |why: String| {
            ApiError::bad_request(format!(
                "invalid continue token: continue key is not valid{why}"
            ))
        };
        let bytes = URL_SAFE_NO_PAD
            .decode(token)
            .map_err(|why| wrong(format!(": {why}")))?;
        let token: Self =
            serde_json::from_slice(&bytes).map_err(|why| wrong(format!(": {why}")))?;
        match (token.v.as_str(), token.rv, token.start.as_str()) {
            (Self::VERSION, 0, _) => Err(wrong(
                ": incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_owned(),
            )),
            (Self::VERSION, _, "") => Err(wrong(
                ": encoded start key empty (version meta.k8s.io/v1)".to_owned(),
            )),
            (Self::VERSION, ..) => Ok(token),
            (other, ..) => Err(wrong(format!(
                ": server does not recognize this encoded version {other}"
            ))),
        }
    }

    fn encode(rv: i64, start: String) -> String {
        let token = Self {
            v: Self::VERSION.to_owned(),
            rv,
            start,
        };
        URL_SAFE_NO_PAD.encode(json!(token).to_string())
    }
}

/// The object's place in a list of its kind, as tokens say it.
fn place(path: &ResourcePath, object: &Stored) -> String {
    if path.namespace.is_some() || object.key.namespace.is_empty() {
        format!("/{}", object.key.name)
    } else {
        format!("/{}/{}", object.key.namespace, object.key.name)
    }
}

/// What a list says of itself; custom kinds' say that they do not go on.
pub fn list_meta(resource: &Resource, revision: u64) -> Value {
    let mut meta = json!({"resourceVersion": revision.to_string()});
    if !resource.is_kubernetes_own() {
        object::set(&mut meta, "continue", "");
    }
    meta
}

/// Answers the objects of a kind that the selectors mean.
pub async fn list(
    core: &Core,
    resource: &Resource,
    path: &ResourcePath,
    params: &Params,
    form: Form,
) -> Result<Response<Body>, ApiError> {
    let selector = selector(resource, path, params)?;
    let limit = params
        .number::<i64>("limit")?
        .and_then(|limit| usize::try_from(limit).ok())
        .filter(|limit| *limit > 0);
    let in_pieces = limit.is_some();
    // Whoever takes what there is, however old, gets all of it.
    let limit = limit.filter(|_| params.text("resourceVersion") != Some("0"));
    let token = params.text("continue").map(Continue::decode).transpose()?;
    // What goes on is never about one object alone.
    let is_single = token.is_none() && is_single(resource, path, &selector);
    let name = selector.name().filter(|_| is_single);
    let (revision, objects) = match &token {
        Some(token) if token.rv == Continue::LATEST => candidates(core, resource, path, name),
        Some(token) => {
            let revision = u64::try_from(token.rv).unwrap_or_default();
            let objects = candidates_at(core, resource, path, name, revision);
            (revision, objects.ok_or_else(|| too_old_to_go_on(token))?)
        }
        None => match exact_revision(params, in_pieces && !is_single) {
            Some(revision) if revision < core.store.revision() => {
                let objects = candidates_at(core, resource, path, name, revision);
                let objects = objects.ok_or_else(|| {
                    ApiError::expired("The resourceVersion for the provided list is too old.")
                })?;
                (revision, objects)
            }
            _ => {
                let (revision, objects) = candidates(core, resource, path, name);
                check_revision(params, revision, |why| {
                    ApiError::bad_request(format!("invalid resource version: {why}"))
                })
                .map_err(|mut error| {
                    if is_single && exact_revision(params, in_pieces).is_some() {
                        error.details.retry_after = None;
                    }
                    error
                })?;
                core.store.durable(revision).await?;
                (revision, objects)
            }
        },
    };
    let start = token.map_or(0, |token| {
        let from = format!("/{}", token.start.trim_start_matches('/'));
        objects.partition_point(|object| place(path, object) < from)
    });
    let rest = objects.get(start..).unwrap_or_default();
    let (shown, left) = piece(rest, &selector, limit);
    let mut list_meta = match form {
        Form::Plain => list_meta(resource, revision),
        _ => json!({"resourceVersion": revision.to_string()}),
    };
    if left > 0
        && let Some(last) = shown.last()
    {
        let next = format!("{}\0", place(path, last));
        let rv = i64::try_from(revision).unwrap_or(Continue::LATEST);
        object::set(&mut list_meta, "continue", Continue::encode(rv, next));
        if selector.is_empty() {
            object::set(&mut list_meta, "remainingItemCount", left);
        }
    }
    let body = match form {
        Form::Plain => plain_list(resource, &shown, &list_meta),
        Form::Metadata(_) => return Err(table::is_a_list(resource)),
        Form::MetadataList(meta) => table::metadata_list(resource, &shown, &list_meta, meta),
        Form::Table(meta) => table::table(
            resource,
            &shown,
            &list_meta,
            (table::Include::of(params)?, meta),
            core.now(),
        ),
    };
    Ok(media::json(StatusCode::OK, body))
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

/// As many of the objects as are wanted, and how many are left behind the last of them. Whether those
/// are meant is not looked at: the next piece may be empty, as Kubernetes' are.
fn piece(
    objects: &[Arc<Stored>],
    selector: &Selector,
    limit: Option<usize>,
) -> (Vec<Arc<Stored>>, usize) {
    let mut shown = Vec::new();
    for (at, object) in objects.iter().enumerate() {
        if selector.matches(object) {
            shown.push(Arc::clone(object));
        }
        if limit == Some(shown.len()) {
            return (shown, objects.len() - at - 1);
        }
    }
    (shown, 0)
}

/// Whether it is about one object, by its name.
fn is_single(resource: &Resource, path: &ResourcePath, selector: &Selector) -> bool {
    selector.name().is_some() && (path.namespace.is_some() || !resource.namespaced)
}

/// The same as they were at a revision. `None`: it is forgotten.
fn candidates_at(
    core: &Core,
    resource: &Resource,
    path: &ResourcePath,
    name: Option<&str>,
    revision: u64,
) -> Option<Vec<Arc<Stored>>> {
    let mut objects = core
        .store
        .list_at(&resource.storage, path.namespace.as_deref(), revision)?;
    objects.retain(|object| name.is_none_or(|name| object.key.name == name));
    Some(objects)
}

/// The revision that a list is to be of, and not of a later one: a list in pieces is meant so, too.
fn exact_revision(params: &Params, in_pieces: bool) -> Option<u64> {
    let is_exact = match params.text("resourceVersionMatch") {
        Some(how) => how == "Exact",
        None => in_pieces,
    };
    params
        .text("resourceVersion")
        .filter(|_| is_exact)?
        .parse()
        .ok()
        .filter(|revision| *revision > 0)
}

fn too_old_to_go_on(token: &Continue) -> ApiError {
    let mut error = ApiError::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    // The store reads the key behind the slash that the cache begins it with.
    let start = token.start.trim_start_matches('/').to_owned();
    error.details.goes_on = Some(Continue::encode(Continue::LATEST, start));
    error
}

/// Holds a read against the revision that the client asks for.
fn check_revision(
    params: &Params,
    current: u64,
    unread: fn(String) -> ApiError,
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
pub fn parse_revision(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        format!(
            "resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax"
        )
    })
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

fn plain_list(resource: &Resource, objects: &[Arc<Stored>], list_meta: &Value) -> Bytes {
    let size: usize = objects.iter().map(|object| object.body.len() + 1).sum();
    let mut body = BytesMut::with_capacity(size + 256);
    body.put_slice(
        format!(
            "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{list_meta},\"items\":[",
            json!(resource.list_kind),
            json!(resource.api_version())
        )
        .as_bytes(),
    );
    for (at, object) in objects.iter().enumerate() {
        if at > 0 {
            body.put_u8(b',');
        }
        body.put_slice(&view::bytes(resource, object));
    }
    body.put_slice(b"]}");
    body.freeze()
}
