//! Repositories behind a web server that asks for a login: `git http-backend` on loopback.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::response::IntoResponse;
use base64::Engine;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::harness::PATIENCE;

struct Desk {
    root: PathBuf,
    /// The password of the user `bot`.
    password: Mutex<String>,
    /// How many requests came, and how many of them with a wrong login.
    looks: watch::Sender<(u64, u64)>,
}

/// The server; it ends with its test.
pub struct Forge {
    desk: Arc<Desk>,
    port: u16,
    task: JoinHandle<()>,
}

impl Drop for Forge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Forge {
    /// Serves the repositories in a folder to who knows the password of `bot`.
    pub async fn start(root: &Path, password: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let desk = Arc::new(Desk {
            root: root.to_owned(),
            password: Mutex::new(password.to_owned()),
            looks: watch::channel((0, 0)).0,
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&desk));
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { desk, port, task }
    }

    pub fn url(&self, repository: &str) -> String {
        format!("http://127.0.0.1:{}/{repository}", self.port)
    }

    /// From now on the password is another one.
    pub fn change_password(&self, password: &str) {
        *self.desk.password.lock().unwrap() = password.to_owned();
    }

    /// Requests so far, and those of them with a wrong login.
    pub fn asked(&self) -> (u64, u64) {
        *self.desk.looks.borrow()
    }

    /// Waits until the requests so far are as they should be.
    pub async fn until(&self, what: &str, is: impl Fn((u64, u64)) -> bool) {
        let mut looks = self.desk.looks.subscribe();
        let seen = tokio::time::timeout(PATIENCE, looks.wait_for(|looks| is(*looks))).await;
        assert!(seen.is_ok(), "never came to: {what}");
    }
}

async fn answer(State(desk): State<Arc<Desk>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let login = format!("bot:{}", desk.password.lock().unwrap());
    let wanted = base64::engine::general_purpose::STANDARD.encode(login);
    let given = parts.headers.get(header::AUTHORIZATION);
    let known = given.is_some_and(|given| given == format!("Basic {wanted}").as_str());
    desk.looks.send_modify(|(all, wrong)| {
        *all += 1;
        *wrong += u64::from(!known);
    });
    if !known {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let question = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    backend(
        &desk.root,
        &parts.method,
        &parts.uri,
        &parts.headers,
        question,
    )
    .await
}

async fn backend(
    root: &Path,
    method: &axum::http::Method,
    uri: &axum::http::Uri,
    headers: &HeaderMap,
    question: Bytes,
) -> Response<Body> {
    let kind = headers.get(header::CONTENT_TYPE);
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("PATH_INFO", uri.path())
        .env("QUERY_STRING", uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", method.as_str())
        .env(
            "CONTENT_TYPE",
            kind.map_or("", |kind| kind.to_str().unwrap()),
        )
        .env("CONTENT_LENGTH", question.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let written = async move {
        let _ = input.write_all(&question).await;
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), written);
    let output = output.unwrap().stdout;
    let end = output
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .unwrap();
    let mut response = Response::builder();
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap()),
            _ => response.header(name, value),
        };
    }
    let body = output[end + 4..].to_vec();
    response.body(Body::from(body)).unwrap()
}
