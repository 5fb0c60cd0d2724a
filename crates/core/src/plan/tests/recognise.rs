//! An agent that is another version than the one that stored the status.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::api::object::ObjectKey;
use crate::api::rollout::{HistoryEntry, Hold, HoldReason, Outcome, Quarantine, Release};
use crate::plan::digest;
use crate::plan::{LiveObject, expand};
use crate::render::{fixture, render};

fn spelled(cpu: &str, image: &str) -> Value {
    json!({"spec": {"containers": [{"image": image, "resources": {"limits": {"cpu": cpu}}}]}})
}

fn git(template: &Value) -> ServiceIntent {
    let manifest = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service",
        "metadata": {"name": "hello"}, "spec": {"template": template}});
    let nothing: BTreeMap<ObjectKey, Arc<LiveObject>> = BTreeMap::new();
    let rendered = render(&fixture::repository(&[manifest]), fixture::shop(), &nothing);
    let mut expanded = expand::expand(&rendered, &nothing);
    expanded.services.remove(0)
}

fn hash(text: &str) -> TemplateHash {
    TemplateHash(text.to_owned())
}

fn release(hash: TemplateHash, generation: i64) -> Release {
    Release {
        revision: Some(format!("hello-0000{generation}")),
        template_hash: Some(hash),
        generation: Some(generation),
        ..Release::default()
    }
}

fn quarantine(hash: TemplateHash) -> Quarantine {
    Quarantine {
        template_hash: hash,
        revision: Some("hello-00002".to_owned()),
        commit: None,
        attempt: 0,
        reason: "it crashed".to_owned(),
        refused: None,
        since: "2026-01-01T00:00:00Z".parse().unwrap(),
    }
}

/// Nothing can be seen of the cluster.
const BLIND: Sight<'static> = Sight {
    at_generation: None,
    made_from_git: &|_| None,
};

#[test]
fn what_an_agent_before_this_one_stored_is_known_wherever_it_stands() {
    let template = spelled("1000m", "a");
    let v1 = digest::v1::template(&template);
    let other = hash("00c0ffee00c0ffee");
    let mut status = RolloutStatus {
        phase: Phase::Stable,
        stable: Some(release(v1.clone(), 1)),
        candidate: Some(release(v1.clone(), 2)),
        history: vec![HistoryEntry {
            release: release(v1.clone(), 1),
            outcome: Outcome::Promoted,
            reason: String::new(),
            weight: 100,
            ended_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        }],
        quarantine: vec![quarantine(other.clone()), quarantine(v1)],
        ..RolloutStatus::default()
    };
    let git = git(&template);
    assert!(
        !git.recognise(&mut status, BLIND),
        "Git says it again at the next start"
    );
    let names: Vec<TemplateHash> = hashes(&mut status).map(|hash| hash.clone()).collect();
    let now = git.template_hash.clone();
    assert_eq!(names, [now.clone(), now.clone(), now.clone(), other, now]);
}

#[test]
fn a_spelling_that_changed_together_with_the_agent_is_known_by_its_revision() {
    let v1 = digest::v1::template(&spelled("1000m", "a"));
    let git = git(&spelled("1", "a"));
    let mut status = RolloutStatus {
        phase: Phase::RolledBack,
        stable: Some(release(v1.clone(), 1)),
        quarantine: vec![quarantine(hash("00c0ffee00c0ffee"))],
        ..RolloutStatus::default()
    };
    let before = status.quarantine.clone();
    let sight = Sight {
        at_generation: None,
        made_from_git: &|name| Some(name == "hello-00001"),
    };
    assert!(git.recognise(&mut status, sight));
    assert_eq!(
        status.stable.unwrap().template_hash,
        Some(git.template_hash.clone())
    );
    assert_eq!(status.quarantine, before);
}

#[test]
fn a_hash_of_a_later_agent_neither_starts_a_release_nor_lifts_a_quarantine() {
    let git = git(&spelled("1", "a"));
    let later = || hash("v3-00c0ffee");
    let settled = || RolloutStatus {
        phase: Phase::Stable,
        stable: Some(release(later(), 1)),
        ..RolloutStatus::default()
    };
    let mut status = settled();
    assert!(git.recognise(&mut status, BLIND));
    assert_eq!(
        status.stable.unwrap().template_hash,
        Some(git.template_hash.clone())
    );
    // Where the cluster shows that Git has another template now, it is released.
    let mut status = settled();
    let other = Sight {
        at_generation: None,
        made_from_git: &|_| Some(false),
    };
    assert!(!git.recognise(&mut status, other));
    assert_eq!(status.stable.unwrap().template_hash, Some(later()));
    for phase in [Phase::RolledBack, Phase::Failed] {
        let mut status = RolloutStatus {
            phase,
            quarantine: vec![quarantine(later()), quarantine(hash("v3-other"))],
            ..settled()
        };
        assert!(git.recognise(&mut status, BLIND));
        assert_eq!(status.quarantine[0].template_hash, git.template_hash);
        assert_eq!(status.quarantine[1].template_hash, hash("v3-other"));
        assert_eq!(status.stable.unwrap().template_hash, Some(later()));
    }
    // On its way, held or not, it goes on.
    let mut status = RolloutStatus {
        phase: Phase::Holding,
        hold: Some(Hold {
            phase: Phase::Stepping,
            reason: HoldReason::Paused,
            since: "2026-01-01T00:00:00Z".parse().unwrap(),
            gates: Vec::new(),
        }),
        candidate: Some(release(later(), 2)),
        ..settled()
    };
    assert!(git.recognise(&mut status, BLIND));
    assert_eq!(
        status.candidate.unwrap().template_hash,
        Some(git.template_hash.clone())
    );
    assert_eq!(status.stable.unwrap().template_hash, Some(later()));
}

#[test]
fn a_template_that_only_lost_what_is_somebody_else_s_is_the_one_that_serves() {
    let git = git(&spelled("1", "a"));
    let before = TemplateHash::present("00c0ffee");
    let stable = |phase| RolloutStatus {
        phase,
        stable: Some(release(before.clone(), 4)),
        ..RolloutStatus::default()
    };
    let at = |generation| Sight {
        at_generation: generation,
        ..BLIND
    };
    let known = |phase, generation| {
        let mut status = stable(phase);
        git.recognise(&mut status, at(generation));
        status.stable.unwrap().template_hash == Some(git.template_hash.clone())
    };
    assert!(known(Phase::Stable, Some(4)));
    assert!(
        !known(Phase::Stable, Some(5)),
        "the cluster has it, but it does not serve"
    );
    assert!(!known(Phase::Stable, None), "the cluster does not have it");
    assert!(!known(Phase::Staging, Some(4)), "a release is on its way");
}
