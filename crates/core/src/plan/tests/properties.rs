//! What holds of every plan, for whatever Git and the cluster may hold.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::scenarios::{Story, config_map, service, story};
use crate::api::delivery::Expand;
use crate::plan::*;

/// A small world, so that names meet often: the same name in Git, in the cluster, in
/// the inventory, in another Delivery.
fn manifest() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    let value = prop::sample::select(vec!["1", "2"]);
    let namespace = prop::sample::select(vec![None, Some("jobs"), Some("default")]);
    (0..7u8, name, value, namespace).prop_map(|(kind, name, value, namespace)| {
        let mut object = match kind {
            0 | 1 => config_map(name, value),
            2 => service(name, value),
            3 => json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "jobs"}}),
            4 => json!({"apiVersion": "serving.knative.dev/v1", "kind": "Route", "metadata": {"name": name},
                "spec": {"traffic": [{"configurationName": value, "percent": 100}]}}),
            5 => json!({"apiVersion": "example.com/v1", "kind": "Toy", "metadata": {"name": name}, "spec": {"v": value}}),
            _ => json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "toys.example.com"},
                "spec": {"group": "example.com", "names": {"kind": "Toy"}, "scope": "Namespaced"}}),
        };
        if let Some(namespace) = namespace {
            object["metadata"]["namespace"] = json!(namespace);
        }
        object
    })
}

/// What a repository may hold: each identity once, as the `manifest` module sees to.
fn repository() -> impl Strategy<Value = Vec<Value>> {
    prop::collection::vec(manifest(), 0..8).prop_map(|manifests| {
        let mut seen = std::collections::BTreeSet::new();
        manifests
            .into_iter()
            .filter(|m| {
                let mut key = crate::api::object::ObjectKey::of(m).expect("a key");
                if Scope::by_convention(m["apiVersion"].as_str().unwrap_or_default(), &key.kind)
                    == Scope::Cluster
                {
                    key.namespace = None;
                } else {
                    key.namespace.get_or_insert_with(|| "default".to_owned());
                }
                seen.insert(key)
            })
            .collect()
    })
}

/// A cluster with a past: what Git had before was delivered, someone else's hand was on
/// some of it, and another Delivery claims a part.
fn world() -> impl Strategy<Value = Story> {
    (
        repository(),
        repository(),
        repository(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(before, by_hand, now, prune, as_service, claimed)| {
            story()
                .with(|s| {
                    s.prune = prune;
                    if as_service {
                        s.expand = Expand::Service;
                    }
                })
                .git(before)
                .delivered()
                .with(|s| {
                    for mut object in by_hand {
                        if object["metadata"].get("namespace").is_none()
                            && object["kind"] != "Namespace"
                        {
                            object["metadata"]["namespace"] = json!("default");
                        }
                        s.serve(&object, "kubectl-edit");
                    }
                    if claimed {
                        let other = DeliveryId::new("default", "other");
                        s.elsewhere = s
                            .inventory
                            .iter()
                            .take(1)
                            .map(|key| (key.clone(), other.clone()))
                            .collect();
                    }
                    s.git = now;
                })
        })
}

fn told(plan: &Plan) -> String {
    plan.to_string()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn every_plan_is_sound(world in world()) {
        prop_assert_eq!(invariants::check(&world.plan()), []);
    }

    #[test]
    fn the_order_of_files_makes_no_difference(mut world in world()) {
        let forward = world.plan();
        world.git.reverse();
        let backward = world.plan();
        prop_assert_eq!(
            forward.steps.iter().map(|s| (&s.key, s.stage)).collect::<Vec<_>>(),
            backward.steps.iter().map(|s| (&s.key, s.stage)).collect::<Vec<_>>()
        );
        prop_assert_eq!(forward.inventory, backward.inventory);
    }

    #[test]
    fn after_delivery_there_is_nothing_left_to_do(git in repository(), as_service in any::<bool>()) {
        let expand = if as_service { Expand::Service } else { Expand::Routes };
        let done = story().with(|s| s.expand = expand).git(git).delivered();
        let plan = done.plan();
        prop_assert!(plan.is_empty(), "{}", told(&plan));
        prop_assert_eq!(plan.inventory, done.inventory);
    }

    #[test]
    fn nothing_is_deleted_without_leave(mut world in world()) {
        let deletes = |plan: &Plan| plan.steps.iter().any(|s| s.stage == Stage::Prune);
        world.prune = false;
        prop_assert!(!deletes(&world.plan()));
        world.prune = true;
        world.broken = vec![crate::render::fixture::broken("x.yaml", None)];
        prop_assert!(!deletes(&world.plan()));
        world.broken.clear();
        world.git.clear();
        prop_assert!(!deletes(&world.plan()));
    }

    #[test]
    fn only_what_we_marked_and_listed_is_deleted(world in world()) {
        let plan = world.plan();
        for step in plan.steps.iter().filter(|s| s.stage == Stage::Prune) {
            prop_assert!(world.inventory.contains(&step.key));
            prop_assert_eq!(world.elsewhere.claimant(&step.key), None);
            let live = &world.live[&step.key];
            prop_assert_eq!(live.delivery.as_ref(), Some(&DeliveryId::new("default", "shop")));
        }
    }
}
