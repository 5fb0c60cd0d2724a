//! The checks of the four kinds: which rules hold for which.

use serde_json::Value;

use super::defaults::same;
use super::field_error::FieldErrors;
use super::{
    Operation, Review, autoscaling, changes, metadata, pod_spec, spec_of, text, text_map, traffic,
};
use crate::api::dns_names;

/// The most seconds that a request may take (`max-revision-timeout-seconds`).
const MAX_TIMEOUT_SECONDS: i64 = 600;
/// The most requests at once per instance (`container-concurrency-max-limit`).
const MAX_CONTAINER_CONCURRENCY: i64 = 1000;

/// Everything that is wrong with the object, or deserves a warning.
pub fn check(review: &Review<'_>, object: &Value) -> FieldErrors {
    let old = match review.operation {
        Operation::Create => None,
        Operation::Update => review.old,
    };
    match review.kind {
        "Service" => service(object, old),
        "Configuration" => configuration(object, old),
        "Revision" => revision(object, old),
        "Route" => route(object, old),
        _ => FieldErrors::none(),
    }
}

fn service(object: &Value, old: Option<&Value>) -> FieldErrors {
    let meta = metadata_of(object);
    let mut errors = metadata::object(meta, false)
        .also(metadata::rollout_duration(meta).via("annotations"))
        .via("metadata");
    errors.add(
        template(object)
            .also(traffic::list_in_service(spec_of(object)))
            .via("spec"),
    );
    if let Some(old) = old {
        errors.add(metadata::creator_and_modifier(old, object));
        errors.add(name_change(old, object));
    }
    errors
}

fn configuration(object: &Value, old: Option<&Value>) -> FieldErrors {
    let meta = metadata_of(object);
    let mut errors = metadata::object(meta, false)
        .also(metadata::owned_label(
            meta,
            "serving.knative.dev/service",
            "Service",
        ))
        .via("metadata");
    errors.add(template(object).via("spec"));
    if let Some(old) = old {
        if !metadata::has_owner(meta) {
            errors.add(metadata::creator_and_modifier(old, object));
        }
        errors.add(name_change(old, object));
    }
    errors
}

fn revision(object: &Value, old: Option<&Value>) -> FieldErrors {
    let meta = metadata_of(object);
    let errors = metadata::object(meta, true)
        .also(metadata::owned_label(
            meta,
            "serving.knative.dev/configuration",
            "Configuration",
        ))
        .via("metadata");
    let Some(old) = old else {
        return errors.also(revision_spec(spec_of(object)).via("spec"));
    };
    let diff = changes::told("spec", spec_of(old), spec_of(object));
    if diff.is_empty() {
        errors
    } else {
        FieldErrors::at("Immutable fields changed (-old +new)", "spec").details(diff)
    }
}

fn route(object: &Value, old: Option<&Value>) -> FieldErrors {
    let meta = metadata_of(object);
    let mut errors = metadata::object(meta, false)
        .also(metadata::owned_label(
            meta,
            "serving.knative.dev/service",
            "Service",
        ))
        .also(metadata::rollout_duration(meta).via("annotations"))
        .via("metadata");
    errors.add(traffic::list_in_route(spec_of(object)).via("spec"));
    if let Some(old) = old
        && !metadata::has_owner(meta)
    {
        errors.add(metadata::creator_and_modifier(old, object));
    }
    errors
}

/// The checks of `spec.template`, with paths from `spec`.
fn template(object: &Value) -> FieldErrors {
    let parent = metadata_of(object);
    let template = spec_of(object).get("template").unwrap_or(&Value::Null);
    let meta = metadata_of(template);
    let annotations = text_map(meta, "annotations");
    revision_spec(spec_of(template))
        .via("spec")
        .also(autoscaling::annotations(&annotations).via("metadata.annotations"))
        .also(metadata::networking_annotations(&annotations).via("metadata.annotations"))
        .also(revision_name(parent, meta))
        .also(metadata::queue_sidecar(&annotations).via("metadata.annotations"))
        .also(metadata::progress_deadline(&annotations).via("metadata.annotations"))
        .via("template")
}

fn revision_spec(spec: &Value) -> FieldErrors {
    let number = |key: &str| spec.get(key).and_then(Value::as_i64);
    let mut errors = pod_spec::check(spec);
    if let Some(seconds) = number("timeoutSeconds")
        && !(0..=MAX_TIMEOUT_SECONDS).contains(&seconds)
    {
        errors.add(FieldErrors::out_of_bounds(
            seconds,
            0,
            MAX_TIMEOUT_SECONDS,
            "timeoutSeconds",
        ));
    }
    if let Some(limit) = number("containerConcurrency")
        && !(0..=MAX_CONTAINER_CONCURRENCY).contains(&limit)
    {
        errors.add(FieldErrors::out_of_bounds(
            limit,
            0,
            MAX_CONTAINER_CONCURRENCY,
            "containerConcurrency",
        ));
    }
    errors
}

/// The rules of a revision name that the user brings (`template.metadata.name`).
fn revision_name(parent: &Value, template: &Value) -> FieldErrors {
    let prefix = text(template, "generateName");
    if !prefix.is_empty() {
        let wrong = dns_names::dns_1035_prefix(prefix);
        if !wrong.is_empty() {
            return FieldErrors::invalid(
                format!("not a DNS 1035 label prefix: {}", metadata::go_list(&wrong)),
                "metadata.generateName",
            );
        }
    }
    let name = text(template, "name");
    if name.is_empty() {
        return FieldErrors::none();
    }
    let wrong = dns_names::dns_1035_label(name);
    if !wrong.is_empty() {
        return FieldErrors::invalid(
            format!("not a DNS 1035 label: {}", metadata::go_list(&wrong)),
            "metadata.name",
        );
    }
    let parent_name = text(parent, "name");
    if parent_name.is_empty() && !text(parent, "generateName").is_empty() {
        return FieldErrors::disallowed(["metadata.name"]);
    }
    let prefix = format!("{parent_name}-");
    if !name.starts_with(&prefix) {
        return FieldErrors::invalid(
            format!("{name:?} must have prefix {prefix:?}"),
            "metadata.name",
        );
    }
    FieldErrors::none()
}

/// A template under a name of the user's own may only change together with the name.
fn name_change(old: &Value, new: &Value) -> FieldErrors {
    let template = |object| spec_of(object).get("template").unwrap_or(&Value::Null);
    let (old, new) = (template(old), template(new));
    let name = text(metadata_of(new), "name");
    if name.is_empty() || name != text(metadata_of(old), "name") || same(old, new) {
        return FieldErrors::none();
    }
    let diff = changes::told("spec.template", old, new);
    if diff.is_empty() {
        return FieldErrors::none();
    }
    FieldErrors::at(
        "Saw the following changes without a name change (-old +new)",
        "metadata.name",
    )
    .details(diff)
    .via("spec.template")
}

fn metadata_of(object: &Value) -> &Value {
    object.get("metadata").unwrap_or(&Value::Null)
}
