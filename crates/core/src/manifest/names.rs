//! Which names the API server takes (`apimachinery/pkg/util/validation`).

use crate::api::dns_names::is_dns_1123_shape;
use crate::api::object::ObjectKey;

/// Why a name is refused; the words say what it may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NameError {
    /// No DNS name of a core Service.
    #[error("it must begin with a letter")]
    BeginsWithDigit,
    /// No segment of a path.
    #[error("it must not be \".\" or \"..\", nor contain \"/\" or \"%\"")]
    NoSegment,
    /// Longer than its kind allows.
    #[error("it has {length} characters, at most {limit} are allowed")]
    TooLong { length: usize, limit: usize },
    /// No DNS-1123 label.
    #[error(
        "it may have lower-case letters, digits and \"-\", and begins and ends with a letter or digit"
    )]
    NoLabel,
    /// No DNS-1123 subdomain.
    #[error(
        "it may have lower-case letters, digits, \"-\" and \".\", and begins and ends with a letter or digit"
    )]
    NoSubdomain,
}

/// Says why the object's name is refused, and what it may look like.
pub(super) fn check(key: &ObjectKey) -> Result<(), NameError> {
    let name = key.name.as_str();
    match (key.group.as_str(), key.kind.as_str()) {
        // RBAC names are path segments: `system:node` is one.
        ("rbac.authorization.k8s.io", _) => segment(name),
        ("", "Namespace") => label(name),
        // Both become a core Service's name, and so a DNS label that begins with a letter.
        ("", "Service") | ("serving.knative.dev", "Service" | "Route" | "Configuration") => {
            label(name)?;
            if name.starts_with(|c: char| c.is_ascii_digit()) {
                return Err(NameError::BeginsWithDigit);
            }
            Ok(())
        }
        _ => subdomain(name),
    }
}

fn segment(name: &str) -> Result<(), NameError> {
    if matches!(name, "." | "..") || name.contains(['/', '%']) {
        return Err(NameError::NoSegment);
    }
    Ok(())
}

/// DNS-1123 label; also what a namespace's name must be.
pub(super) fn label(name: &str) -> Result<(), NameError> {
    if name.len() > 63 {
        return Err(NameError::TooLong {
            length: name.len(),
            limit: 63,
        });
    }
    if !is_dns_1123_shape(name) {
        return Err(NameError::NoLabel);
    }
    Ok(())
}

/// DNS-1123 subdomain.
fn subdomain(name: &str) -> Result<(), NameError> {
    if name.len() > 253 {
        return Err(NameError::TooLong {
            length: name.len(),
            limit: 253,
        });
    }
    if !name.split('.').all(is_dns_1123_shape) {
        return Err(NameError::NoSubdomain);
    }
    Ok(())
}
