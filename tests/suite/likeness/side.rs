//! One of the two servers, and what it said so far.

use std::collections::HashMap;

use http::{Request, header};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body as Sent;
use serde_json::Value;

use super::normalise::Memory;
use super::step::{Body, Step};

/// What a request was answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The `Warning` headers.
    pub warnings: Vec<String>,
    /// The body: JSON, or its text as a string.
    pub body: Value,
}

impl Answer {
    /// The connection was closed: some requests make Kubernetes panic.
    fn none(error: &kube::Error) -> Self {
        Self {
            code: 0,
            warnings: Vec::new(),
            body: error.to_string().into(),
        }
    }

    /// Whether anything was answered.
    pub fn is_there(&self) -> bool {
        self.code != 0
    }
}

/// A server, a namespace of it, and what it said since the sequence began.
pub struct Side {
    client: Client,
    namespace: String,
    /// The last good answer about each object.
    seen: HashMap<String, Value>,
    /// The resource versions of each object, in the order of their coming.
    versions: HashMap<String, Vec<String>>,
    memory: Memory,
    goes_on: String,
}

impl Side {
    /// The server, at the beginning of a sequence.
    pub fn new(client: Client, namespace: &str) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            seen: HashMap::new(),
            versions: HashMap::new(),
            memory: Memory::default(),
            goes_on: String::new(),
        }
    }

    /// Sends a request; gives the answer without what differs from server to server.
    pub async fn play(&mut self, step: &Step) -> Answer {
        let mut answer = self.send(step).await;
        self.remember(step, &answer);
        self.memory.normalise(&mut answer);
        answer
    }

    async fn send(&self, step: &Step) -> Answer {
        let body = match &step.body {
            Body::None => None,
            Body::Is(value) => Some(value.clone()),
            Body::Seen(change) => {
                let mut object = self.seen.get(&step.about).cloned().unwrap_or(Value::Null);
                json_patch::merge(&mut object, change);
                Some(object)
            }
        };
        let body = body.map(|mut body| {
            self.fill_in(&mut body, &step.about);
            serde_json::to_vec(&body).unwrap()
        });
        raw(
            &self.client,
            step.method,
            &self.uri(step),
            step.media,
            body.unwrap_or_default(),
        )
        .await
    }

    fn uri(&self, step: &Step) -> String {
        let mut uri = step.path.replace("{ns}", &self.namespace);
        for (at, (name, value)) in step.query.iter().enumerate() {
            uri.push(if at == 0 { '?' } else { '&' });
            uri.push_str(name);
            uri.push('=');
            for byte in self.filled_in(value, &step.about).bytes() {
                if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
                    uri.push(char::from(byte));
                } else {
                    uri.push_str(&format!("%{byte:02X}"));
                }
            }
        }
        uri
    }

    fn fill_in(&self, value: &mut Value, about: &str) {
        match value {
            Value::String(text) if text.contains('{') => *text = self.filled_in(text, about),
            Value::Array(items) => items.iter_mut().for_each(|item| self.fill_in(item, about)),
            Value::Object(fields) => fields
                .values_mut()
                .for_each(|field| self.fill_in(field, about)),
            _ => {}
        }
    }

    fn filled_in(&self, text: &str, about: &str) -> String {
        let known = self
            .versions
            .get(about)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let version = |ago: usize| known.iter().rev().nth(ago).map_or("1", String::as_str);
        let uid = self
            .seen
            .get(about)
            .and_then(|object| object.pointer("/metadata/uid")?.as_str());
        text.replace("{ns}", &self.namespace)
            .replace("{rv 0}", version(0))
            .replace("{rv 1}", version(1))
            .replace("{uid}", uid.unwrap_or("none"))
            .replace("{continue}", &self.goes_on)
    }

    fn remember(&mut self, step: &Step, answer: &Answer) {
        let text = |at: &str| {
            answer
                .body
                .pointer(at)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        if answer.code > 299 {
            return;
        }
        if answer.body.get("items").is_some() {
            self.goes_on = text("/metadata/continue");
        }
        let dry = step.query.iter().any(|(name, _)| *name == "dryRun");
        if dry || text("/metadata/uid").is_empty() {
            return;
        }
        let version = text("/metadata/resourceVersion");
        let versions = self.versions.entry(step.about.clone()).or_default();
        if versions.last() != Some(&version) {
            versions.push(version);
        }
        self.seen.insert(step.about.clone(), answer.body.clone());
    }
}

/// Sends anything.
pub async fn raw(client: &Client, method: &str, uri: &str, media: &str, body: Vec<u8>) -> Answer {
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .header(header::USER_AGENT, "likeness/1");
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, media);
    }
    let request = request.body(Sent::from(body)).unwrap();
    let response = match client.send(request).await {
        Ok(response) => response,
        Err(error) => return Answer::none(&error),
    };
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let warnings = parts.headers.get_all(header::WARNING);
    Answer {
        code: parts.status.as_u16(),
        warnings: warnings
            .iter()
            .map(|warning| warning.to_str().unwrap().to_owned())
            .collect(),
        body: serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into_owned().into()),
    }
}
