//! The loop: watches, the gateway's pokes and a clock go in; replicas and statuses are
//! written. One task, which owns all that it waits for.

use std::collections::{BTreeMap, HashSet};

use futures::{
    FutureExt as _, Stream, StreamExt as _,
    stream::{FuturesUnordered, select},
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use serde_json::json;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::{
    scaler_set::{Done, ScalerSet, Work},
    settings,
    spec::AutoscalerConfig,
};
use crate::{
    controllers::{
        kind::Kind,
        object::{Object, ObjectExt as _, key},
        settings::NAMESPACE,
    },
    gateway::{backend::RevisionKey, load_tracker::LoadTracker},
};

type Seen = (Kind, Result<Event<Object>, watcher::Error>);

/// Scales every revision until cancelled. Writes under way are dropped then: the state
/// is in the cluster, and the next run takes it up.
pub async fn run(
    client: Client,
    load: LoadTracker,
    config: AutoscalerConfig,
    cancel: CancellationToken,
) {
    let mut tick = tokio::time::interval(config.tick);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let every = watcher::Config::default();
    let of_revisions = every.clone().labels(key::REVISION);
    let mut events = select(
        watch(&client, Kind::PodAutoscaler, every),
        watch(&client, Kind::Deployment, of_revisions),
    );
    let mut settings = follow_settings(&client);
    let defaults = config.clone();
    let mut scalers = ScalerSet::new(config, Timestamp::now());
    let mut shown = HashSet::new();
    let mut works = FuturesUnordered::new();
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            event = events.next() => {
                let Some(event) = event else { return };
                take(&mut scalers, &mut shown, event);
                while let Some(Some(more)) = events.next().now_or_never() {
                    take(&mut scalers, &mut shown, more);
                }
            }
            Some(data) = settings.next() => {
                let (config, wrong) = settings::read(&defaults, &data);
                for key in wrong {
                    tracing::warn!(key, "ConfigMap {} has a value that cannot be read: it is \
                        left as it was", settings::CONFIG_MAP);
                }
                scalers.configure(config);
            }
            poked = load.poked() => scalers.touch(poked),
            Some((key, done)) = works.next(), if !works.is_empty() => scalers.done(&key, done),
            _ = tick.tick(), if scalers.is_awake() => {
                scalers.touch_awake();
            }
        }
        for work in scalers.work(|key| load.load(key), Timestamp::now()) {
            works.push(carry_out(&client, &load, work));
        }
    }
}

fn watch(
    client: &Client,
    kind: Kind,
    config: watcher::Config,
) -> impl Stream<Item = Seen> + Unpin + use<> {
    let api: Api<Object> = Api::all_with(client.clone(), &kind.resource());
    watcher(api, config)
        .default_backoff()
        .map(move |event| (kind, event))
        .boxed()
}

/// The operator's settings as they are now, each time they change; none without the map.
fn follow_settings(
    client: &Client,
) -> impl Stream<Item = BTreeMap<String, String>> + Unpin + use<> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let only = format!("metadata.name={}", settings::CONFIG_MAP);
    watcher(maps, watcher::Config::default().fields(&only))
        .default_backoff()
        .filter_map(|event| async move {
            match event {
                Ok(Event::Apply(map) | Event::InitApply(map)) => Some(map.data.unwrap_or_default()),
                Ok(Event::Delete(_)) => Some(BTreeMap::new()),
                Ok(Event::Init | Event::InitDone) => None,
                Err(error) => {
                    tracing::warn!(%error, "the watch on settings failed: starting it again");
                    None
                }
            }
        })
        .boxed()
}

fn take(scalers: &mut ScalerSet, shown: &mut HashSet<RevisionKey>, (kind, event): Seen) {
    let event = match event {
        Ok(event) => event,
        Err(error) => {
            tracing::warn!(kind = kind.name(), %error, "the autoscaler's watch failed: starting it again");
            return;
        }
    };
    if kind == Kind::Deployment {
        match event {
            Event::Apply(object) | Event::InitApply(object) => scalers.deployment(&object, false),
            Event::Delete(object) => scalers.deployment(&object, true),
            Event::Init | Event::InitDone => {}
        }
        return;
    }
    let now = Timestamp::now();
    match event {
        Event::Init => shown.clear(),
        Event::InitApply(object) => {
            shown.insert(RevisionKey::new(object.namespace(), object.name()));
            scalers.apply(object, now);
        }
        Event::InitDone => scalers.retain(shown),
        Event::Apply(object) => scalers.apply(object, now),
        Event::Delete(object) => scalers.remove(&object),
    }
}

async fn carry_out(client: &Client, load: &LoadTracker, work: Work) -> (RevisionKey, Done) {
    let key = work.key.clone();
    let mut done = Done::default();
    if let Err(error) = write(client, load, work, &mut done).await {
        done.again = true;
        tracing::warn!(revision = %key, %error, "not scaled: trying again");
    }
    (key, done)
}

async fn write(
    client: &Client,
    load: &LoadTracker,
    work: Work,
    done: &mut Done,
) -> kube::Result<()> {
    let namespace = &work.key.namespace;
    if work.restore {
        load.restore(&work.key);
    }
    if work.retire && !load.retire_if_idle(&work.key) {
        // A request came between the decision and here.
        done.again = true;
        return Ok(());
    }
    if let Some((name, replicas)) = &work.scale {
        let api: Api<Object> =
            Api::namespaced_with(client.clone(), namespace, &Kind::Deployment.resource());
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        match api.patch(name, &PatchParams::default(), &patch).await {
            Ok(_) => {
                tracing::info!(revision = %work.key, replicas, "scaled");
                done.scaled = Some(*replicas);
            }
            Err(error) => {
                if work.retire {
                    load.restore(&work.key);
                }
                return ignore_missing(error);
            }
        }
    }
    if let Some(status) = work.status {
        let api: Api<Object> =
            Api::namespaced_with(client.clone(), namespace, &Kind::PodAutoscaler.resource());
        let patch = Patch::Merge(json!({"status": status}));
        match api
            .patch_status(&work.key.name, &PatchParams::default(), &patch)
            .await
        {
            Ok(object) => done.written = Some(object),
            Err(error) => return ignore_missing(error),
        }
    }
    Ok(())
}

/// What is gone needs no scale; the watch will say so, too.
fn ignore_missing(error: kube::Error) -> kube::Result<()> {
    match error {
        kube::Error::Api(answer) if answer.code == 404 => Ok(()),
        error => Err(error),
    }
}
