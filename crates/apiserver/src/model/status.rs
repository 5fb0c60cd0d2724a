//! Errors as Kubernetes says them: a `metav1.Status` with code, reason, words and details.
//!
//! Clients branch on code and reason, people read the words; both are Kubernetes'
//! own, so that nothing that works against a cluster is surprised here.

use serde_json::{Map, Value, json};

use crate::json::object;

/// What a kind is called, as errors need it.
#[derive(Debug, Clone, Copy)]
pub struct KindNames<'a> {
    /// The API group, empty for the core.
    pub group: &'a str,
    /// The kind.
    pub kind: &'a str,
    /// The name in paths.
    pub plural: &'a str,
}

impl KindNames<'_> {
    /// `plural.group`, or the plural alone in the core group.
    pub fn qualified(self) -> String {
        if self.group.is_empty() {
            self.plural.to_owned()
        } else {
            format!("{}.{}", self.plural, self.group)
        }
    }
}

/// One entry of `details.causes`: what is wrong with which field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The machine's word, such as `FieldValueInvalid`.
    pub reason: &'static str,
    /// The sentence, without the field.
    pub message: String,
    /// The field's path, such as `spec.replicas`.
    pub field: String,
}

impl Cause {
    /// A field that must be there and is not.
    pub fn required(field: impl Into<String>, detail: &str) -> Self {
        let message = if detail.is_empty() {
            "Required value".to_owned()
        } else {
            format!("Required value: {detail}")
        };
        Self {
            reason: "FieldValueRequired",
            message,
            field: field.into(),
        }
    }

    /// A field whose value is not acceptable.
    pub fn invalid(field: impl Into<String>, value: &Value, detail: &str) -> Self {
        Self {
            reason: "FieldValueInvalid",
            message: format!("Invalid value: {value}: {detail}"),
            field: field.into(),
        }
    }

    /// A value outside a closed list.
    pub fn not_supported(field: impl Into<String>, value: &Value, supported: &[&str]) -> Self {
        let supported: Vec<String> = supported.iter().map(|one| format!("{one:?}")).collect();
        Self {
            reason: "FieldValueNotSupported",
            message: format!(
                "Unsupported value: {value}: supported values: {}",
                supported.join(", ")
            ),
            field: field.into(),
        }
    }

    /// A value that is longer than it may be.
    pub fn too_long(field: impl Into<String>, limit: usize) -> Self {
        Self {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {limit} bytes"),
            field: field.into(),
        }
    }

    /// A value that names what is not there.
    pub fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueNotFound",
            message: format!("Not found: {value}"),
            field: field.into(),
        }
    }

    /// A value that is there already.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self {
            reason: "FieldValueDuplicate",
            message: format!("Duplicate value: {value}"),
            field: field.into(),
        }
    }

    /// A field that may not be set here.
    pub fn forbidden(field: impl Into<String>, detail: &str) -> Self {
        Self {
            reason: "FieldValueForbidden",
            message: format!("Forbidden: {detail}"),
            field: field.into(),
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// An error that is answered as a `metav1.Status`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status code.
    pub code: u16,
    /// The machine's word, such as `NotFound`; empty where Kubernetes gives none.
    pub reason: &'static str,
    /// The sentence for people.
    pub message: String,
    /// What it is about.
    pub details: Box<Details>,
}

/// What an error is about: `Status.details`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Details {
    /// Where a list that came too late can go on.
    pub goes_on: Option<String>,
    /// The object's name.
    pub name: String,
    /// The API group.
    pub group: String,
    /// A kind or a resource, whichever Kubernetes gives.
    pub kind: String,
    /// The object's uid.
    pub uid: String,
    /// What is wrong with which field.
    pub causes: Vec<Cause>,
    /// Sentences for `Warning` headers, which are no part of the object.
    pub warnings: Vec<String>,
    /// `retryAfterSeconds`, where waiting helps.
    pub retry_after: Option<u32>,
    /// Whether there are details even when nothing is in them, as in answers that
    /// Kubernetes' generic machinery gives.
    pub always: bool,
}

/// What a web server says that knows no such page.
pub const PAGE_NOT_FOUND: &str = "404 page not found";

impl ApiError {
    /// An error with no details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Box::default(),
        }
    }

    /// An answer of the generic machinery: its details are there, and empty.
    fn generic(code: u16, reason: &'static str, message: &str) -> Self {
        let mut error = Self::new(code, reason, message);
        error.details.always = true;
        error
    }

    fn about(mut self, kind: KindNames<'_>, name: &str) -> Self {
        self.details.name = name.to_owned();
        self.details.group = kind.group.to_owned();
        self.details.kind = kind.plural.to_owned();
        self
    }

    /// The object is not there.
    pub fn not_found<'a>(resource: impl Into<KindNames<'a>>, name: &str) -> Self {
        let resource = resource.into();
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::new(404, "NotFound", message).about(resource, name)
    }

    /// The path leads nowhere.
    pub fn no_such_path() -> Self {
        Self::generic(
            404,
            "NotFound",
            "the server could not find the requested resource",
        )
    }

    /// The path leads to no group at all: Kubernetes answers as any web server does, and
    /// clients find their own words for it.
    pub fn page_not_found() -> Self {
        Self::new(404, "NotFound", PAGE_NOT_FOUND)
    }

    /// An object of that name is there already.
    pub fn already_exists<'a>(resource: impl Into<KindNames<'a>>, name: &str) -> Self {
        let resource = resource.into();
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    /// The write was made from an older state of the object.
    pub fn conflict<'a>(resource: impl Into<KindNames<'a>>, name: &str, why: &str) -> Self {
        let resource = resource.into();
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {why}",
            resource.qualified()
        );
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// The object is not the one that is meant, in the words of a deletion: by its kind.
    pub fn conflict_of_kind<'a>(resource: impl Into<KindNames<'a>>, name: &str, why: &str) -> Self {
        let resource = resource.into();
        let mut error = Self::conflict(resource, name, why);
        let kind = match resource.group {
            "" => resource.kind.to_owned(),
            group => format!("{}.{group}", resource.kind),
        };
        error.message = format!("Operation cannot be fulfilled on {kind} \"{name}\": {why}");
        error.details.kind = resource.kind.to_owned();
        error
    }

    /// The write was made from an older state of the object, in the usual words.
    pub fn stale<'a>(resource: impl Into<KindNames<'a>>, name: &str) -> Self {
        Self::conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// The object breaks its kind's rules.
    pub fn invalid<'a>(resource: impl Into<KindNames<'a>>, name: &str, causes: Vec<Cause>) -> Self {
        let resource = resource.into();
        Self::invalid_as(resource.group, resource.kind, name, causes)
    }

    /// Something that is not a stored object breaks its rules: options, a patch, a Scale.
    pub fn invalid_as(group: &str, kind: &str, name: &str, causes: Vec<Cause>) -> Self {
        let mut sentences: Vec<String> = Vec::new();
        for cause in &causes {
            let sentence = cause.to_string();
            if !sentences.contains(&sentence) {
                sentences.push(sentence);
            }
        }
        let words = match sentences.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let qualified = if group.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind}.{group}")
        };
        let mut error = Self::new(
            422,
            "Invalid",
            format!("{qualified} \"{name}\" is invalid: {words}"),
        );
        error.details.name = name.to_owned();
        error.details.group = group.to_owned();
        error.details.kind = kind.to_owned();
        error.details.causes = causes;
        error
    }

    /// The options of a request are not such as there are.
    pub fn invalid_options(kind: &str, causes: Vec<Cause>) -> Self {
        Self::invalid_as("meta.k8s.io", kind, "", causes)
    }

    /// A patch cannot be applied to the object that is there.
    pub fn unpatchable() -> Self {
        Self::generic(
            422,
            "Invalid",
            "the server rejected our request due to an error in our request",
        )
    }

    /// The error of something inside, told as it came.
    pub fn plain(code: u16, message: impl Into<String>) -> Self {
        Self::new(code, "", message)
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// The request is understood and refused.
    pub fn forbidden<'a>(resource: impl Into<KindNames<'a>>, name: &str, why: &str) -> Self {
        let resource = resource.into();
        let message = format!("{} \"{name}\" is forbidden: {why}", resource.qualified());
        Self::new(403, "Forbidden", message).about(resource, name)
    }

    /// An admission hook said no, worded as a webhook's denial.
    pub fn denied(webhook: &str, why: &str) -> Self {
        Self::bad_request(format!(
            "admission webhook \"{webhook}\" denied the request: {why}"
        ))
    }

    /// The server answers nobody at the moment.
    pub fn unavailable() -> Self {
        Self::new(
            503,
            "ServiceUnavailable",
            "the server is currently unable to handle the request",
        )
    }

    /// No credentials, or wrong ones.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// The verb does not exist on this resource.
    pub fn method_not_allowed() -> Self {
        Self::generic(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        )
    }

    /// The verb does not exist on this custom resource.
    pub fn verb_not_supported<'a>(resource: impl Into<KindNames<'a>>, verb: &str) -> Self {
        let resource = resource.into();
        let message = format!(
            "{verb} is not supported on resources of kind {:?}",
            resource.qualified()
        );
        Self::new(405, "MethodNotAllowed", message).about(resource, "")
    }

    /// None of the representations the client takes can be given.
    pub fn not_acceptable(accepted: &str) -> Self {
        Self::new(
            406,
            "NotAcceptable",
            format!("only the following media types are accepted: {accepted}"),
        )
    }

    /// The client takes nothing that is spoken here.
    pub fn no_representation(available: &str) -> Self {
        Self::generic(
            406,
            "NotAcceptable",
            &format!("406: Not Acceptable\n\nAvailable representations: {available}"),
        )
    }

    /// The body's form is none that the method takes at all.
    pub fn no_such_media_type() -> Self {
        Self::generic(415, "UnsupportedMediaType", "415: Unsupported Media Type")
    }

    /// The body came in a form that is not read here.
    pub fn unsupported_media_type(accepted: &str) -> Self {
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {accepted}"
            ),
        )
    }

    /// The body is bigger than a request may be.
    pub fn too_large(limit: usize) -> Self {
        Self::new(
            413,
            "RequestEntityTooLarge",
            format!("Request entity too large: limit is {limit}"),
        )
    }

    /// The resource version or continue token is older than what is remembered.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// The server itself failed.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::new(
            500,
            "InternalError",
            format!("Internal error occurred: {message}"),
        )
    }

    /// What this server does not do.
    pub fn not_implemented(what: &str) -> Self {
        Self::new(501, "NotImplemented", what)
    }

    /// The error as a `metav1.Status` object.
    pub fn to_status(&self) -> Value {
        let mut details = Map::new();
        for (key, text) in [
            ("name", &self.details.name),
            ("group", &self.details.group),
            ("kind", &self.details.kind),
            ("uid", &self.details.uid),
        ] {
            if !text.is_empty() {
                details.insert(key.to_owned(), Value::from(text.as_str()));
            }
        }
        if !self.details.causes.is_empty() {
            let causes = self.details.causes.iter().map(|cause| {
                let mut entry = json!({"message": cause.message});
                if !cause.reason.is_empty() {
                    object::set(&mut entry, "reason", cause.reason);
                }
                if !cause.field.is_empty() {
                    object::set(&mut entry, "field", cause.field.as_str());
                }
                entry
            });
            details.insert("causes".to_owned(), causes.collect());
        }
        if let Some(seconds) = self.details.retry_after {
            details.insert("retryAfterSeconds".to_owned(), seconds.into());
        }
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if let Some(goes_on) = &self.details.goes_on {
            object::set_meta(&mut status, "continue", goes_on.as_str());
        }
        if let Some(map) = status.as_object_mut() {
            if !self.reason.is_empty() {
                map.insert("reason".to_owned(), self.reason.into());
            }
            if !details.is_empty() || self.details.always {
                map.insert("details".to_owned(), Value::Object(details));
            }
        }
        status
    }
}
