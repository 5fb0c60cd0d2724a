//! The API server on the wire: what a request is answered, word for word. The conversations
//! are in `tests/wire/`; what is answered there was held against a Kubernetes 1.34.
//!
//! | line | is |
//! |---|---|
//! | `## words` | a remark |
//! | `~ configmaps` | the server forgets the past of that kind |
//! | `> POST PATH as merge-patch+json` | a request, of that content type where it is not JSON; `{continue}` in it is the last token to go on with |
//! | `. {"some": "body"}` | its body; `. * 9000` makes the last string in it that long |
//! | `< 404 NotFound: words` | the answer: a `Status`, or kind and name, or text; of a watch each event |
//! | `! words` | a warning beside it |
//!
//! To write a new case, write its `>` and `.` lines and run with `UPDATE_EXPECT=1`.

use std::fmt::Write as _;
use std::path::PathBuf;

use axum::body::Body;
use expect_test::expect_file;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use regex::Regex;
use serde_json::Value;
use sluice::local::apiserver::ApiServer;
use tower::ServiceExt as _;

enum Line {
    Remark(String),
    Forget(String),
    Request { line: String, body: Vec<String> },
}

fn read(text: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("## ") {
            lines.push(Line::Remark(words.to_owned()));
        } else if let Some(kind) = line.strip_prefix("~ ") {
            lines.push(Line::Forget(kind.to_owned()));
        } else if let Some(request) = line.strip_prefix("> ") {
            lines.push(Line::Request {
                line: request.to_owned(),
                body: Vec::new(),
            });
        } else if let (Some(part), Some(Line::Request { body, .. })) =
            (line.strip_prefix(". "), lines.last_mut())
        {
            body.push(part.to_owned());
        }
    }
    lines
}

/// The body that the lines stand for: a `* N` at the end makes its `XXX` that long.
fn body(lines: &[String]) -> String {
    let stretched = |line: &String| match line.rsplit_once(" * ") {
        Some((text, length)) => text.replace("XXX", &"x".repeat(length.parse().unwrap())),
        None => line.clone(),
    };
    lines.iter().map(stretched).collect::<Vec<_>>().join("\n")
}

async fn send(server: &ApiServer, line: &str, body: String) -> (StatusCode, HeaderMap, String) {
    let mut words = line.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let mut request = Request::builder().method(method).uri(path);
    request = request.header(header::USER_AGENT, "wire/1");
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_default();
        request = match word {
            "as" => request.header(header::CONTENT_TYPE, format!("application/{value}")),
            "for" => request.header(header::ACCEPT, value),
            other => panic!("{other} in {line}"),
        };
    }
    let request = request.body(Body::from(body)).unwrap();
    let response = server.router().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    (parts.status, parts.headers, text)
}

fn told(text: &str) -> String {
    let events = serde_json::Deserializer::from_str(text).into_iter();
    match events.collect::<Result<Vec<Value>, _>>() {
        Ok(values) if !values.is_empty() => {
            values.iter().map(of_value).collect::<Vec<_>>().join("\n")
        }
        _ => text.trim_end().to_owned(),
    }
}

fn of_value(value: &Value) -> String {
    let at = |key: &str| value[key].as_str().unwrap_or_default();
    if value["object"].is_object() {
        return format!("{} {}", at("type"), of_value(&value["object"]));
    }
    if at("kind") == "Status" {
        let reason = at("reason");
        let colon = if reason.is_empty() { "" } else { ": " };
        let goes_on = goes_on(value).map_or("", |_| " (goes on)");
        return format!("{reason}{colon}{}{goes_on}", at("message"));
    }
    let mut told = format!(
        "{} {}",
        at("kind"),
        value["metadata"]["name"].as_str().unwrap_or_default()
    );
    for part in ["data", "spec", "status", "items", "rows", "immutable"] {
        match &value[part] {
            Value::Null => {}
            Value::Array(items) => write!(told, " {} {part}", items.len()).unwrap(),
            other => write!(told, " {part}={other}").unwrap(),
        }
    }
    if at("apiVersion").starts_with("meta.k8s.io/") {
        write!(told, " of {}", at("apiVersion")).unwrap();
    }
    if goes_on(value).is_some() {
        let left = value["metadata"]["remainingItemCount"].as_u64();
        let left = left.map_or("some".to_owned(), |left| left.to_string());
        write!(told, ", {left} left").unwrap();
    }
    told
}

/// The token that an answer goes on with.
fn goes_on(value: &Value) -> Option<&str> {
    let token = value["metadata"]["continue"].as_str();
    token.filter(|token| !token.is_empty())
}

async fn talk(name: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/wire/{name}.txt"));
    let script = std::fs::read_to_string(&file).unwrap();
    let server = ApiServer::builder()
        .kinds(sluice::local::knative::kinds())
        .build()
        .unwrap();
    let uid = Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").unwrap();
    let time = Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").unwrap();
    let version = Regex::new(r#"(resourceVersion\\*":\\*")\d+"#).unwrap();
    let long = Regex::new("x{30,}").unwrap();
    let mut seen = String::new();
    let mut token = String::new();
    for line in read(&script) {
        match line {
            Line::Remark(words) => {
                let gap = if seen.is_empty() { "" } else { "\n" };
                writeln!(seen, "{gap}## {words}").unwrap();
            }
            Line::Forget(kind) => {
                server.compact("", &kind);
                writeln!(seen, "~ {kind}").unwrap();
            }
            Line::Request { line, body: lines } => {
                let sent = line.replace("{continue}", &token);
                let (status, headers, text) = send(&server, &sent, body(&lines)).await;
                let answer: Value = serde_json::from_str(&text).unwrap_or_default();
                if let Some(next) = goes_on(&answer) {
                    next.clone_into(&mut token);
                }
                let told = told(&text);
                let told = uid.replace_all(&told, "UID");
                let told = time.replace_all(&told, "TIME");
                let told = version.replace_all(&told, "${1}VERSION");
                let told = long.replace_all(&told, "XXX");
                writeln!(seen, "> {line}").unwrap();
                for part in lines {
                    writeln!(seen, ". {part}").unwrap();
                }
                writeln!(seen, "< {} {told}", status.as_u16()).unwrap();
                for warning in headers.get_all(header::WARNING) {
                    writeln!(seen, "! {}", warning.to_str().unwrap()).unwrap();
                }
            }
        }
    }
    expect_file![file].assert_eq(&seen);
    server.shutdown().await;
}

macro_rules! conversations {
    ($($name:ident),* $(,)?) => {
        $(
            #[tokio::test]
            async fn $name() {
                talk(stringify!($name)).await;
            }
        )*
    };
}

conversations! {
    bodies, metadata, lists, pieces, patches, deletions, kinds, definitions, paths, writes, scales, embedded,
}
