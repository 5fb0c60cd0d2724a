//! Sluice's own kinds in a cluster that agents of several releases meet.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use sluice::api::crds::{DEFINITIONS_VERSION, VERSION_ANNOTATION};

use super::fixture::Fixture;

const NAME: &str = "servicerollouts.sluice.dev";

/// The definition, with this version and a further phase, as another release would have it.
async fn of_another_release(stage: &Fixture, version: u32) -> CustomResourceDefinition {
    let api: Api<CustomResourceDefinition> = Api::all(stage.client.clone());
    let mut definition = serde_json::to_value(api.get(NAME).await.unwrap()).unwrap();
    definition["metadata"]["annotations"][VERSION_ANNOTATION] = version.to_string().into();
    phases(&mut definition).push(json!("Soaking"));
    definition["metadata"]
        .as_object_mut()
        .unwrap()
        .retain(|name, _| ["name", "annotations"].contains(&name.as_str()));
    definition.as_object_mut().unwrap().remove("status");
    definition["apiVersion"] = "apiextensions.k8s.io/v1".into();
    definition["kind"] = "CustomResourceDefinition".into();
    let params = PatchParams::apply("sluice").force();
    api.patch(NAME, &params, &Patch::Apply(&definition))
        .await
        .unwrap()
}

fn phases(definition: &mut Value) -> &mut Vec<Value> {
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/phase/enum";
    let phases = definition.pointer_mut(path);
    phases.and_then(Value::as_array_mut).unwrap()
}

#[tokio::test]
async fn an_agent_leaves_the_definitions_of_a_later_release_and_updates_those_of_an_earlier_one() {
    let mut stage = Fixture::new().await;
    let api: Api<CustomResourceDefinition> = Api::all(stage.client.clone());
    for (version, stays) in [
        (DEFINITIONS_VERSION + 1, true),
        (DEFINITIONS_VERSION - 1, false),
    ] {
        stage.stop_agent().await;
        let before = of_another_release(&stage, version).await;
        stage.start_agent().await;
        let after = api.get(NAME).await.unwrap();
        let same =
            after.spec == before.spec && after.metadata.generation == before.metadata.generation;
        assert_eq!(same, stays, "version {version}");
        let mut after = serde_json::to_value(after).unwrap();
        assert_eq!(phases(&mut after).contains(&json!("Soaking")), stays);
    }
    stage.end().await;
}
