//! A commit that changes what the template names, and no template.

use expect_test::expect;

use super::check;
use crate::rollout::tests::world::{World, good};

fn degraded(world: &World) -> String {
    let conditions = &world.status.conditions;
    let degraded = conditions.iter().find(|c| c.type_ == "Degraded");
    degraded.map(|c| c.message.clone()).unwrap_or_default()
}

#[test]
fn a_config_map_that_breaks_the_service_is_named_with_commit_and_diff() {
    let world = World::at_rest("fast")
        .at(5, |world| world.changes_config("turn"))
        .at(20, |world| world.loses_readiness("v1"));
    check(
        world,
        60,
        expect![[r#"
        00:05  commit turnccc "turn" changed ConfigMap settings (-data.url: a, +data.url: b), which every revision reads
        00:40  the stable revision hello-00001 is not well: hello-00001 has had no Ready Pod for 20s (0 of 1), since commit turnccc "turn" changed ConfigMap settings (-data.url: a, +data.url: b)
        end    Stable; hello-00001 100 %; 800 of 1200 requests harmed
    "#]],
    );
}

#[test]
fn degraded_names_what_was_changed_before_the_trouble_and_nothing_after_it() {
    let mut world = World::at_rest("fast")
        .at(5, |world| world.changes_config("turn"))
        .at(20, |world| world.loses_readiness("v1"))
        .at(50, |world| world.changes_config("later"));
    world.run(60);
    let said = degraded(&world);
    assert!(
        said.contains("since commit turnccc \"turn\" changed ConfigMap settings"),
        "{said}"
    );
    assert!(!said.contains("later"), "{said}");
}

#[test]
fn a_promoted_release_was_judged_with_what_was_changed_before_it() {
    let mut world = World::at_rest("fast")
        .at(5, |world| world.changes_config("turn"))
        .at(10, |world| world.commit("v2", good()));
    world.run(12);
    assert_eq!(world.status.config_changes.len(), 1);
    world.run(60);
    assert!(world.status.config_changes.is_empty());
    assert_eq!(degraded(&world), "");
}
