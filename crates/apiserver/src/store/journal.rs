//! Keeping the objects on disk: one redb file, written in batches.
//!
//! Whoever answers a request first waits for [`super::Store::durable`]; while one
//! batch is on its way to the disk the next one gathers, so that many writers share
//! a flush and `kill -9` loses nothing that was answered.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;

use bytes::Bytes;
use parking_lot::Mutex;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Key, Stored};
use crate::private;

const OBJECTS: TableDefinition<'_, (&str, &str, &str), &[u8]> = TableDefinition::new("objects");
const COUNTERS: TableDefinition<'_, &str, u64> = TableDefinition::new("counters");
const REVISION: &str = "revision";
/// Writes that one flush takes along at most; bounds the memory of a batch.
const BATCH: usize = 4096;

/// The data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The directory cannot be made.
    #[error("cannot make the data directory {path}: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file cannot be opened or read.
    #[error("cannot open {path}: {why}; is another cluster running on this data directory?")]
    Open {
        /// The file.
        path: PathBuf,
        /// What redb says.
        why: String,
    },
    /// The writer cannot start.
    #[error("cannot start the journal's thread: {0}")]
    Thread(std::io::Error),
}

/// One write on its way to the disk.
pub(super) struct Record {
    pub revision: u64,
    pub object: Arc<Stored>,
    pub removed: bool,
    /// Told when the write is on disk.
    pub news: watch::Sender<u64>,
}

/// What a former run left.
pub(super) struct Kept {
    pub revision: u64,
    pub objects: Vec<(Key, Bytes)>,
}

pub(super) struct Journal {
    records: Mutex<Option<mpsc::Sender<Record>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    broken: CancellationToken,
}

impl Journal {
    pub fn open(dir: &Path, durable: watch::Sender<u64>) -> Result<(Self, Kept), JournalError> {
        private::make_folder(dir).map_err(|source| JournalError::Directory {
            path: dir.to_owned(),
            source,
        })?;
        let path = dir.join("objects.redb");
        let failed = |why: redb::Error| JournalError::Open {
            path: path.clone(),
            why: why.to_string(),
        };
        // It holds Secrets, and redb would make it for everybody to read.
        let file = private::open(File::options().read(true).write(true).create(true), &path)
            .map_err(|why| failed(redb::Error::Io(why)))?;
        let database = Database::builder()
            .create_file(file)
            .map_err(|why| failed(why.into()))?;
        let kept = read(&database).map_err(failed)?;
        let (records, inbox) = mpsc::channel();
        let broken = CancellationToken::new();
        let stop = broken.clone();
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                // However the thread ends, nobody may wait for it any longer.
                let _ends = stop.drop_guard();
                write_batches(&database, &inbox, &durable);
            })
            .map_err(JournalError::Thread)?;
        let journal = Self {
            records: Mutex::new(Some(records)),
            thread: Mutex::new(Some(thread)),
            broken,
        };
        Ok((journal, kept))
    }

    pub fn append(&self, record: Record) {
        if let Some(records) = &*self.records.lock() {
            // A dead writer is noticed by whoever waits for the write to be durable.
            let _ = records.send(record);
        }
    }

    /// Returns when no further write will reach the disk.
    pub async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Writes what is under way and ends the thread.
    pub fn close(&self) {
        self.records.lock().take();
        if let Some(thread) = self.thread.lock().take()
            && thread.join().is_err()
        {
            tracing::error!("the journal's thread died");
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.close();
    }
}

fn read(database: &Database) -> Result<Kept, redb::Error> {
    let write = database.begin_write()?;
    {
        // Made here, so that the read below finds them in a new file too.
        write.open_table(OBJECTS)?;
        write.open_table(COUNTERS)?;
    }
    write.commit()?;
    let transaction = database.begin_read()?;
    let revision = transaction
        .open_table(COUNTERS)?
        .get(REVISION)?
        .map_or(0, |kept| kept.value());
    let mut objects = Vec::new();
    for entry in transaction.open_table(OBJECTS)?.iter()? {
        let (key, body) = entry?;
        let (storage, namespace, name) = key.value();
        objects.push((
            Key {
                storage: storage.to_owned(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            },
            Bytes::copy_from_slice(body.value()),
        ));
    }
    Ok(Kept { revision, objects })
}

fn write_batches(
    database: &Database,
    inbox: &mpsc::Receiver<Record>,
    durable: &watch::Sender<u64>,
) {
    while let Ok(first) = inbox.recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(next) = inbox.try_recv()
        {
            batch.push(next);
        }
        let Some(revision) = batch.iter().map(|record| record.revision).max() else {
            continue;
        };
        if let Err(error) = write(database, &batch, revision) {
            tracing::error!(%error, "the data directory cannot be written; the API server takes no more writes");
            return;
        }
        durable.send_replace(revision);
        for record in batch {
            record.news.send_replace(record.revision);
        }
    }
}

fn write(database: &Database, batch: &[Record], revision: u64) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut objects = transaction.open_table(OBJECTS)?;
        for record in batch {
            let key = &record.object.key;
            let at = (
                key.storage.as_str(),
                key.namespace.as_str(),
                key.name.as_str(),
            );
            if record.removed {
                objects.remove(at)?;
            } else {
                objects.insert(at, record.object.body.as_ref())?;
            }
        }
        transaction
            .open_table(COUNTERS)?
            .insert(REVISION, revision)?;
    }
    transaction.commit()?;
    Ok(())
}
