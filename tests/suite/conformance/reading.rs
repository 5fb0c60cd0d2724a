//! Sequences of lists and watches of a few objects that come, change and go meanwhile.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::chance::Chance;
use super::crossing::crossings;
use super::generate::deletion;
use super::kinds::{self, Kind};
use super::side::END;
use super::step::{APPLY, Body, JSON, MERGE_PATCH, Step};

/// Label selectors, each with labels that it selects.
const LABELS: &[(&str, &[(&str, &str)])] = &[
    ("app=a", &[("app", "a")]),
    ("app==b", &[("app", "b")]),
    ("app!=a", &[]),
    ("app", &[("app", "a")]),
    ("!app", &[]),
    ("app in (a,b)", &[("app", "b")]),
    ("app notin (a),team", &[("team", "x")]),
    ("app in (,b)", &[("app", "")]),
    ("app=a,team!=x", &[("app", "a")]),
    ("app=", &[("app", "")]),
    ("size>3", &[("size", "5")]),
    ("size<3,app", &[("size", "1"), ("app", "b")]),
    (" app = a , !team", &[("app", "a")]),
    ("example.com/app=a", &[("example.com/app", "a")]),
    ("app!=a,app!=b,size", &[("size", "1")]),
];

const BAD_LABELS: &[&str] = &[
    "app=a=b",
    "app in a",
    "app in (a",
    "=a",
    "app in",
    "app notin",
    "!",
    "!app=a",
    "a b",
    "app=a,,team",
    "app,",
    ",",
    "app=a b",
    "size>x",
    "Not Good/x=a",
    "a/b/c=d",
    "app=-a",
    "app=a_",
    "app in ()",
    "app exists",
    "-app",
    "app=!",
    "app=(a)",
    "app<>3",
    "size>",
    "/app=a",
    "x/=a",
];

const FIELDS: &[(&str, &str)] = &[
    ("metadata.name=a", "a"),
    ("metadata.name==b", "b"),
    ("metadata.name!=a", "z"),
    ("metadata.namespace={ns}", "z"),
    ("metadata.name=c,metadata.namespace={ns}", "c"),
    ("metadata.name!=b,metadata.name!=c", "z"),
];

const BAD_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.name=a=b",
    "spec.source=x",
    "metadata.uid=x",
    "data=x",
    "=a",
    "metadata.name>a",
    "metadata.name=a\\",
    "metadata.name=a\\,b",
    "metadata.name=a\\b",
    "metadata.name=a,",
    ",",
    "!metadata.name",
    "metadata.namespace=elsewhere,metadata.name=",
    "metadata.name=a,metadata.name=b",
    "metadata.labels.app=a",
];

const FORMS: &[&str] = &[
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
    "application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadata;v=v1beta1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadataList;v=v1beta1;g=meta.k8s.io",
    "application/json, */*",
    "*/*",
    "application/*",
];

const BAD_FORMS: &[&str] = &[
    "application/json;as=Table;v=v9;g=meta.k8s.io,application/json",
    "application/json;as=Chair;v=v1;g=meta.k8s.io",
    "application/json;as=Table",
    "application/json;v=v1;g=meta.k8s.io",
    "text/html",
    "application/xml, application/json;q=0.5",
    "text/*",
    "nonsense",
];

/// Writes to three objects, and after some of them reads of all sorts.
pub fn reads(kinds: &[&Kind], chance: &mut Chance) -> Vec<Step> {
    let kind = *chance.pick(kinds);
    let reader = Reader { kind };
    // From the first answer on there is a version to begin with.
    let mut steps = vec![reader.list()];
    for at in 0..8 + chance.below(14) {
        if chance.percent(50) {
            steps.push(reader.write(chance));
        } else {
            reader.read(chance, at, &mut steps);
        }
    }
    steps
}

/// A version that both servers forgot.
const GONE: &str = "1";

/// Who reads and writes objects of a kind.
pub struct Reader<'a> {
    kind: &'a Kind,
}

impl Reader<'_> {
    /// A request about the collection, or an object of it.
    pub fn step(&self, method: &'static str, name: Option<&str>) -> Step {
        let collection = self.kind.collection();
        Step {
            method,
            path: match name {
                Some(name) => format!("{collection}/{name}"),
                None => collection,
            },
            query: Vec::new(),
            media: JSON,
            body: Body::None,
            about: format!("{}/{}", self.kind.plural, name.unwrap_or("a")),
            accept: "",
            beside: Vec::new(),
            meanwhile: Vec::new(),
        }
    }

    /// A list of all there is, as of now: caches know it afterwards.
    pub fn list(&self) -> Step {
        Step {
            about: self.kind.plural.to_owned(),
            ..self.step("GET", None)
        }
    }

    fn object(&self, name: &str, metadata: Value, word: &str) -> Value {
        let mut object = json!({
            "apiVersion": self.kind.api_version,
            "kind": self.kind.kind,
            "metadata": {"name": name},
        });
        json_patch::merge(&mut object, &json!({"metadata": metadata}));
        let (field, value) = self.body(word);
        object[field] = value;
        object
    }

    fn body(&self, word: &str) -> (&'static str, Value) {
        match self.kind.plural {
            "configmaps" => ("data", json!({"a": word})),
            _ => (
                "spec",
                json!({"source": {"url": "https://example.com/a.git", "path": word}}),
            ),
        }
    }

    /// A write to one of the objects, or to several.
    pub fn write(&self, chance: &mut Chance) -> Step {
        let name = *chance.pick(&["a", "a", "b", "b", "c"]);
        let word = *chance.pick(&["one", "two", "three"]);
        match chance.weighted(&[(40, 0), (35, 1), (8, 2), (17, 3)]) {
            0 => {
                let mut step = self.step("POST", None);
                let metadata = metadata(chance);
                step.about = format!("{}/{name}", self.kind.plural);
                step.body = Body::Is(self.object(name, metadata, word));
                step
            }
            1 => {
                let mut step = self.step("PATCH", Some(name));
                step.media = MERGE_PATCH;
                let mut patch = json!({"metadata": metadata(chance)});
                if chance.percent(40) {
                    let (field, value) = self.body(word);
                    patch[field] = value;
                }
                if chance.percent(25) {
                    patch["metadata"]["finalizers"] = Value::Null;
                }
                step.body = Body::Is(patch);
                step
            }
            2 => {
                let mut step = self.step("DELETE", None);
                step.about = self.kind.plural.to_owned();
                self.select(chance, &mut step, &mut Map::new());
                if chance.percent(30) {
                    step.body = propagation(chance);
                }
                step
            }
            _ => {
                let mut step = self.step("DELETE", Some(name));
                step.body = if chance.percent(50) {
                    propagation(chance)
                } else {
                    deletion(chance)
                };
                step
            }
        }
    }

    fn read(&self, chance: &mut Chance, at: usize, steps: &mut Vec<Step>) {
        let mut step = match chance.weighted(&[(10, 0), (40, 1), (38, 2), (8, 3), (4, 4)]) {
            0 => {
                let name = *chance.pick(&["a", "b", "c"]);
                let mut step = self.step("GET", Some(name));
                if chance.percent(30) {
                    let version = chance.pick(&["0", "{at 0}", "{at 3}", "x", "", "1"]);
                    step.query.push(("resourceVersion", (*version).into()));
                } else if chance.percent(2) {
                    step.query.push(("resourceVersion", "{later}".into()));
                }
                step
            }
            1 => self.lists(chance),
            2 => self.watches(chance, at),
            3 => crossings(self, chance, at),
            _ if self.oldest() != GONE => self.lists(chance),
            _ => {
                let step = self.expired(chance);
                steps.push(step.clone());
                self.again(step)
            }
        };
        if chance.percent(25) {
            step.accept = if chance.percent(85) {
                *chance.pick(FORMS)
            } else {
                *chance.pick(BAD_FORMS)
            };
            if chance.percent(20) {
                let include = chance.pick(&["None", "Metadata", "Object", "Odd"]);
                step.query.push(("includeObject", (*include).into()));
            }
        }
        let goes_on = step.query.iter().any(|(name, _)| *name == "continue");
        let limited = step.query.iter().any(|(name, _)| *name == "limit");
        // What is answered from caches is as old as they are, unless somebody asked for all.
        if !goes_on {
            steps.push(self.list());
        }
        if limited && chance.percent(70) {
            let next = self.again(step.clone());
            steps.push(step);
            if chance.percent(40) {
                steps.push(self.write(chance));
            }
            steps.push(next.clone());
            steps.push(next);
            return;
        }
        steps.push(step);
    }

    /// The oldest version that is asked for. Kubernetes' watch cache of a built-in kind may have held all since
    /// the server began; that of ours began when it was installed.
    fn oldest(&self) -> &'static str {
        if self.kind.plural == kinds::DELIVERY.plural {
            GONE
        } else {
            "{at 0}"
        }
    }

    /// The same list, from where the last one ended.
    fn again(&self, mut step: Step) -> Step {
        let of_list = |name: &str| name == "continue" || name.starts_with("resourceVersion");
        step.query.retain(|(name, _)| !of_list(name));
        step.query.push(("continue", "{continue}".into()));
        step
    }

    /// A list that goes on with what nobody remembers.
    fn expired(&self, chance: &mut Chance) -> Step {
        let mut step = self.list();
        self.select(chance, &mut step, &mut Map::new());
        if chance.percent(60) {
            let limit = chance.pick(&["1", "2", "500"]);
            step.query.push(("limit", (*limit).into()));
        }
        let start = chance.pick(&["a\0", "/a\0", "/b\0", "b"]);
        let token = json!({"v": "meta.k8s.io/v1", "rv": 1, "start": start});
        let token = URL_SAFE_NO_PAD.encode(token.to_string());
        step.query.push(("continue", token));
        step
    }

    fn lists(&self, chance: &mut Chance) -> Step {
        let mut step = self.list();
        self.select(chance, &mut step, &mut Map::new());
        if chance.percent(45) {
            let limit = chance.pick(&["1", "1", "2", "3", "0", "500", "-1", "x"]);
            step.query.push(("limit", (*limit).into()));
        }
        if chance.percent(35) {
            let versions = [
                "0",
                self.oldest(),
                "{at 0}",
                "{at 1}",
                "{at 3}",
                "{at 6}",
                "x",
                "-1",
            ];
            let version = *chance.pick(&versions);
            step.query.push(("resourceVersion", version.into()));
        } else if chance.percent(2) {
            // The real one waits for it, for three seconds.
            step.query.push(("resourceVersion", "{later}".into()));
        }
        if chance.percent(25) {
            let how = chance.pick(&["Exact", "Exact", "NotOlderThan", "NotOlderThan", "Odd", ""]);
            step.query.push(("resourceVersionMatch", (*how).into()));
        }
        if chance.percent(4) {
            let token = chance.pick(&["x", "{continue}", "{continue}x", "bm9uc2Vuc2U", "e30"]);
            step.query.push(("continue", (*token).into()));
        }
        if chance.percent(3) {
            let flag = chance.pick(&["true", "false", "odd"]);
            step.query.push(("sendInitialEvents", (*flag).into()));
        }
        step
    }

    fn watches(&self, chance: &mut Chance, at: usize) -> Step {
        let mut step = self.list();
        let mut labels = Map::new();
        let name = self.select(chance, &mut step, &mut labels);
        step.query.push(("watch", "1".into()));
        // Nobody waits for it, save where no event comes.
        step.query.push(("timeoutSeconds", "1".into()));
        let version = chance.weighted(&[
            (10, ""),
            (10, "0"),
            (30, "{at 0}"),
            (20, "{at 1}"),
            (15, "{at 3}"),
            (15, "{at 6}"),
            (5, self.oldest()),
            (2, "x"),
        ]);
        if !version.is_empty() {
            step.query.push(("resourceVersion", version.into()));
        }
        if chance.percent(30) {
            let flag = chance.pick(&["true", "1", "false"]);
            step.query.push(("allowWatchBookmarks", (*flag).into()));
        }
        if chance.percent(25) {
            let flag = chance.pick(&["true", "true", "false", "odd"]);
            step.query.push(("sendInitialEvents", (*flag).into()));
            if chance.percent(85) {
                step.query
                    .push(("resourceVersionMatch", "NotOlderThan".into()));
            }
            if chance.percent(60) {
                step.query.push(("allowWatchBookmarks", "true".into()));
            }
        } else if chance.percent(4) {
            let how = chance.pick(&["Exact", "NotOlderThan", "Odd"]);
            step.query.push(("resourceVersionMatch", (*how).into()));
        }
        for _ in 0..chance.below(4) {
            step.meanwhile.push(self.write(chance));
        }
        step.meanwhile.push(self.end(&name, labels.into(), at));
        step
    }

    /// The write that a watch ends with.
    pub fn end(&self, name: &str, labels: Value, at: usize) -> Step {
        let mut end = self.step("PATCH", Some(name));
        end.media = APPLY;
        end.query.push(("fieldManager", "end".into()));
        end.query.push(("force", "true".into()));
        let metadata = json!({"labels": labels, "annotations": {END: format!("e{at}")}});
        end.body = Body::Is(self.object(name, metadata, "end"));
        end
    }

    /// Adds selectors; gives the name of an object that is meant by them, and its labels.
    fn select(&self, chance: &mut Chance, step: &mut Step, of: &mut Map<String, Value>) -> String {
        let mut name = "z";
        if chance.percent(35) {
            let selector = if chance.percent(88) {
                let (selector, labels) = chance.pick(LABELS);
                for (label, value) in *labels {
                    of.insert((*label).to_owned(), (*value).into());
                }
                selector
            } else {
                chance.pick(BAD_LABELS)
            };
            step.query.push(("labelSelector", (*selector).into()));
        }
        if chance.percent(30) {
            let selector = if chance.percent(88) {
                let selector;
                (selector, name) = *chance.pick(FIELDS);
                selector
            } else {
                chance.pick(BAD_FIELDS)
            };
            step.query.push(("fieldSelector", selector.into()));
        }
        name.to_owned()
    }
}

fn metadata(chance: &mut Chance) -> Value {
    let mut labels = Map::new();
    for (label, values) in [
        ("app", &["a", "b", ""][..]),
        ("team", &["x", "y"]),
        ("size", &["1", "5", "x"]),
        ("example.com/app", &["a"]),
    ] {
        if chance.percent(40) {
            labels.insert(label.to_owned(), (*chance.pick(values)).into());
        }
    }
    let mut metadata = json!({"labels": labels});
    if chance.percent(15) {
        let all = [
            json!(["example.com/one"]),
            json!(["example.com/one", "example.com/two"]),
            json!(["orphan"]),
            json!(["foregroundDeletion"]),
        ];
        metadata["finalizers"] = chance.pick(&all).clone();
    }
    if chance.percent(10) {
        let block = chance.percent(40);
        metadata["ownerReferences"] = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u1",
            "blockOwnerDeletion": block,
        }]);
    }
    metadata
}

fn propagation(chance: &mut Chance) -> Body {
    let policy = *chance.pick(&["Foreground", "Background", "Orphan"]);
    Body::Is(json!({"propagationPolicy": policy}))
}
