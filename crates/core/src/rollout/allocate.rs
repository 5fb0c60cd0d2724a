//! Percentages, and nobody else makes any: from the shape that Git gives the traffic, from stable, and from the
//! weights of what is let in beside it.
//!
//! The user's own traffic block is the shape; whatever follows the newest revision in it is the share that releases
//! move. Everything is written by revision name: what `latestRevision: true` would choose has not been looked at yet.

use std::collections::BTreeSet;

use crate::api::serving::TrafficTarget;

use super::own_tags::{OwnTags, tags};

/// What a Route is to look like.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct TargetTraffic {
    /// `spec.traffic`, adding up to 100 %.
    pub targets: Vec<TrafficTarget>,
    /// Entries of Git's that cannot be had: revision and why.
    pub left_out: Vec<(String, &'static str)>,
    /// The share that follows the newest revision, in percent.
    pub canary_share: i64,
}

/// Who is to have which part of the share.
#[derive(Clone, Debug)]
pub(super) struct Split<'a> {
    /// Gets the share, less the candidates' parts.
    pub stable: &'a str,
    /// Whether stable gets a tag as well, to be probed in the same way.
    pub tag_stable: bool,
    /// Who gets a part of it. Where their weights are more than there is, who comes first is served first.
    pub candidates: Vec<Part<'a>>,
}

/// A candidate's part of the share, and its tag.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    /// Its revision.
    pub revision: &'a str,
    /// Its weight: a percentage of the share.
    pub weight: u8,
    /// Its tag; the one of a release of Git's template where there is none.
    pub tag: Option<&'a str>,
}

impl<'a> Split<'a> {
    /// One revision has all of the share.
    pub fn alone(stable: &'a str) -> Self {
        Self {
            stable,
            tag_stable: false,
            candidates: Vec::new(),
        }
    }

    /// A first delivery: the revision has all of the share, and a candidate's tag to be probed at.
    pub fn first(revision: &'a str) -> Self {
        Self {
            tag_stable: false,
            ..Self::beside(revision, revision, 0)
        }
    }

    /// A candidate beside stable, both with a tag.
    pub fn beside(stable: &'a str, revision: &'a str, weight: u8) -> Self {
        Self {
            stable,
            tag_stable: true,
            candidates: vec![Part {
                revision,
                weight,
                tag: None,
            }],
        }
    }
}

/// What entries of the user's own may name.
pub(super) struct Known<'a> {
    /// The service (and so its Configuration).
    pub service: &'a str,
    /// Whether a Route may name the revision at all.
    pub usable: &'a dyn Fn(&str) -> bool,
    /// Revisions that were rolled back or never judged.
    pub tainted: &'a BTreeSet<String>,
    /// The names that the new template's revision has, or gives itself.
    pub newest: [Option<&'a str>; 2],
}

/// The traffic block for these parts in the user's shape: it adds up to 100, and nobody has more than was asked.
pub(super) fn allocate(
    git: &[TrafficTarget],
    split: &Split<'_>,
    known: &Known<'_>,
) -> TargetTraffic {
    let everything = [TrafficTarget {
        latest_revision: Some(true),
        percent: Some(100),
        ..TrafficTarget::default()
    }];
    let git = if git.is_empty() { &everything } else { git };

    let mut left_out = Vec::new();
    let mut kept = Vec::new();
    // The share's entries: tag and percent. What cannot be had is part of it.
    let mut shared: Vec<(Option<String>, i64)> = Vec::new();
    // The user's tags that show the candidate.
    let mut previews: Vec<String> = Vec::new();
    for entry in git {
        let percent = entry.percent.unwrap_or(0);
        match place(entry, split, known) {
            Place::Share => shared.push((entry.tag.clone(), percent)),
            Place::Candidate => {
                shared.push((None, percent));
                previews.extend(entry.tag.clone());
            }
            Place::Kept => kept.push(TrafficTarget {
                url: None,
                percent: Some(percent),
                latest_revision: Some(entry.revision_name.is_none()),
                ..entry.clone()
            }),
            Place::LeftOut(why) => {
                left_out.push((entry.revision_name.clone().unwrap_or_default(), why));
                shared.push((None, percent));
            }
        }
    }
    let canary_share: i64 = shared.iter().map(|(_, percent)| percent).sum();
    // The release of Git's own template has the tags of Git's.
    let newest = split.candidates.iter().find(|part| part.tag.is_none());
    if canary_share == 0 && newest.is_some() {
        // No step will ever come to them: the newest revision is shown there, or nowhere.
        previews.extend(shared.drain(..).filter_map(|(tag, _)| tag));
    }
    let parts = parts_of(canary_share, &split.candidates);
    let moved: i64 = parts.iter().sum();

    let mut targets: Vec<TrafficTarget> = Vec::new();
    // The candidates' parts come off the entries in proportion; running totals make it exact.
    let (mut before, mut taken) = (0, 0);
    for (tag, percent) in shared {
        before += percent;
        let due = if canary_share == 0 {
            0
        } else {
            before * moved / canary_share
        };
        let remaining = percent - (due - taken);
        taken = due;
        add(&mut targets, named(tag, split.stable, remaining));
    }
    for entry in kept {
        add(&mut targets, entry);
    }
    let own = tags(git, known.service);
    if let Some(newest) = newest {
        for tag in previews {
            add(&mut targets, named(Some(tag), newest.revision, 0));
        }
        tag_stable(&mut targets, split, &own);
    }
    for (candidate, part) in split.candidates.iter().zip(parts) {
        let tag = candidate
            .tag
            .map_or_else(|| own.candidate.clone(), |tag| Some(tag.to_owned()));
        add(&mut targets, named(tag, candidate.revision, part));
    }
    // An untagged entry without a share says nothing.
    targets.retain(|entry| entry.tag.is_some() || entry.percent != Some(0));
    TargetTraffic {
        targets,
        left_out,
        canary_share,
    }
}

/// Gives stable the tag that it is probed at: on the entry that it has, where that has none.
fn tag_stable(targets: &mut Vec<TrafficTarget>, split: &Split<'_>, own: &OwnTags) {
    let Some(tag) = own.stable.clone().filter(|_| split.tag_stable) else {
        return;
    };
    let untagged = targets.iter_mut().find(|entry| {
        entry.tag.is_none()
            && entry.revision_name.as_deref() == Some(split.stable)
            && entry.percent != Some(0)
    });
    match untagged {
        Some(entry) => entry.tag = Some(tag),
        None => targets.push(named(Some(tag), split.stable, 0)),
    }
}

enum Place {
    /// Follows the newest revision: stable has it until the candidate does.
    Share,
    /// Names the candidate: as `Share`, and its tag shows the candidate, or nothing yet.
    Candidate,
    Kept,
    LeftOut(&'static str),
}

fn place(entry: &TrafficTarget, split: &Split<'_>, known: &Known<'_>) -> Place {
    match (&entry.revision_name, &entry.configuration_name) {
        (Some(revision), _) => {
            let newest = known.newest.contains(&Some(revision.as_str()));
            if revision == split.stable {
                Place::Kept
            } else if newest {
                Place::Candidate
            } else if known.tainted.contains(revision) {
                Place::LeftOut("was rolled back")
            } else if !(known.usable)(revision) {
                Place::LeftOut("is not there or not Ready")
            } else {
                Place::Kept
            }
        }
        (None, Some(configuration)) if configuration != known.service => Place::Kept,
        (None, _) => Place::Share,
    }
}

/// Each candidate's part of the share. One percent at least once it has a weight: a share of
/// 10 % and a weight of 5 would else be nothing, and nobody would learn anything from it.
fn parts_of(canary_share: i64, candidates: &[Part<'_>]) -> Vec<i64> {
    let mut left = canary_share;
    let part = |candidate: &Part<'_>| {
        let due = (canary_share * i64::from(candidate.weight) + 50) / 100;
        let least = i64::from(candidate.weight > 0);
        let part = due.max(least).min(left);
        left -= part;
        part
    };
    candidates.iter().map(part).collect()
}

/// An entry that names a revision.
pub(super) fn named(tag: Option<String>, revision: &str, percent: i64) -> TrafficTarget {
    TrafficTarget {
        tag,
        revision_name: Some(revision.to_owned()),
        latest_revision: Some(false),
        percent: Some(percent),
        ..TrafficTarget::default()
    }
}

/// Adds an entry; Knative adds up what has the same tag and revision, and so do we.
fn add(targets: &mut Vec<TrafficTarget>, entry: TrafficTarget) {
    match targets.iter_mut().find(|other| {
        other.tag == entry.tag
            && other.revision_name == entry.revision_name
            && other.configuration_name == entry.configuration_name
    }) {
        Some(other) => {
            other.percent = Some(other.percent.unwrap_or(0) + entry.percent.unwrap_or(0));
        }
        None => targets.push(entry),
    }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::super::traffic::{describe, traffic_without_release};
    use super::*;

    fn entry(text: &str) -> TrafficTarget {
        let mut words = text.split_whitespace();
        let name = words.next().unwrap();
        let percent = words.next().map(|word| word.parse().unwrap());
        TrafficTarget {
            tag: words.next().map(str::to_owned),
            revision_name: (name != "latest" && !name.starts_with('@')).then(|| name.to_owned()),
            configuration_name: name.strip_prefix('@').map(str::to_owned),
            latest_revision: Some(name == "latest" || name.starts_with('@')),
            percent,
            url: None,
        }
    }

    fn split(candidate: Option<(&'static str, u8)>) -> Split<'static> {
        candidate.map_or_else(
            || Split::alone("s"),
            |(name, weight)| Split::beside("s", name, weight),
        )
    }

    fn ends_in(git: &[&str], candidate: Option<(&'static str, u8)>, expected: Expect) {
        let git: Vec<_> = git.iter().map(|text| entry(text)).collect();
        let known = Known {
            service: "hello",
            usable: &|name| name != "gone",
            tainted: &["bad".to_owned()].into(),
            newest: [Some("c"), None],
        };
        let wanted = allocate(&git, &split(candidate), &known);
        expected.assert_eq(&describe(&wanted.targets));
    }

    /// What a Route is rolled back to in the middle of a release, with Git's block unknown.
    fn way_back(git: &[&str], expected: Expect) {
        let git: Vec<_> = git.iter().map(|text| entry(text)).collect();
        let known = Known {
            service: "hello",
            usable: &|_| true,
            tainted: &BTreeSet::new(),
            newest: [Some("c"), None],
        };
        let mid_release = allocate(&git, &split(Some(("c", 20))), &known).targets;
        let found = traffic_without_release(&mid_release, "s", Some("c"), "hello");
        expected.assert_eq(&describe(&allocate(&found, &split(None), &known).targets));
    }

    #[test]
    fn the_way_back_is_found_in_the_route_where_git_cannot_be_asked() {
        way_back(&[], expect!["s 100 %"]);
        way_back(
            &["latest 90", "old 10 last-year"],
            expect!["s 90 %, old 10 % #last-year"],
        );
        way_back(
            &["latest 100 live", "old 0 last-year"],
            expect!["s 20 %, s 80 % #live, old 0 % #last-year"],
        );
        way_back(&["@other 30", "latest 70"], expect!["s 70 %, other 30 %"]);
    }

    #[test]
    fn without_a_block_of_its_own_a_service_is_split_in_two() {
        ends_in(&[], None, expect!["s 100 %"]);
        ends_in(
            &[],
            Some(("c", 0)),
            expect!["s 100 % #stable, c 0 % #candidate"],
        );
        ends_in(
            &[],
            Some(("c", 5)),
            expect!["s 95 % #stable, c 5 % #candidate"],
        );
    }

    #[test]
    fn a_user_s_tags_and_splits_stay_as_they_are_and_only_the_newest_s_share_moves() {
        ends_in(
            &["latest 80", "old-1 20 v1"],
            Some(("c", 50)),
            expect!["s 40 % #stable, old-1 20 % #v1, c 40 % #candidate"],
        );
        ends_in(
            &["latest 80 current", "old-1 20"],
            Some(("c", 5)),
            expect!["s 76 % #current, old-1 20 %, s 0 % #stable, c 4 % #candidate"],
        );
        ends_in(
            &["latest 100", "old-1 0 v1"],
            None,
            expect!["s 100 %, old-1 0 % #v1"],
        );
        ends_in(
            &["latest 60 a", "latest 40 b"],
            Some(("c", 5)),
            expect!["s 57 % #a, s 38 % #b, s 0 % #stable, c 5 % #candidate"],
        );
        ends_in(
            &["latest 90", "@other 10 pr"],
            Some(("c", 20)),
            expect!["s 72 % #stable, other 10 % #pr, c 18 % #candidate"],
        );
    }

    #[test]
    fn a_user_s_tag_named_candidate_keeps_its_name() {
        ends_in(
            &["latest 100", "old-1 0 candidate"],
            Some(("c", 5)),
            expect!["s 95 % #stable, old-1 0 % #candidate, c 5 % #candidate-sluice"],
        );
    }

    #[test]
    fn what_is_gone_or_was_rolled_back_never_stops_the_route() {
        ends_in(
            &["latest 70", "gone 20", "bad 10 b"],
            None,
            expect!["s 100 %"],
        );
    }

    #[test]
    fn an_entry_that_names_the_candidate_is_part_of_what_moves() {
        ends_in(
            &["old-1 50", "c 50"],
            Some(("c", 20)),
            expect!["s 40 % #stable, old-1 50 %, c 10 % #candidate"],
        );
        ends_in(
            &["s 50", "c 50 green"],
            Some(("c", 20)),
            expect!["s 90 % #stable, c 0 % #green, c 10 % #candidate"],
        );
    }

    #[test]
    fn a_tag_of_an_entry_that_names_the_candidate_is_the_candidate_s() {
        let all_blue = ["s 100", "c 0 green"];
        ends_in(
            &all_blue,
            Some(("c", 0)),
            expect!["s 100 % #stable, c 0 % #green, c 0 % #candidate"],
        );
        ends_in(&all_blue, None, expect!["s 100 %"]);
        ends_in(
            &["s 100", "c 0 candidate"],
            Some(("c", 0)),
            expect!["s 100 % #stable, c 0 % #candidate, c 0 % #candidate-sluice"],
        );
        ends_in(
            &["s 100", "latest 0 newest"],
            Some(("c", 0)),
            expect!["s 100 % #stable, c 0 % #newest, c 0 % #candidate"],
        );
        ends_in(
            &["s 100", "latest 0 newest"],
            None,
            expect!["s 0 % #newest, s 100 %"],
        );
    }

    #[test]
    fn a_small_share_still_shows_the_candidate_to_somebody() {
        ends_in(
            &["latest 10", "old-1 90"],
            Some(("c", 5)),
            expect!["s 9 % #stable, old-1 90 %, c 1 % #candidate"],
        );
    }

    #[test]
    fn without_room_for_a_tag_the_shares_are_written_alone() {
        let service = "x".repeat(62);
        let known = Known {
            service: &service,
            usable: &|_| true,
            tainted: &BTreeSet::new(),
            newest: [Some("c"), None],
        };
        let text =
            |weight| describe(&allocate(&[], &Split::beside("s", "c", weight), &known).targets);
        assert_eq!(text(0), "s 100 %");
        assert_eq!(text(5), "s 95 %, c 5 %");
        let split = allocate(&[], &Split::beside("s", "c", 5), &known).targets;
        let back = traffic_without_release(&split, "s", Some("c"), &service);
        assert_eq!(describe(&back), "latest 100 %");
    }

    #[test]
    fn several_candidates_have_their_shares_and_tags_beside_each_other() {
        let known = Known {
            service: "hello",
            usable: &|_| true,
            tainted: &BTreeSet::new(),
            newest: [Some("c"), None],
        };
        let other = |revision, weight, tag| Part {
            revision,
            weight,
            tag: Some(tag),
        };
        let with = |weight, others: [Part<'static>; 2]| {
            let mut split = Split::beside("s", "c", weight);
            split.candidates.extend(others);
            describe(&allocate(&[], &split, &known).targets)
        };
        let previews = [other("p", 3, "pr-7"), other("q", 0, "pr-9")];
        assert_eq!(
            with(20, previews.clone()),
            "s 77 % #stable, c 20 % #candidate, p 3 % #pr-7, q 0 % #pr-9"
        );
        // Who comes first is served first.
        assert_eq!(
            with(99, previews),
            "s 0 % #stable, c 99 % #candidate, p 1 % #pr-7, q 0 % #pr-9"
        );
    }

    proptest! {
        #[test]
        fn the_sum_is_always_100(
            cuts in proptest::collection::vec((0i64..=100, 0u8..6, proptest::option::of("[a-c]")), 0..5),
            weights in proptest::collection::vec(0u8..=99, 0..4),
        ) {
            let mut git = Vec::new();
            let mut left = 100;
            let names = ["latest", "old-1", "gone", "bad", "c", "s"];
            let mut tags = BTreeSet::new();
            for (cut, name, tag) in cuts {
                let percent = left * cut / 100;
                left -= percent;
                let tag = tag.filter(|tag| tags.insert(tag.clone())).unwrap_or_default();
                git.push(entry(&format!("{} {percent} {tag}", names[name as usize])));
            }
            if !git.is_empty() {
                git.push(entry(&format!("latest {left}")));
            }
            let known = Known { service: "hello", usable: &|name| name != "gone", tainted: &["bad".to_owned()].into(), newest: [Some("c"), None] };
            let of = [("c", None), ("p", Some("pr-1")), ("q", Some("pr-2")), ("r", Some("pr-3"))];
            let candidates: Vec<Part<'_>> = of.iter().zip(&weights).map(|((revision, tag), weight)| Part { revision, weight: *weight, tag: *tag }).collect();
            let split = Split { stable: "s", tag_stable: !candidates.is_empty(), candidates };
            let wanted = allocate(&git, &split, &known);
            prop_assert_eq!(wanted.targets.iter().filter_map(|t| t.percent).sum::<i64>(), 100);
            prop_assert!(wanted.targets.iter().all(|t| t.percent >= Some(0)));
            let mut seen = BTreeSet::new();
            prop_assert!(wanted.targets.iter().filter_map(|t| t.tag.clone()).all(|tag| seen.insert(tag)), "a tag twice: {}", describe(&wanted.targets));
            prop_assert!(!wanted.targets.iter().any(|t| t.latest_revision == Some(true)));
            // Nobody has more than was asked, but for the one percent that is the least.
            for part in &split.candidates {
                let has: i64 = wanted.targets.iter().filter(|t| t.revision_name.as_deref() == Some(part.revision)).filter_map(|t| t.percent).sum();
                let due = (wanted.canary_share * i64::from(part.weight) + 50) / 100;
                prop_assert!(has <= due.max(i64::from(part.weight > 0)), "{} has {has} of {due}", part.revision);
                prop_assert!(part.weight > 0 || has == 0);
            }
        }
    }
}
