//! Takes out of answers what differs from server to server: identities become numbers in the order of
//! their coming, resource versions become the number of the object's change, times become a word.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use regex::{Captures, Regex};
use serde_json::Value;

use super::side::Answer;

fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

static UID: LazyLock<Regex> =
    LazyLock::new(|| pattern("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"));
static TIME: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"));
/// Cluster IPs come from 10.96.0.0/16 on the test bed, and from a wider range here.
static ADDRESS: LazyLock<Regex> = LazyLock::new(|| pattern(r"10\.(9[6-9]|1\d\d)\.\d+\.\d+"));
static VERSION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(resourceVersion(?:\\*":\\*"|:)|ResourceVersion in (?:record|the precondition) \(|current: )\d+"#,
    )
});
static ASKED: LazyLock<Regex> = LazyLock::new(|| pattern(r"(resource version: )\d+(?: \(\d+\))?"));
static AGE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^\d+[smh](\d+[sm])?$"));
static GENERATED: LazyLock<Regex> = LazyLock::new(|| pattern(r"\bg-[a-z0-9]{5}\b"));

/// What was seen of one server since the sequence began.
#[derive(Default)]
pub struct Memory {
    uids: HashMap<String, usize>,
    versions: HashMap<String, Vec<String>>,
}

impl Memory {
    /// The answer as it can be compared.
    pub fn normalise(&mut self, answer: &mut Answer) {
        unordered(&mut answer.body);
        self.walk(&mut answer.body);
        for warning in &mut answer.warnings {
            self.words(warning);
        }
    }

    fn walk(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => self.words(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.walk(item)),
            Value::Object(fields) => {
                if let Some(metadata) = fields.get_mut("metadata") {
                    self.version(metadata);
                    owners(metadata);
                    token(metadata);
                }
                if let Some(Value::Array(cells)) = fields.get_mut("cells") {
                    cells.iter_mut().for_each(ageless);
                }
                fields.values_mut().for_each(|field| self.walk(field));
            }
            _ => {}
        }
    }

    /// A resource version becomes the number of the object's change.
    fn version(&mut self, metadata: &mut Value) {
        let Some(version) = metadata.get("resourceVersion").and_then(Value::as_str) else {
            return;
        };
        let Some(uid) = metadata.get("uid").and_then(Value::as_str) else {
            metadata["resourceVersion"] = "of the server".into();
            return;
        };
        let known = self.versions.entry(uid.to_owned()).or_default();
        if !known.iter().any(|one| one == version) {
            known.push(version.to_owned());
        }
        let at = known.iter().position(|one| one == version).unwrap();
        metadata["resourceVersion"] = format!("change {at}").into();
    }

    fn words(&mut self, text: &mut String) {
        if text.len() < 7 {
            return;
        }
        let uids = &mut self.uids;
        let numbered = UID.replace_all(text, |found: &Captures<'_>| {
            let next = uids.len();
            let number = *uids.entry(found[0].to_owned()).or_insert(next);
            format!("uid-{number}")
        });
        let timeless = TIME.replace_all(&numbered, "TIME");
        let homeless = ADDRESS.replace_all(&timeless, "ADDRESS");
        let unversioned = VERSION.replace_all(&homeless, "${1}VERSION");
        let unversioned = ASKED.replace_all(&unversioned, "${1}VERSION");
        *text = GENERATED.replace_all(&unversioned, "g-NAME").into_owned();
    }
}

/// What a definition's status says comes by and by, and only of one that is asked for is it compared.
pub fn definition(body: &mut Value, with_status: bool) {
    if body["kind"] != "CustomResourceDefinition" {
        return;
    }
    if !with_status && let Some(fields) = body.as_object_mut() {
        fields.remove("status");
    }
    let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    metadata.remove("resourceVersion");
    if let Some(Value::Array(entries)) = metadata.get_mut("managedFields") {
        entries.retain(|entry| entry["manager"] != "kube-apiserver");
    }
}

/// A continue token is of a revision of its server's.
fn token(metadata: &mut Value) {
    let Some(text) = metadata.get("continue").and_then(Value::as_str) else {
        return;
    };
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    if let Ok(mut token) = serde_json::from_slice::<Value>(&bytes) {
        if token["rv"].as_i64().is_some_and(|version| version > 0) {
            token["rv"] = "of the server".into();
        }
        metadata["continue"] = token;
    }
}

/// A cell of a table that says an age.
fn ageless(cell: &mut Value) {
    if let Value::String(text) = cell
        && AGE.is_match(text)
    {
        *cell = "AGE".into();
    }
}

const UNDECLARED: &str = ": field not declared in schema";

/// Go tells conflicts and the faults of applied objects in the order of its maps, which is none.
fn unordered(body: &mut Value) {
    if body["reason"] == "Conflict"
        && let Some(Value::Array(causes)) = body.pointer_mut("/details/causes")
    {
        causes.sort_by_key(ToString::to_string);
    }
    let Some(Value::String(message)) = body.get_mut("message") else {
        return;
    };
    if let Some((head, faults)) = message.split_once("errors:\n") {
        let mut faults: Vec<&str> = faults.lines().collect();
        // Nothing beside a field that is not declared is looked at, as chance has it.
        if let Some(only) = faults.iter().find(|fault| fault.ends_with(UNDECLARED)) {
            faults = vec![only];
        }
        faults.sort_unstable();
        *message = match faults.as_slice() {
            [only] => format!("{head}{}", only.trim_start()),
            several => format!("{head}errors:\n{}", several.join("\n")),
        };
    }
    if message.ends_with(UNDECLARED) {
        let fields = [message.find("): "), message.rfind(": .")];
        let field = fields.into_iter().flatten().next();
        if let Some(at) = field.or(message.starts_with('.').then_some(0)) {
            message.replace_range(at.., UNDECLARED);
        }
    }
}

/// The entries of managed fields stand in the order of their times, which are not the same.
fn owners(metadata: &mut Value) {
    let Some(Value::Array(entries)) = metadata.get_mut("managedFields") else {
        return;
    };
    let key = |entry: &Value| {
        ["operation", "manager", "apiVersion", "subresource"]
            .map(|name| entry[name].as_str().unwrap_or_default().to_owned())
    };
    entries.sort_by_key(key);
}
