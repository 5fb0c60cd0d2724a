//! A Delivery is deleted while a release of its is under way: nobody would watch that any more.

use kube::Api;
use kube::api::{DeleteParams, DynamicObject};
use sluice::api::delivery::{Delivery, Expand};
use sluice::api::rollout::{Outcome, Phase};

use crate::harness::{Harness, Hello, Users, in_both_forms};

in_both_forms!(
    a_delivery_that_is_deleted_in_the_middle_of_a_release_leaves_nobody_on_the_new_revision,
    a_delivery_that_is_deleted_while_no_agent_runs_leaves_nobody_on_the_new_revision_either,
);

/// The second release of a service, with its first users on it.
struct UnderWay {
    harness: Harness,
    users: Users,
    stable: Option<String>,
    commit: String,
}

fn hello(target: &str) -> Hello {
    Hello::new("hello", target).annotated("example.com/owner", "the shop")
}

async fn under_way(expand: Expand) -> UnderWay {
    let harness = Harness::brisk(expand).await;
    let first = harness.push("Open the shop", &[hello("one")]);
    let stable = harness.promoted("hello", &first).await.stable.unwrap();
    let users = harness.users("hello", 20);
    let commit = harness.push("Greet two", &[hello("two")]);
    harness
        .until("hello", "its first users", |status| {
            status.phase == Phase::Stepping && status.confirmed_at.is_some()
        })
        .await;
    UnderWay {
        harness,
        users,
        stable: stable.revision,
        commit,
    }
}

impl UnderWay {
    async fn route(&self) -> DynamicObject {
        self.harness.serving("Route").get("hello").await.unwrap()
    }

    async fn delete_delivery(&self) {
        let deliveries: Api<Delivery> =
            Api::namespaced(self.harness.client.clone(), self.harness.namespace());
        deliveries
            .delete("shop", &DeleteParams::default())
            .await
            .unwrap();
    }

    /// Nobody is on the new revision, nobody is to blame, and a Delivery that is made again goes on.
    async fn ends_well(self) {
        let status = self
            .harness
            .until("hello", "rolled back", |status| {
                status.candidate.is_none() && status.phase == Phase::Stable
            })
            .await;
        assert_eq!(
            status.history[0].outcome,
            Outcome::Interrupted,
            "{status:#?}"
        );
        assert!(
            status.quarantine.is_empty(),
            "nobody is to blame: {status:#?}"
        );
        let route = self.route().await;
        let traffic = route.data["status"]["traffic"].as_array().unwrap().clone();
        assert_eq!(traffic.len(), 1, "{traffic:#?}");
        assert_eq!(
            traffic[0]["revisionName"].as_str().map(str::to_owned),
            self.stable
        );
        // Made again, it goes on as if nothing had been.
        self.harness.deliver().await;
        self.harness.promoted("hello", &self.commit).await;
        let answers = self.users.stop().await;
        let harmed = answers.iter().filter(|answer| answer.status != 200);
        assert_eq!(harmed.count(), 0);
        self.harness.end().await;
    }
}

async fn a_delivery_that_is_deleted_in_the_middle_of_a_release_leaves_nobody_on_the_new_revision(
    expand: Expand,
) {
    let release = under_way(expand).await;
    release.delete_delivery().await;
    release.ends_well().await;
}

async fn a_delivery_that_is_deleted_while_no_agent_runs_leaves_nobody_on_the_new_revision_either(
    expand: Expand,
) {
    let mut release = under_way(expand).await;
    let before = release.route().await.metadata;
    release.harness.stop_agent().await;
    release.delete_delivery().await;
    release.harness.start_agent().await;
    release
        .harness
        .until("hello", "rolled back", |status| status.candidate.is_none())
        .await;
    let after = release.route().await.metadata;
    assert_eq!(
        (after.labels, after.annotations),
        (before.labels, before.annotations),
        "what else we said of the Route stays"
    );
    release.ends_well().await;
}
