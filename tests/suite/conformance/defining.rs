//! Sequences about kinds that are made up: definitions with small schemas, good ones and bad ones, and
//! objects of them.

use serde_json::{Map, Value, json};

use super::chance::Chance;
use super::step::{APPLY, Body, JSON, JSON_PATCH, MERGE_PATCH, Step};
use super::{changing, schemas};

/// Where definitions are.
pub const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
/// The group of the kinds of a namespace.
pub const GROUP: &str = "{turn}.{ns}.example.com";
/// What steps are about that write definitions.
pub const DEFINITION: &str = "definition";

/// Either definitions that are only tried, or one that is made, objects of it, and changes to it among
/// them.
pub fn definitions(_: &[&super::kinds::Kind], chance: &mut Chance) -> Vec<Step> {
    if chance.percent(40) {
        return (0..10).map(|_| tried(chance)).collect();
    }
    let mut definition = definition(chance);
    let name = definition["metadata"]["name"].as_str().unwrap().to_owned();
    let mut made = step("POST", DEFINITIONS.to_owned(), DEFINITION);
    made.body = Body::Is(definition.clone());
    let established = step("GET", format!("{DEFINITIONS}/{name}"), DEFINITION);
    let mut steps = vec![made, established.clone()];
    let changes = *chance.pick(&[0, 0, 1, 2, 4]);
    for change in 0..=changes {
        let kind = Hats::of(&definition);
        for _ in 0..(20 + chance.below(30)) / (changes + 1) {
            steps.push(kind.write(chance));
        }
        if change < changes {
            let before = definition.clone();
            changing::change(&mut definition, change, chance);
            steps.push(changed(&before, &definition, &name, chance));
            steps.push(established.clone());
        }
    }
    for _ in 0..chance.below(4) {
        let mut spoiled = definition.clone();
        let is_refused = chance.percent(40);
        if is_refused {
            changing::refused(&mut spoiled, chance);
        } else {
            schemas::spoil(&mut spoiled, chance);
        }
        let mut changed = changed(&definition, &spoiled, &name, chance);
        if !is_refused {
            changed.query.push(("dryRun", "All".into()));
        }
        steps.push(changed);
    }
    steps
}

fn step(method: &'static str, path: String, about: &str) -> Step {
    Step {
        method,
        path,
        query: Vec::new(),
        media: JSON,
        body: Body::None,
        about: about.to_owned(),
        accept: "",
        beside: Vec::new(),
        meanwhile: Vec::new(),
    }
}

/// A definition that is held against the rules, and not made.
fn tried(chance: &mut Chance) -> Step {
    let mut definition = definition(chance);
    for _ in 0..chance.below(3) {
        schemas::spoil(&mut definition, chance);
    }
    let mut step = step("POST", DEFINITIONS.to_owned(), DEFINITION);
    if chance.percent(25) {
        let name = definition["metadata"]["name"].as_str().unwrap_or("x");
        step.method = "PATCH";
        step.path = format!("{DEFINITIONS}/{name}");
        step.media = APPLY;
        step.query.push(("fieldManager", "ann".into()));
    }
    step.query.push(("dryRun", "All".into()));
    if chance.percent(20) {
        let how = *chance.pick(&["Strict", "Warn", "Ignore"]);
        step.query.push(("fieldValidation", how.into()));
    }
    step.body = Body::Is(definition);
    step
}

/// A definition as it is to be by now, sent in one of the ways that there are.
fn changed(before: &Value, after: &Value, name: &str, chance: &mut Chance) -> Step {
    let mut step = step("PATCH", format!("{DEFINITIONS}/{name}"), DEFINITION);
    match chance.below(3) {
        0 => {
            step.media = APPLY;
            step.query.push(("fieldManager", "conformance".into()));
            step.query.push(("force", "true".into()));
            step.body = Body::Is(after.clone());
        }
        1 => {
            step.media = MERGE_PATCH;
            step.body = Body::Is(changing::difference(before, after));
        }
        _ => {
            step.method = "PUT";
            step.body = Body::Seen(changing::difference(before, after));
        }
    }
    step
}

fn definition(chance: &mut Chance) -> Value {
    let mut versions = vec![version("v1", true, chance)];
    if chance.percent(20) {
        let mut second = version("v2", false, chance);
        if chance.percent(60) {
            second["schema"] = versions[0]["schema"].clone();
        }
        versions.push(second);
    }
    let mut names = json!({"plural": "hats", "kind": "Hat"});
    for (name, often, value) in [
        ("singular", 30, json!("hat")),
        ("listKind", 20, json!("HatList")),
        ("shortNames", 20, json!(["ht"])),
        ("categories", 20, json!(["all", "wear"])),
    ] {
        if chance.percent(often) {
            names[name] = value;
        }
    }
    let scope = if chance.percent(80) {
        "Namespaced"
    } else {
        "Cluster"
    };
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("hats.{GROUP}")},
        "spec": {"group": GROUP, "scope": scope, "names": names, "versions": versions},
    })
}

/// A version with a schema of its own.
pub fn version(name: &str, storage: bool, chance: &mut Chance) -> Value {
    let mut spec = schemas::object(chance, 2);
    if chance.percent(50) {
        spec["properties"]["replicas"] = json!({"type": "integer"});
    }
    let mut properties = json!({"spec": spec});
    if chance.percent(70) {
        properties["status"] = schemas::object(chance, 1);
        properties["status"]["properties"]["replicas"] = json!({"type": "integer"});
    }
    if chance.percent(20) {
        properties["top"] = schemas::any(chance, 1);
    }
    let mut schema = json!({"type": "object", "properties": properties});
    if chance.percent(15) {
        schema["required"] = json!(["spec"]);
    }
    if chance.percent(10) {
        schema["x-kubernetes-preserve-unknown-fields"] = true.into();
    }
    let mut version = json!({
        "name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema},
    });
    let mut subresources = Map::new();
    if chance.percent(55) {
        subresources.insert("status".to_owned(), json!({}));
    }
    if !subresources.is_empty() {
        version["subresources"] = subresources.into();
    }
    if chance.percent(30) {
        let kind = *chance.pick(&["string", "integer", "date", "boolean", "number"]);
        version["additionalPrinterColumns"] =
            json!([{"name": "A", "type": kind, "jsonPath": ".spec.a", "priority": 1}]);
    }
    version
}

/// The kind that a definition is of.
struct Hats {
    collections: Vec<(String, String, Value)>,
    has_status: bool,
}

impl Hats {
    fn of(definition: &Value) -> Self {
        let spaced = definition["spec"]["scope"] == "Namespaced";
        let space = if spaced { "namespaces/{ns}/" } else { "" };
        let versions = definition["spec"]["versions"].as_array().unwrap();
        let served = versions.iter().filter(|version| version["served"] == true);
        let collections = served.map(|version| {
            let name = version["name"].as_str().unwrap();
            (
                format!("/apis/{GROUP}/{name}/{space}hats"),
                format!("{GROUP}/{name}"),
                version["schema"]["openAPIV3Schema"].clone(),
            )
        });
        let first = &versions[0]["subresources"];
        Self {
            collections: collections.collect(),
            has_status: !first["status"].is_null(),
        }
    }

    fn write(&self, chance: &mut Chance) -> Step {
        // Writes go to one version: who owns what across several is not compared.
        let (collection, api_version, schema) = &self.collections[0];
        let name = if chance.percent(85) { "a" } else { "b" };
        let mut object = schemas::value(schema, chance);
        if !object.is_object() {
            object = json!({});
        }
        if let Some(fields) = object.as_object_mut() {
            fields.insert("apiVersion".to_owned(), api_version.as_str().into());
            fields.insert("kind".to_owned(), "Hat".into());
            let mut metadata = json!({"name": name});
            if chance.percent(25) {
                metadata["labels"] = json!({"app": *chance.pick(&["a", "b"])});
            }
            fields.insert("metadata".to_owned(), metadata);
        }
        let mut path = format!("{collection}/{name}");
        let subresource = self.has_status && chance.percent(15);
        if subresource {
            path.push_str("/status");
        }
        let mut step = step("PATCH", path, &format!("hats/{name}"));
        let mut patch = object.clone();
        if let Some(fields) = patch.as_object_mut() {
            fields.retain(|field, _| !matches!(field.as_str(), "apiVersion" | "kind" | "metadata"));
        }
        match chance.weighted(&[(30, 0), (25, 1), (12, 2), (12, 3), (8, 4), (5, 5), (8, 6)]) {
            0 => {
                step.method = "POST";
                if !subresource {
                    step.path = collection.clone();
                }
                step.body = Body::Is(object);
            }
            1 => {
                step.media = APPLY;
                step.body = Body::Is(object);
                let manager = *chance.pick(&["ann", "bob"]);
                step.query.push(("fieldManager", manager.into()));
                if chance.percent(40) {
                    step.query.push(("force", "true".into()));
                }
            }
            2 => {
                step.method = "PUT";
                step.body = Body::Seen(patch);
            }
            3 => {
                step.media = MERGE_PATCH;
                step.body = Body::Is(patch);
            }
            4 => {
                step.media = JSON_PATCH;
                let value = schemas::value(&schema["properties"]["spec"], chance);
                step.body = Body::Is(json!([{"op": "add", "path": "/spec", "value": value}]));
            }
            5 => step.method = "DELETE",
            _ => {
                step.method = "GET";
                let (collection, ..) = chance.pick(&self.collections);
                step.path = format!("{collection}/{name}");
                if chance.percent(40) {
                    step.path = collection.clone();
                }
                if chance.percent(40) {
                    step.accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
                }
            }
        }
        if !matches!(step.method, "GET" | "DELETE") {
            if chance.percent(30) {
                let how = *chance.pick(&["Strict", "Warn", "Ignore"]);
                step.query.push(("fieldValidation", how.into()));
            }
            if chance.percent(6) {
                step.query.push(("dryRun", "All".into()));
            }
        }
        step
    }
}
