//! The plan as a value: steps in order, each with its reason, and a report of
//! what is not done and why.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::delivery::{Expand, Problem};
use crate::api::object::ObjectKey;
use crate::render::{Note, Reference, field_words, outside};

use super::annotations::DeliveryId;
use super::normalize::FieldChange;
use super::service::ServiceIntent;

/// What is to be done to bring the cluster to what Git says. Immutable once made.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What to do, in this order; steps of one [`Stage`] may run side by side.
    pub steps: Vec<Step>,
    /// Every service that Git wants and the cluster can have, changed or not.
    pub services: Vec<Arc<ServiceIntent>>,
    /// What is not done, and why.
    pub left: Vec<LeftAlone>,
    /// What the Delivery's inventory must hold before the first step runs.
    pub inventory: Vec<ObjectKey>,
    /// What was compared and found to hold: nothing to do, and no need to compare again.
    pub settled: Vec<Settled>,
}

/// A desired state that holds in a live content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Which object.
    pub key: ObjectKey,
    /// Digest of what Git wants.
    pub digest: String,
    /// Hash of what the cluster has.
    pub content: u64,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// To which object; a service's template object for a release.
    pub key: ObjectKey,
    /// When.
    pub stage: Stage,
    /// Its file, where it comes from one.
    pub origin: Option<String>,
    /// What and why.
    pub action: Action,
}

/// Steps run stage by stage; within one, side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Namespaces: everything else may live in them.
    Namespaces,
    /// CustomResourceDefinitions: waited for until they are established.
    Definitions,
    /// ServiceAccounts and RBAC.
    Access,
    /// Secrets, ConfigMaps and other things that workloads read.
    Inputs,
    /// Everything else.
    Objects,
    /// Configurations, then Routes, then what the rollout decides.
    Services,
    /// Webhooks: last, since they may refuse what comes after them.
    Admission,
    /// Deletions, in the reverse of the order of creation.
    Prune,
}

/// What is done to an object, and why.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Git has it, the cluster does not.
    Create {
        /// What to apply.
        object: Value,
    },
    /// The cluster has it otherwise than Git.
    Update {
        /// What to apply.
        object: Value,
        /// In which fields they differ; empty where only unset fields of lists did.
        changed: Vec<FieldChange>,
        /// Who made the difference.
        cause: Cause,
    },
    /// The cluster has it, made by someone else; from now on it is delivered.
    Adopt {
        /// What to apply.
        object: Value,
        /// The field managers that made it.
        from: Vec<String>,
        /// In which fields it differs from Git.
        changed: Vec<FieldChange>,
    },
    /// A service changed; the rollout decides what is written when.
    Release {
        /// What changed.
        reasons: Vec<ReleaseReason>,
    },
    /// Git no longer has it.
    Prune {
        /// The incarnation to delete, and no later one.
        uid: String,
        /// The version it is deleted in.
        version: String,
    },
}

/// Who made the difference between Git and the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A commit.
    Git,
    /// Someone who wrote to the cluster.
    Drift {
        /// The field manager, where it is on record.
        by: Option<String>,
        /// When it wrote.
        at: Option<Timestamp>,
    },
}

/// What about a service changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseReason {
    /// The cluster has no such service.
    New,
    /// Someone else made it; from now on it is delivered.
    Adopted {
        /// The field managers that made it.
        from: Vec<String>,
    },
    /// The template: a new revision.
    Template(Vec<FieldChange>),
    /// The name that somebody else gave the template's revision, and Git does not: it goes with the template's write.
    RevisionName {
        /// The name.
        name: String,
        /// The field manager that gave it.
        by: Option<String>,
    },
    /// The user's own traffic block.
    Traffic,
    /// Labels or annotations: no new revision.
    Metadata(Vec<FieldChange>),
    /// Someone changed it by hand.
    Drift {
        /// In which fields.
        changed: Vec<FieldChange>,
        /// The field manager, where it is on record.
        by: Option<String>,
        /// When it wrote.
        at: Option<Timestamp>,
    },
    /// One of its objects is gone.
    Missing(ObjectKey),
}

/// Something that is not done, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftAlone {
    /// The object, where it is known.
    pub object: Option<ObjectKey>,
    /// Its file, where it comes from one.
    pub origin: Option<String>,
    /// Why.
    pub why: Why,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// Rendering left it out, or a field of it.
    Render(Box<Note>),
    /// A Service manifest without `spec.template`.
    NoTemplate,
    /// A Service manifest whose `spec.traffic` cannot be used in the form that it is delivered in; the rest of it is
    /// delivered.
    BadTraffic(String),
    /// The manifest gives its revision a name that another template has.
    NameTaken {
        /// `spec.template.metadata.name`.
        name: String,
    },
    /// `sluice.dev/expand` says neither `Routes` nor `Service`.
    BadExpand(String),
    /// It names a Service of these manifests that is delivered as a Configuration and a Route.
    Dangling(Reference),
    /// Two manifests would be written to one object.
    Clash {
        /// Their files.
        origins: Vec<String>,
    },
    /// A service stays in the form in which the cluster has it.
    KeptMode {
        /// Its name.
        service: String,
        /// The form that Git asks for.
        asked: Expand,
        /// The form it is delivered in.
        kept: Expand,
        /// The manifest itself asks for it, and not its Delivery, whose word may be a default.
        explicit: bool,
    },
    /// Its namespace does not exist and is not in Git.
    NoNamespace,
    /// Not pruned: it is outside this namespace, the Delivery's own, and the Delivery may not write there.
    Outside(String),
    /// Another Delivery applies this object.
    OwnedBy(DeliveryId),
    /// It is being deleted; it is applied once it is gone.
    Terminating,
    /// A hand-made change, which the Delivery's `drift: Report` leaves.
    DriftLeft {
        /// In which fields.
        changed: Vec<FieldChange>,
        /// The field manager, where it is on record.
        by: Option<String>,
    },
    /// Not pruned: the Delivery does not say `prune: true`.
    PruneOff,
    /// Not pruned: the object says `sluice.dev/prune: disabled`.
    PruneDisabled,
    /// Not pruned: the object says something else of `sluice.dev/prune`.
    PruneUnclear(String),
    /// Not pruned: Git has no object at all, which is more likely an accident than a wish.
    EmptyRender,
    /// Not pruned: its file, or one that might be its file, cannot be read.
    BrokenFile {
        /// The file.
        origin: String,
    },
    /// Not pruned: another Delivery has it now.
    MovedTo(DeliveryId),
    /// Not pruned yet: this Delivery of the same repository may have it now.
    Awaits(DeliveryId),
    /// Not pruned: it is of a service that Git has, in the form that it is not delivered in; with it the service's
    /// revisions may go.
    OtherForm,
    /// Not pruned: the live object does not carry our mark.
    NotOurs,
    /// Not pruned: its kind cannot be watched at present.
    NotSeen,
    /// Not pruned: Git still has objects in this namespace, or of this kind.
    InUse {
        /// One of them.
        by: ObjectKey,
    },
}

impl Why {
    /// Whether a person should act: the rest is by design.
    pub fn is_problem(&self) -> bool {
        match self {
            Self::Render(note) => note.remark.refuses(),
            Self::NoTemplate
            | Self::BadTraffic(_)
            | Self::BadExpand(_)
            | Self::Dangling(_)
            | Self::NameTaken { .. }
            | Self::Clash { .. }
            | Self::NoNamespace
            | Self::Outside(_)
            | Self::OwnedBy(_)
            | Self::PruneUnclear(_)
            | Self::EmptyRender
            | Self::NotSeen
            | Self::BrokenFile { .. } => true,
            Self::KeptMode { explicit, .. } => *explicit,
            Self::Terminating
            | Self::DriftLeft { .. }
            | Self::PruneOff
            | Self::PruneDisabled
            | Self::MovedTo(_)
            | Self::Awaits(_)
            | Self::OtherForm
            | Self::NotOurs
            | Self::InUse { .. } => false,
        }
    }
}

impl LeftAlone {
    /// What rendering left out.
    pub(super) fn of(note: &Note) -> Self {
        Self {
            object: Some(note.object.clone()),
            origin: Some(note.origin.to_string()),
            why: Why::Render(Box::new(note.clone())),
        }
    }
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What is left alone and a person should mend, but for what [`Self::dangling`] gives.
    pub fn problems(&self) -> impl Iterator<Item = Problem> {
        let is_problem = |why: &Why| why.is_problem() && !matches!(why, Why::Dangling(_));
        let left = self.left.iter().filter(move |left| is_problem(&left.why));
        left.map(|left| Problem {
            object: left.object.clone(),
            origin: left.origin.clone(),
            message: left.why.to_string(),
        })
    }

    /// The objects that name a Service which is delivered as a Configuration and a Route, and where.
    pub fn dangling(&self) -> impl Iterator<Item = (&ObjectKey, &Reference)> {
        self.left.iter().filter_map(|left| match &left.why {
            Why::Dangling(reference) => Some((left.object.as_ref()?, reference)),
            _ => None,
        })
    }

    /// The service of a name, changed or not.
    pub fn service(&self, namespace: &str, name: &str) -> Option<&ServiceIntent> {
        self.services
            .iter()
            .find(|s| s.namespace == namespace && s.name == name)
            .map(Arc::as_ref)
    }
}

impl Step {
    /// Whether what somebody else made is delivered from now on.
    pub fn takes_over(&self) -> bool {
        match &self.action {
            Action::Adopt { .. } => true,
            Action::Release { reasons } => reasons.iter().any(|reason| {
                matches!(
                    reason,
                    ReleaseReason::Adopted { .. } | ReleaseReason::RevisionName { .. }
                )
            }),
            _ => false,
        }
    }

    /// What is applied, for the steps that apply.
    pub fn object(&self) -> Option<&Value> {
        match &self.action {
            Action::Create { object }
            | Action::Update { object, .. }
            | Action::Adopt { object, .. } => Some(object),
            Action::Release { .. } | Action::Prune { .. } => None,
        }
    }
}

impl fmt::Display for Plan {
    /// One line a step, then one a thing left alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            writeln!(f, "nothing to do")?;
        }
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        for left in &self.left {
            writeln!(f, "{left}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.action {
            Action::Create { .. } => write!(f, "create  {}", self.key),
            Action::Update { changed, cause, .. } => {
                write!(f, "update  {}", self.key)?;
                write_changes(f, changed)?;
                match cause {
                    Cause::Git => Ok(()),
                    Cause::Drift { by, at } => write_drift(f, by.as_deref(), *at),
                }
            }
            Action::Adopt { from, changed, .. } => {
                write!(f, "adopt   {} from {}", self.key, or_nobody(from))?;
                write_changes(f, changed)
            }
            Action::Release { reasons } => {
                write!(
                    f,
                    "release {}/{}",
                    self.key.namespace.as_deref().unwrap_or_default(),
                    self.key.name
                )?;
                for (at, reason) in reasons.iter().enumerate() {
                    f.write_str(if at == 0 { ": " } else { "; " })?;
                    write!(f, "{reason}")?;
                }
                Ok(())
            }
            Action::Prune { .. } => write!(f, "prune   {}: no longer in Git", self.key),
        }
    }
}

impl fmt::Display for ReleaseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("new"),
            Self::Adopted { from } => write!(f, "adopted from {}", or_nobody(from)),
            Self::Template(changed) => {
                f.write_str("template changed")?;
                write_changes(f, changed)
            }
            Self::RevisionName { name, by } => {
                write!(f, "takes over the revision's name {name}")?;
                match by {
                    Some(by) => write!(f, ", which {by} set")?,
                    None => f.write_str(", which is not in Git")?,
                }
                f.write_str(", so that Knative names the next one")
            }
            Self::Traffic => f.write_str("traffic changed"),
            Self::Metadata(changed) => {
                f.write_str("metadata changed")?;
                write_changes(f, changed)
            }
            Self::Drift { changed, by, at } => {
                f.write_str("drift")?;
                write_changes(f, changed)?;
                write_drift(f, by.as_deref(), *at)
            }
            Self::Missing(key) => write!(f, "{} is gone", key.kind),
        }
    }
}

impl fmt::Display for LeftAlone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("skip    ")?;
        if let Why::Render(note) = &self.why {
            return write!(f, "{note}");
        }
        match (&self.object, &self.origin) {
            (Some(object), _) => write!(f, "{object}: ")?,
            (None, Some(origin)) => write!(f, "{origin}: ")?,
            (None, None) => {}
        }
        write!(f, "{}", self.why)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Render(note) => f.write_str(&note.sentence()),
            Self::NoTemplate => f.write_str("it has no spec.template; a Service needs one"),
            Self::BadTraffic(error) => write!(f, "its traffic stays as it is: {error}"),
            Self::NameTaken { name } => write!(
                f,
                "its template names its revision {name}, and the cluster has a Revision of that name that was made from another template; change spec.template.metadata.name, or take it out and Knative names each revision"
            ),
            Self::BadExpand(value) => write!(
                f,
                "annotation {} says {value:?}; write Routes or Service",
                super::annotations::EXPAND
            ),
            Self::Dangling(reference) => write!(
                f,
                "{} names the Knative Service {}, which is delivered as a Configuration and a Route (expand: Routes); \
                 write kind: Route, which has the same address, or deliver it with expand: Service (docs/rollout.md)",
                field_words(&reference.path),
                reference.service.name
            ),
            Self::Clash { origins } => write!(
                f,
                "{} would be written to the same object; remove all but one",
                origins.join(" and ")
            ),
            Self::KeptMode {
                service,
                asked,
                kept,
                ..
            } => match kept {
                Expand::Service => write!(
                    f,
                    "delivered as a Service, since the cluster has one of that name, though {asked:?} is asked for; to \
                     convert it without losing a request: sluice rollout convert {service} --to routes"
                ),
                Expand::Routes => write!(
                    f,
                    "delivered as a Configuration and a Route, since the cluster has them and no Service takes them over \
                     by itself, though {asked:?} is asked for; to convert it without losing a request: sluice rollout \
                     convert {service} --to service"
                ),
            },
            Self::NoNamespace => f.write_str(
                "its namespace does not exist; create it or put a Namespace manifest in Git",
            ),
            Self::Outside(own) => f.write_str(&outside(own)),
            Self::OwnedBy(delivery) => write!(
                f,
                "Delivery {delivery} applies it; remove it from one of the two repositories"
            ),
            Self::Terminating => f.write_str("it is being deleted; it is applied again once it is gone"),
            Self::DriftLeft { changed, by } => {
                f.write_str("changed by hand and left so")?;
                write_changes(f, changed)?;
                write_drift(f, by.as_deref(), None)
            }
            Self::PruneOff => f.write_str("no longer in Git, kept: the Delivery does not prune"),
            Self::PruneDisabled => write!(
                f,
                "no longer in Git, kept: it says {}: disabled",
                super::annotations::PRUNE
            ),
            Self::PruneUnclear(value) => write!(
                f,
                "no longer in Git, kept: its {} is {value:?}; write disabled to keep it, or remove the annotation",
                super::annotations::PRUNE
            ),
            Self::EmptyRender => f.write_str(
                "no longer in Git, kept: Git has no object at all; delete the Delivery if everything shall go",
            ),
            Self::BrokenFile { origin } => {
                write!(f, "left as it is until {origin} can be read again")
            }
            Self::MovedTo(delivery) => write!(f, "now delivered by {delivery}"),
            Self::Awaits(delivery) => write!(
                f,
                "no longer in Git here, kept until Delivery {delivery} has looked at this commit: it may have moved there"
            ),
            Self::OtherForm => f.write_str(
                "kept beside the form that the service is delivered in; to end with one of them: sluice rollout convert",
            ),
            Self::NotOurs => f.write_str("no longer in Git, kept: it is no longer ours"),
            Self::NotSeen => f.write_str(
                "no longer in Git, kept: its kind cannot be watched; grant get, list and watch to the agent's account",
            ),
            Self::InUse { by } => write!(f, "no longer in Git, kept: Git still has {by}"),
        }
    }
}

fn or_nobody(managers: &[String]) -> String {
    if managers.is_empty() {
        "no recorded manager".to_owned()
    } else {
        managers.join(", ")
    }
}

fn write_changes(f: &mut fmt::Formatter<'_>, changed: &[FieldChange]) -> fmt::Result {
    // The rest is what `diff` is for.
    const SHOWN: usize = 4;
    for (at, change) in changed.iter().take(SHOWN).enumerate() {
        f.write_str(if at == 0 { " (" } else { ", " })?;
        write!(f, "{change}")?;
    }
    if changed.len() > SHOWN {
        write!(f, ", {} more", changed.len() - SHOWN)?;
    }
    if changed.is_empty() {
        Ok(())
    } else {
        f.write_str(")")
    }
}

fn write_drift(f: &mut fmt::Formatter<'_>, by: Option<&str>, at: Option<Timestamp>) -> fmt::Result {
    write!(f, ", by {}", by.unwrap_or("an unrecorded hand"))?;
    match at {
        Some(at) => write!(f, " at {at}"),
        None => Ok(()),
    }
}
