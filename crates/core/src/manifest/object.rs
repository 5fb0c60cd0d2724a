//! One document to one object: its identity, what is wrong with it, and what is left out
//! because it is not the manifest writer's to say.

use std::sync::Arc;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::error::{ManifestError, Notice, Origin};
use super::node::{At, Node};
use super::private::Privacy;
use super::words::say;
use super::yaml::{Wrong, quote_it};
use super::{Options, known, names, schema};
use crate::api::json_text::JsonText;
use crate::api::object::{ObjectKey, split_api_version};
use crate::api::scope::{self, Scope};

/// An object as Git wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Which object.
    pub key: ObjectKey,
    /// Such as `serving.knative.dev/v1`.
    pub api_version: String,
    /// Whether its kind lives in a namespace.
    pub scope: Scope,
    /// The object, without what the server owns; its namespace is filled in where it has one.
    pub value: JsonText,
    /// Where it begins.
    pub origin: Origin,
    /// SHA-256 of `value`, in hexadecimal: equal digests are equal objects.
    pub digest: String,
    pub(super) content: Arc<[u8]>,
    /// Which object of the file it is, list items counted one by one.
    pub(super) index: usize,
}

impl Manifest {
    /// Tells what only discovery knows: whether the kind lives in a namespace.
    pub fn resolve_scope(&mut self, namespaced: bool, default_namespace: &str) {
        if self.scope != Scope::Unknown {
            return;
        }
        let mut value = self.value.value();
        if namespaced {
            self.scope = Scope::Namespaced;
            let namespace = self
                .key
                .namespace
                .get_or_insert_with(|| default_namespace.to_owned());
            set_namespace(&mut value, namespace);
        } else {
            self.scope = Scope::Cluster;
            self.key.namespace = None;
            if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("namespace");
            }
        }
        self.digest = digest(&value);
        self.value = JsonText::of(&value);
    }

    /// The line of a field, such as `["spec", "template", "spec", "containers", "0"]`;
    /// of the nearest field above it where it is not in the file.
    ///
    /// The file is parsed again: this is for messages, not for loops.
    pub fn line_of(&self, path: &[&str]) -> Option<u32> {
        let parsed = super::loader::objects_in(&self.origin.file, &self.content);
        let node = parsed.get(self.index)?;
        (0..=path.len())
            .rev()
            .find_map(|length| node.find(path.get(..length)?))
            .map(|(at, _)| at.line)
    }
}

/// What came of one document.
pub(super) enum ReadObject {
    Object(Box<Manifest>),
    Wrong(Vec<ManifestError>),
    /// Not meant for a cluster.
    Skipped,
}

/// A file's object on its way to a manifest.
pub(super) struct Candidate<'a> {
    pub file: &'a Arc<str>,
    pub content: &'a Arc<[u8]>,
    pub index: usize,
    pub node: &'a Node,
    pub privacy: &'a Privacy,
}

impl Candidate<'_> {
    fn error(&self, wrong: Wrong, identity: Option<&ObjectKey>) -> ManifestError {
        let told = self.privacy.tell(&wrong);
        ManifestError {
            origin: self.origin(wrong.at),
            column: wrong.at.column,
            identity: identity.cloned(),
            poisons_prune: identity.is_none(),
            field: told.field,
            message: told.message,
            hint: told.hint,
            content: Arc::clone(self.content),
        }
    }

    fn origin(&self, at: At) -> Origin {
        Origin {
            file: Arc::clone(self.file),
            line: at.line,
        }
    }

    /// Checks the document and makes the object. `found` are things already known to be
    /// wrong with it (duplicate keys).
    pub fn judge(
        &self,
        found: Vec<Wrong>,
        options: &Options,
        notices: &mut Vec<Notice>,
    ) -> ReadObject {
        let node = self.node;
        let notice = |at: At, identity: Option<&ObjectKey>, message: String| Notice {
            origin: self.origin(at),
            identity: identity.cloned(),
            message,
        };
        if !node.is_map() {
            let wrong = Wrong::new(
                node.at,
                say("this is ").ours(node.noun()).ours(", not an object"),
            )
            .hint("a manifest begins with apiVersion and kind; list other files in .sluiceignore");
            return ReadObject::Wrong(vec![self.error(wrong, None)]);
        }
        if is_no_object(node) {
            notices.push(notice(
                node.at,
                None,
                "skipped: no Kubernetes object (it has neither apiVersion nor kind)".into(),
            ));
            return ReadObject::Skipped;
        }
        let identity = match identity(node, options) {
            Ok(identity) => identity,
            Err(wrong) => {
                let all = wrong.into_iter().chain(found);
                return ReadObject::Wrong(all.map(|wrong| self.error(wrong, None)).collect());
            }
        };
        let (key, scope, api_version) = identity;
        let mut wrong = found;
        wrong.extend(about_identity(node, &key, scope, options));
        if node
            .get("sops")
            .is_some_and(|sops| sops.get("mac").is_some())
        {
            wrong.push(
                Wrong::new(
                    node.at,
                    "this file is encrypted by SOPS, which Sluice does not decrypt",
                )
                .hint("deliver the Secret by other means, and list the file in .sluiceignore"),
            );
        } else {
            wrong.extend(known::check(&api_version, &key.kind, node));
        }
        if !wrong.is_empty() {
            wrong.sort_by_key(|wrong| wrong.at);
            // Without its scope the key may not be the one that was delivered.
            let unsure = scope == Scope::Unknown && key.namespace.is_none();
            let errors = wrong.into_iter().map(|wrong| ManifestError {
                poisons_prune: unsure,
                ..self.error(wrong, Some(&key))
            });
            return ReadObject::Wrong(errors.collect());
        }
        let mut value = node.to_json();
        for field in leave_out(&mut value) {
            let path: Vec<&str> = field.split('.').collect();
            let at = node.find(&path).map_or(node.at, |(at, _)| at);
            notices.push(notice(
                at,
                Some(&key),
                format!("{field} is left out: the cluster writes it; remove it from the file"),
            ));
        }
        if let (Scope::Namespaced, Some(namespace)) = (scope, &key.namespace) {
            set_namespace(&mut value, namespace);
        }
        ReadObject::Object(Box::new(Manifest {
            digest: digest(&value),
            key,
            api_version,
            scope,
            value: JsonText::of(&value),
            origin: self.origin(node.at),
            content: Arc::clone(self.content),
            index: self.index,
        }))
    }
}

/// Whether a map was never meant to be an object: package.json, values.yaml, ...
/// Anything that looks like a slip of the pen is an object with an error.
fn is_no_object(node: &Node) -> bool {
    const FIELDS: [&str; 4] = ["apiVersion", "kind", "metadata", "spec"];
    !node
        .entries()
        .iter()
        .any(|entry| schema::nearest(&entry.key, FIELDS.into_iter()).is_some())
}

/// Group, kind, namespace and name; or everything that is missing.
fn identity(node: &Node, options: &Options) -> Result<(ObjectKey, Scope, String), Vec<Wrong>> {
    let mut wrong = Vec::new();
    let mut text = |parent: &Node, field: &str, name: &str, hint: &'static str| {
        let path = schema::join(field, name);
        match parent.get(name) {
            Some(value) => match value.as_str() {
                Some(text) if !text.is_empty() => return text.to_owned(),
                _ if value.is_null() || value.as_str().is_some() => {
                    wrong.push(Wrong::new(value.at, "it is empty").field(path).hint(hint))
                }
                _ => {
                    let quoted = value.written.as_deref();
                    let hint = quoted.map_or(say(hint), quote_it);
                    wrong.push(
                        Wrong::new(
                            value.at,
                            say("it must be a string, but it is ").ours(value.noun()),
                        )
                        .field(path)
                        .hint(hint),
                    );
                }
            },
            None => {
                let near = schema::nearest(name, parent.entries().iter().map(|e| e.key.as_str()));
                let (at, hint) = match near.and_then(|near| parent.entry(near)) {
                    Some(entry) => (
                        entry.at,
                        say("write \"")
                            .ours(name)
                            .ours("\" instead of \"")
                            .ours(&entry.key)
                            .ours("\""),
                    ),
                    None => (parent.at, say(hint)),
                };
                wrong.push(Wrong::new(at, say("").ours(path).ours(" is missing")).hint(hint));
            }
        }
        String::new()
    };
    let api_version = text(
        node,
        "",
        "apiVersion",
        "such as apiVersion: serving.knative.dev/v1",
    );
    let kind = text(node, "", "kind", "such as kind: Service");
    let nothing = Node::new(node.at, super::node::Kind::Map(Vec::new()));
    let metadata = node.get("metadata").unwrap_or(&nothing);
    let name = match metadata.entry("generateName") {
        Some(entry) if metadata.get("name").is_none() => {
            wrong.push(
                Wrong::new(entry.at, "an object from Git needs a name of its own")
                    .field("metadata.generateName")
                    .hint(
                        "set metadata.name instead: each delivery must find the same object again",
                    ),
            );
            String::new()
        }
        _ => text(metadata, "metadata", "name", "set metadata.name"),
    };
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let (group, _) = split_api_version(&api_version);
    let mut key = ObjectKey {
        group: group.to_owned(),
        kind,
        namespace: metadata
            .get("namespace")
            .and_then(Node::as_str)
            .filter(|namespace| !namespace.is_empty())
            .map(str::to_owned),
        name,
    };
    let scope = match scope::of(&key.group, &key.kind) {
        Scope::Unknown => options.scope_of(&key),
        known => known,
    };
    match scope {
        Scope::Namespaced if key.namespace.is_none() => {
            key.namespace = Some(options.namespace.clone());
        }
        Scope::Cluster => key.namespace = None,
        _ => {}
    }
    Ok((key, scope, api_version))
}

/// Names and namespaces that are refused.
fn about_identity(node: &Node, key: &ObjectKey, scope: Scope, options: &Options) -> Vec<Wrong> {
    let mut wrong = Vec::new();
    let at = |path: &[&str]| node.find(path).map_or(node.at, |(_, node)| node.at);
    if let Err(why) = names::check(key) {
        wrong.push(
            Wrong::new(
                at(&["metadata", "name"]),
                say("\"")
                    .ours(&key.name)
                    .ours("\" is no name for a ")
                    .ours(&key.kind),
            )
            .field("metadata.name")
            .hint(say("").ours(why)),
        );
    }
    let written = node
        .get("metadata")
        .and_then(|metadata| metadata.get("namespace"));
    if let (Scope::Cluster, Some(written)) = (scope, written)
        && !written.is_null()
    {
        wrong.push(
            Wrong::new(
                written.at,
                say("a ").ours(&key.kind).ours(" lives in no namespace"),
            )
            .field("metadata.namespace")
            .hint("remove it"),
        );
    }
    if scope == Scope::Cluster && !options.cluster_scoped {
        wrong.push(
            Wrong::new(
                node.at,
                say("a ")
                    .ours(&key.kind)
                    .ours(" belongs to the whole cluster"),
            )
            .hint(
                "this Delivery may write into its namespaces only; deliver it by one for the cluster",
            ),
        );
    }
    if let Some(namespace) = &key.namespace {
        if let Err(why) = names::label(namespace) {
            wrong.push(
                Wrong::new(
                    at(&["metadata", "namespace"]),
                    say("\"")
                        .ours(namespace)
                        .ours("\" is no name for a namespace"),
                )
                .field("metadata.namespace")
                .hint(say("").ours(why)),
            );
        } else if let Some(allowed) = &options.allowed_namespaces
            && !allowed.contains(namespace)
        {
            let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
            wrong.push(
                Wrong::new(
                    at(&["metadata", "namespace"]),
                    say("this Delivery may not write into the namespace \"")
                        .ours(namespace)
                        .ours("\""),
                )
                .field("metadata.namespace")
                .hint(say("remove it, or use: ").ours(allowed.join(", "))),
            );
        }
    }
    wrong
}

/// Takes out what the server owns. Returns what carried a value: the empty ones that
/// `kubectl create --dry-run -o yaml` writes are nobody's mistake.
fn leave_out(value: &mut Value) -> Vec<&'static str> {
    let mut said = Vec::new();
    let mut take = |map: &mut Map<String, Value>, name: &str, path: &'static str| {
        let empty = match map.remove(name) {
            None | Some(Value::Null) => true,
            Some(Value::Object(map)) => map.is_empty(),
            Some(_) => false,
        };
        if !empty {
            said.push(path);
        }
    };
    let Some(object) = value.as_object_mut() else {
        return said;
    };
    take(object, "status", "status");
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
        return said;
    };
    for (name, path) in [
        ("resourceVersion", "metadata.resourceVersion"),
        ("uid", "metadata.uid"),
        ("creationTimestamp", "metadata.creationTimestamp"),
        ("deletionTimestamp", "metadata.deletionTimestamp"),
        (
            "deletionGracePeriodSeconds",
            "metadata.deletionGracePeriodSeconds",
        ),
        ("generation", "metadata.generation"),
        ("managedFields", "metadata.managedFields"),
        ("selfLink", "metadata.selfLink"),
    ] {
        take(metadata, name, path);
    }
    let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    else {
        return said;
    };
    let before = annotations.len();
    // Knative writes the first two and refuses whoever else does; kubectl writes the third.
    for name in [
        "serving.knative.dev/creator",
        "serving.knative.dev/lastModifier",
        "kubectl.kubernetes.io/last-applied-configuration",
    ] {
        annotations.remove(name);
    }
    if annotations.len() < before {
        said.push("metadata.annotations");
    }
    if annotations.is_empty() {
        metadata.remove("annotations");
    }
    said
}

fn set_namespace(value: &mut Value, namespace: &str) {
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".into(), Value::String(namespace.to_owned()));
    }
}

fn digest(value: &Value) -> String {
    let digest = Sha256::digest(value.to_string().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
