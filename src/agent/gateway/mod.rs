//! Finds the cluster's gateway: where its counters are, and the address to connect to for a URL.
//!
//! A ConfigMap may name the counters' page (our own gateway's does); otherwise they are looked
//! for where Kourier keeps them. What is found is good for half a minute.

mod dial;
mod kourier;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use tokio::sync::Mutex;

pub use self::dial::NoWay;
use crate::evidence::{Gateway as Metrics, Trust};

/// The ConfigMap that names the gateway's metrics page, in Knative's namespace.
const CONFIG: (&str, &str) = ("knative-serving", "sluice-gateway");

/// How long an answer to "where is it" is good.
const REMEMBERED: Duration = Duration::from_secs(30);

/// Why a gateway has no counters to read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoMetrics {
    /// The cluster cannot be asked where they are.
    #[error("no gateway metrics: {0}")]
    Unread(#[source] Arc<kube::Error>),
    /// The cluster names none.
    #[error(
        "no gateway metrics: there is no Kourier here, and ConfigMap {}/{} names no metricsURL",
        CONFIG.0, CONFIG.1
    )]
    Nowhere,
}

/// One page for each instance of the gateway, or why there is none.
type Pages = Result<Vec<Arc<Metrics>>, NoMetrics>;

/// The cluster's gateway, as far as evidence needs it.
pub struct Gateway {
    client: Client,
    trust: Trust,
    pages: Mutex<Option<(Instant, Pages)>>,
    ways: Mutex<HashMap<String, (Instant, SocketAddr)>>,
}

impl Gateway {
    /// The gateway of the cluster behind `client`.
    pub fn new(client: Client, trust: Trust) -> Self {
        Self {
            client,
            trust,
            pages: Mutex::new(None),
            ways: Mutex::new(HashMap::new()),
        }
    }

    /// Whose certificates are believed of it.
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// Its counters, or why none can be had.
    pub async fn metrics(&self) -> Pages {
        // Held across the request on purpose: whoever comes meanwhile wants its answer.
        let mut pages = self.pages.lock().await;
        if let Some((_, pages)) = pages.as_ref().filter(|(at, _)| at.elapsed() < REMEMBERED) {
            return pages.clone();
        }
        let known = pages
            .take()
            .and_then(|(_, pages)| pages.ok())
            .unwrap_or_default();
        let found = match self.urls().await {
            Ok(urls) => Ok(urls.iter().map(|url| self.page(url, &known)).collect()),
            // Counters that were found go on counting while the API server is away.
            Err(_) if !known.is_empty() => Ok(known),
            Err(why) => Err(why),
        };
        *pages = Some((Instant::now(), found.clone()));
        found
    }

    async fn urls(&self) -> Result<Vec<String>, NoMetrics> {
        let (namespace, name) = CONFIG;
        let maps: Api<ConfigMap> = Api::namespaced(self.client.clone(), namespace);
        let unread = |error: kube::Error| NoMetrics::Unread(Arc::new(error));
        let map = maps.get_opt(name).await.map_err(unread)?;
        if let Some(url) = map.and_then(|map| map.data?.remove("metricsURL")) {
            return Ok(vec![url]);
        }
        let pages = kourier::pages(&self.client).await.map_err(unread)?;
        if pages.is_empty() {
            return Err(NoMetrics::Nowhere);
        }
        Ok(pages)
    }

    /// Where to connect for a URL of this Route, or what was tried in vain.
    ///
    /// A tag's host often has no DNS entry, and the agent may be inside the cluster or not: the
    /// first address that takes a connection is the way.
    pub async fn way_to(
        &self,
        namespace: &str,
        route: &str,
        url: &str,
    ) -> Result<SocketAddr, NoWay> {
        let target = dial::Target::of(url)?;
        if let Some(address) = target.on_this_machine() {
            return Ok(address);
        }
        let mut ways = self.ways.lock().await;
        ways.retain(|_, (at, _)| at.elapsed() < REMEMBERED);
        if let Some((_, address)) = ways.get(target.authority()) {
            return Ok(*address);
        }
        let balancers = dial::balancers(&self.client, namespace, route, &target).await;
        let address = target.reach(&balancers).await?;
        ways.insert(target.authority().to_owned(), (Instant::now(), address));
        Ok(address)
    }

    /// A page that is known goes on with its connections.
    fn page(&self, url: &str, known: &[Arc<Metrics>]) -> Arc<Metrics> {
        match known.iter().find(|page| page.url() == url) {
            Some(page) => page.clone(),
            None => Arc::new(Metrics::new(url, &self.trust)),
        }
    }
}
