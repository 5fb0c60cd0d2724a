//! Lists, whole and in pieces.

use std::sync::Arc;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{candidates, check_revision, is_single, list_meta, selector};
use crate::json::object;
use crate::model::resource::Resource;
use crate::model::status::ApiError;
use crate::state::core::Core;
use crate::store::Stored;
use crate::store::selector::Selector;
use crate::wire::media::{self, Form};
use crate::wire::path::ResourcePath;
use crate::wire::query::Params;
use crate::wire::{table, view};

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
    let token = params.text("continue").map(Continue::decode).transpose()?;
    // What goes on is never about one object alone.
    let is_single = token.is_none() && is_single(resource, path, &selector);
    let source = Source {
        core,
        resource,
        path,
        name: selector.name().filter(|_| is_single),
    };
    let (revision, objects) = match &token {
        Some(token) => source.going_on(token)?,
        None => source.asked_for(params, limit.is_some()).await?,
    };
    let start = token.map_or(0, |token| {
        let from = format!("/{}", token.start.trim_start_matches('/'));
        objects.partition_point(|object| place(path, object) < from)
    });
    let rest = objects.get(start..).unwrap_or_default();
    // Whoever takes what there is, however old, gets all of it.
    let limit = limit.filter(|_| params.text("resourceVersion") != Some("0"));
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

/// Where a list takes its objects from: those of a path, or the one of them that has the name.
struct Source<'a> {
    core: &'a Core,
    resource: &'a Resource,
    path: &'a ResourcePath,
    name: Option<&'a str>,
}

impl Source<'_> {
    /// The objects of which a list that was begun has to send the rest, and their revision.
    fn going_on(&self, token: &Continue) -> Result<(u64, Vec<Arc<Stored>>), ApiError> {
        if token.rv == Continue::LATEST {
            return Ok(self.latest());
        }
        let revision = u64::try_from(token.rv).unwrap_or_default();
        let objects = self.at(revision);
        Ok((revision, objects.ok_or_else(|| too_old_to_go_on(token))?))
    }

    /// The objects at the revision that the client asks for, or at the newest.
    async fn asked_for(
        &self,
        params: &Params,
        in_pieces: bool,
    ) -> Result<(u64, Vec<Arc<Stored>>), ApiError> {
        let is_single = self.name.is_some();
        if let Some(revision) = exact_revision(params, in_pieces && !is_single)
            && revision < self.core.store.revision()
        {
            let objects = self.at(revision).ok_or_else(|| {
                ApiError::expired("The resourceVersion for the provided list is too old.")
            })?;
            return Ok((revision, objects));
        }
        let (revision, objects) = self.latest();
        check_revision(params, revision, |why| {
            ApiError::bad_request(format!("invalid resource version: {why}"))
        })
        .map_err(|mut error| {
            if is_single && exact_revision(params, in_pieces).is_some() {
                error.details.retry_after = None;
            }
            error
        })?;
        self.core.store.durable(revision).await?;
        Ok((revision, objects))
    }

    fn latest(&self) -> (u64, Vec<Arc<Stored>>) {
        candidates(self.core, self.resource, self.path, self.name)
    }

    /// The same as they were at a revision. `None`: it is forgotten.
    fn at(&self, revision: u64) -> Option<Vec<Arc<Stored>>> {
        let namespace = self.path.namespace.as_deref();
        let store = &self.core.store;
        let mut objects = store.list_at(&self.resource.storage, namespace, revision)?;
        objects.retain(|object| self.name.is_none_or(|name| object.key.name == name));
        Some(objects)
    }
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

fn too_old_to_go_on(token: &Continue) -> ApiError {
    let mut error = ApiError::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    // The store reads the key behind the slash that the cache begins it with.
    let start = token.start.trim_start_matches('/').to_owned();
    error.details.goes_on = Some(Continue::encode(Continue::LATEST, start));
    error
}

/// The object's place in a list of its kind, as tokens say it.
fn place(path: &ResourcePath, object: &Stored) -> String {
    if path.namespace.is_some() || object.key.namespace.is_empty() {
        format!("/{}", object.key.name)
    } else {
        format!("/{}/{}", object.key.namespace, object.key.name)
    }
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
