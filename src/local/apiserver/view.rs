//! Views: objects are stored in one version and may be spoken of in several.
//!
//! For CRDs with several versions only `apiVersion` differs (conversion strategy
//! `None`); `events.k8s.io/v1` says the core group's events in later words.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::Value;

use super::behaviour::Behaviour;
use super::object;
use super::resource::Resource;
use super::store::Stored;

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
    if is_stored_form(resource) && !is_external(resource, stored) {
        stored.body.clone()
    } else {
        Bytes::from(value(resource, stored).to_string())
    }
}

/// The Services that are shown without something that is stored, told by the store's own index.
fn is_external(resource: &Resource, stored: &Stored) -> bool {
    let is_it = |(name, value): &(_, _)| name == "spec.type" && value == EXTERNAL;
    resource.behaviour == Behaviour::Service && stored.fields.iter().any(is_it)
}

const EXTERNAL: &str = "ExternalName";

/// The object as the resource's clients see it.
pub fn value(resource: &Resource, stored: &Stored) -> Value {
    let mut value = stored.value();
    show(resource, &mut value);
    value
}

/// Turns a stored object into what clients see. Where a Service is another name for something
/// outside, how traffic comes to it from inside is stored and not shown; its status shows it.
pub fn show(resource: &Resource, value: &mut Value) {
    from_storage(resource, value);
    if resource.behaviour == Behaviour::Service && object::text_at(value, "spec.type") == EXTERNAL {
        object::child_mut(value, "spec").remove("internalTrafficPolicy");
    }
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

/// Turns an object of the resource's version into the one that is stored.
pub fn to_storage(resource: &Resource, value: &mut Value) {
    convert(
        resource,
        value,
        &resource.storage_api_version,
        |(stored, seen)| (seen, stored),
    );
}

/// The kind's definition of a field in words of the stored form, for selectors.
pub fn stored_field(resource: &Resource, field: &str) -> String {
    if resource.behaviour == Behaviour::Event && !is_stored_form(resource) {
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
    if resource.behaviour == Behaviour::Event {
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
    if resource.behaviour != Behaviour::Event || is_stored_form(resource) {
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
