//! Which traffic is wanted, whether the cluster has it, and how it is said.
//!
//! The user's own traffic block is the shape; whatever follows the newest revision in it
//! is the share that a release moves from stable to candidate. Everything is written by
//! revision name: what `latestRevision: true` would choose has not been looked at yet.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::api::serving::TrafficTarget;

use super::input::RouteFacts;
use super::own_tags::{OwnTags, is_own, tags};
use super::words;

/// The condition of a ServiceRollout that is `True` while entries of Git's traffic cannot be had.
pub const LEFT_OUT: &str = "TrafficLeftOut";

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
#[derive(Clone, Copy, Debug)]
pub(super) struct Split<'a> {
    /// Gets the share, less the candidate's part.
    pub stable: &'a str,
    /// Gets its weight's part of the share, and a tag.
    pub candidate: Option<(&'a str, u8)>,
    /// Whether stable gets a tag as well, to be probed in the same way.
    pub tag_stable: bool,
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

/// The traffic block for these parts in the user's shape.
pub(super) fn target_traffic(
    git: &[TrafficTarget],
    parts: Split<'_>,
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
        match place(entry, parts, known) {
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
    if canary_share == 0 && parts.candidate.is_some() {
        // No step will ever come to them: the newest revision is shown there, or nowhere.
        previews.extend(shared.drain(..).filter_map(|(tag, _)| tag));
    }
    let part = candidate_part(
        canary_share,
        parts.candidate.map_or(0, |(_, weight)| weight),
    );

    let mut targets: Vec<TrafficTarget> = Vec::new();
    // The candidate's part comes off the entries in proportion; running totals make it exact.
    let (mut before, mut taken) = (0, 0);
    for (tag, percent) in shared {
        before += percent;
        let due = if canary_share == 0 {
            0
        } else {
            before * part / canary_share
        };
        let remaining = percent - (due - taken);
        taken = due;
        add(&mut targets, named(tag, parts.stable, remaining));
    }
    for entry in kept {
        add(&mut targets, entry);
    }
    if let Some((candidate, _)) = parts.candidate {
        for tag in previews {
            add(&mut targets, named(Some(tag), candidate, 0));
        }
        add_own(&mut targets, parts, tags(git, known.service), part);
    }
    // An untagged entry without a share says nothing.
    targets.retain(|entry| entry.tag.is_some() || entry.percent != Some(0));
    TargetTraffic {
        targets,
        left_out,
        canary_share,
    }
}

/// The candidate's part, and the tags that both are probed at.
fn add_own(targets: &mut Vec<TrafficTarget>, parts: Split<'_>, tags: OwnTags, part: i64) {
    let Some((candidate, _)) = parts.candidate else {
        return;
    };
    if let Some(tag) = tags.stable.filter(|_| parts.tag_stable) {
        match targets.iter_mut().find(|entry| {
            entry.tag.is_none()
                && entry.revision_name.as_deref() == Some(parts.stable)
                && entry.percent != Some(0)
        }) {
            Some(entry) => entry.tag = Some(tag),
            None => targets.push(named(Some(tag), parts.stable, 0)),
        }
    }
    add(targets, named(tags.candidate, candidate, part));
}

/// All traffic to one revision and nothing else: the last resort, when the Route does not
/// follow because of some other entry.
pub(super) fn bare(stable: &str) -> Vec<TrafficTarget> {
    vec![named(None, stable, 100)]
}

/// The block that a Route in the middle of a release is rolled back to, where Git cannot be asked for it: the
/// release's entries are one again, and follow the newest revision; the others are the user's own.
pub fn traffic_without_release(
    spec: &[TrafficTarget],
    stable: &str,
    candidate: Option<&str>,
    service: &str,
) -> Vec<TrafficTarget> {
    let own = tags(&[], service);
    let is_release_s = |entry: &&TrafficTarget| match entry.revision_name.as_deref() {
        None => false,
        Some(name) if name == stable => entry.tag.is_none() || entry.tag == own.stable,
        name => name == candidate,
    };
    let (release, kept): (Vec<_>, Vec<_>) = spec.iter().partition(is_release_s);
    // The user's own tags of the candidate.
    let previews = release.iter().filter(|entry| {
        let tag = entry.tag.as_deref();
        entry.revision_name.as_deref() == candidate && tag.is_some_and(|tag| !is_own(tag))
    });
    let previews: Vec<TrafficTarget> = previews
        .map(|entry| TrafficTarget {
            percent: Some(0),
            ..TrafficTarget::clone(entry)
        })
        .collect();
    let all = TrafficTarget {
        latest_revision: Some(true),
        percent: Some(release.iter().filter_map(|entry| entry.percent).sum()),
        ..TrafficTarget::default()
    };
    std::iter::once(all)
        .chain(kept.into_iter().cloned())
        .chain(previews)
        .collect()
}

enum Place {
    /// Follows the newest revision: stable has it until the candidate does.
    Share,
    /// Names the candidate: as `Share`, and its tag shows the candidate, or nothing yet.
    Candidate,
    Kept,
    LeftOut(&'static str),
}

fn place(entry: &TrafficTarget, parts: Split<'_>, known: &Known<'_>) -> Place {
    match (&entry.revision_name, &entry.configuration_name) {
        (Some(revision), _) => {
            let newest = known.newest.contains(&Some(revision.as_str()));
            if revision == parts.stable {
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

/// The candidate's part of the share. One percent at least once it has a weight: a share of
/// 10 % and a weight of 5 would else be nothing, and nobody would learn anything from it.
fn candidate_part(canary_share: i64, weight: u8) -> i64 {
    if weight == 0 || canary_share == 0 {
        return 0;
    }
    ((canary_share * i64::from(weight) + 50) / 100).clamp(1, canary_share)
}

fn named(tag: Option<String>, revision: &str, percent: i64) -> TrafficTarget {
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

/// Whether two traffic blocks mean the same: order, URLs and left-out defaults do not count.
pub(super) fn same(a: &[TrafficTarget], b: &[TrafficTarget]) -> bool {
    type Plain<'a> = (Option<&'a str>, Option<&'a str>, Option<&'a str>, bool, i64);
    fn plain(targets: &[TrafficTarget]) -> Vec<Plain<'_>> {
        let mut plain: Vec<Plain<'_>> = targets
            .iter()
            .map(|entry| {
                (
                    entry.tag.as_deref().filter(|tag| !tag.is_empty()),
                    entry.revision_name.as_deref(),
                    entry.configuration_name.as_deref(),
                    entry
                        .latest_revision
                        .unwrap_or(entry.revision_name.is_none()),
                    entry.percent.unwrap_or(0),
                )
            })
            .collect();
        plain.sort_unstable();
        plain
    }
    plain(a) == plain(b)
}

/// Whether the cluster routes as wanted: asked for, seen, resolved and programmed.
pub(super) fn confirmed(route: &RouteFacts, wanted: &[TrafficTarget]) -> bool {
    let programmed = route.ready.as_ref().is_some_and(|ready| {
        // Knative's own timed rollout of an entry that follows another Configuration; what
        // is named by revision is in place.
        ready.is_true() || ready.reason == "RolloutInProgress"
    });
    // The status names the revision that a Configuration's entry resolved to.
    let resolved: Vec<TrafficTarget> = route
        .status
        .iter()
        .filter(|entry| entry.tag.is_some() || entry.percent.unwrap_or(0) != 0)
        .map(|entry| {
            let follows = wanted.iter().find(|other| {
                other.revision_name.is_none()
                    && other.tag == entry.tag
                    && other.percent.unwrap_or(0) == entry.percent.unwrap_or(0)
                    && entry.latest_revision == Some(true)
            });
            follows.unwrap_or(entry).clone()
        })
        .collect();
    programmed
        && route.observed_generation >= route.generation
        && same(&route.spec, wanted)
        && same(&resolved, wanted)
}

/// Whether a Route has not been heard about what was asked: it was not written yet, or Knative's
/// controller or the gateway's has not come to it. No release can cause that.
pub(super) fn unheard(route: Option<&RouteFacts>, wanted: &[TrafficTarget]) -> bool {
    let Some(route) = route else { return true };
    let gateway = route.ready.as_ref().is_some_and(|ready| {
        matches!(
            ready.reason.as_str(),
            "IngressNotConfigured" | "Uninitialized"
        )
    });
    gateway || route.observed_generation < route.generation || !same(&route.spec, wanted)
}

/// What a Route says about itself, for a message.
pub(super) fn cause(route: Option<&RouteFacts>) -> String {
    let Some(route) = route else {
        return "the Route is not there".to_owned();
    };
    if route.observed_generation < route.generation {
        return "the Route's controller has not looked at it yet".to_owned();
    }
    match &route.ready {
        Some(ready) if !ready.is_true() => {
            let reason = if ready.reason.is_empty() {
                "not Ready"
            } else {
                &ready.reason
            };
            if ready.message.is_empty() {
                reason.to_owned()
            } else {
                format!("{reason}: {}", ready.message)
            }
        }
        _ => format!("status.traffic says {}", describe(&route.status)),
    }
}

/// `hello-00001 95 % #stable, hello-00002 5 % #candidate`.
pub fn describe(traffic: &[TrafficTarget]) -> String {
    let mut text = String::new();
    for entry in traffic {
        if !text.is_empty() {
            text.push_str(", ");
        }
        let name = entry
            .revision_name
            .as_deref()
            .or(entry.configuration_name.as_deref())
            .unwrap_or("latest");
        let _ = write!(text, "{name} {} %", entry.percent.unwrap_or(0));
        if let Some(tag) = &entry.tag {
            let _ = write!(text, " #{tag}");
        }
    }
    words::stand_in(text)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

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

    fn ends_in(git: &[&str], candidate: Option<(&str, u8)>, expected: Expect) {
        let git: Vec<_> = git.iter().map(|text| entry(text)).collect();
        let known = Known {
            service: "hello",
            usable: &|name| name != "gone",
            tainted: &["bad".to_owned()].into(),
            newest: [Some("c"), None],
        };
        let parts = Split {
            stable: "s",
            candidate,
            tag_stable: candidate.is_some(),
        };
        let wanted = target_traffic(&git, parts, &known);
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
        let parts = |candidate: Option<_>| Split {
            stable: "s",
            candidate,
            tag_stable: candidate.is_some(),
        };
        let split = target_traffic(&git, parts(Some(("c", 20))), &known).targets;
        let found = traffic_without_release(&split, "s", Some("c"), "hello");
        expected.assert_eq(&describe(
            &target_traffic(&found, parts(None), &known).targets,
        ));
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
        let parts = |weight| Split {
            stable: "s",
            candidate: Some(("c", weight)),
            tag_stable: true,
        };
        let service = "x".repeat(62);
        let known = Known {
            service: &service,
            usable: &|_| true,
            tainted: &BTreeSet::new(),
            newest: [Some("c"), None],
        };
        let text = |weight| describe(&target_traffic(&[], parts(weight), &known).targets);
        assert_eq!(text(0), "s 100 %");
        assert_eq!(text(5), "s 95 %, c 5 %");
        let split = target_traffic(&[], parts(5), &known).targets;
        let back = traffic_without_release(&split, "s", Some("c"), &service);
        assert_eq!(describe(&back), "latest 100 %");
    }

    proptest! {
        #[test]
        fn the_sum_is_always_100(cuts in proptest::collection::vec((0i64..=100, 0u8..6, proptest::option::of("[a-c]")), 0..5), weight in 0u8..=99) {
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
            for candidate in [None, Some(("c", weight))] {
                let wanted = target_traffic(&git, Split { stable: "s", candidate, tag_stable: true }, &known);
                prop_assert_eq!(wanted.targets.iter().filter_map(|t| t.percent).sum::<i64>(), 100);
                prop_assert!(wanted.targets.iter().all(|t| t.percent >= Some(0)));
                let mut seen = BTreeSet::new();
                prop_assert!(wanted.targets.iter().filter_map(|t| t.tag.clone()).all(|tag| seen.insert(tag)), "a tag twice: {}", describe(&wanted.targets));
                prop_assert!(!wanted.targets.iter().any(|t| t.latest_revision == Some(true)));
            }
        }
    }
}
