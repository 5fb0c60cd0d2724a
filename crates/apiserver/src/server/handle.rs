//! From a request to its answer: which verb on which resource, in which form.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;

use axum::body::Body;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::model::names;
use crate::model::resource::Resource;
use crate::model::status::ApiError;
use crate::model::strategy::Strategy;
use crate::model::user::User;
use crate::read::{self, discovery, logs, openapi, review, watch};
use crate::state::core::Core;
use crate::store::Stored;
use crate::wire::media::{self, Form, Spoken};
use crate::wire::patch_type::{self, PatchType};
use crate::wire::path::{self, ResourcePath, Route};
use crate::wire::query::{self, FieldValidation, Params, Write, WriteOptions};
use crate::wire::{table, view};
use crate::write;
use crate::write::decode;
use crate::write::deletion::{self, DeleteOptions};
use crate::write::scale;
use crate::write::write_request::WriteRequest;
use crate::write::written::Written;

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
    if let Some(name) = &path.name
        && let [why, ..] = names::path_segment(name).as_slice()
    {
        return Err(ApiError::bad_request(format!(
            "Name parameter invalid: {name:?}: {why}"
        )));
    }
    let (parts, body) = request.into_parts();
    let params = Params::of(&parts.uri)?;
    if resource.strategy == Strategy::Review {
        if parts.method != Method::POST {
            return Err(ApiError::method_not_allowed());
        }
        let sent = media::read(body).await?;
        let media_type = media::content_type(&parts.headers);
        let sent = decode::body(
            &resource,
            None,
            media_type,
            &sent,
            FieldValidation::default(),
        )?;
        return review::answer(&resource, &user(&parts.extensions), sent.value);
    }
    match path.subresource.as_deref() {
        None => {}
        Some("status") if resource.status => {}
        Some("scale") if resource.scale => {}
        Some("finalize") if resource.strategy == Strategy::Namespace => {}
        Some("log") if resource.strategy == Strategy::Pod => {
            return logs::answer(core, &resource, path, &params).await;
        }
        Some(other) if resource.strategy == Strategy::Pod => {
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
        Some(_) if resource.is_kubernetes_own() => return Err(ApiError::no_such_path()),
        Some(_) => {
            let name = path.name.as_deref().unwrap_or_default();
            return Err(ApiError::not_found(&*resource, name));
        }
    }
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
    let response = if is_read {
        let form = accepted.form;
        if watches {
            return watch::watch(core, &resource, path, &params, form).await;
        } else if path.name.is_none() {
            read::list(core, &resource, path, &params, form).await?
        } else if path.subresource.as_deref() == Some("scale") {
            scale_of(core, &resource, path).await?
        } else {
            read::get(core, &resource, path, &params, form).await?
        }
    } else {
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
        let body = shaped(
            core,
            &resource,
            &answered.body,
            accepted.form,
            &request.params,
        );
        let mut response = media::json(answered.status, body.to_string());
        media::warn(&mut response, &answered.warnings);
        response
    };
    Ok(if accepted.yaml {
        media::as_yaml(response).await
    } else {
        response
    })
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

/// A written object in the form that the client wants; statuses stay what they are.
fn shaped<'a>(
    core: &Core,
    resource: &Resource,
    object: &'a Value,
    form: Form,
    params: &Params,
) -> Cow<'a, Value> {
    let kind = object.get("kind").and_then(Value::as_str);
    if kind != Some(resource.kind.as_str()) {
        return Cow::Borrowed(object);
    }
    match form {
        Form::Plain => Cow::Borrowed(object),
        Form::Metadata(meta) | Form::MetadataList(meta) => {
            Cow::Owned(table::metadata_only(object, meta))
        }
        Form::Table(meta) => {
            let include = table::Include::of(params).unwrap_or_default();
            let row = table::row(resource, object, (include, meta), core.now());
            let version = crate::json::object::meta(object, "resourceVersion");
            Cow::Owned(table::table_of(
                vec![row],
                Some(table::definitions(resource)),
                &json!({"resourceVersion": version}),
                meta,
            ))
        }
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
    check_verb(resource, path, &request.method, subresource)?;
    let media_type = media::content_type(&request.headers);
    let patch = match request.method {
        Method::PATCH if path.name.is_some() => Some(patch_type::form(resource, media_type)?),
        _ => None,
    };
    let kind = match (&request.method, &patch) {
        (&Method::POST, _) => Write::Create,
        (_, Some(PatchType::Apply)) => Write::Apply,
        (_, Some(_)) => Write::Patch,
        _ => Write::Update,
    };
    let options = if request.method == Method::DELETE {
        WriteOptions::default()
    } else {
        WriteOptions::of(&request.params, kind)?
    };
    let call = WriteRequest {
        core,
        user: &request.user,
        resource,
        namespace: path.namespace.clone().unwrap_or_default(),
        subresource,
        options,
        agent: agent(&request.headers),
        warnings: RefCell::default(),
    };
    let written = carry_out(&call, path, media_type, request, patch);
    written.map_err(|mut error| {
        error.details.warnings = call.warnings.take();
        error
    })
}

fn carry_out(
    call: &WriteRequest<'_>,
    path: &ResourcePath,
    media_type: &str,
    request: &Change,
    patch: Option<PatchType>,
) -> Result<Answered, ApiError> {
    let (resource, subresource) = (call.resource, call.subresource);
    let validation = call.options.field_validation;
    let body = || decode::body(resource, subresource, media_type, &request.sent, validation);
    let written = match (&request.method, path.name.as_deref(), patch) {
        (&Method::POST, None, _) if !resource.namespaced || path.namespace.is_some() => {
            write::create(call, body()?)?
        }
        (&Method::PUT, Some(name), _) => write::replace(call, name, body()?)?,
        (&Method::PATCH, Some(name), Some(form)) => write::patch(call, name, form, &request.sent)?,
        (&Method::DELETE, _, _) if subresource.is_none() => {
            return delete(call, path, media_type, request);
        }
        _ => return Err(ApiError::method_not_allowed()),
    };
    Ok(Answered::of(written, call))
}

/// Refuses what cannot be done there, before anything else is looked at.
fn check_verb(
    resource: &Resource,
    path: &ResourcePath,
    method: &Method,
    subresource: Option<&str>,
) -> Result<(), ApiError> {
    let has_name = path.name.is_some();
    let is_served = match *method {
        Method::POST => !has_name && (!resource.namespaced || path.namespace.is_some()),
        Method::PUT | Method::PATCH => has_name,
        _ => subresource.is_none(),
    };
    if is_served {
        return Ok(());
    }
    Err(if resource.is_kubernetes_own() {
        ApiError::method_not_allowed()
    } else {
        ApiError::verb_not_supported(resource, verb(method, has_name))
    })
}

/// What a request does, in Kubernetes' words.
fn verb(method: &Method, has_name: bool) -> &'static str {
    match *method {
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        _ if has_name => "delete",
        _ => "deletecollection",
    }
}

impl Answered {
    fn of(written: Written, call: &WriteRequest<'_>) -> Self {
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
    call: &WriteRequest<'_>,
    path: &ResourcePath,
    media_type: &str,
    request: &Change,
) -> Result<Answered, ApiError> {
    // Kinds are emptied namespace by namespace, and namespaces one by one.
    let is_whole_kind = path.name.is_none()
        && (resource_is_namespace(call.resource)
            || (call.resource.namespaced && path.namespace.is_none()));
    if is_whole_kind {
        return Err(ApiError::method_not_allowed());
    }
    let sent = if request.sent.is_empty() {
        Value::Null
    } else {
        delete_options(media_type, &request.sent)?
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
            // The answer is what there was, and not what became of it.
            let items: Vec<Value> = objects
                .iter()
                .map(|object| view::value(call.resource, object))
                .collect();
            let deleted = deletion::delete_all(call, &objects, &options)?;
            let latest = deleted.iter().filter_map(|one| one.revision).max();
            let list = json!({
                "kind": call.resource.list_kind,
                "apiVersion": call.resource.api_version(),
                "metadata": read::list_meta(call.resource, revision),
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

fn resource_is_namespace(resource: &Resource) -> bool {
    resource.strategy == Strategy::Namespace
}

/// The body of a delete. What is wrong with it is told as it comes from Kubernetes' decoder.
fn delete_options(media_type: &str, sent: &[u8]) -> Result<Value, ApiError> {
    let sent = decode::read(media_type, sent).map_err(|unread| match unread {
        decode::Unread::MediaType => ApiError::unsupported_media_type(
            "application/json, application/yaml, application/vnd.kubernetes.protobuf",
        ),
        decode::Unread::Syntax(why) => ApiError::plain(500, why),
    })?;
    let text = |key: &str| {
        sent.value
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    match (&sent.value, text("kind")) {
        (Value::Object(_), "" | "DeleteOptions") | (Value::Null, _) => Ok(sent.value),
        (Value::Object(_), kind) => Err(ApiError::plain(
            500,
            format!(
                "no kind {kind:?} is registered for version {:?} in scheme \"pkg/runtime/scheme.go:110\"",
                text("apiVersion")
            ),
        )),
        (other, _) => Err(ApiError::plain(500, decode::no_object(other))),
    }
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
