//! Commits that change what templates name.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::scenarios::{Story, config_map, key, service, story};
use crate::plan::config_changes::named_configs;

fn reads(kind: &str, name: &str) -> Value {
    let reference = if kind == "Secret" {
        "secretKeyRef"
    } else {
        "configMapKeyRef"
    };
    let mut service = service("hello", "hello:1");
    service["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "A", "valueFrom": {reference: {"name": name, "key": "a"}}}]);
    service
}

fn told(story: &Story) -> Vec<String> {
    let diffs = story.plan().config_diffs(&story.live);
    let words = |diff: &crate::plan::ConfigDiff| {
        format!(
            "{} {}: {}",
            diff.object.kind,
            diff.object.name,
            diff.lines.join(", ")
        )
    };
    diffs.iter().map(words).collect()
}

#[test]
fn a_template_names_what_its_variables_environments_and_volumes_come_from() {
    let template = json!({"spec": {
        "initContainers": [{"envFrom": [{"secretRef": {"name": "a"}}]}],
        "containers": [
            {"env": [{"name": "X", "value": "1"}, {"name": "Y", "valueFrom": {"secretKeyRef": {"name": "b", "key": "k"}}}]},
            {"env": [{"name": "Z", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}],
             "envFrom": [{"configMapRef": {"name": "d"}}]}],
        "volumes": [
            {"name": "1", "configMap": {"name": "e"}}, {"name": "2", "secret": {"secretName": "f"}},
            {"name": "3", "projected": {"sources": [{"configMap": {"name": "g"}}, {"secret": {"name": "h"}}]}},
            {"name": "4", "emptyDir": {}}]}});
    let named = |kind: &str| -> String {
        let all = named_configs(&template);
        let of_kind = all.into_iter().filter(|(known, _)| known == kind);
        of_kind
            .map(|(_, name)| name)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    };
    assert_eq!(named("ConfigMap"), "cdeg");
    assert_eq!(named("Secret"), "abfh");
}

#[test]
fn a_commit_that_changes_what_a_template_names_is_told_with_its_diff() {
    let settings = |value: &str| config_map("settings", value);
    let story = story().git([
        reads("ConfigMap", "settings"),
        settings("1"),
        config_map("other", "1"),
    ]);
    let story = story.delivered();
    assert!(told(&story).is_empty());
    let changed = story.with(|s| {
        s.git = vec![
            reads("ConfigMap", "settings"),
            settings("2"),
            config_map("other", "2"),
        ]
    });
    assert_eq!(
        told(&changed),
        ["ConfigMap settings: -data.a: 1, +data.a: 2"]
    );
}

#[test]
fn of_a_secret_only_the_keys_are_told() {
    let secret = |value: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "door"}, "data": {"a": value}});
    let story = story()
        .git([reads("Secret", "door"), secret("b2xk")])
        .delivered();
    let changed = story.with(|s| s.git = vec![reads("Secret", "door"), secret("bmV3")]);
    assert_eq!(told(&changed), ["Secret door: ~data.a"]);
}

#[test]
fn what_a_hand_changed_and_git_puts_back_is_no_commit_s() {
    let story = story().git([reads("ConfigMap", "settings"), config_map("settings", "1")]);
    let edited = story.delivered().with(|s| {
        let mut value = s.live[&key("ConfigMap", "settings")].value();
        value["data"]["a"] = json!("2");
        s.serve(&value, "kubectl-edit");
    });
    assert!(told(&edited).is_empty());
}
