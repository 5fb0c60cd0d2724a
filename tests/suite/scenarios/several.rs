//! Several services, several Deliveries, and what lies beside a service in Git.

use k8s_openapi::api::core::v1::Event;
use kube::Api;
use kube::api::ListParams;
use sluice::api::delivery::Expand;
use sluice::api::rollout::{Phase, RolloutStatus};

use crate::harness::{DELIVERY, Harness, Hello, in_both_forms};

in_both_forms!(
    a_bad_release_of_one_service_delays_no_other,
    two_deliveries_do_not_wait_for_each_other,
    a_service_that_moves_to_another_delivery_serves_on_under_its_new_owner,
    a_service_that_leaves_git_leaves_the_cluster_but_an_empty_folder_deletes_nothing,
    prune_disabled_keeps_what_left_git,
    a_config_map_and_a_secret_are_there_before_the_service_that_reads_them,
    a_namespace_and_a_definition_come_before_what_lives_in_them,
);

async fn a_bad_release_of_one_service_delays_no_other(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    let names = ["a", "b", "c", "d"];
    let all = |target: &str| names.map(|name| Hello::new(name, target));
    let first = harness.push("Open the shop", &all("one"));
    for name in names {
        harness.promoted(name, &first).await;
    }
    let mut second = all("two");
    second[1] = Hello::new("b", "two").env("NEVER_READY", "1");
    second[2] = Hello::new("c", "two").env("CRASH_AT_START", "1");
    let second = harness.push("Greet two", &second);
    for name in ["a", "d"] {
        let meets_users = |status: &RolloutStatus| {
            let at_rest_on = status.stable.as_ref().and_then(|s| s.commit.as_ref());
            (status.phase == Phase::Stepping && status.confirmed_at.is_some())
                || at_rest_on == Some(&second)
        };
        harness.until(name, "meeting users", meets_users).await;
    }
    // `b` is still being waited for: that is what the others did not do. Where users send nothing
    // and answers take their time, their steps take longer than `b` is waited for.
    let b = harness.until("b", "anywhere", |_| true).await;
    assert_eq!(b.phase, Phase::Staging, "{b:#?}");
    for name in ["a", "d"] {
        harness.promoted(name, &second).await;
    }
    for name in ["b", "c"] {
        harness.rolled_back(name, &second).await;
        assert!(harness.ask(name).await.body.contains("one"));
    }
    // The Delivery hears of each when that one has settled.
    harness
        .delivery(DELIVERY, "two failed and two ready", |status| {
            let services = status.services.as_ref();
            services.is_some_and(|s| (s.failed, s.ready) == (2, 2))
        })
        .await;
    harness.end().await;
}

async fn two_deliveries_do_not_wait_for_each_other(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    // One of a folder beside the usual one, one of a repository that is not there.
    harness
        .deliver_as("lab", |spec| spec.source.path = Some("lab".into()))
        .await;
    harness
        .deliver_as("dead", |spec| {
            spec.source.url = "file:///no/such/repository.git".into();
        })
        .await;
    let lab = Hello::new("experiment", "one").env("NEVER_READY", "1");
    harness
        .repository
        .write("lab/experiment.yaml", &lab.manifest());
    let commit = harness.push("Open the shop", &[Hello::new("hello", "one")]);
    harness.promoted("hello", &commit).await;
    harness
        .delivery("shop", "delivered", |status| {
            status.last_good_commit.as_ref() == Some(&commit)
        })
        .await;
    harness
        .delivery("dead", "unreachable", |status| {
            let ready = status.conditions.iter().find(|c| c.type_ == "Ready");
            ready.is_some_and(|ready| ready.status == "False")
        })
        .await;
    let lab = Hello::new("experiment", "two");
    harness
        .repository
        .write("lab/experiment.yaml", &lab.manifest());
    let commit = harness.repository.push("It works");
    let status = harness.promoted("experiment", &commit).await;
    assert_eq!(status.expand, Some(expand));
    harness.end().await;
}

async fn a_service_that_moves_to_another_delivery_serves_on_under_its_new_owner(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    harness
        .deliver_as("lab", |spec| spec.source.path = Some("lab".into()))
        .await;
    let commit = harness.push(
        "Open the shop",
        &[Hello::new("hello", "one"), Hello::new("other", "one")],
    );
    harness.promoted("hello", &commit).await;
    harness.promoted("other", &commit).await;
    let uid = |object: kube::api::DynamicObject| object.metadata.uid.unwrap();
    let before = uid(harness.template_object().get("hello").await.unwrap());
    let users = harness.users("hello", 20);

    // In one commit, as `git mv` does it.
    harness.repository.remove("apps/hello.yaml");
    let hello = Hello::new("hello", "one").manifest();
    harness.repository.write("lab/hello.yaml", &hello);
    let moved = harness.repository.push("To the lab");
    let kind = match expand {
        Expand::Routes => "Configuration",
        Expand::Service => "Service",
    };
    for (name, has) in [("lab", true), ("shop", false)] {
        harness
            .delivery(name, "the inventory after the move", |status| {
                let in_it = status
                    .inventory
                    .iter()
                    .any(|k| k.kind == kind && k.name == "hello");
                status.observed_commit.as_ref() == Some(&moved) && in_it == has
            })
            .await;
    }
    // The new owner releases it; the old one has nothing to say in it any more.
    let hello = Hello::new("hello", "two").manifest();
    harness.repository.write("lab/hello.yaml", &hello);
    let second = harness.repository.push("Greet two");
    harness.promoted("hello", &second).await;
    let now = harness.template_object().get("hello").await.unwrap();
    let owner = now.metadata.annotations.as_ref().unwrap()["sluice.dev/delivery"].clone();
    assert_eq!(owner, format!("{}.lab", harness.namespace()));
    assert_eq!(uid(now), before, "it was never deleted");
    let shop = harness
        .delivery("shop", "one service left", |status| {
            status.services.as_ref().is_some_and(|s| s.total == 1)
        })
        .await;
    assert!(shop.problems.is_empty(), "{:#?}", shop.problems);
    let answers = users.stop().await;
    let lost = answers.iter().filter(|answer| answer.status != 200).count();
    assert_eq!(lost, 0, "of {}", answers.len());
    harness.end().await;
}

async fn a_service_that_leaves_git_leaves_the_cluster_but_an_empty_folder_deletes_nothing(
    expand: Expand,
) {
    let harness = Harness::brisk(expand).await;
    let commit = harness.push(
        "Two services",
        &[Hello::new("hello", "one"), Hello::new("other", "one")],
    );
    harness.promoted("hello", &commit).await;
    harness.promoted("other", &commit).await;
    harness.repository.remove("apps/other.yaml");
    harness.repository.push("Close the other one");
    let routes = harness.serving("Route");
    harness.gone(&routes, "other").await;
    harness.repository.remove("apps/hello.yaml");
    let empty = harness.repository.push("Close everything, by accident");
    let said = harness.problem(&empty, "Git has no object at all").await;
    assert!(!said.inventory.is_empty());
    let left = routes.list(&ListParams::default()).await.unwrap();
    assert_eq!(left.items.len(), 1, "an empty render deletes nothing");
    assert!(harness.ask("hello").await.body.contains("one"));
    harness.end().await;
}

async fn prune_disabled_keeps_what_left_git(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    let kept = Hello::new("kept", "one").annotated("sluice.dev/prune", "disabled");
    harness.repository.write(
        "apps/settings.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\n  annotations: {sluice.dev/prune: disabled}\ndata: {mood: calm}\n",
    );
    let others = [Hello::new("hello", "one"), Hello::new("other", "one"), kept];
    let commit = harness.push("Open the shop", &others);
    for name in ["hello", "other", "kept"] {
        harness.promoted(name, &commit).await;
    }
    for file in ["kept", "settings", "other"] {
        harness.repository.remove(&format!("apps/{file}.yaml"));
    }
    harness.repository.push("Close three");
    // What may go is gone: everything that was to be pruned was.
    harness.gone(&harness.serving("Route"), "other").await;
    harness
        .gone(
            &harness.objects("sluice.dev/v1alpha1", "ServiceRollout"),
            "other",
        )
        .await;
    assert!(harness.ask("kept").await.body.contains("one"));
    let maps = harness.objects("v1", "ConfigMap");
    assert!(maps.get_opt("settings").await.unwrap().is_some());
    // It is not counted any more, and nobody says that anything is wrong.
    let status = harness
        .delivery(DELIVERY, "one service left", |status| {
            status.services.as_ref().is_some_and(|s| s.total == 1)
        })
        .await;
    assert!(status.problems.is_empty(), "{:#?}", status.problems);
    harness.end().await;
}

/// No warning was given: nothing was tried before its time. (That a container does not listen yet is none.)
async fn nothing_went_wrong(harness: &Harness) {
    let events: Api<Event> = Api::namespaced(harness.client.clone(), harness.namespace());
    let events = events.list(&ListParams::default()).await.unwrap();
    let warnings: Vec<_> = events
        .iter()
        .filter(|event| event.type_.as_deref() == Some("Warning"))
        .filter(|event| event.reason.as_deref() != Some("Unhealthy"))
        .map(|event| event.message.clone())
        .collect();
    assert!(warnings.is_empty(), "{warnings:#?}");
}

async fn a_config_map_and_a_secret_are_there_before_the_service_that_reads_them(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    // By name they come after the service.
    harness.repository.write(
        "apps/zz.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: names}\ndata: {target: map}\n---\n\
         apiVersion: v1\nkind: Secret\nmetadata: {name: numbers}\nstringData: {max: \"7\"}\n",
    );
    let hello = Hello::new("hello", "unused")
        .env_from("TARGET", "configMapKeyRef", "names", "target")
        .env_from("MAX", "secretKeyRef", "numbers", "max");
    let commit = harness.push("Open the shop", &[hello]);
    harness.promoted("hello", &commit).await;
    assert!(harness.ask("hello").await.body.contains("Hello map!"));
    nothing_went_wrong(&harness).await;
    harness.end().await;
}

async fn a_namespace_and_a_definition_come_before_what_lives_in_them(expand: Expand) {
    let harness = Harness::brisk(expand).await;
    // Neither lives in the story's namespace: names of its own keep it apart from other stories.
    let annex_of_it = format!("annex-{}", harness.namespace());
    let group = format!("{}.example.com", harness.namespace());
    harness.repository.write(
        "apps/zz.yaml",
        &format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: {annex_of_it}}}\n---\n\
         apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: gadgets.{group}}}\n\
         spec:\n  group: {group}\n  scope: Namespaced\n  names: {{plural: gadgets, singular: gadget, kind: Gadget}}\n  \
         versions:\n    - name: v1\n      served: true\n      storage: true\n      \
         schema: {{openAPIV3Schema: {{type: object, properties: {{spec: {{type: object, properties: {{size: {{type: integer}}}}}}}}}}}}\n"),
    );
    harness.repository.write(
        "apps/aa.yaml",
        &format!("apiVersion: {group}/v1\nkind: Gadget\nmetadata: {{name: lever, namespace: {annex_of_it}}}\nspec: {{size: 3}}\n"),
    );
    let annex = Hello::new("hello", "annex").in_namespace(&annex_of_it);
    let commit = harness.push("Build an annex", &[annex]);
    let status = harness
        .delivery(DELIVERY, "delivered", |status| {
            assert!(status.problems.is_empty(), "{:#?}", status.problems);
            status.last_good_commit.as_ref() == Some(&commit)
        })
        .await;
    assert_eq!(status.services.unwrap().ready, 1);
    let answer = harness.ask_in(&annex_of_it, "hello", "/").await;
    assert!(answer.body.contains("annex"), "{answer:?}");
    let gadgets: Api<kube::api::DynamicObject> = Api::namespaced_with(
        harness.client.clone(),
        &annex_of_it,
        &crate::harness::resource(&format!("{group}/v1"), "Gadget"),
    );
    let lever = gadgets.get("lever").await.unwrap();
    assert_eq!(lever.data["spec"]["size"], 3);
    nothing_went_wrong(&harness).await;
    harness.end().await;
}
