//! A commit that changes what templates name, and no template.

use serde_json::json;
use sluice::api::delivery::Expand;

use crate::harness::{Harness, Hello, in_both_forms};

in_both_forms!(a_config_map_that_a_template_names_is_noted_with_the_commit_that_changed_it);

async fn a_config_map_that_a_template_names_is_noted_with_the_commit_that_changed_it(
    expand: Expand,
) {
    let harness = Harness::brisk(expand).await;
    let settings = |target: &str| {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"target": target}})
            .to_string()
    };
    let hello = Hello::new("hello", "").env_from("TARGET", "configMapKeyRef", "settings", "target");
    harness
        .repository
        .write("apps/settings.yaml", &settings("one"));
    let first = harness.push("Open the shop", &[hello]);
    let status = harness.promoted("hello", &first).await;
    assert!(status.config_changes.is_empty());

    harness
        .repository
        .write("apps/settings.yaml", &settings("two"));
    let second = harness.repository.push("Greet two");
    let noted = harness
        .until("hello", "noted", |status| !status.config_changes.is_empty())
        .await;
    let change = &noted.config_changes[0];
    assert_eq!(
        (change.kind.as_str(), change.name.as_str()),
        ("ConfigMap", "settings")
    );
    assert_eq!(
        (&change.commit, change.subject.as_str()),
        (&second, "Greet two")
    );
    assert_eq!(change.diff, ["-data.target: one", "+data.target: two"]);
    assert_eq!(noted.stable, status.stable, "it is no release");
    harness.end().await;
}
