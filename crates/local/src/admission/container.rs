//! Rules for one container.

use serde_json::Value;

use super::field_error::{CURRENT, FieldErrors};
use super::volumes::Volumes;
use super::{image_reference, list, only, probe, text};

/// What a container is for; the serving one owns the port.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Answers the requests.
    Serving,
    /// Runs beside the serving container.
    Sidecar,
}

const FIELDS: &[&str] = &[
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "livenessProbe",
    "name",
    "ports",
    "readinessProbe",
    "resources",
    "securityContext",
    "startupProbe",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "volumeMounts",
    "workingDir",
];

/// Ports that Knative's own proxy and profiling listen on.
const RESERVED_PORTS: &[i64] = &[8008, 8012, 8013, 8022, 9090, 9091];
const RESERVED_PATHS: &[&str] = &["/", "/dev", "/dev/log"];
/// Variables that Knative sets; `PORT` is a sidecar's own business.
const RESERVED_ENV: &[&str] = &["PORT", "K_SERVICE", "K_CONFIGURATION", "K_REVISION"];

/// Everything wrong with a container (paths from the container).
pub fn check(container: &Value, role: Role, port_name: &str, volumes: &Volumes<'_>) -> FieldErrors {
    let mut errors = probes(container, role, port_name);
    // Nothing but what Go writes for an empty one.
    let blank = container.as_object().is_none_or(|fields| {
        fields.iter().all(|(name, value)| match name.as_str() {
            "name" => value == "",
            "resources" => value.as_object().is_some_and(|given| given.is_empty()),
            _ => false,
        })
    });
    if blank {
        return errors.also(FieldErrors::missing(CURRENT));
    }
    errors.add(only(container, FIELDS));
    if text(container, "name") == "queue-proxy" {
        errors.add(FieldErrors::at(
            "\"queue-proxy\" is a reserved container name",
            "name",
        ));
    }
    errors.add(env(container, role).via("env"));
    errors.add(env_from(container).via("envFrom"));
    errors.add(image(text(container, "image")));
    errors.add(ports(container).via("ports"));
    if let Some(resources) = container.get("resources") {
        errors.add(only(resources, &["limits", "requests"]).via("resources"));
    }
    if let Some(context) = container.get("securityContext") {
        errors.add(security_context(context).via("securityContext"));
    }
    match text(container, "terminationMessagePolicy") {
        "" | "File" | "FallbackToLogsOnError" => {}
        other => errors.add(FieldErrors::invalid(other, "terminationMessagePolicy")),
    }
    errors.add(mounts(container, volumes).via("volumeMounts"));
    errors
}

/// A startup probe is Kubernetes' own business.
fn probes(container: &Value, role: Role, port_name: &str) -> FieldErrors {
    let mut errors = FieldErrors::none();
    for kind in ["livenessProbe", "readinessProbe"] {
        let Some(body) = container.get(kind) else {
            continue;
        };
        errors.add(
            match (role, kind) {
                (Role::Sidecar, _) => probe::of_sidecar(body),
                (Role::Serving, "readinessProbe") => probe::readiness(body, port_name),
                (Role::Serving, _) => probe::check(body, port_name),
            }
            .via(kind),
        );
    }
    errors
}

fn env(container: &Value, role: Role) -> FieldErrors {
    let mut errors = FieldErrors::none();
    for (index, variable) in list(container, "env").iter().enumerate() {
        let name = text(variable, "name");
        let mut wrong = only(variable, &["name", "value", "valueFrom"]);
        let reserved = RESERVED_ENV.contains(&name) && !(role == Role::Sidecar && name == "PORT");
        if name.is_empty() {
            wrong.add(FieldErrors::missing("name"));
        } else if reserved {
            wrong.add(FieldErrors::at(
                format!("{name:?} is a reserved environment variable"),
                "name",
            ));
        }
        if let Some(source) = variable.get("valueFrom") {
            // Field references are a feature that is off by default.
            wrong.add(only(source, &["configMapKeyRef", "secretKeyRef"]).via("valueFrom"));
        }
        errors.add(wrong.via_index(index));
    }
    errors
}

fn env_from(container: &Value) -> FieldErrors {
    const KINDS: [&str; 2] = ["secretRef", "configMapRef"];
    let mut errors = FieldErrors::none();
    for (index, source) in list(container, "envFrom").iter().enumerate() {
        let given = KINDS.map(|kind| source.get(kind).is_some());
        for (kind, is_given) in KINDS.iter().zip(given) {
            if is_given {
                // Knative puts the source in front of what was found of those before it.
                errors = errors.via_field_index(kind, index);
            }
        }
        match given {
            [true, true] => errors.add(FieldErrors::multiple_one_of(KINDS)),
            [false, false] => errors.add(FieldErrors::missing_one_of(KINDS)),
            _ => {}
        }
    }
    errors
}

fn image(image: &str) -> FieldErrors {
    if image.is_empty() {
        FieldErrors::missing("image")
    } else if image_reference::is_valid(image) {
        FieldErrors::none()
    } else {
        FieldErrors::at("Failed to parse image reference", "image").details(format!(
            "image: {image:?}, error: could not parse reference: {image}"
        ))
    }
}

fn ports(container: &Value) -> FieldErrors {
    let Some(port) = list(container, "ports").first() else {
        return FieldErrors::none();
    };
    let mut errors = only(port, &["containerPort", "name", "protocol"]);
    let number = port
        .get("containerPort")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    if RESERVED_PORTS.contains(&number) {
        errors.add(
            FieldErrors::invalid(format!("{number} is a reserved port"), "containerPort").details(
                format!("{number} is a reserved port, please use a different value"),
            ),
        );
    }
    if !(0..=65535).contains(&number) {
        errors.add(FieldErrors::out_of_bounds(
            number,
            0,
            65535,
            "containerPort",
        ));
    }
    match text(port, "protocol") {
        "" | "TCP" => {}
        other => errors.add(FieldErrors::invalid(other, "protocol")),
    }
    match text(port, "name") {
        "" | "h2c" | "http1" => {}
        other => errors.add(
            FieldErrors::at(format!("Port name {other} is not allowed"), CURRENT)
                .details("Name must be empty, or one of: 'h2c', 'http1'"),
        ),
    }
    errors
}

fn security_context(context: &Value) -> FieldErrors {
    let mut allowed = vec![
        "allowPrivilegeEscalation",
        "capabilities",
        "readOnlyRootFilesystem",
        "runAsGroup",
        "runAsNonRoot",
        "runAsUser",
        "seccompProfile",
    ];
    if context.get("privileged").and_then(Value::as_bool) == Some(false) {
        allowed.push("privileged");
    }
    let mut errors = only(context, &allowed);
    if let Some(capabilities) = context.get("capabilities") {
        errors.add(only(capabilities, &["drop"]).via("capabilities"));
    }
    for key in ["runAsUser", "runAsGroup"] {
        if let Some(id) = context.get(key).and_then(Value::as_i64)
            && !(0..=i64::from(i32::MAX)).contains(&id)
        {
            errors.add(FieldErrors::out_of_bounds(id, 0, i32::MAX, key));
        }
    }
    errors
}

fn mounts(container: &Value, volumes: &Volumes<'_>) -> FieldErrors {
    let mut errors = FieldErrors::none();
    let mut seen: Vec<String> = Vec::new();
    for (index, mount) in list(container, "volumeMounts").iter().enumerate() {
        let (name, path) = (text(mount, "name"), text(mount, "mountPath"));
        let mut wrong = only(mount, &["mountPath", "name", "readOnly", "subPath"]);
        let volume = volumes.find(name);
        if volume.is_none() {
            wrong.add(FieldErrors::at(
                "volumeMount has no matching volume",
                "name",
            ));
        }
        let cleaned = clean(path);
        wrong.add(if path.is_empty() {
            FieldErrors::missing("mountPath")
        } else if RESERVED_PATHS.contains(&cleaned.as_str()) {
            FieldErrors::at(
                format!("mountPath {cleaned:?} is a reserved path"),
                "mountPath",
            )
        } else if !path.starts_with('/') {
            FieldErrors::invalid(path, "mountPath")
        } else if seen.contains(&cleaned) {
            FieldErrors::invalid(format!("{path:?} must be unique"), "mountPath")
        } else {
            FieldErrors::none()
        });
        seen.push(cleaned);
        wrong.add(writing(mount, volume));
        wrong.add(propagation(mount));
        errors.add(wrong.via_index(index));
    }
    errors
}

/// Most kinds of volume are there to be read.
fn writing(mount: &Value, volume: Option<&Value>) -> FieldErrors {
    if mount.get("readOnly").is_some() {
        return FieldErrors::none();
    }
    let of_kind = |kind: &str| volume.and_then(|volume| volume.get(kind));
    let claim = of_kind("persistentVolumeClaim");
    if claim.is_some_and(|claim| claim.get("readOnly").is_some()) {
        FieldErrors::at("volume is readOnly but volume mount is not", "readOnly")
    } else if claim.is_none() && of_kind("emptyDir").is_none() {
        FieldErrors::at(
            "volume mount should be readOnly for this type of volume",
            "readOnly",
        )
    } else {
        FieldErrors::none()
    }
}

fn propagation(mount: &Value) -> FieldErrors {
    let Some(way) = mount.get("mountPropagation").and_then(Value::as_str) else {
        return FieldErrors::none();
    };
    let mut errors = FieldErrors::pathless(format!(
        "Volume Mount Propagation support is disabled, but found volume mount {} with mount propagation",
        text(mount, "name")
    ));
    if !matches!(way, "None" | "HostToContainer") {
        errors.add(FieldErrors::at(
            "mount propagation should be set to None or HostToContainer",
            "mountPropagation",
        ));
    }
    errors
}

/// A path without `.`, `..` and doubled slashes (Go's `path.Clean`).
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}
