//! The data directory of a local cluster: its lock, and where its parts listen.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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
}

/// A data directory.
#[derive(Clone, Debug)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
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

    /// Takes the directory for this process; `None` when another process has it.
    ///
    /// The lock ends with the file handle, so also with a killed process.
    pub fn lock(&self) -> io::Result<Option<File>> {
        std::fs::create_dir_all(&self.dir)?;
        let file = File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Records where the parts listen, in one step.
    pub fn write_endpoints(&self, endpoints: &Endpoints) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(endpoints)?;
        let partial = self.dir.join("endpoints.json.partial");
        std::fs::write(&partial, text)?;
        std::fs::rename(partial, self.endpoints_file())
    }

    /// Where the parts of the running, or the last, cluster listen.
    pub fn read_endpoints(&self) -> Option<Endpoints> {
        serde_json::from_slice(&std::fs::read(self.endpoints_file()).ok()?).ok()
    }

    /// Takes the record away; a leftover is harmless, since the lock tells who runs.
    pub fn forget_endpoints(&self) {
        let _ = std::fs::remove_file(self.endpoints_file());
    }

    fn endpoints_file(&self) -> PathBuf {
        self.dir.join("endpoints.json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_belongs_to_one_process_and_is_free_when_that_ends() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().join("deep/er"));
        let held = place.lock().unwrap().expect("free at first");
        assert!(place.lock().unwrap().is_none(), "taken");
        drop(held);
        assert!(place.lock().unwrap().is_some(), "free again");
    }

    #[test]
    fn endpoints_are_read_back_as_they_were_written() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path().to_owned());
        assert_eq!(place.read_endpoints(), None);
        let endpoints = Endpoints {
            pid: 7,
            api: "https://127.0.0.1:6443".into(),
            gateway: "http://127.0.0.1:8080".into(),
            gateway_port: 8080,
            metrics: "http://127.0.0.1:9000/metrics".into(),
            kubeconfig: "/tmp/kubeconfig".into(),
        };
        place.write_endpoints(&endpoints).unwrap();
        assert_eq!(place.read_endpoints(), Some(endpoints));
        place.forget_endpoints();
        assert_eq!(place.read_endpoints(), None);
    }
}
