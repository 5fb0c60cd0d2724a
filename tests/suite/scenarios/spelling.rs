//! What is equal: another spelling of a template, another version of the agent, what others set.

use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use sluice::api::delivery::Expand;
use sluice::api::rollout::{Outcome, Phase, RolloutStatus};
use sluice::plan::annotations::{DELIVERY as DELIVERED_BY, DIGEST};
use sluice::plan::digest;

use crate::harness::{BRISK, DELIVERY, Harness, Hello, Setting, in_both_forms};

in_both_forms!(
    another_spelling_is_no_release_and_no_revision_with_a_label_or_without,
    an_agent_of_another_version_releases_nothing_and_forgets_no_quarantine,
    an_annotation_of_the_template_that_git_loses_and_another_tool_has_is_no_release,
    what_kubectl_applied_goes_with_git_and_what_others_set_stays,
    a_template_that_asks_to_be_kept_does_not_keep_its_service_from_following_git,
);

/// `hello` in few words.
fn short() -> Value {
    let mut service = Hello::new("hello", "one").service();
    service["spec"]["template"]["spec"]["containers"][0]["resources"] =
        json!({"requests": {"cpu": "10m", "memory": "16Mi"}});
    service
}

/// The same with every default written out, in other units, and with what `kn` notes for itself.
fn long() -> Value {
    let mut service = short();
    let template = &mut service["spec"]["template"];
    template["metadata"] = json!({"creationTimestamp": null, "annotations": {
        "client.knative.dev/updateTimestamp": "2026-01-01T00:00:00Z"}});
    template["spec"]["timeoutSeconds"] = json!(300);
    template["spec"]["containerConcurrency"] = json!(0);
    template["spec"]["enableServiceLinks"] = json!(false);
    let container = &mut template["spec"]["containers"][0];
    container["name"] = json!("user-container");
    container["resources"] = json!({"requests": {"cpu": 0.01, "memory": "16384Ki"}, "limits": {}});
    container["readinessProbe"]["successThreshold"] = json!(1);
    service
}

async fn write(harness: &Harness, subject: &str, service: &Value) -> String {
    let text = serde_yaml::to_string(service).unwrap();
    harness.repository.write("apps/hello.yaml", &text);
    harness.repository.push(subject)
}

/// The names of the revisions, and the generation of the object with the template.
async fn made(harness: &Harness) -> (Vec<String>, Option<i64>) {
    let all = harness
        .serving("Revision")
        .list(&ListParams::default())
        .await
        .unwrap();
    let names = all
        .items
        .into_iter()
        .filter_map(|revision| revision.metadata.name);
    let object = harness.template_object().get("hello").await.unwrap();
    (names.collect(), object.metadata.generation)
}

async fn well(harness: &Harness, commit: &str) {
    harness
        .delivery(DELIVERY, "well, with this commit", |status| {
            status.last_good_commit.as_deref() == Some(commit) && status.problems.is_empty()
        })
        .await;
}

fn label(object: &DynamicObject) -> Option<&str> {
    object
        .metadata
        .labels
        .as_ref()?
        .get("team")
        .map(String::as_str)
}

async fn another_spelling_is_no_release_and_no_revision_with_a_label_or_without(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    let first = write(&harness, "Open the shop", &short()).await;
    harness.promoted("hello", &first).await;
    well(&harness, &first).await;
    let before = made(&harness).await;

    let spelled = write(&harness, "In other words", &long()).await;
    well(&harness, &spelled).await;
    assert_eq!(made(&harness).await, before);

    let mut labelled = long();
    labelled["metadata"]["labels"] = json!({"team": "shop"});
    let labelled = write(&harness, "In other words, and with a label", &labelled).await;
    harness
        .when(harness.template_object(), "hello", "labelled", |object| {
            label(object) == Some("shop")
        })
        .await;
    well(&harness, &labelled).await;
    assert_eq!(made(&harness).await, before);
    let status = harness.settled("hello").await;
    assert_eq!(status.history.len(), 1, "{:#?}", status.history);

    // What means something else is released all the same.
    let mut slower = long();
    slower["spec"]["template"]["spec"]["timeoutSeconds"] = json!(301);
    let slower = write(&harness, "A second more", &slower).await;
    harness.promoted("hello", &slower).await;
    assert_eq!(made(&harness).await.0.len(), 2);
    harness.end().await;
}

/// Stores a status as an agent of another version would have.
async fn restore(harness: &Harness, change: impl Fn(&mut RolloutStatus)) {
    let rollouts = harness.objects("sluice.dev/v1alpha1", "ServiceRollout");
    let live = rollouts.get("hello").await.unwrap();
    let mut status: RolloutStatus = serde_json::from_value(live.data["status"].clone()).unwrap();
    change(&mut status);
    let patch = Patch::Merge(json!({"status": status}));
    rollouts
        .patch_status("hello", &PatchParams::default(), &patch)
        .await
        .unwrap();
}

async fn an_agent_of_another_version_releases_nothing_and_forgets_no_quarantine(expand: Expand) {
    let mut harness = Harness::brisk(expand).await;
    let good = Hello::new("hello", "one");
    let bad = Hello::new("hello", "two")
        .env("FAIL_PERCENT", "100")
        .without_readiness_path();
    let first = harness.push("Open the shop", std::slice::from_ref(&good));
    harness.promoted("hello", &first).await;
    let commit = harness.push("Fail", std::slice::from_ref(&bad));
    harness.rolled_back("hello", &commit).await;
    let before = made(&harness).await;

    let template = |hello: &Hello| hello.service()["spec"]["template"].clone();
    let (v1_good, v1_bad) = (
        digest::v1::template(&template(&good)),
        digest::v1::template(&template(&bad)),
    );
    let kind = match expand {
        Expand::Routes => "Configuration",
        Expand::Service => "Service",
    };
    let written = json!({"apiVersion": "serving.knative.dev/v1", "kind": kind, "metadata": {"name": "hello",
        "namespace": harness.namespace(), "annotations": {DELIVERED_BY: format!("{}.{DELIVERY}", harness.namespace())}},
        "spec": {"template": template(&bad)}});
    let digest = digest::v1::object(&written);
    let noted = json!({"metadata": {"annotations": {DIGEST: digest}}});
    for later in [false, true] {
        harness.stop_agent().await;
        if !later {
            harness
                .by_hand(&harness.template_object(), "hello", "sluice", &noted)
                .await;
        }
        restore(&harness, |status| {
            let stable = status.stable.as_mut().unwrap();
            stable.template_hash = Some(v1_good.clone());
            status.quarantine[0].template_hash = v1_bad.clone();
            if later {
                stable.template_hash.as_mut().unwrap().0 = "v99-1".to_owned();
                status.quarantine[0].template_hash.0 = "v99-2".to_owned();
            }
        })
        .await;
        harness.start_agent().await;
        let name = if later { "later" } else { "earlier" };
        let beside = harness.push("Beside it", &[Hello::new(name, "one")]);
        harness.promoted(name, &beside).await;
        let status = harness
            .until("hello", "at rest", |status| {
                status.phase == Phase::RolledBack
            })
            .await;
        assert_eq!(status.history.len(), 2, "{:#?}", status.history);
        let (names, generation) = made(&harness).await;
        let own = |names: &[String]| {
            names
                .iter()
                .filter(|name| name.starts_with("hello-"))
                .count()
        };
        assert_eq!((own(&names), generation), (own(&before.0), before.1));
    }
    let live = harness.template_object().get("hello").await.unwrap();
    let annotations = live.metadata.annotations.unwrap();
    assert_eq!(
        annotations[DIGEST], digest,
        "nothing was written for the sake of its digest"
    );
    // It is known which one serves: the way back is no release either.
    let back = harness.push("Back", std::slice::from_ref(&good));
    let status = harness
        .until("hello", "at rest with what serves", |status| {
            status.phase == Phase::Stable
        })
        .await;
    assert_eq!(
        status.history[0].outcome,
        Outcome::RolledBack,
        "{:#?}",
        status.history
    );
    harness.observed(&back).await;
    harness.end().await;
}

async fn an_annotation_of_the_template_that_git_loses_and_another_tool_has_is_no_release(
    expand: Expand,
) {
    let harness = Harness::brisk(expand).await;
    let hello = || Hello::new("hello", "one");
    let annotated = hello().template_annotated("example.com/a", "1");
    let first = harness.push("Open the shop", &[annotated]);
    harness.promoted("hello", &first).await;
    let object = harness.template_object();
    let live = object.get("hello").await.unwrap();
    // Another tool declares the same.
    let same = json!({"apiVersion": "serving.knative.dev/v1", "kind": live.types.as_ref().unwrap().kind,
        "metadata": {"name": "hello"},
        "spec": {"template": {"metadata": {"annotations": {"example.com/a": "1"}}}}});
    object
        .patch("hello", &PatchParams::apply("tool"), &Patch::Apply(same))
        .await
        .unwrap();
    let before = made(&harness).await;
    let lost = harness.push("Without it", &[hello()]);
    well(&harness, &lost).await;
    let status = harness.settled("hello").await;
    assert_eq!(status.history.len(), 1, "{:#?}", status.history);
    assert_eq!(made(&harness).await, before);
    harness.end().await;
}

const APPLY: &str = "kubectl-client-side-apply";

async fn what_kubectl_applied_goes_with_git_and_what_others_set_stays(expand: Expand) {
    let mut harness = Harness::new(Setting {
        expand,
        policy: BRISK.to_owned(),
        ..Setting::default()
    })
    .await;
    let settings = |data: Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": data});
    harness
        .create(settings(json!({"kept": "1", "dropped": "2"})), APPLY)
        .await;
    let maps = harness.objects("v1", "ConfigMap");
    harness
        .by_hand(
            &maps,
            "settings",
            "somebody",
            &json!({"data": {"theirs": "3"}}),
        )
        .await;
    let mut hello = Hello::new("hello", "one").service();
    hello["metadata"]["labels"] = json!({"team": "old"});
    hello["spec"]["template"]["metadata"] =
        json!({"annotations": {"example.com/old": "1", "client.knative.dev/user-image": "hello"}});
    harness.create(hello, APPLY).await;
    let services = harness.serving("Service");
    let ready = |revision: &'static str| {
        let is_ready = move |object: &DynamicObject| {
            let latest = object.data.pointer("/status/latestReadyRevisionName");
            latest.and_then(Value::as_str) == Some(revision)
        };
        harness.when(harness.serving("Service"), "hello", "Ready", is_ready)
    };
    ready("hello-00001").await;
    let by_kn =
        json!({"spec": {"template": {"metadata": {"annotations": {"example.com/theirs": "1"}}}}});
    harness.by_hand(&services, "hello", "kn", &by_kn).await;
    ready("hello-00002").await;

    let users = harness.users("hello", 20);
    let text = serde_yaml::to_string(&settings(json!({"kept": "1"}))).unwrap();
    harness.repository.write("apps/settings.yaml", &text);
    let commit = harness.push("Into Git", &[Hello::new("hello", "one")]);
    harness.start_agent().await;
    harness.deliver().await;
    harness
        .when(
            maps,
            "settings",
            "without what Git does not have",
            |object| object.data["data"] == json!({"kept": "1", "theirs": "3"}),
        )
        .await;
    // The annotation that goes is another template: it comes to users step by step.
    let status = harness.promoted("hello", &commit).await;
    let outcomes: Vec<_> = status.history.iter().map(|entry| entry.outcome).collect();
    assert_eq!(outcomes, [Outcome::Promoted, Outcome::Adopted]);
    let service = harness
        .when(services, "hello", "without its label", |object| {
            label(object).is_none()
        })
        .await;
    let annotations = &service.data["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations.get("example.com/old"), None, "{annotations}");
    assert_eq!(annotations["example.com/theirs"], "1", "{annotations}");
    // Somebody applies from the client's side once more.
    let again = json!({"metadata": {"labels": {"team": "again"}}});
    harness
        .by_hand(&harness.serving("Service"), "hello", APPLY, &again)
        .await;
    harness
        .when(
            harness.serving("Service"),
            "hello",
            "without that label",
            |object| label(object).is_none(),
        )
        .await;
    well(&harness, &commit).await;
    let answers = users.stop().await;
    let lost = answers.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(lost, 0, "of {}", answers.len());
    harness.end().await;
}

async fn a_template_that_asks_to_be_kept_does_not_keep_its_service_from_following_git(
    expand: Expand,
) {
    let harness = Harness::brisk(expand).await;
    let kept = |target: &str| {
        Hello::new("hello", target).template_annotated("serving.knative.dev/no-gc", "true")
    };
    let first = harness.push("Open the shop", &[kept("one")]);
    harness.promoted("hello", &first).await;
    // Its revision is good for nothing, and its template says that it is kept.
    let bad = kept("two")
        .env("FAIL_PERCENT", "100")
        .without_readiness_path();
    let commit = harness.push("Fail", &[bad]);
    harness.rolled_back("hello", &commit).await;
    let back = harness.push("Back", &[kept("one")]);
    well(&harness, &back).await;
    let annotated = harness.push(
        "An annotation",
        &[kept("one").annotated("example.com/a", "1")],
    );
    harness
        .when(harness.template_object(), "hello", "annotated", |object| {
            let annotations = object.metadata.annotations.as_ref();
            annotations.is_some_and(|all| all.contains_key("example.com/a"))
        })
        .await;
    well(&harness, &annotated).await;
    harness.end().await;
}
