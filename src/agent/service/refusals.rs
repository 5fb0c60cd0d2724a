//! Templates that the cluster does not take: tried before anything of a release is written, and remembered.

use super::{DesiredService, ServiceLoop};
use crate::api::rollout::Quarantine;
use crate::cluster::{Refusal, WriteError};
use crate::plan::{Manager, ServiceIntent};
use crate::rollout::Live;

impl ServiceLoop {
    /// A changed template of a service that serves is tried without effect first, once, so that
    /// one that the cluster refuses leaves the service untouched. While a release waits for its
    /// start (`waits`) nothing is tried: what the cluster says then is old when it may start.
    pub(super) async fn check_template(
        &mut self,
        wanted: &DesiredService,
        live: &Live,
        waits: bool,
    ) {
        let intent = &wanted.intent;
        if waits && self.status.phase.rests() {
            self.refused = None;
            self.checked = None;
            return;
        }
        let new = live
            .configuration
            .as_ref()
            .is_some_and(|c| !c.template_written);
        let manifest = intent.manifest();
        let quarantined = self.status.quarantine.iter().any(|q| {
            q.template_hash == intent.template_hash
                && q.refused
                    .as_ref()
                    .is_none_or(|refused| *refused == manifest)
        });
        if !new || quarantined || self.checked.as_ref() == Some(&manifest) {
            return;
        }
        let object = intent.template_object(&intent.template.value());
        match self
            .context
            .cluster
            .dry_run(&object, Manager::Objects)
            .await
        {
            Ok(_) => {
                self.checked = Some(manifest);
                self.refused = None;
            }
            Err(error) => self.refuse(wanted, &error),
        }
    }

    /// Whether Git's template stays out because the cluster refused it.
    pub(super) fn is_out_for_refusal(&self, intent: &ServiceIntent) -> bool {
        self.refusal(intent).is_some()
    }

    /// Why the cluster does not take Git's template, as it is remembered.
    pub(super) fn refusal(&self, intent: &ServiceIntent) -> Option<String> {
        let manifest = intent.manifest();
        let kept_out = |q: &&Quarantine| {
            q.template_hash == intent.template_hash && q.refused.as_ref() == Some(&manifest)
        };
        let quarantine = self.status.quarantine.iter().find(kept_out)?;
        Some(format!(
            "{}; change it in Git, or `sluice rollout retry`",
            quarantine.reason
        ))
    }

    /// A template that is refused for good is a fact that the next decision is made from.
    pub(super) fn refuse(&mut self, wanted: &DesiredService, error: &WriteError) {
        let intent = &wanted.intent;
        let for_good = matches!(
            error.cause,
            Refusal::Rejected { .. }
                | Refusal::Invalid(_)
                | Refusal::Forbidden(_)
                | Refusal::Conflict(_)
        );
        if for_good {
            let known = self.refused.replace((intent.manifest(), error.to_string()));
            if known != self.refused {
                // The next decision is due at once.
                self.context
                    .wakeups
                    .listen(&intent.namespace, &intent.name)
                    .notify_one();
            }
        }
        self.failed(wanted, error);
    }
}
