//! Watches that expire, and an API server that goes away and comes back.

use sluice::cluster::{Access, Cluster, Connectivity};
use sluice::local::apiserver::ApiServer;
use sluice::plan::Manager;
use tokio_util::sync::CancellationToken;

use super::bed::{Hand, PATIENCE, bed, config_map, data, someone, until, watch};

#[tokio::test]
async fn an_expired_watch_lists_again_and_misses_nothing() {
    let bed = bed().await;
    for round in 0..3 {
        let value = round.to_string();
        bed.someone("x", &config_map("a", &value), Hand::Apply)
            .await;
        bed.server.compact("", "configmaps");
        bed.someone("x", &config_map("b", &value), Hand::Apply)
            .await;
        bed.until(|cluster| {
            [data(cluster, "a"), data(cluster, "b")]
                .iter()
                .all(|d| d.as_deref() == Some(&value))
        })
        .await;
    }
    bed.end().await;
}

#[tokio::test]
async fn a_lost_server_is_said_and_what_happened_meanwhile_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let server = ApiServer::builder()
        .kinds(sluice::local::knative::kinds())
        .build()
        .unwrap();
    let listening = server.serve("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listening.address;
    let kubeconfig = folder.path().join("kubeconfig");
    listening.write_kubeconfig(&kubeconfig).unwrap();
    let access = Access {
        kubeconfig: Some(kubeconfig),
        context: None,
    };
    let stop = CancellationToken::new();
    let cluster = Cluster::connect(&access, stop.clone()).await.unwrap();
    watch(&cluster).await;
    cluster
        .apply(&config_map("a", "1"), Manager::Objects)
        .await
        .unwrap();
    cluster
        .apply(&config_map("gone", "1"), Manager::Objects)
        .await
        .unwrap();
    let mut reach = cluster.reach();

    listening.shutdown().await;
    let lost = reach.wait_for(|reach| matches!(reach, Connectivity::Lost { .. }));
    tokio::time::timeout(PATIENCE, lost)
        .await
        .expect("it is noticed")
        .unwrap();
    assert_eq!(
        data(&cluster, "a").as_deref(),
        Some("1"),
        "what was known stays known"
    );
    let failed = cluster
        .apply(&config_map("a", "2"), Manager::Objects)
        .await
        .unwrap_err();
    assert!(failed.is_transient(), "{failed}");
    someone(server.client(), "x", &config_map("a", "3"), Hand::Apply).await;
    let maps: kube::Api<k8s_openapi::api::core::v1::ConfigMap> =
        kube::Api::default_namespaced(server.client());
    maps.delete("gone", &Default::default()).await.unwrap();

    let listening = server.serve(address).await.unwrap();
    let back = reach.wait_for(|reach| *reach == Connectivity::Reached);
    tokio::time::timeout(PATIENCE, back)
        .await
        .expect("it is back")
        .unwrap();
    until(&cluster, |cluster| {
        data(cluster, "a").as_deref() == Some("3")
    })
    .await;
    until(&cluster, |cluster| data(cluster, "gone").is_none()).await;
    stop.cancel();
    cluster.join().await;
    listening.shutdown().await;
    server.shutdown().await;
}
