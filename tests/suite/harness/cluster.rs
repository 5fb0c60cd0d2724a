//! The cluster that stories play on: an API, a gateway, a domain, a namespace. Nothing else of it
//! is known to a story: inside a test bed, the real cluster takes the local one's place.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use kube::Client;
use serde_json::Value;
use sluice::local::apiserver::{Admission, ApiError, Review};
use sluice::local::cluster::{DOMAIN, LocalCluster, LocalConfig};

use super::NAMESPACE;
use super::real::{self, Real};

/// Who refuses objects that carry [`REFUSE`].
pub const GUARD: &str = "guard.example.com";
/// An annotation on an object or on its template: [`GUARD`] refuses it, with these words.
pub const REFUSE: &str = "guard.example.com/refuse";

/// A tag that [`GUARD`] lets nobody give a target of a traffic block.
pub const REFUSED_TAG: &str = "refused";

/// A running cluster, or a part of one that is the story's own.
pub struct Cluster {
    stage: Backend,
    /// Its API.
    pub client: Client,
    /// Where its gateway listens.
    pub gateway: SocketAddr,
    /// The domain that its services answer under.
    pub domain: String,
    /// Where the story plays.
    pub namespace: String,
    /// For programs.
    pub kubeconfig: PathBuf,
}

enum Backend {
    Local(Box<LocalCluster>, Arc<Guard>),
    Real(Real),
}

impl Cluster {
    /// A cluster that keeps its state below `dir`; a namespace of the real one, where that is,
    /// which no other story uses meanwhile if this one is to be `alone`.
    pub async fn start(dir: &Path, alone: bool, mut admission: Vec<Arc<dyn Admission>>) -> Self {
        if real::is_here() {
            assert!(
                admission.is_empty(),
                "a real cluster takes no hooks of ours"
            );
            let real = Real::start(alone).await;
            return Self {
                client: real.client.clone(),
                gateway: real.gateway,
                domain: real.domain.clone(),
                namespace: real.namespace.clone(),
                kubeconfig: real::kubeconfig(),
                stage: Backend::Real(real),
            };
        }
        let guard = Arc::new(Guard::default());
        admission.push(guard.clone());
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
            namespace: NAMESPACE.to_owned(),
            kubeconfig: local.endpoints().kubeconfig.clone(),
            stage: Backend::Local(Box::new(local), guard),
        }
    }

    /// The embedded cluster itself, for stories of its faults.
    pub fn local(&self) -> &LocalCluster {
        match &self.stage {
            Backend::Local(local, _) => local,
            Backend::Real(_) => panic!("this story is told on the embedded cluster only"),
        }
    }

    /// The only namespace whose Deliveries are this story's; none where the cluster is its own.
    pub fn confined_to(&self) -> Option<String> {
        matches!(self.stage, Backend::Real(_)).then(|| self.namespace.clone())
    }

    /// The owners of the cluster let everything in from now on, where the story plays.
    pub async fn lift_guard(&self) {
        match &self.stage {
            Backend::Local(_, guard) => guard.is_lifted.store(true, Ordering::SeqCst),
            Backend::Real(real) => real.lift_guard().await,
        }
    }

    /// Ends it in good order.
    pub async fn end(self) {
        match self.stage {
            Backend::Local(local, _) => local.shutdown().await,
            Backend::Real(real) => real.end().await,
        }
    }
}

/// A policy of the cluster's owners, as a webhook would enforce it.
#[derive(Default)]
struct Guard {
    is_lifted: AtomicBool,
}

impl Admission for Guard {
    fn validate(&self, review: &Review<'_>, object: &Value) -> Result<(), ApiError> {
        // What controllers make of an object was let in with it.
        let made = matches!(review.kind, "Revision" | "Deployment" | "Pod");
        if made || review.subresource.is_some() || self.is_lifted.load(Ordering::SeqCst) {
            return Ok(());
        }
        let words = ["/metadata", "/spec/template/metadata"]
            .iter()
            .find_map(|at| {
                object
                    .pointer(at)?
                    .get("annotations")?
                    .get(REFUSE)?
                    .as_str()
            });
        let traffic = object.pointer("/spec/traffic").and_then(Value::as_array);
        let is_refused = |target: &Value| target["tag"] == REFUSED_TAG;
        let tagged = traffic.into_iter().flatten().any(is_refused);
        match words {
            Some(words) => Err(ApiError::denied(GUARD, words)),
            None if tagged => Err(ApiError::denied(GUARD, "that tag is not allowed")),
            None => Ok(()),
        }
    }
}
