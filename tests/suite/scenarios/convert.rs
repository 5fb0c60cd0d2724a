//! A live service from one form to the other: nothing is moved by itself, and `sluice rollout convert` loses no request.

use kube::api::DynamicObject;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use sluice::api::delivery::{Delivery, Expand};

use crate::harness::{Answer, BRISK, DELIVERY, Harness, Hello, Setting, in_both_forms};
use crate::program::{self, Said};

in_both_forms!(
    a_live_service_is_converted_without_losing_a_request_and_released_on,
    a_live_service_is_not_moved_by_itself_and_what_is_made_beside_it_harms_nothing,
    what_names_a_service_costs_only_itself_where_there_is_no_service,
);

fn other(expand: Expand) -> Expand {
    match expand {
        Expand::Routes => Expand::Service,
        Expand::Service => Expand::Routes,
    }
}

fn word(expand: Expand) -> &'static str {
    match expand {
        Expand::Routes => "routes",
        Expand::Service => "service",
    }
}

/// The command as a person of the team types it.
async fn convert(harness: &Harness, service: &str, to: Expand) -> Said {
    let arguments = [
        "rollout",
        "convert",
        service,
        "--to",
        word(to),
        "-n",
        harness.namespace(),
    ];
    let mut command = program::sluice(harness.folder(), &arguments);
    command.env("KUBECONFIG", harness.kubeconfig());
    program::said(command).await
}

/// Another form in the Delivery's spec.
async fn ask_for(harness: &Harness, expand: Expand) {
    let api: Api<Delivery> = Api::namespaced(harness.client.clone(), harness.namespace());
    let change = json!({"spec": {"target": {"expand": expand}}});
    let params = kube::api::PatchParams::default();
    let patch = kube::api::Patch::Merge(&change);
    api.patch(DELIVERY, &params, &patch).await.unwrap();
}

fn lost(answers: &[Answer]) -> Vec<&Answer> {
    answers
        .iter()
        .filter(|answer| answer.status != 200)
        .collect()
}

fn is_ready(object: &DynamicObject) -> bool {
    let conditions = object.data.pointer("/status/conditions");
    let ready = conditions.and_then(Value::as_array).is_some_and(|all| {
        all.iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "True")
    });
    let observed = object.data.pointer("/status/observedGeneration");
    ready && observed.and_then(Value::as_i64) == object.metadata.generation
}

async fn names(harness: &Harness, kind: &str) -> Vec<String> {
    let found = harness
        .serving(kind)
        .list(&Default::default())
        .await
        .unwrap();
    found.items.iter().map(ResourceExt::name_any).collect()
}

async fn a_live_service_is_converted_without_losing_a_request_and_released_on(expand: Expand) {
    let harness = Harness::set(Setting {
        expand,
        policy: BRISK.to_owned(),
        ..Setting::default()
    })
    .await;
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &first).await;
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    harness.promoted("hello", &second).await;
    harness.settled("hello").await;
    let revisions = names(&harness, "Revision").await;
    let users = harness.users("hello", 20);

    let to = other(expand);
    ask_for(&harness, to).await;
    convert(&harness, "hello", to).await.done();
    let status = harness
        .until("hello", "delivered in the other form", |status| {
            status.expand == Some(to) && status.message.ends_with("serves what Git says")
        })
        .await;
    assert_eq!(
        status.history.len(),
        2,
        "it is no release: {:?}",
        status.history
    );
    assert_eq!(
        names(&harness, "Revision").await,
        revisions,
        "nor a revision"
    );
    let there = names(&harness, "Service").await;
    assert_eq!(there.len(), usize::from(to == Expand::Service), "{there:?}");
    for kind in ["Configuration", "Route"] {
        harness
            .when(harness.serving(kind), "hello", "Ready", is_ready)
            .await;
    }

    // It is released, rolled back to an older revision, and read like any other.
    let third = harness.push("Greet three", &[Hello::new("hello", "three")]);
    harness.promoted("hello", &third).await;
    harness.settled("hello").await;
    let fourth = harness.push("Greet two again", &[Hello::new("hello", "two")]);
    harness.observed(&fourth).await;
    harness
        .until("hello", "reverted to a revision of before", |status| {
            let stable = status.stable.as_ref().and_then(|s| s.revision.as_ref());
            stable.is_some_and(|stable| revisions.contains(stable))
        })
        .await;
    // And back again, while the Delivery still asks for the other one.
    harness.settled("hello").await;
    convert(&harness, "hello", expand).await.done();
    harness
        .until("hello", "delivered as at first", |status| {
            status.expand == Some(expand) && status.message.ends_with("serves what Git says")
        })
        .await;
    let fifth = harness.push("Greet five", &[Hello::new("hello", "five")]);
    harness.promoted("hello", &fifth).await;
    let answers = users.stop().await;
    assert!(
        lost(&answers).is_empty(),
        "{:?} of {}",
        lost(&answers),
        answers.len()
    );
    assert!(harness.ask("hello").await.body.contains("five"));
    harness.end().await;
}

async fn a_live_service_is_not_moved_by_itself_and_what_is_made_beside_it_harms_nothing(
    expand: Expand,
) {
    let harness = Harness::brisk(expand).await;
    let hello = Hello::new("hello", "one");
    let first = harness.push("Open the shop", std::slice::from_ref(&hello));
    harness.promoted("hello", &first).await;
    harness.settled("hello").await;
    let users = harness.users("hello", 20);
    ask_for(&harness, other(expand)).await;
    if expand == Expand::Routes {
        // Who has not read the page makes the Service by hand: Knative takes nothing over.
        harness.create(hello.service(), "kubectl-create").await;
        let services = harness.serving("Service");
        harness
            .when(services, "hello", "NotOwned", |service| {
                service.data.to_string().contains("NotOwned")
            })
            .await;
    }
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    let status = harness.promoted("hello", &second).await;
    assert_eq!(status.expand, Some(expand), "it stays as it is");
    harness.settled("hello").await;
    if expand == Expand::Routes {
        let said = convert(&harness, "hello", Expand::Service).await.failed();
        assert!(said.contains("kubectl delete ksvc hello"), "{said}");
        let services = harness.serving("Service");
        services.delete("hello", &Default::default()).await.unwrap();
        harness.gone(&services, "hello").await;
    }
    let third = harness.push("Greet three", &[Hello::new("hello", "three")]);
    harness.promoted("hello", &third).await;
    let answers = users.stop().await;
    assert!(
        lost(&answers).is_empty(),
        "{:?} of {}",
        lost(&answers),
        answers.len()
    );
    harness.end().await;
}

async fn what_names_a_service_costs_only_itself_where_there_is_no_service(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    // A kind of the story's own, as Eventing's Trigger.
    let group = format!("{}.example.com", harness.namespace());
    harness.repository.write(
        "apps/kind.yaml",
        &format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: triggers.{group}}}\n\
             spec:\n  group: {group}\n  scope: Namespaced\n  names: {{plural: triggers, singular: trigger, kind: Trigger}}\n  \
             versions:\n    - name: v1\n      served: true\n      storage: true\n      \
             schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}\n"
        ),
    );
    let trigger = |kind: &str| {
        format!(
            "apiVersion: {group}/v1\nkind: Trigger\nmetadata:\n  name: orders\nspec:\n  subscriber:\n    ref:\n      \
             kind: {kind}\n      name: hello\n      apiVersion: serving.knative.dev/v1\n"
        )
    };
    let write = |kind: &str| harness.repository.write("apps/orders.yaml", &trigger(kind));
    write("Service");
    let first = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    let triggers = harness.objects(&format!("{group}/v1"), "Trigger");
    if expand == Expand::Routes {
        let status = harness
            .problem(&first, "is delivered as a Configuration and a Route")
            .await;
        let problem = &status.problems[0];
        assert_eq!(problem.origin.as_deref(), Some("apps/orders.yaml:9:7"));
        assert!(
            problem.message.contains("spec.subscriber.ref.name: hello"),
            "{problem:?}"
        );
        harness.promoted("hello", &first).await;
        assert!(
            triggers.get_opt("orders").await.unwrap().is_none(),
            "it is not made"
        );
        // The Service goes on: a release of it, and then the way out that the message names.
        let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
        harness.promoted("hello", &second).await;
        write("Route");
    }
    let last = harness.push("Greet three", &[Hello::new("hello", "three")]);
    harness.promoted("hello", &last).await;
    harness
        .delivery(DELIVERY, "delivered", |status| {
            status.last_good_commit.as_ref() == Some(&last)
        })
        .await;
    assert!(triggers.get_opt("orders").await.unwrap().is_some());
    harness.end().await;
}
