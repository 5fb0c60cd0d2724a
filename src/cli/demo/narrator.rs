//! Tells the releases as they happen, from what anyone can watch: Events, Deliveries and Rollouts.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::output::{Tone, paint};
use super::screen::Screen;
use crate::api::delivery::Delivery;
use crate::api::rollout::{RolloutStatus, ServiceRollout};

/// How far the story of each service is told, by name.
pub type Story = HashMap<String, Told>;

/// How far the story of one service is told.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Its newest status.
    pub status: RolloutStatus,
    /// The reason of the event that was printed last.
    pub last: String,
}

/// Prints the story, and keeps what it is about for whoever waits for a moment of it.
pub struct Narrator {
    screen: Screen,
    started: Timestamp,
    story: watch::Sender<Story>,
    printed: HashSet<String>,
    last_commit: Option<String>,
}

impl Narrator {
    /// A narrator whose clock starts now.
    pub fn new() -> (Self, watch::Receiver<Story>) {
        let (story, seen) = watch::channel(Story::new());
        (
            Self {
                screen: Screen::new(),
                started: Timestamp::now(),
                story,
                printed: HashSet::new(),
                last_commit: None,
            },
            seen,
        )
    }

    /// A way to print lines of one's own between the narrator's.
    pub fn screen(&self) -> Screen {
        self.screen.clone()
    }

    /// Follows the namespace's Events, Deliveries and Rollouts until cancelled.
    pub async fn follow(
        mut self,
        client: Client,
        namespace: &str,
        cancel: CancellationToken,
    ) -> anyhow::Result<()> {
        let config = watcher::Config::default();
        let rollouts: Api<ServiceRollout> = Api::namespaced(client.clone(), namespace);
        let mut rollouts = watcher(rollouts, config.clone())
            .default_backoff()
            .applied_objects()
            .boxed();
        let deliveries: Api<Delivery> = Api::namespaced(client.clone(), namespace);
        let mut deliveries = watcher(deliveries, config.clone())
            .default_backoff()
            .applied_objects()
            .boxed();
        let events: Api<Event> = Api::namespaced(client, namespace);
        let mut events = watcher(events, config)
            .default_backoff()
            .applied_objects()
            .boxed();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                rollout = rollouts.try_next() => {
                    if let Some(rollout) = rollout? { self.rollout(rollout) }
                }
                delivery = deliveries.try_next() => {
                    if let Some(delivery) = delivery? { self.delivery(&delivery) }
                }
                event = events.try_next() => {
                    if let Some(event) = event? { self.event(event) }
                }
            }
        }
    }

    fn delivery(&mut self, delivery: &Delivery) {
        let status = delivery.status.as_ref();
        let commit = status.and_then(|status| status.observed_commit.clone());
        if commit != self.last_commit
            && let Some(commit) = &commit
        {
            let short: String = commit.chars().take(7).collect();
            self.line(&delivery.name_any(), &format!("commit {short} seen"));
        }
        self.last_commit = commit;
    }

    fn rollout(&mut self, rollout: ServiceRollout) {
        let name = rollout.name_any();
        let Some(status) = rollout.status else {
            return;
        };
        self.screen.progress(&name, &status);
        self.story
            .send_modify(|story| story.entry(name).or_default().status = status);
    }

    /// Prints what happened to a release, once.
    fn event(&mut self, event: Event) {
        let about = &event.involved_object;
        if about.kind.as_deref() != Some("ServiceRollout") || !self.printed.insert(event.name_any())
        {
            return;
        }
        let (Some(service), Some(reason)) = (about.name.clone(), event.reason) else {
            return;
        };
        let tone = match (reason.as_str(), event.type_.as_deref()) {
            ("Promoted" | "RolledBack", _) => Tone::Good,
            (_, Some("Warning")) => Tone::Bad,
            _ => Tone::Busy,
        };
        let words = paint(tone, &event.message.unwrap_or_default());
        self.line(&service, &words);
        self.story
            .send_modify(|story| story.entry(service).or_default().last = reason);
    }

    fn line(&self, who: &str, words: &str) {
        let seconds = Timestamp::now().duration_since(self.started).as_secs_f64();
        self.screen
            .say(&format!("{seconds:>6.1}s  {who:<8} {words}"));
    }
}
