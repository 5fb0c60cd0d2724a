//! Short stories of a service's life, as events.

use std::fmt;

use serde_json::{Value, json};

use super::unusual;

/// Something that somebody does.
pub enum Event {
    /// Server-side apply of an object.
    Apply(Value),
    /// A merge patch of an object of this kind and name.
    Patch(&'static str, String, Value),
    /// The object goes.
    Delete(&'static str, String),
    /// The object goes, and what it owned stays.
    Leave(&'static str, String),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apply(object) => write!(f, "apply {object}"),
            Self::Patch(kind, name, patch) => write!(f, "patch {kind} {name} by {patch}"),
            Self::Delete(kind, name) => write!(f, "delete {kind} {name}"),
            Self::Leave(kind, name) => write!(f, "delete {kind} {name} alone"),
        }
    }
}

/// Events about objects whose names begin alike.
pub struct Story {
    /// What the names begin with.
    pub prefix: &'static str,
    /// What happens, one after the other.
    pub events: Vec<Event>,
}

pub(super) fn template(target: &str) -> Value {
    json!({"spec": {"containers": [{
        "image": "sluice.local/hello",
        "env": [{"name": "TARGET", "value": target}],
    }]}})
}

pub(super) fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "serving.knative.dev/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    })
}

pub(super) fn service(name: &str, target: &str) -> Event {
    Event::Apply(object(
        "Service",
        name,
        json!({"template": template(target)}),
    ))
}

pub(super) fn patch(name: &str, patch: Value) -> Event {
    Event::Patch("Service", name.to_owned(), patch)
}

pub(super) fn traffic(name: &str, targets: Value) -> Event {
    patch(name, json!({"spec": {"traffic": targets}}))
}

fn named(name: &str, revision: &str, target: &str) -> Event {
    let mut template = template(target);
    template["metadata"] = json!({"name": revision});
    Event::Apply(object("Service", name, json!({"template": template})))
}

pub(super) fn gone(name: &str) -> Event {
    Event::Delete("Service", name.to_owned())
}

/// All of them.
pub fn stories() -> Vec<Story> {
    let story = |prefix, events| Story { prefix, events };
    let mut all = vec![
        story(
            "plain",
            vec![
                service("plain", "one"),
                service("plain", "two"),
                gone("plain"),
            ],
        ),
        story(
            "pinned",
            vec![
                service("pinned", "one"),
                traffic(
                    "pinned",
                    json!([
                        {"revisionName": "pinned-00001", "percent": 100},
                        {"latestRevision": true, "percent": 0, "tag": "next"},
                    ]),
                ),
                service("pinned", "two"),
                traffic(
                    "pinned",
                    json!([
                        {"revisionName": "pinned-00001", "percent": 60},
                        {"revisionName": "pinned-00002", "percent": 40, "tag": "two"},
                    ]),
                ),
                traffic("pinned", json!([{"latestRevision": true, "percent": 100}])),
                gone("pinned"),
            ],
        ),
        story(
            "marked",
            vec![
                service("marked", "one"),
                patch(
                    "marked",
                    json!({"metadata": {"annotations": {"note": "x"}, "labels": {"team": "a"}}}),
                ),
                patch(
                    "marked",
                    json!({"spec": {"template": {"metadata": {
                        "annotations": {"note": "y"}, "labels": {"team": "b"},
                    }}}}),
                ),
                patch(
                    "marked",
                    json!({"metadata": {"annotations": {"note": null}, "labels": {"team": null}}}),
                ),
                gone("marked"),
            ],
        ),
        story(
            "byname",
            vec![
                named("byname", "byname-first", "one"),
                named("byname", "byname-second", "two"),
                traffic(
                    "byname",
                    json!([
                        {"revisionName": "byname-first", "percent": 50},
                        {"revisionName": "byname-second", "percent": 50},
                    ]),
                ),
                gone("byname"),
            ],
        ),
        story(
            "inside",
            vec![
                service("inside", "one"),
                patch(
                    "inside",
                    json!({"metadata": {"labels": {"networking.knative.dev/visibility": "cluster-local"}}}),
                ),
                patch(
                    "inside",
                    json!({"metadata": {"labels": {"networking.knative.dev/visibility": null}}}),
                ),
                gone("inside"),
            ],
        ),
        story(
            "missing",
            vec![
                service("missing", "one"),
                traffic(
                    "missing",
                    json!([{"revisionName": "missing-00009", "percent": 100}]),
                ),
                traffic("missing", json!([{"latestRevision": true, "percent": 100}])),
                gone("missing"),
            ],
        ),
        story(
            "apart",
            vec![
                Event::Apply(object(
                    "Configuration",
                    "apart",
                    json!({"template": template("one")}),
                )),
                Event::Apply(object(
                    "Route",
                    "apart",
                    json!({"traffic": [{"configurationName": "apart", "percent": 100}]}),
                )),
                Event::Apply(object(
                    "Configuration",
                    "apart",
                    json!({"template": template("two")}),
                )),
                Event::Apply(object(
                    "Route",
                    "apart",
                    json!({"traffic": [
                        {"revisionName": "apart-00001", "percent": 90},
                        {"configurationName": "apart", "percent": 10, "tag": "next"},
                    ]}),
                )),
                Event::Delete("Route", "apart".to_owned()),
                Event::Delete("Configuration", "apart".to_owned()),
            ],
        ),
        story(
            "lost",
            vec![
                Event::Apply(object(
                    "Route",
                    "lost",
                    json!({"traffic": [{"configurationName": "lost", "percent": 100}]}),
                )),
                Event::Apply(object(
                    "Configuration",
                    "lost",
                    json!({"template": template("one")}),
                )),
                Event::Delete("Configuration", "lost".to_owned()),
            ],
        ),
        story(
            "tagged",
            vec![
                service("tagged", "one"),
                traffic(
                    "tagged",
                    json!([
                        {"latestRevision": true, "percent": 100},
                        {"revisionName": "tagged-00001", "tag": "first", "percent": 0},
                    ]),
                ),
                service("tagged", "two"),
                traffic(
                    "tagged",
                    json!([{"latestRevision": true, "percent": 100, "tag": "now"}]),
                ),
                gone("tagged"),
            ],
        ),
        story(
            "scaled",
            vec![
                patchable("scaled"),
                patch(
                    "scaled",
                    json!({"spec": {"template": {
                        "metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "2"}},
                        "spec": {"containerConcurrency": 5, "timeoutSeconds": 30},
                    }}}),
                ),
                patch(
                    "scaled",
                    json!({"metadata": {"annotations": {"serving.knative.dev/rollout-duration": "2s"}}}),
                ),
                gone("scaled"),
            ],
        ),
    ];
    all.extend(unusual::stories());
    all
}

/// A service that says how it is scaled.
fn patchable(name: &str) -> Event {
    let mut template = template("one");
    template["metadata"] = json!({"annotations": {"autoscaling.knative.dev/min-scale": "1"}});
    Event::Apply(object("Service", name, json!({"template": template})))
}
