//! Changes by hand to what is delivered: put back and said, or left alone and said, as the
//! Delivery's `drift` says; in the middle of a release too.

use kube::api::DynamicObject;
use serde_json::{Value, json};
use sluice::api::delivery::{Drift, Expand};
use sluice::api::rollout::{Outcome, Phase};

use crate::harness::{
    BRISK, DELIVERY, Harness, Hello, PATIENCE, Setting, in_both_forms, share, split_of,
};

in_both_forms!(
    traffic_changed_by_hand_is_corrected_and_said,
    a_template_changed_by_hand_is_corrected_said_and_never_served,
    a_config_map_changed_by_hand_is_put_back_and_said,
    with_report_changes_by_hand_are_left_alone_and_said_until_git_changes,
    traffic_changed_by_hand_in_mid_release_is_put_back_and_the_release_goes_on,
    a_template_changed_by_hand_in_mid_release_is_never_served,
    what_is_deleted_by_hand_comes_back,
);

const HAND: &str = "kubectl-edit";

/// `hello` and a ConfigMap, delivered.
async fn open(expand: Expand, drift: Drift, policy: &str) -> (Harness, String) {
    let harness = Harness::set(Setting {
        expand,
        drift,
        policy: policy.to_owned(),
        ..Setting::default()
    })
    .await;
    harness
        .repository
        .write("apps/settings.yaml", &settings("calm"));
    let commit = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    let status = harness.promoted("hello", &commit).await;
    harness
        .delivery(DELIVERY, "delivered", |status| {
            status.last_good_commit.as_ref() == Some(&commit)
        })
        .await;
    let stable = status.stable.unwrap().revision.unwrap();
    (harness, stable)
}

fn settings(mood: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: settings}}\ndata: {{mood: {mood}}}\n"
    )
}

fn mood(object: &DynamicObject) -> Option<&str> {
    object.data.pointer("/data/mood").and_then(Value::as_str)
}

fn all_to(revision: &str) -> Value {
    json!({"spec": {"traffic": [{"revisionName": revision, "percent": 100, "latestRevision": false}]}})
}

/// A template by hand.
fn greeting(target: &str) -> Value {
    json!({"spec": Hello::new("hello", target).service()["spec"]})
}

/// `hello` with two revisions: the older and the stable one.
async fn two(expand: Expand, drift: Drift) -> (Harness, String, String) {
    let (harness, first) = open(expand, drift, BRISK).await;
    let commit = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let status = harness.promoted("hello", &commit).await;
    (harness, first, status.stable.unwrap().revision.unwrap())
}

async fn traffic_changed_by_hand_is_corrected_and_said(expand: Expand) {
    let (harness, first, second) = two(expand, Drift::Correct).await;
    let users = harness.users("hello", 20);
    let object = harness.traffic_object();
    harness
        .by_hand(&object, "hello", HAND, &all_to(&first))
        .await;
    let said = harness
        .told("ServiceRollout", "hello", "TrafficDrift")
        .await;
    assert!(said.contains(&format!("{first} 100 %")), "{said}");
    harness
        .when(object, "hello", "put back", |object| {
            share(&split_of(object, "/spec/traffic"), &second) == 100
                && share(&split_of(object, "/status/traffic"), &second) == 100
        })
        .await;
    let status = harness
        .until("hello", "confirmed", |status| status.confirmed_at.is_some())
        .await;
    assert_eq!(status.phase, Phase::Stable);
    let answers = users.stop().await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    harness.end().await;
}

async fn a_template_changed_by_hand_is_corrected_said_and_never_served(expand: Expand) {
    let (harness, stable) = open(expand, Drift::Correct, BRISK).await;
    let history = harness.watch_traffic("hello");
    let object = harness.template_object();
    harness
        .by_hand(&object, "hello", HAND, &greeting("mischief"))
        .await;
    harness
        .told("ServiceRollout", "hello", "TemplateDrift")
        .await;
    harness
        .when(object, "hello", "put back", |object| {
            object.data.to_string().contains("\"one\"")
        })
        .await;
    // A release after it shows that nothing is left over.
    let commit = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let status = harness.promoted("hello", &commit).await;
    let new = status.stable.unwrap().revision.unwrap();
    for split in history.so_far() {
        assert_eq!(
            share(&split, &stable) + share(&split, &new),
            100,
            "{split:#?}"
        );
    }
    harness.end().await;
}

async fn a_config_map_changed_by_hand_is_put_back_and_said(expand: Expand) {
    let (harness, _) = open(expand, Drift::Correct, BRISK).await;
    let maps = harness.objects("v1", "ConfigMap");
    let change = json!({"data": {"mood": "wild"}});
    harness.by_hand(&maps, "settings", HAND, &change).await;
    let said = harness
        .told("ConfigMap", "settings", "DriftCorrected")
        .await;
    assert!(said.contains(HAND) && said.contains("mood"), "{said}");
    let now = maps.get("settings").await.unwrap();
    assert_eq!(mood(&now), Some("calm"));
    harness.end().await;
}

async fn with_report_changes_by_hand_are_left_alone_and_said_until_git_changes(expand: Expand) {
    let (harness, first, second) = two(expand, Drift::Report).await;
    let maps = harness.objects("v1", "ConfigMap");
    let change = json!({"data": {"mood": "wild"}});
    harness.by_hand(&maps, "settings", HAND, &change).await;
    let said = harness.told("ConfigMap", "settings", "DriftLeft").await;
    assert!(said.contains(HAND) && said.contains("mood"), "{said}");

    let object = harness.traffic_object();
    harness
        .by_hand(&object, "hello", HAND, &all_to(&first))
        .await;
    let said = harness
        .told("ServiceRollout", "hello", "TrafficDrift")
        .await;
    assert!(said.contains("left"), "{said}");
    let template = harness.template_object();
    harness
        .by_hand(&template, "hello", HAND, &greeting("mischief"))
        .await;
    let said = harness
        .told("ServiceRollout", "hello", "TemplateDrift")
        .await;
    assert!(said.contains("left"), "{said}");

    // Another object's coming shows that a whole pass went by since.
    let other = harness.push("Another", &[Hello::new("other", "one")]);
    harness.promoted("other", &other).await;
    assert_eq!(mood(&maps.get("settings").await.unwrap()), Some("wild"));
    let split = split_of(&object.get("hello").await.unwrap(), "/spec/traffic");
    assert_eq!(share(&split, &first), 100, "{split:#?}");
    let now = template.get("hello").await.unwrap();
    assert!(now.data.to_string().contains("mischief"));

    // Git has the last word.
    harness
        .repository
        .write("apps/settings.yaml", &settings("merry"));
    let third = harness.push("Greet three", &[Hello::new("hello", "three")]);
    let history = harness.watch_traffic("hello");
    let status = harness.promoted("hello", &third).await;
    let new = status.stable.unwrap().revision.unwrap();
    assert_eq!(history.shares(&new), [0, 5, 20, 50, 100]);
    assert_eq!(
        *history.shares(&second).last().unwrap(),
        0,
        "{:#?}",
        history.so_far()
    );
    assert_eq!(mood(&maps.get("settings").await.unwrap()), Some("merry"));
    harness.end().await;
}

async fn traffic_changed_by_hand_in_mid_release_is_put_back_and_the_release_goes_on(
    expand: Expand,
) {
    let (harness, first) = open(expand, Drift::Correct, "demo").await;
    let commit = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let status = harness
        .until("hello", "at 5 %", |status| {
            status.weight == 5 && status.confirmed_at.is_some()
        })
        .await;
    let new = status.candidate.unwrap().revision.unwrap();
    let object = harness.traffic_object();
    harness.by_hand(&object, "hello", HAND, &all_to(&new)).await;
    let said = harness
        .told("ServiceRollout", "hello", "TrafficDrift")
        .await;
    assert!(said.contains(&format!("{new} 100 %")), "{said}");
    harness
        .when(object, "hello", "put back", |object| {
            share(&split_of(object, "/spec/traffic"), &first) >= 50
        })
        .await;
    let status = harness.promoted("hello", &commit).await;
    assert_eq!(status.history[0].outcome, Outcome::Promoted);
    assert_eq!(status.stable.unwrap().revision, Some(new));
    harness.end().await;
}

async fn a_template_changed_by_hand_in_mid_release_is_never_served(expand: Expand) {
    let (harness, first) = open(expand, Drift::Correct, "demo").await;
    let history = harness.watch_traffic("hello");
    let commit = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let status = harness
        .until("hello", "at 5 %", |status| {
            status.weight == 5 && status.confirmed_at.is_some()
        })
        .await;
    let new = status.candidate.unwrap().revision.unwrap();
    let object = harness.template_object();
    harness
        .by_hand(&object, "hello", HAND, &greeting("mischief"))
        .await;
    let status = harness.promoted("hello", &commit).await;
    assert_eq!(status.stable.unwrap().revision.as_ref(), Some(&new));
    harness
        .when(object, "hello", "put back", |object| {
            let text = object.data.to_string();
            text.contains("\"two\"") && !text.contains("mischief")
        })
        .await;
    for split in history.so_far() {
        assert_eq!(
            share(&split, &first) + share(&split, &new),
            100,
            "{split:#?}"
        );
    }
    assert_eq!(history.shares(&new), [0, 5, 20, 50, 100]);
    harness.end().await;
}

async fn what_is_deleted_by_hand_comes_back(expand: Expand) {
    let (harness, stable) = open(expand, Drift::Correct, BRISK).await;
    let maps = harness.objects("v1", "ConfigMap");
    let old = maps.get("settings").await.unwrap().metadata.uid;
    maps.delete("settings", &Default::default()).await.unwrap();
    harness
        .when(maps, "settings", "back", |map| map.metadata.uid != old)
        .await;
    let routes = harness.serving("Route");
    let old = routes.get("hello").await.unwrap().metadata.uid;
    routes.delete("hello", &Default::default()).await.unwrap();
    harness
        .when(routes, "hello", "back", |route| {
            let ready = route.data["status"]["conditions"].as_array();
            let ready = ready.is_some_and(|all| {
                all.iter()
                    .any(|c| c["type"] == "Ready" && c["status"] == "True")
            });
            let traffic = split_of(route, "/status/traffic");
            route.metadata.uid != old && ready && share(&traffic, &stable) == 100
        })
        .await;
    // What belonged to the old Route may still be going, and takes the new one's way with it.
    let served = async {
        while !harness.ask("hello").await.body.contains("one") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, served)
        .await
        .expect("it is served again");
    harness.end().await;
}
