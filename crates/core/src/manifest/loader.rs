//! A snapshot's files to objects and errors; what did not change is not read again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::error::{ManifestError, Notice, Origin};
use super::ignored::{IGNORE_FILE, Ignored, split};
use super::node::{At, Kind, Node};
use super::object::{Candidate, Manifest, ReadObject};
use super::private::Privacy;
use super::yaml::{self, Document, Parsed, Wrong};
use super::{File, guess, json};
use crate::api::object::ObjectKey;
use crate::api::scope::Scope;

/// What may be delivered, and where to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Namespace of objects that name none.
    pub namespace: String,
    /// The only namespaces that objects may name; any when absent.
    pub allowed_namespaces: Option<BTreeSet<String>>,
    /// Whether objects without a namespace are taken.
    pub cluster_scoped: bool,
    /// Scopes that discovery knows, by group and kind: `true` is namespaced.
    pub scopes: BTreeMap<(String, String), bool>,
}

impl Default for Options {
    /// Into `default`, everything allowed.
    fn default() -> Self {
        Self {
            namespace: "default".into(),
            allowed_namespaces: None,
            cluster_scoped: true,
            scopes: BTreeMap::new(),
        }
    }
}

impl Options {
    pub(super) fn scope_of(&self, key: &ObjectKey) -> Scope {
        match self.scopes.get(&(key.group.clone(), key.kind.clone())) {
            Some(true) => Scope::Namespaced,
            Some(false) => Scope::Cluster,
            None => Scope::Unknown,
        }
    }
}

/// What a snapshot holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Loaded {
    /// Objects to deliver, by file and place.
    pub objects: Vec<Arc<Manifest>>,
    /// What is wrong; none of the objects that these are about is in `objects`, unless the error
    /// [keeps its object](ManifestError::keeps_object).
    pub errors: Vec<ManifestError>,
    /// What a person should know.
    pub notices: Vec<Notice>,
}

impl Loaded {
    /// Whether objects that Git seems to have lost may be pruned at all: not while a file
    /// is so broken that nobody can tell what it holds.
    pub fn may_prune(&self) -> bool {
        !self.errors.iter().any(|error| error.poisons_prune)
    }

    /// Every kind that there are objects of, with its version: what must be known of a cluster before they are rendered.
    pub fn kinds(&self) -> BTreeSet<(String, String)> {
        let kinds = self.objects.iter();
        let kinds = kinds.map(|object| (object.api_version.clone(), object.key.kind.clone()));
        kinds.collect()
    }

    /// The objects whose manifests are broken: they are neither delivered nor pruned.
    pub fn broken(&self) -> BTreeSet<ObjectKey> {
        let broken = self.errors.iter().filter(|error| !error.keeps_object);
        let keys = broken.filter_map(|error| error.identity.clone());
        keys.collect()
    }
}

/// Reads files once.
pub fn load(files: &[File], options: &Options) -> Loaded {
    Loaded::clone(&Loader::default().load(files, &[], options))
}

/// Reads snapshot after snapshot, and only the files that changed.
#[derive(Debug, Default)]
pub struct Loader {
    files: HashMap<File, Arc<FileResult>>,
    /// The scopes that `files` were read with.
    scopes: BTreeMap<(String, String), bool>,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    files: Vec<File>,
    unreadable: Vec<(String, String)>,
    options: Options,
    loaded: Arc<Loaded>,
}

/// What one file holds.
#[derive(Debug, Default)]
struct FileResult {
    objects: Vec<Arc<Manifest>>,
    errors: Vec<ManifestError>,
    notices: Vec<Notice>,
}

impl Loader {
    /// Reads a snapshot. `unreadable` are paths with the reason why there is no content.
    ///
    /// Files that did not change since the last call are not parsed again; a call with
    /// nothing new returns the same value.
    pub fn load(
        &mut self,
        files: &[File],
        unreadable: &[(String, String)],
        options: &Options,
    ) -> Arc<Loaded> {
        if let Some(last) = &self.last {
            if last.options != *options {
                self.files.clear();
            } else if last.files == files && last.unreadable == unreadable {
                return Arc::clone(&last.loaded);
            }
        }
        let with_crds = Options {
            scopes: self.scopes(files, options),
            ..options.clone()
        };
        if with_crds.scopes != self.scopes {
            self.files.clear();
            self.scopes = with_crds.scopes.clone();
        }
        let loaded = Arc::new(self.read(files, unreadable, &with_crds));
        self.last = Some(Last {
            files: files.to_vec(),
            unreadable: unreadable.to_vec(),
            options: options.clone(),
            loaded: Arc::clone(&loaded),
        });
        loaded
    }

    /// What discovery knows, and what CRDs in the snapshot itself say.
    fn scopes(&self, files: &[File], options: &Options) -> BTreeMap<(String, String), bool> {
        let mut scopes = options.scopes.clone();
        for file in files {
            // Most files define nothing: look before parsing.
            let defines = std::str::from_utf8(&file.content)
                .is_ok_and(|text| text.contains("CustomResourceDefinition"));
            if !defines {
                continue;
            }
            for node in objects_in(&file.path, &file.content) {
                let text = |path: &[&str]| node.find(path).and_then(|(_, node)| node.as_str());
                if let (Some("CustomResourceDefinition"), Some(group), Some(kind), Some(scope)) = (
                    text(&["kind"]),
                    text(&["spec", "group"]),
                    text(&["spec", "names", "kind"]),
                    text(&["spec", "scope"]),
                ) {
                    scopes.insert((group.to_owned(), kind.to_owned()), scope == "Namespaced");
                }
            }
        }
        scopes
    }

    fn read(
        &mut self,
        files: &[File],
        unreadable: &[(String, String)],
        options: &Options,
    ) -> Loaded {
        let (ignored, errors) = Ignored::read(files.iter());
        let mut loaded = Loaded {
            errors,
            ..Loaded::default()
        };
        for (path, reason) in unreadable {
            if !ignored.contains(path) {
                loaded.errors.push(ManifestError::unreadable(path, reason));
            }
        }
        let delivered: Vec<&File> = files
            .iter()
            .filter(|file| split(&file.path).1 != IGNORE_FILE && !ignored.contains(&file.path))
            .collect();
        let foreign = Foreign::find(&delivered);
        loaded.errors.extend(foreign.errors());
        let mut results = HashMap::new();
        for file in delivered {
            if foreign.contains(&file.path) {
                continue;
            }
            let result = match self.files.remove(file) {
                Some(result) => result,
                None => Arc::new(read_file(file, options)),
            };
            loaded.objects.extend(result.objects.iter().cloned());
            loaded.errors.extend(result.errors.iter().cloned());
            loaded.notices.extend(result.notices.iter().cloned());
            results.insert(file.clone(), result);
        }
        self.files = results;
        refuse_doubles(&mut loaded);
        loaded
    }
}

/// Folders that another tool renders: their files are that tool's input, and applying a
/// patch or a template as if it were an object would do harm.
struct Foreign<'a> {
    folders: BTreeMap<&'a str, &'a File>,
}

impl<'a> Foreign<'a> {
    fn find(files: &[&'a File]) -> Self {
        let folders = files
            .iter()
            .filter(|file| tool(file).is_some())
            .map(|file| (split(&file.path).0, *file))
            .collect();
        Self { folders }
    }

    fn contains(&self, path: &str) -> bool {
        let mut folder = path;
        while !folder.is_empty() {
            folder = split(folder).0;
            if self.folders.contains_key(folder) {
                return true;
            }
        }
        false
    }

    fn errors(&self) -> impl Iterator<Item = ManifestError> {
        self.folders.values().map(|file| {
            let (folder, name) = split(&file.path);
            let folder = if folder.is_empty() { "the repository's root" } else { folder };
            let (tool, command) = tool(file).unwrap_or_default();
            ManifestError {
                hint: Some(format!(
                    "commit the output of `{command}`, or list {name} in .sluiceignore to deliver the files as they are"
                )),
                content: file.content.clone(),
                ..ManifestError::unreadable(
                    &file.path,
                    &format!("{folder} is made for {tool}, which Sluice does not run: nothing in it is delivered"),
                )
            }
        })
    }
}

/// The tool that a file is the root of, and how its output is made.
fn tool(file: &File) -> Option<(&'static str, &'static str)> {
    let text = String::from_utf8_lossy(&file.content);
    match split(&file.path).1 {
        "Chart.yaml" => {
            let object = text.lines().any(|line| line.starts_with("kind:"));
            (!object).then_some(("Helm", "helm template"))
        }
        "kustomization.yaml" | "kustomization.yml" | "Kustomization" => {
            // Flux has a kind of its own by that name, which is an object like any other.
            let flux = text.lines().any(|line| {
                line.trim_end()
                    .starts_with("apiVersion: kustomize.toolkit.fluxcd.io/")
            });
            (!flux).then_some(("Kustomize", "kustomize build"))
        }
        _ => None,
    }
}

fn read_file(file: &File, options: &Options) -> FileResult {
    let mut result = FileResult::default();
    let error = |wrong: &Wrong, guess: guess::Guess, privacy: &Privacy| {
        let told = privacy.tell(wrong);
        ManifestError {
            origin: Origin {
                file: file.path.clone(),
                line: wrong.at.line,
            },
            column: wrong.at.column,
            poisons_prune: guess.identity.is_none(),
            keeps_object: false,
            identity: guess.identity,
            field: told.field,
            message: told.message,
            hint: told.hint,
            content: file.content.clone(),
        }
    };
    let text = match text(&file.content) {
        Ok(text) => text,
        Err(wrong) => {
            let nobody = guess::Guess::default();
            result.errors.push(error(&wrong, nobody, &Privacy::Open));
            return result;
        }
    };
    let mut index = 0;
    for document in documents(&file.path, text) {
        let part = text.get(document.text).unwrap_or_default();
        let privacy = Privacy::of(&document.content, part, text);
        match document.content {
            Err(wrong) => {
                let guess = guess::identity(part, options);
                result.errors.push(error(&wrong, guess, &privacy));
            }
            Ok(parsed) => {
                let doubled = parsed.wrong.iter().any(|wrong| {
                    matches!(
                        wrong.field.as_str(),
                        "apiVersion" | "kind" | "metadata" | "metadata.name"
                    )
                });
                let objects = unrolled(parsed.root);
                let alone = objects.len() == 1;
                let mut wrong = parsed.wrong;
                for node in objects {
                    let candidate = Candidate {
                        file: &file.path,
                        content: &file.content,
                        index,
                        node: &node,
                        privacy: &privacy,
                    };
                    index += 1;
                    // What is wrong in a list is wrong with each of its items: nobody can tell whose it is.
                    let found = if alone {
                        std::mem::take(&mut wrong)
                    } else {
                        wrong.clone()
                    };
                    match candidate.judge(found, options, &mut result.notices) {
                        ReadObject::Object(manifest, errors) => {
                            result.objects.push(Arc::new(*manifest));
                            result.errors.extend(errors);
                        }
                        ReadObject::Skipped => {}
                        ReadObject::Wrong(mut errors) => {
                            // Two kinds or names in one document: a lost `---`, perhaps.
                            for error in errors.iter_mut().filter(|_| doubled) {
                                error.poisons_prune = true;
                            }
                            result.errors.extend(errors);
                        }
                    }
                }
            }
        }
    }
    result
}

fn text(content: &[u8]) -> Result<&str, Wrong> {
    let text = std::str::from_utf8(content).map_err(|error| {
        let before = content.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() as u32 + 1;
        Wrong::new(At { line, column: 1 }, "the file is not text in UTF-8")
            .hint("save it as UTF-8, or list it in .sluiceignore")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The documents of a file, each with its text.
pub(super) fn documents(path: &str, text: &str) -> Vec<Document> {
    if !path.ends_with(".json") {
        return yaml::documents(text);
    }
    if text.trim().is_empty() {
        return Vec::new();
    }
    vec![Document {
        text: 0..text.len(),
        content: json::parse(text),
    }]
}

/// The objects of a file in order, list items one by one; for looking up lines.
pub(super) fn objects_in(path: &str, content: &[u8]) -> Vec<Node> {
    let Ok(text) = text(content) else {
        return Vec::new();
    };
    documents(path, text)
        .into_iter()
        .filter_map(|document| document.content.ok())
        .flat_map(|parsed: Parsed| unrolled(parsed.root))
        .collect()
}

/// The items of a `List` (or `ServiceList`, ...), which inherit kind and version where
/// they have none; any other document is itself.
fn unrolled(root: Node) -> Vec<Node> {
    let kind = root.get("kind").and_then(Node::as_str).unwrap_or_default();
    let Some(item_kind) = kind.strip_suffix("List").map(str::to_owned) else {
        return vec![root];
    };
    let api_version = root.get("apiVersion").cloned();
    let Kind::Map(entries) = &root.kind else {
        return vec![root];
    };
    let Some(items) = entries.iter().find(|entry| entry.key == "items") else {
        return vec![root];
    };
    let mut objects = Vec::new();
    for item in items.value.items() {
        let mut item = item.clone();
        let at = item.at;
        if let Kind::Map(entries) = &mut item.kind
            && !item_kind.is_empty()
        {
            let mut inherit = |key: &str, value: Option<Node>| {
                if let Some(value) = value
                    && !entries.iter().any(|entry| entry.key == key)
                {
                    entries.push(super::node::Entry {
                        key: key.to_owned(),
                        at,
                        value,
                    });
                }
            };
            inherit("apiVersion", api_version.clone());
            inherit("kind", Some(Node::new(at, Kind::String(item_kind.clone()))));
        }
        objects.extend(if item_kind.is_empty() {
            unrolled(item)
        } else {
            vec![item]
        });
    }
    objects
}

/// Two manifests of one object: neither is delivered, for nobody can tell which is meant.
fn refuse_doubles(loaded: &mut Loaded) {
    let mut places: BTreeMap<&ObjectKey, BTreeSet<&Origin>> = BTreeMap::new();
    for object in &loaded.objects {
        places
            .entry(&object.key)
            .or_default()
            .insert(&object.origin);
    }
    let broken: BTreeSet<ObjectKey> = loaded.broken();
    let mut errors = Vec::new();
    for object in &loaded.objects {
        let Some(origins) = places.get(&object.key) else {
            continue;
        };
        let first = origins.first() == Some(&&object.origin);
        if origins.len() > 1 && !first {
            let others: Vec<String> = origins
                .iter()
                .filter(|origin| **origin != &object.origin)
                .map(ToString::to_string)
                .collect();
            errors.push(ManifestError {
                origin: object.origin.clone(),
                identity: Some(object.key.clone()),
                poisons_prune: false,
                hint: Some("keep one of them; until then neither is delivered".into()),
                content: Arc::clone(&object.content),
                ..ManifestError::unreadable(
                    "",
                    &format!("the same object is also in {}", others.join(", ")),
                )
            });
        }
    }
    let doubled: BTreeSet<ObjectKey> = places
        .iter()
        .filter(|(_, origins)| origins.len() > 1)
        .map(|(key, _)| (*key).clone())
        .collect();
    loaded
        .objects
        .retain(|object| !doubled.contains(&object.key) && !broken.contains(&object.key));
    loaded.errors.extend(errors);
    loaded
        .errors
        .sort_by(|a, b| (&a.origin, a.column).cmp(&(&b.origin, b.column)));
    loaded.notices.sort_by(|a, b| a.origin.cmp(&b.origin));
}
