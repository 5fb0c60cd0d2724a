//! Hosts and URLs of Routes and their tags.

use super::config::ControllersConfig;

/// The label and annotation value that keeps a Route off the public gateway.
pub const CLUSTER_LOCAL: &str = "cluster-local";

/// Who may reach a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Everyone who reaches the gateway.
    External,
    /// Only what runs in the cluster.
    ClusterLocal,
}

/// The name that stands for a tag of a Route (and, without a tag, for the Route).
pub fn hostname(route: &str, tag: &str) -> String {
    if tag.is_empty() {
        route.to_owned()
    } else {
        format!("{tag}-{route}")
    }
}

impl ControllersConfig {
    /// The public host of a name.
    pub fn public_host(&self, hostname: &str, namespace: &str) -> String {
        format!("{hostname}.{namespace}.{}", self.domain)
    }

    /// The host of a name inside the cluster.
    pub fn local_host(&self, hostname: &str, namespace: &str) -> String {
        format!("{hostname}.{namespace}.svc.{}", self.cluster_domain)
    }

    /// All the forms in which a name may be asked for inside the cluster.
    pub fn local_hosts(&self, hostname: &str, namespace: &str) -> Vec<String> {
        vec![
            format!("{hostname}.{namespace}"),
            format!("{hostname}.{namespace}.svc"),
            self.local_host(hostname, namespace),
        ]
    }

    /// The host under which a name is known to those who may reach it.
    pub fn host(&self, hostname: &str, namespace: &str, visibility: Visibility) -> String {
        match visibility {
            Visibility::External => self.public_host(hostname, namespace),
            Visibility::ClusterLocal => self.local_host(hostname, namespace),
        }
    }

    /// The URL of a name.
    pub fn url(&self, hostname: &str, namespace: &str, visibility: Visibility) -> String {
        let host = self.host(hostname, namespace, visibility);
        match (visibility, self.gateway_port) {
            (Visibility::External, Some(port)) => format!("{}://{host}:{port}", self.scheme),
            (Visibility::External, None) => format!("{}://{host}", self.scheme),
            (Visibility::ClusterLocal, _) => format!("http://{host}"),
        }
    }
}
