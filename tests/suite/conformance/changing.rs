//! Changes to a definition that has objects: most of them are taken, some never are.

use serde_json::{Map, Value, json};

use super::chance::Chance;
use super::defining::version;
use super::schemas;

/// Changes a definition. Its first version stays served, so that its objects can be removed.
///
/// Each change is to be told from the one before by what the server says of the names: it is in force
/// when the categories are accepted.
pub fn change(definition: &mut Value, number: usize, chance: &mut Chance) {
    match chance.below(12) {
        0 => add_version(definition, chance),
        1 => store_in_another(definition),
        2 | 3 => schema(definition, chance),
        4 | 5 => field(definition, chance),
        6 => columns(definition, chance),
        7 => names(definition, chance),
        8 => subresources(definition),
        9 => {
            let warning = ["deprecated", "deprecationWarning"];
            let first = &mut definition["spec"]["versions"][0];
            first[warning[0]] = true.into();
            if chance.percent(50) {
                first[warning[1]] = "old".into();
            }
        }
        10 => {
            if let Some(second) = definition["spec"]["versions"].get_mut(1) {
                second["served"] = (second["served"] == false).into();
            }
        }
        _ => {}
    }
    definition["spec"]["names"]["categories"] = json!([format!("c{number}")]);
}

/// Changes a definition in what cannot change once the kind is served.
pub fn refused(definition: &mut Value, chance: &mut Chance) {
    let spec = &mut definition["spec"];
    match chance.below(4) {
        0 => {
            spec["scope"] = if spec["scope"] == "Cluster" {
                "Namespaced"
            } else {
                "Cluster"
            }
            .into()
        }
        1 => spec["names"]["kind"] = "Cap".into(),
        2 => {
            spec["names"]["plural"] = "caps".into();
        }
        _ => {
            let mut other = spec["versions"][0].clone();
            other["name"] = "v9".into();
            other["storage"] = true.into();
            spec["versions"] = json!([other]);
        }
    }
}

fn add_version(definition: &mut Value, chance: &mut Chance) {
    let versions = definition["spec"]["versions"].as_array_mut().unwrap();
    let mut another = version("v2", false, chance);
    if chance.percent(40) {
        another["schema"] = versions[0]["schema"].clone();
    }
    versions.truncate(1);
    another["storage"] = (versions[0]["storage"] == false).into();
    versions.push(another);
}

/// Objects that are written from now on are stored in the other version.
fn store_in_another(definition: &mut Value) {
    let versions = definition["spec"]["versions"].as_array_mut().unwrap();
    if versions.len() > 1 {
        for version in versions {
            version["storage"] = (version["storage"] == false).into();
        }
    }
}

fn schema(definition: &mut Value, chance: &mut Chance) {
    let first = &mut definition["spec"]["versions"][0];
    let part = *chance.pick(&["spec", "spec", "status", "top"]);
    let properties = &mut first["schema"]["openAPIV3Schema"]["properties"];
    properties[part] = match part {
        "spec" => schemas::object(chance, 2),
        "status" => schemas::object(chance, 1),
        _ => schemas::any(chance, 1),
    };
}

/// Changes one field that objects may have by now: it goes, has other rules, or has to be there.
fn field(definition: &mut Value, chance: &mut Chance) {
    let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    let spec = &mut schema["properties"]["spec"];
    let name = *chance.pick(&["a", "b", "c", "d"]);
    match chance.below(4) {
        0 => {
            if let Some(Value::Object(fields)) = spec.get_mut("properties") {
                fields.remove(name);
            }
        }
        1 => spec["required"] = json!([name]),
        2 => {
            let another = schemas::any(chance, 1);
            put(spec, name, another);
        }
        _ => {
            let rules = [
                json!({"type": "string", "enum": ["blue"]}),
                json!({"type": "string", "default": "new"}),
                json!({"type": "integer", "minimum": 3}),
                json!({"type": "string", "format": "odd"}),
                json!({"type": "string", "maxLength": 1}),
                json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
            ];
            let rule = chance.pick(&rules).clone();
            put(spec, name, rule);
        }
    }
}

fn put(spec: &mut Value, name: &str, schema: Value) {
    if !spec["properties"].is_object() {
        spec["properties"] = json!({});
    }
    spec["properties"][name] = schema;
}

fn columns(definition: &mut Value, chance: &mut Chance) {
    let path = *chance.pick(&[".spec.a", ".spec.b", ".status.replicas", ".metadata.name"]);
    let columns = json!([
        {"name": "B", "type": "string", "jsonPath": path},
        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    ]);
    definition["spec"]["versions"][0]["additionalPrinterColumns"] = columns;
}

fn names(definition: &mut Value, chance: &mut Chance) {
    let (name, value) = chance
        .pick(&[
            ("shortNames", json!(["ht", "h"])),
            ("shortNames", json!(["hats"])),
            ("singular", json!("cap")),
            ("singular", json!("hats")),
            ("listKind", json!("Hats")),
        ])
        .clone();
    definition["spec"]["names"][name] = value;
}

fn subresources(definition: &mut Value) {
    let first = &mut definition["spec"]["versions"][0];
    let is_apart = first["subresources"]["status"].is_object();
    let mut all = Map::new();
    if !is_apart {
        all.insert("status".to_owned(), json!({}));
    }
    first["subresources"] = all.into();
}

/// The merge patch that makes one of another.
pub fn difference(before: &Value, after: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return after.clone();
    };
    let mut patch = Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in new {
        match old.get(name) {
            Some(had) if had == value => {}
            Some(had) => {
                patch.insert(name.clone(), difference(had, value));
            }
            None => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    patch.into()
}
