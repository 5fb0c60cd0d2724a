//! What Knative refuses of a traffic block, found before anybody asks it.
//!
//! A block that is wrong costs only itself: the Service is delivered but for it, its traffic stays as the cluster has
//! it, and nothing goes up until the block is mended.

use serde_json::Value;

use super::node::Node;
use super::schema::nearest;
use super::words::{Words, say};
use super::yaml::Wrong;
use crate::api::{dns_names, serving};

/// Where the block stands in a Service and in a Route.
pub(super) const FIELD: &str = "spec.traffic";

/// Whose block it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// A Service's: an entry that names nothing follows its own newest revision.
    Service,
    /// A Route's: each entry names a Configuration or a Revision.
    Route,
}

/// One thing that is wrong with a block.
struct Fault {
    /// The entry, where it is about one.
    entry: Option<usize>,
    /// Its field, where it is about one.
    field: Option<String>,
    message: Words,
    hint: Option<Words>,
}

impl Fault {
    fn of(entry: usize, field: &str, message: Words) -> Self {
        Self {
            entry: Some(entry),
            field: (!field.is_empty()).then(|| field.to_owned()),
            message,
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<Words>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Such as `spec.traffic[1].tag`.
    fn path(&self) -> String {
        let entry = self.entry.map(|entry| format!("[{entry}]"));
        let field = self.field.as_ref().map(|field| format!(".{field}"));
        format!(
            "{FIELD}{}{}",
            entry.unwrap_or_default(),
            field.unwrap_or_default()
        )
    }

    fn sentence(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| hint.text(true));
        let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("{}: {}{hint}", self.path(), self.message.text(true))
    }
}

/// Why a Service's traffic block cannot be used: its first fault, and how many more there are.
pub fn problem(traffic: &Value, service: &str) -> Option<String> {
    let mut faults = shape(traffic);
    if faults.is_empty() {
        faults = rules(Owner::Service, traffic, service);
    }
    let (first, more) = faults.split_first()?;
    let more = match more.len() {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Some(format!("{}{more}", first.sentence()))
}

/// Why a Service that is applied as a Service cannot have this block, though a Route of the same entries could.
pub fn problem_in_service(traffic: &Value) -> Option<String> {
    let mut entries = traffic.as_array()?.iter();
    let index = entries.position(|entry| !text(entry, "configurationName").is_empty())?;
    let fault = Fault::of(
        index,
        "configurationName",
        say("a Knative Service may not name another Configuration"),
    );
    let fault = fault.hint("name a revision, or deliver it with sluice.dev/expand: Routes");
    Some(fault.sentence())
}

/// Whether a field is the traffic block's, or in it.
pub(super) fn holds(field: &str) -> bool {
    field
        .strip_prefix(FIELD)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// What is wrong with an object's block whose shape is right.
pub(super) fn check(owner: Owner, object: &Node, name: &str) -> Vec<Wrong> {
    let Some((at, block)) = object.find(&["spec", "traffic"]) else {
        return Vec::new();
    };
    let place = |fault: &Fault| {
        let index = fault.entry.map(|entry| entry.to_string());
        let mut path: Vec<&str> = index.as_deref().into_iter().collect();
        path.extend(fault.field.as_deref());
        // Of a field that is missing, the entry.
        let found = block.find(&path).or_else(|| block.find(path.get(..1)?));
        found.filter(|_| !path.is_empty()).map_or(at, |(at, _)| at)
    };
    rules(owner, &block.to_json(), name)
        .into_iter()
        .map(|fault| {
            let wrong = Wrong::new(place(&fault), fault.message.clone()).field(fault.path());
            match fault.hint {
                Some(hint) => wrong.hint(hint),
                None => wrong,
            }
        })
        .collect()
}

/// The value's fields as Go reads them: one that is null is not there.
fn shape(traffic: &Value) -> Vec<Fault> {
    let wrong = |message| Fault {
        entry: None,
        field: None,
        message,
        hint: None,
    };
    let entries = match traffic {
        Value::Null => return Vec::new(),
        Value::Array(entries) => entries,
        _ => return vec![wrong(say("it must be a list"))],
    };
    let mut faults = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let Some(fields) = entry.as_object() else {
            faults.push(Fault::of(index, "", say("it must be a map")));
            continue;
        };
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            if let Some((message, hint)) = misfit(name, value) {
                let mut fault = Fault::of(index, name, message);
                fault.hint = hint;
                faults.push(fault);
            }
        }
    }
    faults
}

fn misfit(name: &str, value: &Value) -> Option<(Words, Option<Words>)> {
    const FIELDS: [&str; 6] = [
        "tag",
        "revisionName",
        "configurationName",
        "latestRevision",
        "percent",
        "url",
    ];
    let message = match name {
        "latestRevision" if value.is_boolean() => return None,
        "latestRevision" => say("it must be true or false"),
        "percent" => match value.as_i64() {
            Some(0..=100) => return None,
            Some(percent) => say("").quote(percent).ours(" is not between 0 and 100"),
            None => say("it must be a whole number"),
        },
        _ if FIELDS.contains(&name) => match value {
            Value::String(_) => return None,
            _ => say("it must be a string"),
        },
        _ => {
            let near = nearest(name, FIELDS.into_iter());
            let hint = near.map(|near| say("did you mean \"").ours(near).ours("\"?"));
            return Some((say("unknown field"), hint));
        }
    };
    Some((message, None))
}

/// A field's text; empty where there is none.
fn text<'a>(entry: &'a Value, field: &str) -> &'a str {
    entry.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Knative's rules, of a block whose shape is right (`pkg/apis/serving/v1/route_validation.go`).
fn rules(owner: Owner, traffic: &Value, service: &str) -> Vec<Fault> {
    let entries = traffic.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut faults = Vec::new();
    let mut tags: Vec<(&str, usize)> = Vec::new();
    let mut sum = 0i64;
    for (index, entry) in entries.iter().enumerate() {
        let percent = entry.get("percent").and_then(Value::as_i64).unwrap_or(0);
        sum = sum.saturating_add(percent);
        faults.extend(names(owner, entry, index));
        let tag = text(entry, "tag");
        if tag.is_empty() {
            continue;
        }
        faults.extend(about_tag(tag, service, index));
        match tags.iter().find(|(other, _)| *other == tag) {
            Some((_, first)) => faults.push(
                Fault::of(
                    index,
                    "tag",
                    say("\"")
                        .quote(tag)
                        .ours("\" is already the tag of ")
                        .ours(format!("{FIELD}[{first}]")),
                )
                .hint("a tag shows one revision: give each entry a tag of its own"),
            ),
            None => tags.push((tag, index)),
        }
    }
    // An empty list is none.
    if sum != 100 && !entries.is_empty() {
        faults.push(Fault {
            entry: None,
            field: None,
            message: say("the entries sum to ").quote(sum).ours(" %, want 100 %"),
            hint: None,
        });
    }
    faults
}

fn about_tag(tag: &str, service: &str, index: usize) -> Option<Fault> {
    let says = |message: Words| Fault::of(index, "tag", message);
    if !dns_names::dns_1035_label(tag).is_empty() {
        let fault = says(say("\"").quote(tag).ours("\" is no tag"));
        return Some(fault.hint(
            "it may have lower-case letters, digits and \"-\", begins with a letter, ends with a letter or digit, and has 63 characters at most",
        ));
    }
    (!serving::tag_fits(tag, service)).then(|| {
        let length = tag.len() + 1 + service.len();
        let message = say("its host ").quote(tag).ours("-").ours(service);
        let message = message.ours(format!(
            " would have {length} characters, and a DNS label has 63 at most"
        ));
        says(message).hint("use a shorter tag")
    })
}

/// What an entry names.
fn names(owner: Owner, entry: &Value, index: usize) -> Vec<Fault> {
    let mut faults = Vec::new();
    let revision = text(entry, "revisionName");
    let configuration = text(entry, "configurationName");
    match (
        entry.get("latestRevision").and_then(Value::as_bool),
        revision,
    ) {
        (Some(true), name) if !name.is_empty() => faults.push(
            Fault::of(
                index,
                "latestRevision",
                say("an entry that names the revision ")
                    .quote(name)
                    .ours(" does not follow the latest"),
            )
            .hint("remove latestRevision, or revisionName"),
        ),
        (Some(false), "") => faults.push(
            Fault::of(
                index,
                "latestRevision",
                say("an entry that does not follow the latest revision must name one"),
            )
            .hint("set revisionName, or remove latestRevision"),
        ),
        _ => {}
    }
    if !revision.is_empty() && !configuration.is_empty() {
        let fault = Fault::of(
            index,
            "configurationName",
            say("it names a revision as well"),
        );
        faults.push(fault.hint("keep one of revisionName and configurationName"));
    } else if owner == Owner::Route && revision.is_empty() && configuration.is_empty() {
        let fault = Fault::of(
            index,
            "",
            say("it names neither a revision nor a Configuration"),
        );
        faults.push(fault.hint("set revisionName or configurationName"));
    }
    for (field, name) in [
        ("revisionName", revision),
        ("configurationName", configuration),
    ] {
        if !name.is_empty() && !dns_names::qualified_name(name).is_empty() {
            let kind = if field == "revisionName" {
                "Revision"
            } else {
                "Configuration"
            };
            let message = say("\"")
                .quote(name)
                .ours("\" is no name for a ")
                .ours(kind);
            faults.push(Fault::of(index, field, message));
        }
    }
    if !text(entry, "url").is_empty() {
        let fault = Fault::of(index, "url", say("the cluster writes it"));
        faults.push(fault.hint("remove it"));
    }
    faults
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde_json::json;

    use super::*;

    fn says(traffic: Value, expected: Expect) {
        expected.assert_eq(&problem(&traffic, "hello").unwrap_or_default());
    }

    #[test]
    fn what_knative_takes_is_no_problem() {
        for traffic in [
            json!(null),
            json!([]),
            json!([{"latestRevision": true, "percent": 100}]),
            json!([{"percent": 100, "tag": null}]),
            json!([{"revisionName": "hello-00001", "percent": 100}, {"revisionName": "hello-00002", "tag": "green"}]),
            json!([{"revisionName": "hello-00001", "latestRevision": false, "percent": 100, "url": ""}]),
        ] {
            assert_eq!(problem(&traffic, "hello"), None, "{traffic}");
        }
    }

    #[test]
    fn what_knative_refuses_is_said_with_its_field() {
        says(
            json!({"percent": 100}),
            expect!["spec.traffic: it must be a list"],
        );
        says(
            json!(["hello-00001"]),
            expect!["spec.traffic[0]: it must be a map"],
        );
        says(
            json!([{"percent": 50}]),
            expect!["spec.traffic: the entries sum to 50 %, want 100 %"],
        );
        says(
            json!([{"percent": 60}, {"percent": 60}]),
            expect!["spec.traffic: the entries sum to 120 %, want 100 %"],
        );
        says(
            json!([{"precent": 100}]),
            expect![[r#"spec.traffic[0].precent: unknown field; did you mean "percent"?"#]],
        );
        says(
            json!([{"weight": 100}]),
            expect!["spec.traffic[0].weight: unknown field"],
        );
        says(
            json!([{"percent": "100"}]),
            expect!["spec.traffic[0].percent: it must be a whole number"],
        );
        says(
            json!([{"percent": 99.5}]),
            expect!["spec.traffic[0].percent: it must be a whole number"],
        );
        says(
            json!([{"percent": 150}, {"percent": -50}]),
            expect!["spec.traffic[0].percent: 150 is not between 0 and 100 (and 1 more)"],
        );
        says(
            json!([{"percent": 100, "latestRevision": "true"}]),
            expect!["spec.traffic[0].latestRevision: it must be true or false"],
        );
        says(
            json!([{"percent": 100, "tag": 1}]),
            expect!["spec.traffic[0].tag: it must be a string"],
        );
        says(
            json!([{"percent": 100, "tag": "a"}, {"revisionName": "r", "tag": "a"}]),
            expect![[
                r#"spec.traffic[1].tag: "a" is already the tag of spec.traffic[0]; a tag shows one revision: give each entry a tag of its own"#
            ]],
        );
        says(
            json!([{"percent": 100, "tag": "Green_1"}]),
            expect![[
                r#"spec.traffic[0].tag: "Green_1" is no tag; it may have lower-case letters, digits and "-", begins with a letter, ends with a letter or digit, and has 63 characters at most"#
            ]],
        );
        says(
            json!([{"percent": 100, "tag": "g".repeat(58)}]),
            expect![
                "spec.traffic[0].tag: its host gggggggggggggggggggggggggggggggggggggggggggggggggggggggggg-hello would have 64 characters, and a DNS label has 63 at most; use a shorter tag"
            ],
        );
        says(
            json!([{"percent": 100, "revisionName": "r", "latestRevision": true}]),
            expect![
                "spec.traffic[0].latestRevision: an entry that names the revision r does not follow the latest; remove latestRevision, or revisionName"
            ],
        );
        says(
            json!([{"percent": 100, "latestRevision": false}]),
            expect![
                "spec.traffic[0].latestRevision: an entry that does not follow the latest revision must name one; set revisionName, or remove latestRevision"
            ],
        );
        says(
            json!([{"percent": 100, "revisionName": "r", "configurationName": "c"}]),
            expect![
                "spec.traffic[0].configurationName: it names a revision as well; keep one of revisionName and configurationName"
            ],
        );
        says(
            json!([{"percent": 100, "revisionName": "no name"}]),
            expect![[r#"spec.traffic[0].revisionName: "no name" is no name for a Revision"#]],
        );
        says(
            json!([{"percent": 100, "url": "http://x"}]),
            expect!["spec.traffic[0].url: the cluster writes it; remove it"],
        );
    }

    #[test]
    fn another_configuration_is_a_route_s_to_name() {
        let traffic = json!([{"percent": 90}, {"percent": 10, "configurationName": "other"}]);
        assert_eq!(problem(&traffic, "hello"), None);
        expect!["spec.traffic[1].configurationName: a Knative Service may not name another Configuration; name a revision, or deliver it with sluice.dev/expand: Routes"].assert_eq(&problem_in_service(&traffic).unwrap());
        assert_eq!(problem_in_service(&json!([{"percent": 100}])), None);
    }
}
