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
        let config = self.config.load();
        let namespace = object.namespace();
        let get = |kind: Kind, name: &str| self.cache.get(kind, namespace, name);
        match controller {
            Controller::Service => {
                let named = template_name(object).and_then(|name| get(Kind::Revision, name));
                let configuration = get(Kind::Configuration, object.name());
                let route = get(Kind::Route, object.name());
                service::decide(
                    object,
                    service::Seen {
                        configuration: configuration.as_deref(),
                        route: route.as_deref(),
                        named_revision: named.as_deref(),
                    },
                    now,
                )
            }
            Controller::Configuration => {
                let revisions = self.revisions_of(object);
                let revisions: Vec<_> = revisions.iter().map(AsRef::as_ref).collect();
                let named = template_name(object).and_then(|name| get(Kind::Revision, name));
                configuration::decide(object, &revisions, named.as_deref(), now)
            }
            Controller::RevisionGc => {
                let revisions = self.revisions_of(object);
                let revisions: Vec<_> = revisions.iter().map(AsRef::as_ref).collect();
                revision_gc::decide(object, &revisions, &config.revision_gc, now)
            }
            Controller::Revision => {
                let name = super::revision_children::deployment_name(object);
                let deployment = get(Kind::Deployment, &name);
                let autoscaler = get(Kind::PodAutoscaler, object.name());
                let pod = deployment.as_ref().and_then(|deployment| {
                    let pods = self.pods_of(deployment);
                    pods.into_iter().find(|pod| !pod.is_terminating())
                });
                revision::decide(
                    object,
                    revision::Seen {
                        deployment: deployment.as_deref(),
                        pod_autoscaler: autoscaler.as_deref(),
                        pod: pod.as_deref(),
                    },
                    &config,
                    now,
                )
            }
            Controller::Route => {
                let entry = Entry::Route(object.name().to_owned());
                let placeholders = self.cache.of(Kind::CoreService).find(namespace, &entry);
                let seen = route::Seen {
                    lookup: &get,
                    placeholders: &placeholders,
                };
                route::decide(object, seen, &config, now)
            }
            Controller::Labeller => {
                let entry = Entry::Route(object.name().to_owned());
                let noted: Vec<_> = [Kind::Revision, Kind::Configuration]
                    .into_iter()
                    .flat_map(|kind| {
                        let found = self.cache.of(kind).find(namespace, &entry);
                        found.into_iter().map(move |object| (kind, object))
                    })
                    .collect();
                let seen = labeller::Seen {
                    lookup: &get,
                    noted: &noted,
                };
                labeller::decide(object, seen, now)
            }
            Controller::Deployment => {
                let pods = self.pods_of(object);
                let expected = self.expectations.open(object.uid(), now, |name| {
                    self.cache.get(Kind::Pod, namespace, name).is_some()
                });
                let error = self.create_errors.lock().get(object.uid()).cloned();
                let seen = deployment::Seen {
                    pods: &pods,
                    expected,
                    create_error: error.as_deref(),
                };
                deployment::decide(object, seen, random_suffix, now)
            }
        }
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
