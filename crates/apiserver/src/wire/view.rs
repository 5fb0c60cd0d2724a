//! Views: objects are stored in one version and may be spoken of in several.
//!
//! For CRDs with several versions only `apiVersion` differs (conversion strategy
//! `None`), and what the versions know; `events.k8s.io/v1` says the core group's events in later words.
//!
//! Custom objects are read by the schema that their definition has by now: what it does not know any more
//! is gone, and what it fills in is there.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use crate::json::object;
use crate::model::resource::{Origin, Resource};
use crate::model::strategy::Strategy;
use crate::schema::Schema;
use crate::store::Stored;

/// The core group's word and the later word for each renamed field of an event.
const EVENT_WORDS: &[(&str, &str)] = &[
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// The object as the resource's clients see it, as bytes.
pub fn bytes(resource: &Resource, stored: &Stored) -> Bytes {
    if is_stored_form(resource)
        && stored.revision > resource.since
        && !is_external(resource, stored)
    {
        stored.body.clone()
    } else {
        Bytes::from(value(resource, stored).to_string())
    }
}

/// The Services that are shown without something that is stored, told by the store's own index.
fn is_external(resource: &Resource, stored: &Stored) -> bool {
    let is_it = |(name, value): &(_, _)| name == "spec.type" && value == EXTERNAL;
    resource.strategy == Strategy::Service && stored.fields.iter().any(is_it)
}

const EXTERNAL: &str = "ExternalName";

/// The object as the resource's clients see it.
pub fn value(resource: &Resource, stored: &Stored) -> Value {
    let mut value = whole(resource, stored);
    hide(resource, &mut value);
    value
}

/// The object in the resource's version with all that is stored of it, as its status shows it.
pub fn whole(resource: &Resource, stored: &Stored) -> Value {
    let mut value = stored.value();
    if stored.revision <= resource.since || !is_stored_form(resource) {
        read(resource, &mut value);
    }
    from_storage(resource, &mut value);
    value
}

/// Where a Service is another name for something outside, how traffic comes to it from inside is
/// stored and not shown.
pub fn hide(resource: &Resource, value: &mut Value) {
    if resource.strategy == Strategy::Service && object::text_at(value, "spec.type") == EXTERNAL {
        object::child_mut(value, "spec").remove("internalTrafficPolicy");
    }
}

/// Reads a custom object from the store: by the schema of the version that it is stored in, which also
/// fills in, and then by that of the version that is asked for.
fn read(resource: &Resource, value: &mut Value) {
    let stored_in = object::text_at(value, "apiVersion");
    if let Some(schema) = schema_of(resource, &stored_in) {
        schema.prune(value);
        schema.drop_nulls(value);
        schema.default(value);
    }
    let asked_for = resource.api_version();
    if stored_in != asked_for
        && let Some(schema) = schema_of(resource, &asked_for)
    {
        schema.prune(value);
        schema.drop_nulls(value);
    }
    // What is stored now may have been written when another version was stored.
    object::set(value, "apiVersion", asked_for);
}

/// The schema of a version of a custom kind.
fn schema_of<'r>(resource: &'r Resource, api_version: &str) -> Option<&'r Schema> {
    let mut known = resource.known.iter();
    let version = known.find(|version| version.api_version == api_version)?;
    Some(&version.schema)
}

/// The object that a write goes on from: custom objects are written in the version that is asked for.
pub fn live(resource: &Resource, stored: &Stored) -> Value {
    match resource.origin {
        Origin::Custom => value(resource, stored),
        Origin::BuiltIn | Origin::HandedIn => stored.value(),
    }
}

/// A written object as it is stored: what the version that is stored does not know is left out.
pub fn to_stored(resource: &Resource, mut value: Value) -> Value {
    if resource.origin == Origin::Custom {
        let stored_in = resource.storage_api_version.as_str();
        object::set(&mut value, "apiVersion", stored_in);
        if let Some(schema) = schema_of(resource, stored_in) {
            schema.prune(&mut value);
            schema.drop_nulls(&mut value);
        }
    }
    value
}

/// A custom object that is not stored, as if it had been.
pub fn as_if_stored(resource: &Resource, value: Value) -> Value {
    if resource.origin != Origin::Custom || is_stored_form(resource) {
        return value;
    }
    let mut value = to_stored(resource, value);
    read(resource, &mut value);
    value
}

/// Whether an object that nobody changes is stored in another form than it was: its definition was
/// changed meanwhile, or it is written in a version that does not know all of it.
pub fn is_stored_anew(resource: &Resource, stored: &Stored, value: &Value) -> bool {
    resource.origin == Origin::Custom
        && (stored.revision <= resource.since || !is_stored_form(resource))
        && to_stored(resource, value.clone()) != stored.value()
}

/// Turns a stored object into the resource's version.
pub fn from_storage(resource: &Resource, value: &mut Value) {
    convert(
        resource,
        value,
        &resource.api_version(),
        |(stored, seen)| (stored, seen),
    );
}

/// Turns an object of the resource's version into the one that is stored. Custom objects are turned when
/// they are put away.
pub fn to_storage(resource: &Resource, value: &mut Value) {
    if resource.origin != Origin::Custom {
        convert(
            resource,
            value,
            &resource.storage_api_version,
            |(stored, seen)| (seen, stored),
        );
    }
}

/// The kind's definition of a field in words of the stored form, for selectors.
pub fn stored_field(resource: &Resource, field: &str) -> String {
    if resource.strategy == Strategy::Event && !is_stored_form(resource) {
        let (head, rest) = match field.split_once('.') {
            Some((head, rest)) => (head, Some(rest)),
            None => (field, None),
        };
        let renamed = EVENT_WORDS
            .iter()
            .find(|(_, seen)| *seen == head)
            .map_or(head, |(stored, _)| stored);
        return match rest {
            Some(rest) => format!("{renamed}.{rest}"),
            None => renamed.to_owned(),
        };
    }
    field.to_owned()
}

fn is_stored_form(resource: &Resource) -> bool {
    resource.api_version() == resource.storage_api_version
}

type Words = (&'static str, &'static str);

fn convert(resource: &Resource, value: &mut Value, api_version: &str, order: fn(Words) -> Words) {
    if is_stored_form(resource) {
        return;
    }
    let map = object::as_map(value);
    map.insert("apiVersion".to_owned(), api_version.into());
    if resource.strategy == Strategy::Event {
        for words in EVENT_WORDS {
            let (from, to) = order(*words);
            if let Some(found) = map.remove(from) {
                map.insert(to.to_owned(), found);
            }
        }
    }
}

/// A field selector in the words of the stored form.
pub fn stored_selector<'a>(resource: &Resource, selector: &'a str) -> Cow<'a, str> {
    if resource.strategy != Strategy::Event || is_stored_form(resource) {
        return Cow::Borrowed(selector);
    }
    let parts: Vec<String> = selector
        .split(',')
        .map(|part| match part.find(['=', '!']) {
            Some(end) => {
                let (field, rest) = part.split_at(end);
                format!("{}{rest}", stored_field(resource, field.trim()))
            }
            None => part.to_owned(),
        })
        .collect();
    Cow::Owned(parts.join(","))
}
