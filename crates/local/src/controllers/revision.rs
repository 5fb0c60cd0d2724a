//! A Revision becomes a Deployment and a PodAutoscaler, and reports how they fare.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::conditions::Conditions;
use super::config::ControllersConfig;
use super::decision::{Decision, Note, Step};
use super::kind::Kind;
use super::object::{Object, ObjectExt, condition_in, integer, list, set, text};
use super::revision_children as children;

const DEPENDENTS: &[&str] = &["ResourcesAvailable", "ContainerHealthy"];
const RESOURCES: &str = "ResourcesAvailable";
const HEALTHY: &str = "ContainerHealthy";
const ACTIVE: &str = "Active";
const DEPLOYING: &str = "Deploying";
const DEADLINE: &str = "ProgressDeadlineExceeded";

/// What is there already for a Revision.
#[derive(Debug, Default, Clone, Copy)]
pub struct Seen<'a> {
    /// The Deployment of its name.
    pub deployment: Option<&'a Object>,
    /// The PodAutoscaler of its name.
    pub pod_autoscaler: Option<&'a Object>,
    /// A Pod of the Deployment, to ask why none is available.
    pub pod: Option<&'a Object>,
}

/// What is to be done for a Revision.
pub fn decide(
    revision: &Object,
    seen: Seen<'_>,
    config: &ControllersConfig,
    now: Timestamp,
) -> Decision {
    let mut pass = Pass {
        decision: Decision::default(),
        conditions: Conditions::begin(
            DEPENDENTS,
            revision.status(),
            revision.observed_generation() != revision.generation(),
            now,
        ),
        status: revision.status().as_object().cloned().unwrap_or_default(),
    };
    pass.run(revision, seen, config);
    let Pass {
        mut decision,
        conditions,
        mut status,
    } = pass;
    if !revision.is_ready() && conditions.is_true("Ready") {
        decision.notes.push(Note::normal(
            "RevisionReady",
            "Revision becomes ready upon all resources being ready".to_owned(),
        ));
    }
    status.insert("conditions".to_owned(), conditions.finish());
    status.insert(
        "observedGeneration".to_owned(),
        json!(revision.generation()),
    );
    decision.status = Some(status);
    decision
}

struct Pass {
    decision: Decision,
    conditions: Conditions,
    status: Map<String, Value>,
}

impl Pass {
    fn run(&mut self, revision: &Object, seen: Seen<'_>, config: &ControllersConfig) {
        let Some(resolved) = self.images(revision, config) else {
            return;
        };
        if !self.deployment(&resolved, seen, config) {
            return;
        }
        self.pod_autoscaler(&resolved, seen);
    }

    /// Fixes the images, once: the Revision with what they resolved to, or nothing where
    /// an image cannot be had.
    fn images(&mut self, revision: &Object, config: &ControllersConfig) -> Option<Object> {
        let containers = list(revision.spec(), "containers");
        if list(revision.status(), "containerStatuses").len() == containers.len() {
            return Some(revision.clone());
        }
        let mut statuses = Vec::new();
        for container in containers {
            let image = text(container, "image");
            let mut status = json!({"name": text(container, "name")});
            match config.images.resolve(image) {
                Ok(Some(digest)) => {
                    if let Some(status) = status.as_object_mut() {
                        status.insert("imageDigest".to_owned(), json!(digest));
                    }
                }
                Ok(None) => {}
                Err(why) => {
                    let message = format!("Unable to fetch image {image:?}: {why}");
                    self.conditions.fail(HEALTHY, "ContainerMissing", &message);
                    // Knative looks for it again and again, and says so meanwhile.
                    self.conditions.unknown(RESOURCES, "ResolvingDigests", "");
                    self.decision.problem = Some(message);
                    return None;
                }
            }
            if let Err(why) = config.images.allows(container) {
                // The spec stays as it is, so looking again would help nobody.
                let why = why.to_string();
                self.conditions.fail(HEALTHY, "CreateContainerError", &why);
                self.conditions.unknown(RESOURCES, DEPLOYING, "");
                return None;
            }
            statuses.push(status);
        }
        let mut resolved = revision.clone();
        self.status
            .insert("containerStatuses".to_owned(), Value::Array(statuses));
        set(&mut resolved, "status", Value::Object(self.status.clone()));
        Some(resolved)
    }

    /// Whether the pass goes on.
    fn deployment(
        &mut self,
        revision: &Object,
        seen: Seen<'_>,
        config: &ControllersConfig,
    ) -> bool {
        let desired = children::deployment(revision, config);
        let Some(deployment) = seen.deployment else {
            self.conditions.unknown(RESOURCES, DEPLOYING, "");
            self.conditions.unknown(HEALTHY, DEPLOYING, "");
            self.decision.create(Kind::Deployment, desired);
            return true;
        };
        if !deployment.is_controlled_by(revision) {
            self.not_owned(revision, "Deployment", deployment.name());
            return false;
        }
        if let Some(updated) = children::updated_deployment(deployment, &desired) {
            self.decision
                .then(Step::Replace(Kind::Deployment, Box::new(updated)));
        }
        self.deployment_status(deployment);
        let replicas = integer(deployment.spec(), "replicas").unwrap_or(1);
        let available = integer(deployment.status(), "availableReplicas").unwrap_or(0);
        if replicas > 0
            && available == 0
            && let Some(pod) = seen.pod
        {
            self.ask_pod(deployment, pod);
        }
        if integer(deployment.status(), "readyReplicas").unwrap_or(0) > 0 {
            self.conditions.ok(HEALTHY);
        }
        true
    }

    /// A Deployment is as good as its progress, unless Pods cannot be made at all.
    fn deployment_status(&mut self, deployment: &Object) {
        let (progressing, failure) = (
            deployment.condition("Progressing"),
            deployment.condition("ReplicaFailure"),
        );
        if let Some(failure) = failure.filter(|failure| text(failure, "status") == "True") {
            self.conditions
                .fail(RESOURCES, text(failure, "reason"), text(failure, "message"));
            return;
        }
        match progressing.map(|condition| (condition, text(condition, "status"))) {
            Some((_, "True")) => self.conditions.ok(RESOURCES),
            Some((condition, "False")) => self.conditions.fail(
                RESOURCES,
                text(condition, "reason"),
                text(condition, "message"),
            ),
            _ => self.conditions.unknown(RESOURCES, DEPLOYING, ""),
        }
    }

    /// Lets a Pod say why none is available.
    ///
    /// Until the Deployment has come to an end, well or badly, a crash may be a hiccup:
    /// as seen on Knative, such a Revision stays Unknown for the whole deadline.
    fn ask_pod(&mut self, deployment: &Object, pod: &Object) {
        if let Some(scheduled) = condition_in(pod.status(), "PodScheduled")
            && text(scheduled, "status") == "False"
        {
            self.conditions.fail(
                RESOURCES,
                text(scheduled, "reason"),
                text(scheduled, "message"),
            );
        }
        let progress = deployment
            .condition("Progressing")
            .map_or("", |condition| text(condition, "reason"));
        let timed_out = progress == DEADLINE;
        if !timed_out && progress != "NewReplicaSetAvailable" {
            return;
        }
        for status in list(pod.status(), "containerStatuses") {
            let end = status
                .pointer("/lastState/terminated")
                // Lost with a node that was stopped: nothing that the program did.
                .filter(|end| text(end, "reason") != "Unknown");
            if let Some(end) = end {
                let code = integer(end, "exitCode").unwrap_or(0);
                let message = match text(end, "message") {
                    "" if code == 0 => "container exited with no error",
                    message => message,
                };
                self.conditions.fail(
                    HEALTHY,
                    &format!("ExitCode{code}"),
                    &format!("Container failed with: {message}"),
                );
                return;
            }
            if timed_out && let Some(waiting) = status.pointer("/state/waiting") {
                self.conditions
                    .fail(RESOURCES, text(waiting, "reason"), text(waiting, "message"));
                return;
            }
        }
    }

    fn pod_autoscaler(&mut self, revision: &Object, seen: Seen<'_>) {
        if let Some(pod_autoscaler) = seen.pod_autoscaler {
            if !pod_autoscaler.is_controlled_by(revision) {
                self.not_owned(revision, "PodAutoscaler", pod_autoscaler.name());
                return;
            }
            self.pod_autoscaler_status(pod_autoscaler);
        } else {
            self.pod_autoscaler_missing();
        }
        let desired = children::pod_autoscaler(revision, seen.deployment, self.is_unavailable());
        match seen.pod_autoscaler {
            None => self.decision.create(Kind::PodAutoscaler, desired),
            Some(existing) => {
                if let Some(updated) = children::updated_pod_autoscaler(existing, &desired) {
                    self.decision
                        .then(Step::Replace(Kind::PodAutoscaler, Box::new(updated)));
                }
            }
        }
    }

    fn is_unavailable(&self) -> bool {
        self.conditions.is_false(RESOURCES) || self.conditions.is_false(HEALTHY)
    }

    fn pod_autoscaler_missing(&mut self) {
        for key in ["actualReplicas", "desiredReplicas"] {
            self.status.remove(key);
        }
        self.conditions.unknown(ACTIVE, DEPLOYING, "");
        if !self.is_unavailable() {
            self.conditions.unknown(RESOURCES, DEPLOYING, "");
        }
    }

    fn pod_autoscaler_status(&mut self, pod_autoscaler: &Object) {
        let Some(ready) = pod_autoscaler.condition("Ready") else {
            self.pod_autoscaler_missing();
            return;
        };
        let unavailable = self.is_unavailable();
        for (from, to) in [
            ("actualScale", "actualReplicas"),
            ("desiredScale", "desiredReplicas"),
        ] {
            match integer(pod_autoscaler.status(), from).filter(|count| *count >= 0) {
                Some(count) => self.status.insert(to.to_owned(), json!(count)),
                None => self.status.remove(to),
            };
        }
        let initialised = pod_autoscaler.condition_status("ScaleTargetInitialized") == "True";
        if initialised && !unavailable {
            self.conditions.ok(RESOURCES);
            self.conditions.ok(HEALTHY);
        }
        if !initialised && self.conditions.is_true(RESOURCES) {
            self.conditions.unknown(RESOURCES, DEPLOYING, "");
        }
        let (reason, message) = (text(ready, "reason"), text(ready, "message"));
        match text(ready, "status") {
            "True" => self.conditions.ok(ACTIVE),
            "False" => {
                if !initialised && !unavailable {
                    self.conditions
                        .fail(RESOURCES, DEADLINE, "Initial scale was never achieved");
                }
                self.conditions.fail(ACTIVE, reason, message);
            }
            _ => self.conditions.unknown(ACTIVE, reason, message),
        }
    }

    fn not_owned(&mut self, revision: &Object, kind: &str, name: &str) {
        self.conditions.fail(
            RESOURCES,
            "NotOwned",
            &format!("There is an existing {kind} {name:?} that we do not own."),
        );
        self.decision.problem = Some(format!(
            "revision: {:?} does not own {kind}: {name:?}",
            revision.name()
        ));
    }
}
