//! What holds in every story, told or not: the invariants, by random order of events and by
//! killing the agent after each of its calls.

use std::time::Duration;

use proptest::prelude::*;

use super::world::{Behaviour, World, failing, good, slow};
use crate::api::rollout::{Action, HoldReason, Phase, RolloutStatus};

/// Something that happens to a release.
#[derive(Clone, Debug)]
enum Happening {
    Commit(u8),
    Ask(Action),
    UndoTo(u8),
    Pause(bool),
    Suspend(bool),
    ByHand(u8, u8),
    DeleteRevision(u8),
    DeleteRoute,
    DeleteEverything,
    Break(u8, bool),
    Stick(bool),
    Blind(bool),
    Away(bool),
    ClockJump(i32),
    Users(u8),
    Die(u8),
    /// The status store refuses, or takes what it is given again.
    Refuse(bool),
    /// The agent begins anew, and what it had stored is gone.
    Forget,
    /// The agent begins anew with what was stored a while ago: from a backup, say.
    Remember,
    /// No traffic block but one for all of it at one revision is taken.
    RefuseSplits(bool),
    /// The caches are so many seconds behind.
    Lag(u8),
    /// An agent that is older than what it reads.
    Downgrade(bool),
    /// Git cannot be read.
    SourceAway(bool),
    /// What was good for as long as it takes is not any more, or is again.
    Turn(u8, Late),
}

/// How a template behaves from some time on.
#[derive(Clone, Copy, Debug)]
enum Late {
    Well,
    Fails,
    Crashes,
    Slows,
}

const VERSIONS: [&str; 8] = ["v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8"];

/// Every template has its own way of being.
fn behaviour(version: u8) -> Behaviour {
    match version {
        0 | 1 | 5 => good(),
        2 => failing(100),
        3 => Behaviour {
            hidden: true,
            ..failing(30)
        },
        4 => Behaviour {
            ready_after: None,
            ..good()
        },
        6 => Behaviour {
            crashes: vec![6, 14],
            ..good()
        },
        _ => slow(900.0),
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let action = prop_oneof![
        Just(Action::Promote),
        Just(Action::Abort),
        Just(Action::Retry),
        Just(Action::Undo)
    ];
    let late = prop_oneof![
        Just(Late::Well),
        Just(Late::Fails),
        Just(Late::Crashes),
        Just(Late::Slows)
    ];
    prop_oneof![
        6 => (0u8..8).prop_map(Commit),
        3 => action.prop_map(Ask),
        1 => (1u8..6).prop_map(UndoTo),
        1 => any::<bool>().prop_map(Pause),
        1 => any::<bool>().prop_map(Suspend),
        2 => (0u8..6, 0u8..=100).prop_map(|(revision, percent)| ByHand(revision, percent)),
        1 => (1u8..6).prop_map(DeleteRevision),
        1 => Just(DeleteRoute),
        1 => Just(DeleteEverything),
        1 => (0u8..8, any::<bool>()).prop_map(|(version, on)| Break(version, on)),
        1 => any::<bool>().prop_map(Stick),
        1 => any::<bool>().prop_map(Blind),
        1 => any::<bool>().prop_map(Away),
        1 => (-5000i32..5000).prop_map(ClockJump),
        1 => (0u8..30).prop_map(Users),
        3 => (1u8..4).prop_map(Die),
        2 => any::<bool>().prop_map(Refuse),
        1 => Just(Forget),
        1 => Just(Remember),
        1 => any::<bool>().prop_map(RefuseSplits),
        1 => (0u8..8).prop_map(Lag),
        1 => any::<bool>().prop_map(Downgrade),
        1 => any::<bool>().prop_map(SourceAway),
        3 => (0u8..8, late).prop_map(|(version, late)| Turn(version, late)),
    ]
}

fn apply(world: &mut World, what: &Happening) {
    let name = |number: u8| format!("hello-{number:05}");
    match what {
        Happening::Commit(version) => {
            world.commit(VERSIONS[usize::from(*version)], behaviour(*version));
        }
        Happening::Ask(action) => world.ask(*action, None),
        Happening::UndoTo(number) => world.ask(Action::Undo, Some(&name(*number))),
        Happening::Pause(on) => world.spec.paused = *on,
        Happening::Suspend(on) => world.git.suspended = *on,
        Happening::ByHand(0, _) => world.by_hand(&[("latest", 100)]),
        Happening::ByHand(number, percent) => {
            let percent = i64::from(*percent);
            world.by_hand(&[(&name(*number), percent), (&name(1), 100 - percent)]);
        }
        Happening::DeleteRevision(number) => world.delete_revision(&name(*number)),
        Happening::DeleteRoute => world.delete_route(),
        Happening::DeleteEverything => world.delete_everything(),
        Happening::Break(version, on) => {
            world.breaks(VERSIONS[usize::from(*version)], on.then_some("ExitCode9"));
        }
        Happening::Stick(on) => world.stuck = *on,
        Happening::Blind(on) => world.blind = *on,
        Happening::Away(on) => {
            world.away = *on;
            world.clock_jumps(0);
        }
        Happening::ClockJump(seconds) => world.clock_jumps(i64::from(*seconds)),
        Happening::Users(users) => world.users = u64::from(*users),
        Happening::Refuse(on) => world.stores_nothing = *on,
        Happening::Forget => world.forgets(RolloutStatus::default()),
        Happening::Remember => world.remembers_an_older_state(),
        Happening::RefuseSplits(on) => world.refuses_splits = *on,
        Happening::Lag(seconds) => world.lag = usize::from(*seconds),
        Happening::Downgrade(on) => {
            world.git.memory_problem = on.then(|| "status.phase: unknown variant".to_owned());
            world.restart();
        }
        Happening::SourceAway(on) => {
            world.git.source_problem = on.then(|| "the forge is away".to_owned());
        }
        Happening::Turn(version, late) => {
            let behaviour = match late {
                Late::Well => good(),
                Late::Fails => failing(60),
                Late::Crashes => Behaviour {
                    crashes: vec![0, 0],
                    ..good()
                },
                Late::Slows => slow(900.0),
            };
            world.behaves(VERSIONS[usize::from(*version)], behaviour);
        }
        Happening::Die(calls) => world.dies_after = Some(world.calls + usize::from(*calls)),
    }
}

/// Everything that people or outages held up is lifted.
fn heal(world: &mut World) {
    world.spec.paused = false;
    world.git.suspended = false;
    world.stuck = false;
    world.blind = false;
    world.away = false;
    world.stores_nothing = false;
    world.refuses_splits = false;
    world.lag = 0;
    world.git.memory_problem = None;
    world.git.source_problem = None;
    world.route_is_taken_again();
    world.clock_jumps(0);
    for version in VERSIONS {
        world.breaks(version, None);
    }
}

/// Where a release may stay without anybody being at fault for it.
fn rests(world: &World) -> bool {
    match world.status.phase {
        Phase::Stable | Phase::RolledBack | Phase::Failed => world.status.watch.is_none(),
        Phase::Holding => match world.status.hold.as_ref().map(|hold| hold.reason) {
            Some(HoldReason::Evidence) => true,
            // A memory of another time may name a stable revision that is never Ready: it is said.
            Some(HoldReason::Unconfirmed) => !world.stable_is_ready(),
            _ => false,
        },
        _ => false,
    }
}

proptest! {
    // A quarter of the usual number (PROPTEST_CASES): a case is ten minutes of a small cluster.
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 4))]

    /// Invariants 1 and 5 under any order of events: no revision gets users before its
    /// evidence, sums are 100, weights rise on passing evidence only, a newer template
    /// inherits none, and once nothing disturbs it any more every phase ends.
    #[test]
    fn whatever_happens_nothing_unanalysed_serves_and_every_phase_ends(
        happenings in proptest::collection::vec((0u64..150, happening()), 0..14),
        first in any::<bool>(),
        watch in prop_oneof![Just(0u64), Just(20), Just(100)],
    ) {
        let mut world = if first { World::new("demo") } else { World::at_rest("demo") };
        world.policy.watch = Duration::from_secs(watch);
        world.per_pod = Some(7);
        world.min_scales.insert("v2".to_owned(), "2".to_owned());
        for (second, what) in &happenings {
            let what = what.clone();
            world = world.at(*second, move |world| apply(world, &what));
        }
        world.run(150);
        heal(&mut world);
        world.run(300);
        prop_assert!(world.broken.is_empty(), "{}", world.told());
        prop_assert!(rests(&world), "{}", world.told());
        if world.status.phase.rests() {
            prop_assert!(world.left_warm().is_empty(), "{:?} {}", world.left_warm(), world.told());
        }
        // At rest it is silent: not one more call.
        let calls = world.calls;
        world.run(60);
        if world.status.phase != Phase::Holding {
            prop_assert_eq!(calls, world.calls, "{}", world.told());
        }
    }
}

/// Kills the agent after each of its calls in turn, and expects the same end every time.
fn ends_the_same(scenario: impl Fn() -> World, seconds: u64) {
    let mut whole = scenario();
    whole.run(seconds);
    assert!(rests(&whole) && whole.broken.is_empty(), "{}", whole.told());
    assert!(whole.left_warm().is_empty(), "{}", whole.told());
    let calls = whole.calls;
    assert!(calls > 2, "nothing to kill: {}", whole.told());
    for call in 1..=calls {
        let mut killed = scenario();
        killed.dies_after = Some(call);
        // What it lost it makes good: a window that starts anew, two seconds of being dead.
        killed.run(seconds + 60);
        assert!(
            killed.broken.is_empty(),
            "killed after call {call}:\n{}",
            killed.told()
        );
        assert!(
            killed.left_warm().is_empty(),
            "killed after call {call}:\n{}",
            killed.told()
        );
        assert_eq!(
            whole.end(),
            killed.end(),
            "killed after call {call}:\n{}",
            killed.told()
        );
    }
}

#[test]
fn a_first_delivery_survives_the_agent_s_death_at_any_call() {
    ends_the_same(|| World::new("demo"), 40);
}

#[test]
fn a_good_release_survives_the_agent_s_death_at_any_call() {
    ends_the_same(|| World::at_rest("demo").push("v2", good()), 60);
}

#[test]
fn a_rollback_survives_the_agent_s_death_at_any_call() {
    ends_the_same(|| World::at_rest("demo").push("v2", failing(100)), 60);
    let hidden = || Behaviour {
        hidden: true,
        ..failing(100)
    };
    ends_the_same(move || World::at_rest("demo").push("v2", hidden()), 60);
    let crashes = || Behaviour {
        ready_after: None,
        crashes: vec![2, 5],
        ..good()
    };
    ends_the_same(move || World::at_rest("demo").push("v2", crashes()), 60);
}

#[test]
fn a_watch_and_its_rollback_survive_the_agent_s_death_at_any_call() {
    let watched = || {
        let mut world = World::at_rest("demo").push("v2", good());
        world.policy.watch = Duration::from_secs(30);
        world
    };
    ends_the_same(watched, 120);
    let late = |behaviour: fn() -> Behaviour| {
        // Killed before, it is watched later as well.
        ends_the_same(
            move || watched().at(45, move |world| world.behaves("v2", behaviour())),
            120,
        );
    };
    late(|| failing(100));
    late(|| Behaviour {
        crashes: vec![0, 0],
        ..good()
    });
    ends_the_same(
        move || watched().at(45, |world| world.ask(Action::Undo, None)),
        120,
    );
    ends_the_same(
        move || watched().at(45, |world| world.commit("v3", good())),
        150,
    );
}

#[test]
fn an_adoption_survives_the_agent_s_death_at_any_call() {
    ends_the_same(
        || {
            let mut world = World::new("demo").at(0, |world| world.commit("v2", good()));
            world.foreign(&[("latest", 100)]);
            world
        },
        60,
    );
}

#[test]
fn a_revert_an_undo_and_a_retry_survive_the_agent_s_death_at_any_call() {
    let released = || World::at_rest("demo").push("v2", good());
    ends_the_same(
        move || released().at(90, |world| world.commit("v1", good())),
        150,
    );
    ends_the_same(
        move || released().at(90, |world| world.ask(Action::Undo, None)),
        150,
    );
    let retried = || {
        World::at_rest("demo")
            .push("v2", failing(100))
            .at(90, |world| {
                world.behaves("v2", good());
                world.ask(Action::Retry, None);
            })
    };
    ends_the_same(retried, 150);
}
