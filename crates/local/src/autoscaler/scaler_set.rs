//! All PodAutoscalers and their Deployments, and what is to be done for each: values
//! in, values out.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::Timestamp;
use serde_json::Value;

use super::{
    decide::{Activity, Decision, Seen, State, decide},
    spec::{AutoscalerConfig, ScaleSpec},
    status,
};
use crate::{
    controllers::object::{Object, ObjectExt as _, integer, key, text},
    gateway::{backend::RevisionKey, load_tracker::Load},
};

/// The class that is ours; a PodAutoscaler of another is left alone.
const CLASS: &str = "kpa.autoscaling.knative.dev";

/// Namespace and name of a Deployment.
type Name = (String, String);

/// What is to be written for one revision.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// Which.
    pub key: RevisionKey,
    /// Deployment and its new number of replicas.
    pub scale: Option<(String, u32)>,
    /// The PodAutoscaler's new status.
    pub status: Option<Value>,
    /// Take the instances out of service first; if they are not idle, do nothing.
    pub retire: bool,
    /// Take instances back that were retired for a step to zero that was undone.
    pub restore: bool,
}

/// How it went.
#[derive(Debug, Default)]
pub struct Done {
    /// The replicas that were written.
    pub scaled: Option<u32>,
    /// The PodAutoscaler as it is after the write.
    pub written: Option<Object>,
    /// There was traffic after all, or a write failed: look again.
    pub again: bool,
}

#[derive(Debug)]
struct Entry {
    object: Object,
    spec: ScaleSpec,
    state: State,
    decision: Option<Decision>,
    /// A write is under way; nothing is decided until it has ended.
    busy: bool,
    again: bool,
    /// Retired for a step to zero, and when the way back up began.
    retired: bool,
    wanted_since: Option<Timestamp>,
}

/// See the module.
#[derive(Debug)]
pub struct ScalerSet {
    config: AutoscalerConfig,
    started: Timestamp,
    entries: HashMap<RevisionKey, Entry>,
    replicas: HashMap<Name, u32>,
    dirty: BTreeSet<RevisionKey>,
}

impl ScalerSet {
    /// No revisions.
    pub fn new(config: AutoscalerConfig, now: Timestamp) -> ScalerSet {
        ScalerSet {
            config,
            started: now,
            entries: HashMap::new(),
            replicas: HashMap::new(),
            dirty: BTreeSet::new(),
        }
    }

    /// The cluster's defaults changed: every revision is looked at again under the new ones.
    pub fn configure(&mut self, config: AutoscalerConfig) {
        self.config = config;
        for (key, entry) in &mut self.entries {
            entry.spec = ScaleSpec::read(&entry.object, &self.config);
            self.dirty.insert(key.clone());
        }
    }

    /// A PodAutoscaler is new or changed.
    pub fn apply(&mut self, object: Object, now: Timestamp) {
        let class = object.annotation(key::AUTOSCALER_CLASS);
        let key = key_of(&object);
        if class.is_some_and(|class| class != CLASS) {
            self.entries.remove(&key);
            return;
        }
        let spec = ScaleSpec::read(&object, &self.config);
        self.dirty.insert(key.clone());
        match self.entries.get_mut(&key) {
            Some(entry) if entry.object.uid() == object.uid() => {
                (entry.object, entry.spec) = (object, spec);
            }
            _ => {
                let state = status::remembered(&object, now);
                let entry = Entry {
                    object,
                    spec,
                    state,
                    decision: None,
                    busy: false,
                    again: false,
                    retired: false,
                    wanted_since: None,
                };
                self.entries.insert(key, entry);
            }
        }
    }

    /// A PodAutoscaler is gone.
    pub fn remove(&mut self, object: &Object) {
        self.entries.remove(&key_of(object));
    }

    /// A Deployment is new or changed (`replicas`) or gone (`None`).
    pub fn deployment(&mut self, object: &Object, gone: bool) {
        let name = (object.namespace().to_owned(), object.name().to_owned());
        if let Some(revision) = object.label(key::REVISION) {
            self.dirty
                .insert(RevisionKey::new(object.namespace(), revision));
        }
        // Absent replicas are one, by Kubernetes' default.
        let replicas = integer(object.spec(), "replicas").unwrap_or(1);
        match u32::try_from(replicas) {
            Ok(replicas) if !gone => self.replicas.insert(name, replicas),
            _ => self.replicas.remove(&name),
        };
    }

    /// Forgets the PodAutoscalers that a new watch did not show.
    pub fn retain(&mut self, shown: &HashSet<RevisionKey>) {
        self.entries.retain(|key, _| shown.contains(key));
    }

    /// Something happened to these revisions.
    pub fn touch(&mut self, keys: impl IntoIterator<Item = RevisionKey>) {
        self.dirty.extend(keys);
    }

    /// Revisions that time alone can change: they have instances, or await some.
    pub fn touch_awake(&mut self) -> bool {
        let awake: Vec<_> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.is_awake())
            .map(|(key, _)| key.clone())
            .collect();
        let any = !awake.is_empty();
        self.dirty.extend(awake);
        any
    }

    /// Whether time alone can change anything.
    pub fn is_awake(&self) -> bool {
        self.entries.values().any(Entry::is_awake)
    }

    /// A write has ended.
    pub fn done(&mut self, key: &RevisionKey, done: Done) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.busy = false;
        entry.again = done.again;
        if let Some(written) = done.written
            && written.uid() == entry.object.uid()
        {
            entry.object.data = written.data;
        }
        if let Some(replicas) = done.scaled {
            entry.retired |= replicas == 0;
            self.replicas.insert(target(&entry.object), replicas);
        }
        if !done.again {
            self.dirty.insert(key.clone());
        }
    }

    /// Decides for every revision that something happened to.
    pub fn work(&mut self, load: impl Fn(&RevisionKey) -> Load, now: Timestamp) -> Vec<Work> {
        let mut works = Vec::new();
        for key in std::mem::take(&mut self.dirty) {
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            // The end of the write makes it dirty again.
            if entry.busy || entry.object.is_terminating() {
                continue;
            }
            let replicas = self.replicas.get(&target(&entry.object)).copied();
            let since_start = now
                .duration_since(self.started)
                .try_into()
                .unwrap_or_default();
            let seen = seen(load(&key), since_start);
            if let Some(work) = entry.work(key, seen, replicas, now) {
                entry.busy = true;
                works.push(work);
            }
        }
        works
    }
}

impl Entry {
    fn is_awake(&self) -> bool {
        let wanted = self.decision.is_none_or(|decision| decision.desired > 0);
        !self.busy && (self.again || wanted || self.state.activity == Activity::Activating)
    }

    fn work(
        &mut self,
        key: RevisionKey,
        seen: Seen,
        replicas: Option<u32>,
        now: Timestamp,
    ) -> Option<Work> {
        self.again = false;
        let decision = decide(&self.spec, seen, &mut self.state, now);
        self.decision = Some(decision);
        let scale = replicas
            .filter(|replicas| *replicas != decision.desired)
            .map(|_| (target(&self.object).1, decision.desired));
        let retire = decision.desired == 0 && scale.is_some();
        let status = status::status(&self.object, decision, seen.ready, now);
        let status = (!contains(self.object.status(), &status)).then_some(status);
        let restore = self.restore(decision, now);
        let idle = scale.is_none() && status.is_none() && !restore;
        (!idle).then_some(Work {
            key,
            scale,
            status,
            retire,
            restore,
        })
    }

    /// Whether retired instances that are still there a second after they are wanted
    /// again are to serve: their Deployment never came to delete them.
    fn restore(&mut self, decision: Decision, now: Timestamp) -> bool {
        if !self.retired || decision.desired == 0 {
            self.wanted_since = None;
            return false;
        }
        let since = *self.wanted_since.get_or_insert(now);
        let due = now.duration_since(since).as_secs() >= 1;
        if due {
            (self.retired, self.wanted_since) = (false, None);
        }
        due
    }
}

fn seen(load: Load, since_start: std::time::Duration) -> Seen {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Seen {
        ready: count(load.ready),
        requests: count(load.in_flight + load.waiting),
        // Before the first request nothing is known of the time before the start.
        idle: load.idle.unwrap_or(since_start),
    }
}

fn key_of(object: &Object) -> RevisionKey {
    RevisionKey::new(object.namespace(), object.name())
}

fn target(object: &Object) -> Name {
    let reference = object.spec().get("scaleTargetRef").unwrap_or(&Value::Null);
    (
        object.namespace().to_owned(),
        text(reference, "name").to_owned(),
    )
}

/// Whether `whole` says all that `part` says.
fn contains(whole: &Value, part: &Value) -> bool {
    let Some(part) = part.as_object() else {
        return whole == part;
    };
    part.iter()
        .all(|(key, value)| whole.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn autoscaler(status: Value) -> Object {
        serde_json::from_value(json!({
            "metadata": {"name": "hello-1", "namespace": "default", "uid": "u1", "generation": 1},
            "spec": {"scaleTargetRef": {"name": "hello-1-deployment"}, "reachability": "Reachable"},
            "status": status,
        }))
        .unwrap()
    }

    fn deployment(replicas: u32) -> Object {
        serde_json::from_value(json!({
            "metadata": {"name": "hello-1-deployment", "namespace": "default",
                         "labels": {"serving.knative.dev/revision": "hello-1"}},
            "spec": {"replicas": replicas},
        }))
        .unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key() -> RevisionKey {
        RevisionKey::new("default", "hello-1")
    }

    fn load(ready: usize, waiting: usize, idle: u64) -> impl Fn(&RevisionKey) -> Load {
        move |_| Load {
            in_flight: 0,
            waiting,
            ready,
            idle: Some(Duration::from_secs(idle)),
        }
    }

    /// Carries work out as the loop does when all goes well.
    fn carry_out(scalers: &mut ScalerSet, work: &Work) {
        let written = work.status.clone().map(autoscaler);
        let scaled = work.scale.as_ref().map(|(_, replicas)| *replicas);
        scalers.done(
            &work.key,
            Done {
                scaled,
                written,
                again: false,
            },
        );
    }

    #[test]
    fn an_instance_comes_up_serves_and_goes_and_each_is_written_once() {
        let mut scalers = ScalerSet::new(AutoscalerConfig::default(), at(0));
        scalers.apply(autoscaler(Value::Null), at(0));
        scalers.deployment(&deployment(1), false);
        let works = scalers.work(load(0, 0, 0), at(0));
        assert_eq!(works.len(), 1);
        assert_eq!(
            (&works[0].scale, works[0].retire),
            (&None, false),
            "one replica already"
        );
        assert_eq!(works[0].status.as_ref().unwrap()["desiredScale"], 1);
        carry_out(&mut scalers, &works[0]);
        assert!(
            scalers.work(load(0, 0, 0), at(0)).is_empty(),
            "nothing new, nothing written"
        );

        scalers.touch([key()]);
        let works = scalers.work(load(1, 0, 2), at(2));
        assert_eq!(works[0].status.as_ref().unwrap()["actualScale"], 1);
        carry_out(&mut scalers, &works[0]);

        assert!(scalers.touch_awake());
        let works = scalers.work(load(1, 0, 70), at(70));
        assert!(works[0].retire);
        assert_eq!(works[0].scale, Some(("hello-1-deployment".into(), 0)));
        carry_out(&mut scalers, &works[0]);
        let works = scalers.work(load(0, 0, 71), at(71));
        let gone = works[0].status.as_ref().unwrap();
        assert_eq!((&works[0].scale, &gone["actualScale"]), (&None, &json!(0)));
        carry_out(&mut scalers, &works[0]);
        assert!(scalers.work(load(0, 0, 72), at(72)).is_empty());
        assert!(
            !scalers.is_awake(),
            "at zero only a request or a change counts"
        );

        scalers.touch([key()]);
        let works = scalers.work(load(0, 1, 0), at(90));
        assert_eq!(works[0].scale, Some(("hello-1-deployment".into(), 1)));
    }

    #[test]
    fn nothing_is_decided_while_a_write_is_under_way() {
        let mut scalers = ScalerSet::new(AutoscalerConfig::default(), at(0));
        scalers.apply(autoscaler(Value::Null), at(0));
        assert_eq!(scalers.work(load(0, 0, 0), at(0)).len(), 1);
        scalers.touch([key()]);
        assert!(scalers.work(load(0, 5, 0), at(1)).is_empty());
        scalers.done(
            &key(),
            Done {
                again: true,
                ..Done::default()
            },
        );
        assert!(
            scalers.is_awake(),
            "a failed write is tried at the next tick"
        );
        scalers.touch_awake();
        assert_eq!(scalers.work(load(0, 5, 0), at(2)).len(), 1);
    }

    #[test]
    fn instances_retired_for_a_zero_that_was_undone_serve_again() {
        let mut scalers = ScalerSet::new(AutoscalerConfig::default(), at(0));
        scalers.apply(autoscaler(Value::Null), at(0));
        scalers.deployment(&deployment(1), false);
        for (second, ready, idle) in [(0, 0, 0), (1, 1, 1), (70, 1, 70)] {
            scalers.touch([key()]);
            for work in scalers.work(load(ready, 0, idle), at(second)) {
                carry_out(&mut scalers, &work);
            }
        }
        let mut restored = Vec::new();
        for second in 71..75 {
            scalers.touch([key()]);
            for work in scalers.work(load(0, 1, 0), at(second)) {
                restored.extend(work.restore.then_some(second));
                carry_out(&mut scalers, &work);
            }
        }
        assert_eq!(restored, [72], "given a second to be deleted");
    }

    #[test]
    fn another_class_is_left_alone() {
        let mut scalers = ScalerSet::new(AutoscalerConfig::default(), at(0));
        let mut hpa = autoscaler(Value::Null);
        hpa.metadata.annotations = Some(
            [(
                key::AUTOSCALER_CLASS.to_owned(),
                "hpa.autoscaling.knative.dev".to_owned(),
            )]
            .into(),
        );
        scalers.apply(hpa, at(0));
        assert!(scalers.work(load(0, 0, 0), at(0)).is_empty());
    }
}
