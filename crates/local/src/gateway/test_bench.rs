//! A gateway and instances on real sockets, for the tests of this module.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::{
    backend::{Backend, Endpoints, RequestRules, RevisionKey},
    ingress::IngressSpec,
    instance::Instance,
    load_tracker::LoadTracker,
    proxy::Proxy,
    server,
    table::{IngressRoutes, RouteTable},
};

pub type Body = BoxBody<Bytes, Infallible>;

pub fn text(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed()
}

/// A server in the role of a Pod.
pub struct App {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    stop: CancellationToken,
}

impl App {
    pub async fn start<F, R>(answer: F) -> App
    where
        F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
        R: Future<Output = Response<Body>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let (seen, stopped) = (connections.clone(), stop.clone());
        tokio::spawn(async move {
            loop {
                let stream = tokio::select! {
                    () = stopped.cancelled() => return,
                    accepted = listener.accept() => accepted.unwrap().0,
                };
                seen.fetch_add(1, Ordering::SeqCst);
                let (answer, stopped) = (answer.clone(), stopped.clone());
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let answer = answer(request);
                        async move { Ok::<_, Infallible>(answer.await) }
                    });
                    let mut builder = auto::Builder::new(TokioExecutor::new());
                    builder.http2().max_header_list_size(server::HEADERS);
                    let serving =
                        builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
                    tokio::select! { _ = serving => {}, () = stopped.cancelled() => {} }
                });
            }
        });
        App {
            address,
            connections,
            stop,
        }
    }

    /// Says its name and nothing else.
    pub async fn named(name: &'static str) -> App {
        App::start(move |_| async move { Response::new(text(name)) }).await
    }

    /// The Pod's end: connections are cut, new ones refused.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A gateway with the host `hello` at revision `default/hello-1`.
pub struct Bench {
    pub address: SocketAddr,
    pub demand: LoadTracker,
    pub proxy: Arc<Proxy>,
    pub backend: Arc<Backend>,
    cancel: CancellationToken,
    pub serving: tokio::task::JoinHandle<()>,
}

impl Bench {
    pub async fn start() -> Bench {
        let demand = LoadTracker::default();
        let cancel = CancellationToken::new();
        let proxy = Arc::new(Proxy::new(demand.clone(), cancel.child_token()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let grace = Duration::from_secs(5);
        let serving = tokio::spawn(server::serve(
            listener,
            proxy.clone(),
            grace,
            cancel.clone(),
        ));
        let backend = demand.backend(&RevisionKey::new("default", "hello-1"));
        let bench = Bench {
            address,
            demand,
            proxy,
            backend,
            cancel,
            serving,
        };
        bench.route(&[("hello-1", 100)]);
        bench
    }

    /// Splits the host `hello`.
    pub fn route(&self, splits: &[(&str, u8)]) {
        let splits: Vec<_> = splits
            .iter()
            .map(|(name, percent)| json!({"serviceName": name, "percent": percent}))
            .collect();
        let spec: IngressSpec = serde_json::from_value(
            json!({"rules": [{"hosts": ["hello", "127.0.0.1"], "http": {"paths": [{"splits": splits}]}}]}),
        )
        .unwrap();
        let routes = Arc::new(IngressRoutes::compile("default", &spec, &self.demand));
        let table = RouteTable::build(&std::collections::BTreeMap::from([((), routes)]));
        self.proxy.table.store(Arc::new(table));
    }

    pub fn serve_by(&self, apps: &[&App], rules: RequestRules) {
        self.backend.set_endpoints(Endpoints {
            rules,
            instances: instances(apps),
        });
    }

    pub fn stop(&self) {
        self.cancel.cancel();
    }

    pub fn get(&self, path: &str) -> Request<Body> {
        Request::get(format!("http://{}{path}", self.address))
            .header("host", "hello")
            .body(text(""))
            .unwrap()
    }

    /// Status and body of a GET on the host `hello`.
    pub async fn ask(&self, path: &str) -> (u16, String) {
        said(client().request(self.get(path)).await.unwrap()).await
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

pub fn instances(apps: &[&App]) -> Vec<Arc<Instance>> {
    apps.iter()
        .map(|app| Arc::new(Instance::new(app.address.to_string(), app.address)))
        .collect()
}

pub fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

pub fn h2_client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .http2_max_header_list_size(server::HEADERS)
        .build_http()
}

pub async fn said(response: Response<Incoming>) -> (u16, String) {
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Waits for what tasks bring about, at most ten seconds.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    });
    waited
        .await
        .unwrap_or_else(|_| panic!("never happened: {what}"));
}
