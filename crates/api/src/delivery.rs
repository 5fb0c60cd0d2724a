//! `Delivery`: one path of one Git repository into one namespace or cluster.

use kube_derive::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::condition::Condition;
use super::duration::HumanDuration;
use super::inventory::InventoryEntry;
use super::object::ObjectKey;

/// How often a repository's head is asked for where the Delivery says nothing.
pub const DEFAULT_INTERVAL: HumanDuration = HumanDuration::from_secs(30);

/// Annotation on a Delivery: a new value asks for a look at the remote now.
pub const SYNC: &str = "sluice.dev/sync";

/// Label on a Secret: with the value `true` its owner allows Deliveries of its namespace to
/// show it to Git servers.
pub const CREDENTIALS_LABEL: &str = "sluice.dev/git-credentials";

/// What to deliver, from where, to where, and under which policy.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    crates(kube_core = "::kube_core"),
    group = "sluice.dev",
    version = "v1alpha1",
    kind = "Delivery",
    plural = "deliveries",
    namespaced,
    status = "DeliveryStatus",
    category = "sluice",
    derive = "PartialEq",
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Status","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Commit","type":"string","jsonPath":".status.appliedCommit"}"#,
    printcolumn = r#"{"name":"URL","type":"string","priority":1,"jsonPath":".spec.source.url"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DeliverySpec {
    /// The repository, and what of it.
    pub source: Source,
    /// Where the objects go.
    #[serde(default)]
    pub target: Target,
    /// A preset (`standard`, `cautious`, `fast`, `demo`) or the name of a RolloutPolicy
    /// in the Delivery's namespace; `standard` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Delete what this Delivery applied and Git no longer has.
    #[serde(default)]
    pub prune: bool,
    /// What to do with hand-made changes to delivered objects.
    #[serde(default)]
    pub drift: Drift,
    /// Stop looking at Git and leave the cluster as it is, until taken away.
    #[serde(default)]
    pub suspend: bool,
}

/// A Git repository and the part of it that is delivered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// `https://...`, `ssh://git@host/...`, `git@host:...` or `file:///srv/git/shop.git`.
    ///
    /// An agent that runs in the cluster reads no `file://` repository unless it was started with
    /// `--allow-file-repositories`. Credentials are not sent over `http://`.
    pub url: String,
    /// Branch, tag, semver range or commit; the remote's default branch when absent.
    #[serde(default, rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<GitReference>,
    /// Folder in the repository; its root when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// How often the remote's head is asked for; 30 s when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<HumanDuration>,
    /// A Secret in the Delivery's namespace with the keys `username`, `password` or `token`,
    /// `bearerToken`, `caBundle`, `identity` (a private key), `passphrase`, `knownHosts`. It must
    /// have the label `sluice.dev/git-credentials: "true"`; what is changed in it is used by the
    /// next look that the remote refuses otherwise, or within five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalReference>,
}

/// Which commit of the repository: the first one that is set, in this order:
/// `commit`, `semver`, `tag`, `branch`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GitReference {
    /// A branch's head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// A tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The highest tag in a semver range, such as `>=1.2, <2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub semver: Option<String>,
    /// A full commit id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// An object in the same namespace, by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LocalReference {
    /// Its name.
    pub name: String,
}

/// Where the objects go.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Namespace of objects that name none; the Delivery's own when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What is applied for a Service manifest.
    #[serde(default)]
    pub expand: Expand,
}

/// What is applied for a `serving.knative.dev/v1` Service manifest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Expand {
    /// A Configuration and a Route of the same name, and no Service.
    Routes,
    /// The Service itself, with one field manager for its template and one for its traffic.
    #[default]
    Service,
}

/// What is done about hand-made changes to delivered objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Drift {
    /// Said in status and events, and corrected.
    #[default]
    Correct,
    /// Said in status and events, and left until Git changes the object.
    Report,
}

/// What the agent says of a Delivery.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryStatus {
    /// The generation of the spec that this was said of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled` as kstatus defines them, and `SourceReady`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The commit that the remote showed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_commit: Option<String>,
    /// The commit whose objects are all written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_commit: Option<String>,
    /// The last commit whose releases all ended well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_good_commit: Option<String>,
    /// The value of the annotation `sluice.dev/sync` that was last answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_sync: Option<String>,
    /// What this Delivery applied and may prune; 700 kB at most.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        with = "super::inventory"
    )]
    #[schemars(with = "Vec<InventoryEntry>", extend("x-kubernetes-list-type" = "atomic"))]
    pub inventory: Vec<ObjectKey>,
    /// How many services stand where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<ServiceCounts>,
    /// What is wrong in Git or was refused by the cluster, one line each: the first fifty, and how many more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "atomic"))]
    pub problems: Vec<Problem>,
}

/// How many services of a Delivery stand where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceCounts {
    /// All services.
    pub total: u32,
    /// At rest on what Git says.
    pub ready: u32,
    /// With a release on its way.
    pub rolling: u32,
    /// Rolled back, refused or broken.
    pub failed: u32,
}

/// One thing that needs a person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// The object it is about, where that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectKey>,
    /// `apps/hello.yaml:12:5`, where it comes from a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// What is wrong and what to do.
    pub message: String,
}
