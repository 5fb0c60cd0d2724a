//! A plan as a unified diff: what the cluster has against what it will have.
//!
//! Only what the plan changes shows. What the server filled in stands on both
//! sides, so that it is no difference; secrets are masked ([`super::mask`]).

use std::fmt::Write as _;

use serde_json::{Map, Value, json};
use similar::TextDiff;

use crate::api::object::ObjectKey;
use crate::api::serving::annotation;

use super::annotations;
use super::live::{Live, LiveObject};
use super::manager::Manager;
use super::normalize::{self, is_empty, is_left_out};
use super::path::PathStep;
use super::service::ServiceIntent;
use super::steps::{Action, Plan, ReleaseReason, Step};
use super::{mask, takeover};

/// Lines of context around a change, as `diff -u` has them.
const CONTEXT: usize = 3;

/// One object, before and after. Secrets are masked already.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Which object.
    pub key: ObjectKey,
    /// Its file, where Git has it.
    pub origin: Option<String>,
    /// As the cluster has it; `None` where it does not.
    pub before: Option<Value>,
    /// As it will be; `None` where it will not be.
    pub after: Option<Value>,
}

/// How a diff is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Text only.
    Plain,
    /// With ANSI colours.
    Coloured,
}

/// What a plan changes, object by object in the plan's order.
pub fn differences(plan: &Plan, live: &dyn Live) -> Vec<Difference> {
    plan.steps
        .iter()
        .flat_map(|step| of_step(plan, step, live))
        .filter(|difference| difference.before != difference.after)
        .collect()
}

/// The differences as one text.
pub fn render(differences: &[Difference], style: Style) -> String {
    let mut out = String::new();
    for difference in differences {
        draw(difference, style, &mut out);
    }
    out
}

fn of_step(plan: &Plan, step: &Step, live: &dyn Live) -> Vec<Difference> {
    let origin = step.origin.as_deref();
    match &step.action {
        Action::Create { object }
        | Action::Update { object, .. }
        | Action::Adopt { object, .. } => {
            let before = live.get(&step.key);
            vec![difference(
                &step.key,
                origin,
                before.as_deref(),
                Some(object),
                Manager::Objects,
            )]
        }
        Action::Prune { .. } => {
            let before = live.get(&step.key);
            vec![difference(
                &step.key,
                origin,
                before.as_deref(),
                None,
                Manager::Objects,
            )]
        }
        Action::Release { reasons } => {
            let namespace = step.key.namespace.as_deref().unwrap_or_default();
            match plan.service(namespace, &step.key.name) {
                Some(service) => of_release(service, reasons, live),
                None => Vec::new(),
            }
        }
    }
}

/// A service's objects as they will be in the end: Git's template, and the traffic
/// block that its release ends in. What happens on the way is the rollout's.
fn of_release(
    service: &ServiceIntent,
    reasons: &[ReleaseReason],
    live: &dyn Live,
) -> Vec<Difference> {
    let origin = Some(service.origin.as_str());
    let (template_key, traffic_key) = (service.template_key(), service.traffic_key());
    let before = live.get(&template_key);
    // Where only the spelling differs, the live one stays.
    let same = before
        .as_deref()
        .filter(|live| service.template_changes(live).is_empty())
        .and_then(|live| live.value().pointer("/spec/template").cloned());
    let template = same.unwrap_or_else(|| service.template.value());
    let template = service.template_object(&template);
    let mut template = difference(
        &template_key,
        origin,
        before.as_deref(),
        Some(&template),
        Manager::Objects,
    );

    let mut route = live.get(&traffic_key);
    let usable = service.traffic_problem.is_none();
    let shown = usable
        && reasons.iter().any(|reason| match reason {
            ReleaseReason::New | ReleaseReason::Adopted { .. } => !service.traffic.is_empty(),
            ReleaseReason::Traffic | ReleaseReason::Missing(_) => true,
            ReleaseReason::Metadata(_)
            | ReleaseReason::Template(_)
            | ReleaseReason::RevisionName { .. }
            | ReleaseReason::Drift { .. } => false,
        });
    let traffic = match shown {
        true => json!(service.traffic),
        false => {
            let has = route.as_ref().map(|route| route.value());
            let has = has
                .as_ref()
                .and_then(|route| route.pointer("/spec/traffic"));
            has.cloned()
                .unwrap_or_else(|| json!([{"latestRevision": true, "percent": 100}]))
        }
    };
    if template_key == traffic_key {
        if shown && let Some(after) = &mut template.after {
            set_traffic(after, traffic);
        }
        return vec![template];
    }
    let mut object = service.traffic_object(&[]);
    set_traffic(&mut object, traffic);
    let route = difference(
        &traffic_key,
        origin,
        route.take().as_deref(),
        Some(&object),
        Manager::Traffic,
    );
    vec![template, route]
}

fn set_traffic(object: &mut Value, traffic: Value) {
    if let Some(fields) = object.as_object_mut() {
        let spec = fields.entry("spec").or_insert_with(|| json!({}));
        if let Some(spec) = spec.as_object_mut() {
            spec.insert("traffic".into(), traffic);
        }
    }
}

fn difference(
    key: &ObjectKey,
    origin: Option<&str>,
    live: Option<&LiveObject>,
    desired: Option<&Value>,
    manager: Manager,
) -> Difference {
    // With the defaults on both sides, none of them is a difference, whichever server
    // (or none) filled them in.
    let before = live.map(|live| normalize::defaulted(&live.value()));
    let mut after = match (&before, desired) {
        (Some(before), Some(desired)) => Some(overlaid(before, desired, live, manager)),
        (None, Some(desired)) => Some(desired.clone()),
        (_, None) => None,
    };
    let mut before = before;
    for side in [&mut before, &mut after].into_iter().flatten() {
        tidy(side);
    }
    mask::mask(before.as_mut(), after.as_mut());
    Difference {
        key: key.clone(),
        origin: origin.map(str::to_owned),
        before,
        after,
    }
}

/// Takes away what nobody delivers and what only we read.
fn tidy(object: &mut Value) {
    let Some(fields) = object.as_object_mut() else {
        return;
    };
    fields.remove("status");
    fields.retain(|_, value| !value.is_null());
    let Some(metadata) = fields.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    for name in [
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "managedFields",
        "selfLink",
        "ownerReferences",
        "finalizers",
    ] {
        metadata.remove(name);
    }
    if let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    {
        for name in [
            annotations::DIGEST,
            annotations::DELIVERY,
            annotation::NO_GC,
            "kubectl.kubernetes.io/last-applied-configuration",
            "serving.knative.dev/creator",
            "serving.knative.dev/lastModifier",
            "serving.knative.dev/routes",
            "serving.knative.dev/routingStateModified",
        ] {
            annotations.remove(name);
        }
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
}

/// The live object after an apply: what Git sets as Git sets it, what we set before
/// and no longer do taken away, the rest as it is.
fn overlaid(before: &Value, desired: &Value, live: Option<&LiveObject>, manager: Manager) -> Value {
    let owned = live.and_then(|live| takeover::owned(live, manager));
    let overlay = Overlay {
        keyed: normalize::keyed_lists(desired),
        serving: normalize::is_serving(desired),
    };
    overlay.value(
        before,
        &normalize::defaulted(desired),
        owned.as_ref(),
        &mut Vec::new(),
    )
}

struct Overlay {
    keyed: bool,
    serving: bool,
}

impl Overlay {
    fn value(
        &self,
        before: &Value,
        desired: &Value,
        owned: Option<&Value>,
        path: &mut Vec<PathStep>,
    ) -> Value {
        match (before, desired) {
            (Value::Object(before), Value::Object(desired)) => {
                Value::Object(self.map(before, desired, owned, path))
            }
            (Value::Array(before), Value::Array(desired)) => {
                Value::Array(self.list(before, desired, owned, path))
            }
            _ if is_empty(before) && is_empty(desired) => before.clone(),
            (_, Value::Null) => before.clone(),
            _ if normalize::same_scalar(
                desired,
                before,
                path.iter().any(normalize::is_quantity),
            ) =>
            {
                before.clone()
            }
            _ => desired.clone(),
        }
    }

    fn map(
        &self,
        before: &Map<String, Value>,
        desired: &Map<String, Value>,
        owned: Option<&Value>,
        path: &mut Vec<PathStep>,
    ) -> Map<String, Value> {
        let part = |name: &str| owned.and_then(|owned| owned.get(format!("f:{name}")));
        let exact = self.is_exact(path);
        let mut after = Map::new();
        for (name, has) in before {
            match desired.get(name) {
                Some(wanted) => {
                    path.push(PathStep::Field(name.clone()));
                    after.insert(name.clone(), self.value(has, wanted, part(name), path));
                    path.pop();
                }
                None if part(name).is_some() || (exact && !is_left_out(name, has)) => {}
                None => {
                    after.insert(name.clone(), has.clone());
                }
            }
        }
        for (name, wanted) in desired {
            if !before.contains_key(name) && !is_left_out(name, wanted) {
                after.insert(name.clone(), wanted.clone());
            }
        }
        after
    }

    /// A serving template is known whole: with its defaults filled in, what Git does
    /// not have is not there.
    fn is_exact(&self, path: &[PathStep]) -> bool {
        let field =
            |at: usize, name: &str| matches!(path.get(at), Some(PathStep::Field(f)) if f == name);
        self.serving && field(0, "spec") && field(1, "template") && field(2, "spec")
    }

    fn list(
        &self,
        before: &[Value],
        desired: &[Value],
        owned: Option<&Value>,
        path: &mut Vec<PathStep>,
    ) -> Vec<Value> {
        let key = self.keyed.then(|| normalize::list_key(desired)).flatten();
        let Some(key) = key else {
            return desired
                .iter()
                .enumerate()
                .map(|(at, wanted)| match before.get(at) {
                    Some(has) if self.is_exact(path) => {
                        path.push(PathStep::Index(at));
                        let merged = self.value(has, wanted, None, path);
                        path.pop();
                        merged
                    }
                    _ => before
                        .iter()
                        .find(|has| normalize::changes(wanted, has, None).is_empty())
                        .unwrap_or(wanted)
                        .clone(),
                })
                .collect();
        };
        let named = |item: &Value| normalize::identity(item, key);
        let mut after = Vec::new();
        for has in before {
            match desired.iter().find(|wanted| named(wanted) == named(has)) {
                Some(wanted) => {
                    path.push(PathStep::Key(named(has)));
                    after.push(self.value(has, wanted, None, path));
                    path.pop();
                }
                None if owns_item(owned, key, &named(has)) => {}
                None => after.push(has.clone()),
            }
        }
        after.extend(
            desired
                .iter()
                .filter(|wanted| !before.iter().any(|has| named(has) == named(wanted)))
                .cloned(),
        );
        after
    }
}

/// Whether a FieldsV1 list part has the item with this key: `k:{"name":"a"}`.
fn owns_item(owned: Option<&Value>, key: &str, name: &str) -> bool {
    let items = owned.and_then(Value::as_object);
    items.into_iter().flatten().any(|(item, _)| {
        item.strip_prefix("k:")
            .and_then(|keys| serde_json::from_str::<Value>(keys).ok())
            .is_some_and(|keys| normalize::identity(&keys, key) == name)
    })
}

fn draw(difference: &Difference, style: Style, out: &mut String) {
    let yaml = |side: &Option<Value>| match side {
        Some(value) => serde_yaml::to_string(value).unwrap_or_else(|_| value.to_string()),
        None => String::new(),
    };
    let (before, after) = (yaml(&difference.before), yaml(&difference.after));
    let diff = TextDiff::from_lines(&before, &after);
    let name = |side: &Option<Value>, of: &str| match side {
        Some(_) => format!("{} ({of})", difference.key),
        None => "/dev/null".to_owned(),
    };
    let git = difference.origin.as_deref().unwrap_or("Git");
    let text = diff
        .unified_diff()
        .context_radius(CONTEXT)
        .header(
            &name(&difference.before, "cluster"),
            &name(&difference.after, git),
        )
        .to_string();
    for line in text.lines() {
        let colour = match style {
            Style::Plain => None,
            Style::Coloured => colour(line),
        };
        // Writing to a String cannot fail.
        let _ = match colour {
            Some(colour) => writeln!(out, "\u{1b}[{colour}m{line}\u{1b}[0m"),
            None => writeln!(out, "{line}"),
        };
    }
}

fn colour(line: &str) -> Option<&'static str> {
    if line.starts_with("--- ") || line.starts_with("+++ ") {
        return Some("1");
    }
    match line.chars().next() {
        Some('-') => Some("31"),
        Some('+') => Some("32"),
        Some('@') => Some("36"),
        _ => None,
    }
}
