//! The manifest of a sample service, as a team would write it.

use serde_json::{Map, Value, json};

/// The manifest of a sample service.
#[derive(Clone, Debug)]
pub struct Hello {
    /// Its name.
    pub name: String,
    namespace: Option<String>,
    env: Vec<Value>,
    annotations: Map<String, Value>,
    template: Map<String, Value>,
    revision: Option<String>,
    traffic: Option<Value>,
    concurrency: Option<i64>,
    readiness_path: bool,
    is_probed_every_second: bool,
}

impl Hello {
    /// A service that greets `target`.
    pub fn new(name: &str, target: &str) -> Self {
        let bare = Self {
            name: name.into(),
            namespace: None,
            env: Vec::new(),
            annotations: Map::new(),
            template: Map::new(),
            revision: None,
            traffic: None,
            concurrency: None,
            readiness_path: true,
            is_probed_every_second: false,
        };
        bare.env("TARGET", target)
    }

    /// With one more variable: what it answers, and how it misbehaves.
    pub fn env(self, name: &str, value: &str) -> Self {
        self.variable(json!({"name": name, "value": value}))
    }

    /// With a variable from a key of a ConfigMap or a Secret (`configMapKeyRef`, `secretKeyRef`).
    pub fn env_from(self, name: &str, reference: &str, object: &str, key: &str) -> Self {
        self.variable(json!({"name": name, "valueFrom": {reference: {"name": object, "key": key}}}))
    }

    /// A real API server takes no variable twice.
    fn variable(mut self, variable: Value) -> Self {
        self.env.retain(|known| known["name"] != variable["name"]);
        self.env.push(variable);
        self
    }

    /// With an annotation.
    pub fn annotated(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name.into(), value.into());
        self
    }

    /// With an annotation on its template.
    pub fn template_annotated(mut self, name: &str, value: &str) -> Self {
        self.template.insert(name.into(), value.into());
        self
    }

    /// With a name for its revision.
    pub fn revision(mut self, name: &str) -> Self {
        self.revision = Some(name.into());
        self
    }

    /// With `spec.template.spec.containerConcurrency`.
    pub fn concurrency(mut self, limit: i64) -> Self {
        self.concurrency = Some(limit);
        self
    }

    /// Without a readiness path of its own: Sluice's probes ask for `/`, as users do.
    pub fn without_readiness_path(mut self) -> Self {
        self.readiness_path = false;
        self
    }

    /// Asked every second whether it is ready, and not ready once it says so.
    pub fn probed_every_second(mut self) -> Self {
        self.is_probed_every_second = true;
        self
    }

    /// With a traffic block of the user's own.
    pub fn traffic(mut self, block: Value) -> Self {
        self.traffic = Some(block);
        self
    }

    /// In a namespace of its own.
    pub fn in_namespace(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The Service.
    pub fn service(&self) -> Value {
        let mut service = self.object("Service", json!({"template": self.template()}));
        if let Some(traffic) = &self.traffic {
            service["spec"]["traffic"] = traffic.clone();
        }
        service
    }

    /// A Configuration with its template.
    pub fn configuration(&self) -> Value {
        self.object("Configuration", json!({"template": self.template()}))
    }

    /// A Route with this traffic.
    pub fn route(&self, traffic: Value) -> Value {
        self.object("Route", json!({"traffic": traffic}))
    }

    /// The Service as a file.
    pub fn manifest(&self) -> String {
        serde_yaml::to_string(&self.service()).unwrap()
    }

    fn object(&self, kind: &str, spec: Value) -> Value {
        let mut metadata = json!({"name": self.name});
        if let Some(namespace) = &self.namespace {
            metadata["namespace"] = namespace.as_str().into();
        }
        if !self.annotations.is_empty() {
            metadata["annotations"] = self.annotations.clone().into();
        }
        json!({"apiVersion": "serving.knative.dev/v1", "kind": kind, "metadata": metadata, "spec": spec})
    }

    fn template(&self) -> Value {
        let mut template = json!({"spec": {"containers": [{
            "image": "sluice.local/hello",
            "env": self.env,
        }]}});
        if self.readiness_path {
            template["spec"]["containers"][0]["readinessProbe"] =
                json!({"httpGet": {"path": "/healthz"}});
        }
        if self.is_probed_every_second {
            let probe = &mut template["spec"]["containers"][0]["readinessProbe"];
            probe["periodSeconds"] = 1.into();
            probe["failureThreshold"] = 1.into();
        }
        if let Some(limit) = self.concurrency {
            template["spec"]["containerConcurrency"] = limit.into();
        }
        if !self.template.is_empty() {
            template["metadata"] = json!({"annotations": self.template});
        }
        if let Some(name) = &self.revision {
            template["metadata"]["name"] = name.as_str().into();
        }
        template
    }
}
