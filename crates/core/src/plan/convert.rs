//! A live service from one form to the other, without a lost request.
//!
//! Knative's Service controller works with a Configuration and a Route of its Service's name only where their owner
//! reference names that Service, and takes over none by itself. So it is the owner references that change, one object at
//! a time: the Route stays as it is throughout, and so does what users meet. A Route that belongs to a Service may only
//! name revisions with the Service's label, and those of a Configuration that stood alone have none: they get it first.
//!
//! Every step follows from what the cluster has, so that whoever was interrupted begins again and goes on.

use serde_json::{Map, Value, json};

use crate::api::delivery::Expand;
use crate::api::object::ObjectKey;
use crate::api::serving::{API_VERSION, GROUP};

/// Names the Service that an object belongs to; Knative refuses it where no owner reference names that Service.
const SERVICE: &str = "serving.knative.dev/service";
/// The Service's identity, on a Configuration.
const SERVICE_UID: &str = "serving.knative.dev/serviceUID";
/// Knative's own annotations and labels.
const KNATIVE_S: &str = "serving.knative.dev/";
/// The one of these that is the user's.
const ROLLOUT_DURATION: &str = "serving.knative.dev/rollout-duration";
/// kubectl's copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What the cluster has of a service.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The Knative Service.
    pub service: Option<Value>,
    /// The Configuration.
    pub configuration: Option<Value>,
    /// The Route.
    pub route: Option<Value>,
    /// The Configuration's revisions.
    pub revisions: Vec<Value>,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// A merge patch, at the version that was read.
    Patch {
        /// Of which object.
        key: ObjectKey,
        /// The patch.
        patch: Value,
    },
    /// A Service is made.
    Create(Value),
    /// The Service is deleted; nothing belongs to it any more.
    Delete {
        /// Which object.
        key: ObjectKey,
        /// Its identity.
        uid: String,
    },
    /// Knative has to do something first.
    Wait(&'static str),
    /// The service has the form.
    Done,
    /// It cannot have it, and nothing was changed.
    Refused(String),
}

/// The next step of a service on its way to a form. Pure.
pub fn next(to: Expand, namespace: &str, name: &str, found: &Found) -> Next {
    let Some((configuration, route)) = found.configuration.as_ref().zip(found.route.as_ref())
    else {
        return match &found.service {
            Some(_) => Next::Wait("Knative has not made its Configuration and Route yet"),
            None => Next::Refused(format!("namespace {namespace} has no service {name}")),
        };
    };
    let key = |kind: &str| ObjectKey::namespaced(GROUP, kind, namespace, name);
    match to {
        Expand::Routes => {
            let Some(service) = &found.service else {
                return Next::Done;
            };
            for (kind, object) in [("Route", route), ("Configuration", configuration)] {
                if is_owned(object, service) {
                    let patch = release(object, service);
                    return Next::Patch {
                        key: key(kind),
                        patch,
                    };
                }
            }
            if service.pointer("/metadata/deletionTimestamp").is_some() {
                return Next::Wait("the Service is being deleted");
            }
            Next::Delete {
                key: key("Service"),
                uid: text(service, "/metadata/uid").to_owned(),
            }
        }
        Expand::Service => to_service(&key, name, configuration, route, found),
    }
}

fn to_service(
    key: &dyn Fn(&str) -> ObjectKey,
    name: &str,
    configuration: &Value,
    route: &Value,
    found: &Found,
) -> Next {
    let owned = |object: &Value| found.service.as_ref().is_some_and(|s| is_owned(object, s));
    if owned(configuration) && owned(route) {
        return match found.service.as_ref().is_some_and(is_ready) {
            true => Next::Done,
            false => Next::Wait("Knative has not said yet that the Service is Ready"),
        };
    }
    let traffic = match traffic(route, name, &found.revisions) {
        Ok(traffic) => traffic,
        Err(why) => return Next::Refused(why),
    };
    let label = ["metadata", "labels", SERVICE];
    if let Some(revision) = found
        .revisions
        .iter()
        .find(|revision| field(revision, &label).and_then(Value::as_str) != Some(name))
    {
        return Next::Patch {
            key: ObjectKey {
                kind: "Revision".to_owned(),
                name: text(revision, "/metadata/name").to_owned(),
                ..key("Revision")
            },
            patch: at_version(revision, json!({"labels": {SERVICE: name}})),
        };
    }
    let made = service(configuration, route, &traffic);
    let Some(service) = &found.service else {
        return Next::Create(made);
    };
    let same = |path: &str| service.pointer(path) == configuration.pointer(path);
    if !same("/spec/template") || pinned(service) != pinned(&made) {
        return Next::Refused(format!(
            "there is a Service {name} already that says something else than the Configuration and the Route that \
             users meet; delete it (kubectl delete ksvc {name}) and try again"
        ));
    }
    for (kind, object) in [("Configuration", configuration), ("Route", route)] {
        if !owned(object) {
            let owner = json!([{
                "apiVersion": API_VERSION, "kind": "Service", "name": name,
                "uid": text(service, "/metadata/uid"), "controller": true, "blockOwnerDeletion": true,
            }]);
            return Next::Patch {
                key: key(kind),
                patch: at_version(object, json!({"ownerReferences": owner})),
            };
        }
    }
    Next::Done
}

/// The Service that stands for a Configuration and a Route as they are.
fn service(configuration: &Value, route: &Value, traffic: &Value) -> Value {
    let mut metadata = Map::from_iter([
        ("name".to_owned(), field_of(configuration, "name")),
        ("namespace".to_owned(), field_of(configuration, "namespace")),
    ]);
    for part in ["labels", "annotations"] {
        let all = [configuration, route].into_iter().filter_map(|object| {
            let map = object.pointer("/metadata")?.get(part)?;
            map.as_object()
        });
        let mut users: Map<String, Value> = all
            .flatten()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        users.retain(|key, _| is_the_user_s(key));
        if !users.is_empty() {
            metadata.insert(part.to_owned(), users.into());
        }
    }
    json!({
        "apiVersion": API_VERSION,
        "kind": "Service",
        "metadata": metadata,
        "spec": {
            "template": configuration.pointer("/spec/template").cloned().unwrap_or_default(),
            "traffic": traffic,
        },
    })
}

/// Whether a label or an annotation is the user's, or ours: not Knative's, nor kubectl's copy of the object.
fn is_the_user_s(name: &str) -> bool {
    name == ROLLOUT_DURATION || !(name.starts_with(KNATIVE_S) || name == LAST_APPLIED)
}

/// The Route's traffic as its Service has it, or why no Service can.
fn traffic(route: &Value, name: &str, revisions: &[Value]) -> Result<Value, String> {
    let entries = route.pointer("/spec/traffic").and_then(Value::as_array);
    let is_known = |revision: &str| {
        let mut names = revisions.iter().map(|r| text(r, "/metadata/name"));
        names.any(|known| known == revision)
    };
    let mut traffic = Vec::new();
    for entry in entries.into_iter().flatten() {
        let named = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
        let (revision, configuration) = (named("revisionName"), named("configurationName"));
        let foreign = match revision {
            "" if configuration != name => Some(("Configuration", configuration)),
            "" => None,
            known if is_known(known) => None,
            other => Some(("Revision", other)),
        };
        if let Some((kind, other)) = foreign {
            return Err(format!(
                "its traffic names the {kind} {other}, which is not of {name}, and a Knative Service may not: take that \
                 entry out first"
            ));
        }
        let mut entry = entry.clone();
        if let Some(fields) = entry.as_object_mut() {
            fields.remove("url");
            fields.remove("configurationName");
            fields.insert("latestRevision".to_owned(), revision.is_empty().into());
        }
        traffic.push(entry);
    }
    Ok(traffic.into())
}

/// What a Service's users meet, whatever else it says of it.
fn pinned(service: &Value) -> Vec<(String, i64, String)> {
    let entries = service.pointer("/spec/traffic").and_then(Value::as_array);
    let of = |entry: &Value| {
        let percent = entry.get("percent").and_then(Value::as_i64);
        (
            text(entry, "/revisionName").to_owned(),
            percent.unwrap_or_default(),
            text(entry, "/tag").to_owned(),
        )
    };
    entries.into_iter().flatten().map(of).collect()
}

/// Takes an object from its Service, and the labels that only a Service's may have with it.
fn release(object: &Value, service: &Value) -> Value {
    let owners = object.pointer("/metadata/ownerReferences");
    let mut others: Vec<Value> = owners
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    others.retain(|owner| text(owner, "/uid") != text(service, "/metadata/uid"));
    let others = match others.is_empty() {
        true => Value::Null,
        false => others.into(),
    };
    at_version(
        object,
        json!({
            "ownerReferences": others,
            "labels": {SERVICE: null, SERVICE_UID: null},
            "managedFields": managers(object),
        }),
    )
}

/// The record of who wrote an object, but for what its Service's controller copied from the Service: nobody owns that any
/// more, so that it is no conflict with what the agent applies. (To take it over would take away, with the first apply,
/// what Knative filled in and Git does not have, and Knative would make a revision.)
fn managers(object: &Value) -> Value {
    let entries = object.pointer("/metadata/managedFields");
    let entries = entries.and_then(Value::as_array);
    let mut kept: Vec<Value> = entries.cloned().unwrap_or_default();
    for entry in &mut kept {
        if text(entry, "/operation") != "Update" || !text(entry, "/subresource").is_empty() {
            continue;
        }
        let Some(fields) = entry
            .pointer_mut("/fieldsV1")
            .and_then(Value::as_object_mut)
        else {
            continue;
        };
        fields.remove("f:spec");
        for part in ["f:labels", "f:annotations"] {
            let metadata = fields.get_mut("f:metadata").and_then(Value::as_object_mut);
            let Some(part) = metadata.and_then(|m| m.get_mut(part)?.as_object_mut()) else {
                continue;
            };
            part.retain(|field, _| {
                let name = field.trim_start_matches("f:");
                !is_the_user_s(name) && !name.starts_with(SERVICE)
            });
        }
    }
    kept.into()
}

fn at_version(object: &Value, mut metadata: Value) -> Value {
    if let Some(fields) = metadata.as_object_mut() {
        fields.insert(
            "resourceVersion".to_owned(),
            field_of(object, "resourceVersion"),
        );
    }
    json!({"metadata": metadata})
}

fn is_owned(object: &Value, service: &Value) -> bool {
    let owners = object.pointer("/metadata/ownerReferences");
    owners.and_then(Value::as_array).is_some_and(|owners| {
        let uid = text(service, "/metadata/uid");
        let mut owners = owners.iter();
        owners.any(|owner| owner["controller"] == true && text(owner, "/uid") == uid)
    })
}

fn is_ready(object: &Value) -> bool {
    let conditions = object
        .pointer("/status/conditions")
        .and_then(Value::as_array);
    let ready = conditions.is_some_and(|all| {
        all.iter()
            .any(|c| c["type"] == "Ready" && c["status"] == "True")
    });
    ready && object.pointer("/status/observedGeneration") == object.pointer("/metadata/generation")
}

fn field<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |at, step| at.get(step))
}

fn field_of(object: &Value, name: &str) -> Value {
    let field = object.pointer("/metadata").and_then(|m| m.get(name));
    field.cloned().unwrap_or_default()
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    let found = object.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn configuration() -> Value {
        json!({"apiVersion": API_VERSION, "kind": "Configuration", "metadata": {"name": "hello", "namespace": "default",
            "uid": "c", "resourceVersion": "1", "labels": {"team": "shop"}, "annotations":
            {"sluice.dev/delivery": "default.shop", "serving.knative.dev/creator": "me", LAST_APPLIED: "{}"}},
            "spec": {"template": {"spec": {"containers": [{"image": "a", "name": "user-container"}]}}}})
    }

    fn route(traffic: Value) -> Value {
        json!({"apiVersion": API_VERSION, "kind": "Route", "metadata": {"name": "hello", "namespace": "default",
            "uid": "r", "resourceVersion": "2", "annotations": {"sluice.dev/rolled-back": "abc", ROLLOUT_DURATION: "9s"}},
            "spec": {"traffic": traffic}})
    }

    fn alone() -> Found {
        Found {
            service: None,
            configuration: Some(configuration()),
            route: Some(route(
                json!([{"revisionName": "hello-00001", "percent": 100, "latestRevision": false}]),
            )),
            revisions: vec![
                json!({"metadata": {"name": "hello-00001", "resourceVersion": "3", "labels": {"a": "b"}}}),
            ],
        }
    }

    /// Carries every step out as an API server and Knative's Service controller would.
    fn play(to: Expand, found: &mut Found) -> String {
        let mut told = String::new();
        for step in 10.. {
            assert!(step < 20, "it never ends:\n{told}");
            let next = next(to, "default", "hello", found);
            match &next {
                Next::Patch { key, patch } => {
                    told.push_str(&format!("patch {} {}: {patch}\n", key.kind, key.name));
                    let object = match key.kind.as_str() {
                        "Route" => found.route.as_mut(),
                        "Configuration" => found.configuration.as_mut(),
                        _ => found
                            .revisions
                            .iter_mut()
                            .find(|r| r["metadata"]["name"] == *key.name),
                    };
                    let object = object.unwrap();
                    assert_eq!(
                        object["metadata"]["resourceVersion"],
                        patch["metadata"]["resourceVersion"]
                    );
                    merge(object, patch);
                    object["metadata"]["resourceVersion"] = step.to_string().into();
                }
                Next::Create(service) => {
                    told.push_str(&format!("create {service}\n"));
                    let mut service = service.clone();
                    service["metadata"]["uid"] = "s".into();
                    service["metadata"]["generation"] = 1.into();
                    found.service = Some(service);
                }
                Next::Delete { key, uid } => {
                    told.push_str(&format!("delete {} {} of uid {uid}\n", key.kind, key.name));
                    found.service = None;
                }
                Next::Wait(why) => {
                    told.push_str(&format!("wait: {why}\n"));
                    let service = found.service.as_mut().unwrap();
                    service["status"] = json!({"observedGeneration": 1,
                        "conditions": [{"type": "Ready", "status": "True"}]});
                }
                Next::Done => return told + "done\n",
                Next::Refused(why) => return told + &format!("refused: {why}\n"),
            }
        }
        unreachable!()
    }

    fn merge(into: &mut Value, patch: &Value) {
        for (key, value) in patch.as_object().unwrap() {
            match value {
                Value::Null => {
                    into.as_object_mut().unwrap().remove(key);
                }
                Value::Object(_) => merge(
                    into.as_object_mut()
                        .unwrap()
                        .entry(key)
                        .or_insert_with(|| json!({})),
                    value,
                ),
                other => into[key] = other.clone(),
            }
        }
    }

    fn check(to: Expand, found: &mut Found, expect: Expect) {
        expect.assert_eq(&play(to, found));
    }

    #[test]
    fn a_configuration_and_a_route_become_a_service_s_and_back_and_keep_what_users_meet() {
        let mut found = alone();
        let before = found.route.as_ref().unwrap()["spec"].clone();
        check(
            Expand::Service,
            &mut found,
            expect![[r#"
            patch Revision hello-00001: {"metadata":{"labels":{"serving.knative.dev/service":"hello"},"resourceVersion":"3"}}
            create {"apiVersion":"serving.knative.dev/v1","kind":"Service","metadata":{"annotations":{"serving.knative.dev/rollout-duration":"9s","sluice.dev/delivery":"default.shop","sluice.dev/rolled-back":"abc"},"labels":{"team":"shop"},"name":"hello","namespace":"default"},"spec":{"template":{"spec":{"containers":[{"image":"a","name":"user-container"}]}},"traffic":[{"latestRevision":false,"percent":100,"revisionName":"hello-00001"}]}}
            patch Configuration hello: {"metadata":{"ownerReferences":[{"apiVersion":"serving.knative.dev/v1","blockOwnerDeletion":true,"controller":true,"kind":"Service","name":"hello","uid":"s"}],"resourceVersion":"1"}}
            patch Route hello: {"metadata":{"ownerReferences":[{"apiVersion":"serving.knative.dev/v1","blockOwnerDeletion":true,"controller":true,"kind":"Service","name":"hello","uid":"s"}],"resourceVersion":"2"}}
            wait: Knative has not said yet that the Service is Ready
            done
        "#]],
        );
        assert_eq!(found.route.as_ref().unwrap()["spec"], before);
        check(
            Expand::Routes,
            &mut found,
            expect![[r#"
                patch Route hello: {"metadata":{"labels":{"serving.knative.dev/service":null,"serving.knative.dev/serviceUID":null},"managedFields":[],"ownerReferences":null,"resourceVersion":"13"}}
                patch Configuration hello: {"metadata":{"labels":{"serving.knative.dev/service":null,"serving.knative.dev/serviceUID":null},"managedFields":[],"ownerReferences":null,"resourceVersion":"12"}}
                delete Service hello of uid s
                done
            "#]],
        );
        assert_eq!(found.route.as_ref().unwrap()["spec"], before);
        assert!(
            found.configuration.unwrap()["metadata"]
                .get("ownerReferences")
                .is_none()
        );
    }

    #[test]
    fn who_was_interrupted_goes_on() {
        for stop in 0..5 {
            let mut found = alone();
            // The first steps, and then one that begins anew, with a memory of nothing.
            let mut all = alone();
            play(Expand::Service, &mut all);
            if stop > 0 {
                found.revisions = all.revisions.clone();
            }
            if stop > 1 {
                found.service = all.service.clone();
            }
            if stop > 2 {
                found.configuration = all.configuration.clone();
            }
            if stop > 3 {
                found.route = all.route.clone();
            }
            assert!(
                play(Expand::Service, &mut found).ends_with("done\n"),
                "{stop}"
            );
            // One who changes their mind in the middle is served as well.
            let mut back = found.clone();
            assert!(
                play(Expand::Routes, &mut back).ends_with("done\n"),
                "{stop}"
            );
        }
    }

    #[test]
    fn what_no_service_can_have_is_refused_before_anything_changes() {
        let mut found = alone();
        found.route = Some(route(json!([
            {"revisionName": "hello-00001", "percent": 90},
            {"configurationName": "other", "percent": 10},
        ])));
        check(
            Expand::Service,
            &mut found,
            expect![[r#"
            refused: its traffic names the Configuration other, which is not of hello, and a Knative Service may not: take that entry out first
        "#]],
        );
        found.route = Some(route(
            json!([{"revisionName": "other-00001", "percent": 100}]),
        ));
        check(
            Expand::Service,
            &mut found,
            expect![[r#"
            refused: its traffic names the Revision other-00001, which is not of hello, and a Knative Service may not: take that entry out first
        "#]],
        );
        let mut found = alone();
        found.revisions[0]["metadata"]["labels"][SERVICE] = "hello".into();
        found.service = Some(json!({"metadata": {"uid": "s"}, "spec": {"template": {}}}));
        check(
            Expand::Service,
            &mut found,
            expect![[r#"
            refused: there is a Service hello already that says something else than the Configuration and the Route that users meet; delete it (kubectl delete ksvc hello) and try again
        "#]],
        );
        check(
            Expand::Service,
            &mut Found::default(),
            expect![[r#"
            refused: namespace default has no service hello
        "#]],
        );
    }
}
