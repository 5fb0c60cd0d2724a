//! A ServiceRollout's size is bounded, whatever containers, webhooks, commits and people say.

use std::time::Duration;

use super::world::{World, failing, good};
use crate::api::rollout::{Action, Phase, Request};
use crate::api::serving::TrafficTarget;
use crate::policy::Step;

/// Bytes of a status: a fifth of what etcd takes for an object.
const LIMIT: usize = 300_000;
/// The names in this world are short; a cluster's have up to 63 characters each.
const LONGER_NAMES: usize = (25 + 50 + 8) * 63;

/// Of each character that JSON makes more of, some.
fn endless(number: usize) -> String {
    format!("{number}{}", "\u{1}\"\\ä\n日".repeat(10_000))
}

fn request(number: usize, action: Action) -> Request {
    Request {
        id: format!("{number:0>36}"),
        action,
        revision: Some(endless(number)),
        by: Some(endless(number)),
        expires: None,
        seen: None,
    }
}

/// Five good releases, and sixty templates that were refused, each in endless words.
fn with_a_full_history() -> World {
    let mut world = World::at_rest("demo");
    for number in 0..5 {
        world.commit(&format!("good-{number}"), good());
        world.git.subject = Some(endless(number));
        world.run(8);
        let mut promote = request(number, Action::Promote);
        promote.revision = None;
        world.spec.requests = vec![promote];
        world.run(10);
        assert_eq!(world.status.phase, Phase::Stable, "{}", world.status.phase);
    }
    for number in 0..60 {
        world.commit(&format!("refused-{number}"), failing(100));
        world.git.subject = Some(endless(number));
        world.refuses = Some(endless(number));
        world.run(2);
    }
    world.refuses = None;
    world
}

#[test]
fn a_status_has_less_than_300_kb_in_the_worst_case() {
    let mut world = with_a_full_history();
    // As many requests as a spec takes.
    let undo = (1000..1050).map(|number| request(number, Action::Undo));
    world.spec.requests = undo.collect();
    world.run(1);
    // As many steps as a policy takes, each judged on requests of our own, with the gateway's words about its counters.
    let step = world.policy.steps[0].clone();
    let steps = (1..=50).map(|weight| Step {
        weight,
        ..step.clone()
    });
    world.policy.steps = steps.collect();
    world.policy.step_timeout = Duration::from_secs(20);
    world.blind = true;
    world.blind_words = endless(0);
    world.commit("at-its-last-step", good());
    world.git.subject = Some(endless(0));
    for _ in 0..1000 {
        if world.status.weight < 50 {
            world.run(1);
        }
    }
    assert_eq!(world.status.weight, 50, "{}", world.status.message);
    // And a traffic block of which nothing can be had.
    world.git.final_traffic = (0..1000)
        .map(|number| TrafficTarget {
            revision_name: Some(format!("missing-{number:0>40}")),
            tag: Some(format!("tag-{number:0>40}")),
            percent: Some(i64::from(number == 0) * 10),
            ..TrafficTarget::default()
        })
        .collect();
    world.git.final_traffic.push(TrafficTarget {
        latest_revision: Some(true),
        percent: Some(90),
        ..TrafficTarget::default()
    });
    world.run(1);
    world.git.policy_problem = Some(endless(0));
    world.run(1);
    // As much as is shown of objects that the template names.
    for number in 0..6 {
        world.changes_config(&endless(number));
        let change = world.git.config_changes.last_mut().unwrap();
        change.commit = format!("{number:0>40}");
        change.diff = (0..11).map(endless).collect();
    }
    world.run(1);

    let status = &world.status;
    assert_eq!(status.phase, Phase::Holding, "{}", status.message);
    assert_eq!(status.history.len(), 25);
    assert_eq!(status.quarantine.len(), 50);
    assert_eq!(status.answers.len(), 50);
    assert_eq!(status.evidence.len(), 51);
    assert_eq!(status.config_changes.len(), 5);
    assert_eq!(status.conditions.len(), 4);
    let bytes = serde_json::to_vec(status).unwrap().len() + LONGER_NAMES;
    assert!(bytes > LIMIT / 2, "that is not the worst: {bytes}");
    assert!(bytes < LIMIT, "{bytes}");
}
