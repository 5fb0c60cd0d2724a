//! The agent as `deploy/` installs it: its account, its rights, its Pod.

use std::path::Path;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::config::KubeConfigOptions;
use kube::{Api, Client, Config};
use sluice::agent::AgentConfig;
use sluice::api::delivery::Expand;

use super::{at_hand, kubectl};
use crate::harness::{BRISK, Harness, Hello, Setting};

pub const SYSTEM: &str = "sluice-system";
pub const ACCOUNT: &str = "sluice-agent";

fn install() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    kubectl(&[
        "apply",
        "--server-side",
        "--force-conflicts",
        "-f",
        folder.to_str().unwrap(),
    ]);
}

/// Everything but the Pod: a story runs the agent itself.
pub fn install_without_agent() {
    install();
    kubectl(&["scale", "deployment", ACCOUNT, "-n", SYSTEM, "--replicas=0"]);
}

pub fn remove() {
    kubectl(&["delete", "namespace", SYSTEM, "--wait=true"]);
}

/// A client with the rights of the agent's account and no others.
async fn as_the_agent(client: &Client) -> Client {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), SYSTEM);
    let request = TokenRequest {
        spec: TokenRequestSpec::default(),
        ..TokenRequest::default()
    };
    let token = accounts
        .create_token_request(ACCOUNT, &PostParams::default(), &request)
        .await
        .unwrap();
    let mut config = Config::from_kubeconfig(&KubeConfigOptions::default())
        .await
        .unwrap();
    config.auth_info.token = Some(token.status.unwrap().token.into());
    Client::try_from(config).unwrap()
}

/// Good, bad, moved and pruned, in both forms, with exactly the rights of `deploy/rbac.yaml`.
async fn releases(expand: Expand) {
    let mut harness = Harness::new(Setting {
        expand,
        policy: BRISK.to_owned(),
        alone: true,
        ..Setting::default()
    })
    .await;
    install_without_agent();
    let mut config = AgentConfig::new(as_the_agent(&harness.client).await);
    config.install_crds = false;
    harness.start_agent_with(config).await;
    harness.deliver().await;

    let settings =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {mood: calm}\n";
    harness.repository.write("apps/settings.yaml", settings);
    let services = [Hello::new("hello", "one"), Hello::new("other", "one")];
    let first = harness.push("Open the shop", &services);
    harness.promoted("hello", &first).await;
    harness.promoted("other", &first).await;
    let users = harness.users("hello", 30);
    let second = harness.push("Greet two", &[Hello::new("hello", "two")]);
    harness.promoted("hello", &second).await;
    let bad = harness.push(
        "Crash",
        &[Hello::new("hello", "three").env("CRASH_AT_START", "3")],
    );
    harness.rolled_back("hello", &bad).await;
    harness.told("ServiceRollout", "hello", "RolledBack").await;
    harness.repository.remove("apps/other.yaml");
    harness.repository.remove("apps/settings.yaml");
    harness.repository.push("Close the other one");
    harness.gone(&harness.template_object(), "other").await;
    harness
        .gone(&harness.objects("v1", "ConfigMap"), "settings")
        .await;
    harness
        .gone(
            &harness.objects("sluice.dev/v1alpha1", "ServiceRollout"),
            "other",
        )
        .await;
    let answers = users.stop().await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    remove();
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_of_deploy_are_enough() {
    if at_hand() {
        releases(Expand::Routes).await;
        releases(Expand::Service).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_runs_as_a_pod_and_speaks_of_what_it_does_not_read() {
    if !at_hand() {
        return;
    }
    let harness = Harness::new(Setting {
        alone: true,
        ..Setting::default()
    })
    .await;
    install();
    kubectl(&[
        "rollout",
        "status",
        "deployment",
        ACCOUNT,
        "-n",
        SYSTEM,
        "--timeout=90s",
    ]);
    // The repository is a folder: an agent that runs as a Pod reads none of its own machine.
    harness.deliver().await;
    let leases: Api<Lease> = Api::namespaced(harness.client.clone(), harness.namespace());
    harness
        .when(leases, "sluice-shop", "held", |lease| {
            let spec = lease.spec.as_ref();
            spec.is_some_and(|spec| {
                spec.holder_identity
                    .as_ref()
                    .is_some_and(|held| !held.is_empty())
            })
        })
        .await;
    let status = harness
        .delivery("shop", "said to be refused", |status| {
            status.conditions.iter().any(|condition| {
                condition.type_ == "Ready"
                    && condition.message.contains("--allow-file-repositories")
            })
        })
        .await;
    assert!(status.observed_commit.is_none());
    remove();
    harness.end().await;
}
