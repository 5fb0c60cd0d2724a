//! Rules for the Pod part of a template: which fields, how many containers, one port.

use serde_json::Value;

use super::container::{self, Role};
use super::field_error::FieldErrors;
use super::volumes::Volumes;
use super::{list, only, text};
use crate::api::dns_names;

/// Fields of a Pod that Knative passes on by default, and the revision's own.
const FIELDS: &[&str] = &[
    "containers",
    "enableServiceLinks",
    "imagePullSecrets",
    "serviceAccountName",
    "volumes",
    // Not a Pod's: the revision's own.
    "containerConcurrency",
    "idleTimeoutSeconds",
    "responseStartTimeoutSeconds",
    "timeoutSeconds",
];

/// Everything wrong with the spec, and warnings about Kubernetes' insecure defaults.
pub fn check(spec: &Value) -> FieldErrors {
    let mut allowed = FIELDS.to_vec();
    if spec
        .get("automountServiceAccountToken")
        .and_then(Value::as_bool)
        == Some(false)
    {
        allowed.push("automountServiceAccountToken");
    }
    // Init containers have a sentence of their own.
    allowed.push("initContainers");
    let mut errors = only(spec, &allowed);
    let init = list(spec, "initContainers");
    if !init.is_empty() {
        errors.add(FieldErrors::disallowed(["initContainers"]));
        errors.add(FieldErrors::pathless(format!(
            "pod spec support for init-containers is off, but found {} init containers",
            init.len()
        )));
    }
    let context = spec.get("securityContext").unwrap_or(&Value::Null);
    errors.add(pod_security(context).via("securityContext"));
    let containers = list(spec, "containers");
    for (field, all) in [("containers", containers), ("initContainers", init)] {
        for (index, container) in all.iter().enumerate() {
            errors.add(
                insecure_defaults(context, container)
                    .via("securityContext")
                    .via_field_index(field, index),
            );
        }
    }
    let volumes = Volumes::of(spec);
    let mounted: Vec<_> = containers
        .iter()
        .chain(init)
        .flat_map(|container| list(container, "volumeMounts"))
        .map(|mount| text(mount, "name"))
        .collect();
    errors.add(volumes.check(&mounted));
    errors.add(one_port(containers).via("containers[*]"));
    errors.add(each_container(containers, &volumes));
    for wrong in dns_names::dns_1123_subdomain(text(spec, "serviceAccountName")) {
        if !text(spec, "serviceAccountName").is_empty() {
            errors.add(
                FieldErrors::invalid(text(spec, "serviceAccountName"), "serviceAccountName")
                    .details(wrong),
            );
        }
    }
    errors
}

fn one_port(containers: &[Value]) -> FieldErrors {
    let count: usize = containers
        .iter()
        .map(|container| list(container, "ports").len())
        .sum();
    if count == 0 && containers.len() > 1 {
        FieldErrors::missing("ports")
    } else if count > 1 {
        FieldErrors::at("more than one container port is set", "ports")
            .details("Only a single port is allowed across all containers")
    } else {
        FieldErrors::none()
    }
}

fn each_container(containers: &[Value], volumes: &Volumes<'_>) -> FieldErrors {
    let port_name = containers
        .iter()
        .filter_map(|container| list(container, "ports").first())
        .map(|port| text(port, "name"))
        .next_back()
        .filter(|name| !name.is_empty())
        .unwrap_or("http");
    if containers.is_empty() {
        return FieldErrors::missing("containers");
    }
    let mut errors = FieldErrors::none();
    let mut names = Vec::new();
    for (index, one) in containers.iter().enumerate() {
        let name = text(one, "name");
        if names.contains(&name) && containers.len() > 1 {
            // Knative puts this container in front of what was found of those before it.
            errors.add(FieldErrors::at(
                format!("duplicate container name {name:?}"),
                "name",
            ));
            errors = errors.via_field_index("containers", index);
        }
        names.push(name);
        let role = if containers.len() == 1 || !list(one, "ports").is_empty() {
            Role::Serving
        } else {
            Role::Sidecar
        };
        let wrong = container::check(one, role, port_name, volumes);
        errors.add(wrong.via_field_index("containers", index));
    }
    errors
}

/// That of the whole Pod is a feature that is off by default: nothing of it may be set.
fn pod_security(context: &Value) -> FieldErrors {
    let mut errors = only(context, &[]);
    let mut bounded = |id: &Value, path: &str| {
        if let Some(id) = id.as_i64()
            && !(0..=i64::from(i32::MAX)).contains(&id)
        {
            errors.add(FieldErrors::out_of_bounds(id, 0, i32::MAX, path));
        }
    };
    for key in ["runAsUser", "runAsGroup", "fsGroup"] {
        bounded(context.get(key).unwrap_or(&Value::Null), key);
    }
    for (index, id) in list(context, "supplementalGroups").iter().enumerate() {
        bounded(id, &format!("supplementalGroups[{index}]"));
    }
    errors
}

/// What Kubernetes leaves open unless told otherwise, for the Pod or for the container; only a warning.
fn insecure_defaults(pod: &Value, container: &Value) -> FieldErrors {
    let context = container.get("securityContext").unwrap_or(&Value::Null);
    let insecure = |field: &str| {
        FieldErrors::at(
            "Kubernetes default value is insecure, Knative may default this to secure in a \
             future release",
            field,
        )
        .as_warning()
    };
    let mut warnings = FieldErrors::none();
    if context.get("runAsNonRoot").is_none() && pod.get("runAsNonRoot").is_none() {
        warnings.add(insecure("runAsNonRoot"));
    }
    if context.get("allowPrivilegeEscalation").is_none() {
        warnings.add(insecure("allowPrivilegeEscalation"));
    }
    let profiles: Vec<_> = [context, pod]
        .iter()
        .filter_map(|of| of.get("seccompProfile"))
        .collect();
    if profiles.is_empty() {
        warnings.add(insecure("seccompProfile"));
    } else if profiles
        .iter()
        .all(|profile| text(profile, "type").is_empty())
    {
        warnings.add(insecure("seccompProfile.type"));
    }
    match context.get("capabilities") {
        None => warnings.add(insecure("capabilities")),
        Some(capabilities) => match list(capabilities, "drop").first() {
            None => warnings.add(insecure("capabilities.drop")),
            Some(first) if first == "all" => warnings.add(
                FieldErrors::invalid("all", "capabilities.drop")
                    .details("Must be spelled as 'ALL'")
                    .as_warning(),
            ),
            Some(_) => {}
        },
    }
    warnings
}
