//! A PodAutoscaler's status: written from a decision, and read back after a restart.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::decide::{Activity, Decision, State};
use crate::controllers::{
    conditions::Conditions,
    object::{Object, ObjectExt as _, text},
};

const DEPENDENTS: &[&str] = &["Active", "SKSReady", "ScaleTargetInitialized"];
const ACTIVE: &str = "Active";
const INITIALIZED: &str = "ScaleTargetInitialized";
// Knative's words (`pkg/reconciler/autoscaling/kpa`).
const NO_TRAFFIC: &str = "The target is not receiving traffic.";
const QUEUED: &str = "Requests to the target are being buffered as resources are provisioned.";
const TIMED_OUT: &str = "The target could not be activated.";

/// The state that a status tells of.
pub fn remembered(autoscaler: &Object, now: Timestamp) -> State {
    let mut state = State::new(now);
    state.initialized = autoscaler.condition_status(INITIALIZED) == "True";
    if let Some(active) = autoscaler.condition(ACTIVE) {
        state.activity = match (text(active, "status"), text(active, "reason")) {
            ("True", _) => Activity::Active,
            ("False", "TimedOut") => Activity::TimedOut,
            ("False", _) => Activity::Idle,
            _ => Activity::Activating,
        };
        if let Ok(since) = text(active, "lastTransitionTime").parse() {
            state.since = since;
        }
    }
    state
}

/// The status after a decision.
pub fn status(autoscaler: &Object, decision: Decision, ready: u32, now: Timestamp) -> Value {
    let generation = autoscaler.generation();
    let mut conditions = Conditions::begin(DEPENDENTS, autoscaler.status(), false, now);
    // The gateway takes requests for a revision at any scale, as Knative's activator does.
    conditions.ok("SKSReady");
    if decision.initialized {
        conditions.ok(INITIALIZED);
    } else {
        conditions.unknown(INITIALIZED, "", "");
    }
    match decision.activity {
        Activity::Active => conditions.ok(ACTIVE),
        Activity::Activating => conditions.unknown(ACTIVE, "Queued", QUEUED),
        Activity::Idle => conditions.fail(ACTIVE, "NoTraffic", NO_TRAFFIC),
        Activity::TimedOut => conditions.fail(ACTIVE, "TimedOut", TIMED_OUT),
    }
    json!({
        "observedGeneration": generation,
        "conditions": conditions.finish(),
        "serviceName": autoscaler.name(),
        "metricsServiceName": format!("{}-private", autoscaler.name()),
        "desiredScale": decision.desired,
        "actualScale": ready,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controllers::object::{list, set};

    fn autoscaler() -> Object {
        serde_json::from_value(json!({
            "metadata": {"name": "hello-1", "namespace": "default", "generation": 2}, "spec": {},
        }))
        .unwrap()
    }

    fn shown(status: &Value) -> String {
        list(status, "conditions")
            .iter()
            .map(|c| {
                format!(
                    "{}={} {}\n",
                    text(c, "type"),
                    text(c, "status"),
                    text(c, "reason")
                )
            })
            .collect()
    }

    fn decided(activity: Activity, initialized: bool) -> Decision {
        Decision {
            desired: 1,
            activity,
            initialized,
        }
    }

    #[test]
    fn conditions_tell_of_the_way_up_and_down() {
        let now = Timestamp::from_second(100).unwrap();
        let of = |activity, initialized| {
            shown(&status(
                &autoscaler(),
                decided(activity, initialized),
                1,
                now,
            ))
        };
        expect_test::expect![[r#"
            Active=Unknown Queued
            Ready=Unknown Queued
            SKSReady=True 
            ScaleTargetInitialized=Unknown 
        "#]]
        .assert_eq(&of(Activity::Activating, false));
        expect_test::expect![[r#"
            Active=True 
            Ready=True 
            SKSReady=True 
            ScaleTargetInitialized=True 
        "#]]
        .assert_eq(&of(Activity::Active, true));
        expect_test::expect![[r#"
            Active=False NoTraffic
            Ready=False NoTraffic
            SKSReady=True 
            ScaleTargetInitialized=True 
        "#]]
        .assert_eq(&of(Activity::Idle, true));
    }

    #[test]
    fn what_a_status_says_is_remembered_after_a_restart() {
        let (then, now) = (
            Timestamp::from_second(100).unwrap(),
            Timestamp::from_second(160).unwrap(),
        );
        for activity in [
            Activity::Active,
            Activity::Activating,
            Activity::Idle,
            Activity::TimedOut,
        ] {
            let mut object = autoscaler();
            let written = status(&object, decided(activity, true), 1, then);
            set(&mut object, "status", written);
            let state = remembered(&object, now);
            assert_eq!(
                (state.activity, state.since, state.initialized),
                (activity, then, true)
            );
        }
        let fresh = remembered(&autoscaler(), now);
        assert_eq!(
            (fresh.activity, fresh.initialized),
            (Activity::Activating, false)
        );
    }
}
