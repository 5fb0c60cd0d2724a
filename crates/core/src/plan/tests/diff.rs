//! Diffs told as stories.

use expect_test::{Expect, expect};
use serde_json::json;

use super::scenarios::{Story, config_map, service, story};
use crate::plan::diff::{Style, differences, render};

#[expect(
    clippy::needless_pass_by_value,
    reason = "expect![] reads better by value"
)]
fn shows(story: &Story, expected: Expect) {
    let plan = story.plan();
    expected.assert_eq(&render(&differences(&plan, &story.live), Style::Plain));
}

#[test]
fn a_new_image_is_one_line_however_much_the_server_filled_in() {
    let story = story()
        .git([service("hello", "hello:1")])
        .delivered()
        .with(|s| s.git = vec![service("hello", "hello:2")]);
    shows(
        &story,
        expect![[r#"
            --- Configuration.serving.knative.dev default/hello (cluster)
            +++ Configuration.serving.knative.dev default/hello (apps/0.yaml:1)
            @@ -8,7 +8,7 @@
                 spec:
                   containerConcurrency: 0
                   containers:
            -      - image: hello:1
            +      - image: hello:2
                     name: user-container
                     readinessProbe:
                       successThreshold: 1
        "#]],
    );
}

#[test]
fn a_removed_limit_and_a_label_that_left_are_seen() {
    let story = story()
        .git([service("hello", "hello:1"), {
            let mut map = config_map("settings", "1");
            map["metadata"]["labels"] = json!({"team": "a"});
            map
        }])
        .delivered()
        .with(|s| {
            let container = &mut s.git[0]["spec"]["template"]["spec"]["containers"][0];
            container["resources"] = json!({"limits": {"cpu": "1"}});
            s.git[1] = config_map("settings", "1");
        });
    shows(
        &story,
        expect![[r#"
            --- ConfigMap default/settings (cluster)
            +++ ConfigMap default/settings (apps/1.yaml:1)
            @@ -3,7 +3,5 @@
               a: '1'
             kind: ConfigMap
             metadata:
            -  labels:
            -    team: a
               name: settings
               namespace: default
            --- Configuration.serving.knative.dev default/hello (cluster)
            +++ Configuration.serving.knative.dev default/hello (apps/0.yaml:1)
            @@ -17,6 +17,5 @@
                     resources:
                       limits:
                         cpu: 1000m
            -            memory: 1024Mi
                   enableServiceLinks: false
                   timeoutSeconds: 300
        "#]],
    );
}

#[test]
fn a_secret_that_changes_shows_no_value() {
    let secret = |value: &str| {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
            "stringData": {"password": value, "user": "app"}})
    };
    let story = story()
        .git([secret("hunter2")])
        .delivered()
        .with(|s| s.git = vec![secret("hunter3"), config_map("new", "x")]);
    shows(
        &story,
        expect![[r#"
            --- /dev/null
            +++ ConfigMap default/new (apps/1.yaml:1)
            @@ -0,0 +1,7 @@
            +apiVersion: v1
            +data:
            +  a: x
            +kind: ConfigMap
            +metadata:
            +  name: new
            +  namespace: default
            --- Secret default/s (cluster)
            +++ Secret default/s (apps/0.yaml:1)
            @@ -1,6 +1,6 @@
             apiVersion: v1
             data:
            -  password: '*** (before)'
            +  password: '*** (after)'
               user: '***'
             kind: Secret
             metadata:
        "#]],
    );
}

#[test]
fn what_is_pruned_shows_whole_and_a_live_edit_shows_against_git() {
    let story = story()
        .git([config_map("kept", "1"), config_map("gone", "1")])
        .delivered()
        .with(|s| {
            s.git.pop();
            let mut edited = config_map("kept", "by hand");
            edited["metadata"]["namespace"] = json!("default");
            s.serve(&edited, "kubectl-edit");
        });
    shows(
        &story,
        expect![[r#"
            --- ConfigMap default/kept (cluster)
            +++ ConfigMap default/kept (apps/0.yaml:1)
            @@ -1,6 +1,6 @@
             apiVersion: v1
             data:
            -  a: by hand
            +  a: '1'
             kind: ConfigMap
             metadata:
               name: kept
            --- ConfigMap default/gone (cluster)
            +++ /dev/null
            @@ -1,7 +0,0 @@
            -apiVersion: v1
            -data:
            -  a: '1'
            -kind: ConfigMap
            -metadata:
            -  name: gone
            -  namespace: default
        "#]],
    );
}

#[test]
fn colours_mark_lines_and_nothing_else() {
    let story = story().git([config_map("a", "1")]);
    let plan = story.plan();
    let coloured = render(&differences(&plan, &story.live), Style::Coloured);
    assert!(
        coloured.contains("\u{1b}[32m+kind: ConfigMap\u{1b}[0m"),
        "{coloured}"
    );
    assert!(
        coloured.starts_with("\u{1b}[1m--- /dev/null\u{1b}[0m"),
        "{coloured}"
    );
}
