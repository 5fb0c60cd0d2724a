//! One agent a Delivery: its loop runs in the agent that holds its Lease, and in no other.
//!
//! The Lease stands in the Delivery's namespace, where every agent that could deliver it finds it:
//! one on a laptop beside the one in the cluster as well as two replicas of one Deployment.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::context::Context;
use super::{delivery, orphans};
use crate::api::delivery::Delivery;
use crate::cluster::{Candidacy, Election, Holder, Lead};
use crate::plan::DeliveryId;

/// How often an agent that waits for a deleted Delivery's Lease looks whether its releases are rolled back.
const LOOK: Duration = Duration::from_secs(2);
/// The longest name that an object may have.
const LONGEST_NAME: usize = 253;

/// Delivers one Delivery whenever this agent leads it, until cancelled or until it is deleted.
///
/// `spec` brings each change of the object; `withdrawn` says that it was deleted.
pub async fn run(
    context: Arc<Context>,
    id: DeliveryId,
    spec: watch::Receiver<Arc<Delivery>>,
    cancel: CancellationToken,
    withdrawn: CancellationToken,
) {
    context.leads(&id, false);
    let election = stand(&context, &id);
    let mut lead = election.lead();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return election.end().await,
            () = withdrawn.cancelled() => {
                // Whoever leads it rolls its releases back; should it die meanwhile, this agent does.
                return finish_withdrawal(&context, &id, election, &cancel).await;
            }
            led = elected(&context, &id, &mut lead) => if !led { return },
        }
        election.at_rest(false);
        context.leads(&id, true);
        let term = cancel.child_token();
        {
            let ours = (context.clone(), id.clone(), spec.clone());
            let run = delivery::run(ours.0, ours.1, ours.2, term.clone(), withdrawn.clone());
            let mut run = pin!(run);
            tokio::select! {
                () = &mut run => {}
                () = lost(&mut lead) => {
                    // The loops end in good order, before they may begin again.
                    term.cancel();
                    run.await;
                }
            }
        }
        context.leads(&id, false);
        election.at_rest(true);
        if withdrawn.is_cancelled() && !cancel.is_cancelled() {
            return election.dissolve().await;
        }
        if !term.is_cancelled() || cancel.is_cancelled() {
            return election.end().await;
        }
    }
}

/// Rolls back the releases of a Delivery that is gone, as soon as nobody else does.
pub async fn roll_back_orphans(context: Arc<Context>, id: DeliveryId, cancel: CancellationToken) {
    let election = stand(&context, &id);
    finish_withdrawal(&context, &id, election, &cancel).await;
}

async fn finish_withdrawal(
    context: &Arc<Context>,
    id: &DeliveryId,
    election: Election,
    cancel: &CancellationToken,
) {
    let mut lead = election.lead();
    loop {
        let releases = orphans::find(context, id);
        if releases.is_empty() || cancel.is_cancelled() {
            return election.end().await;
        }
        if *lead.borrow_and_update() == Lead::Ours {
            election.at_rest(false);
            orphans::roll_back(context, id, releases, cancel).await;
            return election.dissolve().await;
        }
        tokio::select! {
            () = cancel.cancelled() => {}
            changed = lead.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

fn stand(context: &Context, id: &DeliveryId) -> Election {
    context.cluster.stand(Candidacy {
        namespace: id.namespace.clone(),
        lease: lease_name(&id.name),
        identity: context.identity.clone(),
        take_over: context.take_over.contains(id),
    })
}

/// `sluice-NAME`; a name that is too long for that is cut, and keeps a digest of the whole.
fn lease_name(delivery: &str) -> String {
    let name = format!("sluice-{delivery}");
    if name.len() <= LONGEST_NAME {
        return name;
    }
    let digest = Sha256::digest(delivery.as_bytes());
    let digest: String = digest.iter().take(5).map(|b| format!("{b:02x}")).collect();
    let kept: String = name.chars().take(LONGEST_NAME - digest.len() - 1).collect();
    format!("{}-{digest}", kept.trim_end_matches(['-', '.']))
}

/// Resolves when this agent leads, and says meanwhile who does; `false` where the election ended.
async fn elected(context: &Context, id: &DeliveryId, lead: &mut watch::Receiver<Lead>) -> bool {
    loop {
        let now = lead.borrow_and_update().clone();
        match now {
            Lead::Ours => {
                info!(delivery = %id, agent = %context.identity, "this agent delivers it");
                return true;
            }
            Lead::Another(holder) => warn!(delivery = %id, "{}", waits(id, &holder)),
            Lead::Unknown => {}
        }
        if lead.changed().await.is_err() {
            return false;
        }
    }
}

fn waits(id: &DeliveryId, holder: &Holder) -> String {
    let since = match holder.since {
        Some(since) => format!(" since {since:.0}"),
        None => String::new(),
    };
    format!(
        "the agent {} delivers {id}{since}; this agent waits until that one ends (to deliver it from here: `sluice run --take-over {}/{}`)",
        holder.identity, id.namespace, id.name
    )
}

async fn lost(lead: &mut watch::Receiver<Lead>) {
    // An election that ended leads nobody.
    let _ = lead.wait_for(|lead| *lead != Lead::Ours).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_says_for_whom_since_when_and_what_can_be_done() {
        let holder = Holder {
            identity: "sluice-agent-7c9f".to_owned(),
            since: jiff::Timestamp::from_second(1_700_000_000).ok(),
        };
        assert_eq!(
            waits(&DeliveryId::new("default", "shop"), &holder),
            "the agent sluice-agent-7c9f delivers default.shop since 2023-11-14T22:13:20Z; this agent waits \
             until that one ends (to deliver it from here: `sluice run --take-over default/shop`)"
        );
    }

    #[test]
    fn the_lease_of_the_longest_name_is_a_name_and_no_other_deliverys() {
        assert_eq!(lease_name("shop"), "sluice-shop");
        let (one, other) = ("a".repeat(253), format!("{}b", "a".repeat(252)));
        assert_eq!(lease_name(&one).len(), 253);
        assert_ne!(lease_name(&one), lease_name(&other));
    }
}
