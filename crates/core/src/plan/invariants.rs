//! What is true of every plan, whatever it was made from.
//!
//! Cheap enough to run on every plan in tests and debug builds: a planner that
//! breaks one of these is wrong, however good its reasons.

use std::collections::BTreeSet;

use crate::api::object::ObjectKey;

use super::annotations;
use super::prune::needs;
use super::steps::{Action, Plan, Stage};

/// A plan that must not be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsound {
    /// Two steps are about one object.
    #[error("{0} is in two steps")]
    Twice(ObjectKey),
    /// A step stands before one of an earlier stage.
    #[error("{0} stands after a later stage")]
    OutOfOrder(ObjectKey),
    /// A deletion of something that the plan wants.
    #[error("{0} is wanted and deleted")]
    DeletesWanted(ObjectKey),
    /// A deletion that would take something with it that the plan wants.
    #[error("deleting {deleted} would take {wanted} with it")]
    TakesWith {
        /// What is deleted.
        deleted: ObjectKey,
        /// What would go too.
        wanted: ObjectKey,
    },
    /// A write of an object that the inventory does not have: a crash would leak it.
    #[error("{0} is written but not in the inventory")]
    Leaks(ObjectKey),
    /// An object that would be written without saying whose it is.
    #[error("{0} is written without its marks")]
    Unmarked(ObjectKey),
    /// A deletion that could hit a later incarnation.
    #[error("{0} is deleted without naming its incarnation")]
    AnyIncarnation(ObjectKey),
    /// An object that is applied under another identity than its step's.
    #[error("{0} is not what its step applies")]
    Misnamed(ObjectKey),
}

/// Everything that is unsound about a plan; nothing, if the planner is right.
pub fn check(plan: &Plan) -> Vec<Unsound> {
    let inventory: BTreeSet<&ObjectKey> = plan.inventory.iter().collect();
    let mut wanted: BTreeSet<ObjectKey> = plan.services.iter().flat_map(|s| s.keys()).collect();
    let mut seen = BTreeSet::new();
    let mut stage = Stage::Namespaces;
    let mut found = Vec::new();
    for step in &plan.steps {
        let key = || step.key.clone();
        if !seen.insert(&step.key) {
            found.push(Unsound::Twice(key()));
        }
        if step.stage < stage {
            found.push(Unsound::OutOfOrder(key()));
        }
        stage = step.stage;
        if !inventory.contains(&step.key) {
            found.push(Unsound::Leaks(key()));
        }
        if (step.stage == Stage::Prune) != matches!(step.action, Action::Prune { .. }) {
            found.push(Unsound::OutOfOrder(key()));
        }
        if let Some(object) = step.object() {
            if ObjectKey::of(object).as_ref() != Some(&step.key) {
                found.push(Unsound::Misnamed(key()));
            }
            let marked = |name| annotations::annotation(object, name).is_some();
            if !marked(annotations::DELIVERY) || !marked(annotations::DIGEST) {
                found.push(Unsound::Unmarked(key()));
            }
            wanted.insert(key());
        }
    }
    for step in &plan.steps {
        let Action::Prune { uid, .. } = &step.action else {
            continue;
        };
        if uid.is_empty() {
            found.push(Unsound::AnyIncarnation(step.key.clone()));
        }
        if wanted.contains(&step.key) {
            found.push(Unsound::DeletesWanted(step.key.clone()));
        }
        if let Some(user) = wanted.iter().find(|object| needs(object, &step.key)) {
            found.push(Unsound::TakesWith {
                deleted: step.key.clone(),
                wanted: user.clone(),
            });
        }
    }
    found
}
