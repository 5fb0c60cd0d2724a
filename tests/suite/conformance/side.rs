//! One of the two servers, and what it said so far.

use std::collections::HashMap;

use http::{Request, Response, header};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body as Sent;
use serde_json::Value;

use super::defining::DEFINITION;
use super::normalise::{self, Memory};
use super::step::{Body, JSON, Step};

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
    turn: usize,
    /// The last good answer about each object.
    seen: HashMap<String, Value>,
    /// The resource versions of each object, in the order of their coming.
    versions: HashMap<String, Vec<String>>,
    /// The resource versions of all that was answered.
    marks: Vec<String>,
    memory: Memory,
    goes_on: String,
}

impl Side {
    /// The server, at the beginning of a sequence.
    pub fn new(client: Client, namespace: &str, turn: usize) -> Self {
        Self {
            client,
            namespace: namespace.to_owned(),
            turn,
            seen: HashMap::new(),
            versions: HashMap::new(),
            marks: Vec::new(),
            memory: Memory::default(),
            goes_on: String::new(),
        }
    }

    /// Sends a request; gives the answer without what differs from server to server.
    pub async fn play(&mut self, step: &Step) -> Answer {
        let mut answer = self.send(step).await;
        self.remember(step, &answer);
        if step.about == DEFINITION {
            normalise::definition(&mut answer.body, step.method == "GET");
        }
        self.memory.normalise(&mut answer);
        answer
    }

    async fn send(&self, step: &Step) -> Answer {
        if step.watches() {
            return self.watch(step).await;
        }
        let mut answered = self.sent(step).await;
        if step.about == DEFINITION && step.method == "GET" {
            for _ in 0..TRIES {
                if answered.code != 200 || self.serves(&answered.body).await {
                    break;
                }
                answered = self.sent(step).await;
            }
        }
        answered
    }

    async fn sent(&self, step: &Step) -> Answer {
        sent(&self.client, self.request(step)).await
    }

    /// Whether what a definition defines is there by now, or never will be.
    async fn serves(&self, definition: &Value) -> bool {
        let conditions = definition["status"]["conditions"].as_array();
        let is = |kind: &str, status: &str| {
            conditions.is_some_and(|all| {
                all.iter()
                    .any(|one| one["type"] == kind && one["status"] == status)
            })
        };
        let spec = &definition["spec"];
        // The last change is in force when its categories are accepted.
        if definition["status"]["acceptedNames"]["categories"] != spec["names"]["categories"] {
            return false;
        }
        if is("NamesAccepted", "False") && !is("Established", "True") {
            return true;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let uri = format!(
            "/apis/{}/{}/{}",
            text(&spec["group"]),
            // The first version is always served.
            text(&spec["versions"][0]["name"]),
            text(&spec["names"]["plural"])
        );
        is("Established", "True")
            && raw(&self.client, "GET", &uri, JSON, Vec::new()).await.code == 200
    }

    /// Opens watches, writes what is to be written meanwhile, and reads each up to the last of it.
    async fn watch(&self, step: &Step) -> Answer {
        let mut opened = Vec::new();
        for watch in std::iter::once(step).chain(&step.beside) {
            self.catch_up(watch).await;
            let response = self.client.send(self.request(watch)).await.unwrap();
            if response.status() != 200 {
                return answer(response).await;
            }
            opened.push(response);
        }
        for write in &step.meanwhile {
            let written = self.client.send(self.request(write)).await.unwrap();
            answer(written).await;
        }
        let mark = format!("\"{END}\":\"{}\"", last_mark(step));
        let mut told = Vec::new();
        for response in opened {
            told.push(told_up_to(&mark, response).await);
        }
        let body = match told.as_mut_slice() {
            [only] => only.take(),
            _ => told.into(),
        };
        Answer {
            code: 200,
            warnings: Vec::new(),
            body,
        }
    }

    /// A watch that names no version begins wherever Kubernetes' cache is, which may not have been told
    /// of the last writes. A list of what there is now waits until it has.
    async fn catch_up(&self, watch: &Step) {
        let version = watch
            .query
            .iter()
            .find(|(name, _)| *name == "resourceVersion");
        let version = version.map_or("0".to_owned(), |(_, text)| {
            self.filled_in(text, &watch.about)
        });
        if version == "0" {
            let list = format!("{}?limit=1", self.placed(&watch.path));
            raw(&self.client, "GET", &list, JSON, Vec::new()).await;
        }
    }

    fn request(&self, step: &Step) -> Request<Sent> {
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
        let mut request = request(
            step.method,
            &self.uri(step),
            step.media,
            body.unwrap_or_default(),
        );
        if !step.accept.is_empty() {
            let accept = step.accept.parse().unwrap();
            request.headers_mut().insert(header::ACCEPT, accept);
        }
        request
    }

    fn uri(&self, step: &Step) -> String {
        let mut uri = self.placed(&step.path);
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

    fn placed(&self, text: &str) -> String {
        place(text, &self.namespace, self.turn)
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
        let mark = |ago: usize| self.marks.iter().rev().nth(ago).map_or("0", String::as_str);
        self.placed(text)
            .replace("{later}", &later(mark(0)))
            .replace("{at 0}", mark(0))
            .replace("{at 1}", mark(1))
            .replace("{at 3}", mark(3))
            .replace("{at 6}", mark(6))
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
        // What is too old to go on from tells how to go on all the same.
        if answer.code == 410 && !text("/metadata/continue").is_empty() {
            self.goes_on = text("/metadata/continue");
        }
        if answer.code > 299 {
            return;
        }
        if answer.body.get("items").is_some() || answer.body.get("rows").is_some() {
            self.goes_on = text("/metadata/continue");
        }
        let version = text("/metadata/resourceVersion");
        if !version.is_empty() {
            self.marks.push(version);
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

/// A text of a sequence, in the namespace and the turn in which it is played.
pub fn place(text: &str, namespace: &str, turn: usize) -> String {
    text.replace("{ns}", namespace)
        .replace("{turn}", &format!("t{turn}"))
}

/// How often a new kind is asked for; each time takes the real one some milliseconds.
const TRIES: usize = 400;

/// The annotation that the last write during a watch leaves.
pub const END: &str = "example.com/end";

fn last_mark(step: &Step) -> String {
    let mark = |step: &Step| {
        let metadata = step.says("metadata")?;
        Some(metadata["annotations"][END].as_str()?.to_owned())
    };
    step.meanwhile.last().and_then(mark).unwrap_or_default()
}

/// A version that no server comes to while this goes on.
fn later(than: &str) -> String {
    let version: u64 = than.parse().unwrap_or_default();
    (version + 1_000_000).to_string()
}

/// What a watch tells up to the event with the mark, or its end.
async fn told_up_to(mark: &str, response: Response<Sent>) -> Value {
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        text.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
        let told = String::from_utf8_lossy(&text);
        if told.contains(mark) && told.ends_with('\n') {
            break;
        }
    }
    events(&String::from_utf8_lossy(&text), mark)
}

/// The events of a watch up to the one with the mark. Bookmarks come when the server likes, save
/// the one after the first objects.
fn events(text: &str, mark: &str) -> Value {
    let mut all = Vec::new();
    for line in text.lines() {
        let event: Value = serde_json::from_str(line).unwrap_or_else(|_| line.into());
        let is_end = line.contains("k8s.io/initial-events-end");
        if event["type"] != "BOOKMARK" || is_end {
            all.push(event);
        }
        if line.contains(mark) {
            break;
        }
    }
    all.into()
}

/// Sends anything.
pub async fn raw(client: &Client, method: &str, uri: &str, media: &str, body: Vec<u8>) -> Answer {
    let request = request(method, uri, media, body);
    sent(client, request).await
}

/// What is answered, or that nothing is.
async fn sent(client: &Client, request: Request<Sent>) -> Answer {
    match client.send(request).await {
        Ok(response) => answer(response).await,
        Err(error) => Answer::none(&error),
    }
}

fn request(method: &str, uri: &str, media: &str, body: Vec<u8>) -> Request<Sent> {
    let mut request = Request::builder()
        .method(method)
        .uri(uri)
        .header(header::USER_AGENT, "conformance/1");
    if !body.is_empty() {
        request = request.header(header::CONTENT_TYPE, media);
    }
    request.body(Sent::from(body)).unwrap()
}

async fn answer(response: Response<Sent>) -> Answer {
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
