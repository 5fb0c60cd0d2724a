//! Counts requests by verb, so that "an unchanged pass costs nothing" can be seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use tower::Service;

/// What a request does, in the words of the API's access rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    /// Which kinds there are.
    Discovery,
    /// One object.
    Get,
    /// Many objects.
    List,
    /// A stream of changes.
    Watch,
    /// A new object by POST.
    Create,
    /// A server-side apply, or any other patch.
    Patch,
    /// A replacement by PUT.
    Update,
    /// A deletion.
    Delete,
    /// Any write with `dryRun`.
    DryRun,
    /// Anything about a Lease: who leads is asked and said for as long as an agent runs.
    Lease,
}

const VERBS: [Verb; 10] = [
    Verb::Discovery,
    Verb::Get,
    Verb::List,
    Verb::Watch,
    Verb::Create,
    Verb::Patch,
    Verb::Update,
    Verb::Delete,
    Verb::DryRun,
    Verb::Lease,
];

/// Requests so far.
#[derive(Debug, Default)]
pub struct Counter {
    counts: [AtomicU64; VERBS.len()],
}

/// Requests up to a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Each verb that occurred, and how often.
    pub by_verb: Vec<(Verb, u64)>,
}

impl Requests {
    /// How often a verb occurred.
    pub fn of(&self, verb: Verb) -> u64 {
        self.by_verb
            .iter()
            .find(|(v, _)| *v == verb)
            .map_or(0, |(_, count)| *count)
    }

    /// Requests that change the cluster.
    pub fn writes(&self) -> u64 {
        [Verb::Create, Verb::Patch, Verb::Update, Verb::Delete]
            .into_iter()
            .map(|verb| self.of(verb))
            .sum()
    }

    /// Requests that ask; a watch that goes on costs none.
    pub fn reads(&self) -> u64 {
        [Verb::Discovery, Verb::Get, Verb::List, Verb::Watch]
            .into_iter()
            .map(|verb| self.of(verb))
            .sum()
    }

    /// What came on top of an earlier count.
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            by_verb: self
                .by_verb
                .iter()
                .map(|(verb, count)| (*verb, count.saturating_sub(earlier.of(*verb))))
                .filter(|(_, count)| *count > 0)
                .collect(),
        }
    }
}

impl Counter {
    /// The requests up to now.
    pub fn so_far(&self) -> Requests {
        Requests {
            by_verb: VERBS
                .into_iter()
                .zip(&self.counts)
                .map(|(verb, count)| (verb, count.load(Ordering::Relaxed)))
                .filter(|(_, count)| *count > 0)
                .collect(),
        }
    }

    fn count(&self, verb: Verb) {
        if let Some(at) = VERBS.iter().position(|v| *v == verb)
            && let Some(count) = self.counts.get(at)
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A client that counts what goes through it.
pub(super) fn counted(client: Client, counter: Arc<Counter>) -> Client {
    let namespace = client.default_namespace().to_owned();
    Client::new(Counting { client, counter }, namespace)
}

#[derive(Clone)]
struct Counting {
    client: Client,
    counter: Arc<Counter>,
}

impl Service<Request<Body>> for Counting {
    type Response = Response<Body>;
    type Error = kube::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let verb = verb(request.method(), request.uri());
        self.counter.count(verb);
        tracing::trace!(?verb, uri = %request.uri(), "API request");
        let client = self.client.clone();
        Box::pin(async move { client.send(request).await })
    }
}

fn verb(method: &Method, uri: &http::Uri) -> Verb {
    if uri.path().starts_with("/apis/coordination.k8s.io/") {
        return Verb::Lease;
    }
    let query = uri.query().unwrap_or_default();
    let asks = |wanted: &str| query.split('&').any(|part| part == wanted);
    if method != Method::GET && asks("dryRun=All") {
        return Verb::DryRun;
    }
    match method.as_str() {
        "POST" => Verb::Create,
        "PUT" => Verb::Update,
        "PATCH" => Verb::Patch,
        "DELETE" => Verb::Delete,
        _ if asks("watch=true") || asks("watch=1") => Verb::Watch,
        _ => reading(uri.path()),
    }
}

fn reading(path: &str) -> Verb {
    let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
    let rest = match steps.as_slice() {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => return Verb::Discovery,
    };
    match rest {
        [] => Verb::Discovery,
        [_] | ["namespaces", _, _] => Verb::List,
        _ => Verb::Get,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_counted_under_what_it_does() {
        for (method, uri, expected) in [
            ("GET", "/apis", Verb::Discovery),
            ("GET", "/api/v1", Verb::Discovery),
            ("GET", "/apis/serving.knative.dev/v1", Verb::Discovery),
            ("GET", "/api/v1/namespaces", Verb::List),
            ("GET", "/api/v1/namespaces/a", Verb::Get),
            (
                "GET",
                "/api/v1/namespaces/a/configmaps?limit=500",
                Verb::List,
            ),
            ("GET", "/api/v1/namespaces/a/configmaps/b", Verb::Get),
            (
                "GET",
                "/apis/serving.knative.dev/v1/routes?&watch=true&x=y",
                Verb::Watch,
            ),
            (
                "PATCH",
                "/api/v1/namespaces/a/configmaps/b?fieldManager=x",
                Verb::Patch,
            ),
            (
                "PATCH",
                "/api/v1/namespaces/a/configmaps/b?dryRun=All",
                Verb::DryRun,
            ),
            ("DELETE", "/api/v1/namespaces/a", Verb::Delete),
            (
                "PUT",
                "/apis/coordination.k8s.io/v1/namespaces/a/leases/b",
                Verb::Lease,
            ),
        ] {
            let method: Method = method.parse().unwrap();
            assert_eq!(
                verb(&method, &uri.parse().unwrap()),
                expected,
                "{method} {uri}"
            );
        }
    }
}
