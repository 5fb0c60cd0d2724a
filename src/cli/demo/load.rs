//! Real requests through the gateway for as long as the demo lasts: an open loop, so that a slow
//! answer does not hide the requests behind it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// An answer later than this is a failed one.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many requests went out and came back.
#[derive(Debug, Default)]
pub struct Tally {
    sent: AtomicU64,
    failed: AtomicU64,
}

/// The figures at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests sent and answered, or given up.
    pub sent: u64,
    /// Of them, answered with a status of 500 or above, or not at all.
    pub failed: u64,
}

impl Tally {
    /// The figures now.
    pub fn figures(&self) -> Figures {
        Figures {
            sent: self.sent.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
        }
    }

    fn count(&self, good: bool) {
        self.sent.fetch_add(1, Ordering::Relaxed);
        if !good {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Sends `rate` requests a second to `host` at `gateway` until cancelled, then waits for the last answers.
pub async fn run(
    gateway: SocketAddr,
    host: String,
    rate: u32,
    tally: Arc<Tally>,
    cancel: CancellationToken,
) {
    let client: Client<HttpConnector, Empty<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let mut tick = tokio::time::interval(Duration::from_secs(1) / rate.max(1));
    let mut answers = JoinSet::new();
    loop {
        tokio::select! {
            _ = tick.tick() => {
                let (client, host, tally) = (client.clone(), host.clone(), tally.clone());
                answers.spawn(async move { tally.count(ask(&client, gateway, &host).await) });
            }
            Some(_) = answers.join_next(), if !answers.is_empty() => {}
            () = cancel.cancelled() => break,
        }
    }
    while answers.join_next().await.is_some() {}
}

async fn ask(
    client: &Client<HttpConnector, Empty<Bytes>>,
    gateway: SocketAddr,
    host: &str,
) -> bool {
    let request = http::Request::get(format!("http://{gateway}/"))
        .header(http::header::HOST, host)
        .body(Empty::new());
    let Ok(request) = request else { return false };
    let answer = tokio::time::timeout(PATIENCE, async {
        let answer = client.request(request).await.ok()?;
        let good = answer.status().as_u16() < 500;
        answer.into_body().collect().await.ok()?;
        Some(good)
    });
    matches!(answer.await, Ok(Some(true)))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_request_that_is_dropped_on_a_kept_connection_is_a_failed_one() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = listener.local_addr().unwrap();
        let read = Arc::new(AtomicU64::new(0));
        let counter = read.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                // One request is answered, the next is read and dropped.
                let mut buffer = [0; 1024];
                for answer in [&b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..], b""] {
                    let Ok(1..) = stream.read(&mut buffer).await else {
                        break;
                    };
                    counter.fetch_add(1, Ordering::SeqCst);
                    stream.write_all(answer).await.unwrap();
                }
            }
        });
        let client = Client::builder(TokioExecutor::new()).build_http();
        let mut good = 0;
        for _ in 0..20 {
            good += u32::from(ask(&client, gateway, "hello").await);
        }
        assert_eq!((good, read.load(Ordering::SeqCst)), (10, 20));
    }
}
