//! Deployments and their Pods.

use std::sync::Arc;

use expect_test::expect;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::decision::Step;
use super::super::deployment::{Seen, decide, template_hash};
use super::super::kind::Kind;
use super::super::object::{Object, ObjectExt, set};
use super::{Node, World, service};

fn deployment(replicas: i64, image: &str) -> Object {
    serde_json::from_value(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default", "uid": "u", "generation": 1},
        "spec": {
            "replicas": replicas,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}},
        },
    }))
    .unwrap()
}

fn pod(name: &str, hash: &str, ready: bool, age: i64) -> Arc<Object> {
    let created = Timestamp::from_second(1_000 - age).unwrap();
    Arc::new(
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "labels": {"pod-template-hash": hash}, "creationTimestamp": created},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
        }))
        .unwrap(),
    )
}

/// What is done about these Pods: `+` for each new one, `-NAME` for each that goes.
fn done(deployment: &Object, pods: &[Arc<Object>], expected: usize) -> String {
    let seen = Seen {
        pods,
        expected,
        create_error: None,
    };
    let mut count = 0;
    let suffix = || {
        count += 1;
        format!("new{count}")
    };
    decide(
        deployment,
        seen,
        suffix,
        Timestamp::from_second(1_000).unwrap(),
    )
    .steps
    .iter()
    .map(|step| match step {
        Step::Create(Kind::Pod, _) => "+".to_owned(),
        Step::Delete(Kind::Pod, name) => format!("-{name}"),
        other => panic!("{other:?}"),
    })
    .collect::<Vec<_>>()
    .join(" ")
}

#[test]
fn pods_are_made_up_to_the_count_and_never_twice() {
    let web = deployment(3, "app:1");
    let hash = template_hash(&web);
    assert_eq!(done(&web, &[], 0), "+ + +");
    assert_eq!(done(&web, &[], 3), "", "they are on their way");
    assert_eq!(done(&web, &[pod("a", &hash, true, 9)], 1), "+");
}

#[test]
fn the_youngest_and_the_unready_go_first_when_there_are_too_many() {
    let web = deployment(1, "app:1");
    let hash = template_hash(&web);
    let pods = [
        pod("old", &hash, true, 90),
        pod("young", &hash, true, 10),
        pod("unready", &hash, false, 99),
    ];
    assert_eq!(done(&web, &pods, 0), "-unready -young");
    assert_eq!(
        done(&deployment(0, "app:1"), &pods, 0),
        "-old -unready -young"
    );
}

#[test]
fn a_new_template_replaces_pods_one_surge_at_a_time() {
    let web = deployment(2, "app:2");
    let (new, old) = (template_hash(&web), template_hash(&deployment(2, "app:1")));
    let (a, b) = (pod("a", &old, true, 90), pod("b", &old, true, 80));
    assert_eq!(done(&web, &[a.clone(), b.clone()], 0), "+");
    assert_eq!(
        done(&web, &[a.clone(), b.clone(), pod("c", &new, false, 1)], 0),
        ""
    );
    assert_eq!(
        done(&web, &[a.clone(), b, pod("c", &new, true, 1)], 0),
        "-b"
    );
    assert_eq!(done(&web, &[a.clone(), pod("c", &new, true, 1)], 0), "+");
    assert_eq!(
        done(
            &web,
            &[a, pod("c", &new, true, 9), pod("d", &new, true, 1)],
            0
        ),
        "-a"
    );
}

fn conditions(deployment: &Object) -> String {
    deployment.status()["conditions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| {
            format!(
                "{} {} {}: {}\n",
                c["type"].as_str().unwrap(),
                c["status"].as_str().unwrap(),
                c["reason"].as_str().unwrap(),
                c["message"].as_str().unwrap()
            )
        })
        .collect()
}

#[test]
fn progress_ends_well_or_at_its_deadline() {
    let mut web = deployment(1, "app:1");
    let hash = template_hash(&web);
    let mut step = |second: i64, pods: &[Arc<Object>]| {
        let seen = Seen {
            pods,
            expected: 0,
            create_error: None,
        };
        let now = Timestamp::from_second(second).unwrap();
        let decision = decide(&web, seen, || "x".to_owned(), now);
        set(&mut web, "status", Value::Object(decision.status.unwrap()));
        format!("{}again in {:?}\n", conditions(&web), decision.again_in)
    };
    expect![[r#"
        Available False MinimumReplicasUnavailable: Deployment does not have minimum availability.
        Progressing True NewReplicaSetCreated: Created new replica set "web"
        again in Some(601s)
    "#]]
    .assert_eq(&step(0, &[]));
    expect![[r#"
        Available False MinimumReplicasUnavailable: Deployment does not have minimum availability.
        Progressing True ReplicaSetUpdated: Deployment "web" is progressing.
        again in Some(601s)
    "#]]
    .assert_eq(&step(1, &[pod("a", &hash, false, 0)]));
    expect![[r#"
        Available False MinimumReplicasUnavailable: Deployment does not have minimum availability.
        Progressing True ReplicaSetUpdated: Deployment "web" is progressing.
        again in Some(2s)
    "#]]
    .assert_eq(&step(600, &[pod("a", &hash, false, 0)]));
    expect![[r#"
        Available False MinimumReplicasUnavailable: Deployment does not have minimum availability.
        Progressing False ProgressDeadlineExceeded: Deployment "web" has timed out progressing.
        again in None
    "#]]
    .assert_eq(&step(601, &[pod("a", &hash, false, 0)]));
    expect![[r#"
        Available True MinimumReplicasAvailable: Deployment has minimum availability.
        Progressing True NewReplicaSetAvailable: Deployment "web" has successfully progressed.
        again in None
    "#]]
    .assert_eq(&step(700, &[pod("a", &hash, true, 0)]));
    // Once it was there, a Pod that fails is no failed roll-out.
    expect![[r#"
        Available False MinimumReplicasUnavailable: Deployment does not have minimum availability.
        Progressing True NewReplicaSetAvailable: Deployment "web" has successfully progressed.
        again in None
    "#]]
    .assert_eq(&step(9000, &[pod("a", &hash, false, 0)]));
}

#[test]
fn the_autoscalers_count_is_not_fought_over() {
    let mut world = World::new();
    world.apply(&service("hello", "app:1")).unwrap();
    let mut scaled = world
        .get(Kind::Deployment, "hello-00001-deployment")
        .clone();
    scaled.data["spec"]["replicas"] = json!(0);
    world.put(Kind::Deployment, scaled);
    world.after(SignedDuration::from_secs(60));
    assert_eq!(world.names(Kind::Pod), Vec::<&str>::new());
    // Idle is not unready.
    expect![[r#"
        Revision hello-00001
          Active False NoTraffic
          ContainerHealthy True
          Ready True
          ResourcesAvailable True
    "#]]
    .assert_eq(&world.show(Kind::Revision, "hello-00001"));
    assert_eq!(
        world.get(Kind::Service, "hello").condition_status("Ready"),
        "True"
    );
    world.assert_at_rest();
}

#[test]
fn a_pod_that_is_lost_is_replaced() {
    let mut world = World::new();
    world.apply(&service("hello", "app:1")).unwrap();
    let name = world.names(Kind::Pod)[0].to_owned();
    world.delete(Kind::Pod, &name);
    world.settle();
    assert_eq!(world.names(Kind::Pod).len(), 1);
    assert_ne!(world.names(Kind::Pod), [name.as_str()]);
    world.node = Node::Idle;
    world.assert_at_rest();
}
