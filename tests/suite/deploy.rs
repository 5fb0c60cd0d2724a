//! The manifests in `deploy/` say what the code says.

use std::path::Path;

use serde_json::Value;
use sha2::{Digest, Sha256};
use sluice::api::crds;

const HEADER: &str = "\
# Sluice's own kinds, generated from their types in crates/api: a test keeps this file equal to them, and
# `UPDATE_EXPECT=1 cargo test --test suite deploy::` writes it anew.
";

#[test]
fn the_definitions_are_those_of_the_code() {
    let documents = crds::all()
        .iter()
        .map(|definition| serde_yaml::to_string(definition).unwrap())
        .collect::<Vec<_>>()
        .join("---\n");
    expect_test::expect_file![concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/crds.yaml")]
        .assert_eq(&format!("{HEADER}{documents}"));
}

#[test]
fn definitions_that_change_have_a_higher_version() {
    let definitions = serde_json::to_vec(&crds::all()).unwrap();
    let digest = Sha256::digest(definitions);
    let figures: String = digest.iter().take(8).map(|b| format!("{b:02x}")).collect();
    // Where this fails, raise crds::DEFINITIONS_VERSION: an agent of before must not put its definitions over these.
    let told = format!("version {}: {figures}", crds::DEFINITIONS_VERSION);
    expect_test::expect!["version 4: 66b60e2a43105d78"].assert_eq(&told);
}

#[test]
fn every_right_of_the_agent_is_named() {
    let mut rules = 0;
    for role in documents("rbac.yaml") {
        for rule in role["rules"].as_array().into_iter().flatten() {
            rules += 1;
            let text = rule.to_string();
            assert!(!text.contains('*'), "no wildcards: {text}");
            assert!(
                !text.contains("escalate") && !text.contains("impersonate"),
                "{text}"
            );
        }
        assert_ne!(role["roleRef"]["name"], "cluster-admin");
    }
    assert!(rules > 8, "the roles were found");
}

#[test]
fn the_agent_runs_with_the_account_that_has_the_rights() {
    let account = |kind: &str, file: &str| {
        let all = documents(file);
        let found = all
            .iter()
            .find(|document| document["kind"] == kind)
            .cloned();
        found.unwrap_or_else(|| panic!("{file} has a {kind}"))
    };
    let deployment = account("Deployment", "agent.yaml");
    let name = &account("ServiceAccount", "agent.yaml")["metadata"]["name"];
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(&pod["serviceAccountName"], name);
    for binding in documents("rbac.yaml") {
        for subject in binding["subjects"].as_array().into_iter().flatten() {
            assert_eq!(&subject["name"], name);
            assert_eq!(subject["namespace"], deployment["metadata"]["namespace"]);
        }
    }
}

fn documents(file: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| serde::Deserialize::deserialize(document).unwrap())
        .collect()
}
