//! One worker per Pod: claims it, carries out what its life ([`PodLife`]) asks
//! for, writes its status when that changed, and deletes it once everything that
//! it ran is gone.

mod writes;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodStatus};
use kube::Api;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::api::serving::label;

use super::Node;
use super::lifecycle::container::StartFailure;
use super::lifecycle::probe::ProbeKind;
use super::lifecycle::{Effect, Happening, PodLife};
use super::logs::PodKey;
use super::run::{Run, StopOrder};
use writes::{RETRY, Write};

/// The annotation that tells the gateway where a Pod serves, on 127.0.0.1.
pub const PORT_ANNOTATION: &str = "local.sluice.dev/port";

/// What the API says of the Pod.
#[derive(Debug, Clone)]
pub enum Desired {
    /// It is there.
    Pod(Arc<Pod>),
    /// It is gone: whatever still runs has no Pod any more.
    Gone,
}

/// What is left to a process whose requests took up its grace period: a kubelet's
/// minimum after a pre-stop hook that did.
const LAST_GRACE: Duration = Duration::from_secs(2);

/// Kubernetes' default grace period.
const DEFAULT_GRACE: i64 = 30;

/// Runs one Pod until it is gone, or until `cancel` asks to let go of it: then
/// its processes are ended, and it stays in the API to be taken up again.
pub async fn run(node: Arc<Node>, pods: watch::Receiver<Desired>, cancel: CancellationToken) {
    let Desired::Pod(pod) = pods.borrow().clone() else {
        return;
    };
    let key = PodKey {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name: pod.metadata.name.clone().unwrap_or_default(),
        uid: pod.metadata.uid.clone().unwrap_or_default(),
    };
    let now = Timestamp::now();
    let life = PodLife::new(&pod, node.backoff, now);
    let containers = life.containers.iter();
    node.logs.register(
        &key,
        containers.map(|one| (one.name.as_str(), one.is_init, one.restarts)),
    );
    let (happenings, received) = mpsc::channel(64);
    let mut worker = Worker {
        stops: life
            .containers
            .iter()
            .map(|_| watch::Sender::new(None))
            .collect(),
        written: pod.status.clone().unwrap_or_default(),
        api: Api::namespaced(node.client.clone(), &key.namespace),
        life,
        key,
        pod,
        port: None,
        runs: JoinSet::new(),
        happenings,
        node,
    };
    let is_deleted = worker.live(pods, received, cancel).await;
    if let Some(port) = worker.port {
        worker.node.ports.give_back(port);
    }
    if is_deleted {
        worker.node.logs.forget(&worker.key);
        let _ = std::fs::remove_dir_all(worker.node.pod_folder(&worker.key));
    }
}

struct Worker {
    node: Arc<Node>,
    api: Api<Pod>,
    key: PodKey,
    /// As last seen.
    pod: Arc<Pod>,
    /// The status that the API has, as far as we know.
    written: PodStatus,
    life: PodLife,
    port: Option<u16>,
    /// One for each container of `life`.
    stops: Vec<watch::Sender<Option<StopOrder>>>,
    runs: JoinSet<()>,
    happenings: mpsc::Sender<(usize, Happening)>,
}

impl Worker {
    /// Gives whether the Pod is deleted, rather than let go of.
    async fn live(
        &mut self,
        mut pods: watch::Receiver<Desired>,
        mut received: mpsc::Receiver<(usize, Happening)>,
        cancel: CancellationToken,
    ) -> bool {
        if self.pod.metadata.deletion_timestamp.is_some() {
            self.life.end();
        } else if !self.life.is_over() {
            tokio::select! {
                is_ours = self.claim() => if !is_ours { return true },
                () = cancel.cancelled() => return false,
            }
        }
        let mut writing: Option<Write> = None;
        let mut retry: Option<Instant> = None;
        loop {
            let (effects, wake) = self.life.next(Timestamp::now());
            let finished = effects.contains(&Effect::Finish);
            for effect in effects {
                self.carry_out(effect).await;
            }
            if finished {
                let deleted = tokio::select! {
                    () = self.delete() => true,
                    () = cancel.cancelled() => false,
                };
                self.runs.shutdown().await;
                return deleted;
            }
            if writing.is_none() && retry.is_none() {
                writing = self.write_status();
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => {
                    self.stop_all(self.node.stop_grace, &mut received).await;
                    return false;
                }
                changed = pods.changed() => {
                    let desired = changed.map(|()| pods.borrow_and_update().clone());
                    match desired {
                        Ok(Desired::Pod(pod)) => self.saw(pod),
                        Ok(Desired::Gone) => {
                            self.stop_all(Duration::ZERO, &mut received).await;
                            return true;
                        }
                        Err(_) => return false,
                    }
                }
                Some((index, happening)) = received.recv() => self.happened(index, happening).await,
                (status, result) = written(&mut writing) => {
                    writing = None;
                    match result {
                        Ok(_) => self.written = status,
                        // Gone, or another of that name: the watch will say so.
                        Err(error) => {
                            tracing::debug!(pod = %self.key.name, %error, "a status cannot be written");
                            retry = Some(Instant::now() + RETRY);
                        }
                    }
                }
                () = until(retry) => retry = None,
                () = until(wake.map(instant)) => {}
                // Ended runs are taken in; what they had to say came by the channel.
                Some(_) = self.runs.join_next() => {}
            }
        }
    }

    fn saw(&mut self, pod: Arc<Pod>) {
        if pod.metadata.deletion_timestamp.is_some() {
            self.life.end();
        }
        self.pod = pod;
    }

    async fn happened(&mut self, index: usize, happening: Happening) {
        for effect in self.life.happened(index, happening, Timestamp::now()) {
            self.carry_out(effect).await;
        }
    }

    async fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Start(index) => {
                if let Err(failure) = self.start(index).await {
                    // Not through the channel: it may be full, and only we empty it.
                    let now = Timestamp::now();
                    let told = self.life.happened(index, Happening::Failed(failure), now);
                    for effect in told {
                        if let Effect::Tell(note) = effect {
                            self.node.events.tell(&self.pod, note);
                        }
                    }
                }
            }
            Effect::Stop { container, probe } => {
                let grace = self.grace(container, probe);
                let drain = if probe.is_none() {
                    self.drain()
                } else {
                    Duration::ZERO
                };
                let now = Instant::now();
                let terminate = now + drain.min(grace / 2);
                let kill = now + grace;
                let order = StopOrder {
                    terminate,
                    latest: if drain.is_zero() {
                        terminate
                    } else {
                        kill - LAST_GRACE.min(grace / 4)
                    },
                    kill,
                };
                if let Some(stop) = self.stops.get(container) {
                    stop.send_replace(Some(order));
                }
            }
            Effect::Waits(index) => {
                if let Some(container) = self.life.containers.get(index) {
                    self.node.logs.waiting(&self.key, &container.name);
                }
            }
            Effect::Tell(note) => self.node.events.tell(&self.pod, note),
            Effect::Finish => {}
        }
    }

    async fn start(&mut self, index: usize) -> Result<(), StartFailure> {
        let node_fault = |message: String| StartFailure::Node(message);
        let Some((spec, serves)) = self.spec(index) else {
            return Err(node_fault(
                "the container is not in the Pod's spec".to_owned(),
            ));
        };
        let restarts = self
            .life
            .containers
            .get(index)
            .map_or(0, |container| container.restarts);
        if serves && !self.port.is_some_and(|port| self.node.ports.hold(port)) {
            // Somebody took it while nothing of ours listened.
            let port = self
                .node
                .ports
                .take(None)
                .map_err(|error| node_fault(error.to_string()))?;
            if let Some(old) = self.port.replace(port) {
                self.node.ports.give_back(old);
            }
            self.publish(port)
                .await
                .map_err(|error| node_fault(error.to_string()))?;
        }
        // A run's order to stop is not the next one's.
        let stop = watch::Sender::new(None);
        let run = Run {
            node: Arc::clone(&self.node),
            key: self.key.clone(),
            pod: Arc::clone(&self.pod),
            index,
            container: spec,
            restarts,
            port: self.port.filter(|_| serves),
            stop: stop.subscribe(),
            happenings: self.happenings.clone(),
        };
        if let Some(place) = self.stops.get_mut(index) {
            *place = stop;
        }
        self.runs.spawn(run.run());
        Ok(())
    }

    /// A container's spec, and whether it is the one that serves: the first main
    /// container with a port, else the first.
    fn spec(&self, index: usize) -> Option<(Container, bool)> {
        let spec = self.pod.spec.as_ref()?;
        let init = spec.init_containers.as_deref().unwrap_or_default();
        if let Some(container) = init.get(index) {
            return Some((container.clone(), false));
        }
        let index = index - init.len();
        let has_port = |one: &Container| one.ports.as_ref().is_some_and(|ports| !ports.is_empty());
        let serving = spec.containers.iter().position(has_port).unwrap_or(0);
        Some((spec.containers.get(index)?.clone(), index == serving))
    }

    fn grace(&self, index: usize, probe: Option<ProbeKind>) -> Duration {
        let spec = self.spec(index).map(|(spec, _)| spec);
        let of_probe = match probe {
            Some(ProbeKind::Startup) => spec.and_then(|spec| spec.startup_probe),
            Some(ProbeKind::Liveness) => spec.and_then(|spec| spec.liveness_probe),
            _ => None,
        };
        let of_deletion = self.pod.metadata.deletion_grace_period_seconds;
        let of_pod = self
            .pod
            .spec
            .as_ref()
            .and_then(|spec| spec.termination_grace_period_seconds);
        let seconds = of_probe
            .and_then(|probe| probe.termination_grace_period_seconds)
            .or(of_deletion)
            .or(of_pod)
            .unwrap_or(DEFAULT_GRACE);
        Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
    }

    /// How long a deleted Pod goes on serving at least before it is told to end, so
    /// that everybody has seen that it is going; then the requests that it has are
    /// waited for. On a cluster that is the work of Knative's queue-proxy, whose
    /// pre-stop hook holds the signal back; so it is for Pods of Revisions only.
    fn drain(&self) -> Duration {
        let labels = self.pod.metadata.labels.as_ref();
        match labels.is_some_and(|labels| labels.contains_key(label::REVISION)) {
            true => self.node.drain,
            false => Duration::ZERO,
        }
    }

    /// Ends every run, at most `grace` after now, and waits for that.
    async fn stop_all(
        &mut self,
        grace: Duration,
        received: &mut mpsc::Receiver<(usize, Happening)>,
    ) {
        let now = Instant::now();
        for stop in &self.stops {
            stop.send_replace(Some(StopOrder {
                terminate: now,
                latest: now,
                kill: now + grace,
            }));
        }
        loop {
            tokio::select! {
                ended = self.runs.join_next() => if ended.is_none() { return },
                // They tell to the end, and nobody must wait for room.
                Some(_) = received.recv() => {}
            }
        }
    }
}

async fn written(writing: &mut Option<Write>) -> (PodStatus, Result<Pod, kube::Error>) {
    match writing {
        Some(write) => write.await,
        None => std::future::pending().await,
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The moment of a time of day; a passed one is now.
fn instant(time: Timestamp) -> Instant {
    let left = time.duration_since(Timestamp::now());
    // A little late rather than a little early, which would be a second turn.
    Instant::now() + Duration::try_from(left).unwrap_or_default() + Duration::from_millis(1)
}
