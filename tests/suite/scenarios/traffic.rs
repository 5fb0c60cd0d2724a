//! A user's own traffic block in Git: tags, a pinned revision, a split. It is kept all along,
//! and it is the shape that a release ends in.

use serde_json::json;
use sluice::api::condition::Condition;
use sluice::api::delivery::{DeliveryStatus, Expand};
use sluice::api::rollout::{HoldReason, Phase, RolloutStatus};
use sluice::api::serving::TrafficTarget;

use crate::harness::{BRISK, Harness, Hello, brisk, in_both_forms, in_force, share};

in_both_forms!(
    a_user_s_tags_and_split_are_kept_through_a_release_and_are_what_it_ends_in,
    a_user_s_traffic_block_alone_changes_traffic_and_makes_no_release,
    a_user_s_tag_that_is_called_candidate_keeps_its_revision,
    an_entry_that_names_a_missing_revision_is_left_out_and_said,
    green_is_shown_at_its_tag_from_0_percent_on_and_only_green_is,
    a_block_that_knative_refuses_changes_nothing_and_is_a_problem,
    a_name_with_no_room_for_a_tag_is_held_before_its_first_step_unless_nothing_is_probed,
);

/// `hello` with two revisions, the second one stable.
async fn open(expand: Expand) -> (Harness, String, String) {
    let harness = Harness::brisk(expand).await;
    let mut revisions = Vec::new();
    for target in ["one", "two"] {
        let commit = harness.push(target, &[Hello::new("hello", target)]);
        let stable = harness.promoted("hello", &commit).await.stable.unwrap();
        revisions.push(stable.revision.unwrap());
    }
    let second = revisions.pop().unwrap();
    (harness, revisions.pop().unwrap(), second)
}

/// `hello-00001 20 % #old`, in any order.
fn shape(split: &[TrafficTarget]) -> Vec<String> {
    let entry = |t: &TrafficTarget| {
        let name = t.revision_name.as_deref().unwrap_or("latest");
        let tag = t.tag.as_deref().map(|tag| format!(" #{tag}"));
        format!(
            "{name} {}{}",
            t.percent.unwrap_or(0),
            tag.unwrap_or_default()
        )
    };
    let mut shape: Vec<String> = split.iter().map(entry).collect();
    shape.sort();
    shape
}

/// Waits until the Route says that users are shown exactly this, and that they are by now: a real
/// one names a new split a moment before the gateway has it.
async fn shown(harness: &Harness, wanted: &[String]) {
    let mut wanted = wanted.to_vec();
    wanted.sort();
    harness
        .when(
            harness.serving("Route"),
            "hello",
            &wanted.join(", "),
            |route| {
                shape(&crate::harness::split_of(route, "/status/traffic")) == wanted
                    && in_force(route)
            },
        )
        .await;
}

async fn a_user_s_tags_and_split_are_kept_through_a_release_and_are_what_it_ends_in(
    expand: Expand,
) {
    let (harness, first, second) = open(expand).await;
    let block = json!([
        {"latestRevision": true, "percent": 80, "tag": "current"},
        {"revisionName": first, "percent": 20, "tag": "old"},
    ]);
    harness.push(
        "Show the old one to a fifth",
        &[Hello::new("hello", "two").traffic(block.clone())],
    );
    shown(
        &harness,
        &[format!("{second} 80 #current"), format!("{first} 20 #old")],
    )
    .await;
    assert!(harness.ask("old-hello").await.body.contains("one"));
    assert!(harness.ask("current-hello").await.body.contains("two"));

    let history = harness.watch_traffic("hello");
    let users = harness.users("hello", 20);
    let third = Hello::new("hello", "three").traffic(block);
    let commit = harness.push("Greet three", &[third]);
    let status = harness.promoted("hello", &commit).await;
    let answers = users.stop().await;
    let third = status.stable.unwrap().revision.unwrap();
    shown(
        &harness,
        &[format!("{third} 80 #current"), format!("{first} 20 #old")],
    )
    .await;
    // 5, 20 and 50 % of a share of 80.
    assert_eq!(history.shares(&third), [0, 4, 16, 40, 80]);
    for split in history.so_far() {
        assert_eq!(share(&split, &first), 20, "the pinned one's is its own");
        assert_eq!(split.iter().filter_map(|t| t.percent).sum::<i64>(), 100);
        let tagged = |tag: &str| split.iter().any(|t| t.tag.as_deref() == Some(tag));
        assert!(tagged("old") && tagged("current"), "{split:#?}");
    }
    assert!(harness.ask("old-hello").await.body.contains("one"));
    assert!(harness.ask("current-hello").await.body.contains("three"));
    let lost = answers.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(lost, 0, "of {}", answers.len());
    harness.end().await;
}

async fn a_user_s_traffic_block_alone_changes_traffic_and_makes_no_release(expand: Expand) {
    let (harness, first, second) = open(expand).await;
    let block = json!([
        {"latestRevision": true, "percent": 100},
        {"revisionName": first, "percent": 0, "tag": "before"},
    ]);
    harness.push("A tag", &[Hello::new("hello", "two").traffic(block)]);
    shown(
        &harness,
        &[format!("{second} 100"), format!("{first} 0 #before")],
    )
    .await;
    assert!(harness.ask("before-hello").await.body.contains("one"));
    // And away again.
    harness.push("No tag", &[Hello::new("hello", "two")]);
    shown(&harness, &[format!("{second} 100")]).await;
    assert_eq!(harness.ask("before-hello").await.status, 404);
    let status = harness.until("hello", "at rest", |_| true).await;
    assert_eq!(status.history.len(), 2, "{:#?}", status.history);
    harness.end().await;
}

async fn a_user_s_tag_that_is_called_candidate_keeps_its_revision(expand: Expand) {
    let (harness, first, _) = open(expand).await;
    let block = json!([
        {"latestRevision": true, "percent": 100},
        {"revisionName": first, "percent": 0, "tag": "candidate"},
    ]);
    let history = harness.watch_traffic("hello");
    let third = Hello::new("hello", "three").traffic(block);
    let commit = harness.push("Greet three", &[third]);
    let status = harness.promoted("hello", &commit).await;
    let third = status.stable.unwrap().revision.unwrap();
    shown(
        &harness,
        &[format!("{third} 100"), format!("{first} 0 #candidate")],
    )
    .await;
    for split in history.so_far() {
        for entry in split {
            match entry.tag.as_deref() {
                Some("candidate") => assert_eq!(entry.revision_name.as_ref(), Some(&first)),
                Some("candidate-sluice") => {
                    assert_eq!(entry.revision_name.as_ref(), Some(&third));
                }
                _ => {}
            }
        }
    }
    assert!(harness.ask("candidate-hello").await.body.contains("one"));
    harness.end().await;
}

async fn an_entry_that_names_a_missing_revision_is_left_out_and_said(expand: Expand) {
    let (harness, first, second) = open(expand).await;
    let block = json!([
        {"latestRevision": true, "percent": 60},
        {"revisionName": "hello-99999", "percent": 30},
        {"revisionName": first, "percent": 10},
    ]);
    harness.push("A slip", &[Hello::new("hello", "two").traffic(block)]);
    shown(&harness, &[format!("{second} 90"), format!("{first} 10")]).await;
    let said = harness
        .told("ServiceRollout", "hello", "TrafficEntryLeftOut")
        .await;
    assert!(said.contains("hello-99999"), "{said}");
    let not_ready = |status: &DeliveryStatus| {
        let mut conditions = status.conditions.iter();
        conditions
            .any(|c| c.type_ == "Ready" && c.status == "False" && c.message.contains("hello-99999"))
    };
    harness
        .delivery("shop", "not Ready for it", not_ready)
        .await;
    harness.push("Mended", &[Hello::new("hello", "two")]);
    harness
        .delivery("shop", "well again", |status| {
            status.problems.is_empty() && !not_ready(status)
        })
        .await;
    harness.end().await;
}

async fn green_is_shown_at_its_tag_from_0_percent_on_and_only_green_is(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    let blue = Hello::new("hello", "blue").revision("hello-blue");
    let commit = harness.push("Blue", &[blue]);
    harness.promoted("hello", &commit).await;
    let green = |blue: i64, green: i64| {
        let block = json!([
            {"revisionName": "hello-blue", "percent": blue},
            {"revisionName": "hello-green", "percent": green, "tag": "green"},
        ]);
        let hello = Hello::new("hello", "green").revision("hello-green");
        [hello.traffic(block)]
    };
    let history = harness.watch_traffic("hello");
    let commit = harness.push("Green beside it", &green(100, 0));
    let split = [
        "hello-blue 100 #stable",
        "hello-green 0 #candidate",
        "hello-green 0 #green",
    ];
    shown(&harness, &split.map(str::to_owned)).await;
    assert!(harness.ask("green-hello").await.body.contains("green"));
    assert!(harness.ask("hello").await.body.contains("blue"));

    harness.push("Half of it", &green(50, 50));
    harness.promoted("hello", &commit).await;
    let split = ["hello-blue 50", "hello-green 50 #green"];
    shown(&harness, &split.map(str::to_owned)).await;

    harness.push("All of it", &green(0, 100));
    shown(&harness, &["hello-green 100 #green".to_owned()]).await;
    assert!(harness.ask("hello").await.body.contains("green"));
    // 5, 20 and 50 % of a share of 50.
    assert_eq!(history.shares("hello-green"), [0, 3, 10, 25, 50, 100]);
    for split in history.so_far() {
        assert_eq!(split.iter().filter_map(|t| t.percent).sum::<i64>(), 100);
        let mut tagged = split.iter().filter(|t| t.tag.as_deref() == Some("green"));
        assert!(
            tagged.all(|t| t.revision_name.as_deref() == Some("hello-green")),
            "{split:#?}"
        );
    }
    harness.end().await;
}

async fn a_block_that_knative_refuses_changes_nothing_and_is_a_problem(expand: Expand) {
    let (harness, first, second) = open(expand).await;
    let before = format!("{second} 100");
    for (block, words) in [
        (
            json!([{"revisionName": first, "percent": 50}]),
            "sum to 50 %",
        ),
        (
            json!([{"percent": 100, "tag": "a"}, {"revisionName": first, "percent": 0, "tag": "a"}]),
            "already the tag of spec.traffic[0]",
        ),
        (json!([{"precent": 100}]), "did you mean \"percent\"?"),
    ] {
        let three = Hello::new("hello", "three").traffic(block);
        let commit = harness.push(words, &[three]);
        let status = harness.problem(&commit, words).await;
        let problem = status.problems.iter().find(|p| p.message.contains(words));
        let origin = problem
            .and_then(|problem| problem.origin.as_deref())
            .unwrap();
        assert!(origin.starts_with("apps/hello.yaml:"), "{origin}");
        let not_ready = |c: &Condition| c.type_ == "Ready" && c.status == "False";
        assert!(status.conditions.iter().any(not_ready), "{status:#?}");
        let held = |status: &RolloutStatus| status.message.contains(words);
        let status = harness
            .until("hello", "waits for its traffic block", held)
            .await;
        assert_eq!(status.phase, Phase::Stable);
        shown(&harness, std::slice::from_ref(&before)).await;
    }
    harness.push("Mended", &[Hello::new("hello", "two")]);
    let status = harness.settled("hello").await;
    assert_eq!(status.history.len(), 2, "{:#?}", status.history);
    harness
        .delivery("shop", "well again", |status| status.problems.is_empty())
        .await;
    harness.end().await;
}

async fn a_name_with_no_room_for_a_tag_is_held_before_its_first_step_unless_nothing_is_probed(
    expand: Expand,
) {
    let harness = Harness::brisk(expand).await;
    let name = "h".repeat(62);
    let commit = harness.push("one", &[Hello::new(&name, "one")]);
    harness.promoted(&name, &commit).await;
    let history = harness.watch_traffic(&name);
    let commit = harness.push("two", &[Hello::new(&name, "two")]);
    let held = |status: &RolloutStatus| {
        status.hold.as_ref().map(|hold| hold.reason) == Some(HoldReason::NoTag)
    };
    harness.until(&name, "held for want of a tag", held).await;
    harness.problem(&commit, "its name has 62 characters").await;
    let mut policy = brisk();
    policy.probes.count = 0;
    // Probes of our own could not stand in for users either.
    let users = harness.users(&name, 20);
    harness.policy(BRISK, policy).await;
    harness.promoted(&name, &commit).await;
    users.stop().await;
    let tagged = |split: &Vec<TrafficTarget>| split.iter().any(|t| t.tag.is_some());
    assert!(!history.so_far().iter().any(tagged));
    harness.end().await;
}
