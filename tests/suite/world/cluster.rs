//! The cluster that stories play on: an API, a gateway, a domain. Nothing else of it is
//! known to a story, so that another cluster can take its place.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kube::Client;
use serde_json::Value;
use sluice::local::apiserver::{Admission, ApiError, Review};
use sluice::local::cluster::{DOMAIN, LocalCluster, LocalConfig};

/// Who refuses objects that carry [`REFUSE`].
pub const GUARD: &str = "guard.example.com";
/// An annotation on an object or on its template: [`GUARD`] refuses it, with these words.
pub const REFUSE: &str = "guard.example.com/refuse";

/// A running cluster.
pub struct Cluster {
    local: LocalCluster,
    /// Its API.
    pub client: Client,
    /// Where its gateway listens.
    pub gateway: SocketAddr,
    /// The domain that its services answer under.
    pub domain: String,
}

impl Cluster {
    /// A cluster that keeps its state below `dir`.
    pub async fn start(dir: &Path, mut admission: Vec<Arc<dyn Admission>>) -> Self {
        admission.push(Arc::new(Guard));
        let local = LocalCluster::start(LocalConfig {
            data_dir: Some(dir.join("cluster")),
            program: Some(PathBuf::from(env!("CARGO_BIN_EXE_sluice"))),
            admission,
            ..LocalConfig::default()
        })
        .await
        .unwrap();
        Self {
            client: local.client(),
            gateway: local.gateway_addr(),
            domain: DOMAIN.to_owned(),
            local,
        }
    }

    /// The embedded cluster itself.
    pub fn local(&self) -> &LocalCluster {
        &self.local
    }

    /// Ends it in good order.
    pub async fn end(self) {
        self.local.shutdown().await;
    }
}

/// A policy of the cluster's owners, as a webhook would enforce it.
struct Guard;

impl Admission for Guard {
    fn validate(&self, review: &Review<'_>, object: &Value) -> Result<(), ApiError> {
        // What controllers make of an object was let in with it.
        let made = matches!(review.kind, "Revision" | "Deployment" | "Pod");
        let words = ["/metadata", "/spec/template/metadata"]
            .iter()
            .find_map(|at| {
                object
                    .pointer(at)?
                    .get("annotations")?
                    .get(REFUSE)?
                    .as_str()
            });
        match words {
            Some(words) if !made && review.subresource.is_none() => {
                Err(ApiError::denied(GUARD, words))
            }
            _ => Ok(()),
        }
    }
}
