//! Git's template in the words of the live one.
//!
//! Knative makes a Revision for another spelling as for another image. So where the two templates
//! mean the same and an object has to be written for something else, a label say, the template
//! goes out as the cluster has it: what Git sets, and what is ours already, with the live values.

use serde_json::{Map, Value, json};

use super::live::LiveObject;
use super::manager::Manager;

/// Gives what Git's template sets and what we own of the live template, as the live template has it.
pub(super) fn as_in(git: &Value, live: &LiveObject) -> Value {
    let live_object = live.value();
    let has = live_object.pointer("/spec/template");
    let Some(has) = has else {
        return git.clone();
    };
    let owned: Value = live
        .owner(Manager::Objects.name())
        .and_then(|owner| serde_json::from_str(&owner.fields).ok())
        .unwrap_or_default();
    let owned = owned.pointer("/f:spec/f:template");
    match respelled(Some(git), has, owned) {
        Some(template) => template,
        None => json!({}),
    }
}

/// What of a live value is Git's or ours. A list belongs to whoever has it as a whole.
fn respelled(git: Option<&Value>, has: &Value, owned: Option<&Value>) -> Option<Value> {
    let git = git.filter(|git| !git.is_null());
    if has.is_null() {
        return None;
    }
    let whole = owned.is_some_and(|owned| {
        let below = owned.as_object();
        below.is_none_or(|below| !below.keys().any(|name| name.starts_with("f:")))
    });
    let (Value::Object(fields), false) = (has, whole && git.is_none()) else {
        return (git.is_some() || owned.is_some()).then(|| has.clone());
    };
    let mut out = Map::new();
    for (name, has) in fields {
        let git = git.and_then(|git| git.get(name));
        let owned = owned.and_then(|owned| owned.get(format!("f:{name}")));
        if let Some(value) = respelled(git, has, owned) {
            out.insert(name.clone(), value);
        }
    }
    // A map of nothing but what others have is not ours to set.
    (!out.is_empty() || (git.is_some() && fields.is_empty())).then_some(Value::Object(out))
}

#[cfg(test)]
#[path = "tests/spelling.rs"]
mod tests;
