//! Starts the watches and the controllers, and ends them.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;

use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::controller::{Config, applier};
use kube::runtime::reflector::{ObjectRef, store::Writer};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Client};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

use super::cache::{Cache, Name};
use super::config::ControllersConfig;
use super::dispatch::{Controller, Queues};
use super::engine::Engine;
use super::events;
use super::kind::Kind;
use super::object::{Object, ObjectExt};
use super::settings;
use super::view::View;

/// Objects that one controller works on at a time. More would only queue up in the API
/// server, which is on the same machine.
const AT_ONCE: u16 = 32;

/// Runs all controllers until cancelled; returns when they have stopped.
pub async fn run(client: Client, config: ControllersConfig, cancel: CancellationToken) {
    let (cache, writers) = Cache::new();
    let (notes, outbox) = events::channel();
    let defaults = config.clone();
    let engine = Arc::new(Engine::new(client.clone(), View::new(config, cache), notes));
    let mut queues = HashMap::new();
    let mut inboxes = Vec::new();
    for controller in Controller::ALL {
        let (sender, receiver) = mpsc::unbounded_channel();
        queues.insert(controller, sender);
        inboxes.push((controller, receiver));
    }
    let queues = Arc::new(Queues(queues));
    let mut tasks = JoinSet::new();
    tasks.spawn(events::publish(client.clone(), outbox, cancel.clone()));
    tasks.spawn(heed_settings(
        client,
        defaults,
        engine.clone(),
        queues.clone(),
        cancel.clone(),
    ));
    for (kind, writer) in writers {
        let (engine, queues) = (engine.clone(), queues.clone());
        tasks.spawn(observe(kind, writer, engine, queues, cancel.clone()));
    }
    // With half a view of the cluster children would be made that are there already.
    if let Some(Ok(())) = cancel.run_until_cancelled(engine.view.cache.filled()).await {
        for (controller, inbox) in inboxes {
            tasks.spawn(control(controller, inbox, engine.clone(), cancel.clone()));
        }
    }
    while let Some(ended) = tasks.join_next().await {
        if let Err(error) = ended {
            // A panic is a bug; the rest of the controllers cannot be trusted without it.
            tracing::error!(%error, "a controller stopped: stopping all of them");
            cancel.cancel();
        }
    }
}

/// Follows the operator's ConfigMaps: what they say goes over the defaults, and everybody
/// whom it may concern looks again.
async fn heed_settings(
    client: Client,
    defaults: ControllersConfig,
    engine: Arc<Engine>,
    queues: Arc<Queues>,
    cancel: CancellationToken,
) {
    let maps: Api<ConfigMap> = Api::namespaced(client, settings::NAMESPACE);
    let events = watch(maps, watcher::Config::default())
        .default_backoff()
        .take_until(cancel.cancelled_owned());
    let mut events = std::pin::pin!(events);
    let mut known: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut listed = BTreeMap::new();
    while let Some(event) = events.next().await {
        let data = |map: ConfigMap| {
            let name = map.metadata.name.unwrap_or_default();
            let is_ours = settings::NAMES.contains(&name.as_str());
            is_ours.then(|| (name, map.data.unwrap_or_default()))
        };
        let before = known.clone();
        match event {
            Ok(Event::Init) => listed = BTreeMap::new(),
            Ok(Event::InitApply(map)) => listed.extend(data(map)),
            Ok(Event::InitDone) => known = std::mem::take(&mut listed),
            Ok(Event::Apply(map)) => known.extend(data(map)),
            Ok(Event::Delete(map)) => {
                known.remove(&map.metadata.name.unwrap_or_default());
            }
            Err(error) => tracing::warn!(%error, "the watch on settings failed: starting it again"),
        }
        if known == before {
            continue;
        }
        let mut config = defaults.clone();
        for (name, data) in &known {
            for error in settings::read(name, data, &mut config) {
                tracing::warn!(%error, "a setting is left as it was");
            }
        }
        engine.view.config.store(Arc::new(config));
        for kind in [Kind::Configuration, Kind::Revision, Kind::Route] {
            for object in engine.view.cache.of(kind).store().state() {
                queues.notify(&engine.view.cache, kind, &object);
            }
        }
    }
}

/// Watches a kind, keeps its shelf and tells the controllers.
async fn observe(
    kind: Kind,
    mut writer: Writer<Object>,
    engine: Arc<Engine>,
    queues: Arc<Queues>,
    cancel: CancellationToken,
) {
    let api: Api<Object> = Api::all_with(engine.client.clone(), &kind.resource());
    let events = watch(api, watcher::Config::default())
        .default_backoff()
        .take_until(cancel.cancelled_owned());
    let mut events = std::pin::pin!(events);
    let shelf = engine.view.cache.of(kind).clone();
    while let Some(event) = events.next().await {
        let mut event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!(kind = kind.name(), %error, "the watch failed: starting it again");
                continue;
            }
        };
        match &mut event {
            Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) => {
                // Nobody here reads it, and it is half of an object.
                object.metadata.managed_fields = None;
            }
            Event::Init | Event::InitDone => {}
        }
        // After a restart the store drops what is gone; its owners must hear of it.
        let before = match event {
            Event::InitDone => shelf.store().state(),
            _ => Vec::new(),
        };
        shelf.take(&mut writer, &event);
        match &event {
            Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) => {
                if kind == Kind::Pod
                    && let Some(owner) = object.controller()
                {
                    engine.view.expectations.forget(&owner.uid, object.name());
                }
                if !matches!(event, Event::InitApply(_)) {
                    queues.notify(&engine.view.cache, kind, object);
                }
            }
            Event::Init => {}
            Event::InitDone => {
                for object in before.iter().chain(&shelf.store().state()) {
                    queues.notify(&engine.view.cache, kind, object);
                }
            }
        }
    }
}

/// Runs one controller on what its queue brings.
async fn control(
    controller: Controller,
    inbox: mpsc::UnboundedReceiver<Name>,
    engine: Arc<Engine>,
    cancel: CancellationToken,
) {
    let shelf = engine.view.cache.of(controller.kind()).clone();
    let store = shelf.store();
    let requests = UnboundedReceiverStream::new(inbox)
        .map(move |(namespace, name)| shelf.reference(&namespace, &name))
        .map(Ok::<ObjectRef<Object>, Infallible>);
    let passes = applier(
        move |object, engine: Arc<Engine>| {
            async move { engine.pass(controller, object).await }.boxed()
        },
        move |object, error, engine| engine.wait_after(controller, &object, error),
        engine,
        store,
        requests,
        Config::default().concurrency(AT_ONCE),
    );
    // Failures were told where they happened; an object that is gone needs no pass. What is
    // cut short by the end is taken up by the next start: a pass can stop anywhere.
    cancel
        .run_until_cancelled(passes.into_stream().for_each(|_| async {}))
        .await;
}
