//! `GET .../pods/NAME/log`, answered from whoever keeps the logs.

use std::sync::Arc;

use axum::body::Body;
use futures::StreamExt as _;
use http::{HeaderValue, Response, header};

use super::core::{Core, key};
use super::object;
use super::path::ResourcePath;
use super::query::Params;
use super::resource::Resource;
use super::status::ApiError;
use crate::local::pod_logs::{LogError, LogRequest};

/// Streams a container's log.
pub async fn answer(
    core: &Arc<Core>,
    resource: &Resource,
    path: &ResourcePath,
    params: &Params,
) -> Result<Response<Body>, ApiError> {
    let name = path.name.clone().unwrap_or_default();
    let namespace = path.namespace.clone().unwrap_or_default();
    let pod = core
        .store
        .get(&key(resource, &namespace, &name))
        .ok_or_else(|| ApiError::not_found(resource, &name))?
        .value();
    let container = container(&pod, &name, params.text("container"))?;
    let since_seconds = match params.number::<i64>("sinceSeconds")? {
        Some(seconds) => Some(seconds),
        None => params
            .text("sinceTime")
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .map(|since| (core.now().as_second() - since.as_second()).max(0)),
    };
    let request = LogRequest {
        namespace,
        pod: name.clone(),
        container: Some(container.clone()),
        follow: params.flag("follow"),
        previous: params.flag("previous"),
        timestamps: params.flag("timestamps"),
        tail_lines: params.number("tailLines")?,
        since_seconds,
        limit_bytes: params.number("limitBytes")?,
    };
    let Some(keeper) = core.pod_logs.read().clone() else {
        return Err(ApiError::not_implemented(
            "this server has no node, so there are no logs",
        ));
    };
    let stream = keeper.open(request).map_err(|error| match error {
        LogError::BadRequest(why) => ApiError::bad_request(why),
        LogError::NotFound(why) => ApiError::new(404, "NotFound", why),
    })?;
    let stopping = core.stopping.clone();
    let stream = stream.take_until(async move { stopping.cancelled().await });
    let mut response = Response::new(Body::from_stream(stream));
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// The container that is meant, worded as Kubernetes where it cannot be told.
fn container(
    pod: &serde_json::Value,
    name: &str,
    wanted: Option<&str>,
) -> Result<String, ApiError> {
    let names = |list: &str| -> Vec<String> {
        object::at(pod, list)
            .and_then(serde_json::Value::as_array)
            .into_iter()
            .flatten()
            .map(|container| object::text_at(container, "name"))
            .collect()
    };
    let (containers, init) = (names("spec.containers"), names("spec.initContainers"));
    match (wanted, containers.as_slice()) {
        (Some(wanted), _) if containers.iter().chain(&init).any(|found| found == wanted) => {
            Ok(wanted.to_owned())
        }
        (Some(wanted), _) => Err(ApiError::bad_request(format!(
            "container {wanted} is not valid for pod {name}"
        ))),
        (None, [only]) => Ok(only.clone()),
        (None, _) => Err(ApiError::bad_request(format!(
            "a container name must be specified for pod {name}, choose one of: [{}]",
            containers.join(" ")
        ))),
    }
}
