//! The kinds that the controllers read and write.

use kube::api::ApiResource;

/// A kind, with everything that a request path needs to know about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `serving.knative.dev/v1` Service.
    Service,
    /// `serving.knative.dev/v1` Configuration.
    Configuration,
    /// `serving.knative.dev/v1` Revision.
    Revision,
    /// `serving.knative.dev/v1` Route.
    Route,
    /// `autoscaling.internal.knative.dev/v1alpha1` PodAutoscaler.
    PodAutoscaler,
    /// `networking.internal.knative.dev/v1alpha1` Ingress.
    Ingress,
    /// `apps/v1` Deployment.
    Deployment,
    /// `v1` Pod.
    Pod,
    /// `v1` Service: Kubernetes' own, which stands for a Route's name inside the cluster.
    CoreService,
}

impl Kind {
    /// Every kind that is watched.
    pub const ALL: [Self; 9] = [
        Self::Service,
        Self::Configuration,
        Self::Revision,
        Self::Route,
        Self::PodAutoscaler,
        Self::Ingress,
        Self::Deployment,
        Self::Pod,
        Self::CoreService,
    ];

    /// The kind's name, as in a manifest.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service | Self::CoreService => "Service",
            Self::Configuration => "Configuration",
            Self::Revision => "Revision",
            Self::Route => "Route",
            Self::PodAutoscaler => "PodAutoscaler",
            Self::Ingress => "Ingress",
            Self::Deployment => "Deployment",
            Self::Pod => "Pod",
        }
    }

    const fn group(self) -> &'static str {
        match self {
            Self::Service | Self::Configuration | Self::Revision | Self::Route => {
                "serving.knative.dev"
            }
            Self::PodAutoscaler => "autoscaling.internal.knative.dev",
            Self::Ingress => "networking.internal.knative.dev",
            Self::Deployment => "apps",
            Self::Pod | Self::CoreService => "",
        }
    }

    const fn version(self) -> &'static str {
        match self {
            Self::PodAutoscaler | Self::Ingress => "v1alpha1",
            _ => "v1",
        }
    }

    const fn plural(self) -> &'static str {
        match self {
            Self::Service | Self::CoreService => "services",
            Self::Configuration => "configurations",
            Self::Revision => "revisions",
            Self::Route => "routes",
            Self::PodAutoscaler => "podautoscalers",
            Self::Ingress => "ingresses",
            Self::Deployment => "deployments",
            Self::Pod => "pods",
        }
    }

    /// `group/version`, or the version alone in the core group.
    pub fn api_version(self) -> String {
        match self.group() {
            "" => self.version().to_owned(),
            group => format!("{group}/{}", self.version()),
        }
    }

    /// The kind as the client takes it.
    pub fn resource(self) -> ApiResource {
        ApiResource {
            group: self.group().to_owned(),
            version: self.version().to_owned(),
            api_version: self.api_version(),
            kind: self.name().to_owned(),
            plural: self.plural().to_owned(),
        }
    }
}
