//! From a request to its answer: which verb on which resource, in which form.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request, Response, StatusCode, header};

use super::change::{self, Change};
use crate::model::names;
use crate::model::resource::Resource;
use crate::model::status::ApiError;
use crate::model::strategy::Strategy;
use crate::model::user::User;
use crate::read::{self, discovery, logs, openapi, review, watch};
use crate::state::core::Core;
use crate::wire::media::{self, Form, Spoken};
use crate::wire::path::{self, ResourcePath, Route};
use crate::wire::query::{self, FieldValidation, Params};
use crate::wire::view;
use crate::write::decode;
use crate::write::scale;

/// Answers a request; errors become `Status` objects.
pub async fn handle(core: Arc<Core>, request: Request<Body>) -> Response<Body> {
    let deprecated = match path::parse(request.uri().path()) {
        Route::Resource(path) => core.resource(&path).ok(),
        _ => None,
    }
    .and_then(|resource| resource.warning.clone());
    let mut response = match answer(&core, request).await {
        Ok(response) => response,
        Err(error) => error.into_response(),
    };
    if let Some(warning) = deprecated {
        media::warn_first(&mut response, warning);
    }
    response
}

async fn answer(core: &Arc<Core>, request: Request<Body>) -> Result<Response<Body>, ApiError> {
    let route = path::parse(request.uri().path());
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match route {
        Route::Resource(path) => resource(core, &path, request).await,
        Route::Unknown if request.uri().path().starts_with("/api") => Err(ApiError::no_such_path()),
        Route::Unknown => Err(ApiError::page_not_found()),
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
    check_name(path)?;
    let (parts, body) = request.into_parts();
    let params = Params::of(&parts.uri)?;
    if resource.strategy == Strategy::Review {
        return answer_review(&resource, &parts, body).await;
    }
    if resource.strategy == Strategy::Pod && path.subresource.as_deref() == Some("log") {
        return logs::answer(core, &resource, path, &params).await;
    }
    check_subresource(&resource, path)?;
    let is_read = parts.method == Method::GET;
    let is_write = matches!(
        parts.method,
        Method::POST | Method::PUT | Method::PATCH | Method::DELETE
    );
    if !is_read && !is_write {
        return Err(ApiError::method_not_allowed());
    }
    media::check(&parts.headers, spoken(&resource, path, is_read))?;
    let watches = params.flag("watch") && path.name.is_none();
    if is_read && path.name.is_none() {
        query::check_list_options(&params, watches)?;
    }
    let accepted = media::accepted(&parts.headers)?;
    if is_read && watches {
        return watch::watch(core, &resource, path, &params, accepted.form).await;
    }
    let response = if is_read {
        answer_read(core, &resource, path, &params, accepted.form).await?
    } else {
        let request = Change {
            method: parts.method,
            headers: parts.headers,
            params,
            user: user(&parts.extensions),
            sent: media::read(body).await?.to_vec(),
        };
        change::answer(core, &resource, path, &request, accepted.form).await?
    };
    Ok(if accepted.yaml {
        media::as_yaml(response).await
    } else {
        response
    })
}

/// Refuses a name that no object can have.
fn check_name(path: &ResourcePath) -> Result<(), ApiError> {
    let Some(name) = &path.name else {
        return Ok(());
    };
    match names::path_segment(name).first() {
        None => Ok(()),
        Some(why) => Err(ApiError::bad_request(format!(
            "Name parameter invalid: {name:?}: {why}"
        ))),
    }
}

/// Refuses a subresource that the kind does not have here.
fn check_subresource(resource: &Resource, path: &ResourcePath) -> Result<(), ApiError> {
    match path.subresource.as_deref() {
        None => Ok(()),
        Some("status") if resource.status => Ok(()),
        Some("scale") if resource.scale => Ok(()),
        Some("finalize") if resource.strategy == Strategy::Namespace => Ok(()),
        Some(
            other @ ("exec"
            | "attach"
            | "portforward"
            | "proxy"
            | "eviction"
            | "binding"
            | "ephemeralcontainers"
            | "resize"),
        ) if resource.strategy == Strategy::Pod => Err(ApiError::not_implemented(&format!(
            "pods/{other} is not implemented by this server"
        ))),
        Some(_) if resource.is_kubernetes_own() => Err(ApiError::no_such_path()),
        Some(_) => {
            let name = path.name.as_deref().unwrap_or_default();
            Err(ApiError::not_found(resource, name))
        }
    }
}

async fn answer_review(
    resource: &Resource,
    parts: &http::request::Parts,
    body: Body,
) -> Result<Response<Body>, ApiError> {
    if parts.method != Method::POST {
        return Err(ApiError::method_not_allowed());
    }
    let sent = media::read(body).await?;
    let media_type = media::content_type(&parts.headers);
    let validation = FieldValidation::default();
    let sent = decode::body(resource, None, media_type, &sent, validation)?;
    review::answer(resource, &user(&parts.extensions), sent.value)
}

/// Answers a list or an object, or the scale of one.
async fn answer_read(
    core: &Core,
    resource: &Resource,
    path: &ResourcePath,
    params: &Params,
    form: Form,
) -> Result<Response<Body>, ApiError> {
    if path.name.is_none() {
        read::list(core, resource, path, params, form).await
    } else if path.subresource.as_deref() == Some("scale") {
        scale_of(core, resource, path).await
    } else {
        read::get(core, resource, path, params, form).await
    }
}

fn spoken(resource: &Resource, path: &ResourcePath, is_read: bool) -> Spoken {
    if !resource.is_kubernetes_own() {
        Spoken::Custom
    } else if is_read && path.name.is_none() {
        Spoken::Collections
    } else {
        Spoken::Objects
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
        .get(&crate::state::core::key(resource, namespace, name))
        .ok_or_else(|| ApiError::not_found(resource, name))?;
    core.store.durable(found.revision).await?;
    let scale = scale::of(&view::value(resource, &found));
    Ok(media::json(StatusCode::OK, scale.to_string()))
}
