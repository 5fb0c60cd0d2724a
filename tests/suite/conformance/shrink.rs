//! Makes a sequence that shows a difference as small as it goes.

use serde_json::Value;

use super::step::{Body, Step};

/// Every sequence that is a little smaller, the much smaller ones first.
pub fn smaller(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut all = Vec::new();
    let mut length = steps.len() / 2;
    while length > 0 {
        for from in (0..steps.len()).step_by(length) {
            let to = (from + length).min(steps.len());
            let kept: Vec<Step> = steps[..from].iter().chain(&steps[to..]).cloned().collect();
            if !kept.is_empty() {
                all.push(kept);
            }
        }
        length /= 2;
    }
    for (at, step) in steps.iter().enumerate() {
        let mut with = |changed: Step| {
            let mut steps = steps.to_vec();
            steps[at] = changed;
            all.push(steps);
        };
        for gone in 0..step.query.len() {
            // A watch without its time would never end.
            if matches!(step.query[gone].0, "watch" | "timeoutSeconds") {
                continue;
            }
            let mut changed = step.clone();
            changed.query.remove(gone);
            with(changed);
        }
        // The last one ends the watch.
        for gone in 0..step.meanwhile.len().saturating_sub(1) {
            let mut changed = step.clone();
            changed.meanwhile.remove(gone);
            with(changed);
        }
        for gone in 0..step.beside.len() {
            let mut changed = step.clone();
            changed.beside.remove(gone);
            with(changed);
        }
        let bodies: Vec<Body> = match &step.body {
            Body::None => Vec::new(),
            Body::Is(value) => less_of_object(value).map(Body::Is).collect(),
            Body::Seen(value) => less_of_object(value).map(Body::Seen).collect(),
        };
        for body in bodies {
            with(Step {
                body,
                ..step.clone()
            });
        }
    }
    all
}

/// Smaller objects that are still the same one: what is said of no kind is another fault.
fn less_of_object(object: &Value) -> impl Iterator<Item = Value> {
    let identity = ["/apiVersion", "/kind", "/metadata/name"];
    less(object).into_iter().filter(move |smaller| {
        identity
            .iter()
            .all(|at| object.pointer(at) == smaller.pointer(at))
    })
}

/// Every value with one part fewer, the outer parts first.
fn less(value: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    match value {
        Value::Object(fields) => {
            // An operation of a JSON patch without a value is no smaller, but something else.
            for name in fields.keys().filter(|name| *name != "value") {
                let mut fewer = fields.clone();
                fewer.remove(name);
                all.push(Value::Object(fewer));
            }
            for (name, field) in fields {
                for smaller in less(field) {
                    let mut changed = fields.clone();
                    changed.insert(name.clone(), smaller);
                    all.push(Value::Object(changed));
                }
            }
        }
        Value::Array(items) => {
            for at in 0..items.len() {
                let mut fewer = items.clone();
                fewer.remove(at);
                all.push(Value::Array(fewer));
            }
            for (at, item) in items.iter().enumerate() {
                for smaller in less(item) {
                    let mut changed = items.clone();
                    changed[at] = smaller;
                    all.push(Value::Array(changed));
                }
            }
        }
        _ => {}
    }
    all
}
