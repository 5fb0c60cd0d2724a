//! Users: an open loop, in which a slow answer keeps nobody from asking next.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// A client that keeps its connections.
pub type Http = Client<HttpConnector, Empty<Bytes>>;

/// No user waits longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a user got.
#[derive(Clone, Debug)]
pub struct Answer {
    /// When it was asked for.
    pub at: Instant,
    /// How long it took to the last byte.
    pub took: Duration,
    /// The status; 0 without an answer.
    pub status: u16,
    /// The revision that answered, as the sample apps say it.
    pub revision: String,
}

/// Users of one service.
pub struct Users {
    answers: Arc<Mutex<Vec<Answer>>>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Users {
    /// Starts sending `rate` requests a second to `host`.
    pub fn start(gateway: SocketAddr, host: String, rate: u32) -> Self {
        let answers = Arc::new(Mutex::new(Vec::new()));
        let stop = CancellationToken::new();
        let task = tokio::spawn(send(gateway, host, rate, answers.clone(), stop.clone()));
        Self {
            answers,
            stop,
            task,
        }
    }

    /// Stops, waits for the last answers and gives them all.
    pub async fn stop(self) -> anyhow::Result<Vec<Answer>> {
        self.stop.cancel();
        self.task.await?;
        Ok(std::mem::take(&mut self.answers.lock()))
    }
}

async fn send(
    gateway: SocketAddr,
    host: String,
    rate: u32,
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
                    let answer = ask(&client, gateway, &host).await;
                    answers.lock().push(answer);
                });
            }
            Some(_) = pending.join_next(), if !pending.is_empty() => {}
            () = stop.cancelled() => break,
        }
    }
    while pending.join_next().await.is_some() {}
}

/// One request.
pub async fn ask(client: &Http, gateway: SocketAddr, host: &str) -> Answer {
    let at = Instant::now();
    let answered = tokio::time::timeout(PATIENCE, async {
        let request = http::Request::get(format!("http://{gateway}/"))
            .header(http::header::HOST, host)
            .body(Empty::new())?;
        let answer = client.request(request).await?;
        let status = answer.status().as_u16();
        let revision = answer
            .headers()
            .get("x-sample-revision")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        answer.into_body().collect().await?;
        anyhow::Ok((status, revision))
    })
    .await;
    let (status, revision) = match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(_)) | Err(_) => (0, String::new()),
    };
    Answer {
        at,
        took: at.elapsed(),
        status,
        revision,
    }
}
