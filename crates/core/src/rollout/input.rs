//! What a decision is made from: what Git says, and what the cluster says.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::delivery::{Drift, Expand};
use crate::api::object::TemplateHash;
use crate::api::rollout::ConfigChange;
use crate::api::serving::{KnativeCondition, TrafficTarget};

/// How late at most the cluster is asked again about what it refused: whose policy it was may have changed it.
pub const ASKED_AGAIN: Duration = Duration::from_secs(300);

/// What Git says of one service.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// Namespace.
    pub namespace: String,
    /// Name of the Service, or of the Configuration and Route.
    pub name: String,
    /// What is applied for it.
    pub expand: Expand,
    /// The hash of its template.
    pub template_hash: TemplateHash,
    /// The digest of its whole manifest but for the traffic: what a refusal is about.
    pub manifest: String,
    /// `spec.template.metadata.name`, where the manifest names its revisions itself.
    pub revision_name: Option<String>,
    /// The manifest's own `spec.traffic`: the shape that a release ends in. Often empty.
    pub final_traffic: Vec<TrafficTarget>,
    /// Why that block cannot be used, if it cannot: the shape stays what it is in the cluster, and nothing goes up.
    pub traffic_problem: Option<String>,
    /// The commit that brought the template.
    pub commit: Option<String>,
    /// That commit's first line.
    pub subject: Option<String>,
    /// The Delivery is suspended: nothing changes, except that a bad release is rolled back.
    pub suspended: bool,
    /// The Delivery was deleted: a release that is on its way is rolled back, for nobody will watch
    /// it any more, and none begins.
    pub withdrawn: bool,
    /// Why the service's policy cannot be read, if it cannot: nothing new starts and nothing
    /// goes up, while a release on its way is judged by the last one that could be.
    pub policy_problem: Option<String>,
    /// Why what is remembered cannot be read as a whole, if it cannot: nothing goes up, and nothing begins.
    pub memory_problem: Option<String>,
    /// Why it is not known what Git wants, where this is but what the cluster has: nothing goes up.
    pub source_problem: Option<String>,
    /// What is done about changes by hand while nothing is on its way.
    pub drift: Drift,
    /// What commits have changed of the ConfigMaps and Secrets that its template names, as far as this agent has seen it.
    pub config_changes: Vec<ConfigChange>,
}

/// What the cluster says of the service, read from the watch caches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Live {
    /// Since when the caches have been live without a break. Deadlines count from here at the
    /// earliest, so that an outage of the API server (or a jump of the clock, after which the
    /// agent moves this forward) blames nobody.
    pub watching_since: Option<Timestamp>,
    /// The Configuration; in `expand: Service` the Service's child.
    pub configuration: Option<ConfigurationFacts>,
    /// The Route; in `expand: Service` the Service as far as its traffic goes.
    pub route: Option<RouteFacts>,
    /// The Configuration's revisions, and whatever else `final_traffic` names.
    pub revisions: Vec<RevisionFacts>,
    /// The API server refused Git's template for good (a 4xx from validation or a webhook).
    pub refused: Option<String>,
    /// It was asked again, and takes now what it refused.
    pub accepted: bool,
}

/// A Configuration, as far as a release goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConfigurationFacts {
    /// `metadata.generation`.
    pub generation: i64,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
    /// `status.latestCreatedRevisionName`.
    pub latest_created: Option<String>,
    /// `status.latestReadyRevisionName`.
    pub latest_ready: Option<String>,
    /// The object that we write (this one, or the Service above it) has Git's template on
    /// every field that Git sets.
    pub template_written: bool,
    /// It has it but for the name that Git gives its revision, and none in its place: a template that was put back under
    /// a new name, since Knative could not take the old one.
    pub written_but_for_name: bool,
    /// Nobody but Sluice has written what that object asks for, and Sluice once: its first delivery was begun.
    pub begun_here: bool,
    /// Knative's controller has looked at that object as it is now, whatever came of it.
    pub written_observed: bool,
    /// This Configuration has it too: with `expand: Service` the child follows a moment later.
    pub template_taken_up: bool,
    /// `metadata.name` of the written template.
    pub template_name: Option<String>,
    /// The attempt number in the written template's annotation `sluice.dev/attempt`; 0 without.
    pub attempt: u32,
    /// Its `Ready` condition.
    pub ready: Option<KnativeCondition>,
}

/// A Route, or a Service's traffic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RouteFacts {
    /// `metadata.generation`.
    pub generation: i64,
    /// `status.observedGeneration`.
    pub observed_generation: i64,
    /// `spec.traffic`.
    pub spec: Vec<TrafficTarget>,
    /// `status.traffic`.
    pub status: Vec<TrafficTarget>,
    /// A Route's `Ready`, a Service's `RoutesReady`.
    pub ready: Option<KnativeCondition>,
    /// `status.url`.
    pub url: Option<String>,
    /// The annotation `sluice.dev/rolled-back`: the template that its traffic was taken away from.
    pub rolled_back: Option<TemplateHash>,
    /// The API server refuses what is asked of its traffic, in its words.
    pub refused: Option<String>,
}

/// A Revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RevisionFacts {
    /// Its name.
    pub name: String,
    /// The Configuration that owns it.
    pub configuration: String,
    /// The Configuration's generation that it was made for.
    pub generation: i64,
    /// Its `Ready` condition.
    pub ready: Option<KnativeCondition>,
    /// We keep it from garbage collection.
    pub kept: bool,
    /// Whether it was made from Git's template, for the one whose name the manifest gives itself:
    /// a name that was used for another template cannot be used for this one. `None` where that
    /// cannot be told, and for all others.
    pub made_from_git: Option<bool>,
    /// What its Pods say.
    pub pods: PodFacts,
}

/// What a Revision's Pods say, long before its conditions do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PodFacts {
    /// The most often that one container of one Pod has ended with an error.
    pub crashes: u32,
    /// How it ended last: `exit code 3`.
    pub last_exit: Option<String>,
    /// `CrashLoopBackOff`, `ImagePullBackOff`, `CreateContainerError: WHY`, ...
    pub waiting_reason: Option<String>,
    /// Pods that are there to serve: not told to stop, not over, not lost with their node.
    pub running: u32,
    /// Those of them that are Ready.
    pub ready: u32,
    /// When the newest of those became Ready.
    pub newest_ready: Option<Timestamp>,
    /// Since when none is Ready, where one was that still runs.
    pub unready_since: Option<Timestamp>,
    /// Since when there are Pods of which none was Ready yet: a cold start.
    pub starting_since: Option<Timestamp>,
}

impl RevisionFacts {
    /// Whether it can take requests (a revision that is scaled to zero can).
    pub fn is_ready(&self) -> bool {
        self.ready.as_ref().is_some_and(KnativeCondition::is_true)
    }

    /// Whether it is said to be broken.
    pub fn has_failed(&self) -> bool {
        self.ready.as_ref().is_some_and(KnativeCondition::is_false)
    }
}

impl Live {
    /// A revision by name.
    pub fn revision(&self, name: &str) -> Option<&RevisionFacts> {
        self.revisions.iter().find(|revision| revision.name == name)
    }

    /// Whether a Route may name it: a Route with one target that is missing or broken
    /// stops following its spec altogether.
    pub fn is_usable(&self, name: &str) -> bool {
        self.revision(name).is_some_and(RevisionFacts::is_ready)
    }
}
