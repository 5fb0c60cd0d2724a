//! Stories of what happens seldom: hands that meddle, tags that move, scales at their ends, children that stay.

use serde_json::{Value, json};

use super::events::{Event, Story, gone, object, patch, service, template, traffic};

fn annotated(name: &str, target: &str, annotations: Value) -> Event {
    let mut template = template(target);
    template["metadata"] = json!({"annotations": annotations});
    Event::Apply(object("Service", name, json!({"template": template})))
}

fn delete(kind: &'static str, name: &str) -> Event {
    Event::Delete(kind, name.to_owned())
}

/// All of them.
pub fn stories() -> Vec<Story> {
    let story = |prefix, events| Story { prefix, events };
    vec![
        story(
            "asleep",
            vec![
                annotated(
                    "asleep",
                    "one",
                    json!({
                        "autoscaling.knative.dev/initial-scale": "2",
                        "autoscaling.knative.dev/max-scale": "3",
                    }),
                ),
                annotated(
                    "asleep",
                    "two",
                    json!({
                        "autoscaling.knative.dev/window": "6s",
                        "autoscaling.knative.dev/scale-to-zero-pod-retention-period": "0s",
                    }),
                ),
                gone("asleep"),
            ],
        ),
        story(
            "byhand",
            vec![
                service("byhand", "one"),
                service("byhand", "two"),
                traffic(
                    "byhand",
                    json!([
                        {"revisionName": "byhand-00001", "percent": 50},
                        {"latestRevision": true, "percent": 50},
                    ]),
                ),
                delete("Revision", "byhand-00001"),
                traffic("byhand", json!([{"latestRevision": true, "percent": 100}])),
                gone("byhand"),
            ],
        ),
        story(
            "moved",
            vec![
                service("moved", "one"),
                service("moved", "two"),
                traffic(
                    "moved",
                    json!([
                        {"latestRevision": true, "percent": 100},
                        {"revisionName": "moved-00001", "percent": 0, "tag": "try"},
                    ]),
                ),
                traffic(
                    "moved",
                    json!([
                        {"latestRevision": true, "percent": 100},
                        {"revisionName": "moved-00002", "percent": 0, "tag": "try"},
                    ]),
                ),
                gone("moved"),
            ],
        ),
        story(
            "shared",
            vec![
                service("shared", "one"),
                traffic(
                    "shared",
                    json!([
                        {"latestRevision": true, "percent": 30, "tag": "latest"},
                        {"revisionName": "shared-00001", "percent": 70},
                    ]),
                ),
                service("shared", "two"),
                service("shared", "three"),
                gone("shared"),
            ],
        ),
        story(
            "private",
            vec![
                service("private", "one"),
                traffic(
                    "private",
                    json!([{"latestRevision": true, "percent": 100, "tag": "now"}]),
                ),
                patch(
                    "private",
                    json!({"metadata": {"labels": {"networking.knative.dev/visibility": "cluster-local"}}}),
                ),
                service("private", "two"),
                patch(
                    "private",
                    json!({"metadata": {"labels": {"networking.knative.dev/visibility": null}}}),
                ),
                gone("private"),
            ],
        ),
        story(
            "left",
            vec![
                service("left", "one"),
                // The webhook lets no child go, so that it never does.
                Event::Leave("Service", "left".to_owned()),
                service("left", "two"),
            ],
        ),
    ]
}
