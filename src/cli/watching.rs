//! Follows one object for as long as a command wants to, through whatever the connection does.

use std::fmt::Debug;
use std::ops::ControlFlow;

use anyhow::bail;
use futures::TryStreamExt;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher::Config};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use super::connection::{Session, innermost};
use super::output;

/// Shows `look` each state of an object until it has seen enough.
pub async fn follow<K, T>(
    session: &Session,
    api: Api<K>,
    name: &str,
    mut look: impl FnMut(K) -> anyhow::Result<ControlFlow<T>>,
) -> anyhow::Result<T>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = Config::default().fields(&format!("metadata.name={name}"));
    let mut events = std::pin::pin!(watcher::watcher(api, config).default_backoff());
    let mut lost = false;
    let mut there = false;
    loop {
        let object = match events.try_next().await {
            Ok(Some(Event::Apply(object) | Event::InitApply(object))) => object,
            Ok(Some(Event::Init)) => {
                there = false;
                continue;
            }
            Ok(Some(Event::InitDone)) if there => continue,
            Ok(Some(Event::Delete(_) | Event::InitDone)) => bail!("{name} is gone"),
            Ok(None) => bail!("the watch on {name} ended"),
            Err(error) => {
                if let Some(reason) = for_good(session, error)? {
                    if !lost {
                        output::note(format_args!(
                            "the cluster does not answer ({reason}); trying again, Ctrl-C ends it"
                        ));
                    }
                    lost = true;
                }
                continue;
            }
        };
        there = true;
        if std::mem::take(&mut lost) {
            output::note("the cluster answers again");
        }
        if let ControlFlow::Break(seen) = look(object)? {
            return Ok(seen);
        }
    }
}

/// An error that no waiting mends; otherwise the words of one that may pass, or nothing for
/// one that belongs to every watch.
fn for_good(session: &Session, error: watcher::Error) -> anyhow::Result<Option<String>> {
    let error = match error {
        watcher::Error::WatchError(status) => kube::Error::Api(status),
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => error,
        error => return Err(error.into()),
    };
    match &error {
        kube::Error::Api(status) if matches!(status.code, 401 | 403 | 404) => {
            Err(session.explain(error))
        }
        kube::Error::Api(status) if status.code == 410 => Ok(None),
        kube::Error::Api(status) => Ok(Some(status.message.clone())),
        other => Ok(Some(innermost(other))),
    }
}
