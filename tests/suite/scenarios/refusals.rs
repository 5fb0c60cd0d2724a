//! What the cluster refuses: the service it is about serves on unharmed, the others go on, the
//! words reach people, and a fix in Git goes through.

use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::json;
use sluice::api::delivery::{Delivery, Expand};
use sluice::api::rollout::Phase;

use crate::harness::{BRISK, GUARD, Harness, Hello, REFUSE, Setting, in_both_forms};

in_both_forms!(
    a_template_that_a_webhook_refuses_leaves_its_service_untouched_and_the_others_go_on,
    a_template_that_knative_refuses_leaves_its_service_untouched,
    a_refused_first_delivery_says_so_and_a_fix_comes_through,
    a_refused_config_map_costs_nobody_else_anything,
    another_field_manager_s_template_is_respected_named_and_taken_only_by_force,
    a_service_that_another_tool_owns_is_left_as_it_is_and_said,
    a_revision_name_that_was_used_for_another_template_is_refused_and_the_service_stays_ready,
    a_broken_file_costs_its_own_service_only_and_is_said_with_its_line,
);

async fn open(expand: Expand) -> (Harness, DynamicObject) {
    let harness = Harness::brisk(expand).await;
    let first = harness.push(
        "Open the shop",
        &[Hello::new("hello", "one"), Hello::new("other", "one")],
    );
    harness.promoted("other", &first).await;
    harness.settled("hello").await;
    let before = harness.template_object().get("hello").await.unwrap();
    (harness, before)
}

/// Spec and generation are what they were.
async fn untouched(harness: &Harness, before: &DynamicObject) {
    let now = harness.template_object().get("hello").await.unwrap();
    assert_eq!(now.data["spec"], before.data["spec"]);
    assert_eq!(now.metadata.generation, before.metadata.generation);
}

/// Pushes a template of `hello` that is refused, with a good one of `other`; the words reach
/// people, and nobody is harmed. Then a good template of `hello` goes through.
async fn refused(expand: Expand, bad: Hello, words: &str) {
    let (harness, before) = open(expand).await;
    let users = harness.users("hello", 20);
    let commit = harness.push("Two changes", &[bad, Hello::new("other", "two")]);
    harness.promoted("other", &commit).await;
    let status = harness.rolled_back("hello", &commit).await;
    assert!(status.message.contains(words), "{}", status.message);
    assert!(
        status.message.contains("change it in Git"),
        "{}",
        status.message
    );
    let said = harness.problem(&commit, words).await;
    let problem = said.problems.iter().find(|p| p.message.contains(words));
    let origin = problem.and_then(|problem| problem.origin.as_deref());
    assert!(
        origin.is_some_and(|origin| origin.starts_with("apps/hello.yaml")),
        "{:#?}",
        said.problems
    );
    untouched(&harness, &before).await;
    let answers = users.stop().await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(harness.ask("hello").await.body.contains("one"));

    let fix = harness.push("Mended", &[Hello::new("hello", "three")]);
    harness.promoted("hello", &fix).await;
    harness
        .delivery("shop", "well again", |status| {
            status.last_good_commit.as_ref() == Some(&fix) && status.problems.is_empty()
        })
        .await;
    harness.end().await;
}

async fn a_template_that_a_webhook_refuses_leaves_its_service_untouched_and_the_others_go_on(
    expand: Expand,
) {
    let words = "this image is not signed";
    let bad = Hello::new("hello", "two").template_annotated(REFUSE, words);
    refused(expand, bad, words).await;
}

async fn a_template_that_knative_refuses_leaves_its_service_untouched(expand: Expand) {
    let bad = Hello::new("hello", "two").concurrency(5000);
    refused(expand, bad, "expected 0 <= 5000 <= 1000").await;
}

async fn a_refused_first_delivery_says_so_and_a_fix_comes_through(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    let bad = Hello::new("hello", "one").template_annotated(REFUSE, "no owner is named");
    let commit = harness.push("Open the shop", &[bad, Hello::new("other", "one")]);
    harness.promoted("other", &commit).await;
    let status = harness
        .until("hello", "failed", |status| status.phase == Phase::Failed)
        .await;
    assert!(
        status.message.contains("no owner is named"),
        "{}",
        status.message
    );
    assert!(status.message.contains(GUARD), "{}", status.message);
    harness.problem(&commit, "no owner is named").await;
    assert!(
        harness
            .template_object()
            .get_opt("hello")
            .await
            .unwrap()
            .is_none()
    );
    let fix = harness.push("With an owner", &[Hello::new("hello", "two")]);
    harness.promoted("hello", &fix).await;
    harness.end().await;
}

async fn a_refused_config_map_costs_nobody_else_anything(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    let map = |refuse: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  annotations: {{{refuse}}}\ndata: {{mood: calm}}\n"
        )
    };
    let words = "moods are not allowed";
    harness
        .repository
        .write("apps/settings.yaml", &map(&format!("{REFUSE}: {words}")));
    let commit = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &commit).await;
    let said = harness.problem(&commit, words).await;
    assert!(said.problems[0].message.contains(GUARD), "{said:#?}");
    harness.repository.write("apps/settings.yaml", &map(""));
    let fix = harness.repository.push("Without a mood");
    harness
        .delivery("shop", "delivered", |status| {
            status.last_good_commit.as_ref() == Some(&fix)
        })
        .await;
    let maps = harness.objects("v1", "ConfigMap");
    assert!(maps.get_opt("settings").await.unwrap().is_some());
    harness.end().await;
}

async fn another_field_manager_s_template_is_respected_named_and_taken_only_by_force(
    expand: Expand,
) {
    let (harness, _) = open(expand).await;
    // Another GitOps tool takes the containers, as they are.
    let object = harness.template_object();
    let now = object.get("hello").await.unwrap();
    let types = now.types.clone().unwrap();
    let claim = json!({
        "apiVersion": types.api_version, "kind": types.kind, "metadata": {"name": "hello"},
        "spec": {"template": {"spec": {"containers": now.data["spec"]["template"]["spec"]["containers"]}}},
    });
    let params = PatchParams::apply("kustomize-controller").force();
    object
        .patch("hello", &params, &Patch::Apply(&claim))
        .await
        .unwrap();
    let before = object.get("hello").await.unwrap();

    let users = harness.users("hello", 20);
    let commit = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let status = harness.rolled_back("hello", &commit).await;
    let words = "kustomize-controller owns spec.template.spec.containers";
    assert!(status.message.contains(words), "{}", status.message);
    harness.problem(&commit, words).await;
    untouched(&harness, &before).await;
    assert!(harness.ask("hello").await.body.contains("one"));

    let force = Hello::new("hello", "two").annotated("sluice.dev/force", "true");
    harness.push("By force, as the message says", &[force]);
    harness
        .until("hello", "promoted", |status| {
            status.phase == Phase::Stable
                && status
                    .stable
                    .as_ref()
                    .is_some_and(|stable| stable.revision.as_deref() != Some("hello-00001"))
        })
        .await;
    let answers = users.stop().await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(harness.ask("hello").await.body.contains("two"));
    harness.end().await;
}

async fn a_service_that_another_tool_owns_is_left_as_it_is_and_said(expand: Expand) {
    let mut harness = Harness::new(Setting {
        expand,
        policy: BRISK.to_owned(),
        ..Setting::default()
    })
    .await;
    harness
        .create(Hello::new("hello", "one").service(), "terraform")
        .await;
    let split = json!({"spec": {"traffic": [
        {"revisionName": "hello-00001", "percent": 100, "latestRevision": false},
    ]}});
    let services = harness.serving("Service");
    harness
        .when(services.clone(), "hello", "its revision", |service| {
            service
                .data
                .pointer("/status/latestReadyRevisionName")
                .is_some()
        })
        .await;
    harness
        .by_hand(&services, "hello", "terraform", &split)
        .await;
    let before = harness
        .when(services.clone(), "hello", "serving", |service| {
            let status = &service.data["status"];
            let conditions = status["conditions"].as_array();
            status["observedGeneration"].as_i64() == service.metadata.generation
                && conditions.is_some_and(|all| {
                    all.iter()
                        .any(|c| c["type"] == "Ready" && c["status"] == "True")
                })
        })
        .await;
    let users = harness.users("hello", 20);
    harness.start_agent().await;
    harness.deliver().await;
    let commit = harness.push("Into Git", &[Hello::new("hello", "two")]);
    let said = harness
        .problem(&commit, "terraform owns spec.template")
        .await;
    assert!(said.problems.len() == 1, "{:#?}", said.problems);
    let status = harness.until("hello", "at rest", |_| true).await;
    assert_eq!(status.phase, Phase::RolledBack, "{status:#?}");
    let now = services.get("hello").await.unwrap();
    assert_eq!(
        now.data["spec"], before.data["spec"],
        "nothing half changed"
    );
    let answers = users.stop().await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    harness.end().await;
}

async fn a_broken_file_costs_its_own_service_only_and_is_said_with_its_line(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    harness.repository.write("apps/broken.yaml", "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: broken\nspec:\n  template:\n    spec:\n      containers: nothing\n");
    let commit = harness.push("One good, one broken", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &commit).await;
    let deliveries: kube::Api<Delivery> =
        kube::Api::namespaced(harness.client.clone(), harness.namespace());
    let status = deliveries.get("shop").await.unwrap().status.unwrap();
    let problem = status.problems.iter().find(|problem| {
        problem
            .origin
            .as_deref()
            .is_some_and(|origin| origin.starts_with("apps/broken.yaml:8"))
    });
    assert!(problem.is_some(), "{:#?}", status.problems);
    harness.end().await;
}

async fn a_revision_name_that_was_used_for_another_template_is_refused_and_the_service_stays_ready(
    expand: Expand,
) {
    let harness = Harness::brisk(expand).await;
    for (target, name) in [("one", "hello-v1"), ("two", "hello-v2")] {
        let hello = Hello::new("hello", target).revision(name);
        let commit = harness.push(target, &[hello]);
        harness.promoted("hello", &commit).await;
    }
    let commit = harness.push(
        "Three",
        &[Hello::new("hello", "three").revision("hello-v1")],
    );
    let status = harness.rolled_back("hello", &commit).await;
    assert!(
        status.message.contains("hello-v1 was used before"),
        "{}",
        status.message
    );
    assert_eq!(status.stable.unwrap().revision.as_deref(), Some("hello-v2"));
    harness.problem(&commit, "hello-v1").await;
    assert_eq!(harness.ask("hello").await.body, "Hello two!\n");
    let ready = |object: &DynamicObject| {
        let conditions = object.data["status"]["conditions"].as_array();
        conditions
            .into_iter()
            .flatten()
            .any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    harness
        .when(harness.traffic_object(), "hello", "Ready", ready)
        .await;

    let fix = harness.push("Four", &[Hello::new("hello", "three").revision("hello-v3")]);
    harness.promoted("hello", &fix).await;
    harness.end().await;
}
