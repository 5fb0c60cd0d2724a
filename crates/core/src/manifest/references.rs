//! What names a Knative Service that is not there: one that is delivered as a Configuration and a Route.
//!
//! The object that names it is refused, not the Service: the Service works, and a Trigger beside it that could never find
//! it must not keep a release of it from being rolled back. What the cluster has of the refused object stays.

use std::collections::BTreeSet;

use serde_json::Value;

use super::error::ManifestError;
use super::loader::Loaded;
use super::object::Manifest;
use crate::api::annotations;
use crate::api::delivery::Expand;
use crate::api::object::{ObjectKey, split_api_version};
use crate::api::serving;

/// How deep an object is looked into; the API server takes no deeper one.
const DEEPEST: usize = 64;

/// A place in an object that names a Knative Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The field, such as `["spec", "subscriber", "ref", "name"]`.
    pub path: Vec<String>,
    /// The Service.
    pub service: ObjectKey,
}

/// Every place in an object of `namespace` that names a Knative Service: by `apiVersion`, `kind` and `name`, as
/// Triggers, sources, Sequences, Subscriptions and DomainMappings do.
pub fn references(object: &Value, namespace: &str) -> Vec<Reference> {
    let mut found = Vec::new();
    for (field, value) in object.as_object().into_iter().flatten() {
        // Owners are identities, not addresses; a Secret's data is nobody's to read.
        if !matches!(
            field.as_str(),
            "metadata" | "status" | "data" | "stringData"
        ) {
            search(value, namespace, &mut vec![field.clone()], &mut found);
        }
    }
    found
}

fn search(value: &Value, namespace: &str, path: &mut Vec<String>, found: &mut Vec<Reference>) {
    if path.len() > DEEPEST {
        return;
    }
    match value {
        Value::Object(fields) => {
            if let Some(service) = named(value, namespace) {
                let path = path.iter().cloned().chain(["name".to_owned()]).collect();
                found.push(Reference { path, service });
            }
            for (field, value) in fields {
                path.push(field.clone());
                search(value, namespace, path, found);
                path.pop();
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                path.push(index.to_string());
                search(item, namespace, path, found);
                path.pop();
            }
        }
        _ => {}
    }
}

fn named(value: &Value, namespace: &str) -> Option<ObjectKey> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let (group, _) = split_api_version(text("apiVersion")?);
    if group != serving::GROUP || text("kind")? != "Service" {
        return None;
    }
    let namespace = text("namespace").unwrap_or(namespace);
    Some(ObjectKey::namespaced(
        group,
        "Service",
        namespace,
        text("name")?,
    ))
}

/// What is wrong with an object that names a Service which is delivered as a Configuration and a Route.
pub fn dangling(manifest: &Manifest, reference: &Reference) -> ManifestError {
    let path: Vec<&str> = reference.path.iter().map(String::as_str).collect();
    let at = manifest.place_of(&path);
    let name = &reference.service.name;
    let mut origin = manifest.origin.clone();
    origin.line = at.map_or(origin.line, |at| at.line);
    ManifestError {
        column: at.map_or(1, |at| at.column),
        identity: Some(manifest.key.clone()),
        poisons_prune: false,
        field: words(&reference.path),
        hint: Some(format!(
            "write kind: Route, which has the same address, or deliver {name} with expand: Service (docs/rollout.md)"
        )),
        content: manifest.content.clone(),
        origin,
        ..ManifestError::unreadable(
            "",
            &format!(
                "{name} is delivered as a Configuration and a Route (expand: Routes), so that the cluster has no \
                 Knative Service {name}"
            ),
        )
    }
}

/// A path as people write it: `spec.steps[0].ref.name`.
pub fn words<S: AsRef<str>>(path: &[S]) -> String {
    let mut text = String::new();
    for step in path.iter().map(AsRef::as_ref) {
        if step.bytes().all(|byte| byte.is_ascii_digit()) {
            text.push_str(&format!("[{step}]"));
        } else {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(step);
        }
    }
    text
}

impl Loaded {
    /// Takes out what names a Service of this snapshot that is delivered as a Configuration and a Route, as far as Git
    /// alone tells: by the Service's annotation, or else by `expand`, its Delivery's word. Objects that name no namespace
    /// are taken for ones of `namespace`.
    pub fn refuse_dangling(&mut self, expand: Expand, namespace: &str) {
        let as_routes: BTreeSet<ObjectKey> = self
            .objects
            .iter()
            .filter(|m| m.key.group == serving::GROUP && m.key.kind == "Service")
            .filter(|m| {
                let value = m.value.value();
                let own = value.pointer("/metadata/annotations");
                match own.and_then(|all| all.get(annotations::EXPAND)?.as_str()) {
                    Some(says) => says == "Routes",
                    None => expand == Expand::Routes,
                }
            })
            .map(|m| m.key.clone())
            .collect();
        if as_routes.is_empty() {
            return;
        }
        let mut errors = Vec::new();
        self.objects.retain(|manifest| {
            let before = errors.len();
            // Most objects name none: look before parsing.
            if manifest.value.as_str().contains(serving::GROUP) {
                let namespace = manifest.key.namespace.as_deref().unwrap_or(namespace);
                let mut all = references(&manifest.value.value(), namespace);
                all.retain(|reference| as_routes.contains(&reference.service));
                errors.extend(all.iter().map(|reference| dangling(manifest, reference)));
            }
            errors.len() == before
        });
        self.errors.extend(errors);
        self.errors
            .sort_by(|a, b| (&a.origin, a.column).cmp(&(&b.origin, b.column)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{File, Options, load};
    use super::*;
    use expect_test::{Expect, expect};

    fn check(expand: Expand, files: &[(&str, &str)], expect: Expect) {
        let files: Vec<File> = files
            .iter()
            .enumerate()
            .map(|(n, (path, text))| File {
                path: (*path).into(),
                content: text.as_bytes().to_vec().into(),
                id: [n as u8 + 1; 20],
            })
            .collect();
        let mut loaded = load(&files, &Options::default());
        loaded.refuse_dangling(expand, "default");
        let kept = loaded.objects.iter().map(|m| format!("{}\n", m.key));
        let errors = loaded
            .errors
            .iter()
            .map(|error| format!("error: {error}\n"));
        expect.assert_eq(&kept.chain(errors).collect::<String>());
    }

    fn hello(annotations: &str) -> String {
        format!(
            "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata:\n  name: hello\n  annotations: {{{annotations}}}\nspec:\n  template:\n    spec:\n      containers: [{{image: a}}]\n"
        )
    }

    const TRIGGER: &str = "apiVersion: eventing.knative.dev/v1\nkind: Trigger\nmetadata:\n  name: orders\nspec:\n  broker: default\n  subscriber:\n    ref:\n      apiVersion: serving.knative.dev/v1\n      kind: Service\n      name: hello\n";

    #[test]
    fn what_names_a_service_that_is_not_there_is_refused_at_its_line() {
        check(
            Expand::Routes,
            &[
                ("hello.yaml", &hello("")),
                ("trigger.yaml", TRIGGER),
                (
                    "sequence.yaml",
                    "apiVersion: flows.knative.dev/v1\nkind: Sequence\nmetadata: {name: steps}\nspec:\n  steps:\n  - uri: http://elsewhere\n  - ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: hello}\n  reply:\n    ref: {kind: Service, apiVersion: serving.knative.dev/v1, name: hello}\n",
                ),
                (
                    "domain.yaml",
                    "apiVersion: serving.knative.dev/v1beta1\nkind: DomainMapping\nmetadata: {name: hello.example.com}\nspec:\n  ref: {kind: Service, name: hello, apiVersion: serving.knative.dev/v1}\n",
                ),
            ],
            expect![[r#"
                Service.serving.knative.dev default/hello
                error: domain.yaml:5:24: DomainMapping default/hello.example.com: spec.ref.name: hello is delivered as a Configuration and a Route (expand: Routes), so that the cluster has no Knative Service hello; write kind: Route, which has the same address, or deliver hello with expand: Service (docs/rollout.md)
                error: sequence.yaml:7:62: Sequence steps: spec.steps[1].ref.name: hello is delivered as a Configuration and a Route (expand: Routes), so that the cluster has no Knative Service hello; write kind: Route, which has the same address, or deliver hello with expand: Service (docs/rollout.md)
                error: sequence.yaml:9:62: Sequence steps: spec.reply.ref.name: hello is delivered as a Configuration and a Route (expand: Routes), so that the cluster has no Knative Service hello; write kind: Route, which has the same address, or deliver hello with expand: Service (docs/rollout.md)
                error: trigger.yaml:11:7: Trigger orders: spec.subscriber.ref.name: hello is delivered as a Configuration and a Route (expand: Routes), so that the cluster has no Knative Service hello; write kind: Route, which has the same address, or deliver hello with expand: Service (docs/rollout.md)
            "#]],
        );
    }

    #[test]
    fn what_names_a_service_that_is_there_or_another_s_is_delivered() {
        let as_service = hello("sluice.dev/expand: Service");
        check(
            Expand::Routes,
            &[("hello.yaml", &as_service), ("trigger.yaml", TRIGGER)],
            expect![[r#"
                Service.serving.knative.dev default/hello
                Trigger.eventing.knative.dev orders
            "#]],
        );
        let elsewhere = [
            ("name: hello\n", "name: not-of-this-folder\n"),
            ("name: hello\n", "name: hello\n      namespace: elsewhere\n"),
            ("kind: Service", "kind: Route"),
            ("serving.knative.dev/v1", "v1"),
        ];
        for (from, to) in elsewhere {
            check(
                Expand::Routes,
                &[
                    ("hello.yaml", &hello("")),
                    ("trigger.yaml", &TRIGGER.replace(from, to)),
                ],
                expect![[r#"
                    Service.serving.knative.dev default/hello
                    Trigger.eventing.knative.dev orders
                "#]],
            );
        }
        check(
            Expand::Service,
            &[("hello.yaml", &hello("")), ("trigger.yaml", TRIGGER)],
            expect![[r#"
                Service.serving.knative.dev default/hello
                Trigger.eventing.knative.dev orders
            "#]],
        );
    }

    #[test]
    fn a_service_s_own_word_goes_before_its_delivery_s() {
        check(
            Expand::Service,
            &[
                ("hello.yaml", &hello("sluice.dev/expand: Routes")),
                ("trigger.yaml", TRIGGER),
            ],
            expect![[r#"
                Service.serving.knative.dev default/hello
                error: trigger.yaml:11:7: Trigger orders: spec.subscriber.ref.name: hello is delivered as a Configuration and a Route (expand: Routes), so that the cluster has no Knative Service hello; write kind: Route, which has the same address, or deliver hello with expand: Service (docs/rollout.md)
            "#]],
        );
    }
}
