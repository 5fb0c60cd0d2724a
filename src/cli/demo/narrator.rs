//! Tells the releases as they happen, from what anyone can watch: Delivery and Rollout objects.

use std::collections::HashMap;

use futures::{StreamExt, TryStreamExt};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use jiff::Timestamp;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::super::output::{Tone, paint};
use crate::api::delivery::Delivery;
use crate::api::rollout::{EvidenceVerdict, Phase, Rollout, RolloutStatus};

/// The newest status of each service, by name.
pub type Statuses = HashMap<String, RolloutStatus>;

/// Prints the story, and keeps what it is about for whoever waits for a moment of it.
pub struct Narrator {
    screen: Screen,
    started: Timestamp,
    statuses: watch::Sender<Statuses>,
    last_commit: Option<String>,
}

impl Narrator {
    /// A narrator whose clock starts now.
    pub fn new() -> (Self, watch::Receiver<Statuses>) {
        let (statuses, seen) = watch::channel(Statuses::new());
        (
            Self {
                screen: Screen::new(),
                started: Timestamp::now(),
                statuses,
                last_commit: None,
            },
            seen,
        )
    }

    /// A way to print lines of one's own between the narrator's.
    pub fn screen(&self) -> Screen {
        self.screen.clone()
    }

    /// Follows the namespace's Deliveries and Rollouts until cancelled.
    pub async fn follow(
        mut self,
        client: Client,
        namespace: &str,
        cancel: CancellationToken,
    ) -> anyhow::Result<()> {
        let rollouts: Api<Rollout> = Api::namespaced(client.clone(), namespace);
        let deliveries: Api<Delivery> = Api::namespaced(client, namespace);
        let config = watcher::Config::default();
        let mut rollouts = watcher(rollouts, config.clone())
            .default_backoff()
            .applied_objects()
            .boxed();
        let mut deliveries = watcher(deliveries, config)
            .default_backoff()
            .applied_objects()
            .boxed();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return Ok(()),
                rollout = rollouts.try_next() => {
                    if let Some(rollout) = rollout? { self.rollout(&rollout) }
                }
                delivery = deliveries.try_next() => {
                    if let Some(delivery) = delivery? { self.delivery(&delivery) }
                }
            }
        }
    }

    fn delivery(&mut self, delivery: &Delivery) {
        let commit = delivery
            .status
            .as_ref()
            .and_then(|status| status.observed_commit.clone());
        if commit != self.last_commit
            && let Some(commit) = &commit
        {
            let short: String = commit.chars().take(7).collect();
            self.screen.line(
                self.started,
                &delivery.name_any(),
                None,
                &format!("commit {short} seen"),
            );
        }
        self.last_commit = commit;
    }

    fn rollout(&mut self, rollout: &Rollout) {
        let Some(status) = rollout.status.clone() else {
            return;
        };
        let name = rollout.name_any();
        let before = self
            .statuses
            .borrow()
            .get(&name)
            .cloned()
            .unwrap_or_default();
        for evidence in status
            .evidence
            .iter()
            .filter(|e| !before.evidence.contains(e))
        {
            let tone = if evidence.verdict == EvidenceVerdict::Fail {
                Tone::Bad
            } else {
                Tone::Good
            };
            let words = format!(
                "{:?} on {}: {}",
                evidence.verdict, evidence.source, evidence.reason
            );
            self.screen.line(
                self.started,
                &name,
                Some(evidence.weight),
                &paint(tone, &words),
            );
        }
        if (before.phase, before.weight, &before.message)
            != (status.phase, status.weight, &status.message)
        {
            let words = paint(tone(status.phase), &status.message);
            self.screen
                .line(self.started, &name, Some(status.weight), &words);
        }
        self.screen.progress(&name, &status);
        self.statuses.send_modify(|all| {
            all.insert(name, status);
        });
    }
}

fn tone(phase: Phase) -> Tone {
    match phase {
        Phase::Stable => Tone::Good,
        Phase::RollingBack | Phase::RolledBack | Phase::Failed => Tone::Bad,
        _ => Tone::Busy,
    }
}

/// Standard output: lines, and on a terminal a bar per release below them.
#[derive(Clone)]
pub struct Screen {
    bars: MultiProgress,
    by_service: std::sync::Arc<parking_lot::Mutex<HashMap<String, ProgressBar>>>,
    terminal: bool,
}

impl Screen {
    fn new() -> Self {
        Self {
            bars: MultiProgress::new(),
            by_service: Default::default(),
            terminal: std::io::IsTerminal::is_terminal(&std::io::stdout()),
        }
    }

    /// One line of the story.
    pub fn line(&self, started: Timestamp, who: &str, weight: Option<u8>, words: &str) {
        let seconds = Timestamp::now().duration_since(started).as_secs_f64();
        let weight = weight.map_or_else(|| "     ".to_owned(), |weight| format!("{weight:>3} %"));
        self.say(&format!("{seconds:>6.1}s  {who:<8} {weight}  {words}"));
    }

    /// A line without a time.
    pub fn say(&self, text: &str) {
        if self.terminal {
            // Where the terminal is gone there is nobody to tell.
            let _ = self.bars.println(text);
        } else {
            println!("{text}");
        }
    }

    fn progress(&self, service: &str, status: &RolloutStatus) {
        if !self.terminal {
            return;
        }
        let mut bars = self.by_service.lock();
        if status.candidate.is_none() {
            if let Some(bar) = bars.remove(service) {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = bars.entry(service.to_owned()).or_insert_with(|| {
            let style =
                ProgressStyle::with_template("         {prefix:<8} {bar:40} {pos:>3} %  {msg}");
            let bar = ProgressBar::new(100).with_prefix(service.to_owned());
            self.bars
                .add(style.map_or(bar.clone(), |style| bar.with_style(style)))
        });
        bar.set_message(format!("{:?}", status.phase));
        bar.set_position(status.weight.into());
    }
}
