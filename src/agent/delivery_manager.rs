//! The loops of all Deliveries: one for each that the cluster has, and none for the others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::context::Context;
use super::leadership;
use crate::api::delivery::{Delivery, SYNC};
use crate::plan::DeliveryId;

/// The loops.
pub struct DeliveryManager {
    context: Arc<Context>,
    cancel: CancellationToken,
    running: BTreeMap<DeliveryId, Running>,
    /// Those whose Delivery is gone, until their releases are rolled back; each can be told to end at once.
    leaving: BTreeMap<DeliveryId, CancellationToken>,
    ending: JoinSet<DeliveryId>,
}

struct Running {
    spec: watch::Sender<Arc<Delivery>>,
    cancel: CancellationToken,
    withdrawn: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn end(self, id: &DeliveryId) {
        self.cancel.cancel();
        self.ended(id).await;
    }

    async fn ended(self, id: &DeliveryId) {
        if let Err(error) = self.task.await {
            error!(delivery = %id, "the loop of a Delivery broke: {error}");
        }
    }
}

impl DeliveryManager {
    /// No loop yet; all that it starts end when `cancel` says so.
    pub fn new(context: Arc<Context>, cancel: CancellationToken) -> Self {
        Self {
            context,
            cancel,
            running: BTreeMap::new(),
            leaving: BTreeMap::new(),
            ending: JoinSet::new(),
        }
    }

    /// Starts, tells and ends loops so that they are those of `present`. One that is there and cannot be read goes on
    /// as it was read last: it was not deleted.
    pub fn reconcile(
        &mut self,
        mut present: BTreeMap<DeliveryId, Arc<Delivery>>,
        unreadable: &BTreeSet<DeliveryId>,
    ) {
        let gone: Vec<DeliveryId> = self
            .running
            .iter()
            .filter(|(id, known)| {
                let uid = known.spec.borrow().metadata.uid.clone();
                // Deleted and made again between two looks, it is another one. And a loop
                // that broke is begun again.
                let same = |delivery: &Arc<Delivery>| delivery.metadata.uid == uid;
                known.task.is_finished()
                    || !(unreadable.contains(*id) || present.get(*id).is_some_and(same))
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            if let Some(delivery) = self.running.remove(&id) {
                info!(delivery = %id, "no longer delivered; its objects stay as they are");
                delivery.withdrawn.cancel();
                self.leaving.insert(id.clone(), delivery.cancel.clone());
                self.ending.spawn(async move {
                    delivery.ended(&id).await;
                    id
                });
            }
        }
        // Two loops for one name would undo each other's work. Its releases go on under the new one.
        for (id, cancel) in &self.leaving {
            if present.remove(id).is_some() {
                cancel.cancel();
            }
        }
        for (id, delivery) in present {
            match self.running.get(&id) {
                Some(known) => tell(&known.spec, delivery),
                None => {
                    let started = self.start(&id, delivery);
                    self.running.insert(id, started);
                }
            }
        }
    }

    /// Rolls back what is under way for Deliveries that were deleted while no agent ran.
    pub fn roll_back(&mut self, orphaned: BTreeSet<DeliveryId>) {
        for id in orphaned {
            warn!(delivery = %id, "deleted while no agent ran; its releases are rolled back");
            let (context, cancel) = (self.context.clone(), self.cancel.child_token());
            self.leaving.insert(id.clone(), cancel.clone());
            self.ending.spawn(async move {
                leadership::roll_back_orphans(context, id.clone(), cancel).await;
                id
            });
        }
    }

    fn start(&self, id: &DeliveryId, delivery: Arc<Delivery>) -> Running {
        let (spec, seen) = watch::channel(delivery);
        let (cancel, withdrawn) = (self.cancel.child_token(), CancellationToken::new());
        let task = tokio::spawn(leadership::run(
            self.context.clone(),
            id.clone(),
            seen,
            cancel.clone(),
            withdrawn.clone(),
        ));
        Running {
            spec,
            cancel,
            withdrawn,
            task,
        }
    }

    /// Waits until a loop that had to leave is gone, and its name is free again.
    pub async fn left(&mut self) {
        match self.ending.join_next().await {
            Some(Ok(id)) => {
                self.context.metrics.forget(&id);
                self.leaving.remove(&id);
            }
            Some(Err(error)) => error!("the end of a Delivery's loop broke: {error}"),
            None => std::future::pending().await,
        }
    }

    /// Ends every loop.
    pub async fn end(mut self) {
        self.cancel.cancel();
        for (id, delivery) in std::mem::take(&mut self.running) {
            delivery.end(&id).await;
        }
        while self.ending.join_next().await.is_some() {}
    }
}

/// Tells a loop of what people changed; our own status writes are no news.
fn tell(spec: &watch::Sender<Arc<Delivery>>, delivery: Arc<Delivery>) {
    let wish = |delivery: &Delivery| {
        let annotations = delivery.metadata.annotations.as_ref();
        annotations.and_then(|all| all.get(SYNC)).cloned()
    };
    spec.send_if_modified(|known| {
        let changed = known.spec != delivery.spec
            || wish(known) != wish(&delivery)
            || known.metadata.generation != delivery.metadata.generation;
        if changed {
            *known = delivery;
        }
        changed
    });
}
