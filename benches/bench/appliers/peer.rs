//! The others: one process for each delivery of a folder.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::process::Command;

use crate::fixture::{Fixture, NAMESPACE};
use crate::process::memory_of;

/// Without it, kapp takes Knative's own annotations away, which its webhook refuses.
const REBASE: &str = r#"
apiVersion: kapp.k14s.io/v1alpha1
kind: Config
rebaseRules:
- paths:
  - [metadata, annotations, serving.knative.dev/creator]
  - [metadata, annotations, serving.knative.dev/lastModifier]
  type: copy
  sources: [new, existing]
  resourceMatchers:
  - apiVersionKindMatcher: {apiVersion: serving.knative.dev/v1, kind: Service}
"#;

/// How often its memory is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// One of the others.
#[derive(Clone, Copy)]
pub enum Peer {
    Kapp,
    Kubectl,
}

/// What one delivery took.
pub struct Delivered {
    pub took: Duration,
    /// The most memory that it was seen with, in MiB.
    pub peak: f64,
}

impl Peer {
    /// What a person would write.
    pub fn words(self) -> &'static str {
        match self {
            Self::Kapp => "kapp deploy --wait=false",
            Self::Kubectl => "kubectl apply --server-side",
        }
    }

    /// Delivers a folder, and waits for its end.
    pub async fn deliver(self, stage: &Fixture, folder: &Path) -> anyhow::Result<Delivered> {
        let mut words = self.words().split(' ');
        let program = words.next().unwrap_or_default();
        let mut command = Command::new(program);
        command
            .args(words)
            .arg("-n")
            .arg(NAMESPACE)
            .arg("-f")
            .arg(folder);
        if matches!(self, Self::Kapp) {
            let rebase = folder.with_extension("kapp.yaml");
            std::fs::write(&rebase, REBASE)?;
            command.args(["-a", "shop", "--yes", "-f"]).arg(rebase);
        }
        let begun = Instant::now();
        let mut child = command
            .env("KUBECONFIG", &stage.kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| {
                format!("{program} does not start; `tests/bed/build.sh peers` builds it")
            })?;
        let pid = child.id().context("it ended at once")?;
        let mut peak: f64 = 0.0;
        let mut look = tokio::time::interval(LOOK);
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                _ = look.tick() => peak = peak.max(memory_of(pid).map_or(0.0, |(most, _)| most)),
            }
        };
        if !status.success() {
            let output = child.wait_with_output().await?;
            bail!("{program}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Delivered {
            took: begun.elapsed(),
            peak,
        })
    }
}
