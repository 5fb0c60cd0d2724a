//! The entries of `metadata.managedFields`.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::fields_v1;
use super::set::Set;

/// How a manager came to own its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// It applied them, and applies all of them each time.
    Apply,
    /// It wrote them, by whatever else than apply.
    Update,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who an entry belongs to. An applier is the same whatever version it applies in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ManagerId {
    pub manager: String,
    pub operation: Operation,
    /// Empty for appliers.
    pub api_version: String,
    pub subresource: Option<String>,
}

impl ManagerId {
    pub(super) fn new(
        manager: &str,
        operation: Operation,
        api_version: &str,
        subresource: Option<&str>,
    ) -> Self {
        let manager = if manager.is_empty() {
            "unknown"
        } else {
            manager
        };
        let api_version = match operation {
            Operation::Apply => "",
            Operation::Update => api_version,
        };
        Self {
            manager: manager.to_owned(),
            operation,
            api_version: api_version.to_owned(),
            subresource: subresource
                .filter(|subresource| !subresource.is_empty())
                .map(str::to_owned),
        }
    }

    /// The order of managers in messages: that of their identifiers as JSON, in which a
    /// subresource comes before its absence (`,` before `}`).
    pub(super) fn order(&self) -> (&str, Operation, &str, bool, Option<&str>) {
        let subresource = self.subresource.as_deref();
        (
            &self.manager,
            self.operation,
            &self.api_version,
            subresource.is_none(),
            subresource,
        )
    }

    /// As conflicts name it: `"kubectl-create" with subresource "status" using v1`.
    pub(super) fn words(&self) -> String {
        let mut words = format!("{:?}", self.manager);
        if let Some(subresource) = &self.subresource {
            words.push_str(&format!(" with subresource {subresource:?}"));
        }
        if self.operation == Operation::Update {
            words.push_str(&format!(" using {}", self.api_version));
        }
        words
    }
}

/// What one manager owns, and when that last moved.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub id: ManagerId,
    pub api_version: String,
    /// RFC 3339, whole seconds, as it stands in the object.
    pub time: Option<String>,
    pub set: Set,
}

/// All entries of an object.
#[derive(Debug, Clone, Default)]
pub(super) struct Managed {
    pub entries: Vec<Entry>,
}

impl Managed {
    /// Reads the entries of an object.
    ///
    /// # Errors
    /// What is wrong with the first bad entry, worded as the API server words it.
    pub(super) fn decode(object: &Value) -> Result<Self, String> {
        let mut managed = Self::default();
        let Some(Value::Array(entries)) = object.pointer("/metadata/managedFields") else {
            return Ok(managed);
        };
        for (index, entry) in entries.iter().enumerate() {
            let text = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or("");
            let operation = match text("operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return Err("operation must be `Apply` or `Update`".to_owned()),
            };
            let api_version = text("apiVersion");
            if api_version.is_empty() {
                return Err("apiVersion must not be empty".to_owned());
            }
            match text("fieldsType") {
                "FieldsV1" => {}
                "" => {
                    return Err(format!(
                        "missing fieldsType in managed fields entry {index}"
                    ));
                }
                other => {
                    return Err(format!(
                        "invalid fieldsType {other:?} in managed fields entry {index}"
                    ));
                }
            }
            let fields = entry.get("fieldsV1").unwrap_or(&Value::Null);
            let set = fields_v1::decode(fields)
                .map_err(|error| format!("error decoding set: {error}"))?;
            let id = ManagerId {
                manager: text("manager").to_owned(),
                operation,
                api_version: match operation {
                    Operation::Apply => String::new(),
                    Operation::Update => api_version.to_owned(),
                },
                subresource: Some(text("subresource"))
                    .filter(|subresource| !subresource.is_empty())
                    .map(str::to_owned),
            };
            let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
            managed.put(Entry {
                id,
                api_version: api_version.to_owned(),
                time,
                set,
            });
        }
        Ok(managed)
    }

    /// Puts an entry in the place of the one with its id.
    pub(super) fn put(&mut self, entry: Entry) {
        match self.entries.iter_mut().find(|known| known.id == entry.id) {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
    }

    pub(super) fn take(&mut self, id: &ManagerId) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.id == *id)?;
        Some(self.entries.remove(at))
    }

    /// An empty set drops its manager.
    pub(super) fn drop_empty(&mut self) {
        self.entries.retain(|entry| !entry.set.is_empty());
    }

    /// Writes the entries into an object, sorted as Kubernetes sorts them; no entries,
    /// no field.
    pub(super) fn encode_into(mut self, object: &mut Value) {
        let Value::Object(object) = object else {
            return;
        };
        if self.entries.is_empty() {
            if let Some(Value::Object(metadata)) = object.get_mut("metadata") {
                metadata.remove("managedFields");
            }
            return;
        }
        self.entries.sort_by(|a, b| {
            (a.id.operation, seconds(a), &a.id.manager)
                .cmp(&(b.id.operation, seconds(b), &b.id.manager))
                .then_with(|| a.api_version.cmp(&b.api_version))
                .then_with(|| a.id.subresource.cmp(&b.id.subresource))
        });
        let entries: Vec<Value> = self.entries.iter().map(encode).collect();
        let metadata = object
            .entry("metadata")
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(metadata) = metadata {
            metadata.insert("managedFields".to_owned(), Value::Array(entries));
        }
    }

    /// Keeps at most this many updaters: the oldest of a version become one,
    /// `ancient-changes`.
    pub(super) fn cap_updaters(&mut self, most: usize) {
        let mut updaters: Vec<(i64, ManagerId)> = self
            .entries
            .iter()
            .filter(|entry| entry.id.operation == Operation::Update)
            .map(|entry| (seconds(entry), entry.id.clone()))
            .collect();
        let mut count = updaters.len();
        if count <= most {
            return;
        }
        updaters.sort();
        let mut first_of_version: Vec<ManagerId> = Vec::new();
        for (_, id) in updaters {
            if count <= most {
                break;
            }
            let same_version = |other: &&ManagerId| other.api_version == id.api_version;
            let Some(first) = first_of_version.iter().find(same_version).cloned() else {
                first_of_version.push(id);
                continue;
            };
            let bucket_id =
                ManagerId::new("ancient-changes", Operation::Update, &id.api_version, None);
            let bucket = self.take(&bucket_id).or_else(|| self.take(&first));
            let (Some(bucket), Some(entry)) = (bucket, self.take(&id)) else {
                continue;
            };
            self.put(Entry {
                id: bucket_id,
                set: entry.set.union(&bucket.set),
                ..entry
            });
            count -= 1;
        }
    }
}

fn encode(entry: &Entry) -> Value {
    let mut value = json!({
        "manager": entry.id.manager,
        "operation": entry.id.operation.as_str(),
        "apiVersion": entry.api_version,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields_v1::encode(&entry.set),
    });
    if let Value::Object(value) = &mut value {
        if let Some(time) = &entry.time {
            value.insert("time".to_owned(), Value::from(time.as_str()));
        }
        if let Some(subresource) = &entry.id.subresource {
            value.insert("subresource".to_owned(), Value::from(subresource.as_str()));
        }
    }
    value
}

fn seconds(entry: &Entry) -> i64 {
    entry
        .time
        .as_deref()
        .and_then(|time| time.parse::<Timestamp>().ok())
        .map_or(0, Timestamp::as_second)
}

/// A time as it stands in an entry: RFC 3339, whole seconds.
pub(super) fn stamp(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
