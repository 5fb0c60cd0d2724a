//! Kubernetes events, so that `kubectl describe` and `kubectl events` tell the story.
//!
//! The same event again is counted, not repeated, and written at most every ten
//! seconds. Telling never waits: events are for people, and no release hangs on one.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::api::object::ObjectKey;
use crate::plan::Manager;

use super::Cluster;

/// Events that wait to be written; more are dropped, the newest first.
const WAITING: usize = 256;
/// A repeated event is written again after this long.
const REPEAT: Duration = Duration::from_secs(10);
/// Different events that are remembered for counting.
const REMEMBERED: usize = 1024;
/// The server refuses longer messages.
const LONGEST: usize = 1024;

/// Something that happened to an object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventRecord {
    /// The object.
    pub object: ObjectKey,
    /// One CamelCase word.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// Whether a person should look.
    pub warning: bool,
}

/// Where events are handed in.
pub(super) struct Recorder {
    queue: mpsc::Sender<EventRecord>,
    waiting: parking_lot::Mutex<Option<mpsc::Receiver<EventRecord>>>,
}

impl Recorder {
    pub(super) fn new() -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        Self {
            queue,
            waiting: parking_lot::Mutex::new(Some(waiting)),
        }
    }
}

impl Cluster {
    /// Hands in an event. Never waits; while [`Self::record_events`] does not run, or the
    /// API server is away for long, events are dropped.
    pub fn tell(&self, happened: EventRecord) {
        let _ = self.0.events.queue.try_send(happened);
    }

    /// Writes the events that are handed in, until the cluster's token is cancelled. Ends
    /// at once where it runs already.
    pub async fn record_events(&self) {
        let Some(mut waiting) = self.0.events.waiting.lock().take() else {
            return;
        };
        let mut memory = Memory::new(Timestamp::now());
        let mut tick = tokio::time::interval(REPEAT);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = tokio::select! {
                () = self.0.stop.cancelled() => return,
                happened = waiting.recv() => match happened {
                    Some(happened) => memory.take_in(happened, Timestamp::now()).into_iter().collect(),
                    None => return,
                },
                _ = tick.tick() => memory.due(Timestamp::now()),
            };
            for entry in due {
                let live = self.get(&entry.happened.object);
                let about = live.map(|live| (live.version.clone(), live.uid.clone()));
                if let Err(error) = self.apply(&object(&entry, about), Manager::Objects).await {
                    tracing::debug!(%error, "an event was not written");
                }
            }
        }
    }
}

/// An event as often as it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Counted {
    happened: EventRecord,
    name: String,
    count: u32,
    first: Timestamp,
    last: Timestamp,
}

/// Which events happened how often. Pure: the time is an argument.
struct Memory {
    /// Tells the events of this run from those of an earlier one.
    started: Timestamp,
    known: HashMap<EventRecord, Remembered>,
}

struct Remembered {
    counted: Counted,
    written: Timestamp,
    dirty: bool,
}

impl Memory {
    fn new(started: Timestamp) -> Self {
        Self {
            started,
            known: HashMap::new(),
        }
    }

    /// Counts an event; gives it back when it is to be written now.
    fn take_in(&mut self, happened: EventRecord, now: Timestamp) -> Option<Counted> {
        if let Some(known) = self.known.get_mut(&happened) {
            known.counted.count = known.counted.count.saturating_add(1);
            known.counted.last = now;
            known.dirty = true;
            return known.if_due(now);
        }
        if self.known.len() >= REMEMBERED {
            let oldest = self.known.values().min_by_key(|known| known.counted.last);
            if let Some(oldest) = oldest.map(|known| known.counted.happened.clone()) {
                self.known.remove(&oldest);
            }
        }
        let mut hasher = DefaultHasher::new();
        (self.started.as_nanosecond(), &happened).hash(&mut hasher);
        let counted = Counted {
            name: format!("{}.{:016x}", happened.object.name, hasher.finish()),
            happened: happened.clone(),
            count: 1,
            first: now,
            last: now,
        };
        self.known.insert(
            happened,
            Remembered {
                counted: counted.clone(),
                written: now,
                dirty: false,
            },
        );
        Some(counted)
    }

    /// The events that happened again since they were written, long enough ago.
    fn due(&mut self, now: Timestamp) -> Vec<Counted> {
        self.known
            .values_mut()
            .filter(|known| known.dirty)
            .filter_map(|known| known.if_due(now))
            .collect()
    }
}

impl Remembered {
    fn if_due(&mut self, now: Timestamp) -> Option<Counted> {
        let since = now.duration_since(self.written);
        let due = since.unsigned_abs() >= REPEAT;
        due.then(|| {
            self.written = now;
            self.dirty = false;
            self.counted.clone()
        })
    }
}

fn object(event: &Counted, about: Option<(String, String)>) -> Value {
    let of = &event.happened.object;
    let (version, uid) = about.unwrap_or_else(|| ("v1".to_owned(), String::new()));
    let api_version = if of.group.is_empty() {
        version
    } else {
        format!("{}/{version}", of.group)
    };
    let namespace = of.namespace.as_deref().unwrap_or("default");
    let message: String = event.happened.message.chars().take(LONGEST).collect();
    // Whole seconds: what `metav1.Time` holds.
    let time = |at: Timestamp| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": event.name, "namespace": namespace},
        "involvedObject": {
            "apiVersion": api_version,
            "kind": of.kind,
            "name": of.name,
            "namespace": of.namespace,
            "uid": uid,
        },
        "reason": event.happened.reason,
        "message": message,
        "type": if event.happened.warning { "Warning" } else { "Normal" },
        "count": event.count,
        "firstTimestamp": time(event.first),
        "lastTimestamp": time(event.last),
        "source": {"component": "sluice"},
        "reportingComponent": "sluice.dev/agent",
        "reportingInstance": "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happened(message: &str) -> EventRecord {
        EventRecord {
            object: ObjectKey::namespaced("sluice.dev", "ServiceRollout", "default", "hello"),
            reason: "RolledBack".into(),
            message: message.into(),
            warning: true,
        }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    #[test]
    fn an_event_that_repeats_is_counted_and_written_every_ten_seconds() {
        let mut memory = Memory::new(at(0));
        let first = memory.take_in(happened("a"), at(0)).unwrap();
        for second in 1..10 {
            assert_eq!(memory.take_in(happened("a"), at(second)), None);
        }
        assert_eq!(memory.due(at(9)), []);
        let again = memory.due(at(10)).remove(0);
        assert_eq!((again.count, again.name.clone()), (10, first.name.clone()));
        assert_eq!((again.first, again.last), (at(0), at(9)));
        assert_eq!(memory.due(at(100)), [], "nothing happened since");
        assert!(
            memory
                .take_in(happened("b"), at(101))
                .is_some_and(|b| b.name != first.name)
        );
    }

    #[test]
    fn what_is_remembered_has_a_limit_and_the_oldest_goes() {
        let mut memory = Memory::new(at(0));
        for n in 0..REMEMBERED + 5 {
            memory.take_in(happened(&n.to_string()), at(n as i64));
        }
        assert_eq!(memory.known.len(), REMEMBERED);
        assert!(!memory.known.contains_key(&happened("0")));
    }

    #[test]
    fn an_event_names_its_object_as_kubectl_looks_for_it() {
        let mut memory = Memory::new(at(0));
        let event = memory.take_in(happened("p99 too high"), at(0)).unwrap();
        let object = object(&event, Some(("v1alpha1".into(), "u-1".into())));
        assert_eq!(
            object["involvedObject"],
            json!({"apiVersion": "sluice.dev/v1alpha1", "kind": "ServiceRollout", "name": "hello",
                "namespace": "default", "uid": "u-1"})
        );
        assert_eq!(object["firstTimestamp"], "1970-01-12T13:46:40Z");
    }
}
