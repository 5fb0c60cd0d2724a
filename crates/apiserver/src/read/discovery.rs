//! What is served: `/api`, `/apis` and below, in the legacy and the aggregated form.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::json::object;
use crate::model::registry::Registry;
use crate::model::resource::{Resource, api_version};
use crate::model::status::ApiError;
use crate::model::strategy::Strategy;
use crate::state::core::Core;
use crate::wire::media;

/// The Kubernetes version that this server speaks like.
pub const VERSION: &str = "v1.34.3";

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const VERBS: &[&str] = &[
    "create",
    "delete",
    "deletecollection",
    "get",
    "list",
    "patch",
    "update",
    "watch",
];

/// `/version`.
pub fn version() -> Response<Body> {
    let body = json!({
        "major": "1",
        "minor": "34",
        "gitVersion": format!("{VERSION}+sluice"),
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{}/{}", std::env::consts::OS, platform_arch()),
    });
    media::json(StatusCode::OK, body.to_string())
}

fn platform_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// `/api`.
pub fn core_versions(core: &Core, headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    let registry = core.registry.load();
    if wants_aggregated(headers) {
        return Ok(aggregated(&registry, true));
    }
    let body = json!({
        "kind": "APIVersions",
        "versions": ["v1"],
        "serverAddressByClientCIDRs": [],
    });
    Ok(media::json(StatusCode::OK, body.to_string()))
}

/// `/apis`.
pub fn groups(core: &Core, headers: &HeaderMap) -> Result<Response<Body>, ApiError> {
    let registry = core.registry.load();
    if wants_aggregated(headers) {
        return Ok(aggregated(&registry, false));
    }
    let groups: Vec<Value> = registry
        .groups()
        .iter()
        .filter(|(group, _)| !group.is_empty())
        .map(|(group, versions)| api_group(group, versions))
        .collect();
    let body = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups});
    Ok(media::json(StatusCode::OK, body.to_string()))
}

/// `/apis/GROUP`.
pub fn group(core: &Core, group: &str) -> Result<Response<Body>, ApiError> {
    let registry = core.registry.load();
    let groups = registry.groups();
    let versions = groups.get(group).ok_or_else(ApiError::page_not_found)?;
    let mut body = api_group(group, versions);
    object::set(&mut body, "kind", "APIGroup");
    object::set(&mut body, "apiVersion", "v1");
    Ok(media::json(StatusCode::OK, body.to_string()))
}

fn api_group(group: &str, versions: &[&str]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|version| json!({"groupVersion": api_version(group, version), "version": version}))
        .collect();
    json!({"name": group, "preferredVersion": versions.first(), "versions": versions})
}

/// `/api/v1`, `/apis/GROUP/VERSION`.
pub fn resources(core: &Core, group: &str, version: &str) -> Result<Response<Body>, ApiError> {
    let registry = core.registry.load();
    let mut entries = Vec::new();
    for resource in registry.in_version(group, version) {
        let mut entry = json!({
            "name": resource.plural,
            "singularName": resource.singular,
            "namespaced": resource.namespaced,
            "kind": resource.kind,
            "verbs": verbs(resource),
        });
        if !resource.short_names.is_empty() {
            object::set(&mut entry, "shortNames", json!(resource.short_names));
        }
        if !resource.categories.is_empty() {
            object::set(&mut entry, "categories", json!(resource.categories));
        }
        entries.push(entry);
        for sub in subresources(resource) {
            let mut entry = json!({
                "name": format!("{}/{}", resource.plural, sub.name),
                "singularName": "",
                "namespaced": resource.namespaced,
                "kind": sub.kind,
                "verbs": sub.verbs,
            });
            if let Some((group, version)) = sub.group_version {
                object::set(&mut entry, "group", group);
                object::set(&mut entry, "version", version);
            }
            entries.push(entry);
        }
    }
    if entries.is_empty() {
        return Err(ApiError::no_such_path());
    }
    let body = json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": api_version(group, version),
        "resources": entries,
    });
    Ok(media::json(StatusCode::OK, body.to_string()))
}

fn verbs(resource: &Resource) -> &'static [&'static str] {
    match resource.strategy {
        Strategy::Review => &["create"],
        Strategy::Namespace => &[
            "create", "delete", "get", "list", "patch", "update", "watch",
        ],
        _ => VERBS,
    }
}

struct Subresource<'a> {
    name: &'static str,
    kind: &'a str,
    verbs: &'static [&'static str],
    group_version: Option<(&'static str, &'static str)>,
}

fn subresources(resource: &Resource) -> Vec<Subresource<'_>> {
    let mut found = Vec::new();
    if resource.strategy == Strategy::Pod {
        found.push(Subresource {
            name: "log",
            kind: &resource.kind,
            verbs: &["get"],
            group_version: None,
        });
    }
    if resource.scale {
        found.push(Subresource {
            name: "scale",
            kind: "Scale",
            verbs: &["get", "patch", "update"],
            group_version: Some(("autoscaling", "v1")),
        });
    }
    if resource.status {
        found.push(Subresource {
            name: "status",
            kind: &resource.kind,
            verbs: &["get", "patch", "update"],
            group_version: None,
        });
    }
    found
}

fn wants_aggregated(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok())
        .into_iter()
        .flat_map(|value| value.split(','))
        .any(|choice| {
            let parts: Vec<&str> = choice.split(';').map(str::trim).collect();
            [
                "application/json",
                "g=apidiscovery.k8s.io",
                "v=v2",
                "as=APIGroupDiscoveryList",
            ]
            .iter()
            .all(|part| parts.contains(part))
        })
}

fn aggregated(registry: &Registry, core_group: bool) -> Response<Body> {
    let items: Vec<Value> = registry
        .groups()
        .iter()
        .filter(|(group, _)| group.is_empty() == core_group)
        .map(|(group, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|version| {
                    let resources: Vec<Value> = registry
                        .in_version(group, version)
                        .map(|resource| aggregated_resource(resource))
                        .collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            json!({"metadata": {"name": group, "creationTimestamp": null}, "versions": versions})
        })
        .collect();
    let body = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": items,
    });
    let mut response = media::json(StatusCode::OK, body.to_string());
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(AGGREGATED));
    response
}

fn aggregated_resource(resource: &Resource) -> Value {
    let kind = |group: &str, version: &str, kind: &str| json!({"group": group, "version": version, "kind": kind});
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": kind(&resource.group, &resource.version, &resource.kind),
        "scope": if resource.namespaced { "Namespaced" } else { "Cluster" },
        "singularResource": resource.singular,
        "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        object::set(&mut entry, "shortNames", json!(resource.short_names));
    }
    if !resource.categories.is_empty() {
        object::set(&mut entry, "categories", json!(resource.categories));
    }
    let subresources: Vec<Value> = subresources(resource)
        .iter()
        .map(|sub| {
            let (group, version) = sub
                .group_version
                .unwrap_or((&resource.group, &resource.version));
            json!({
                "subresource": sub.name,
                "responseKind": kind(group, version, sub.kind),
                "verbs": sub.verbs,
            })
        })
        .collect();
    if !subresources.is_empty() {
        object::set(&mut entry, "subresources", subresources);
    }
    entry
}
