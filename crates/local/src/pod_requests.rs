//! How the node learns of the requests that a Pod is still answering, without knowing
//! the gateway: a Pod that goes is told to end when they are answered.

use futures::FutureExt;
use futures::future::BoxFuture;

/// Who knows of the requests at Pods: the gateway.
pub trait PodRequests: std::fmt::Debug + Send + Sync + 'static {
    /// Resolves once no request is at the Pod with this uid. It gets no new ones by then:
    /// ask when everybody has heard that it goes.
    fn answered(&self, uid: &str) -> BoxFuture<'static, ()>;
}

/// Where there is no gateway, nobody sends requests.
#[derive(Debug, Clone, Copy)]
pub struct NoRequests;

impl PodRequests for NoRequests {
    fn answered(&self, _uid: &str) -> BoxFuture<'static, ()> {
        std::future::ready(()).boxed()
    }
}
