//! Texts that a status keeps, cut so that it stays far below what an object may weigh, whatever containers, webhooks
//! and people say.

use sha2::{Digest, Sha256};

/// Bytes of a reason or a message, as JSON.
const LONG: usize = 1000;
/// Bytes of what there may be a hundred of.
const SHORT: usize = 400;
/// Bytes of a name that a person chose.
const NAME: usize = 150;

/// A reason as it is kept.
pub(super) fn brief(text: &str) -> String {
    cut(text, LONG)
}

/// One of many reasons, as it is kept.
pub(super) fn briefer(text: &str) -> String {
    cut(text, SHORT)
}

/// A person's name, or the first line of a commit, as it is kept.
pub(super) fn name(text: &str) -> String {
    cut(text, NAME)
}

/// A text that stands for a longer one, and differs where that does; no [`brief`] cuts it.
pub(super) fn stand_in(text: String) -> String {
    if brief(&text) == text {
        return text;
    }
    let short = cut(&text, LONG - 60);
    let digest = Sha256::digest(text.as_bytes());
    let figures: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{short} ({} characters, {figures})", text.chars().count())
}

/// The beginning of a text that has no more than so many bytes as JSON, in which a quotation mark has two and a control
/// character six.
fn cut(text: &str, limit: usize) -> String {
    let mut bytes = 0;
    for (at, character) in text.char_indices() {
        bytes += match character {
            '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
            character if character < ' ' => 6,
            character => character.len_utf8(),
        };
        if bytes > limit {
            return format!("{}…", text.get(..at).unwrap_or_default());
        }
    }
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_that_fits_is_kept_and_a_longer_one_ends_in_dots() {
        assert_eq!(cut("abcde", 5), "abcde");
        assert_eq!(cut("abcdef", 5), "abcde…");
        assert_eq!(cut("äöü", 4), "äö…");
        assert_eq!(cut("\"\"\"", 4), "\"\"…");
        assert_eq!(cut("\u{1}\u{1}", 7), "\u{1}…");
    }

    #[test]
    fn what_stands_for_a_long_text_differs_with_its_end() {
        let (one, other) = ("x".repeat(5000), format!("{}y", "x".repeat(4999)));
        assert_ne!(stand_in(one.clone()), stand_in(other));
        assert_eq!(stand_in(one.clone()), stand_in(one.clone()));
        assert_eq!(brief(&stand_in(one.clone())), stand_in(one));
        assert_eq!(stand_in("short".to_owned()), "short");
    }

    proptest! {
        #[test]
        fn no_text_has_more_bytes_as_json(text in "\\PC*|[\u{0}-\u{20}\"\\\\]*", limit in 0usize..300) {
            let json = serde_json::to_string(&cut(&text, limit)).unwrap();
            // With its quotation marks and the dots.
            prop_assert!(json.len() <= limit + 2 + "…".len(), "{json}");
        }
    }
}
