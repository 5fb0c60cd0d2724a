//! What can go wrong with a write, with the object that it is about.

use std::fmt;
use std::time::Duration;

use kube::core::Status;

use crate::api::object::ObjectKey;

use super::conflict::{self, Conflict};
use super::hidden::Hidden;

/// What Knative's webhook says, before two Go values and their difference, of a template that
/// changed while the name that it gives its revision did not.
const NAME_KEPT: &str = "changes without a name change";

/// A write that was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteError {
    /// The object.
    pub object: ObjectKey,
    /// What is wrong.
    pub cause: Refusal,
}

/// Why a write was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Other field managers own fields that the write sets.
    Conflict(Vec<Conflict>),
    /// An admission webhook or policy said no.
    Rejected {
        /// Which one, where it says.
        by: Option<String>,
        /// Its words.
        message: String,
    },
    /// The object does not fit its schema.
    Invalid(String),
    /// A status of Sluice's own does not fit the definition of its kind in this cluster.
    OtherDefinition(String),
    /// The credentials do not allow it.
    Forbidden(String),
    /// The namespace does not exist, or is being deleted.
    NoNamespace(String),
    /// The cluster has no such kind.
    NoSuchKind(String),
    /// Somebody wrote the object after it was read.
    Changed,
    /// The object is not there (any more), or another one has its name.
    Gone,
    /// The object has no kind or no name.
    NoIdentity,
    /// The agent's credentials: a token that expired, of which the next is read soon. No object is
    /// to blame.
    Unauthenticated(String),
    /// The server did not answer, or could not; it was tried several times.
    Unavailable(String),
    /// Everything else, in the server's words.
    Other(String),
}

impl std::error::Error for WriteError {}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.object, self.cause)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conflict(conflicts) => {
                f.write_str("not written, since ")?;
                for (at, conflict) in conflicts.iter().enumerate() {
                    if at > 0 {
                        f.write_str(", ")?;
                    }
                    write!(f, "{conflict}")?;
                }
                write!(
                    f,
                    "; take the field out of one of the two, or set the annotation {}: \"true\"",
                    crate::plan::annotations::FORCE
                )
            }
            Self::Rejected {
                by: Some(by),
                message,
            } if message.contains(NAME_KEPT) => write!(
                f,
                "rejected by {by}: the template changed under the revision name that it gives itself, and a name is for one template; change spec.template.metadata.name, or take it out and Knative names each revision"
            ),
            Self::Rejected {
                by: Some(by),
                message,
            } => write!(f, "rejected by {by}: {message}"),
            Self::Rejected { by: None, message } => write!(f, "rejected: {message}"),
            Self::Invalid(message) if message.contains("immutable") => write!(
                f,
                "invalid: {message}; what is set once stays so: give the object another name, or delete it in the cluster and it is made anew"
            ),
            Self::Invalid(message) => write!(f, "invalid: {message}"),
            Self::OtherDefinition(message) => write!(
                f,
                "the cluster's definition of this kind is not of this release of Sluice: {message}; apply the one that is: kubectl apply --server-side -f deploy/crds.yaml"
            ),
            Self::Forbidden(message) => {
                write!(
                    f,
                    "forbidden: {message}; grant the agent's account this right"
                )
            }
            Self::NoNamespace(name) => write!(
                f,
                "namespace {name} does not exist or is being deleted; create it or put it in Git"
            ),
            Self::NoSuchKind(kind) => write!(
                f,
                "the cluster has no {kind}; install its CustomResourceDefinition or put it in Git"
            ),
            Self::Changed => {
                f.write_str("somebody wrote it at the same time; it is looked at again")
            }
            Self::Gone => f.write_str("it is gone, or another object has its name now"),
            Self::NoIdentity => f.write_str("it has no apiVersion, kind or metadata.name"),
            Self::Unauthenticated(message) => write!(
                f,
                "the agent's credentials are refused: {message}; where they do not renew themselves, renew them"
            ),
            Self::Unavailable(message) => write!(f, "the API server does not answer: {message}"),
            Self::Other(message) => f.write_str(message),
        }
    }
}

impl WriteError {
    /// Whether the same write may well succeed later without anybody's doing.
    pub fn is_transient(&self) -> bool {
        matches!(
            self.cause,
            Refusal::Unavailable(_) | Refusal::Unauthenticated(_) | Refusal::Changed
        )
    }
}

/// A failed request, sorted by what to do about it.
pub(super) enum Failure {
    /// Try again: after this time, where the server names one.
    Again {
        after: Option<Duration>,
        message: String,
    },
    /// Another write came first: what does not hang on the version that was read is tried again.
    Raced { message: String },
    /// Trying again changes nothing.
    Final(Refusal),
}

/// Sorts a client error. What it quotes of the secrets that were sent is masked.
pub(super) fn sort(error: &kube::Error, object: &ObjectKey, hidden: &Hidden) -> Failure {
    match error {
        kube::Error::Api(status) => sort_status(status, object, hidden),
        kube::Error::SerdeError(error) => Failure::Final(Refusal::Other(format!(
            "the answer cannot be read: {error}"
        ))),
        kube::Error::BuildRequest(error) => Failure::Final(Refusal::Other(error.to_string())),
        // A token file that is being replaced, a credential plugin that cannot be run.
        kube::Error::Auth(error) => Failure::Final(Refusal::Unauthenticated(words(error))),
        other => Failure::Again {
            after: None,
            message: words(other),
        },
    }
}

/// The innermost words of an error: the outer ones only say that there is one.
pub(super) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

fn sort_status(status: &Status, object: &ObjectKey, hidden: &Hidden) -> Failure {
    let message = hidden.mask(&status.message);
    let after = status
        .details
        .as_ref()
        .map(|details| details.retry_after_seconds)
        .filter(|seconds| *seconds > 0)
        .map(|seconds| Duration::from_secs(u64::from(seconds)));
    if let Some((by, words)) = admission(&message) {
        return Failure::Final(Refusal::Rejected {
            by: Some(by),
            message: words,
        });
    }
    let refusal = match status.code {
        409 if status.reason == "Conflict" || status.reason.is_empty() => {
            let conflicts = conflict::read(status);
            if conflicts.is_empty() {
                // A write lost a race against another; or a uid precondition failed.
                // Both are said: by the store, and by a deletion before it comes to the store.
                let other_uid = ["Precondition failed", "the UID in the precondition"];
                if other_uid.iter().any(|words| message.contains(words)) {
                    Refusal::Gone
                } else {
                    return Failure::Raced { message };
                }
            } else {
                Refusal::Conflict(conflicts)
            }
        }
        429 | 503 | 504 => return Failure::Again { after, message },
        // The API server answers 500 where an apply does not fit the schema, or the type.
        500 if message.contains("failed to create typed patch object")
            || message.contains("failed to convert new object")
            || message.contains("field not declared in schema") =>
        {
            Refusal::Invalid(message)
        }
        // A webhook that cannot be called is a server's trouble, not the object's.
        500 => return Failure::Again { after, message },
        400 | 422 => Refusal::Invalid(message),
        401 => Refusal::Unauthenticated(message),
        403 if message.contains("because it is being terminated") => {
            Refusal::NoNamespace(object.namespace.clone().unwrap_or_default())
        }
        403 => Refusal::Forbidden(message),
        404 => match (&object.namespace, &status.details) {
            (Some(namespace), Some(details))
                if details.kind == "namespaces" && details.name == *namespace =>
            {
                Refusal::NoNamespace(namespace.clone())
            }
            (_, Some(details)) if details.name == object.name => Refusal::Gone,
            _ => Refusal::NoSuchKind(object.kind.clone()),
        },
        _ => Refusal::Other(message),
    };
    Failure::Final(refusal)
}

/// Splits `admission webhook "x" denied the request: words` and its policy form.
fn admission(message: &str) -> Option<(String, String)> {
    let rest = message.strip_prefix("admission webhook \"")?;
    let (by, rest) = rest.split_once('"')?;
    let words = rest
        .strip_prefix(" denied the request: ")
        .unwrap_or_else(|| rest.trim_start());
    Some((format!("admission webhook {by}"), words.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::response::StatusDetails;

    fn sorted(code: u16, reason: &str, message: &str) -> Failure {
        let object = ObjectKey::namespaced("", "ConfigMap", "shop", "settings");
        let status = Status::failure(message, reason).with_code(code);
        sort(
            &kube::Error::Api(status.boxed()),
            &object,
            &Hidden::default(),
        )
    }

    #[test]
    fn a_template_that_changed_under_its_revision_s_name_says_what_to_do() {
        let message = "admission webhook \"validation.webhook.serving.knative.dev\" denied the request: validation failed: Saw the following changes without a name change (-old +new): spec.template.metadata.name\n{v1.RevisionTemplateSpec}.Spec.PodSpec.Containers[0].Image:\n\t-: \"a\"\n\t+: \"b\"\n";
        let Failure::Final(refusal) = sorted(400, "BadRequest", message) else {
            panic!("final");
        };
        let said = refusal.to_string();
        assert!(
            said.contains("change spec.template.metadata.name, or take it out"),
            "{said}"
        );
        assert!(!said.contains("v1.RevisionTemplateSpec"), "{said}");
    }

    #[test]
    fn a_webhooks_words_reach_the_person_who_wrote_the_object() {
        let message = "admission webhook \"validation.webhook.serving.knative.dev\" denied the request: validation failed: Traffic targets sum to 90, want 100: spec.traffic";
        let Failure::Final(refusal) = sorted(400, "BadRequest", message) else {
            panic!("final");
        };
        assert_eq!(
            refusal.to_string(),
            "rejected by admission webhook validation.webhook.serving.knative.dev: validation failed: Traffic targets sum to 90, want 100: spec.traffic"
        );
    }

    #[test]
    fn what_may_pass_by_itself_is_tried_again_after_the_servers_own_time() {
        let object = ObjectKey::namespaced("", "ConfigMap", "shop", "settings");
        let details = StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds: 7,
        };
        let status = Status::failure("slow down", "TooManyRequests")
            .with_code(429)
            .with_details(details);
        match sort(
            &kube::Error::Api(status.boxed()),
            &object,
            &Hidden::default(),
        ) {
            Failure::Again { after, .. } => assert_eq!(after, Some(Duration::from_secs(7))),
            Failure::Final(_) | Failure::Raced { .. } => panic!("it is tried again"),
        }
        assert!(matches!(
            sorted(503, "ServiceUnavailable", ""),
            Failure::Again { .. }
        ));
        assert!(matches!(
            sorted(
                409,
                "Conflict",
                "Operation cannot be fulfilled on x: the object has been modified"
            ),
            Failure::Raced { .. }
        ));
    }

    #[test]
    fn credentials_that_expired_are_no_objects_fault() {
        let Failure::Final(cause) = sorted(401, "Unauthorized", "Unauthorized") else {
            panic!("the same credentials are refused again");
        };
        let object = ObjectKey::namespaced("", "ConfigMap", "shop", "settings");
        let error = WriteError { object, cause };
        assert!(error.is_transient(), "{error}");
        assert!(matches!(
            sorted(403, "Forbidden", "configmaps is forbidden"),
            Failure::Final(Refusal::Forbidden(_))
        ));
    }

    #[test]
    fn a_missing_namespace_is_named() {
        let object = ObjectKey::namespaced("", "ConfigMap", "shop", "settings");
        let mut details = StatusDetails {
            name: "shop".into(),
            group: String::new(),
            kind: "namespaces".into(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds: 0,
        };
        let status = |details: &StatusDetails| {
            Status::failure("namespaces \"shop\" not found", "NotFound")
                .with_code(404)
                .with_details(details.clone())
                .boxed()
        };
        let refusal = |details: &StatusDetails| match sort(
            &kube::Error::Api(status(details)),
            &object,
            &Hidden::default(),
        ) {
            Failure::Final(refusal) => refusal,
            Failure::Again { message, .. } | Failure::Raced { message } => panic!("{message}"),
        };
        assert_eq!(refusal(&details), Refusal::NoNamespace("shop".into()));
        details.kind = "configmaps".into();
        details.name = "settings".into();
        assert_eq!(refusal(&details), Refusal::Gone);
    }
}
