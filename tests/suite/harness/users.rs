//! Users: an open loop of real requests, each answer kept with its time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

type Http = Client<HttpConnector, Empty<Bytes>>;

/// What a user got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When it was asked for.
    pub at: Instant,
    /// The revision that answered, as the sample apps say it.
    pub revision: String,
    /// The status; 0 where there was no answer.
    pub status: u16,
    /// The body, or what went wrong.
    pub body: String,
    /// How long it took.
    pub took: Duration,
}

impl Answer {
    /// Whether a release has harmed this user: no good answer, or a late one that is not
    /// `stable`'s (a busy machine makes everybody wait).
    pub fn harmed(&self, stable: &str) -> bool {
        self.status != 200 || (self.took > HARM && self.body != stable)
    }
}

/// A user who waits longer than this is harmed.
const HARM: Duration = Duration::from_millis(500);

/// After this a user leaves, unless a story says otherwise.
const USUAL_PATIENCE: Duration = Duration::from_secs(30);

/// One request.
pub async fn ask(gateway: SocketAddr, host: &str, path: &str) -> Answer {
    let client: Http = Client::builder(TokioExecutor::new()).build_http();
    request(&client, gateway, host, path, USUAL_PATIENCE).await
}

async fn request(
    client: &Http,
    gateway: SocketAddr,
    host: &str,
    path: &str,
    patience: Duration,
) -> Answer {
    let at = Instant::now();
    let request = http::Request::get(format!("http://{gateway}{path}"))
        .header("host", host)
        .body(Empty::new())
        .unwrap();
    let answer = tokio::time::timeout(patience, async {
        let answer = client
            .request(request)
            .await
            .map_err(|error| error.to_string())?;
        let status = answer.status().as_u16();
        let revision = answer.headers().get("x-sample-revision");
        let revision = revision.and_then(|value| value.to_str().ok());
        let revision = revision.unwrap_or_default().to_owned();
        let body = answer
            .into_body()
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        Ok::<_, String>((status, revision, body))
    })
    .await
    .unwrap_or_else(|_| Err(format!("no answer within {patience:?}")));
    let (status, revision, body) = answer.unwrap_or_else(|error| (0, String::new(), error));
    Answer {
        at,
        revision,
        status,
        body,
        took: at.elapsed(),
    }
}

/// Users of one service.
pub struct Users {
    answers: Arc<Mutex<Vec<Answer>>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Users {
    /// Starts sending `rate` requests a second.
    pub fn start(gateway: SocketAddr, host: String, rate: u32) -> Self {
        Self::who_wait(gateway, host, rate, USUAL_PATIENCE)
    }

    /// The same, each of which is given up after `patience`.
    pub fn who_wait(gateway: SocketAddr, host: String, rate: u32, patience: Duration) -> Self {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let stop = CancellationToken::new();
        let task = tokio::spawn(send(
            (gateway, host),
            (rate, patience),
            answers.clone(),
            stop.clone(),
        ));
        Self {
            answers,
            stop,
            task,
        }
    }

    /// Stops, waits for the last answers and gives them all.
    pub async fn stop(self) -> Vec<Answer> {
        self.stop.cancel();
        self.task.await.unwrap();
        std::mem::take(&mut self.answers.lock().unwrap())
    }
}

async fn send(
    (gateway, host): (SocketAddr, String),
    (rate, patience): (u32, Duration),
    answers: Arc<Mutex<Vec<Answer>>>,
    stop: CancellationToken,
) {
    let client: Http = Client::builder(TokioExecutor::new()).build_http();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / rate);
    let mut pending = JoinSet::new();
    loop {
        tokio::select! {
            _ = tick.tick() => {
                let (client, host, answers) = (client.clone(), host.clone(), answers.clone());
                pending.spawn(async move {
                    let answer = request(&client, gateway, &host, "/", patience).await;
                    answers.lock().unwrap().push(answer);
                });
            }
            Some(done) = pending.join_next(), if !pending.is_empty() => done.unwrap(),
            () = stop.cancelled() => break,
        }
    }
    while let Some(done) = pending.join_next().await {
        done.unwrap();
    }
}
