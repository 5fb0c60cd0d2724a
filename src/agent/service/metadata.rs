//! Labels and annotations follow Git without a release.

use serde_json::Value;

use super::ServiceLoop;
use crate::agent::rollout_store;
use crate::api::delivery::Drift;
use crate::cluster::WriteError;
use crate::plan::{FieldChange, LiveObject, Manager, ServiceIntent, normalize};
use crate::rollout::Live;

impl ServiceLoop {
    /// Labels and annotations follow Git without a release; the template stays what it is.
    pub(super) async fn follow_metadata(
        &mut self,
        intent: &ServiceIntent,
        live: &Live,
        drift: Drift,
    ) -> Result<(), WriteError> {
        if !live
            .configuration
            .as_ref()
            .is_some_and(|c| c.template_written)
        {
            return Ok(());
        }
        let cluster = &self.context.cluster;
        if let Some(known) = cluster.get(&intent.template_key()) {
            // In the cluster's spelling: Knative makes a Revision for another one.
            let template = intent.template_object(&intent.template_as_in(&known));
            if self.follows(intent, drift, &known, &template, Manager::Objects) {
                cluster.apply(&template, Manager::Objects).await?;
            }
        }
        if let (Some(route), Some(known)) = (&live.route, cluster.get(&intent.traffic_key()))
            && intent.manager_of("Route") == Manager::Traffic
            && intent.traffic_key().kind == "Route"
        {
            let object = intent.traffic_write(&route.spec, route.rolled_back.as_ref());
            if self.follows(intent, drift, &known, &object, Manager::Traffic) {
                cluster.apply(&object, Manager::Traffic).await?;
            }
        }
        Ok(())
    }

    /// Whether an object's labels and annotations are to be written: Git has others than it
    /// did, or somebody changed them by hand and that is not to be left so.
    fn follows(
        &self,
        intent: &ServiceIntent,
        drift: Drift,
        known: &LiveObject,
        object: &Value,
        manager: Manager,
    ) -> bool {
        if !intent.was_written_to(known, object) {
            return true;
        }
        if drift == Drift::Report {
            return false;
        }
        let changed = normalize::metadata_changes(object, known, manager);
        if changed.is_empty() {
            return false;
        }
        let fields: Vec<String> = changed.iter().map(FieldChange::to_string).collect();
        let message = format!(
            "{} was changed by hand ({}); corrected",
            known.key,
            fields.join(", ")
        );
        self.context
            .tell(&rollout_store::key(intent), "MetadataDrift", &message, true);
        true
    }
}
