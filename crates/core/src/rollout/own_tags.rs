//! The tags that a release writes of its own, to probe what it shows to nobody yet.

use std::collections::BTreeSet;

use crate::api::serving::{self, TrafficTarget};

/// The tags that a release uses; none where the service's name leaves no room for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OwnTags {
    /// The candidate's.
    pub candidate: Option<String>,
    /// Stable's beside it.
    pub stable: Option<String>,
    /// That of the revision that a watched one is rolled back to.
    pub previous: Option<String>,
}

/// The tags that a release uses for the candidate and for stable beside it.
pub(super) fn tags(git: &[TrafficTarget], service: &str) -> OwnTags {
    let user_tags: BTreeSet<&str> = git
        .iter()
        .filter_map(|entry| entry.tag.as_deref())
        .collect();
    OwnTags {
        candidate: own_tag(CANDIDATE, service, &user_tags),
        stable: own_tag(STABLE, service, &user_tags),
        previous: own_tag(PREVIOUS, service, &user_tags),
    }
}

/// Words for a tag, the best first.
type TagWords = [&'static str; 4];
const CANDIDATE: TagWords = ["candidate", "candidate-sluice", "new", "n"];
const STABLE: TagWords = ["stable", "stable-sluice", "old", "o"];
const PREVIOUS: TagWords = ["previous", "previous-sluice", "prev", "p"];

/// Whether a candidate's tag may be one of ours.
pub(super) fn is_own(tag: &str) -> bool {
    is_one_of(CANDIDATE, tag)
}

/// Whether a previous revision's tag may be one of ours.
pub(super) fn is_own_previous(tag: &str) -> bool {
    is_one_of(PREVIOUS, tag)
}

fn is_one_of(words: TagWords, tag: &str) -> bool {
    words
        .iter()
        .any(|word| tag.trim_end_matches(|c: char| c.is_ascii_digit()) == *word)
}

/// A tag that no entry of the user's has, and whose host `TAG-SERVICE` is a DNS label; none where the name is too
/// long for any.
fn own_tag(words: TagWords, service: &str, taken: &BTreeSet<&str>) -> Option<String> {
    let [_, _, short, letter] = words;
    let numbered = |word: &'static str| (2..=taken.len() + 2).map(move |n| format!("{word}{n}"));
    let plain = words.into_iter().take(3).map(str::to_owned);
    plain
        .chain(numbered(short))
        .chain([letter.to_owned()])
        .chain(numbered(letter))
        .find(|tag| !taken.contains(tag.as_str()) && serving::tag_fits(tag, service))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_service_name_gets_short_tags_or_none() {
        let of = |user: &[&str], length: usize| {
            let tagged = |tag: &&str| TrafficTarget {
                tag: Some((*tag).to_owned()),
                ..TrafficTarget::default()
            };
            let git: Vec<_> = user.iter().map(tagged).collect();
            let tags = tags(&git, &"x".repeat(length));
            format!("{:?} {:?}", tags.candidate, tags.stable).replace(['"', '\\'], "")
        };
        assert_eq!(of(&[], 53), "Some(candidate) Some(stable)");
        assert_eq!(of(&[], 54), "Some(new) Some(stable)");
        assert_eq!(of(&[], 59), "Some(new) Some(old)");
        assert_eq!(of(&[], 60), "Some(n) Some(o)");
        assert_eq!(of(&["n"], 60), "Some(n2) Some(o)");
        assert_eq!(of(&[], 61), "Some(n) Some(o)");
        assert_eq!(of(&["n"], 61), "None Some(o)");
        for length in [62, 63] {
            assert_eq!(of(&[], length), "None None");
        }
    }
}
