//! One document to one object: its identity, what is wrong with it, and what in it is not the
//! manifest writer's to say.

use std::sync::Arc;

use super::error::{ManifestError, Notice, Origin};
use super::identity::{self, Identity};
use super::lines::Lines;
use super::node::{At, Node};
use super::private::Privacy;
use super::traffic::{self, Owner};
use super::words::say;
use super::yaml::Wrong;
use super::{Options, annotations, known, schema, server_fields};
use crate::api::json_text::JsonText;
use crate::api::object::ObjectKey;
use crate::api::scope::Scope;
use crate::api::serving;

/// An object as Git wants it.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Which object.
    pub key: ObjectKey,
    /// Such as `serving.knative.dev/v1`.
    pub api_version: String,
    /// Whether its kind lives in a namespace.
    pub scope: Scope,
    /// The object as the file has it. What is wanted of it is [rendered](crate::render).
    pub value: JsonText,
    /// Where it begins.
    pub origin: Origin,
    pub(super) content: Arc<[u8]>,
    /// Which object of the file it is, list items counted one by one.
    pub(super) index: usize,
}

impl Manifest {
    /// The line of a field, as [`Lines::of`] gives it.
    ///
    /// The file is parsed again: this is for messages, not for loops.
    pub fn line_of(&self, path: &[&str]) -> Option<u32> {
        Lines::default().of(self, path)
    }

    /// The place of a field, or of the nearest field above it that is in the file.
    pub(super) fn place_of(&self, path: &[&str]) -> Option<At> {
        let parsed = super::loader::objects_in(&self.origin.file, &self.content);
        let node = parsed.get(self.index)?;
        (0..=path.len())
            .rev()
            .find_map(|length| node.find(path.get(..length)?))
            .map(|(at, _)| at)
    }
}

/// What came of one document.
pub(super) enum ReadObject {
    /// An object, and what is wrong with a part that it is delivered without.
    Object(Box<Manifest>, Vec<ManifestError>),
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
            keeps_object: false,
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
        if !node.is_map() {
            let wrong = Wrong::new(
                node.at,
                say("this is ").ours(node.noun()).ours(", not an object"),
            )
            .hint("a manifest begins with apiVersion and kind; list other files in .sluiceignore");
            return ReadObject::Wrong(vec![self.error(wrong, None)]);
        }
        if is_no_object(node) {
            notices.push(Notice {
                origin: self.origin(node.at),
                identity: None,
                message: "skipped: no Kubernetes object (it has neither apiVersion nor kind)"
                    .into(),
            });
            return ReadObject::Skipped;
        }
        let identity = match identity::read(node, options) {
            Ok(identity) => identity,
            Err(wrong) => {
                let all = wrong.into_iter().chain(found);
                return ReadObject::Wrong(all.map(|wrong| self.error(wrong, None)).collect());
            }
        };
        let doubled = found.iter().any(|wrong| traffic::holds(&wrong.field));
        let mut wrong = found;
        wrong.extend(about_object(node, &identity, options));
        if !doubled && !wrong.iter().any(|wrong| traffic::holds(&wrong.field)) {
            wrong.extend(about_traffic(node, &identity.key));
        }
        let Identity {
            key,
            scope,
            api_version,
        } = identity;
        wrong.sort_by_key(|wrong| wrong.at);
        // Nobody can tell which of two is meant; whatever else is wrong with the block is wrong with it alone.
        let partly = traffic_owner(&key) == Some(Owner::Service)
            && !doubled
            && wrong.iter().all(|wrong| traffic::holds(&wrong.field));
        if !wrong.is_empty() && !partly {
            // Without its scope the key may not be the one that was delivered.
            let unsure = scope == Scope::Unknown && key.namespace.is_none();
            let errors = wrong.into_iter().map(|wrong| ManifestError {
                poisons_prune: unsure,
                ..self.error(wrong, Some(&key))
            });
            return ReadObject::Wrong(errors.collect());
        }
        let errors = wrong.into_iter().map(|wrong| ManifestError {
            keeps_object: true,
            ..self.error(wrong, Some(&key))
        });
        let errors = errors.collect();
        let manifest = self.manifest(key, scope, api_version, notices);
        ReadObject::Object(Box::new(manifest), errors)
    }

    /// The object of a document with which nothing is wrong.
    fn manifest(
        &self,
        key: ObjectKey,
        scope: Scope,
        api_version: String,
        notices: &mut Vec<Notice>,
    ) -> Manifest {
        let node = self.node;
        self.notice(&key, notices);
        let value = node.to_json();
        for field in server_fields::carried(&value) {
            let path: Vec<&str> = field.split('.').collect();
            let at = node.find(&path).map_or(node.at, |(at, _)| at);
            notices.push(Notice {
                origin: self.origin(at),
                identity: Some(key.clone()),
                message: format!(
                    "{field} is left out: the cluster writes it; remove it from the file"
                ),
            });
        }
        Manifest {
            key,
            api_version,
            scope,
            value: JsonText::of(&value),
            origin: self.origin(node.at),
            content: Arc::clone(self.content),
            index: self.index,
        }
    }

    /// What a person should know of an object with which nothing is wrong.
    fn notice(&self, key: &ObjectKey, notices: &mut Vec<Notice>) {
        let mut say = |path: &[&str], message: String| {
            let at = self.node.find(path).map_or(self.node.at, |(at, _)| at);
            notices.push(Notice {
                origin: self.origin(at),
                identity: Some(key.clone()),
                message,
            });
        };
        for (path, why) in annotations::misplaced(self.node, key) {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            say(&path, why);
        }
        // The shortest tag there is.
        if traffic_owner(key) == Some(Owner::Service) && !serving::tag_fits("n", &key.name) {
            say(
                &["metadata", "name"],
                format!(
                    "{}: a release cannot be probed before its first step and is held there, unless its policy has probes.count: 0",
                    serving::no_room_for_a_tag(&key.name)
                ),
            );
        }
    }
}

/// What is wrong with an object that has an identity: the identity itself, or its fields.
fn about_object(node: &Node, identity: &Identity, options: &Options) -> Vec<Wrong> {
    let mut wrong = identity.refusals(node, options);
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
        let Identity {
            key, api_version, ..
        } = identity;
        wrong.extend(known::check(api_version, &key.kind, node));
        wrong.extend(annotations::check(node));
    }
    wrong
}

/// What is wrong with its traffic block, if it has one whose shape is right.
fn about_traffic(node: &Node, key: &ObjectKey) -> Vec<Wrong> {
    traffic_owner(key).map_or_else(Vec::new, |owner| traffic::check(owner, node, &key.name))
}

/// Whose traffic block an object may have.
fn traffic_owner(key: &ObjectKey) -> Option<Owner> {
    match (key.group.as_str(), key.kind.as_str()) {
        (serving::GROUP, "Service") => Some(Owner::Service),
        (serving::GROUP, "Route") => Some(Owner::Route),
        _ => None,
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
