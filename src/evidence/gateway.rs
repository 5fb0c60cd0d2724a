//! The gateways whose counters are read: shared by all releases, read once for all of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::client::{FetchError, HttpClient};
use super::trust::Trust;
use crate::analysis::Scrape;

/// A page that takes longer than this is no evidence.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a gateway's counters could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ScrapeError {
    /// There was no answer.
    #[error("metrics from {url}: {source}")]
    Fetch {
        /// The page.
        url: String,
        /// What went wrong.
        #[source]
        source: FetchError,
    },
    /// The answer was no page.
    #[error("metrics from {url}: HTTP {status}")]
    Status {
        /// The page.
        url: String,
        /// The answer's status.
        status: u16,
    },
}

/// One gateway's Prometheus endpoint.
pub struct Gateway {
    url: String,
    client: HttpClient,
    last: Mutex<Option<Look>>,
}

/// What one reading gave, and when it was begun.
struct Look {
    begun: Instant,
    result: Result<Arc<Scrape>, ScrapeError>,
}

impl Gateway {
    /// A gateway's metrics page: `http://127.0.0.1:9000/stats/prometheus`.
    pub fn new(url: &str, trust: &Trust) -> Self {
        Self {
            url: url.to_owned(),
            client: HttpClient::new(None, trust),
            last: Mutex::new(None),
        }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The counters, by a reading that was begun at `not_before` or later: a hundred releases
    /// read one page once, and whoever has just sent requests sees them counted.
    ///
    /// # Errors
    /// When there is nothing to judge by.
    pub async fn scrape(&self, not_before: Instant) -> Result<Arc<Scrape>, ScrapeError> {
        // Held across the request on purpose: whoever comes meanwhile wants its answer.
        let mut last = self.last.lock().await;
        if let Some(look) = last.as_ref().filter(|look| look.begun >= not_before) {
            return look.result.clone();
        }
        let begun = Instant::now();
        let result = self.read().await;
        *last = Some(Look {
            begun,
            result: result.clone(),
        });
        result
    }

    async fn read(&self) -> Result<Arc<Scrape>, ScrapeError> {
        let answer = self
            .client
            .get(&self.url, PATIENCE)
            .await
            .map_err(|source| ScrapeError::Fetch {
                url: self.url.clone(),
                source,
            })?;
        if !answer.status.is_success() {
            return Err(ScrapeError::Status {
                url: self.url.clone(),
                status: answer.status.as_u16(),
            });
        }
        Ok(Arc::new(Scrape::read(&String::from_utf8_lossy(
            &answer.body,
        ))))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::Router;
    use axum::routing::get;

    use super::*;

    #[tokio::test]
    async fn a_reading_is_shared_but_never_with_whoever_needs_a_later_one() {
        let reads = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&reads);
        let page = get(move || {
            let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
            async move {
                format!(
                    "envoy_cluster_external_upstream_rq{{envoy_response_code=\"200\",\
                     envoy_cluster_name=\"default/hello-00002\"}} {number}\n"
                )
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let serving =
            tokio::spawn(
                async move { axum::serve(listener, Router::new().route("/", page)).await },
            );
        let gateway = Gateway::new(&url, &Trust::public().unwrap());
        let requests = |scrape: Arc<Scrape>| {
            let counters = scrape.of("default", "hello-00002");
            counters.requests()
        };

        let start = Instant::now();
        assert_eq!(requests(gateway.scrape(start).await.unwrap()), 1);
        assert_eq!(requests(gateway.scrape(start).await.unwrap()), 1, "shared");
        // Requests that ended by now are in no reading that was begun before.
        let sent = Instant::now();
        assert_eq!(requests(gateway.scrape(sent).await.unwrap()), 2);
        assert_eq!(
            requests(gateway.scrape(start).await.unwrap()),
            2,
            "newer is as good"
        );
        assert_eq!(reads.load(Ordering::SeqCst), 2);
        serving.abort();
    }
}
