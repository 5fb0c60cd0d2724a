//! Get and list.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{BufMut, Bytes, BytesMut};
use http::{Response, StatusCode};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::core::{Core, key};
use super::media::{self, Form};
use super::path::ResourcePath;
use super::query::{self, Params};
use super::resource::Resource;
use super::selector::Selector;
use super::status::{ApiError, Cause};
use super::store::{Broken, Stored};
use super::{object, table, view};

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
    let found = core.store.get(&key(resource, namespace, name));
    let object = found.ok_or_else(|| ApiError::not_found(resource, name))?;
    core.store.durable(object.revision).await?;
    let body = match form {
        Form::Plain => view::bytes(resource, &object),
        Form::Metadata => {
            Bytes::from(table::metadata_only(&view::value(resource, &object)).to_string())
        }
        Form::Table => table::table(
            resource,
            std::slice::from_ref(&object),
            &json!({"resourceVersion": object.revision.to_string()}),
            table::Include::of(params),
            core.now(),
        ),
    };
    Ok(media::json(StatusCode::OK, body))
}

/// Where a list goes on: a remembered answer and the first entry that was not sent.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    rv: u64,
    page: u64,
    at: usize,
}

struct Page {
    id: u64,
    revision: u64,
    storage: String,
    objects: Arc<[Arc<Stored>]>,
}

/// Answers under way: a list in pieces is the list at one revision, so what was not
/// sent yet is remembered (as pointers) until newer lists push it out.
#[derive(Default)]
pub struct Pages {
    pages: Mutex<(u64, VecDeque<Page>)>,
}

/// How many lists in pieces are remembered at a time.
const PAGES: usize = 64;

impl Pages {
    fn keep(&self, revision: u64, storage: &str, objects: Arc<[Arc<Stored>]>) -> u64 {
        let (next, pages) = &mut *self.pages.lock();
        *next += 1;
        pages.push_back(Page {
            id: *next,
            revision,
            storage: storage.to_owned(),
            objects,
        });
        if pages.len() > PAGES {
            pages.pop_front();
        }
        *next
    }

    fn find(&self, token: &Continue, storage: &str) -> Option<Arc<[Arc<Stored>]>> {
        let (_, pages) = &*self.pages.lock();
        pages
            .iter()
            .find(|page| {
                page.id == token.page && page.revision == token.rv && page.storage == storage
            })
            .map(|page| Arc::clone(&page.objects))
    }
}

fn decode_token(token: &str) -> Option<Continue> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()
}

fn encode_token(token: &Continue) -> String {
    URL_SAFE_NO_PAD.encode(json!(token).to_string())
}

/// Answers the objects of a kind that the selectors mean.
pub async fn list(
    core: &Core,
    resource: &Resource,
    path: &ResourcePath,
    params: &Params,
    form: Form,
) -> Result<Response<Body>, ApiError> {
    query::check_list_options(params)?;
    let selector = selector(resource, path, params)?;
    let limit = params
        .number::<i64>("limit")?
        .and_then(|limit| usize::try_from(limit).ok())
        .filter(|limit| *limit > 0);
    let (revision, objects, start, page) = match params.text("continue") {
        Some(text) => {
            let token = decode_token(text)
                .ok_or_else(|| {
                    ApiError::bad_request(
                        "invalid continue token: continue key is not valid: it was not given by this server",
                    )
                })?;
            let objects = core.pages.find(&token, &resource.storage).ok_or_else(|| {
                ApiError::expired("The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.")
            })?;
            (token.rv, objects, token.at, Some(token.page))
        }
        None => {
            let (revision, objects) = matching(core, resource, path, &selector);
            check_revision(params, revision)?;
            core.store.durable(revision).await?;
            (revision, Arc::from(objects), 0, None)
        }
    };
    let end = limit.map_or(objects.len(), |limit| {
        start.saturating_add(limit).min(objects.len())
    });
    let shown = objects.get(start..end).unwrap_or_default();
    let mut list_meta = json!({"resourceVersion": revision.to_string()});
    if end < objects.len() {
        let page = page.unwrap_or_else(|| {
            core.pages
                .keep(revision, &resource.storage, Arc::clone(&objects))
        });
        let token = Continue {
            rv: revision,
            page,
            at: end,
        };
        object::set(&mut list_meta, "continue", encode_token(&token));
        if selector.is_empty() {
            object::set(&mut list_meta, "remainingItemCount", objects.len() - end);
        }
    }
    let body = match form {
        Form::Plain => plain_list(resource, shown, &list_meta),
        Form::Metadata => table::metadata_list(resource, shown, &list_meta),
        Form::Table => table::table(
            resource,
            shown,
            &list_meta,
            table::Include::of(params),
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
    if let Some(name) = selector.name()
        && (path.namespace.is_some() || !resource.namespaced)
    {
        let namespace = path.namespace.as_deref().unwrap_or_default();
        let (revision, found) = core.store.get_at(&key(resource, namespace, name));
        let found = found.filter(|object| selector.matches(object));
        return (revision, found.into_iter().collect());
    }
    let (revision, mut objects) = core
        .store
        .list(&resource.storage, path.namespace.as_deref());
    if !selector.is_empty() {
        objects.retain(|object| selector.matches(object));
    }
    (revision, objects)
}

/// Holds a list against the revision that the client asks for.
fn check_revision(params: &Params, current: u64) -> Result<(), ApiError> {
    let Some(text) = params.text("resourceVersion") else {
        return Ok(());
    };
    let wanted = parse_revision(text)
        .map_err(|why| ApiError::bad_request(format!("invalid resource version: {why}")))?;
    if params.text("resourceVersionMatch") == Some("Exact") && wanted < current {
        return Err(ApiError::expired(
            "The resourceVersion for the provided list is too old.",
        ));
    }
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

fn plain_list(
    resource: &Resource,
    objects: &[Arc<Stored>],
    list_meta: &serde_json::Value,
) -> Bytes {
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
