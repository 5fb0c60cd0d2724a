//! Which old Revisions go.

use jiff::Timestamp;
use serde_json::json;

use super::super::config::RevisionGc;
use super::super::decision::Step;
use super::super::object::Object;
use super::super::revision_gc::decide;

const HOUR: i64 = 3600;
const NOW: i64 = 1000 * HOUR;

fn revision(number: usize, state: &str, idle_hours: i64) -> Object {
    let since = Timestamp::from_second(NOW - idle_hours * HOUR).unwrap();
    serde_json::from_value(json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Revision",
        "metadata": {
            "name": format!("app-{number:05}"),
            "creationTimestamp": since,
            "labels": {"serving.knative.dev/routingState": state},
            "annotations": {"serving.knative.dev/routingStateModified": since},
        },
    }))
    .unwrap()
}

fn swept(revisions: &[Object], rules: &RevisionGc) -> (Vec<String>, Option<u64>) {
    let configuration: Object = serde_json::from_value(json!({
        "apiVersion": "serving.knative.dev/v1", "kind": "Configuration",
        "metadata": {"name": "app"}, "status": {"latestReadyRevisionName": "app-00001"},
    }))
    .unwrap();
    let all: Vec<_> = revisions.iter().collect();
    let decision = decide(
        &configuration,
        &all,
        rules,
        Timestamp::from_second(NOW).unwrap(),
    );
    let gone = decision
        .steps
        .into_iter()
        .map(|step| match step {
            Step::Delete(_, name) => name,
            other => panic!("{other:?}"),
        })
        .collect();
    (gone, decision.again_in.map(|wait| wait.as_secs() / 3600))
}

#[test]
fn old_ones_without_traffic_go_oldest_first_down_to_the_least_number() {
    let rules = RevisionGc {
        min_non_active: 2,
        ..RevisionGc::default()
    };
    let mut kept = revision(4, "reserve", 999);
    kept.metadata
        .annotations
        .get_or_insert_default()
        .insert("serving.knative.dev/no-gc".to_owned(), "true".to_owned());
    let all = [
        revision(1, "reserve", 900), // latest ready
        revision(2, "active", 900),
        revision(3, "pending", 900),
        kept,
        revision(5, "reserve", 100),
        revision(6, "reserve", 300),
        revision(7, "reserve", 200),
        revision(8, "reserve", 60),
    ];
    assert_eq!(swept(&all, &rules).0, ["app-00006", "app-00007"]);
}

#[test]
fn young_ones_wait_for_their_time() {
    let rules = RevisionGc {
        min_non_active: 0,
        ..RevisionGc::default()
    };
    let all = [revision(5, "reserve", 40), revision(6, "reserve", 20)];
    assert_eq!(swept(&all, &rules), (vec![], Some(8)));
}

#[test]
fn beyond_the_greatest_number_age_does_not_matter() {
    let rules = RevisionGc {
        min_non_active: 1,
        max_non_active: Some(2),
        ..RevisionGc::default()
    };
    let all = [
        revision(5, "reserve", 3),
        revision(6, "reserve", 2),
        revision(7, "reserve", 1),
        revision(8, "reserve", 4),
    ];
    assert_eq!(swept(&all, &rules).0, ["app-00008", "app-00005"]);
}

#[test]
fn with_all_rules_off_nothing_goes() {
    let rules = RevisionGc {
        retain_since_create: None,
        retain_since_active: None,
        min_non_active: 0,
        max_non_active: None,
    };
    assert_eq!(
        swept(&[revision(5, "reserve", 900)], &rules),
        (vec![], None)
    );
}
