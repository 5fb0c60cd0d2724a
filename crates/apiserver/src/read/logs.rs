//! `GET .../pods/NAME/log`, answered from whoever keeps the logs.

use std::sync::Arc;

use axum::body::Body;
use futures::StreamExt as _;
use http::{HeaderValue, Response, header};

use crate::json::object;
use crate::model::resource::Resource;
use crate::model::status::{ApiError, Cause};
use crate::state::core::{Core, key};
use crate::state::pod_logs::{LogError, LogRequest};
use crate::wire::path::ResourcePath;
use crate::wire::query::Params;

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
    let asked = Asked::of(params, &name)?;
    let container = container(&pod, &name, params.text("container"))?;
    let since_seconds = asked.since_seconds.or_else(|| {
        let since = asked.since_time?;
        Some((core.now().as_second() - since.as_second()).max(0))
    });
    let request = LogRequest {
        namespace,
        pod: name.clone(),
        container: Some(container.clone()),
        follow: params.flag("follow"),
        previous: params.flag("previous"),
        timestamps: params.flag("timestamps"),
        tail_lines: asked
            .tail_lines
            .and_then(|lines| usize::try_from(lines).ok()),
        since_seconds,
        limit_bytes: asked
            .limit_bytes
            .and_then(|bytes| usize::try_from(bytes).ok()),
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

/// The numbers of `PodLogOptions`.
struct Asked {
    tail_lines: Option<i64>,
    limit_bytes: Option<i64>,
    since_seconds: Option<i64>,
    since_time: Option<jiff::Timestamp>,
}

impl Asked {
    fn of(params: &Params, pod: &str) -> Result<Self, ApiError> {
        let since_time = params
            .text("sinceTime")
            .map(|text| {
                text.parse::<jiff::Timestamp>().map_err(|_| {
                    ApiError::bad_request(format!(
                        "parsing time {text:?} as \"2006-01-02T15:04:05Z07:00\": cannot parse {text:?} as \"2006\""
                    ))
                })
            })
            .transpose()?;
        let asked = Self {
            tail_lines: params.number("tailLines")?,
            limit_bytes: params.number("limitBytes")?,
            since_seconds: params.number("sinceSeconds")?,
            since_time,
        };
        let mut causes = Vec::new();
        let below = |field: &str, given: Option<i64>, least: i64, why: &str| {
            let given = given.filter(|given| *given < least)?;
            Some(Cause::invalid(field, &given.into(), why))
        };
        let zero = "must be greater than or equal to 0";
        let one = "must be greater than 0";
        causes.extend(below("tailLines", asked.tail_lines, 0, zero));
        causes.extend(below("limitBytes", asked.limit_bytes, 1, one));
        if asked.since_seconds.is_some() && asked.since_time.is_some() {
            causes.push(Cause::forbidden(
                "[]",
                "at most one of `sinceTime` or `sinceSeconds` may be specified",
            ));
        } else {
            causes.extend(below("sinceSeconds", asked.since_seconds, 1, one));
        }
        if causes.is_empty() {
            Ok(asked)
        } else {
            Err(ApiError::invalid_as("", "PodLogOptions", pod, causes))
        }
    }
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
