//! From a request to its answer: which verb on which resource, in which form.

use std::cell::RefCell;
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::core::Core;
use super::deletion::{self, DeleteOptions};
use super::media;
use super::path::{self, ResourcePath, Route};
use super::query::{Params, WriteOptions};
use super::resource::Resource;
use super::status::ApiError;
use super::store::Stored;
use super::user::User;
use super::write::{self, Call, Written};
use super::{discovery, logs, openapi, patching, read, review, scale, view, watch};

/// Answers a request; errors become `Status` objects.
pub async fn handle(core: Arc<Core>, request: Request<Body>) -> Response<Body> {
    match answer(&core, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    }
}

async fn answer(core: &Arc<Core>, request: Request<Body>) -> Result<Response<Body>, ApiError> {
    let route = path::parse(request.uri().path());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match route {
        Route::Resource(path) => resource(core, &path, request).await,
        Route::Unknown => Err(ApiError::no_such_path()),
        _ if !reads => Err(ApiError::method_not_allowed()),
        Route::CoreVersions => discovery::core_versions(core, request.headers()),
        Route::Groups => discovery::groups(core, request.headers()),
        Route::Group(group) => discovery::group(core, &group),
        Route::Resources { group, version } => discovery::resources(core, &group, &version),
        Route::Version => Ok(discovery::version()),
        Route::Health => {
            let mut ok = Response::new(Body::from("ok"));
            ok.headers_mut().insert(
                header::CONTENT_TYPE,
                http::HeaderValue::from_static("text/plain; charset=utf-8"),
            );
            Ok(ok)
        }
        Route::OpenApiV3(document) => openapi::v3(core, &document, request.headers()),
        Route::OpenApiV2 => openapi::v2(request.headers()),
    }
}

async fn resource(
    core: &Arc<Core>,
    path: &ResourcePath,
    request: Request<Body>,
) -> Result<Response<Body>, ApiError> {
    let resource = core.resource(path)?;
    let (parts, body) = request.into_parts();
    let params = Params::of(&parts.uri)?;
    if resource.behaviour == Behaviour::Review {
        if parts.method != Method::POST {
            return Err(ApiError::method_not_allowed());
        }
        let sent = media::read(body).await?;
        let sent = media::decode(media::content_type(&parts.headers), &sent)?;
        return review::answer(&resource, &user(&parts.extensions), sent);
    }
    match path.subresource.as_deref() {
        None => {}
        Some("status") if resource.status => {}
        Some("scale") if resource.scale.is_some() => {}
        Some("finalize") if resource.behaviour == Behaviour::Namespace => {}
        Some("log") if resource.behaviour == Behaviour::Pod => {
            return logs::answer(core, &resource, path, &params).await;
        }
        Some(other) if resource.behaviour == Behaviour::Pod => {
            return Err(match other {
                "exec"
                | "attach"
                | "portforward"
                | "proxy"
                | "eviction"
                | "binding"
                | "ephemeralcontainers"
                | "resize" => ApiError::not_implemented(&format!(
                    "pods/{other} is not implemented by this server"
                )),
                _ => ApiError::no_such_path(),
            });
        }
        Some(_) => return Err(ApiError::no_such_path()),
    }
    match parts.method {
        Method::GET | Method::HEAD => {
            let form = media::accepted(&parts.headers)?;
            if params.flag("watch") {
                watch::watch(core, &resource, path, &params, form).await
            } else if path.name.is_none() {
                read::list(core, &resource, path, &params, form).await
            } else if path.subresource.as_deref() == Some("scale") {
                scale_of(core, &resource, path).await
            } else {
                read::get(core, &resource, path, &params, form).await
            }
        }
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE => {
            let sent = media::read(body).await?;
            let request = Change {
                method: parts.method,
                headers: parts.headers,
                params,
                user: user(&parts.extensions),
                sent: sent.to_vec(),
            };
            let answered = change(core, &resource, path, &request)?;
            if let Some(revision) = answered.revision {
                core.store.durable(revision).await?;
            }
            let mut response = media::json(answered.status, answered.body.to_string());
            media::warn(&mut response, &answered.warnings);
            Ok(response)
        }
        _ => Err(ApiError::method_not_allowed()),
    }
}

fn user(extensions: &http::Extensions) -> User {
    extensions
        .get::<User>()
        .cloned()
        .unwrap_or_else(User::local)
}

async fn scale_of(
    core: &Core,
    resource: &Resource,
    path: &ResourcePath,
) -> Result<Response<Body>, ApiError> {
    let name = path.name.as_deref().unwrap_or_default();
    let namespace = path.namespace.as_deref().unwrap_or_default();
    let found = core
        .store
        .get(&super::core::key(resource, namespace, name))
        .ok_or_else(|| ApiError::not_found(resource, name))?;
    core.store.durable(found.revision).await?;
    let scale = scale::of(resource, &view::value(resource, &found));
    Ok(media::json(StatusCode::OK, scale.to_string()))
}

/// A request that may write, with its body read.
struct Change {
    method: Method,
    headers: HeaderMap,
    params: Params,
    user: User,
    sent: Vec<u8>,
}

/// What a write is answered with, once it is on disk.
struct Answered {
    status: StatusCode,
    body: Value,
    revision: Option<u64>,
    warnings: Vec<String>,
}

fn change(
    core: &Arc<Core>,
    resource: &Resource,
    path: &ResourcePath,
    request: &Change,
) -> Result<Answered, ApiError> {
    let subresource = path
        .subresource
        .as_deref()
        .filter(|subresource| *subresource != "finalize");
    let call = Call {
        core,
        user: &request.user,
        resource,
        namespace: path.namespace.clone().unwrap_or_default(),
        subresource,
        options: WriteOptions::of(&request.params)?,
        agent: agent(&request.headers),
        warnings: RefCell::default(),
    };
    let media_type = media::content_type(&request.headers);
    let written = match (&request.method, path.name.as_deref()) {
        (&Method::POST, None) => {
            if resource.namespaced && path.namespace.is_none() {
                return Err(ApiError::method_not_allowed());
            }
            write::create(&call, media::decode(media_type, &request.sent)?)?
        }
        (&Method::PUT, Some(name)) => {
            write::replace(&call, name, media::decode(media_type, &request.sent)?)?
        }
        (&Method::PATCH, Some(name)) => {
            let patch = patching::read(resource, media_type, &request.sent)?;
            if matches!(patch, patching::Patch::Apply(_)) && call.options.field_manager.is_none() {
                return Err(ApiError::new(
                    422,
                    "Invalid",
                    "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
                ));
            }
            write::patch(&call, name, &patch)?
        }
        (&Method::DELETE, _) if subresource.is_none() => {
            return delete(&call, path, media_type, request);
        }
        _ => return Err(ApiError::method_not_allowed()),
    };
    Ok(Answered::of(written, &call))
}

impl Answered {
    fn of(written: Written, call: &Call<'_>) -> Self {
        Self {
            status: if written.created {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            },
            body: written.object,
            revision: written.revision,
            warnings: call.warnings.take(),
        }
    }
}

fn delete(
    call: &Call<'_>,
    path: &ResourcePath,
    media_type: &str,
    request: &Change,
) -> Result<Answered, ApiError> {
    let sent = if request.sent.is_empty() {
        Value::Null
    } else {
        media::decode(media_type, &request.sent)?
    };
    let options = DeleteOptions::of(&sent, &request.params)?;
    let (body, revision) = match &path.name {
        Some(name) => {
            let deleted = deletion::delete(call, name, &options)?;
            (deleted.answer(call), deleted.revision)
        }
        None => {
            let selector = read::selector(call.resource, path, &request.params)?;
            let (revision, objects): (u64, Vec<Arc<Stored>>) =
                read::matching(call.core, call.resource, path, &selector);
            let deleted = deletion::delete_all(call, &objects, &options)?;
            let latest = deleted.iter().filter_map(|one| one.revision).max();
            let items: Vec<Value> = deleted.into_iter().map(|one| one.object).collect();
            let list = json!({
                "kind": call.resource.list_kind,
                "apiVersion": call.resource.api_version(),
                "metadata": {"resourceVersion": latest.unwrap_or(revision).to_string()},
                "items": items,
            });
            (list, latest)
        }
    };
    Ok(Answered {
        status: StatusCode::OK,
        body,
        revision,
        warnings: call.warnings.take(),
    })
}

/// The field manager of clients that name none: the program in `User-Agent`.
fn agent(headers: &HeaderMap) -> String {
    headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split('/').next())
        .filter(|value| !value.is_empty())
        .unwrap_or("unknown")
        .to_owned()
}
