//! Names of children: the parent's name and a suffix, never longer than a label may be.

use md5::compute;

/// The longest name that is also a DNS label.
const LONGEST: usize = 63;
/// Hexadecimal digits of an MD5 sum.
const DIGEST: usize = 32;
/// What is left of a parent's name once a digest stands behind it.
const HEAD: usize = LONGEST - DIGEST;

/// `parent` + `suffix`, or, where that is too long, a shortened parent with its digest
/// in between, so that names stay unique (`knative.dev/pkg/kmeta`).
///
/// Names here are ASCII by validation; anything else is cut at a character's edge.
pub fn child_name(parent: &str, suffix: &str) -> String {
    if parent.len() + suffix.len() <= LONGEST {
        return format!("{parent}{suffix}");
    }
    if suffix.len() >= HEAD {
        let digest = compute(format!("{parent}{suffix}"));
        let mut name = format!("{}{digest:x}", head(parent, HEAD));
        let room = LONGEST.saturating_sub(name.len());
        name.push_str(head(suffix, room));
        let kept = name
            .trim_end_matches(|c: char| !c.is_ascii_alphanumeric())
            .len();
        name.truncate(kept);
        return name;
    }
    let digest = compute(parent);
    format!("{}{digest:x}{suffix}", head(parent, HEAD - suffix.len()))
}

fn head(text: &str, length: usize) -> &str {
    let mut end = length.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_joined_and_long_ones_keep_a_digest() {
        assert_eq!(child_name("hello", "-00001"), "hello-00001");
        let parent = "a".repeat(63);
        // The sums were made with md5sum.
        assert_eq!(
            child_name(&parent, "-deployment"),
            "aaaaaaaaaaaaaaaaaaaab06521f39153d618550606be297466d5-deployment"
        );
        assert_eq!(
            child_name("short", &format!("-{}", "b".repeat(62))).len(),
            63
        );
        assert_ne!(
            child_name(&"a".repeat(60), "-deployment"),
            child_name(&"a".repeat(61), "-deployment")
        );
    }
}
