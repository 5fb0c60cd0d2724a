//! An agent that dies without a word: on a runtime of its own, which is taken away from under
//! it, at any time or right behind the so-manieth of its writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use sluice::agent::{Agent, AgentConfig};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tower::Service;

/// A running agent that can be killed.
pub struct MortalAgent(Option<Runtime>);

impl MortalAgent {
    /// Starts it.
    pub fn start(config: AgentConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(async move {
            let agent = Agent::prepare(config).await.unwrap();
            agent.run(CancellationToken::new()).await.unwrap();
        });
        Self(Some(runtime))
    }

    /// Ends it between two instructions; nothing of it is told that it ends.
    pub fn kill(self) {
        drop(self);
    }
}

impl Drop for MortalAgent {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Counts the writes about one service, and keeps the answer to the last one from the agent.
pub struct Scythe {
    service: String,
    after: usize,
    made: AtomicUsize,
    struck: Notify,
}

impl Scythe {
    /// Strikes behind the `after`th write; 0 never strikes.
    pub fn new(service: &str, after: usize) -> Arc<Self> {
        Arc::new(Self {
            service: service.to_owned(),
            after,
            made: AtomicUsize::new(0),
            struck: Notify::new(),
        })
    }

    /// Writes up to now.
    pub fn made(&self) -> usize {
        self.made.load(Ordering::SeqCst)
    }

    /// Resolves when the last write is made, and the agent waits for its answer.
    pub async fn struck(&self) {
        self.struck.notified().await;
    }

    /// A client for an agent under this scythe.
    pub fn client(self: &Arc<Self>, client: Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        let scythe = self.clone();
        Client::new(Watched { client, scythe }, namespace)
    }

    /// Whether a request writes the service's own objects or its revisions; events do not count.
    fn counts(&self, method: &Method, uri: &http::Uri) -> bool {
        let dry = uri.query().is_some_and(|query| query.contains("dryRun"));
        let steps: Vec<&str> = uri.path().split('/').collect();
        let named = match steps.as_slice() {
            ["", "apis", group, _, "namespaces", _, _, name, ..]
                if matches!(*group, "sluice.dev" | "serving.knative.dev") =>
            {
                *name == self.service || name.starts_with(&format!("{}-0", self.service))
            }
            _ => false,
        };
        named && !dry && *method != Method::GET
    }
}

#[derive(Clone)]
struct Watched {
    client: Client,
    scythe: Arc<Scythe>,
}

impl Service<Request<Body>> for Watched {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Watched { client, scythe } = self.clone();
        let counts = scythe.counts(request.method(), request.uri());
        Box::pin(async move {
            let answer = client.send(request).await;
            if counts && scythe.made.fetch_add(1, Ordering::SeqCst) + 1 == scythe.after {
                scythe.struck.notify_one();
                std::future::pending::<()>().await;
            }
            answer
        })
    }
}
