//! Knative's condition machinery: dependents that add up to `Ready`.
//!
//! False beats Unknown; `Ready` repeats the reason of the unhappy dependent that
//! changed last. The list is sorted by type, and the transition time moves when
//! anything in a condition changes (`knative.dev/pkg/apis`, `condition_set.go`).

use jiff::Timestamp;
use serde_json::{Value, json};

use super::object::{list, text};

const READY: &str = "Ready";

/// One condition in the making.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Condition {
    kind: String,
    status: String,
    reason: String,
    message: String,
    info: bool,
    last_transition: Option<String>,
    /// When in this pass it changed; 0 where it did not.
    changed: u32,
}

/// The conditions of one object during one pass.
#[derive(Debug, Clone)]
pub struct Conditions {
    dependents: &'static [&'static str],
    all: Vec<Condition>,
    before: Vec<Condition>,
    changes: u32,
    now: Timestamp,
}

impl Conditions {
    /// The conditions in `status`, with `Ready` and the dependents added as Unknown where
    /// they are missing, and `Ready` reset where the generation is a new one.
    pub fn begin(
        dependents: &'static [&'static str],
        status: &Value,
        new_generation: bool,
        now: Timestamp,
    ) -> Self {
        let before: Vec<_> = list(status, "conditions").iter().map(read).collect();
        let mut conditions = Self {
            dependents,
            all: before.clone(),
            before,
            changes: 0,
            now,
        };
        let ready = conditions.status(READY).to_owned();
        let initial = if ready == "True" { "True" } else { "Unknown" };
        for kind in std::iter::once(&READY).chain(dependents) {
            if conditions.find(kind).is_none() {
                conditions.set(kind, initial, "", "");
            }
        }
        if new_generation {
            conditions.unknown(
                READY,
                "NewObservedGenFailure",
                "unsuccessfully observed a new generation",
            );
        }
        conditions
    }

    fn find(&self, kind: &str) -> Option<&Condition> {
        self.all.iter().find(|condition| condition.kind == kind)
    }

    /// The status of a condition; `Unknown` where it is missing.
    pub fn status(&self, kind: &str) -> &str {
        self.find(kind)
            .map_or("Unknown", |condition| condition.status.as_str())
    }

    /// Reason and message of a condition.
    pub fn reason(&self, kind: &str) -> (&str, &str) {
        self.find(kind)
            .map_or(("", ""), |c| (c.reason.as_str(), c.message.as_str()))
    }

    /// Whether a condition is True.
    pub fn is_true(&self, kind: &str) -> bool {
        self.status(kind) == "True"
    }

    /// Whether a condition is False.
    pub fn is_false(&self, kind: &str) -> bool {
        self.status(kind) == "False"
    }

    fn is_dependent(&self, kind: &str) -> bool {
        self.dependents.contains(&kind)
    }

    fn set(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let info = kind != READY && !self.is_dependent(kind);
        let same = self.find(kind).is_some_and(|c| {
            c.status == status && c.reason == reason && c.message == message && c.info == info
        });
        if same {
            return;
        }
        self.changes += 1;
        let changed = self.changes;
        let condition = Condition {
            kind: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            info,
            last_transition: None,
            changed,
        };
        self.all.retain(|other| other.kind != kind);
        self.all.push(condition);
        self.all.sort_by(|a, b| a.kind.cmp(&b.kind));
    }

    /// Marks a condition True.
    pub fn ok(&mut self, kind: &str) {
        self.ok_because(kind, "", "");
    }

    /// Marks a condition True and says why.
    pub fn ok_because(&mut self, kind: &str, reason: &str, message: &str) {
        self.set(kind, "True", reason, message);
        match self.unhappy() {
            Some((status, reason, message)) => self.set(READY, &status, &reason, &message),
            None if kind != READY => self.set(READY, "True", "", ""),
            None => {}
        }
    }

    /// Marks a condition Unknown.
    pub fn unknown(&mut self, kind: &str, reason: &str, message: &str) {
        self.set(kind, "Unknown", reason, message);
        if self.dependents.iter().any(|kind| self.is_false(kind)) {
            if !self.is_false(READY) {
                self.set(READY, "False", reason, message);
            }
            return;
        }
        if self.is_dependent(kind) {
            self.set(READY, "Unknown", reason, message);
        }
    }

    /// Marks a condition False.
    pub fn fail(&mut self, kind: &str, reason: &str, message: &str) {
        self.set(kind, "False", reason, message);
        if self.is_dependent(kind) {
            self.set(READY, "False", reason, message);
        }
    }

    /// Copies a child's `Ready` condition; nothing where the child has none.
    pub fn propagate(&mut self, kind: &str, child: Option<&Value>) {
        let Some(child) = child else { return };
        let (reason, message) = (text(child, "reason"), text(child, "message"));
        match text(child, "status") {
            "True" => self.ok(kind),
            "False" => self.fail(kind, reason, message),
            _ => self.unknown(kind, reason, message),
        }
    }

    /// The dependent that explains why the whole is not ready.
    fn unhappy(&self) -> Option<(String, String, String)> {
        if self.dependents.is_empty() {
            return None;
        }
        let mut dependents: Vec<_> = self
            .all
            .iter()
            .filter(|condition| !condition.info && condition.kind != READY)
            .collect();
        dependents
            .sort_by(|a, b| (b.changed, &b.last_transition).cmp(&(a.changed, &a.last_transition)));
        for status in ["False", "Unknown"] {
            if let Some(found) = dependents.iter().find(|c| c.status == status) {
                return Some((
                    found.status.clone(),
                    found.reason.clone(),
                    found.message.clone(),
                ));
            }
        }
        (dependents.len() < self.dependents.len())
            .then(|| ("Unknown".to_owned(), String::new(), String::new()))
    }

    /// The list as the status carries it. All that changed in this pass changed now.
    pub fn finish(&self) -> Value {
        let now = to_seconds(self.now);
        self.all
            .iter()
            .map(|condition| {
                let before = self.before.iter().find(|old| old.kind == condition.kind);
                let unchanged = before.filter(|old| {
                    old.status == condition.status
                        && old.reason == condition.reason
                        && old.message == condition.message
                        && old.info == condition.info
                });
                let time = unchanged
                    .and_then(|old| old.last_transition.clone())
                    .unwrap_or_else(|| now.clone());
                write(condition, &time)
            })
            .collect()
    }
}

fn read(condition: &Value) -> Condition {
    Condition {
        kind: text(condition, "type").to_owned(),
        status: text(condition, "status").to_owned(),
        reason: text(condition, "reason").to_owned(),
        message: text(condition, "message").to_owned(),
        info: text(condition, "severity") == "Info",
        last_transition: condition
            .get("lastTransitionTime")
            .and_then(Value::as_str)
            .map(str::to_owned),
        changed: 0,
    }
}

fn write(condition: &Condition, time: &str) -> Value {
    let mut written = json!({
        "type": condition.kind,
        "status": condition.status,
        "lastTransitionTime": time,
    });
    for (key, value) in [
        ("reason", condition.reason.as_str()),
        ("message", condition.message.as_str()),
        ("severity", if condition.info { "Info" } else { "" }),
    ] {
        if !value.is_empty()
            && let Some(fields) = written.as_object_mut()
        {
            fields.insert(key.to_owned(), json!(value));
        }
    }
    written
}

/// A time as Kubernetes writes it: RFC 3339, whole seconds, UTC.
pub fn to_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    const SET: &[&str] = &["ContainerHealthy", "ResourcesAvailable"];

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn story(
        status: &Value,
        second: i64,
        marks: impl FnOnce(&mut Conditions),
        expected: Expect,
    ) -> Value {
        let mut conditions = Conditions::begin(SET, status, false, at(second));
        marks(&mut conditions);
        let list = conditions.finish();
        let text: String = list
            .as_array()
            .unwrap()
            .iter()
            .map(|c| {
                format!(
                    "{} {} {} {} {}\n",
                    text(c, "lastTransitionTime"),
                    text(c, "type"),
                    text(c, "status"),
                    text(c, "reason"),
                    text(c, "severity")
                )
            })
            .collect();
        expected.assert_eq(&text);
        json!({ "conditions": list })
    }

    #[test]
    fn ready_follows_its_dependents_and_times_move_with_changes_only() {
        let status = story(
            &Value::Null,
            0,
            |_| {},
            expect![[r#"
            1970-01-01T00:00:00Z ContainerHealthy Unknown  
            1970-01-01T00:00:00Z Ready Unknown  
            1970-01-01T00:00:00Z ResourcesAvailable Unknown  
        "#]],
        );
        let status = story(
            &status,
            1,
            |c| {
                c.fail("ResourcesAvailable", "ProgressDeadlineExceeded", "");
                c.fail("ContainerHealthy", "ExitCode3", "");
                c.unknown("Active", "Deploying", "");
            },
            expect![[r#"
            1970-01-01T00:00:01Z Active Unknown Deploying Info
            1970-01-01T00:00:01Z ContainerHealthy False ExitCode3 
            1970-01-01T00:00:01Z Ready False ExitCode3 
            1970-01-01T00:00:01Z ResourcesAvailable False ProgressDeadlineExceeded 
        "#]],
        );
        let status = story(
            &status,
            2,
            |c| c.ok("ContainerHealthy"),
            expect![[r#"
            1970-01-01T00:00:01Z Active Unknown Deploying Info
            1970-01-01T00:00:02Z ContainerHealthy True  
            1970-01-01T00:00:02Z Ready False ProgressDeadlineExceeded 
            1970-01-01T00:00:01Z ResourcesAvailable False ProgressDeadlineExceeded 
        "#]],
        );
        story(
            &status,
            3,
            |c| {
                c.ok("ResourcesAvailable");
                c.fail("Active", "NoTraffic", "");
            },
            expect![[r#"
            1970-01-01T00:00:03Z Active False NoTraffic Info
            1970-01-01T00:00:02Z ContainerHealthy True  
            1970-01-01T00:00:03Z Ready True  
            1970-01-01T00:00:03Z ResourcesAvailable True  
        "#]],
        );
    }

    #[test]
    fn marking_the_same_again_keeps_the_time() {
        let status = story(
            &Value::Null,
            0,
            |c| c.fail("ResourcesAvailable", "A", ""),
            expect![[r#"
            1970-01-01T00:00:00Z ContainerHealthy Unknown  
            1970-01-01T00:00:00Z Ready False A 
            1970-01-01T00:00:00Z ResourcesAvailable False A 
        "#]],
        );
        story(
            &status,
            9,
            |c| {
                // A detour that ends where it began is no change.
                c.unknown("ResourcesAvailable", "B", "");
                c.fail("ResourcesAvailable", "A", "");
            },
            expect![[r#"
            1970-01-01T00:00:00Z ContainerHealthy Unknown  
            1970-01-01T00:00:00Z Ready False A 
            1970-01-01T00:00:00Z ResourcesAvailable False A 
        "#]],
        );
    }

    #[test]
    fn a_false_dependent_keeps_ready_false_under_another_unknown() {
        story(
            &Value::Null,
            0,
            |c| {
                c.fail("ContainerHealthy", "ExitCode1", "");
                c.unknown("ResourcesAvailable", "Deploying", "");
            },
            expect![[r#"
            1970-01-01T00:00:00Z ContainerHealthy False ExitCode1 
            1970-01-01T00:00:00Z Ready False ExitCode1 
            1970-01-01T00:00:00Z ResourcesAvailable Unknown Deploying 
        "#]],
        );
    }
}
