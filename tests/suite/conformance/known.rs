//! The differences that are left, each with its reason in the list of `docs/conformance.md`.

use serde_json::Value;

use super::defining::DEFINITION;
use super::side::Answer;
use super::step::{Body, JSON_PATCH, Step};

/// Whether a difference is one that is known: the answers are made alike in it.
type Mask = fn(&Step, &mut Answer, &mut Answer);

/// By the name that it has in the list.
pub const KNOWN: &[(&str, Mask)] = &[
    ("told-twice", told_twice),
    ("faults-in-order", faults_in_order),
    ("go-types", go_types),
    ("items-kind", items_kind),
    ("empty-enums", empty_enums),
    ("moved-fields", moved_fields),
    ("printed-structs", printed_structs),
];

/// Both answers, changed in the same way.
fn both(ours: &mut Answer, real: &mut Answer, change: impl Fn(&mut Answer)) {
    change(ours);
    change(real);
}

/// The texts of a `Status`: its message and those of its causes.
fn texts(answer: &mut Answer, change: impl Fn(&mut String)) {
    if let Some(Value::String(message)) = answer.body.get_mut("message") {
        change(message);
    }
    if let Some(Value::Array(causes)) = answer.body.pointer_mut("/details/causes") {
        for cause in causes {
            if let Some(Value::String(message)) = cause.get_mut("message") {
                change(message);
            }
        }
    }
}

/// A fault of the metadata is in the causes of an update more than once.
fn told_twice(_: &Step, ours: &mut Answer, real: &mut Answer) {
    both(ours, real, |answer| {
        if let Some(Value::Array(causes)) = answer.body.pointer_mut("/details/causes") {
            let mut once: Vec<Value> = Vec::new();
            for cause in std::mem::take(causes) {
                if !once.contains(&cause) {
                    once.push(cause);
                }
            }
            *causes = once;
        }
    });
}

/// Several faults of one object are told in the order of Go's code.
fn faults_in_order(_: &Step, ours: &mut Answer, real: &mut Answer) {
    both(ours, real, |answer| {
        if answer.body["reason"] != "Invalid" {
            return;
        }
        if let Some(Value::Array(causes)) = answer.body.pointer_mut("/details/causes") {
            causes.sort_by_key(ToString::to_string);
        }
        if let Some(Value::String(message)) = answer.body.get_mut("message")
            && let Some(at) = message.find("is invalid: [")
        {
            message.truncate(at);
        }
    });
}

/// What is of another type than its field, and what Knative's webhook cannot read, is told by the names of Go's
/// types there, by field and value here.
fn go_types(_: &Step, ours: &mut Answer, real: &mut Answer) {
    both(ours, real, |answer| {
        texts(answer, |text| {
            if let Some(at) = text.find("cannot decode incoming new object: ") {
                text.truncate(at);
            }
            if text.contains("failed to create typed patch object") {
                let wanted = text.lines().map(|line| match line.split_once(", got ") {
                    Some((wanted, _)) => wanted,
                    None => line,
                });
                *text = wanted.collect::<Vec<_>>().join("\n");
            }
        });
    });
}

/// The items of a list say their kind here.
fn items_kind(_: &Step, ours: &mut Answer, real: &mut Answer) {
    both(ours, real, |answer| {
        if let Some(Value::Array(items)) = answer.body.get_mut("items") {
            for item in items.iter_mut().filter_map(Value::as_object_mut) {
                item.remove("apiVersion");
                item.remove("kind");
            }
        }
    });
}

/// Who owns the versions of a definition with a schema that says `enum: []`.
fn empty_enums(step: &Step, ours: &mut Answer, real: &mut Answer) {
    let says_so = |spec: &Value| spec.to_string().contains("\"enum\":[]");
    if step.about != DEFINITION || !step.says("spec").is_some_and(says_so) {
        return;
    }
    both(ours, real, |answer| {
        if let Some(metadata) = answer.body["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
    });
}

/// Fields that a JSON patch moves to where nobody knows them come in the order of the struct that they
/// were in.
fn moved_fields(step: &Step, ours: &mut Answer, real: &mut Answer) {
    let Body::Is(Value::Array(operations)) = &step.body else {
        return;
    };
    let moves = |one: &Value| one["op"] == "move" || one["op"] == "copy";
    if step.media != JSON_PATCH || !operations.iter().any(moves) {
        return;
    }
    both(ours, real, |answer| {
        let is_unknown = |words: &String| words.contains("unknown field");
        if answer.warnings.iter().all(is_unknown) {
            answer.warnings.sort();
        }
        texts(answer, |text| {
            if let Some((head, list)) = text.split_once("strict decoding error: ") {
                let mut list: Vec<&str> = list.split(", ").collect();
                list.sort_unstable();
                *text = format!("{head}strict decoding error: {}", list.join(", "));
            }
        });
    });
}

/// What changed of a template under its name is told by Go's types there, by its fields here.
fn printed_structs(_: &Step, ours: &mut Answer, real: &mut Answer) {
    both(ours, real, |answer| {
        texts(answer, |text| {
            if text.contains("(-old +new)")
                && let Some(at) = text.find('\n')
            {
                text.truncate(at);
            }
        });
    });
}

/// Leaves of a refusal what clients read: code, reason, and the reasons and fields of its causes. Its words
/// count where a person reads them: in refusals of Knative's manifests.
fn without_words(step: &Step, answer: &mut Answer) {
    if step.path.contains("/serving.knative.dev/") || answer.body["kind"] != "Status" {
        return;
    }
    texts(answer, String::clear);
    if let Some(details) = answer.body.pointer_mut("/details")
        && let Some(Value::Array(causes)) = details.get_mut("causes")
    {
        causes.sort_by_key(ToString::to_string);
        causes.dedup();
    }
}

/// Makes known differences equal; gives the names of those that were there.
pub fn settle(step: &Step, ours: &mut Answer, real: &mut Answer) -> Vec<&'static str> {
    without_words(step, ours);
    without_words(step, real);
    let mut met = Vec::new();
    for (name, mask) in KNOWN {
        if ours == real {
            break;
        }
        let before = (ours.clone(), real.clone());
        mask(step, ours, real);
        if before != (ours.clone(), real.clone()) {
            met.push(*name);
        }
    }
    met
}

#[test]
fn the_list_of_the_documentation_is_this_one() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/conformance.md"))
        .unwrap();
    let (_, list) = text.split_once("| difference | here |").expect("the list");
    let told: Vec<&str> = list
        .lines()
        .take_while(|line| {
            line.is_empty() || line.starts_with('|') || line.starts_with(" Kubernetes")
        })
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let known: Vec<&str> = KNOWN.iter().map(|(name, _)| *name).collect();
    assert_eq!(told, known);
}
