//! The gateways whose counters are read: shared by all releases, read once for all of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use super::client::{FetchError, HttpClient};
use super::metrics::Scrape;

/// A page that takes longer than this is no evidence.
const PATIENCE: Duration = Duration::from_secs(5);

/// One gateway's Prometheus endpoint.
pub struct Gateway {
    url: String,
    client: HttpClient,
    last: Mutex<Option<Look>>,
}

/// What one reading gave, and when.
struct Look {
    at: Instant,
    result: Result<Arc<Scrape>, String>,
}

impl Gateway {
    /// A gateway's metrics page: `http://127.0.0.1:9000/stats/prometheus`.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(url: &str) -> Result<Self, FetchError> {
        Ok(Self {
            url: url.to_owned(),
            client: HttpClient::new(None)?,
            last: Mutex::new(None),
        })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The counters, not older than `max_age`: a hundred releases read one page once.
    ///
    /// # Errors
    /// In words, with the URL: why there is nothing to judge by.
    pub async fn scrape(&self, max_age: Duration) -> Result<Arc<Scrape>, String> {
        // Held across the request on purpose: whoever comes meanwhile wants its answer.
        let mut last = self.last.lock().await;
        if let Some(look) = last.as_ref().filter(|look| look.at.elapsed() <= max_age) {
            return look.result.clone();
        }
        let result = self.read().await;
        *last = Some(Look {
            at: Instant::now(),
            result: result.clone(),
        });
        result
    }

    async fn read(&self) -> Result<Arc<Scrape>, String> {
        let answer = self
            .client
            .get(&self.url, None, PATIENCE)
            .await
            .map_err(|error| format!("metrics from {}: {error}", self.url))?;
        if !answer.status.is_success() {
            return Err(format!(
                "metrics from {}: HTTP {}",
                self.url,
                answer.status.as_u16()
            ));
        }
        Ok(Arc::new(Scrape::read(&String::from_utf8_lossy(
            &answer.body,
        ))))
    }
}
