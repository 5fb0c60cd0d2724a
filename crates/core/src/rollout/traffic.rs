//! Whether the cluster has the traffic that is wanted, and how traffic is said.

use std::fmt::Write as _;

use crate::api::serving::TrafficTarget;

use super::allocate::named;
use super::input::RouteFacts;
use super::own_tags::{is_own, is_own_previous, tags};
use super::words;

/// The condition of a ServiceRollout that is `True` while entries of Git's traffic cannot be had.
pub const LEFT_OUT: &str = "TrafficLeftOut";

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
    previous: Option<&str>,
    service: &str,
) -> Vec<TrafficTarget> {
    let own = tags(&[], service);
    // What is kept for a rollback has no share, and a tag that goes with the watch.
    let is_kept_for_rollback = |entry: &&TrafficTarget| {
        previous.is_some()
            && entry.revision_name.as_deref() == previous
            && entry.percent.unwrap_or(0) == 0
            && entry.tag.as_deref().is_some_and(is_own_previous)
    };
    let is_release_s = |entry: &&TrafficTarget| match entry.revision_name.as_deref() {
        None => false,
        Some(name) if name == stable => entry.tag.is_none() || entry.tag == own.stable,
        name => name == candidate,
    };
    let (release, kept): (Vec<_>, Vec<_>) = spec
        .iter()
        .filter(|entry| !is_kept_for_rollback(entry))
        .partition(is_release_s);
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
    let waits = route.ready.as_ref().is_some_and(|ready| {
        matches!(
            ready.reason.as_str(),
            // The gateway's controller, and in a Service, which has seen the write itself, its Route's.
            "IngressNotConfigured" | "Uninitialized" | "OutOfDate"
        )
    });
    waits || route.observed_generation < route.generation || !same(&route.spec, wanted)
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
    use super::*;
    use crate::api::serving::KnativeCondition;

    #[test]
    fn nobody_has_come_to_a_route_whose_service_says_that_it_is_behind() {
        let wanted = vec![named(None, "hello-00001", 100)];
        let says = |reason: &str| RouteFacts {
            generation: 3,
            observed_generation: 3,
            spec: wanted.clone(),
            ready: Some(KnativeCondition {
                type_: "RoutesReady".to_owned(),
                status: "Unknown".to_owned(),
                reason: reason.to_owned(),
                ..KnativeCondition::default()
            }),
            ..RouteFacts::default()
        };
        for reason in ["OutOfDate", "IngressNotConfigured", "Uninitialized"] {
            assert!(unheard(Some(&says(reason)), &wanted), "{reason}");
        }
        for reason in ["RevisionMissing", "TrafficNotMigrated", ""] {
            assert!(!unheard(Some(&says(reason)), &wanted), "{reason}");
        }
        let unseen = RouteFacts {
            generation: 4,
            ..says("")
        };
        assert!(unheard(Some(&unseen), &wanted));
        assert!(unheard(None, &wanted));
    }
}
