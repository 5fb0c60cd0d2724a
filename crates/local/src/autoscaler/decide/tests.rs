//! The autoscaler's decisions, told tick by tick.

use expect_test::{Expect, expect};

use super::*;
use crate::autoscaler::spec::AutoscalerConfig;

/// A revision whose instances come up two seconds after they are asked for.
struct Story {
    spec: ScaleSpec,
    state: State,
    second: i64,
    instances: u32,
    asked: Vec<(i64, u32)>,
    last_request: i64,
    told: String,
    last: Option<Decision>,
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn story(change: impl FnOnce(&mut ScaleSpec)) -> Story {
    let object = serde_json::from_value(serde_json::json!({
        "metadata": {"name": "hello-1"}, "spec": {"reachability": "Reachable"},
    }))
    .unwrap();
    let mut spec = ScaleSpec::read(&object, &AutoscalerConfig::default());
    change(&mut spec);
    Story {
        spec,
        state: State::new(at(0)),
        second: 0,
        instances: 0,
        asked: Vec::new(),
        last_request: 0,
        told: String::new(),
        last: None,
    }
}

impl Story {
    /// One second, with so many requests at a time.
    fn second(&mut self, requests: u32, starts: bool) {
        if let Some((_, ready)) = self
            .asked
            .iter()
            .rev()
            .find(|(at, _)| at + 2 <= self.second)
            && (starts || *ready < self.instances)
        {
            self.instances = *ready;
        }
        if requests > 0 {
            self.last_request = self.second;
        }
        let idle = Duration::from_secs(u64::try_from(self.second - self.last_request).unwrap());
        let seen = Seen {
            ready: self.instances,
            requests,
            idle,
        };
        let decision = decide(&self.spec, seen, &mut self.state, at(self.second));
        if self.last != Some(decision) {
            let Decision {
                desired,
                activity,
                initialized,
            } = decision;
            let initial = if initialized {
                ""
            } else {
                ", initial scale not reached"
            };
            let line = format!(
                "{:02}:{:02} {desired} wanted, {activity:?}{initial}\n",
                self.second / 60,
                self.second % 60
            );
            self.told.push_str(&line);
        }
        if self
            .last
            .is_none_or(|last| last.desired != decision.desired)
        {
            self.asked.push((self.second, decision.desired));
        }
        self.last = Some(decision);
        self.second += 1;
    }

    fn run(mut self, seconds: u32, requests: u32) -> Story {
        (0..seconds).for_each(|_| self.second(requests, true));
        self
    }

    fn run_without_starting(mut self, seconds: u32, requests: u32) -> Story {
        (0..seconds).for_each(|_| self.second(requests, false));
        self
    }

    fn then(mut self, change: impl FnOnce(&mut ScaleSpec)) -> Story {
        change(&mut self.spec);
        self
    }

    fn tells(self, expected: Expect) {
        expected.assert_eq(&self.told);
    }
}

#[test]
fn a_new_revision_starts_one_instance_and_goes_to_zero_after_the_window() {
    story(|_| {}).run(100, 0).tells(expect![[r#"
            00:00 1 wanted, Activating, initial scale not reached
            00:02 1 wanted, Active
            01:02 0 wanted, Idle
    "#]]);
}

#[test]
fn a_request_wakes_a_revision_and_keeps_it_for_a_window() {
    story(|_| {})
        .run(70, 0)
        .run(5, 1)
        .run(80, 0)
        .tells(expect![[r#"
            00:00 1 wanted, Activating, initial scale not reached
            00:02 1 wanted, Active
            01:02 0 wanted, Idle
            01:10 1 wanted, Activating
            01:12 1 wanted, Active
            02:15 0 wanted, Idle
    "#]]);
}

#[test]
fn a_request_under_way_holds_the_last_instance() {
    let mut long = story(|_| {}).run(2, 0).run(300, 1);
    assert_eq!(long.last.unwrap().desired, 1);
    // The request came long ago and is still there.
    long.last_request = 0;
    let seen = Seen {
        ready: 1,
        requests: 1,
        idle: Duration::from_secs(290),
    };
    assert_eq!(
        decide(&long.spec, seen, &mut long.state, at(302)).desired,
        1
    );
}

#[test]
fn initial_scale_is_reached_before_the_revision_is_ready() {
    story(|spec| spec.initial = 3).run(70, 0).tells(expect![[r#"
            00:00 3 wanted, Activating, initial scale not reached
            00:02 3 wanted, Active
            00:03 1 wanted, Active
            01:02 0 wanted, Idle
    "#]]);
}

#[test]
fn the_last_instance_stays_for_its_retention_while_somebody_may_ask() {
    story(|spec| spec.retention = Duration::from_secs(30))
        .run(100, 0)
        .tells(expect![[r#"
            00:00 1 wanted, Activating, initial scale not reached
            00:02 1 wanted, Active
            01:30 0 wanted, Idle
        "#]]);
}

#[test]
fn min_scale_stays_until_nobody_can_reach_it() {
    story(|spec| spec.min = 2)
        .run(200, 0)
        .then(|spec| spec.reachability = Reachability::Unreachable)
        .run(10, 0)
        .tells(expect![[r#"
            00:00 2 wanted, Activating, initial scale not reached
            00:02 2 wanted, Active
            03:20 0 wanted, Idle
        "#]]);
}

#[test]
fn max_scale_bounds_what_load_asks_for() {
    story(|spec| spec.max = Some(3))
        .run(4, 0)
        .run(20, 700)
        .tells(expect![[r#"
            00:00 1 wanted, Activating, initial scale not reached
            00:02 1 wanted, Active
            00:04 2 wanted, Active
            00:05 3 wanted, Active
    "#]]);
}

#[test]
fn more_load_gets_more_instances_and_less_load_gives_them_back() {
    story(|_| {})
        .run(4, 1)
        .run(10, 400)
        .run(200, 0)
        .tells(expect![[r#"
            00:00 1 wanted, Activating, initial scale not reached
            00:02 1 wanted, Active
            00:04 2 wanted, Active
            00:06 3 wanted, Active
            00:07 4 wanted, Active
            00:08 5 wanted, Active
            00:10 6 wanted, Active
            00:14 5 wanted, Active
            00:16 4 wanted, Active
            01:08 2 wanted, Active
            01:10 1 wanted, Active
            01:14 0 wanted, Idle
    "#]]);
}

#[test]
fn an_activation_that_leads_nowhere_is_given_up_and_stays_so() {
    story(|spec| spec.progress_deadline = Duration::from_secs(60))
        .run_without_starting(100, 0)
        .then(|spec| spec.reachability = Reachability::Unreachable)
        .run_without_starting(1, 0)
        .then(|spec| spec.reachability = Reachability::Reachable)
        .run_without_starting(100, 0)
        .tells(expect![[r#"
            00:00 1 wanted, Activating, initial scale not reached
            01:40 0 wanted, TimedOut, initial scale not reached
        "#]]);
}

#[test]
fn requests_that_leave_before_it_is_up_are_not_waited_for_for_ever() {
    story(|spec| spec.progress_deadline = Duration::from_secs(30))
        .run(70, 0)
        .run_without_starting(1, 1)
        .run_without_starting(70, 0)
        .tells(expect![[r#"
            00:00 1 wanted, Activating, initial scale not reached
            00:02 1 wanted, Active
            01:02 0 wanted, Idle
            01:10 1 wanted, Activating
            02:11 0 wanted, TimedOut
        "#]]);
}

#[test]
fn without_scale_to_zero_one_stays() {
    story(|spec| spec.scale_to_zero = false)
        .run(300, 0)
        .tells(expect![[r#"
            00:00 1 wanted, Activating, initial scale not reached
            00:02 1 wanted, Active
    "#]]);
}

proptest::proptest! {
    #[test]
    fn bounds_hold_and_requests_always_find_an_instance_wanted(
        min in 0u32..4, over in 0u32..4, initial in 0u32..4,
        load in proptest::collection::vec(0u32..2_000, 1..200),
    ) {
        let max = min.max(1) + over;
        let mut story = story(|spec| {
            (spec.min, spec.max, spec.initial) = (min, Some(max), initial);
        });
        for requests in load {
            story.second(requests, true);
            let desired = story.last.unwrap().desired;
            proptest::prop_assert!(desired <= max);
            proptest::prop_assert!(desired >= min);
            proptest::prop_assert!(requests == 0 || desired >= 1);
        }
    }
}
