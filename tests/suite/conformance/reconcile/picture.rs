//! What of a story's objects is compared, and when it has settled.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::events::Event;

/// A kind of Knative's.
pub struct Kind {
    /// Its name.
    pub kind: &'static str,
    /// Its name in paths.
    pub plural: &'static str,
}

/// All kinds that are looked at.
pub const KINDS: [&Kind; 4] = [
    &Kind {
        kind: "Service",
        plural: "services",
    },
    &Kind {
        kind: "Configuration",
        plural: "configurations",
    },
    &Kind {
        kind: "Revision",
        plural: "revisions",
    },
    &Kind {
        kind: "Route",
        plural: "routes",
    },
];

fn text<'v>(object: &'v Value, at: &str) -> &'v str {
    object
        .pointer(at)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn ready(object: &Value) -> &str {
    condition(object, "Ready")
}

fn condition<'v>(object: &'v Value, name: &str) -> &'v str {
    let conditions = object.pointer("/status/conditions");
    let all = conditions.and_then(Value::as_array);
    let found = all
        .into_iter()
        .flatten()
        .find(|condition| condition["type"] == name);
    found.map_or("", |condition| text(condition, "/status"))
}

/// The Routes that are noted on an object.
fn routes(object: &Value) -> impl Iterator<Item = &str> {
    let noted = text(object, "/metadata/annotations/serving.knative.dev~1routes");
    noted.split(',').filter(|name| !name.is_empty())
}

/// What the owner said in the metadata, which goes on to what is made of the object.
fn said(object: &Value) -> Vec<(String, Value)> {
    let maps = ["labels", "annotations"].iter();
    let all = maps.filter_map(|map| object["metadata"][map].as_object());
    all.flatten()
        .filter(|(key, _)| {
            !key.starts_with("serving.knative.dev/") || key.ends_with("rollout-duration")
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// Whether nothing more comes of an event by itself.
pub fn is_settled(objects: &[Value], event: &Event) -> bool {
    let named = |kind: &str, name: &str| {
        let mut all = objects.iter();
        all.find(|object| object["kind"] == kind && text(object, "/metadata/name") == name)
    };
    let stays = |object: &Value| object["metadata"]["finalizers"] == json!(["orphan"]);
    if let Event::Leave(kind, name) = event
        && !named(kind, name).is_none_or(stays)
    {
        return false;
    }
    if let Event::Delete(kind, name) = event {
        // What it owned goes too, and what that owned.
        let orphaned = objects.iter().any(|object| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            let mut owners = owners.into_iter().flatten();
            owners.any(|owner| named(text(owner, "/kind"), text(owner, "/name")).is_none())
        });
        if orphaned || named(kind, name).is_some() {
            return false;
        }
    }
    objects
        .iter()
        .filter(|object| !stays(object))
        .all(|object| {
            let confirmed =
                object["status"]["observedGeneration"] == object["metadata"]["generation"];
            let name = text(object, "/metadata/name");
            let like = |child: &str, field: &str| {
                named(child, name)
                    .is_some_and(|child| child["status"][field] == object["status"][field])
            };
            let is_ready = ready(object) == "True";
            confirmed
                && routes(object).all(|route| named("Route", route).is_some())
                && matches!(ready(object), "True" | "False")
                && match object["kind"].as_str() {
                    Some("Service") => {
                        let route = named("Route", name);
                        like("Configuration", "latestReadyRevisionName")
                            && like("Configuration", "latestCreatedRevisionName")
                            && like("Route", "traffic")
                            && like("Route", "url")
                            && route.is_some_and(|route| ready(route) == ready(object) || !is_ready)
                            && ["Configuration", "Route"].iter().all(|child| {
                                named(child, name).is_some_and(|child| said(child) == said(object))
                            })
                    }
                    Some("Route") => {
                        let label = "/metadata/labels/networking.knative.dev~1visibility";
                        let is_local = text(object, "/status/url").ends_with(".svc.cluster.local");
                        // Whoever notes Routes on what they name holds each of them.
                        is_local == (text(object, label) == "cluster-local")
                            && object["metadata"]["finalizers"].is_array()
                    }
                    Some("Configuration") => {
                        let routed = objects.iter().any(|object| {
                            let targets = object["spec"]["traffic"].as_array();
                            let mut targets = targets.into_iter().flatten();
                            object["kind"] == "Route"
                                && targets.any(|target| target["configurationName"] == name)
                        });
                        (routed || routes(object).next().is_none()) && !is_ready
                            || object["status"]["latestReadyRevisionName"]
                                == object["status"]["latestCreatedRevisionName"]
                    }
                    Some("Revision") => {
                        let labels = &object["metadata"]["labels"];
                        let state = text(labels, "/serving.knative.dev~1routingState");
                        let routed = objects
                            .iter()
                            .filter(|object| object["kind"] == "Route")
                            .any(|route| {
                                let targets = route["status"]["traffic"].as_array();
                                targets
                                    .into_iter()
                                    .flatten()
                                    .any(|target| target["revisionName"] == name)
                            });
                        (state == "active") == routed && condition(object, "Active") != "Unknown"
                    }
                    _ => true,
                }
        })
}

static UID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap()
});
static TIME: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z").unwrap());

/// The objects as text, without what is another one's everywhere.
pub fn picture(objects: &[Value], namespace: &str, domain: &str, user: &str) -> String {
    let mut told = String::new();
    let port = Regex::new(&format!(r"{}(:\d+)?", regex::escape(domain))).unwrap();
    for object in objects {
        let mut object = object.clone();
        let metadata = object["metadata"].as_object_mut().unwrap();
        for field in [
            "managedFields",
            "resourceVersion",
            "uid",
            "creationTimestamp",
        ] {
            metadata.remove(field);
        }
        if let Some(status) = object["status"].as_object_mut() {
            // Images have no digests here, and replicas come and go by themselves.
            for field in ["containerStatuses", "actualReplicas", "desiredReplicas"] {
                status.remove(field);
            }
            if let Some(conditions) = status.get_mut("conditions").and_then(Value::as_array_mut) {
                conditions.sort_by_key(|condition| text(condition, "/type").to_owned());
                for condition in conditions {
                    condition["lastTransitionTime"] = json!("TIME");
                }
            }
        }
        let text = serde_json::to_string_pretty(&object).unwrap();
        let text = UID.replace_all(&text, "UID");
        let text = TIME.replace_all(&text, "TIME");
        let text = port.replace_all(&text, "DOMAIN");
        let text = text
            .replace(&format!("\"{user}\""), "\"USER\"")
            .replace(&format!(".{namespace}."), ".NS.")
            .replace(&format!("\"{namespace}\""), "\"NS\"")
            .replace(&format!("{namespace}/"), "NS/");
        told.push_str(&text);
        told.push('\n');
    }
    told
}
