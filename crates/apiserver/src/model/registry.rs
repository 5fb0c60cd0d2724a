//! Which resources are served at this moment. A snapshot is immutable; CRDs swap it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::resource::Resource;

/// All served resources.
#[derive(Debug, Default, Clone)]
pub struct Registry {
    by_path: HashMap<(String, String, String), Arc<Resource>>,
    /// In the order in which they are shown.
    ordered: Vec<Arc<Resource>>,
}

impl Registry {
    /// A snapshot of these resources; what comes first wins a path.
    pub fn new(resources: impl IntoIterator<Item = Arc<Resource>>) -> Self {
        let mut registry = Self::default();
        for resource in resources {
            let path = (
                resource.group.clone(),
                resource.version.clone(),
                resource.plural.clone(),
            );
            if let std::collections::hash_map::Entry::Vacant(place) = registry.by_path.entry(path) {
                place.insert(Arc::clone(&resource));
                registry.ordered.push(resource);
            }
        }
        registry
    }

    /// The resource at a path.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.by_path
            .get(&(group.to_owned(), version.to_owned(), plural.to_owned()))
    }

    /// The resource of a kind.
    pub fn by_kind(&self, group: &str, version: &str, kind: &str) -> Option<&Arc<Resource>> {
        self.ordered.iter().find(|resource| {
            resource.group == group && resource.version == version && resource.kind == kind
        })
    }

    /// The resource whose objects are stored as they are on this shelf.
    pub fn by_storage(&self, storage: &str) -> Option<&Arc<Resource>> {
        self.ordered.iter().find(|resource| {
            resource.storage == storage && resource.api_version() == resource.storage_api_version
        })
    }

    /// All resources.
    pub fn all(&self) -> &[Arc<Resource>] {
        &self.ordered
    }

    /// The groups, each with its versions, most wanted first; the core group is "".
    pub fn groups(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for resource in &self.ordered {
            let versions = groups.entry(&resource.group).or_default();
            if !versions.contains(&resource.version.as_str()) {
                versions.push(&resource.version);
            }
        }
        for versions in groups.values_mut() {
            versions.sort_by_key(|version| std::cmp::Reverse(version_rank(version)));
        }
        groups
    }

    /// The resources of one group version.
    pub fn in_version<'a>(
        &'a self,
        group: &'a str,
        version: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Resource>> {
        self.ordered
            .iter()
            .filter(move |resource| resource.group == group && resource.version == version)
    }
}

/// How Kubernetes orders versions: GA before beta before alpha, higher before lower.
pub fn version_rank(version: &str) -> (u8, u32, u32) {
    let digits = |text: &str| text.parse::<u32>().ok();
    let Some(rest) = version.strip_prefix('v') else {
        return (0, 0, 0);
    };
    if let Some(major) = digits(rest) {
        return (3, major, 0);
    }
    for (word, rank) in [("beta", 2), ("alpha", 1)] {
        if let Some((major, minor)) = rest.split_once(word)
            && let (Some(major), Some(minor)) = (digits(major), digits(minor))
        {
            return (rank, major, minor);
        }
    }
    (0, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::version_rank;

    #[test]
    fn versions_are_ordered_as_kubernetes_orders_them() {
        let mut versions = ["v1alpha1", "foo", "v2beta1", "v1", "v10", "v2"];
        versions.sort_by_key(|version| std::cmp::Reverse(version_rank(version)));
        assert_eq!(versions, ["v10", "v2", "v1", "v2beta1", "v1alpha1", "foo"]);
    }
}
