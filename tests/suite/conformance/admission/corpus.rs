//! Manifests that others wrote: Knative's own samples, read from where Go keeps its modules, and
//! those of our example repository.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde::Deserialize as _;
use serde_json::Value;

static MANIFESTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in [Some(home.join("examples-repo")), serving(home)] {
        gather(&folder.unwrap_or_default(), &mut found);
    }
    found
});

/// All of them, each with a name.
pub fn manifests() -> &'static [Value] {
    &MANIFESTS
}

/// Where the source of the Knative is that the bed is made of.
fn serving(home: &Path) -> Option<PathBuf> {
    let told = Command::new("go")
        .args(["list", "-m", "-f", "{{.Dir}}", "knative.dev/serving"])
        .current_dir(home.join("tests/bed/modules/knative"))
        .output()
        .ok()?;
    let folder = String::from_utf8(told.stdout).ok()?;
    Some(folder.trim().into())
}

fn gather(folder: &Path, found: &mut Vec<Value>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            gather(&path, found);
        } else if path.extension().is_some_and(|end| end == "yaml")
            && let Ok(text) = std::fs::read_to_string(&path)
        {
            found.extend(serving_objects(&text));
        }
    }
}

fn serving_objects(text: &str) -> impl Iterator<Item = Value> {
    serde_yaml::Deserializer::from_str(text)
        .map_while(|document| Value::deserialize(document).ok())
        .filter(|object| object["apiVersion"] == "serving.knative.dev/v1")
        .filter_map(|mut object| {
            let metadata = object.get_mut("metadata")?.as_object_mut()?;
            metadata.remove("namespace");
            // A prefix gets another name on each side.
            if metadata.remove("generateName").is_some() {
                metadata.insert("name".to_owned(), "generated".into());
            }
            Some(object)
        })
        .collect::<Vec<_>>()
        .into_iter()
}
