//! What the gateway knows of the cluster, and the values it makes of it: routes from
//! Ingresses, instances from Pods, request rules from Revisions.
//!
//! Objects go in one at a time, and [`ConfigSnapshot::publish`] puts what follows from them in
//! force: only what changed is compiled again. No I/O.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;

use super::{
    backend::{Endpoints, RequestRules, RevisionKey},
    ingress::IngressSpec,
    instance::Instance,
    proxy::Proxy,
    table::{IngressRoutes, RouteTable},
};
use crate::controllers::{
    object::{Object, ObjectExt as _, integer, key, list, text},
    revision_children::protocol,
};

/// Where a Pod's process listens, on loopback: the node writes it.
const PORT_ANNOTATION: &str = "local.sluice.dev/port";

/// Namespace and name of an object.
pub type Name = (String, String);

/// The kinds that are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Watched {
    /// Routes.
    Ingress,
    /// Instances.
    Pod,
    /// Request rules.
    Revision,
}

/// An Ingress whose routes are in force, and whose status is to say so.
#[derive(Clone, Debug)]
pub struct Served {
    /// Which.
    pub name: Name,
    /// The generation in force.
    pub generation: i64,
    /// Its status as last seen.
    pub status: Value,
}

/// See the module.
#[derive(Debug, Default)]
pub struct ConfigSnapshot {
    ingresses: BTreeMap<Name, Ingress>,
    routes: BTreeMap<Name, Arc<IngressRoutes>>,
    pods: HashMap<Name, Pod>,
    revisions: HashMap<Name, RequestRules>,
    routes_changed: bool,
    endpoints_changed: BTreeSet<RevisionKey>,
}

#[derive(Debug)]
struct Ingress {
    generation: i64,
    spec: IngressSpec,
    status: Value,
    /// Compiled; until then the routes in force are those of an older generation.
    compiled: bool,
    /// The generation for which the status was sent.
    announced: Option<i64>,
}

#[derive(Debug)]
struct Pod {
    revision: RevisionKey,
    /// `None` while it is not ready, or on its way out.
    instance: Option<Arc<Instance>>,
}

impl ConfigSnapshot {
    /// Takes in an object that is new or changed.
    pub fn apply(&mut self, kind: Watched, object: &Object) {
        let name = (object.namespace().to_owned(), object.name().to_owned());
        match kind {
            Watched::Ingress => self.apply_ingress(name, object),
            Watched::Pod => self.apply_pod(name, object),
            Watched::Revision => {
                let rules = request_rules(object);
                if self.revisions.insert(name.clone(), rules) != Some(rules) {
                    self.endpoints_changed
                        .insert(RevisionKey::new(name.0, name.1));
                }
            }
        }
    }

    /// Takes out an object that is gone.
    pub fn remove(&mut self, kind: Watched, name: &Name) {
        match kind {
            Watched::Ingress => {
                self.ingresses.remove(name);
                self.routes_changed |= self.routes.remove(name).is_some();
            }
            Watched::Pod => {
                if let Some(pod) = self.pods.remove(name) {
                    self.endpoints_changed.insert(pod.revision);
                }
            }
            Watched::Revision => {
                if self.revisions.remove(name).is_some() {
                    self.endpoints_changed
                        .insert(RevisionKey::new(&name.0, &name.1));
                }
            }
        }
    }

    /// Takes out all objects of a kind but these: a watch began anew.
    pub fn retain(&mut self, kind: Watched, seen: &HashSet<Name>) {
        let gone = |name: &&Name| !seen.contains(*name);
        let gone: Vec<Name> = match kind {
            Watched::Ingress => self.ingresses.keys().filter(gone).cloned().collect(),
            Watched::Pod => self.pods.keys().filter(gone).cloned().collect(),
            Watched::Revision => self.revisions.keys().filter(gone).cloned().collect(),
        };
        for name in &gone {
            self.remove(kind, name);
        }
    }

    /// Puts all that changed in force, and tells which Ingresses are now served that
    /// do not say so yet.
    pub fn publish(&mut self, proxy: &Proxy) -> Vec<Served> {
        // Instances first: a new route must not hold requests that could be served.
        for key in std::mem::take(&mut self.endpoints_changed) {
            self.publish_endpoints(proxy, &key);
        }
        for (name, ingress) in &mut self.ingresses {
            if !ingress.compiled {
                let routes = IngressRoutes::compile(&name.0, &ingress.spec, &proxy.demand);
                self.routes.insert(name.clone(), Arc::new(routes));
                (ingress.compiled, self.routes_changed) = (true, true);
            }
        }
        if std::mem::take(&mut self.routes_changed) {
            proxy.table.store(Arc::new(RouteTable::build(&self.routes)));
            self.forget_unused(proxy);
        }
        let mut served = Vec::new();
        for (name, ingress) in &mut self.ingresses {
            if ingress.announced != Some(ingress.generation) {
                ingress.announced = Some(ingress.generation);
                let (generation, status) = (ingress.generation, ingress.status.clone());
                served.push(Served {
                    name: name.clone(),
                    generation,
                    status,
                });
            }
        }
        served
    }

    fn publish_endpoints(&self, proxy: &Proxy, key: &RevisionKey) {
        let Some(rules) = self
            .revisions
            .get(&(key.namespace.clone(), key.name.clone()))
        else {
            // Unknown yet, or gone: whoever waits for one that was there is told so.
            if let Some(backend) = proxy.demand.find(key) {
                backend.close();
            }
            return;
        };
        let mut instances: Vec<_> = self
            .pods
            .values()
            .filter(|pod| pod.revision == *key)
            .filter_map(|pod| pod.instance.clone())
            .collect();
        instances.sort_by(|a, b| a.id.cmp(&b.id));
        for instance in &instances {
            proxy.demand.note(instance);
        }
        let backend = proxy.demand.backend(key);
        backend.reopen();
        backend.set_endpoints(Endpoints {
            rules: *rules,
            instances,
        });
    }

    /// Counters live as long as their revision, or as a route names it.
    fn forget_unused(&self, proxy: &Proxy) {
        let named: HashSet<RevisionKey> = self
            .ingresses
            .iter()
            .flat_map(|(name, i)| i.spec.revisions(&name.0))
            .collect();
        for backend in proxy.demand.all() {
            let name = (backend.key.namespace.clone(), backend.key.name.clone());
            if !self.revisions.contains_key(&name) && !named.contains(&backend.key) {
                proxy.demand.forget(&backend.key);
            }
        }
    }

    fn apply_ingress(&mut self, name: Name, object: &Object) {
        let generation = object.generation();
        let status = object.status().clone();
        if let Some(known) = self.ingresses.get_mut(&name)
            && known.generation == generation
        {
            known.status = status;
            return;
        }
        let spec = match serde_json::from_value::<IngressSpec>(object.spec().clone()) {
            Ok(spec) => spec,
            Err(error) => {
                tracing::warn!(namespace = name.0, ingress = name.1, %error,
                    "an Ingress cannot be read: its older routes stay in force");
                return;
            }
        };
        let announced = is_announced(&status, generation).then_some(generation);
        // The same rules keep their routes, and with them the count of their splits.
        let compiled = self
            .ingresses
            .get(&name)
            .is_some_and(|known| known.compiled && known.spec == spec);
        self.ingresses.insert(
            name,
            Ingress {
                generation,
                spec,
                status,
                compiled,
                announced,
            },
        );
    }

    fn apply_pod(&mut self, name: Name, object: &Object) {
        let Some(revision) = object.label(key::REVISION) else {
            return;
        };
        let revision = RevisionKey::new(&name.0, revision);
        let id = instance_id(object);
        let before = self.pods.get(&name).and_then(|pod| pod.instance.clone());
        let instance = match (id, before.clone()) {
            (Some((id, _)), Some(before)) if before.id == id => Some(before),
            (Some((id, address)), _) => Some(Arc::new(Instance::new(id, address))),
            (None, _) => None,
        };
        let same = match (&before, &instance) {
            (Some(before), Some(instance)) => Arc::ptr_eq(before, instance),
            (None, None) => true,
            _ => false,
        };
        if !same {
            self.endpoints_changed.insert(revision.clone());
        }
        self.pods.insert(name, Pod { revision, instance });
    }
}

fn is_announced(status: &Value, generation: i64) -> bool {
    integer(status, "observedGeneration") == Some(generation)
        && list(status, "conditions")
            .iter()
            .any(|c| text(c, "type") == "Ready" && text(c, "status") == "True")
}

/// Identity and address of a Pod that can take requests. A Pod on its way out cannot:
/// its process gets SIGTERM as soon as the deletion is written.
fn instance_id(pod: &Object) -> Option<(String, SocketAddr)> {
    if pod.is_terminating() || matches!(text(pod.status(), "phase"), "Succeeded" | "Failed") {
        return None;
    }
    if pod.condition_status("Ready") != "True" {
        return None;
    }
    let port: u16 = pod.annotation(PORT_ANNOTATION)?.parse().ok()?;
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    Some((format!("{}:{port}", pod.uid()), address))
}

fn request_rules(revision: &Object) -> RequestRules {
    let spec = revision.spec();
    let seconds = |field: &str| {
        let seconds = integer(spec, field).filter(|seconds| *seconds > 0)?;
        u64::try_from(seconds).ok().map(Duration::from_secs)
    };
    let defaults = RequestRules::default();
    RequestRules {
        container_concurrency: integer(spec, "containerConcurrency")
            .and_then(|limit| u32::try_from(limit).ok())
            .unwrap_or(0),
        timeout: seconds("timeoutSeconds").unwrap_or(defaults.timeout),
        response_start_timeout: seconds("responseStartTimeoutSeconds"),
        idle_timeout: seconds("idleTimeoutSeconds"),
        h2c: protocol(revision) == "h2c",
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use serde_json::json;
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn object(value: Value) -> Object {
        serde_json::from_value(value).unwrap()
    }

    fn ingress(generation: i64, revision: &str, status: Value) -> Object {
        object(json!({
            "metadata": {"name": "hello", "namespace": "default", "generation": generation},
            "spec": {"rules": [{"hosts": ["hello"], "http": {"paths": [
                {"splits": [{"serviceName": revision, "percent": 100}]},
            ]}}]},
            "status": status,
        }))
    }

    fn pod(port: u16, ready: &str, deleted: Option<&str>) -> Object {
        object(json!({
            "metadata": {
                "name": "pod-1", "namespace": "default", "uid": "u1", "deletionTimestamp": deleted,
                "labels": {"serving.knative.dev/revision": "hello-1"},
                "annotations": {"local.sluice.dev/port": port.to_string()},
            },
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
        }))
    }

    fn revision(spec: Value) -> Object {
        object(json!({"metadata": {"name": "hello-1", "namespace": "default"}, "spec": spec}))
    }

    struct Story {
        config_snapshot: ConfigSnapshot,
        proxy: Proxy,
    }

    impl Story {
        fn new() -> Story {
            let proxy = Proxy::new(Default::default(), CancellationToken::new());
            let mut config_snapshot = ConfigSnapshot::default();
            config_snapshot.apply(Watched::Revision, &revision(json!({"containers": [{}]})));
            Story {
                config_snapshot,
                proxy,
            }
        }

        fn ports(&mut self) -> Vec<u16> {
            self.config_snapshot.publish(&self.proxy);
            let backend = self
                .proxy
                .demand
                .find(&RevisionKey::new("default", "hello-1"))
                .unwrap();
            backend
                .endpoints()
                .instances
                .iter()
                .map(|i| i.address.port())
                .collect()
        }
    }

    #[test]
    fn a_pod_takes_requests_from_ready_to_the_first_word_of_its_end() {
        let mut story = Story::new();
        for (object, ports) in [
            (pod(4000, "False", None), vec![]),
            (pod(4000, "True", None), vec![4000]),
            (pod(4001, "True", None), vec![4001]),
            (pod(4001, "True", Some("2026-01-01T00:00:00Z")), vec![]),
        ] {
            story.config_snapshot.apply(Watched::Pod, &object);
            assert_eq!(story.ports(), ports, "{object:?}");
        }
    }

    #[test]
    fn an_unchanged_pod_stays_the_same_instance() {
        let mut story = Story::new();
        story
            .config_snapshot
            .apply(Watched::Pod, &pod(4000, "True", None));
        story.config_snapshot.publish(&story.proxy);
        let key = RevisionKey::new("default", "hello-1");
        let before = story.proxy.demand.find(&key).unwrap().endpoints();
        story
            .config_snapshot
            .apply(Watched::Pod, &pod(4000, "True", None));
        story.config_snapshot.apply(
            Watched::Revision,
            &revision(json!({"timeoutSeconds": 5, "containers": [{}]})),
        );
        story.config_snapshot.publish(&story.proxy);
        let after = story.proxy.demand.find(&key).unwrap().endpoints();
        assert!(Arc::ptr_eq(&before.instances[0], &after.instances[0]));
        assert_eq!(after.rules.timeout, Duration::from_secs(5));
    }

    #[test]
    fn rules_come_from_the_revisions_spec() {
        let rules = request_rules(&revision(json!({
            "timeoutSeconds": 7, "responseStartTimeoutSeconds": 3, "idleTimeoutSeconds": 2,
            "containerConcurrency": 4,
            "containers": [{"ports": [{"name": "h2c", "containerPort": 8080}]}],
        })));
        let expected = RequestRules {
            container_concurrency: 4,
            timeout: Duration::from_secs(7),
            response_start_timeout: Some(Duration::from_secs(3)),
            idle_timeout: Some(Duration::from_secs(2)),
            h2c: true,
        };
        assert_eq!(rules, expected);
        assert_eq!(
            request_rules(&revision(json!({"containers": [{}]}))),
            RequestRules::default()
        );
    }

    #[test]
    fn an_ingress_is_announced_once_per_generation_after_its_routes_are_in_force() {
        let mut story = Story::new();
        let find = |story: &Story| {
            let found = story
                .proxy
                .table
                .load()
                .find("hello", "/", &HeaderMap::new());
            found.map(|t| t.backend.key.name.clone())
        };
        story
            .config_snapshot
            .apply(Watched::Ingress, &ingress(1, "hello-1", Value::Null));
        assert!(find(&story).is_err());
        let served = story.config_snapshot.publish(&story.proxy);
        assert_eq!((served.len(), served[0].generation), (1, 1));
        assert_eq!(find(&story).unwrap(), "hello-1");
        let ready =
            json!({"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]});
        story
            .config_snapshot
            .apply(Watched::Ingress, &ingress(1, "hello-1", ready.clone()));
        assert!(story.config_snapshot.publish(&story.proxy).is_empty());
        story
            .config_snapshot
            .apply(Watched::Ingress, &ingress(2, "hello-2", ready));
        assert_eq!(story.config_snapshot.publish(&story.proxy)[0].generation, 2);
        assert_eq!(find(&story).unwrap(), "hello-2");
    }

    #[test]
    fn what_a_new_watch_does_not_show_is_gone() {
        let mut story = Story::new();
        story
            .config_snapshot
            .apply(Watched::Pod, &pod(4000, "True", None));
        story
            .config_snapshot
            .apply(Watched::Ingress, &ingress(1, "hello-1", Value::Null));
        assert_eq!(story.ports(), [4000]);
        story.config_snapshot.retain(Watched::Pod, &HashSet::new());
        assert_eq!(story.ports(), Vec::<u16>::new());
        story
            .config_snapshot
            .retain(Watched::Ingress, &HashSet::new());
        story
            .config_snapshot
            .retain(Watched::Revision, &HashSet::new());
        story.config_snapshot.publish(&story.proxy);
        assert!(story.proxy.table.load().is_empty());
        assert!(
            story.proxy.demand.all().is_empty(),
            "counters end with their revision"
        );
    }
}
