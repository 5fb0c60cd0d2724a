//! The data directory of a local cluster: its lock, and where its parts listen.

pub mod access;

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use self::access::{DataDirError, Ownership};
use crate::apiserver::private;

const LOCK: &str = "lock";
const ENDPOINTS: &str = "endpoints.json";
const PORTS: &str = "ports.json";

/// Where a running cluster's parts are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoints {
    /// The process that runs it.
    pub pid: u32,
    /// The API server, `https://127.0.0.1:PORT`.
    pub api: String,
    /// The gateway, `http://127.0.0.1:PORT`.
    pub gateway: String,
    /// The gateway's port, which is part of every service's URL.
    pub gateway_port: u16,
    /// The gateway's Prometheus endpoint.
    pub metrics: String,
    /// The kubeconfig that was written.
    pub kubeconfig: PathBuf,
    /// The context to name, where another one is that file's current one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// The ports of a cluster's last run. The next one takes them again where they are free,
/// so that a kubeconfig, the URLs of services and a scraper's target stay valid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ports {
    /// The API server's.
    pub api: u16,
    /// The gateway's.
    pub gateway: u16,
    /// The gateway's Prometheus endpoint's.
    pub metrics: u16,
}

/// A data directory.
#[derive(Clone, Debug)]
pub struct DataDir {
    dir: PathBuf,
}

impl DataDir {
    /// The place at `dir`; nothing is created yet.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// `$XDG_DATA_HOME/sluice`, or `~/.local/share/sluice`.
    pub fn default_dir() -> Option<PathBuf> {
        let set = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        set("XDG_DATA_HOME")
            .or_else(|| Some(set("HOME")?.join(".local/share")))
            .map(|base| base.join("sluice"))
    }

    /// The directory itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the directory, or closes the one that is there to other users, and says whether
    /// anything else is in it.
    pub fn prepare(&self) -> Result<Ownership, DataDirError> {
        let standing = access::examine(&self.dir)?;
        access::close(&self.dir, standing)?;
        Ok(standing)
    }

    /// Takes the directory for this process; `None` when another process has it.
    ///
    /// The lock ends with the file handle, so also with a killed process.
    pub fn lock(&self) -> Result<Option<File>, DataDirError> {
        access::examine(&self.dir)?;
        let unusable = |source| DataDirError::Unusable {
            dir: self.dir.clone(),
            source,
        };
        let mut options = File::options();
        let file = private::open(options.create(true).append(true), &self.dir.join(LOCK))
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Whether a process has the directory; makes nothing.
    pub fn is_taken(&self) -> io::Result<bool> {
        let file = match File::open(self.dir.join(LOCK)) {
            Err(error) if is_nothing(&error) => return Ok(false),
            file => file?,
        };
        match file.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Records where the parts listen, in one step.
    pub fn write_endpoints(&self, endpoints: &Endpoints) -> io::Result<()> {
        self.write(ENDPOINTS, endpoints)
    }

    /// Where the parts of the running cluster listen. After a kill the record is still
    /// there: the lock tells whether it is true.
    pub fn read_endpoints(&self) -> Option<Endpoints> {
        self.read(ENDPOINTS)
    }

    /// Takes the record away: nobody listens there any more, or not yet.
    pub fn forget_endpoints(&self) {
        let _ = std::fs::remove_file(self.dir.join(ENDPOINTS));
    }

    /// Records the ports for the next run.
    pub fn write_ports(&self, ports: Ports) -> io::Result<()> {
        self.write(PORTS, &ports)
    }

    /// The ports of the last run; all 0 where there was none.
    pub fn read_ports(&self) -> Ports {
        self.read(PORTS).unwrap_or_default()
    }

    /// Writes a record in one step: who reads it sees the old or the new one.
    fn write(&self, name: &str, record: &impl Serialize) -> io::Result<()> {
        private::write(&self.dir.join(name), &serde_json::to_vec_pretty(record)?)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(&std::fs::read(self.dir.join(name)).ok()?).ok()
    }
}

fn is_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    matches!(error.kind(), NotFound | NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_belongs_to_one_process_and_is_free_when_that_ends() {
        let dir = tempfile::tempdir().unwrap();
        let place = DataDir::new(dir.path().join("deep/er"));
        assert!(!place.is_taken().unwrap());
        assert!(!place.dir().exists(), "asking makes nothing");
        let held = place.lock().unwrap().expect("free at first");
        assert!(place.lock().unwrap().is_none(), "taken");
        assert!(place.is_taken().unwrap());
        drop(held);
        assert!(!place.is_taken().unwrap());
        assert!(place.lock().unwrap().is_some(), "free again");
    }

    #[test]
    fn endpoints_are_read_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let place = DataDir::new(dir.path().to_owned());
        assert_eq!(place.read_endpoints(), None);
        let endpoints = Endpoints {
            pid: 7,
            api: "https://127.0.0.1:6443".into(),
            gateway: "http://127.0.0.1:8080".into(),
            gateway_port: 8080,
            metrics: "http://127.0.0.1:9000/metrics".into(),
            kubeconfig: "/tmp/kubeconfig".into(),
            context: None,
        };
        place.write_endpoints(&endpoints).unwrap();
        assert_eq!(place.read_endpoints(), Some(endpoints));
        place.forget_endpoints();
        assert_eq!(place.read_endpoints(), None);
    }

    #[test]
    fn ports_outlive_the_run_that_had_them() {
        let dir = tempfile::tempdir().unwrap();
        let place = DataDir::new(dir.path().to_owned());
        assert_eq!(place.read_ports(), Ports::default());
        let ports = Ports {
            api: 6443,
            gateway: 8080,
            metrics: 9000,
        };
        place.write_ports(ports).unwrap();
        place.forget_endpoints();
        assert_eq!(place.read_ports(), ports);
    }
}
