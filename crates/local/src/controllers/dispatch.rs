//! Who has to look again when an object changed.

use std::collections::HashMap;

use tokio::sync::mpsc::UnboundedSender;

use super::cache::{Cache, Entry, Name};
use super::kind::Kind;
use super::object::{Object, ObjectExt, key};

/// A controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Controller {
    /// Services.
    Service,
    /// Configurations.
    Configuration,
    /// Revisions.
    Revision,
    /// Routes.
    Route,
    /// Routes, again: the marks on what they name.
    Labeller,
    /// Configurations, again: their old Revisions.
    RevisionGc,
    /// Deployments.
    Deployment,
}

impl Controller {
    /// Every controller.
    pub const ALL: [Self; 7] = [
        Self::Service,
        Self::Configuration,
        Self::Revision,
        Self::Route,
        Self::Labeller,
        Self::RevisionGc,
        Self::Deployment,
    ];

    /// The kind that it looks at.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Service => Kind::Service,
            Self::Configuration | Self::RevisionGc => Kind::Configuration,
            Self::Revision => Kind::Revision,
            Self::Route | Self::Labeller => Kind::Route,
            Self::Deployment => Kind::Deployment,
        }
    }

    /// Its name in events and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service-controller",
            Self::Configuration => "configuration-controller",
            Self::Revision => "revision-controller",
            Self::Route => "route-controller",
            Self::Labeller => "labeler-controller",
            Self::RevisionGc => "revision-gc-controller",
            Self::Deployment => "deployment-controller",
        }
    }
}

/// The queues of the controllers. They are unbounded because what is in them is bounded by
/// the objects there are: a queue drops what it already holds.
pub struct Queues(pub HashMap<Controller, UnboundedSender<Name>>);

impl Queues {
    /// Tells everyone concerned that an object was made, changed or removed.
    pub fn notify(&self, cache: &Cache, kind: Kind, object: &Object) {
        for (controller, name) in concerned(cache, kind, object) {
            if let Some(queue) = self.0.get(&controller) {
                // A closed queue means that the controllers are stopping.
                let _ = queue.send(name);
            }
        }
    }
}

/// Whom an event concerns.
fn concerned(cache: &Cache, kind: Kind, object: &Object) -> Vec<(Controller, Name)> {
    let namespace = object.namespace();
    let named = |name: &str| (namespace.to_owned(), name.to_owned());
    let own = named(object.name());
    let mut all = Vec::new();
    let mut routes_to = |kind: Kind, name: &str| {
        let entry = Entry::Target(kind, name.to_owned());
        for route in cache.of(Kind::Route).names(namespace, &entry) {
            all.push((Controller::Route, named(&route)));
            all.push((Controller::Labeller, named(&route)));
        }
    };
    match kind {
        Kind::Service => all.push((Controller::Service, own)),
        Kind::Configuration => {
            routes_to(Kind::Configuration, object.name());
            all.push((Controller::Configuration, own.clone()));
            all.push((Controller::RevisionGc, own));
            let owner = cache.owner_name(object, Kind::Service);
            all.extend(owner.map(|name| (Controller::Service, name)));
        }
        Kind::Revision => {
            routes_to(Kind::Revision, object.name());
            // A Route that follows the Configuration needs its latest Revision ready too, and
            // may have heard of the one before the other.
            if let Some(configuration) = object.label(key::CONFIGURATION) {
                routes_to(Kind::Configuration, configuration);
            }
            all.push((Controller::Revision, own));
            if let Some(configuration) = object.label(key::CONFIGURATION) {
                all.push((Controller::Configuration, named(configuration)));
                all.push((Controller::RevisionGc, named(configuration)));
            }
        }
        Kind::Route => {
            all.push((Controller::Route, own.clone()));
            all.push((Controller::Labeller, own));
            let owner = cache.owner_name(object, Kind::Service);
            all.extend(owner.map(|name| (Controller::Service, name)));
        }
        Kind::PodAutoscaler => {
            let owner = cache.owner_name(object, Kind::Revision);
            all.extend(owner.map(|name| (Controller::Revision, name)));
        }
        Kind::Deployment => {
            all.push((Controller::Deployment, own));
            let owner = cache.owner_name(object, Kind::Revision);
            all.extend(owner.map(|name| (Controller::Revision, name)));
        }
        Kind::Pod => {
            let owner = cache.owner_name(object, Kind::Deployment);
            all.extend(owner.map(|name| (Controller::Deployment, name)));
            // It asks a Pod why none is available, and that may change while the
            // Deployment's count does not.
            let revision = object.label(key::REVISION);
            all.extend(revision.map(|name| (Controller::Revision, named(name))));
        }
        Kind::Ingress | Kind::CoreService => {
            let owner = cache.owner_name(object, Kind::Route);
            all.extend(owner.map(|name| (Controller::Route, name)));
        }
    }
    all
}
