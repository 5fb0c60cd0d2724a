//! What a ServiceRollout remembers, read with care: by an older agent than the one that wrote it, or after a hand
//! was at it.
//!
//! What cannot be read is never taken for nothing: the release is held, what can be read is used, and whatever is
//! written back keeps the rest word for word.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::api::rollout::{Hold, HoldReason, MEMORY_VERSION, Phase, RolloutStatus};

/// Fields without which it is not known what a release was doing.
const ESSENTIAL: [&str; 4] = ["phase", "hold", "stable", "candidate"];

/// A status as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// What of it can be read.
    pub status: RolloutStatus,
    /// What cannot; while there is anything, the release is held.
    pub problem: Option<MemoryError>,
    /// It, as it was.
    raw: Map<String, Value>,
}

/// Why a status cannot be read as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// It is of a later version than this program writes.
    #[error(
        "its status is of version {found}, and this release of Sluice reads versions up to {MEMORY_VERSION}; run the \
         release that wrote it"
    )]
    Newer {
        /// The version that it has.
        found: u32,
    },
    /// Parts of it are not what this program would write.
    #[error(
        "its status cannot be read ({}); run the release of Sluice that wrote it, or mend these fields with \
         `kubectl edit --subresource=status`",
        parts.join("; ")
    )]
    Unreadable {
        /// Which, and what is wrong with each: ``status.phase: unknown variant `Soaking` ``.
        parts: Vec<String>,
    },
}

impl Memory {
    /// Reads a status; `Null` is the status of a service that nothing is remembered of.
    pub fn read(status: &Value) -> Self {
        let Some(raw) = status.as_object() else {
            return if status.is_null() {
                Self::default()
            } else {
                Self::unreadable(Map::new(), vec!["status: it is no object".to_owned()])
            };
        };
        let version = raw.get("version").and_then(Value::as_u64);
        let newer = version.filter(|found| *found > u64::from(MEMORY_VERSION));
        match serde_json::from_value::<RolloutStatus>(status.clone()) {
            Ok(status) => Self {
                status,
                problem: newer.map(|found| MemoryError::Newer {
                    found: u32::try_from(found).unwrap_or(u32::MAX),
                }),
                raw: raw.clone(),
            },
            Err(_) => Self::in_parts(raw),
        }
    }

    /// Each field by itself, and of lists each element.
    fn in_parts(raw: &Map<String, Value>) -> Self {
        let mut readable = Map::new();
        let mut parts = Vec::new();
        for (name, value) in raw {
            let fits = |value: &Value| {
                serde_json::from_value::<RolloutStatus>(json!({ name.as_str(): value })).map(drop)
            };
            match (value, fits(value)) {
                (_, Ok(())) => {
                    readable.insert(name.clone(), value.clone());
                }
                (Value::Array(items), Err(_)) => {
                    let mut kept = Vec::new();
                    for (index, item) in items.iter().enumerate() {
                        match fits(&json!([item])) {
                            Ok(()) => kept.push(item.clone()),
                            Err(error) => parts.push(format!("status.{name}[{index}]: {error}")),
                        }
                    }
                    readable.insert(name.clone(), kept.into());
                }
                (_, Err(error)) => parts.push(format!("status.{name}: {error}")),
            }
        }
        let status = serde_json::from_value(Value::Object(readable)).unwrap_or_default();
        let mut memory = Self::unreadable(raw.clone(), parts);
        memory.status = status;
        let lost = ESSENTIAL
            .iter()
            .any(|name| memory.cannot_read(&format!("status.{name}:")));
        if lost {
            stand_still(&mut memory.status);
        }
        memory
    }

    fn unreadable(raw: Map<String, Value>, parts: Vec<String>) -> Self {
        Self {
            status: RolloutStatus::default(),
            problem: Some(MemoryError::Unreadable { parts }),
            raw,
        }
    }

    fn cannot_read(&self, start: &str) -> bool {
        matches!(&self.problem, Some(MemoryError::Unreadable { parts }) if parts.iter().any(|part| part.starts_with(start)))
    }

    /// A status as it is written back: what did not change is what was read, with everything in it that this
    /// program does not know.
    pub fn written(&self, status: &RolloutStatus) -> Value {
        let typed = |status: &RolloutStatus| match json!(status) {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        let (before, mut now) = (typed(&self.status), typed(status));
        for (name, raw) in &self.raw {
            match (before.get(name), now.get_mut(name)) {
                // Not one of ours, or not to be read.
                (None, None) => {
                    now.insert(name.clone(), raw.clone());
                }
                (Some(then), Some(value)) if then == value => *value = raw.clone(),
                (_, Some(Value::Array(items))) => as_they_were(name, items, raw),
                (_, None) if raw.is_array() => {
                    let mut items = Vec::new();
                    as_they_were(name, &mut items, raw);
                    if !items.is_empty() {
                        now.insert(name.clone(), items.into());
                    }
                }
                _ => {}
            }
        }
        Value::Object(now)
    }
}

/// Elements that are still there as they were read, and behind them those that could not be.
fn as_they_were(name: &str, items: &mut Vec<Value>, raw: &Value) {
    let mut known: BTreeMap<String, &Value> = BTreeMap::new();
    let mut unknown = Vec::new();
    for item in raw.as_array().into_iter().flatten() {
        match known_part(name, item) {
            Some(part) => {
                known.insert(part, item);
            }
            None => unknown.push(item.clone()),
        }
    }
    for item in items.iter_mut() {
        if let Some(raw) = known.get(&item.to_string()) {
            *item = (*raw).clone();
        }
    }
    items.extend(unknown);
}

/// What this program reads of an element of a list, as it would write it.
fn known_part(name: &str, item: &Value) -> Option<String> {
    let status: RolloutStatus = serde_json::from_value(json!({ name: [item] })).ok()?;
    json!(status)
        .pointer(&format!("/{name}/0"))
        .map(Value::to_string)
}

/// Lets a release whose phase is not known go on: judged where it has users, and no further.
fn stand_still(status: &mut RolloutStatus) {
    status.hold = None;
    status.phase = match (&status.stable, &status.candidate) {
        (None, _) => Phase::Pending,
        (Some(_), None) => Phase::Stable,
        (Some(_), Some(_)) => {
            if let Some(since) = status.phase_since.or(status.traffic_requested_at) {
                status.hold = Some(Hold {
                    phase: Phase::Stepping,
                    reason: HoldReason::Memory,
                    since,
                    gates: Vec::new(),
                });
                Phase::Holding
            } else {
                Phase::Stepping
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Value {
        json!({
            "version": 1,
            "phase": "Stepping", "phaseSince": "2026-01-02T03:04:05Z", "weight": 50, "failures": 0,
            "stable": {"revision": "hello-00001", "templateHash": "aa"},
            "candidate": {"revision": "hello-00002", "templateHash": "bb"},
            "quarantine": [{"templateHash": "cc", "reason": "HTTP 500", "since": "2026-01-02T03:04:05Z"}],
        })
    }

    #[test]
    fn a_phase_of_a_later_release_is_no_empty_memory() {
        let mut newer = stored();
        newer["phase"] = json!("Soaking");
        let memory = Memory::read(&newer);
        let problem = memory.problem.clone().unwrap().to_string();
        assert!(
            problem.contains("status.phase: unknown variant `Soaking`"),
            "{problem}"
        );
        assert_eq!(memory.status.phase, Phase::Holding);
        assert_eq!(
            memory.status.hold.as_ref().unwrap().reason,
            HoldReason::Memory
        );
        assert_eq!(memory.status.weight, 50);
        assert_eq!(memory.status.quarantine.len(), 1);
    }

    #[test]
    fn one_entry_that_cannot_be_read_costs_itself_and_is_written_back() {
        let mut newer = stored();
        let entry =
            json!({"templateHash": "dd", "reason": {"code": 7}, "since": "2026-01-02T03:04:05Z"});
        newer["quarantine"]
            .as_array_mut()
            .unwrap()
            .push(entry.clone());
        let memory = Memory::read(&newer);
        assert!(memory.problem.is_some());
        assert_eq!(memory.status.phase, Phase::Stepping);
        assert_eq!(memory.status.quarantine.len(), 1);
        let mut after = memory.status.clone();
        after.quarantine.clear();
        assert_eq!(memory.written(&after)["quarantine"], json!([entry]));
        after = memory.status.clone();
        after.quarantine[0].reason = "another".to_owned();
        assert_eq!(memory.written(&after)["quarantine"][1], entry);
    }

    #[test]
    fn what_a_later_release_added_survives_this_one() {
        let mut newer = stored();
        newer["soak"] = json!({"since": 7});
        newer["stable"]["signedBy"] = json!("ada");
        newer["quarantine"][0]["ticket"] = json!("OPS-1");
        let memory = Memory::read(&newer);
        assert_eq!(memory.problem, None);
        let mut after = memory.status.clone();
        after.weight = 0;
        after.phase = Phase::RollingBack;
        let mut added = after.quarantine[0].clone();
        added.reason = "new".to_owned();
        after.quarantine.insert(0, added);
        let written = memory.written(&after);
        assert_eq!(written["soak"], newer["soak"]);
        assert_eq!(written["stable"]["signedBy"], "ada");
        assert_eq!(written["quarantine"][1]["ticket"], "OPS-1");
        assert_eq!(written["phase"], "RollingBack");
    }

    #[test]
    fn no_list_gets_longer_by_being_written_back() {
        let at = "2026-01-02T03:04:05Z";
        let mut full = stored();
        full["answers"] = json!([{"id": "one", "action": "retry", "at": at}]);
        full["history"] = json!([{"revision": "hello-00001", "outcome": "Promoted", "weight": 100, "endedAt": at}]);
        full["evidence"] = json!([{"weight": 5, "at": at, "verdict": "Pass", "reason": "none", "source": "probes"}]);
        full["conditions"] = json!([{"type": "Ready", "status": "True", "reason": "Stable", "message": "",
            "lastTransitionTime": at}]);
        let lists = ["answers", "history", "evidence", "conditions", "quarantine"];
        let memory = Memory::read(&full);
        assert_eq!(memory.problem, None);
        // One more of each, as after the next thing that happens.
        let mut after = memory.status.clone();
        after.answers.push(after.answers[0].clone());
        after.answers[1].id = "two".to_owned();
        after.history.push(after.history[0].clone());
        after.history[1].weight = 5;
        after.evidence.push(after.evidence[0].clone());
        after.evidence[1].weight = 20;
        after.conditions.push(after.conditions[0].clone());
        after.conditions[1].type_ = "Degraded".to_owned();
        after.quarantine.push(after.quarantine[0].clone());
        after.quarantine[1].reason = "another".to_owned();
        let written = memory.written(&after);
        for name in lists {
            assert_eq!(written[name].as_array().map(Vec::len), Some(2), "{name}");
        }
    }

    #[test]
    fn a_version_that_is_not_known_is_held_and_said() {
        let mut newer = stored();
        newer["version"] = json!(MEMORY_VERSION + 1);
        let memory = Memory::read(&newer);
        assert_eq!(
            memory.problem,
            Some(MemoryError::Newer {
                found: MEMORY_VERSION + 1
            })
        );
        assert_eq!(memory.status.phase, Phase::Stepping);
    }

    #[test]
    fn nothing_remembered_is_no_problem() {
        assert_eq!(Memory::read(&Value::Null), Memory::default());
        assert_eq!(Memory::read(&json!({})).problem, None);
    }
}
