//! Several agents on one cluster, and what a Delivery's author may not reach.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use serde_json::json;
use sluice::agent::ClusterWide;
use sluice::plan::DeliveryId;

use super::fixture::{Fixture, config_map, holds};

fn id(name: &str) -> DeliveryId {
    DeliveryId::new("default", name)
}

/// A laptop's agent beside the one in the cluster.
#[tokio::test]
async fn a_second_agent_takes_over_the_one_delivery_that_it_was_asked_to_and_no_other() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    repository.write("apps/a.yaml", &config_map("a", "1"));
    repository.write("lab/b.yaml", &config_map("b", "1"));
    let first = repository.push("One");
    for (name, path) in [("shop", "apps"), ("lab", "lab")] {
        let source = json!({"path": path});
        stage.deliver(name, &repository, source, json!({})).await;
        stage.delivered(name, &first).await;
    }
    let (pages, (cancel, task)) = stage
        .agent("laptop", |config| {
            config.identity = "laptop".to_owned();
            config.take_over = BTreeSet::from([id("lab")]);
        })
        .await;
    stage.led_by("lab", "laptop").await;
    let holder = stage.leader("shop").await;
    assert!(holder.is_some_and(|holder| holder != "laptop"));
    // Each goes on with its own.
    repository.write("apps/a.yaml", &config_map("a", "2"));
    repository.write("lab/b.yaml", &config_map("b", "2"));
    let second = repository.push("Two");
    stage.delivered("shop", &second).await;
    stage.delivered("lab", &second).await;
    assert!(holds(&stage.maps().get("a").await.unwrap(), "2"));
    assert!(holds(&stage.maps().get("b").await.unwrap(), "2"));
    let page = super::pages::page(&pages, "/metrics").await.1;
    for (name, leads) in [("shop", 0), ("lab", 1)] {
        let line =
            format!(r#"sluice_delivery_leader{{namespace="default",delivery="{name}"}} {leads}"#);
        assert!(page.lines().any(|found| found == line), "{line}\n{page}");
    }
    // The laptop is closed: the one in the cluster has it back.
    cancel.cancel();
    task.await.unwrap();
    repository.write("lab/b.yaml", &config_map("b", "3"));
    let third = repository.push("Three");
    stage.delivered("lab", &third).await;
    assert_ne!(stage.leader("lab").await.as_deref(), Some("laptop"));
    stage.end().await;
}

#[tokio::test]
async fn what_an_agent_delivered_while_another_waited_is_pruned_by_that_other() {
    let mut stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    repository.write("apps/a.yaml", &config_map("a", "1"));
    let first = repository.push("One");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage.delivered("shop", &first).await;
    let (pages, (cancel, task)) = stage.agent("laptop", |_| {}).await;
    let waits = r#"sluice_delivery_leader{namespace="default",delivery="shop"} 0"#;
    while !super::pages::page(&pages, "/metrics")
        .await
        .1
        .contains(waits)
    {
        tokio::task::yield_now().await;
    }
    repository.write("apps/b.yaml", &config_map("b", "1"));
    let second = repository.push("Two");
    stage.delivered("shop", &second).await;
    let uid = stage.maps().get("b").await.unwrap().metadata.uid.unwrap();
    stage.stop_agent().await;
    repository.remove("apps/b.yaml");
    let third = repository.push("One again");
    stage.gone("b", &uid).await;
    stage.delivered("shop", &third).await;
    cancel.cancel();
    task.await.unwrap();
    stage.end().await;
}

#[tokio::test]
async fn a_delivery_that_is_deleted_takes_its_lease_along() {
    let stage = Fixture::new().await;
    let repository = stage.repository("shop.git");
    repository.write("apps/a.yaml", &config_map("a", "1"));
    let first = repository.push("One");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    stage.delivered("shop", &first).await;
    assert!(stage.leader("shop").await.is_some());
    stage
        .deliveries()
        .delete("shop", &Default::default())
        .await
        .unwrap();
    stage.without_lease("shop").await;
    stage.end().await;
}

#[tokio::test]
async fn the_author_of_a_confined_delivery_writes_in_its_namespace_only() {
    let mut stage = Fixture::new().await;
    stage.stop_agent().await;
    let (_, (cancel, task)) = stage
        .agent("confined", |config| {
            config.cluster_wide = ClusterWide::Of(BTreeSet::from(["platform".to_owned()]));
        })
        .await;
    let repository = stage.repository("shop.git");
    let elsewhere =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: aws-auth, namespace: kube-system}\n";
    repository.write("apps/a.yaml", &config_map("a", "1"));
    repository.write("apps/auth.yaml", elsewhere);
    repository.push("What is not theirs");
    stage
        .deliver("shop", &repository, json!({}), json!({}))
        .await;
    let status = stage
        .says("shop", "it is refused", |status| {
            !status.problems.is_empty()
        })
        .await;
    let [problem] = status.problems.as_slice() else {
        panic!("{:#?}", status.problems)
    };
    assert_eq!(
        problem.message,
        "metadata.namespace: a Delivery in namespace default may write only there; move the object or the Delivery, \
         or start the agent with --cluster-wide=default"
    );
    assert_eq!(problem.origin.as_deref(), Some("apps/auth.yaml:3"));
    assert!(
        holds(&stage.maps().get("a").await.unwrap(), "1"),
        "it costs only itself"
    );
    let theirs: Api<ConfigMap> = Api::namespaced(stage.client.clone(), "kube-system");
    assert!(theirs.get_opt("aws-auth").await.unwrap().is_none());
    cancel.cancel();
    task.await.unwrap();
    stage.end().await;
}
