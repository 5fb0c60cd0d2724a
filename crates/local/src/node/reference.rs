//! Image references, taken apart as far as the node needs it.

/// An image reference, taken apart as far as the node needs it.
#[derive(Debug, PartialEq, Eq)]
pub struct Reference<'a> {
    /// All before tag and digest.
    pub repository: &'a str,
    /// `latest` where there is neither a tag nor a digest.
    pub tag: Option<&'a str>,
    /// `sha256:...`
    pub digest: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// Takes a reference apart; whether it is sound is another question.
    pub fn parse(image: &'a str) -> Self {
        let (name, digest) = match image.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (image, None),
        };
        // A colon before the last slash is a registry's port.
        let slash = name.rfind('/').map_or(0, |at| at + 1);
        let colon = name.rfind(':').filter(|at| *at >= slash);
        let (repository, tag) = match colon.and_then(|at| name.split_at_checked(at)) {
            Some((repository, tag)) => (repository, tag.strip_prefix(':')),
            None => (name, None),
        };
        let tag = tag.or(if digest.is_none() {
            Some("latest")
        } else {
            None
        });
        Self {
            repository,
            tag,
            digest,
        }
    }

    /// The reference with its default tag spelled out.
    pub fn with_tag(&self) -> String {
        let mut text = self.repository.to_owned();
        for (mark, part) in [(':', self.tag), ('@', self.digest)] {
            if let Some(part) = part {
                text.push(mark);
                text.push_str(part);
            }
        }
        text
    }

    /// Whether tag and digest are what a registry would take. They go into commands: a tag
    /// `$(reboot)` in a shell's line would be another program.
    pub fn is_sound(&self) -> bool {
        let in_tag = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        let is_tag = |tag: &str| {
            tag.len() <= 128
                && !tag.is_empty()
                && !tag.starts_with(['.', '-'])
                && tag.chars().all(in_tag)
        };
        let is_digest = |digest: &str| {
            let parts = digest.split_once(':');
            parts.is_some_and(|(kind, hex)| {
                is_tag(kind) && !hex.is_empty() && hex.chars().all(|c| c.is_ascii_hexdigit())
            })
        };
        self.tag.is_none_or(is_tag) && self.digest.is_none_or(is_digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_or_a_digest_that_no_registry_takes_is_not_sound() {
        for image in [
            "a",
            "a:1",
            "q.io:5000/x/y:v1.2-rc_3",
            "a@sha256:0f",
            "a:1@sha256:0f",
        ] {
            assert!(Reference::parse(image).is_sound(), "{image}");
        }
        let long = format!("a:{}", "x".repeat(129));
        for image in [
            "a:",
            "a:-x",
            "a:$(touch x)",
            "a:1;x",
            "a:1 2",
            "a:`x`",
            "a:{port}",
            &long,
            "a@sha256:",
            "a@sha256:x",
            "a@$(x):0f",
            "a@0f",
            "a:1@sha256:0f;x",
        ] {
            assert!(!Reference::parse(image).is_sound(), "{image}");
        }
    }
}
