//! Where a Delivery's objects go: the Delivery's own part in rendering.

use crate::api::annotations::DeliveryId;
use crate::api::delivery::Expand;
use crate::api::object::ObjectKey;

/// Where a Delivery's objects go, and what may.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The Delivery.
    pub delivery: DeliveryId,
    /// The namespace of objects that name none.
    pub namespace: String,
    /// What is applied for a Service manifest that does not say.
    pub expand: Expand,
    /// Whether it may write nothing outside the Delivery's own namespace.
    pub confined: bool,
}

impl Destination {
    /// The Delivery's own namespace, with every setting as an empty spec has it, and no bounds.
    pub fn new(delivery: DeliveryId) -> Self {
        Self {
            namespace: delivery.namespace.clone(),
            expand: Expand::default(),
            confined: false,
            delivery,
        }
    }

    /// Whether an object may be written for the Delivery.
    pub fn admits(&self, key: &ObjectKey) -> bool {
        !self.confined || key.namespace.as_ref() == Some(&self.delivery.namespace)
    }
}
