//! Which names the API server takes (`apimachinery/pkg/util/validation`).

use crate::api::dns_names::is_dns_1123_shape;
use crate::api::object::ObjectKey;

/// Why the object's name is refused, and what it may look like.
pub(super) fn check(key: &ObjectKey) -> Result<(), String> {
    let name = key.name.as_str();
    match (key.group.as_str(), key.kind.as_str()) {
        // RBAC names are path segments: `system:node` is one.
        ("rbac.authorization.k8s.io", _) => segment(name),
        ("", "Namespace") => label(name),
        // Both become a core Service's name, and so a DNS label that begins with a letter.
        ("", "Service") | ("serving.knative.dev", "Service" | "Route" | "Configuration") => {
            label(name)?;
            if name.starts_with(|c: char| c.is_ascii_digit()) {
                return Err("it must begin with a letter".into());
            }
            Ok(())
        }
        _ => subdomain(name),
    }
}

fn segment(name: &str) -> Result<(), String> {
    if matches!(name, "." | "..") || name.contains(['/', '%']) {
        return Err("it must not be \".\" or \"..\", nor contain \"/\" or \"%\"".into());
    }
    Ok(())
}

/// DNS-1123 label; also what a namespace's name must be.
pub(super) fn label(name: &str) -> Result<(), String> {
    if name.len() > 63 {
        return Err(format!(
            "it has {} characters, at most 63 are allowed",
            name.len()
        ));
    }
    if !is_dns_1123_shape(name) {
        return Err(
            "it may have lower-case letters, digits and \"-\", and begins and ends with a letter or digit"
                .into(),
        );
    }
    Ok(())
}

/// DNS-1123 subdomain.
fn subdomain(name: &str) -> Result<(), String> {
    if name.len() > 253 {
        return Err(format!(
            "it has {} characters, at most 253 are allowed",
            name.len()
        ));
    }
    if !name.split('.').all(is_dns_1123_shape) {
        return Err(
            "it may have lower-case letters, digits, \"-\" and \".\", and begins and ends with a letter or digit"
                .into(),
        );
    }
    Ok(())
}
