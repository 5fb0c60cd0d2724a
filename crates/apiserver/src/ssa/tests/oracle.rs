//! The same stories told by Kubernetes' own field manager, where Go is at hand.
//!
//! `tests/oracle/ssa` is a small Go program around `k8s.io/apimachinery`. Without Go the
//! test says loudly that it did nothing; with `SLUICE_REQUIRE_GO=1` it fails.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use super::super::{ApplyOptions, ResetFields, UpdateOptions, apply, update};
use super::{generate, templated, things};

use crate::schema::Schema;

/// One request of a story.
#[derive(Debug, Clone)]
struct Step {
    apply: bool,
    force: bool,
    manager: &'static str,
    subresource: Option<&'static str>,
    fields: Value,
}

/// A kind to tell stories about.
struct Subject {
    schema: Schema,
    group: &'static str,
    kind: &'static str,
    reset: bool,
}

impl Subject {
    fn api_version(&self) -> String {
        format!("{}/v1", self.group)
    }

    fn object(&self, fields: &Value) -> Value {
        let mut object = json!({
            "apiVersion": self.api_version(), "kind": self.kind,
            "metadata": {"name": "thing", "namespace": "default"},
        });
        for (name, value) in fields.as_object().unwrap() {
            if name == "metadata" {
                let metadata = object["metadata"].as_object_mut().unwrap();
                metadata.extend(value.as_object().unwrap().clone());
            } else {
                object[name] = value.clone();
            }
        }
        object
    }

    fn told_to_the_oracle(&self, steps: &[Step]) -> Value {
        let mut definitions = json!(self.schema.definitions());
        definitions["root"] = self.schema.to_openapi();
        let steps: Vec<Value> = steps
            .iter()
            .map(|step| {
                json!({
                    "apply": step.apply, "force": step.force, "manager": step.manager,
                    "subresource": step.subresource.unwrap_or(""),
                    "object": self.object(&step.fields),
                })
            })
            .collect();
        json!({
            "root": "root", "group": self.group, "version": "v1", "kind": self.kind,
            "definitions": definitions, "reset": self.reset, "steps": steps,
        })
    }

    /// What we make of the story: an object or an error a step.
    fn told_here(&self, steps: &[Step]) -> Vec<Value> {
        let mut live: Option<Value> = None;
        let mut answers = Vec::new();
        for step in steps {
            let reset = ResetFields::of(self.reset, step.subresource);
            let now = Timestamp::UNIX_EPOCH;
            let object = self.object(&step.fields);
            let result = if step.apply {
                let options = ApplyOptions {
                    manager: step.manager,
                    force: step.force,
                    subresource: step.subresource,
                    reset,
                    now,
                    may_not_fit: false,
                };
                apply(live.as_ref(), &object, &self.schema, &options)
            } else {
                let options = UpdateOptions {
                    manager: step.manager,
                    subresource: step.subresource,
                    reset,
                    now,
                };
                Ok(update(live.as_ref(), object, &self.schema, &options))
            };
            answers.push(match result {
                Ok(object) => {
                    live = Some(object.clone());
                    json!({"object": normal(object)})
                }
                Err(error) => json!({"error": error.to_string()}),
            });
        }
        answers
    }
}

/// Without times, and so without the order that hangs on them.
fn normal(mut object: Value) -> Value {
    if let Some(Value::Array(entries)) = object.pointer_mut("/metadata/managedFields") {
        for entry in entries.iter_mut() {
            entry.as_object_mut().unwrap().remove("time");
        }
        entries.sort_by_key(|entry| {
            ["manager", "operation", "apiVersion", "subresource"]
                .map(|name| entry[name].to_string())
        });
    }
    object
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.values().any(has_null),
        Value::Array(items) => items.iter().any(has_null),
        other => other.is_null(),
    }
}

/// Builds the oracle and tells it all stories; `None` where there is no Go.
fn oracle(stories: &[Value]) -> Option<Vec<Vec<Value>>> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/ssa");
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("oracle");
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(source)
        .output();
    match built {
        Ok(output) if output.status.success() => {}
        other => {
            let why = match other {
                Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
                Err(error) => error.to_string(),
            };
            assert!(
                std::env::var_os("SLUICE_REQUIRE_GO").is_none_or(|value| value != "1"),
                "SLUICE_REQUIRE_GO=1, and the oracle cannot be built: {why}"
            );
            eprintln!("NOT COMPARED WITH KUBERNETES' OWN FIELD MANAGER: no Go oracle: {why}");
            return None;
        }
    }
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let text: String = stories.iter().map(|story| format!("{story}\n")).collect();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let answers = String::from_utf8(output.stdout).unwrap();
    Some(
        answers
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect(),
    )
}

fn step(
    fields: impl Strategy<Value = Value>,
    doubled: impl Strategy<Value = Value>,
) -> impl Strategy<Value = Step> {
    (
        any::<bool>(),
        any::<bool>(),
        proptest::sample::select(vec!["m1", "m2", "m3"]),
        proptest::option::weighted(0.15, Just("status")),
        fields,
        doubled,
    )
        .prop_map(
            |(apply, force, manager, subresource, fields, doubled)| Step {
                apply,
                force,
                manager,
                subresource,
                fields: if apply { fields } else { doubled },
            },
        )
}

#[track_caller]
fn compare(subject: &Subject, stories: &[Vec<Step>]) {
    let told: Vec<Value> = stories
        .iter()
        .map(|steps| subject.told_to_the_oracle(steps))
        .collect();
    let Some(theirs) = oracle(&told) else { return };
    assert_eq!(theirs.len(), stories.len());
    let mut cut_short = 0;
    for (steps, theirs) in stories.iter().zip(theirs) {
        let ours = subject.told_here(steps);
        for (index, (ours, mut theirs)) in ours.into_iter().zip(theirs).enumerate() {
            // The one thing we do otherwise: what an apply has emptied is gone. Go leaves
            // a null there, which validation then refuses, so that story ends here.
            if has_null(&theirs) {
                cut_short += 1;
                break;
            }
            if let Some(object) = theirs.get_mut("object") {
                *object = normal(object.take());
            }
            if ours != theirs {
                let told: Vec<String> = steps
                    .iter()
                    .take(index + 1)
                    .map(|step| {
                        let verb = if step.apply { "apply" } else { "update" };
                        let through = step.subresource.unwrap_or("-");
                        format!(
                            "{} {verb} force={} {through} {}",
                            step.manager, step.force, step.fields
                        )
                    })
                    .collect();
                panic!("after\n{}\nours   {ours}\ntheirs {theirs}", told.join("\n"));
            }
        }
    }
    assert!(
        cut_short * 4 <= stories.len(),
        "{cut_short} stories were cut short"
    );
}

#[test]
fn made_up_stories_end_as_in_kubernetes() {
    let mut runner = TestRunner::deterministic();
    let stories = proptest::collection::vec(step(generate::fields(), generate::doubled()), 2..7);
    let stories: Vec<Vec<Step>> = (0..400)
        .map(|_| stories.new_tree(&mut runner).unwrap().current())
        .collect();
    let subject = Subject {
        schema: things(),
        group: "sluice.test",
        kind: "Thing",
        reset: true,
    };
    compare(&subject, &stories);
}

#[test]
fn the_story_of_a_service_with_a_template_ends_as_in_kubernetes() {
    let template = |image: &str| {
        json!({"metadata": {"annotations": {"autoscaling.example.dev/min-scale": "1"}},
            "spec": {"containers": [{"image": image, "env": [{"name": "A", "value": "1"}]}]}})
    };
    let apply = |manager, force, fields| Step {
        apply: true,
        force,
        manager,
        subresource: None,
        fields,
    };
    let write = |manager, subresource, fields| Step {
        apply: false,
        force: false,
        manager,
        subresource,
        fields,
    };
    let traffic = json!([{"revisionName": "a-1", "percent": 100}]);
    let story = vec![
        apply(
            "sluice",
            false,
            json!({"spec": {"template": template("a:1")}}),
        ),
        apply(
            "sluice-traffic",
            false,
            json!({"spec": {"traffic": traffic}}),
        ),
        write(
            "controller",
            Some("status"),
            json!({
                "spec": {"template": template("a:1"), "traffic": traffic},
                "status": {"conditions": [{"type": "Ready", "status": "True"}], "observedGeneration": 1},
            }),
        ),
        apply(
            "other",
            false,
            json!({"spec": {"template": template("b:1")}}),
        ),
        apply(
            "other",
            true,
            json!({"spec": {"template": template("b:1")}}),
        ),
        apply("sluice", false, json!({"metadata": {"labels": {"a": "b"}}})),
        write(
            "kubectl-edit",
            None,
            json!({
                "metadata": {"annotations": {"x": "y"}},
                "spec": {"template": template("c:1"), "traffic": []},
            }),
        ),
        apply("sluice-traffic", false, json!({})),
        apply("broken", false, json!({"spec": {"unknown": 1}})),
    ];
    let subject = Subject {
        schema: templated(),
        group: "serving.example.dev",
        kind: "Service",
        reset: true,
    };
    compare(&subject, &[story]);
}
