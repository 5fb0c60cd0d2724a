//! How many Pods the small cluster's revisions have, and what is asked of their number.

use super::*;

impl World {
    /// How many Pods of a revision are Ready.
    pub fn ready(&self, name: &str) -> u32 {
        let live = self.live();
        live.revision(name)
            .map_or(0, |revision| revision.pods.ready)
    }

    /// The fewest instances that a Revision asks for, and what Sluice noted beside it.
    pub fn min_scale(&self, name: &str) -> (Option<&str>, Option<String>) {
        let revision = &self.revisions[name];
        let raised = revision.raised.as_ref().map(ToString::to_string);
        (revision.min_scale.as_deref(), raised)
    }

    /// Revisions that ask for other instances than their templates.
    pub fn left_warm(&self) -> Vec<&String> {
        let is_warm = |revision: &Rev| {
            revision.raised.is_some()
                || revision.min_scale.as_ref() != self.min_scales.get(&revision.hash)
        };
        let revisions = self.revisions.iter();
        let warm = revisions.filter(|(_, revision)| is_warm(revision));
        warm.map(|(name, _)| name).collect()
    }

    /// What a Revision says of the number of its Pods.
    pub(super) fn scale_of(&self, revision: &Rev) -> ScaleBounds {
        let min_scale = revision.min_scale.clone();
        ScaleBounds {
            least: min_scale.as_ref().map_or(0, |min| min.parse().unwrap()),
            min_scale,
            most: self.most,
            raised: revision.raised.clone(),
        }
    }

    /// As many Pods as its requests need, and no fewer than it asks for while a Route names it.
    pub(super) fn pods_of(&self, name: &str, scale: &ScaleBounds) -> u32 {
        let Some(per_pod) = self.per_pod else {
            return 1;
        };
        let rate = self.rates.get(name).copied().unwrap_or_default();
        let mut named = self.route.iter().flat_map(|route| &route.status);
        let is_named = named.any(|entry| entry.revision_name.as_deref() == Some(name));
        let least = if is_named { scale.least } else { 0 };
        let needed = u32::try_from(rate.div_ceil(per_pod)).unwrap();
        needed.max(least)
    }
}
