//! The part of Knative's Ingress (`networking.internal.knative.dev/v1alpha1`) that the
//! gateway reads: a Route's controller writes it, see section 2 of the reference.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::backend::RevisionKey;

/// `spec` of an Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct IngressSpec {
    /// One rule per set of hosts.
    #[serde(default)]
    pub rules: Vec<IngressRule>,
}

/// Hosts and what is served there. Visibility is not told apart: the gateway listens
/// on loopback, where everything is cluster-local.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct IngressRule {
    /// Host names without ports.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The routes.
    pub http: Option<IngressHttp>,
}

/// The routes of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct IngressHttp {
    /// Tried from the most to the least specific.
    #[serde(default)]
    pub paths: Vec<IngressPath>,
}

/// Requests by path and headers, and the revisions that share them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressPath {
    /// Literal prefix; none is every path.
    pub path: Option<String>,
    /// Headers that must be there.
    #[serde(default)]
    pub headers: BTreeMap<String, HeaderMatch>,
    /// The `Host` the instance is to see (DomainMapping).
    pub rewrite_host: Option<String>,
    /// Headers added for every split.
    #[serde(default)]
    pub append_headers: BTreeMap<String, String>,
    /// The revisions.
    #[serde(default)]
    pub splits: Vec<IngressSplit>,
}

/// How a header is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct HeaderMatch {
    /// The value, exactly.
    #[serde(default)]
    pub exact: String,
}

/// One revision's share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IngressSplit {
    /// The revision: its private Service has its name.
    pub service_name: String,
    /// Its namespace; the Ingress's own if absent.
    pub service_namespace: Option<String>,
    /// Share in percent; a lone split may leave it out.
    pub percent: Option<i64>,
    /// Headers added for this split.
    #[serde(default)]
    pub append_headers: BTreeMap<String, String>,
}

impl IngressSpec {
    /// Every revision that a route names; `namespace` is the Ingress's own.
    pub fn revisions<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = RevisionKey> + 'a {
        self.rules
            .iter()
            .filter_map(|rule| rule.http.as_ref())
            .flat_map(|http| &http.paths)
            .flat_map(|path| &path.splits)
            .map(move |split| {
                let namespace = split.service_namespace.as_deref().unwrap_or(namespace);
                RevisionKey::new(namespace, &split.service_name)
            })
    }
}
