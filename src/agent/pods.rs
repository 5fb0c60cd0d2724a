//! What Pods say of the revision that they serve, long before its conditions do.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::index::condition;
use crate::rollout::PodFacts;

/// How much later than a Pod's start its `Ready` must have become `False` to have been `True` before. A kubelet writes both
/// in the Pod's first status, in whole seconds, and leaves the time alone while the status stays `False`.
const FIRST_STATUS: Duration = Duration::from_secs(1);

/// What the Pods of one revision say together: the worst of them, how many are Ready, and since when none is.
pub fn sum<'a>(pods: impl Iterator<Item = &'a PodFacts>) -> PodFacts {
    let mut all = PodFacts::default();
    for pod in pods {
        if pod.crashes > all.crashes || all.last_exit.is_none() {
            all.last_exit = pod.last_exit.clone().or(all.last_exit);
        }
        all.crashes = all.crashes.max(pod.crashes);
        all.waiting_reason = all.waiting_reason.or_else(|| pod.waiting_reason.clone());
        all.running += pod.running;
        all.ready += pod.ready;
        all.newest_ready = all.newest_ready.max(pod.newest_ready);
        // The last one that was Ready ends it; the first that starts begins the wait.
        all.unready_since = all.unready_since.max(pod.unready_since);
        let starting = all.starting_since.into_iter().chain(pod.starting_since);
        all.starting_since = starting.min();
    }
    if all.ready > 0 {
        all.unready_since = None;
    }
    if all.ready > 0 || all.unready_since.is_some() {
        all.starting_since = None;
    }
    all
}

/// What one Pod says.
///
/// One that was told to stop (a scale-down, a drain, a node that shuts down) serves nobody, and how its containers end
/// says nothing of them: with 143 where they do not handle the signal, with 137 where they are slow. What they did before
/// stays.
pub fn facts(pod: &Value) -> PodFacts {
    let is_true = |type_: &str| condition(pod, type_).is_some_and(|c| c.is_true());
    let is_leaving =
        pod.pointer("/metadata/deletionTimestamp").is_some() || is_true("DisruptionTarget");
    let mut facts = PodFacts::default();
    let lists = ["initContainerStatuses", "containerStatuses"];
    let containers = lists
        .iter()
        .filter_map(|list| pod.get("status")?.get(list)?.as_array())
        .flatten();
    for container in containers {
        // Knative's own sidecar ends badly when the container beside it does.
        if container.get("name").and_then(Value::as_str) == Some("queue-proxy") {
            continue;
        }
        let (crashes, exit) = crashes(container, is_leaving);
        if crashes >= facts.crashes && exit.is_some() {
            facts.last_exit = exit;
        }
        facts.crashes = facts.crashes.max(crashes);
        let waiting = container.pointer("/state/waiting").and_then(why_it_waits);
        facts.waiting_reason = facts.waiting_reason.or(waiting);
    }
    let phase = pod.pointer("/status/phase").and_then(Value::as_str);
    let is_over = matches!(phase, Some("Succeeded" | "Failed"));
    if !is_leaving && !is_over {
        readiness(pod, &mut facts);
    }
    facts
}

/// Whether a Pod that is there to serve is Ready, and since when.
fn readiness(pod: &Value, facts: &mut PodFacts) {
    let ready = condition(pod, "Ready");
    let since = ready.as_ref().and_then(|c| c.last_transition_time);
    if ready.as_ref().is_some_and(|c| c.is_true()) {
        facts.running = 1;
        facts.ready = 1;
        facts.newest_ready = since;
        return;
    }
    // Its containers are Ready and it is not: its node is lost, and Kubernetes says so of every Pod on it.
    if ready.is_some() && condition(pod, "ContainersReady").is_some_and(|c| c.is_true()) {
        return;
    }
    facts.running = 1;
    let started: Option<Timestamp> = pod
        .pointer("/status/startTime")
        .and_then(|time| time.as_str()?.parse().ok());
    match (started, since) {
        (Some(started), Some(since)) if since > started + FIRST_STATUS => {
            facts.unready_since = Some(since);
        }
        _ => facts.starting_since = started.or(since),
    }
}

/// Why a container waits: in a word, and in the kubelet's words where the word alone says
/// nothing of what to do.
fn why_it_waits(waiting: &Value) -> Option<String> {
    let reason = waiting.get("reason")?.as_str()?;
    let message = waiting.get("message").and_then(Value::as_str);
    let is_mute = matches!(
        reason,
        "CreateContainerError" | "CreateContainerConfigError" | "RunContainerError"
    );
    Some(
        match message.filter(|message| is_mute && !message.is_empty()) {
            Some(message) => format!("{reason}: {message}"),
            None => reason.to_owned(),
        },
    )
}

/// How often a container ended with an error, and how the last time.
///
/// `restartCount` counts clean ends too, so it only counts while the last end was not clean. The present end of a
/// container that was told to end counts for nothing.
fn crashes(container: &Value, is_leaving: bool) -> (u32, Option<String>) {
    let restarts = container
        .get("restartCount")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let before = container.pointer("/lastState/terminated").and_then(bad_end);
    let ended = container.pointer("/state/terminated");
    let now = ended.filter(|_| !is_leaving).and_then(bad_end);
    let mut count = u32::try_from(restarts).unwrap_or(u32::MAX);
    if before.is_none() {
        count = 0;
    }
    if now.is_some() {
        count = count.saturating_add(1);
    }
    (count, now.or(before))
}

fn bad_end(terminated: &Value) -> Option<String> {
    // What container engines say of a container that went with its node.
    if terminated.get("reason").and_then(Value::as_str) == Some("Unknown") {
        return None;
    }
    let code = terminated
        .get("exitCode")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    let signal = terminated
        .get("signal")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    match (code, signal) {
        (0, 0) => None,
        (_, signal) if signal != 0 => Some(format!("signal {signal}")),
        (code, _) => Some(format!("exit code {code}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Second 0 of each test's day.
    const START: &str = "2026-05-01T10:00:00Z";

    fn at(second: i64) -> Timestamp {
        START.parse::<Timestamp>().unwrap() + Duration::from_secs(second.unsigned_abs())
    }

    fn pod(container: &Value) -> Value {
        json!({"metadata": {}, "status": {"containerStatuses": [container]}})
    }

    /// A Pod that runs since second 0, whose `Ready` has been as it is since that second.
    fn running(ready: bool, since: i64) -> Value {
        let status = if ready { "True" } else { "False" };
        let condition = |type_: &str| json!({"type": type_, "status": status, "lastTransitionTime": at(since).to_string()});
        json!({"metadata": {}, "status": {"phase": "Running", "startTime": START,
            "conditions": [condition("ContainersReady"), condition("Ready")],
            "containerStatuses": [{"name": "user-container", "state": {"running": {}}}]}})
    }

    fn together(pods: &[Value]) -> PodFacts {
        let facts: Vec<PodFacts> = pods.iter().map(facts).collect();
        sum(facts.iter())
    }

    #[test]
    fn the_newest_of_the_ready_pods_is_told() {
        let pods = [running(true, 3), running(true, 40), running(false, 50)];
        let all = together(&pods);
        assert_eq!((all.running, all.ready), (3, 2));
        assert_eq!(all.newest_ready, Some(at(40)));
        assert_eq!((all.unready_since, all.starting_since), (None, None));
    }

    #[test]
    fn a_revision_is_unready_since_the_last_pod_of_it_lost_its_readiness() {
        let all = together(&[running(false, 20), running(false, 25), running(false, 0)]);
        assert_eq!((all.running, all.ready), (3, 0));
        assert_eq!(all.unready_since, Some(at(25)));
        assert_eq!(all.starting_since, None, "it is no cold start");
    }

    #[test]
    fn pods_that_never_were_ready_are_starting() {
        let all = together(&[running(false, 0), running(false, 1)]);
        assert_eq!((all.running, all.ready), (2, 0));
        assert_eq!(all.unready_since, None);
        assert_eq!(all.starting_since, Some(at(0)));
        let unseen = json!({"metadata": {}, "status": {"phase": "Pending"}});
        let all = together(&[unseen]);
        assert_eq!((all.running, all.unready_since), (1, None));
    }

    #[test]
    fn a_pod_that_was_told_to_stop_neither_serves_nor_crashes() {
        let ended = json!({"name": "user-container", "restartCount": 0, "state": {"terminated": {"exitCode": 137}}});
        let twice = json!({"name": "user-container", "restartCount": 2, "state": {"terminated": {"exitCode": 143}},
            "lastState": {"terminated": {"exitCode": 3}}});
        let disrupted = json!([{"type": "DisruptionTarget", "status": "True"}]);
        for (path, value) in [
            ("metadata", json!({"deletionTimestamp": at(60).to_string()})),
            (
                "status",
                json!({"phase": "Failed", "conditions": disrupted}),
            ),
        ] {
            let leaving = |container: &Value| {
                let mut pod = running(false, 30);
                pod["status"]["containerStatuses"] = json!([container]);
                for (key, value) in value.as_object().unwrap() {
                    pod[path][key] = value.clone();
                }
                facts(&pod)
            };
            assert_eq!(leaving(&ended), PodFacts::default());
            let before = leaving(&twice);
            assert_eq!((before.crashes, before.running), (2, 0));
            assert_eq!(before.last_exit.as_deref(), Some("exit code 3"));
        }
        let killed = json!({"name": "user-container", "restartCount": 0,
            "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}});
        assert_eq!(facts(&pod(&killed)).crashes, 1, "nobody told it to stop");
    }

    #[test]
    fn a_pod_that_went_with_its_node_blames_nobody() {
        let mut lost = running(false, 90);
        lost["status"]["conditions"][0]["status"] = json!("True");
        assert_eq!(facts(&lost), PodFacts::default());
    }

    #[test]
    fn a_clean_end_is_no_crash() {
        let clean = json!({"name": "user-container", "restartCount": 4, "state": {"running": {}},
            "lastState": {"terminated": {"exitCode": 0}}});
        let sidecar = json!({"name": "queue-proxy", "restartCount": 4, "state": {"running": {}},
            "lastState": {"terminated": {"exitCode": 1}}});
        let lost = json!({"name": "user-container", "restartCount": 4, "state": {"running": {}},
            "lastState": {"terminated": {"exitCode": 255, "reason": "Unknown"}}});
        for container in [clean, sidecar, lost] {
            let facts = facts(&pod(&container));
            assert_eq!(facts.crashes, 0);
        }
    }

    #[test]
    fn a_container_that_cannot_be_created_says_why() {
        let why = |waiting: Value| {
            let container = json!({"name": "user-container", "state": {"waiting": waiting}});
            facts(&pod(&container)).waiting_reason
        };
        assert_eq!(
            why(json!({"reason": "CreateContainerError", "message": "`command` is not allowed"})),
            Some("CreateContainerError: `command` is not allowed".to_owned())
        );
        let word = json!({"reason": "CreateContainerConfigError"});
        assert_eq!(why(word), Some("CreateContainerConfigError".to_owned()));
    }
}
