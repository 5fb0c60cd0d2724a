//! Whether an image name can be a reference at all, as `go-containerregistry` reads it when it is
//! not strict.

const TAG: &str = "_-.";
const REPOSITORY: &str = "_-./";

/// Whether `image` is `[registry/]repository[:tag][@sha256:digest]`.
pub fn is_valid(image: &str) -> bool {
    tagged(image).is_some() || is_by_digest(image)
}

/// The repository of a reference by tag, or by nothing.
fn tagged(image: &str) -> Option<&str> {
    let (base, tag) = match image.rsplit_once(':') {
        // A colon before the last slash is a registry's port.
        Some((base, tag)) if !tag.contains('/') => (base, tag),
        _ => (image, ""),
    };
    let tag_is_valid = tag.is_empty()
        || (tag.len() <= 128
            && tag
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || TAG.contains(c)));
    (tag_is_valid && is_repository(base)).then_some(base)
}

fn is_by_digest(image: &str) -> bool {
    let Some((base, digest)) = image.split_once('@') else {
        return false;
    };
    let digest_is_valid = digest.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .chars()
                .all(|c| c.is_ascii_digit() || matches!(c, 'a'..='f'))
    });
    digest_is_valid && (tagged(base).is_some() || is_repository(base))
}

fn is_repository(name: &str) -> bool {
    let (registry, path) = match name.split_once('/') {
        Some((registry, path)) if registry.contains(['.', ':']) => (registry, path),
        _ => ("", name),
    };
    (2..=255).contains(&path.chars().count())
        && path
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || REPOSITORY.contains(c))
        && is_authority(registry)
}

/// Whether it can stand behind the slashes of a URL, with or without a port.
fn is_authority(registry: &str) -> bool {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (registry, ""),
    };
    let host = match host.strip_prefix('[') {
        Some(address) => match address.strip_suffix(']') {
            Some(address) => address,
            None => return false,
        },
        None if host.contains(':') => return false,
        None => host,
    };
    port.chars().all(|digit| digit.is_ascii_digit())
        && host.chars().all(|c| {
            c.is_ascii_alphanumeric() || !c.is_ascii() || "-_.~!$&'()*+,;=:<>\"".contains(c)
        })
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn references_are_told_from_other_text() {
        let digest = format!("ghcr.io/acme/app@sha256:{}", "a".repeat(64));
        let both = format!("ghcr.io/acme/app:1@sha256:{}", "a".repeat(64));
        for good in [
            "busybox",
            "sluice.local/hello:v1",
            "localhost:5000/app",
            "ghcr.io/acme/app:1.2.3",
            "app:",
            "UP.io/app",
            "/app",
            "http://x/app",
            &digest,
            &both,
        ] {
            assert!(is_valid(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "Upper/Case",
            "app:bad tag",
            "app:a:b",
            "app@sha256:1",
            "reg.io:port/app",
            "a b",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
