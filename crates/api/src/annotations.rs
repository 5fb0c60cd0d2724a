//! The annotations by which Sluice knows its own objects, and those by which
//! people tune one object.
//!
//! They are annotations, not labels: a label's value ends at 63 characters and
//! `NAMESPACE.NAME` does not, and Knative copies a Service's labels and
//! annotations to its Configuration and Route, where a label would make
//! selectors match the children too. A copy on a child is recognised by the
//! child's controller and ignored.

use std::fmt;

use serde_json::Value;

/// Which Delivery applied the object: `NAMESPACE.NAME`. A namespace has no dots,
/// so the first one separates.
pub const DELIVERY: &str = "sluice.dev/delivery";
/// Digest of what was applied last, written with it. It says across restarts
/// whether a difference came from Git or from someone's hand.
pub const DIGEST: &str = "sluice.dev/digest";
/// `disabled` keeps an object whose file has left Git.
pub const PRUNE: &str = "sluice.dev/prune";
/// `"true"` takes fields from other field managers instead of reporting a conflict.
pub const FORCE: &str = "sluice.dev/force";
/// `Routes` or `Service`: what is applied for this Service manifest.
pub const EXPAND: &str = "sluice.dev/expand";
/// The rollout policy of this service, instead of the Delivery's.
pub const POLICY: &str = "sluice.dev/policy";
/// The paths that probes of this service ask for, separated by commas, instead of the policy's.
pub const PROBE_PATH: &str = "sluice.dev/probe-path";
/// `GET`, `HEAD`, `OPTIONS` or `POST`, instead of the policy's.
pub const PROBE_METHOD: &str = "sluice.dev/probe-method";
/// The headers of probes, `NAME: VALUE`, one a line, instead of the policy's.
pub const PROBE_HEADERS: &str = "sluice.dev/probe-headers";
/// The statuses that pass, such as `200-299, 404`, instead of the policy's.
pub const PROBE_EXPECTED_STATUS: &str = "sluice.dev/probe-expected-status";
/// A text that the answer's body contains, or `.FIELD=VALUE` for a field of its JSON, instead of the policy's.
pub const PROBE_EXPECTED_BODY: &str = "sluice.dev/probe-expected-body";
/// What the names of these begin with.
pub const PROBES: &str = "sluice.dev/probe-";

/// A Delivery by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl DeliveryId {
    /// Names a Delivery.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    /// Reads the value of the annotation [`DELIVERY`].
    pub fn parse(text: &str) -> Option<Self> {
        let (namespace, name) = text.split_once('.')?;
        (!namespace.is_empty() && !name.is_empty()).then(|| Self::new(namespace, name))
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.namespace, self.name)
    }
}

/// An annotation of an object.
pub fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object
        .get("metadata")?
        .get("annotations")?
        .get(name)?
        .as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_with_dots_in_its_name_reads_back() {
        let id = DeliveryId::new("team-a", "shop.example.com");
        assert_eq!(DeliveryId::parse(&id.to_string()), Some(id));
        assert_eq!(DeliveryId::parse("nodot"), None);
        assert_eq!(DeliveryId::parse(".x"), None);
    }
}
