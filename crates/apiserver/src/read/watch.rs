//! Watches: a cursor on the store's ring, turned into a stream of events.
//!
//! A watch that falls behind further than the ring reaches is told `410 Expired` and
//! closed: nobody else waits for a slow reader.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use futures::stream;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::json::object;
use crate::model::resource::Resource;
use crate::model::status::ApiError;
use crate::read;
use crate::state::core::Core;
use crate::store::selector::Selector;
use crate::store::{Event, EventKind, Stored};
use crate::wire::media::{Form, Meta};
use crate::wire::path::ResourcePath;
use crate::wire::query::Params;
use crate::wire::table::Include;
use crate::wire::{table, view};

/// How many events are taken from the ring at a time.
const BATCH: usize = 256;
/// Initial objects are sent in pieces of about this many bytes.
const PIECE: usize = 64 * 1024;
/// How long a watch lives when the client does not say: Kubernetes closes them after
/// half an hour to an hour.
const LIFETIME: Duration = Duration::from_secs(45 * 60);

struct Watch {
    core: Arc<Core>,
    resource: Arc<Resource>,
    namespace: Option<String>,
    selector: Selector,
    form: Form,
    include: Include,
    bookmarks: bool,
    cursor: u64,
    news: watch::Receiver<u64>,
    ready: VecDeque<Bytes>,
    headings_sent: bool,
    ends: Instant,
    next_bookmark: Instant,
    presence: Arc<CancellationToken>,
    over: bool,
}

/// Answers a watch.
pub async fn watch(
    core: &Arc<Core>,
    resource: &Arc<Resource>,
    path: &ResourcePath,
    params: &Params,
    form: Form,
) -> Result<Response<Body>, ApiError> {
    let selector = read::selector(resource, path, params)?;
    let wanted = match params.text("resourceVersion") {
        None => 0,
        Some(text) => {
            read::parse_revision(text).map_err(|why| ApiError::plain(500, why.to_string()))?
        }
    };
    let streaming_list = params.choice("sendInitialEvents");
    let bookmarks = params.flag("allowWatchBookmarks");
    let include = match form {
        Form::Table(_) => Include::of(params)?,
        _ => Include::default(),
    };
    let news = core.store.subscribe(&resource.storage);
    let lifetime = params
        .number::<i64>("timeoutSeconds")?
        .and_then(|seconds| u64::try_from(seconds).ok())
        .filter(|seconds| *seconds > 0)
        .map_or(LIFETIME, Duration::from_secs);
    let now = Instant::now();
    let mut watch = Watch {
        core: Arc::clone(core),
        resource: Arc::clone(resource),
        namespace: path.namespace.clone(),
        selector,
        form,
        include,
        bookmarks,
        cursor: wanted,
        news,
        ready: VecDeque::new(),
        headings_sent: false,
        ends: now + lifetime,
        next_bookmark: now + core.bookmark_every,
        presence: core.presence.load_full(),
        over: false,
    };
    // A watch from nowhere in particular begins with what is there.
    if streaming_list.unwrap_or(wanted == 0) {
        let (revision, objects) = read::matching(core, resource, path, &watch.selector);
        core.store.durable(revision).await?;
        watch.cursor = revision;
        watch.begin_with(&objects);
        if bookmarks {
            let end = watch.bookmark(true);
            watch.ready.extend(end);
        }
    } else if wanted == 0 {
        watch.cursor = core.store.revision();
    }
    let frames = stream::unfold(watch, |mut watch| async move {
        let frame = watch.next().await?;
        Some((Ok::<_, std::convert::Infallible>(frame), watch))
    });
    let mut response = Response::new(Body::from_stream(frames));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

impl Watch {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            if self.over {
                return None;
            }
            self.news.borrow_and_update();
            match self
                .core
                .store
                .events_after(&self.resource.storage, self.cursor, BATCH)
            {
                None => {
                    self.expire(self.cursor);
                    continue;
                }
                Some((events, told)) => {
                    self.cursor = told;
                    let mut frame = BytesMut::new();
                    for event in &events {
                        self.tell(event, &mut frame);
                    }
                    if !frame.is_empty() {
                        return Some(frame.freeze());
                    }
                    if events.len() == BATCH || self.over {
                        continue;
                    }
                }
            }
            tokio::select! {
                changed = self.news.changed() => self.over = changed.is_err(),
                () = self.core.stopping.cancelled() => self.over = true,
                () = self.presence.cancelled() => self.over = true,
                () = tokio::time::sleep_until(self.ends) => {
                    self.over = true;
                    if self.may_tell_its_place() {
                        return self.bookmark(false);
                    }
                }
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark += self.core.bookmark_every;
                    if self.may_tell_its_place() {
                        return self.bookmark(false);
                    }
                }
            }
        }
    }

    /// Whether a bookmark may be sent: one that waits for a revision to come has no place yet.
    fn may_tell_its_place(&self) -> bool {
        self.bookmarks && self.cursor <= self.core.store.revision()
    }

    fn begin_with(&mut self, objects: &[Arc<Stored>]) {
        let mut frame = BytesMut::new();
        for object in objects {
            self.line("ADDED", object, &mut frame);
            if frame.len() > PIECE {
                self.ready.push_back(frame.split().freeze());
            }
        }
        if !frame.is_empty() {
            self.ready.push_back(frame.freeze());
        }
    }

    /// What the event is to this watch: a change may carry an object over the
    /// selector's edge in either direction.
    fn tell(&mut self, event: &Event, frame: &mut BytesMut) {
        if self
            .namespace
            .as_ref()
            .is_some_and(|namespace| *namespace != event.object.key.namespace)
        {
            return;
        }
        let was = event
            .previous
            .as_ref()
            .is_some_and(|object| self.selector.matches(object));
        let is = event.kind != EventKind::Deleted && self.selector.matches(&event.object);
        match (was, is) {
            (false, false) => {}
            (false, true) => self.line("ADDED", &event.object, frame),
            (true, true) => self.line("MODIFIED", &event.object, frame),
            (true, false) if event.kind == EventKind::Deleted => {
                self.line("DELETED", &event.object, frame);
            }
            (true, false) => {
                // It left the selection: told as it was, at the revision of the change.
                let Some(previous) = &event.previous else {
                    return;
                };
                let mut last = view::value(&self.resource, previous);
                object::set_meta(&mut last, "resourceVersion", event.revision.to_string());
                self.shaped_line("DELETED", &last, frame);
            }
        }
    }

    fn line(&mut self, kind: &str, stored: &Stored, frame: &mut BytesMut) {
        if self.form == Form::Plain {
            put_event(frame, kind, &view::bytes(&self.resource, stored));
        } else {
            self.shaped_line(kind, &view::value(&self.resource, stored), frame);
        }
    }

    fn shaped_line(&mut self, kind: &str, object: &Value, frame: &mut BytesMut) {
        let shaped = match self.form {
            Form::Plain => object.to_string(),
            Form::Metadata(meta) => table::metadata_only(object, meta).to_string(),
            Form::MetadataList(_) => {
                // An event's object is no list: such a watch ends with its first event, untold.
                self.over = true;
                return;
            }
            Form::Table(meta) => {
                let included = (self.include, meta);
                let row = table::row(&self.resource, object, included, self.core.now());
                let revision = object::meta(object, "resourceVersion");
                self.table(row, revision.cloned(), meta).to_string()
            }
        };
        put_event(frame, kind, shaped.as_bytes());
    }

    fn table(&mut self, row: Value, revision: Option<Value>, meta: Meta) -> Value {
        let headings = (!self.headings_sent).then(|| table::definitions(&self.resource));
        self.headings_sent = true;
        let list_meta = json!({"resourceVersion": revision});
        table::table_of(vec![row], headings, &list_meta, meta)
    }

    fn bookmark(&mut self, initial_events_end: bool) -> Option<Bytes> {
        let revision = self.cursor.to_string();
        let mut object = json!({
            "kind": self.resource.kind,
            "apiVersion": self.resource.api_version(),
            "metadata": {"resourceVersion": revision},
        });
        if initial_events_end {
            let end = json!({"k8s.io/initial-events-end": "true"});
            object::set_meta(&mut object, "annotations", end);
        }
        let shaped = match self.form {
            Form::Plain => object,
            Form::Metadata(meta) => table::metadata_only(&object, meta),
            Form::MetadataList(_) => {
                self.over = true;
                return None;
            }
            Form::Table(meta) => {
                // The end of the first events is told in the row's object.
                let include = match self.include {
                    Include::None if initial_events_end => Include::Metadata,
                    include => include,
                };
                let row = table::row(&self.resource, &object, (include, meta), self.core.now());
                self.table(row, Some(revision.into()), meta)
            }
        };
        let mut frame = BytesMut::new();
        put_event(&mut frame, "BOOKMARK", shaped.to_string().as_bytes());
        Some(frame.freeze())
    }

    fn expire(&mut self, wanted: u64) {
        let current = self.core.store.revision();
        let gone = ApiError::expired(format!("too old resource version: {wanted} ({current})"));
        let mut frame = BytesMut::new();
        put_event(&mut frame, "ERROR", gone.to_status().to_string().as_bytes());
        self.ready.push_back(frame.freeze());
        self.over = true;
    }
}

fn put_event(frame: &mut BytesMut, kind: &str, object: &[u8]) {
    frame.reserve(object.len() + kind.len() + 24);
    frame.put_slice(b"{\"type\":\"");
    frame.put_slice(kind.as_bytes());
    frame.put_slice(b"\",\"object\":");
    frame.put_slice(object);
    frame.put_slice(b"}\n");
}
