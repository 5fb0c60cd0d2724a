//! The API server's words without the secrets of the object that they are about: it quotes what
//! it refuses, and so do admission webhooks.

use std::collections::{BTreeSet, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::plan::mask;

const MASK: &str = "***";
/// So many bytes in a row that are also in a secret are taken for a piece of it: a server may
/// quote only a line or the beginning.
const RUN: usize = 6;

/// What must not be passed on.
#[derive(Default)]
pub(super) struct Hidden {
    /// Every run of [`RUN`] bytes of a secret.
    runs: HashSet<[u8; RUN]>,
    /// Secrets that are shorter than that.
    short: BTreeSet<String>,
}

impl Hidden {
    /// The secrets of an object, as they stand in it, decoded and encoded.
    pub fn of(object: &Value) -> Self {
        let mut hidden = Self::default();
        for secret in mask::secrets(object) {
            if let Ok(decoded) = STANDARD.decode(secret.trim()) {
                hidden.add(&decoded);
            }
            hidden.add(STANDARD.encode(&secret).as_bytes());
            hidden.add(secret.as_bytes());
        }
        hidden
    }

    fn add(&mut self, secret: &[u8]) {
        let runs = secret.windows(RUN);
        self.runs
            .extend(runs.filter_map(|run| <[u8; RUN]>::try_from(run).ok()));
        if secret.len() < RUN
            && let Ok(text) = std::str::from_utf8(secret)
            && !text.is_empty()
        {
            self.short.insert(text.to_owned());
        }
    }

    /// A message with every piece of a secret masked.
    pub fn mask(&self, message: &str) -> String {
        let bytes = message.as_bytes();
        let mut secret = vec![false; bytes.len()];
        let mut mark = |from: usize, length: usize| {
            for one in secret.iter_mut().skip(from).take(length) {
                *one = true;
            }
        };
        for (at, run) in bytes.windows(RUN).enumerate() {
            if run
                .try_into()
                .is_ok_and(|run: [u8; RUN]| self.runs.contains(&run))
            {
                mark(at, RUN);
            }
        }
        for short in &self.short {
            for (at, found) in message.match_indices(short.as_str()) {
                let end = at + found.len();
                let before = message.get(..at).and_then(|text| text.chars().next_back());
                let after = message.get(end..).and_then(|text| text.chars().next());
                // "no" in "not found" is no secret that was let out.
                let alone = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
                if alone(before) && alone(after) {
                    mark(at, found.len());
                }
            }
        }
        let mut shown = String::with_capacity(message.len());
        let mut before = false;
        for (at, character) in message.char_indices() {
            let hide = secret
                .iter()
                .skip(at)
                .take(character.len_utf8())
                .any(|secret| *secret);
            match (hide, before) {
                (false, _) => shown.push(character),
                (true, false) => shown.push_str(MASK),
                (true, true) => {}
            }
            before = hide;
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn shown(data: Value, message: &str) -> String {
        Hidden::of(&json!({"kind": "Secret", "stringData": data})).mask(message)
    }

    #[test]
    fn what_a_server_quotes_of_a_secret_is_masked_and_the_rest_is_passed_on() {
        for (value, message, expected) in [
            (
                json!(918273645),
                ".stringData.a: expected string, got &value.valueUnstructured{Value:918273645}",
                ".stringData.a: expected string, got &value.valueUnstructured{Value:***}",
            ),
            (
                json!("line one\nMIIEpAIBAAKC\n"),
                "a: line 2 is bad: \"MIIEpAIB...\"",
                "a: line 2 is bad: \"***...\"",
            ),
            (
                json!("c2VzYW1lLW9wZW4="),
                "the password \"sesame-open\" is on a list",
                "the password \"***\" is on a list",
            ),
            (
                json!("sesame-open"),
                "illegal value c2VzYW1lLW9wZW4=",
                "illegal value ***",
            ),
            (json!("no"), "not found: no", "not found: ***"),
            (json!(7), "at line 7 of 17", "at line *** of 17"),
            (
                json!(["x", {"y": "sesame-open"}]),
                "got sesame-open",
                "got ***",
            ),
            (json!(""), "nothing is hidden", "nothing is hidden"),
        ] {
            assert_eq!(shown(json!({"a": value}), message), expected);
        }
    }

    proptest! {
        #[test]
        fn no_secret_is_passed_on_whatever_is_around_it(
            secret in "[ -~]{6,40}", before in "[a-z é]{0,9}", after in "\\PC{0,9}"
        ) {
            let said = shown(json!({"a": secret}), &format!("{before}{secret}{after}"));
            prop_assert!(!said.contains(&secret), "{}", said);
        }
    }
}
