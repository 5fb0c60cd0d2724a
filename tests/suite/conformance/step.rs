//! One request, as it is sent to both servers.

use std::fmt;

use serde_json::Value;

/// What a request carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// Nothing.
    None,
    /// This.
    Is(Value),
    /// What the server last said of the object, with this merge patch over it.
    Seen(Value),
}

/// One request. In its strings `{rv N}` stands for the resource version of the object N changes
/// ago, `{at N}` for that of anything N answers ago, `{later}` for one that is yet to come, `{uid}` for
/// its uid, and `{continue}` for what the last list went on with: each server has its own.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The method.
    pub method: &'static str,
    /// The path; `{ns}` stands for the namespace, `{turn}` for the sequence.
    pub path: String,
    /// The query.
    pub query: Vec<(&'static str, String)>,
    /// The content type.
    pub media: &'static str,
    /// What is sent.
    pub body: Body,
    /// The object that it is about, such as `configmaps/a`.
    pub about: String,
    /// The form that is asked for in `Accept`, where it is not the usual one.
    pub accept: &'static str,
    /// Watches that are open at the same time.
    pub beside: Vec<Step>,
    /// What is written while a watch is open; its end is known by the last of these.
    pub meanwhile: Vec<Step>,
}

impl Step {
    /// Whether a cluster survives it: the address allocator of Kubernetes 1.34 tries its whole range, one
    /// address after the other, for a Service without a name.
    pub fn is_harmless(&self) -> bool {
        let is_named = |body: &Value| {
            body.pointer("/metadata/name")
                .and_then(Value::as_str)
                .is_some_and(|name| !name.is_empty())
        };
        match &self.body {
            Body::Is(body)
                if self.path.starts_with("/api/v1/") && self.about.starts_with("services/") =>
            {
                !(self.method == "POST" || self.method == "PUT" || self.media == APPLY)
                    || is_named(body)
            }
            _ => true,
        }
    }

    /// Whether it is answered by events.
    pub fn watches(&self) -> bool {
        self.query.iter().any(|(name, _)| *name == "watch")
    }

    /// A field of what is sent.
    pub fn says(&self, name: &str) -> Option<&Value> {
        match &self.body {
            Body::None => None,
            Body::Is(value) | Body::Seen(value) => value.get(name),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)?;
        for (at, (name, value)) in self.query.iter().enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { '?' } else { '&' })?;
        }
        if !self.accept.is_empty() {
            write!(f, " accepting {}", self.accept)?;
        }
        for step in &self.beside {
            write!(f, "\n    beside {step}")?;
        }
        for step in &self.meanwhile {
            write!(f, "\n    meanwhile {step}")?;
        }
        let short = self.media.trim_start_matches("application/");
        match &self.body {
            Body::None => Ok(()),
            Body::Is(value) => write!(f, " as {short}\n    {value}"),
            Body::Seen(value) => write!(f, " as {short}\n    what was seen, with {value}"),
        }
    }
}

/// JSON, the content type of most.
pub const JSON: &str = "application/json";
/// RFC 6902.
pub const JSON_PATCH: &str = "application/json-patch+json";
/// RFC 7386.
pub const MERGE_PATCH: &str = "application/merge-patch+json";
/// Kubernetes' own.
pub const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
/// Server-side apply.
pub const APPLY: &str = "application/apply-patch+yaml";
