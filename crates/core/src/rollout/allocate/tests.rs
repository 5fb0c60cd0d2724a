//! Percentages in every shape of traffic that people write.

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
    let found = traffic_without_release(&mid_release, "s", Some("c"), None, "hello");
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
    let text = |weight| describe(&allocate(&[], &Split::beside("s", "c", weight), &known).targets);
    assert_eq!(text(0), "s 100 %");
    assert_eq!(text(5), "s 95 %, c 5 %");
    let split = allocate(&[], &Split::beside("s", "c", 5), &known).targets;
    let back = traffic_without_release(&split, "s", Some("c"), None, &service);
    assert_eq!(describe(&back), "latest 100 %");
}

#[test]
fn what_a_watched_revision_is_rolled_back_to_keeps_a_tag_and_loses_it_without_a_trace() {
    let of = |service: &str, git: &[TrafficTarget]| {
        let known = Known {
            service,
            usable: &|_| true,
            tainted: &BTreeSet::new(),
            newest: [None, None],
        };
        let split = Split {
            previous: Some("p"),
            ..Split::alone("s")
        };
        allocate(git, &split, &known).targets
    };
    let watched = of("hello", &[]);
    assert_eq!(describe(&watched), "s 100 %, p 0 % #previous");
    let back = traffic_without_release(&watched, "s", None, Some("p"), "hello");
    assert_eq!(describe(&back), "latest 100 %");
    // No room for a tag: no entry.
    assert_eq!(describe(&of(&"x".repeat(62), &[])), "s 100 %");
    // The user's own word goes before ours.
    let theirs = |tag: &str| TrafficTarget {
        tag: Some(tag.to_owned()),
        latest_revision: Some(true),
        percent: Some(100),
        ..TrafficTarget::default()
    };
    assert_eq!(
        describe(&of("hello", &[theirs("previous")])),
        "s 100 % #previous, p 0 % #previous-sluice"
    );
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
        kept in any::<bool>(),
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
        let split = Split { stable: "s", tag_stable: !candidates.is_empty(), previous: kept.then_some("p"), candidates };
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
