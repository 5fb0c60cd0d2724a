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
    /// Gets no share and a tag, to be rolled back to.
    pub previous: Option<&'a str>,
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
            previous: None,
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
            previous: None,
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
    if let Some(previous) = split.previous {
        add(&mut targets, named(own.previous.clone(), previous, 0));
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
mod tests;
