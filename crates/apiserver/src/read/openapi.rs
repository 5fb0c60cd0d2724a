//! `/openapi/v3`: an index, and a document for each group version, good for `explain`,
//! for client-side apply's patches and for finding out which parameters are understood.

use std::collections::BTreeMap;

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::discovery;
use crate::model::registry::Registry;
use crate::model::resource::Resource;
use crate::model::schemas;
use crate::model::status::ApiError;
use crate::model::strategy::Strategy;
use crate::state::core::Core;
use crate::wire::media;

/// `/openapi/v3` and the documents below it.
pub fn v3(core: &Core, document: &str, headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    let registry = core.registry.load();
    if document.is_empty() {
        let mut paths = Map::new();
        for (group, versions) in registry.groups() {
            for version in versions {
                let path = document_path(group, version);
                let hash = fingerprint(&registry, group, version);
                let url = format!("/openapi/v3/{path}?hash={hash}");
                paths.insert(path, json!({"serverRelativeURL": url}));
            }
        }
        return Ok(media::json(
            StatusCode::OK,
            json!({"paths": paths}).to_string(),
        ));
    }
    let (group, version) = match document.split('/').collect::<Vec<_>>().as_slice() {
        ["api", version] => (String::new(), (*version).to_owned()),
        ["apis", group, version] => ((*group).to_owned(), (*version).to_owned()),
        _ => return Err(ApiError::no_such_path()),
    };
    if registry.in_version(&group, &version).next().is_none() {
        return Err(ApiError::no_such_path());
    }
    let etag = format!("\"{}\"", fingerprint(&registry, &group, &version));
    let etag = HeaderValue::from_str(&etag).map_err(ApiError::internal)?;
    if headers.get(header::IF_NONE_MATCH) == Some(&etag) {
        let mut same = Response::new(Body::empty());
        *same.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(same);
    }
    let body = document_of(&registry, &group, &version).to_string();
    let mut response = media::json(StatusCode::OK, body);
    response.headers_mut().insert(header::ETAG, etag);
    Ok(response)
}

/// `/openapi/v2`: only its frame; who needs schemas finds them in v3. kubectl asks for it as
/// protobuf before it says that a kind is unknown.
pub fn v2(headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    const PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("*/*");
    if accept.contains("proto-openapi.spec.v2") {
        let mut response = Response::new(Body::from(frame_as_protobuf()));
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static(PROTOBUF));
        return Ok(response);
    }
    if !accept.contains("json") && !accept.contains("*/*") {
        return Err(ApiError::not_acceptable("application/json"));
    }
    let body = json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": discovery::VERSION},
        "paths": {},
        "definitions": {},
    });
    Ok(media::json(StatusCode::OK, body.to_string()))
}

/// The frame in protobuf: `swagger` is field 1 of the document, `info` is field 2 with the
/// title and the version.
fn frame_as_protobuf() -> Vec<u8> {
    let field = |number: u8, bytes: &[u8]| -> Vec<u8> {
        let length = u8::try_from(bytes.len()).unwrap_or(0);
        [&[(number << 3) | 2, length], bytes].concat()
    };
    let info = [
        field(1, b"Kubernetes"),
        field(2, discovery::VERSION.as_bytes()),
    ]
    .concat();
    [field(1, b"2.0"), field(2, &info)].concat()
}

fn document_path(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

/// Changes when the document does: clients keep documents by it.
fn fingerprint(registry: &Registry, group: &str, version: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(env!("CARGO_PKG_VERSION"));
    for resource in registry.in_version(group, version) {
        hash.update(&resource.plural);
        hash.update(&resource.fingerprint);
        hash.update([u8::from(resource.status), 0]);
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

fn document_of(registry: &Registry, group: &str, version: &str) -> Value {
    let mut schemas: BTreeMap<String, Value> = BTreeMap::new();
    let mut paths = Map::new();
    for resource in registry.in_version(group, version) {
        let schema = resource.published_schema();
        for (name, definition) in schema.definitions() {
            schemas.insert(name.clone(), definition.clone());
        }
        let name = schemas::component_name(resource);
        let mut root = schema.to_openapi();
        if let Some(map) = root.as_object_mut() {
            map.insert(
                "x-kubernetes-group-version-kind".to_owned(),
                json!([gvk(resource)]),
            );
        }
        schemas.retain(|_, definition| *definition != root);
        schemas.insert(name.clone(), root);
        add_paths(&mut paths, resource, &name);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": discovery::VERSION},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn gvk(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": resource.version, "kind": resource.kind})
}

fn add_paths(paths: &mut Map<String, Value>, resource: &Resource, component: &str) {
    let root = format!("/{}", document_path(&resource.group, &resource.version));
    let list = if resource.namespaced {
        format!("{root}/namespaces/{{namespace}}/{}", resource.plural)
    } else {
        format!("{root}/{}", resource.plural)
    };
    let reference = json!({"$ref": format!("#/components/schemas/{component}")});
    let content = |media: &str| json!({media: {"schema": reference}});
    let operation = |action: &str, parameters: Value, body: Option<Value>| {
        let mut operation = json!({
            "operationId": format!("{action}{}{}{}", resource.group.replace('.', ""), resource.version, resource.kind),
            "x-kubernetes-action": action,
            "x-kubernetes-group-version-kind": gvk(resource),
            "parameters": parameters,
            "responses": {"200": {"description": "OK", "content": content("application/json")}},
        });
        if let (Some(body), Some(map)) = (body, operation.as_object_mut()) {
            map.insert(
                "requestBody".to_owned(),
                json!({"content": body, "required": true}),
            );
        }
        operation
    };
    let write = || parameters(&["dryRun", "fieldManager", "fieldValidation"]);
    let mut many = json!({"post": operation("post", write(), Some(content("application/json")))});
    if resource.strategy == Strategy::Review {
        paths.insert(list, many);
        return;
    }
    let mut patches = Map::new();
    for media in crate::wire::patch_type::accepted(resource) {
        patches.insert(media.to_owned(), json!({"schema": {"type": "object"}}));
    }
    let one = json!({
        "get": operation("get", json!([]), None),
        "put": operation("put", write(), Some(content("application/json"))),
        "patch": operation(
            "patch",
            parameters(&["dryRun", "fieldManager", "fieldValidation", "force"]),
            Some(Value::Object(patches)),
        ),
        "delete": operation("delete", parameters(&["dryRun", "gracePeriodSeconds", "propagationPolicy"]), None),
    });
    if let Some(map) = many.as_object_mut() {
        map.insert("get".to_owned(), operation("list", json!([]), None));
    }
    paths.insert(format!("{list}/{{name}}"), one);
    paths.insert(list, many);
}

fn parameters(names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| {
            let kind = match *name {
                "force" => "boolean",
                "gracePeriodSeconds" => "integer",
                _ => "string",
            };
            json!({"name": name, "in": "query", "schema": {"type": kind, "uniqueItems": true}})
        })
        .collect()
}
