//! Whether an image name can be a reference at all.

/// Whether `image` is `[registry/]repository[:tag][@sha256:digest]`.
pub fn is_valid(image: &str) -> bool {
    match image.split_once('@') {
        None => tagged(image),
        Some((base, digest)) => digest_is_valid(digest) && tagged(base),
    }
}

fn tagged(image: &str) -> bool {
    match image.rsplit_once(':') {
        // A colon before the last slash is a registry's port.
        Some((name, tag)) if !tag.contains('/') => tag_is_valid(tag) && repository(name),
        _ => repository(image),
    }
}

fn tag_is_valid(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && tag
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

fn digest_is_valid(digest: &str) -> bool {
    digest.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64
            && hex
                .chars()
                .all(|c| c.is_ascii_digit() || matches!(c, 'a'..='f'))
    })
}

fn repository(name: &str) -> bool {
    let path = match name.split_once('/') {
        Some((registry, path)) if registry.contains(['.', ':']) || registry == "localhost" => {
            let host = registry
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']'));
            if !host {
                return false;
            }
            path
        }
        _ => name,
    };
    (2..=255).contains(&path.len())
        && path.chars().all(|c| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.' | '/')
        })
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn references_are_told_from_other_text() {
        let digest = format!("ghcr.io/acme/app@sha256:{}", "a".repeat(64));
        for good in [
            "busybox",
            "sluice.local/hello:v1",
            "localhost:5000/app",
            "ghcr.io/acme/app:1.2.3",
            &digest,
        ] {
            assert!(is_valid(good), "{good}");
        }
        for bad in [
            "",
            "a",
            "Upper/Case",
            "app:",
            "app:bad tag",
            "app@sha256:1",
            "a b",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
