//! Single writes: who owns what, what is refused, and in whose words.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;
use sluice::cluster::{Candidacy, Deleted, Election, EventRecord, Lead, Refusal};
use sluice::plan::Manager;

use super::bed::{Hand, PATIENCE, bed, config_map, data, key};

#[tokio::test]
async fn another_appliers_field_is_respected_and_named_until_the_manifest_says_force() {
    let mut bed = bed().await;
    bed.someone("team-b", &config_map("a", "theirs"), Hand::Apply)
        .await;
    let outcomes = bed.deliver(&[config_map("a", "ours")]).await;
    let error = outcomes[0].result.as_ref().unwrap_err();
    assert_eq!(
        error.to_string(),
        "ConfigMap default/a: not written, since team-b owns data.a; take the field out of one of the two, \
         or set the annotation sluice.dev/force: \"true\""
    );
    assert_eq!(data(&bed.cluster, "a").as_deref(), Some("theirs"));
    let mut forced = config_map("a", "ours");
    forced["metadata"]["annotations"] = json!({"sluice.dev/force": "true"});
    assert!(bed.deliver(&[forced]).await[0].result.is_ok());
    assert_eq!(data(&bed.cluster, "a").as_deref(), Some("ours"));
    bed.end().await;
}

#[tokio::test]
async fn what_a_person_made_with_kubectl_is_taken_over() {
    let mut bed = bed().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(bed.server.client());
    let params = PostParams {
        field_manager: Some("kubectl-create".into()),
        ..PostParams::default()
    };
    let made: ConfigMap = serde_json::from_value(config_map("a", "theirs")).unwrap();
    maps.create(&params, &made).await.unwrap();
    bed.until(|cluster| cluster.get(&key("a")).is_some()).await;
    let plan = bed.plan(&[config_map("a", "ours")]);
    assert_eq!(
        plan.to_string(),
        "adopt   ConfigMap default/a from kubectl-create (~data.a)\n"
    );
    assert!(
        bed.deliver(&[config_map("a", "ours")]).await[0]
            .result
            .is_ok()
    );
    assert_eq!(data(&bed.cluster, "a").as_deref(), Some("ours"));
    assert!(bed.plan(&[config_map("a", "ours")]).is_empty());
    bed.end().await;
}

#[tokio::test]
async fn a_refused_object_costs_only_itself_and_says_who_refused_it() {
    let mut bed = bed().await;
    let lost = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "nowhere"}});
    let outcomes = bed
        .deliver(&[config_map("bad", "1"), config_map("good", "1")])
        .await;
    let words: Vec<String> = outcomes
        .iter()
        .filter_map(|outcome| outcome.result.as_ref().err().map(ToString::to_string))
        .collect();
    assert_eq!(
        words,
        [
            "ConfigMap default/bad: rejected by admission webhook guard.example.com: bad is a bad name"
        ]
    );
    assert_eq!(data(&bed.cluster, "good").as_deref(), Some("1"));
    let error = bed
        .cluster
        .apply(&lost, Manager::Objects)
        .await
        .unwrap_err();
    assert_eq!(error.cause, Refusal::NoNamespace("nowhere".into()));
    let odd = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "y", "namespace": "default"},
        "dat": {"a": "b"}});
    let error = bed.cluster.apply(&odd, Manager::Objects).await.unwrap_err();
    assert!(matches!(error.cause, Refusal::Invalid(_)), "{error}");
    let unknown =
        json!({"apiVersion": "example.com/v1", "kind": "Nothing", "metadata": {"name": "y"}});
    let error = bed
        .cluster
        .apply(&unknown, Manager::Objects)
        .await
        .unwrap_err();
    assert!(matches!(error.cause, Refusal::NoSuchKind(_)), "{error}");
    bed.end().await;
}

#[tokio::test]
async fn a_template_that_knative_refuses_is_refused_in_a_dry_run_in_its_words() {
    let bed = bed().await;
    let configuration = json!({"apiVersion": "serving.knative.dev/v1", "kind": "Configuration",
        "metadata": {"name": "hello", "namespace": "default"},
        "spec": {"template": {"spec": {"timeoutSeconds": 700, "containers": [{"image": "hello:1"}]}}}});
    let error = bed
        .cluster
        .dry_run(&configuration, Manager::Objects)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Configuration.serving.knative.dev default/hello: rejected by admission webhook \
         validation.webhook.serving.knative.dev: validation failed: expected 0 <= 700 <= 600: \
         spec.template.spec.timeoutSeconds"
    );
    bed.end().await;
}

#[tokio::test]
async fn a_dry_run_answers_and_leaves_everything_as_it_is() {
    let bed = bed().await;
    assert!(
        bed.cluster
            .dry_run(&config_map("bad", "1"), Manager::Objects)
            .await
            .is_err()
    );
    let answer = bed
        .cluster
        .dry_run(&config_map("good", "1"), Manager::Objects)
        .await
        .unwrap();
    assert_eq!(answer.live.value()["data"]["a"], "1");
    let maps: Api<ConfigMap> = Api::default_namespaced(bed.server.client());
    assert!(maps.get_opt("good").await.unwrap().is_none());
    assert!(bed.cluster.get(&key("good")).is_none());
    bed.end().await;
}

#[tokio::test]
async fn a_deletion_hits_one_incarnation_and_says_what_holds_it() {
    let mut bed = bed().await;
    bed.deliver(&[config_map("a", "1")]).await;
    let first = bed.cluster.get(&key("a")).unwrap();
    let maps: Api<ConfigMap> = Api::default_namespaced(bed.server.client());
    maps.delete("a", &DeleteParams::default()).await.unwrap();
    let mut again = config_map("a", "2");
    again["metadata"]["finalizers"] = json!(["example.com/wait"]);
    bed.someone("kubectl-create", &again, Hand::Apply).await;
    bed.until(|cluster| {
        cluster
            .get(&key("a"))
            .is_some_and(|live| live.uid != first.uid)
    })
    .await;
    let deleted = bed
        .cluster
        .delete(&key("a"), "v1", &first.uid)
        .await
        .unwrap();
    assert_eq!(deleted, Deleted::Replaced);
    let second = bed.cluster.get(&key("a")).unwrap();
    let deleted = bed
        .cluster
        .delete(&key("a"), "v1", &second.uid)
        .await
        .unwrap();
    assert_eq!(
        deleted,
        Deleted::Waiting {
            finalizers: vec!["example.com/wait".into()]
        }
    );
    bed.someone(
        "x",
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata":
        {"name": "a", "namespace": "default", "finalizers": null}}),
        Hand::Merge,
    )
    .await;
    assert!(bed.cluster.wait_gone(&key("a"), PATIENCE).await);
    bed.end().await;
}

#[tokio::test]
async fn an_event_is_written_on_its_object() {
    let bed = bed().await;
    bed.cluster
        .apply(&config_map("a", "1"), Manager::Objects)
        .await
        .unwrap();
    bed.cluster.watch("v1", "Event", None).await.unwrap();
    let recorder = tokio::spawn({
        let cluster = bed.cluster.clone();
        async move { cluster.record_events().await }
    });
    bed.cluster.tell(EventRecord {
        object: key("a"),
        reason: "DriftCorrected".into(),
        message: "data.a was changed by kubectl-edit".into(),
        warning: false,
    });
    bed.until(|cluster| !cluster.list("", "Event", Some("default")).is_empty())
        .await;
    let events: Api<Event> = Api::default_namespaced(bed.server.client());
    let params = ListParams::default().fields("involvedObject.name=a");
    let event = events.list(&params).await.unwrap().items.remove(0);
    assert_eq!(event.reason.as_deref(), Some("DriftCorrected"));
    assert_eq!(
        event.involved_object.uid,
        Some(bed.cluster.get(&key("a")).unwrap().uid.clone())
    );
    bed.stop.cancel();
    recorder.await.unwrap();
    bed.end().await;
}

#[tokio::test]
async fn of_two_agents_one_leads_and_the_other_follows_when_it_steps_down() {
    let bed = bed().await;
    let first = bed.cluster.stand(candidate("one", false));
    becomes(&first, |lead| *lead == Lead::Ours).await;
    let second = bed.cluster.stand(candidate("two", false));
    // It says who leads, and since when.
    becomes(&second, |lead| match lead {
        Lead::Another(holder) => holder.identity == "one" && holder.since.is_some(),
        _ => false,
    })
    .await;
    first.end().await;
    becomes(&second, |lead| *lead == Lead::Ours).await;
    second.dissolve().await;
    let leases: Api<Lease> = Api::namespaced(bed.cluster.client(), "default");
    assert!(leases.get_opt("sluice").await.unwrap().is_none());
    bed.end().await;
}

#[tokio::test]
async fn a_lease_that_another_agent_asks_for_is_handed_over_once_its_holder_has_come_to_rest() {
    let bed = bed().await;
    let first = bed.cluster.stand(candidate("one", false));
    becomes(&first, |lead| *lead == Lead::Ours).await;
    first.at_rest(false);
    let second = bed.cluster.stand(candidate("two", true));
    // The holder hears of the request, and stops acting before anybody else may begin.
    becomes(&first, |lead| *lead == Lead::Unknown).await;
    assert_ne!(*second.lead().borrow(), Lead::Ours);
    first.at_rest(true);
    becomes(&second, |lead| *lead == Lead::Ours).await;
    // It asked once: the one that it was taken from waits, and gets it back where this one ends.
    becomes(
        &first,
        |lead| matches!(lead, Lead::Another(holder) if holder.identity == "two"),
    )
    .await;
    second.end().await;
    becomes(&first, |lead| *lead == Lead::Ours).await;
    first.end().await;
    bed.end().await;
}

fn candidate(identity: &str, take_over: bool) -> Candidacy {
    Candidacy {
        namespace: "default".to_owned(),
        lease: "sluice".to_owned(),
        identity: identity.to_owned(),
        take_over,
    }
}

async fn becomes(election: &Election, wanted: impl FnMut(&Lead) -> bool) {
    let mut lead = election.lead();
    let seen = tokio::time::timeout(PATIENCE, lead.wait_for(wanted));
    seen.await.expect("in time").unwrap();
}
