//! What the controllers need to be told: names and numbers that an operator of Knative
//! would find in its ConfigMaps.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

/// Settings of the controllers; the defaults are Knative's, for a cluster on this machine.
#[derive(Clone)]
pub struct ControllersConfig {
    /// The domain of public hosts: `NAME.NAMESPACE.DOMAIN`.
    pub domain: String,
    /// The port that URLs carry; `None` where the gateway listens on the scheme's own.
    pub gateway_port: Option<u16>,
    /// The scheme of public URLs.
    pub scheme: String,
    /// The domain of names inside the cluster.
    pub cluster_domain: String,
    /// The class that Ingress objects are made with.
    pub ingress_class: String,
    /// How long a Revision may take to become ready (`progress-deadline`).
    pub progress_deadline: Duration,
    /// In which time a new latest Revision takes over; zero is at once.
    pub rollout_duration: Duration,
    /// When old Revisions are removed.
    pub revision_gc: RevisionGc,
    /// Who knows images.
    pub images: Arc<dyn ImageResolver>,
}

impl Default for ControllersConfig {
    fn default() -> Self {
        Self {
            domain: "localhost".to_owned(),
            gateway_port: None,
            scheme: "http".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            ingress_class: "sluice.ingress.networking.knative.dev".to_owned(),
            progress_deadline: Duration::from_secs(600),
            rollout_duration: Duration::ZERO,
            revision_gc: RevisionGc::default(),
            images: Arc::new(TrustTheNode),
        }
    }
}

/// Rules of revision garbage collection (Knative's ConfigMap `config-gc`); `None` switches
/// a rule off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevisionGc {
    /// Younger Revisions stay.
    pub retain_since_create: Option<Duration>,
    /// Revisions that had traffic more recently than this stay.
    pub retain_since_active: Option<Duration>,
    /// So many without traffic always stay.
    pub min_non_active: usize,
    /// More than this without traffic never stay.
    pub max_non_active: Option<usize>,
}

impl Default for RevisionGc {
    fn default() -> Self {
        Self {
            retain_since_create: Some(Duration::from_secs(48 * 3600)),
            retain_since_active: Some(Duration::from_secs(15 * 3600)),
            min_non_active: 20,
            max_non_active: Some(1000),
        }
    }
}

/// Why an image cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum ImageRefused {
    /// There is none of that name.
    #[error("failed to resolve image to digest: {cause}")]
    Unresolved {
        /// Why, and what to do, without the name.
        cause: String,
    },
    /// It cannot be created as the container asks.
    #[error(transparent)]
    NotAllowed(Box<dyn std::error::Error + Send + Sync>),
}

/// Turns an image's name into the image that is run, once for each Revision, so that a
/// moved tag does not change a Revision.
pub trait ImageResolver: Send + Sync + 'static {
    /// The image by digest; `None` where there is none to be had and the name itself is
    /// run. An error says why the image cannot be had at all.
    fn resolve(&self, image: &str) -> Result<Option<String>, ImageRefused>;

    /// Whether a container of the image may ask for what it asks for. An error says why it
    /// can never be created.
    fn allows(&self, _container: &Value) -> Result<(), ImageRefused> {
        Ok(())
    }
}

/// Takes every name as it is: whether there is such an image, the node finds out.
#[derive(Debug, Clone, Copy)]
pub struct TrustTheNode;

impl ImageResolver for TrustTheNode {
    fn resolve(&self, image: &str) -> Result<Option<String>, ImageRefused> {
        Ok(image.contains('@').then(|| image.to_owned()))
    }
}
