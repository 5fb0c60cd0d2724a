//! Which object a document is: group, kind, namespace and name, and which of them are refused.

use super::node::{At, Kind, Node};
use super::words::say;
use super::yaml::{Wrong, quote_it};
use super::{Options, names, schema};
use crate::api::object::{ObjectKey, split_api_version};
use crate::api::scope::{self, Scope};

/// What tells an object from all others.
pub(super) struct Identity {
    pub key: ObjectKey,
    pub scope: Scope,
    pub api_version: String,
}

/// Group, kind, namespace and name; or everything that is missing.
pub(super) fn read(node: &Node, options: &Options) -> Result<Identity, Vec<Wrong>> {
    let mut wrong = Vec::new();
    let mut text = |parent: &Node, field: &str, name: &str, hint: &'static str| {
        required_text(parent, field, name, hint).unwrap_or_else(|error| {
            wrong.push(error);
            String::new()
        })
    };
    let api_version = text(
        node,
        "",
        "apiVersion",
        "such as apiVersion: serving.knative.dev/v1",
    );
    let kind = text(node, "", "kind", "such as kind: Service");
    let nothing = Node::new(node.at, Kind::Map(Vec::new()));
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
    Ok(Identity {
        key,
        scope,
        api_version,
    })
}

/// The text of a field that every object has. `field` is the path of `parent`.
fn required_text(
    parent: &Node,
    field: &str,
    name: &str,
    hint: &'static str,
) -> Result<String, Wrong> {
    let path = schema::join(field, name);
    let Some(value) = parent.get(name) else {
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
        return Err(Wrong::new(at, say("").ours(path).ours(" is missing")).hint(hint));
    };
    match value.as_str() {
        Some(text) if !text.is_empty() => Ok(text.to_owned()),
        _ if value.is_null() || value.as_str().is_some() => {
            Err(Wrong::new(value.at, "it is empty").field(path).hint(hint))
        }
        _ => {
            let quoted = value.written.as_deref();
            let hint = quoted.map_or(say(hint), quote_it);
            Err(Wrong::new(
                value.at,
                say("it must be a string, but it is ").ours(value.noun()),
            )
            .field(path)
            .hint(hint))
        }
    }
}

impl Identity {
    /// What is wrong with its name, its namespace and its scope.
    pub fn refusals(&self, node: &Node, options: &Options) -> Vec<Wrong> {
        let key = &self.key;
        let mut wrong = Vec::new();
        if let Err(why) = names::check(key) {
            wrong.push(
                Wrong::new(
                    place(node, &["metadata", "name"]),
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
        if let (Scope::Cluster, Some(written)) = (self.scope, written)
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
        if self.scope == Scope::Cluster && !options.cluster_scoped {
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
        let namespace = key.namespace.as_deref();
        wrong.extend(namespace.and_then(|namespace| about_namespace(node, namespace, options)));
        wrong
    }
}

/// Why an object may not be in a namespace.
fn about_namespace(node: &Node, namespace: &str, options: &Options) -> Option<Wrong> {
    let at = place(node, &["metadata", "namespace"]);
    if let Err(why) = names::label(namespace) {
        return Some(
            Wrong::new(
                at,
                say("\"")
                    .ours(namespace)
                    .ours("\" is no name for a namespace"),
            )
            .field("metadata.namespace")
            .hint(say("").ours(why)),
        );
    }
    let allowed = options.allowed_namespaces.as_ref()?;
    if allowed.contains(namespace) {
        return None;
    }
    let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    Some(
        Wrong::new(
            at,
            say("this Delivery may not write into the namespace \"")
                .ours(namespace)
                .ours("\""),
        )
        .field("metadata.namespace")
        .hint(say("remove it, or use: ").ours(allowed.join(", "))),
    )
}

/// Where a field is, or the object where it has none.
fn place(node: &Node, path: &[&str]) -> At {
    node.find(path).map_or(node.at, |(_, node)| node.at)
}
