//! What other Deliveries say is theirs.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use crate::api::object::ObjectKey;

use super::annotations::DeliveryId;

/// The inventories of the other Deliveries. Several may claim one object; whose it is
/// then is said by the object's own mark.
///
/// Cheap to make and to clone: inventories are shared with whoever keeps them.
#[derive(Clone, Debug, Default)]
pub struct Claims(BTreeMap<DeliveryId, Arc<HashSet<ObjectKey>>>);

impl Claims {
    /// A Delivery says that these are its objects.
    pub fn add(&mut self, delivery: DeliveryId, inventory: Arc<HashSet<ObjectKey>>) {
        self.0.insert(delivery, inventory);
    }

    /// Whether that Delivery claims the object.
    pub fn are_by(&self, delivery: &DeliveryId, key: &ObjectKey) -> bool {
        self.0
            .get(delivery)
            .is_some_and(|inventory| inventory.contains(key))
    }

    /// One of the Deliveries that claim the object.
    pub fn claimant(&self, key: &ObjectKey) -> Option<&DeliveryId> {
        self.0
            .iter()
            .find(|(_, inventory)| inventory.contains(key))
            .map(|(delivery, _)| delivery)
    }
}

impl FromIterator<(ObjectKey, DeliveryId)> for Claims {
    fn from_iter<T: IntoIterator<Item = (ObjectKey, DeliveryId)>>(claims: T) -> Self {
        let mut sets: BTreeMap<DeliveryId, HashSet<ObjectKey>> = BTreeMap::new();
        for (key, delivery) in claims {
            sets.entry(delivery).or_default().insert(key);
        }
        Self(
            sets.into_iter()
                .map(|(id, keys)| (id, Arc::new(keys)))
                .collect(),
        )
    }
}
