//! The control side's one loop: watches go in, the picture is kept, and what changed is
//! put in force. Events that are already there are taken together.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt as _, Stream, StreamExt as _, stream::select};
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    config_snapshot::{ConfigSnapshot, Name, Served, Watched},
    proxy::Proxy,
};
use crate::controllers::{
    kind::Kind,
    object::{Object, ObjectExt as _, key},
};

/// How long a connection to an instance may lie idle.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
const PRUNE_INTERVAL: Duration = Duration::from_secs(10);

type Seen = (Watched, Result<Event<Object>, watcher::Error>);

/// Runs until cancelled. `whole` is told when the first picture is in force: before that
/// every host would be an unknown one.
pub async fn run(
    client: Client,
    proxy: Arc<Proxy>,
    served: mpsc::UnboundedSender<Served>,
    whole: oneshot::Sender<()>,
    cancel: CancellationToken,
) {
    let mut whole = Some(whole);
    let config = watcher::Config::default();
    let of_revisions = config.clone().labels(key::REVISION);
    let mut events = select(
        watch(&client, Kind::Ingress, Watched::Ingress, config.clone()),
        select(
            watch(&client, Kind::Pod, Watched::Pod, of_revisions),
            watch(&client, Kind::Revision, Watched::Revision, config),
        ),
    );
    let mut config_snapshot = ConfigSnapshot::default();
    let mut restarts = Restarts::default();
    let mut prune = tokio::time::interval(PRUNE_INTERVAL);
    loop {
        let first = tokio::select! {
            () = cancel.cancelled() => return,
            _ = prune.tick() => {
                prune_connections(&proxy);
                continue;
            }
            event = events.next() => event,
        };
        let Some(first) = first else { return };
        restarts.take(&mut config_snapshot, first);
        while let Some(Some(more)) = events.next().now_or_never() {
            restarts.take(&mut config_snapshot, more);
        }
        if restarts.all_listed() {
            for served_now in config_snapshot.publish(&proxy) {
                if served.send(served_now).is_err() {
                    return;
                }
            }
            if let Some(whole) = whole.take() {
                // A gateway that is ended before it began hears nothing any more.
                let _ = whole.send(());
            }
        }
    }
}

fn watch(
    client: &Client,
    kind: Kind,
    watched: Watched,
    config: watcher::Config,
) -> impl Stream<Item = Seen> + Unpin + use<> {
    let api: Api<Object> = Api::all_with(client.clone(), &kind.resource());
    watcher(api, config)
        .default_backoff()
        .map(move |event| (watched, event))
        .boxed()
}

fn prune_connections(proxy: &Proxy) {
    let now = Instant::now();
    for backend in proxy.demand.all() {
        for instance in &backend.endpoints().instances {
            instance.pool.prune(now, IDLE_LIMIT);
        }
    }
}

/// Which kinds have been listed, and what a list that is under way has shown so far.
#[derive(Default)]
struct Restarts {
    listed: HashSet<Watched>,
    ingresses: HashSet<Name>,
    pods: HashSet<Name>,
    revisions: HashSet<Name>,
}

impl Restarts {
    fn all_listed(&self) -> bool {
        self.listed.len() == 3
    }

    fn shown(&mut self, kind: Watched) -> &mut HashSet<Name> {
        match kind {
            Watched::Ingress => &mut self.ingresses,
            Watched::Pod => &mut self.pods,
            Watched::Revision => &mut self.revisions,
        }
    }

    fn take(&mut self, config_snapshot: &mut ConfigSnapshot, (kind, event): Seen) {
        let name = |object: &Object| (object.namespace().to_owned(), object.name().to_owned());
        match event {
            Ok(Event::Init) => self.shown(kind).clear(),
            Ok(Event::InitApply(object)) => {
                self.shown(kind).insert(name(&object));
                config_snapshot.apply(kind, &object);
            }
            Ok(Event::InitDone) => {
                config_snapshot.retain(kind, &std::mem::take(self.shown(kind)));
                self.listed.insert(kind);
            }
            Ok(Event::Apply(object)) => config_snapshot.apply(kind, &object),
            Ok(Event::Delete(object)) => config_snapshot.remove(kind, &name(&object)),
            Err(error) => {
                tracing::warn!(?kind, %error, "the gateway's watch failed: starting it again");
            }
        }
    }
}
