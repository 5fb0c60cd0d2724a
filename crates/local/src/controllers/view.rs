//! What the controllers see, and what they make of it: everything up to the writes.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use parking_lot::Mutex;
use rand::RngExt as _;

use super::cache::{Cache, Entry};
use super::config::ControllersConfig;
use super::decision::Decision;
use super::dispatch::Controller;
use super::expectations::Expectations;
use super::kind::Kind;
use super::object::{Object, ObjectExt, template_name};
use super::{configuration, deployment, labeller, revision, revision_gc, route, service};

/// The cluster as it was last seen, and what is known besides.
pub struct View {
    /// Replaced as a whole when an operator's ConfigMap changes.
    pub(super) config: ArcSwap<ControllersConfig>,
    pub(super) cache: Cache,
    pub(super) expectations: Expectations,
    /// Why the last Pod of a Deployment could not be made, by the Deployment's UID.
    pub(super) create_errors: Mutex<HashMap<String, String>>,
}

impl View {
    /// A view through a cache.
    pub fn new(config: ControllersConfig, cache: Cache) -> Self {
        Self {
            config: ArcSwap::from_pointee(config),
            cache,
            expectations: Expectations::default(),
            create_errors: Mutex::default(),
        }
    }

    /// What a controller makes of an object.
    pub fn decide(&self, controller: Controller, object: &Arc<Object>, now: Timestamp) -> Decision {
        match controller {
            Controller::Service => self.decide_service(object, now),
            Controller::Configuration => self.decide_configuration(object, now),
            Controller::RevisionGc => self.decide_revision_gc(object, now),
            Controller::Revision => self.decide_revision(object, now),
            Controller::Route => self.decide_route(object, now),
            Controller::Labeller => self.decide_labeller(object, now),
            Controller::Deployment => self.decide_deployment(object, now),
        }
    }

    fn decide_service(&self, object: &Arc<Object>, now: Timestamp) -> Decision {
        let configuration = self.beside(object, Kind::Configuration, object.name());
        let route = self.beside(object, Kind::Route, object.name());
        let named = self.named_revision(object);
        let seen = service::Seen {
            configuration: configuration.as_deref(),
            route: route.as_deref(),
            named_revision: named.as_deref(),
        };
        service::decide(object, seen, now)
    }

    fn decide_configuration(&self, object: &Arc<Object>, now: Timestamp) -> Decision {
        let revisions = self.revisions_of(object);
        let revisions: Vec<_> = revisions.iter().map(AsRef::as_ref).collect();
        let named = self.named_revision(object);
        configuration::decide(object, &revisions, named.as_deref(), now)
    }

    fn decide_revision_gc(&self, object: &Arc<Object>, now: Timestamp) -> Decision {
        let revisions = self.revisions_of(object);
        let revisions: Vec<_> = revisions.iter().map(AsRef::as_ref).collect();
        revision_gc::decide(object, &revisions, &self.config.load().revision_gc, now)
    }

    fn decide_revision(&self, object: &Arc<Object>, now: Timestamp) -> Decision {
        let name = super::revision_children::deployment_name(object);
        let deployment = self.beside(object, Kind::Deployment, &name);
        let autoscaler = self.beside(object, Kind::PodAutoscaler, object.name());
        let pod = deployment.as_ref().and_then(|deployment| {
            let pods = self.pods_of(deployment);
            pods.into_iter().find(|pod| !pod.is_terminating())
        });
        let seen = revision::Seen {
            deployment: deployment.as_deref(),
            pod_autoscaler: autoscaler.as_deref(),
            pod: pod.as_deref(),
        };
        revision::decide(object, seen, &self.config.load(), now)
    }

    fn decide_route(&self, object: &Arc<Object>, now: Timestamp) -> Decision {
        let entry = Entry::Route(object.name().to_owned());
        let services = self.cache.of(Kind::CoreService);
        let placeholders = services.find(object.namespace(), &entry);
        let seen = route::Seen {
            lookup: &|kind, name| self.beside(object, kind, name),
            placeholders: &placeholders,
        };
        route::decide(object, seen, &self.config.load(), now)
    }

    fn decide_labeller(&self, object: &Arc<Object>, now: Timestamp) -> Decision {
        let entry = Entry::Route(object.name().to_owned());
        let noted: Vec<_> = [Kind::Revision, Kind::Configuration]
            .into_iter()
            .flat_map(|kind| {
                let found = self.cache.of(kind).find(object.namespace(), &entry);
                found.into_iter().map(move |object| (kind, object))
            })
            .collect();
        let seen = labeller::Seen {
            lookup: &|kind, name| self.beside(object, kind, name),
            noted: &noted,
        };
        labeller::decide(object, seen, now)
    }

    fn decide_deployment(&self, object: &Arc<Object>, now: Timestamp) -> Decision {
        let pods = self.pods_of(object);
        let expected = self.expectations.open(object.uid(), now, |name| {
            self.beside(object, Kind::Pod, name).is_some()
        });
        let error = self.create_errors.lock().get(object.uid()).cloned();
        let seen = deployment::Seen {
            pods: &pods,
            expected,
            create_error: error.as_deref(),
        };
        deployment::decide(object, seen, random_suffix, now)
    }

    /// What has the name in the object's namespace.
    fn beside(&self, object: &Object, kind: Kind, name: &str) -> Option<Arc<Object>> {
        self.cache.get(kind, object.namespace(), name)
    }

    /// The Revision that a template gives its name to.
    fn named_revision(&self, object: &Object) -> Option<Arc<Object>> {
        self.beside(object, Kind::Revision, template_name(object)?)
    }

    fn revisions_of(&self, configuration: &Object) -> Vec<Arc<Object>> {
        let entry = Entry::Configuration(configuration.name().to_owned());
        self.cache
            .of(Kind::Revision)
            .find(configuration.namespace(), &entry)
    }

    fn pods_of(&self, deployment: &Object) -> Vec<Arc<Object>> {
        let entry = Entry::Owner(deployment.uid().to_owned());
        self.cache
            .of(Kind::Pod)
            .find(deployment.namespace(), &entry)
    }
}

/// Five letters and digits that cannot spell a word (Kubernetes' alphabet for names).
fn random_suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut random = rand::rng();
    (0..5)
        .filter_map(|_| LETTERS.get(random.random_range(0..LETTERS.len())))
        .map(|letter| char::from(*letter))
        .collect()
}
