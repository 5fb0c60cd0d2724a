//! What Knative's controllers make of the same events: the same changes to both clusters, the bed with
//! its controllers at work and a whole local one, and what there is once they have settled.

mod events;
mod picture;
mod place;
mod unusual;

use std::fmt::Write as _;
use std::path::PathBuf;

use similar::TextDiff;
use sluice::local::cluster::{DOMAIN, LocalCluster, LocalConfig};

use crate::harness::NAMESPACE;
use crate::harness::real::{self, Real};
use events::{Story, stories};
use place::Place;

/// Plays a story on both and tells where they differ, event by event.
async fn play(ours: &Place, real: &Place, story: &Story) -> String {
    let mut told = String::new();
    for (at, event) in story.events.iter().enumerate() {
        tokio::join!(ours.take(event), real.take(event));
        let (here, there) = tokio::join!(
            ours.settled(story.prefix, event),
            real.settled(story.prefix, event)
        );
        if here != there {
            let diff = TextDiff::from_lines(&here, &there);
            let diff = diff
                .unified_diff()
                .context_radius(4)
                .header("here", "Knative")
                .to_string();
            writeln!(
                told,
                "=== {}, event {}: {event}\n{diff}",
                story.prefix,
                at + 1
            )
            .unwrap();
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by `make conformance`: it wants a bed of its own"]
async fn services_are_reconciled_alike() {
    assert!(
        real::is_here(),
        "it wants a bed of its own: `make conformance`"
    );
    let folder = tempfile::tempdir().unwrap();
    let local = LocalCluster::start(LocalConfig {
        data_dir: Some(folder.path().join("cluster")),
        program: Some(PathBuf::from(env!("CARGO_BIN_EXE_sluice"))),
        ..LocalConfig::default()
    })
    .await
    .unwrap();
    let bed = Real::start(true).await;
    let ours = Place::new(local.client(), NAMESPACE, DOMAIN, "system:local");
    let theirs = Place::new(bed.client.clone(), &bed.namespace, &bed.domain, "admin");
    let wanted = std::env::var("SLUICE_CONFORMANCE_STORY").unwrap_or_default();
    let (mut told, mut count) = (String::new(), 0);
    for story in stories() {
        if story.prefix.contains(&wanted) {
            count += story.events.len();
            told.push_str(&play(&ours, &theirs, &story).await);
        }
    }
    local.shutdown().await;
    bed.end().await;
    println!("{count} events");
    assert!(told.is_empty(), "not alike:\n{told}");
}
