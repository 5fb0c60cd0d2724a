//! Stories of appliers and updaters over one object, after the published cases of
//! structured-merge-diff and the field manager.

mod applies;
mod generate;
mod oracle;
mod ownership;
mod properties;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::schema::Schema;

/// One object, its schema, a clock that moves a second at each request.
pub(super) struct Story {
    schema: Schema,
    live: Option<Value>,
    now: Timestamp,
    reset: ResetFields,
}

impl Story {
    pub(super) fn of(schema: Schema) -> Self {
        Self {
            schema,
            live: None,
            now: Timestamp::UNIX_EPOCH,
            reset: ResetFields::None,
        }
    }

    pub(super) fn resetting(mut self, reset: ResetFields) -> Self {
        self.reset = reset;
        self
    }

    fn tick(&mut self) -> Timestamp {
        self.now += SignedDuration::from_secs(1);
        self.now
    }

    pub(super) fn try_apply_with(
        &mut self,
        manager: &str,
        fields: Value,
        force: bool,
        subresource: Option<&str>,
    ) -> Result<(), String> {
        let now = self.tick();
        let reset = match subresource {
            Some(_) => ResetFields::of(true, subresource),
            None => self.reset,
        };
        let options = ApplyOptions {
            manager,
            force,
            subresource,
            reset,
            now,
            may_not_fit: false,
        };
        let object = apply(self.live.as_ref(), &object(fields), &self.schema, &options)
            .map_err(|error| error.to_string())?;
        self.store(object);
        Ok(())
    }

    pub(super) fn try_apply(&mut self, manager: &str, fields: Value) -> Result<(), String> {
        self.try_apply_with(manager, fields, false, None)
    }

    pub(super) fn apply(mut self, manager: &str, fields: Value) -> Self {
        self.try_apply(manager, fields).unwrap();
        self
    }

    pub(super) fn force(mut self, manager: &str, fields: Value) -> Self {
        self.try_apply_with(manager, fields, true, None).unwrap();
        self
    }

    pub(super) fn update(mut self, manager: &str, fields: Value) -> Self {
        self.update_through(manager, fields, None);
        self
    }

    pub(super) fn update_through(
        &mut self,
        manager: &str,
        fields: Value,
        subresource: Option<&str>,
    ) {
        let options = UpdateOptions {
            manager,
            subresource,
            reset: ResetFields::of(self.reset != ResetFields::None, subresource),
            now: self.tick(),
        };
        let new = update(self.live.as_ref(), object(fields), &self.schema, &options);
        self.store(new);
    }

    fn store(&mut self, mut object: Value) {
        if let Some(live) = &self.live {
            noop(live, &mut object, false);
        }
        self.live = Some(object);
    }

    pub(super) fn live(&self) -> &Value {
        self.live.as_ref().unwrap()
    }

    /// The object's own fields: what a story says of it.
    pub(super) fn fields(&self) -> Value {
        let mut fields = self.live().clone();
        let object = fields.as_object_mut().unwrap();
        for name in ["apiVersion", "kind"] {
            object.remove(name);
        }
        let metadata = object.get_mut("metadata").unwrap().as_object_mut().unwrap();
        for name in ["name", "managedFields"] {
            metadata.remove(name);
        }
        if metadata.is_empty() {
            object.remove("metadata");
        }
        fields
    }

    /// One line a manager: `name Operation: .path .path`.
    pub(super) fn owners(&self) -> String {
        let managed = managers::Managed::decode(self.live()).unwrap();
        let mut lines: Vec<String> = managed
            .entries
            .iter()
            .map(|entry| {
                let paths: Vec<String> =
                    entry.set.paths().iter().map(ToString::to_string).collect();
                let through = entry.id.subresource.as_ref();
                format!(
                    "{}{} {:?}: {}",
                    entry.id.manager,
                    through.map(|name| format!("/{name}")).unwrap_or_default(),
                    entry.id.operation,
                    paths.join(" ")
                )
            })
            .collect();
        lines.sort();
        lines.join("\n")
    }

    #[track_caller]
    pub(super) fn has(self, fields: Value) -> Self {
        assert_eq!(self.fields(), fields);
        self
    }

    #[track_caller]
    pub(super) fn owned(self, owners: &str) -> Self {
        let owners: Vec<&str> = owners
            .lines()
            .map(str::trim)
            .filter(|l| !l.is_empty())
            .collect();
        assert_eq!(self.owners(), owners.join("\n"));
        self
    }

    #[track_caller]
    pub(super) fn refuses(mut self, manager: &str, fields: Value, message: &str) -> Self {
        assert_eq!(self.try_apply(manager, fields), Err(message.to_owned()));
        self
    }
}

fn object(fields: Value) -> Value {
    let mut object = json!({"apiVersion": "v1", "kind": "Thing", "metadata": {"name": "thing"}});
    for (name, value) in fields.as_object().unwrap() {
        if name == "metadata" {
            let metadata = object["metadata"].as_object_mut().unwrap();
            metadata.extend(value.as_object().unwrap().clone());
        } else {
            object[name] = value.clone();
        }
    }
    object
}

/// A custom kind with a template: a Service whose lists are atomic, but for those of its containers.
pub(super) fn templated() -> Schema {
    let text = json!({"type": "string"});
    let texts = json!({"type": "object", "additionalProperties": text});
    let container = json!({"type": "object", "properties": {
        "name": text, "image": text, "resources": {"type": "object"},
        "env": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {"type": "object", "required": ["name"], "properties": {"name": text, "value": text}},
        },
    }});
    let template = json!({"type": "object", "properties": {
        "metadata": {"type": "object", "properties": {"annotations": texts, "labels": texts}},
        "spec": {"type": "object", "required": ["containers"], "properties": {
            "containers": {"type": "array", "items": container},
            "timeoutSeconds": {"type": "integer", "format": "int64"},
        }},
    }});
    let traffic = json!({"type": "array", "items": {"type": "object", "properties": {
        "latestRevision": {"type": "boolean"},
        "percent": {"type": "integer", "format": "int64"},
        "revisionName": text,
    }}});
    let condition = json!({"type": "object", "properties": {"status": text, "type": text}});
    Schema::from_openapi(&json!({"type": "object", "properties": {
        "spec": {"type": "object", "properties": {"template": template, "traffic": traffic}},
        "status": {"type": "object", "properties": {
            "conditions": {"type": "array", "items": condition},
            "observedGeneration": {"type": "integer", "format": "int64"},
        }},
    }}))
}

/// A schema with one of everything.
pub(super) fn things() -> Schema {
    Schema::from_openapi(&json!({
        "type": "object",
        "properties": {
            "numeric": {"type": "integer"},
            "string": {"type": "string"},
            "bool": {"type": "boolean"},
            "mixed": {"x-kubernetes-int-or-string": true},
            "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
            "struct": {"type": "object", "properties": {
                "numeric": {"type": "integer"},
                "string": {"type": "string"},
                "inner": {"type": "object", "properties": {"value": {"type": "integer"}}},
            }},
            "atomicStruct": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {
                "numeric": {"type": "integer"}, "string": {"type": "string"},
            }},
            "map": {"type": "object", "additionalProperties": {"type": "string"}},
            "maps": {"type": "object", "additionalProperties": {"type": "object", "properties": {
                "a": {"type": "integer"}, "b": {"type": "integer"},
            }}},
            "atomicMap": {"type": "object", "x-kubernetes-map-type": "atomic",
                "additionalProperties": {"type": "string"}},
            "atomicList": {"type": "array", "items": {"type": "string"}},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "list": {"type": "array", "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "required": ["name"], "properties": {
                    "name": {"type": "string"},
                    "value": {"type": "integer"},
                    "other": {"type": "integer"},
                    "tags": {"type": "array", "x-kubernetes-list-type": "set",
                        "items": {"type": "string"}},
                }}},
            "ports": {"type": "array", "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["port", "protocol"],
                "items": {"type": "object", "required": ["port"], "properties": {
                    "port": {"type": "integer"},
                    "protocol": {"type": "string", "default": "TCP"},
                    "name": {"type": "string"},
                }}},
            "any": {"x-kubernetes-preserve-unknown-fields": true},
        },
    }))
}
