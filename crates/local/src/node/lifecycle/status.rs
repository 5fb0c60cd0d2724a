//! A Pod's status, as a kubelet writes it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, HostIP, PodCondition, PodIP, PodStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::container::{Container, Ended, State};
use super::{PodLife, RestartPolicy};

/// Every Pod and the node itself are here.
pub const ADDRESS: &str = "127.0.0.1";

/// The conditions that the node writes; others on the Pod are left alone.
const CONDITIONS: [&str; 4] = ["PodScheduled", "Initialized", "ContainersReady", "Ready"];

/// A Pod's phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Something was never started yet.
    Pending,
    /// Started, and not over.
    Running,
    /// All main containers ended well, for good.
    Succeeded,
    /// Ended for good, and not well.
    Failed,
}

impl Phase {
    fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }
}

/// The status of a Pod. `before` is its last status: from it come the start time,
/// the times of conditions that did not change, and the conditions of others.
pub fn render(life: &PodLife, before: &PodStatus, now: Timestamp) -> PodStatus {
    let statuses = |init: bool| -> Vec<ContainerStatus> {
        let containers = life
            .containers
            .iter()
            .filter(|container| container.is_init == init);
        containers.map(container_status).collect()
    };
    let init = statuses(true);
    PodStatus {
        phase: Some(phase(life).word().to_owned()),
        conditions: Some(conditions(life, before, now)),
        host_ip: Some(ADDRESS.to_owned()),
        host_ips: Some(vec![HostIP {
            ip: ADDRESS.to_owned(),
        }]),
        pod_ip: Some(ADDRESS.to_owned()),
        pod_ips: Some(vec![PodIP {
            ip: ADDRESS.to_owned(),
        }]),
        start_time: before.start_time.clone().or_else(|| Some(time(now))),
        init_container_statuses: (!init.is_empty()).then_some(init),
        container_statuses: Some(statuses(false)),
        qos_class: before.qos_class.clone(),
        ..PodStatus::default()
    }
}

/// The phase that the containers add up to (a kubelet's `getPhase`).
pub fn phase(life: &PodLife) -> Phase {
    let (mut init, mut main) = (Vec::new(), Vec::new());
    for container in &life.containers {
        if container.is_init {
            init.push(container)
        } else {
            main.push(container)
        }
    }
    for container in init {
        match &container.state {
            State::Ended(ended) if ended.code == 0 => {}
            State::Ended(_) if life.restart == RestartPolicy::Never => return Phase::Failed,
            _ => return Phase::Pending,
        }
    }
    let never_ran = |container: &&Container| match container.state {
        State::Waiting(_) | State::Starting { .. } => container.last.is_none(),
        State::Running(_) | State::Ended(_) => false,
    };
    if main.iter().any(never_ran) {
        return Phase::Pending;
    }
    let ends: Option<Vec<&Ended>> = main
        .iter()
        .map(|container| match &container.state {
            State::Ended(ended) => Some(ended),
            _ => None,
        })
        .collect();
    match ends {
        None => Phase::Running,
        Some(ends) if ends.iter().any(|end| life.restart.applies(false, end)) => Phase::Running,
        Some(ends) if ends.iter().all(|end| end.code == 0) => Phase::Succeeded,
        Some(_) => Phase::Failed,
    }
}

/// Takes the conditions of others from `seen`, and leaves the node's own alone.
pub fn adopt_foreign(status: &mut PodStatus, seen: &[PodCondition]) {
    let is_own = |condition: &PodCondition| CONDITIONS.contains(&condition.type_.as_str());
    let mut conditions = status.conditions.take().unwrap_or_default();
    conditions.retain(is_own);
    conditions.extend(seen.iter().filter(|condition| !is_own(condition)).cloned());
    status.conditions = Some(conditions);
}

fn container_status(container: &Container) -> ContainerStatus {
    let running = match &container.state {
        State::Running(running) => Some(running),
        _ => None,
    };
    let state = match &container.state {
        State::Waiting(waiting) => waits(waiting.reason, &waiting.message),
        State::Starting { .. } => waits("ContainerCreating", ""),
        State::Running(running) => ContainerState {
            running: Some(ContainerStateRunning {
                started_at: Some(time(running.since)),
            }),
            ..ContainerState::default()
        },
        State::Ended(ended) => terminated(ended),
    };
    ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone(),
        image_id: container.image_id.clone(),
        container_id: some(&container.id),
        ready: container.is_ready(),
        started: Some(running.is_some_and(|running| running.started)),
        restart_count: container.restarts,
        state: Some(state),
        last_state: Some(container.last.as_ref().map(terminated).unwrap_or_default()),
        ..ContainerStatus::default()
    }
}

fn waits(reason: &str, message: &str) -> ContainerState {
    let waiting = ContainerStateWaiting {
        reason: some(reason),
        message: some(message),
    };
    ContainerState {
        waiting: Some(waiting),
        ..ContainerState::default()
    }
}

fn terminated(ended: &Ended) -> ContainerState {
    let terminated = ContainerStateTerminated {
        container_id: some(&ended.id),
        exit_code: ended.code,
        signal: ended.signal,
        reason: some(&ended.reason),
        message: some(&ended.message),
        started_at: ended.started.map(time),
        finished_at: Some(time(ended.finished)),
    };
    ContainerState {
        terminated: Some(terminated),
        ..ContainerState::default()
    }
}

fn conditions(life: &PodLife, before: &PodStatus, now: Timestamp) -> Vec<PodCondition> {
    let phase = phase(life);
    let not_ready = |init: bool| -> Vec<&str> {
        let containers = life.containers.iter();
        let lacking = containers.filter(|one| one.is_init == init && !one.is_ready());
        lacking.map(|container| container.name.as_str()).collect()
    };
    let initialized = match (not_ready(true), phase) {
        (_, Phase::Succeeded) => (true, "PodCompleted", String::new()),
        (waiting, _) if waiting.is_empty() => (true, "", String::new()),
        (waiting, _) => (
            false,
            "ContainersNotInitialized",
            format!("containers with incomplete status: [{}]", waiting.join(" ")),
        ),
    };
    let ready = match (not_ready(false), phase) {
        (_, Phase::Succeeded) => (false, "PodCompleted", String::new()),
        (_, Phase::Failed) => (false, "PodFailed", String::new()),
        (waiting, _) if waiting.is_empty() => (true, "", String::new()),
        (waiting, _) => (
            false,
            "ContainersNotReady",
            format!("containers with unready status: [{}]", waiting.join(" ")),
        ),
    };
    let values = [(true, "", String::new()), initialized, ready.clone(), ready];
    let before = before.conditions.as_deref().unwrap_or_default();
    let own = CONDITIONS
        .into_iter()
        .zip(values)
        .map(|(type_, (holds, reason, message))| {
            let status = if holds { "True" } else { "False" };
            let same = before
                .iter()
                .find(|old| old.type_ == type_ && old.status == status);
            PodCondition {
                type_: type_.to_owned(),
                status: status.to_owned(),
                reason: some(reason),
                message: some(&message),
                last_transition_time: same
                    .and_then(|old| old.last_transition_time.clone())
                    .or_else(|| Some(time(now))),
                ..PodCondition::default()
            }
        });
    let foreign = before
        .iter()
        .filter(|old| !CONDITIONS.contains(&old.type_.as_str()));
    own.chain(foreign.cloned()).collect()
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Kubernetes' times have seconds.
fn time(at: Timestamp) -> Time {
    Time(Timestamp::from_second(at.as_second()).unwrap_or(at))
}
