//! Stories of Pods: what happens to their containers, and what the status says then.

use std::fmt::Write;
use std::time::Duration;

use expect_test::{Expect, expect};
use k8s_openapi::api::core::v1::PodStatus;
use serde_json::{Value, json};

use super::container::StartFailure;
use super::probe::ProbeKind;
use super::*;
use crate::node::runtime::Exit;

/// A Pod's life, told line by line.
struct Story {
    life: PodLife,
    status: PodStatus,
    now: Timestamp,
    told: String,
}

const ZERO: i64 = 1_700_000_000;

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "web", "namespace": "shop", "uid": "u1"},
        "spec": spec,
    }))
    .unwrap()
}

fn story(spec: Value) -> Story {
    begin(&pod(spec))
}

fn begin(pod: &Pod) -> Story {
    let now = Timestamp::from_second(ZERO).unwrap();
    let life = PodLife::new(pod, BackoffPolicy::default(), now);
    let status = pod.status.clone().unwrap_or_default();
    Story {
        life,
        status,
        now,
        told: String::new(),
    }
    .go()
}

impl Story {
    fn at(mut self, second: i64) -> Self {
        self.now = Timestamp::from_second(ZERO + second).unwrap();
        self.go()
    }

    fn happens(mut self, index: usize, what: Happening) -> Self {
        let effects = self.life.happened(index, what, self.now);
        self.tell(&effects, None);
        self.go()
    }

    fn starts(self, index: usize) -> Self {
        self.happens(
            index,
            Happening::Started {
                id: "process://7".into(),
                image_id: "i@sha256:1".into(),
            },
        )
    }

    fn exits(self, index: usize, code: i32) -> Self {
        let message = if code == 0 {
            String::new()
        } else {
            "oh no".into()
        };
        self.happens(
            index,
            Happening::Exited {
                exit: Exit::Code(code),
                message,
            },
        )
    }

    fn verdict(self, kind: ProbeKind, good: bool) -> Self {
        self.happens(0, Happening::Verdict(kind, good))
    }

    fn deleted(mut self) -> Self {
        self.life.end();
        self.go()
    }

    fn go(mut self) -> Self {
        let (effects, wake) = self.life.next(self.now);
        self.status = status::render(&self.life, &self.status, self.now);
        self.tell(&effects, wake);
        let line = summary(&self.status);
        let second = self.now.as_second() - ZERO;
        writeln!(self.told, "{second:>3} s  {line}").unwrap();
        self
    }

    fn tell(&mut self, effects: &[Effect], wake: Option<Timestamp>) {
        for effect in effects {
            match effect {
                Effect::Tell(note) => {
                    writeln!(self.told, "       event {}: {}", note.reason, note.message)
                }
                other => writeln!(self.told, "       {other:?}"),
            }
            .unwrap();
        }
        if let Some(wake) = wake {
            writeln!(self.told, "       again at {} s", wake.as_second() - ZERO).unwrap();
        }
    }

    fn check(self, expected: Expect) {
        // `expect!` takes the indentation away that all lines share; so must this.
        let shared = self
            .told
            .lines()
            .map(|line| line.len() - line.trim_start().len())
            .min();
        let told: String = self
            .told
            .lines()
            .map(|line| format!("{}\n", &line[shared.unwrap_or(0)..]))
            .collect();
        expected.assert_eq(&told);
    }
}

/// Phase, whether ready, and each container in a few words.
fn summary(status: &PodStatus) -> String {
    let conditions = status.conditions.as_deref().unwrap();
    let ready = conditions.iter().find(|one| one.type_ == "Ready").unwrap();
    let mut line = format!(
        "{} ready={}",
        status.phase.as_deref().unwrap(),
        ready.status
    );
    let all = status
        .init_container_statuses
        .iter()
        .chain(&status.container_statuses)
        .flatten();
    for one in all {
        let state = one.state.as_ref().unwrap();
        let words = if let Some(waiting) = &state.waiting {
            let message = waiting
                .message
                .as_ref()
                .map(|message| format!(" ({message})"));
            format!(
                "{}{}",
                waiting.reason.as_deref().unwrap(),
                message.unwrap_or_default()
            )
        } else if let Some(ended) = &state.terminated {
            format!("{} {}", ended.reason.as_deref().unwrap(), ended.exit_code)
        } else {
            format!(
                "runs{}",
                if one.started == Some(true) {
                    ""
                } else {
                    ", not started"
                }
            )
        };
        write!(line, "; {} #{} {words}", one.name, one.restart_count).unwrap();
        let last = one
            .last_state
            .as_ref()
            .and_then(|last| last.terminated.as_ref());
        if let Some(last) = last {
            write!(
                line,
                ", was {} {}",
                last.reason.as_deref().unwrap(),
                last.exit_code
            )
            .unwrap();
        }
    }
    line
}

fn one() -> Value {
    json!({"containers": [{"name": "main", "image": "app:1"}]})
}

#[test]
fn a_pod_starts_and_is_ready() {
    story(one()).starts(0).check(expect![[r#"
               Start(0)
          0 s  Pending ready=False; main #0 ContainerCreating
               event Pulled: Container image "app:1" already present on machine
               event Created: Created container: main
               event Started: Started container main
          0 s  Running ready=True; main #0 runs
    "#]]);
}

#[test]
fn a_crash_loop_waits_longer_each_time() {
    story(one())
        .starts(0)
        .at(1)
        .exits(0, 3)
        .starts(0)
        .at(2)
        .exits(0, 3)
        .at(11)
        .at(12)
        .starts(0)
        .at(13)
        .exits(0, 3)
        .check(expect![[r#"
                   Start(0)
              0 s  Pending ready=False; main #0 ContainerCreating
                   event Pulled: Container image "app:1" already present on machine
                   event Created: Created container: main
                   event Started: Started container main
              0 s  Running ready=True; main #0 runs
              1 s  Running ready=True; main #0 runs
                   Start(0)
              1 s  Running ready=False; main #1 ContainerCreating, was Error 3
                   event Pulled: Container image "app:1" already present on machine
                   event Created: Created container: main
                   event Started: Started container main
              1 s  Running ready=True; main #1 runs, was Error 3
              2 s  Running ready=True; main #1 runs, was Error 3
                   Waits(0)
                   event BackOff: Back-off restarting failed container main in pod web_shop(u1)
                   again at 12 s
              2 s  Running ready=False; main #1 CrashLoopBackOff (back-off 10s restarting failed container=main pod=web_shop(u1)), was Error 3
                   again at 12 s
             11 s  Running ready=False; main #1 CrashLoopBackOff (back-off 10s restarting failed container=main pod=web_shop(u1)), was Error 3
                   Start(0)
             12 s  Running ready=False; main #2 ContainerCreating, was Error 3
                   event Pulled: Container image "app:1" already present on machine
                   event Created: Created container: main
                   event Started: Started container main
             12 s  Running ready=True; main #2 runs, was Error 3
             13 s  Running ready=True; main #2 runs, was Error 3
                   Waits(0)
                   event BackOff: Back-off restarting failed container main in pod web_shop(u1)
                   again at 33 s
             13 s  Running ready=False; main #2 CrashLoopBackOff (back-off 20s restarting failed container=main pod=web_shop(u1)), was Error 3
        "#]]);
}

#[test]
fn readiness_comes_and_goes_and_restarts_nothing() {
    let spec = json!({"containers": [{"name": "main", "image": "app:1",
        "readinessProbe": {"tcpSocket": {"port": 0}}}]});
    story(spec)
        .starts(0)
        .at(1)
        .verdict(ProbeKind::Readiness, true)
        .at(9)
        .happens(
            0,
            Happening::Unhealthy(
                ProbeKind::Readiness,
                "HTTP probe failed with statuscode: 503".into(),
            ),
        )
        .verdict(ProbeKind::Readiness, false)
        .check(expect![[r#"
                   Start(0)
              0 s  Pending ready=False; main #0 ContainerCreating
                   event Pulled: Container image "app:1" already present on machine
                   event Created: Created container: main
                   event Started: Started container main
              0 s  Running ready=False; main #0 runs
              1 s  Running ready=False; main #0 runs
              1 s  Running ready=True; main #0 runs
              9 s  Running ready=True; main #0 runs
                   event Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503
              9 s  Running ready=True; main #0 runs
              9 s  Running ready=False; main #0 runs
        "#]]);
}

#[test]
fn a_failed_liveness_probe_stops_and_restarts_the_container() {
    let spec = json!({"containers": [{"name": "main", "image": "app:1",
        "startupProbe": {"tcpSocket": {"port": 0}}, "livenessProbe": {"tcpSocket": {"port": 0}}}]});
    story(spec)
        .starts(0)
        .verdict(ProbeKind::Startup, true)
        .at(30)
        .verdict(ProbeKind::Liveness, false)
        .at(31)
        .happens(
            0,
            Happening::Exited {
                exit: Exit::Signal(15),
                message: String::new(),
            },
        )
        .check(expect![[r#"
                   Start(0)
              0 s  Pending ready=False; main #0 ContainerCreating
                   event Pulled: Container image "app:1" already present on machine
                   event Created: Created container: main
                   event Started: Started container main
              0 s  Running ready=False; main #0 runs, not started
              0 s  Running ready=True; main #0 runs
             30 s  Running ready=True; main #0 runs
                   Stop { container: 0, probe: Some(Liveness) }
                   event Killing: Container main failed liveness probe, will be restarted
             30 s  Running ready=True; main #0 runs
             31 s  Running ready=True; main #0 runs
                   Start(0)
             31 s  Running ready=False; main #1 ContainerCreating, was Error 143
        "#]]);
}

#[test]
fn init_containers_run_in_order_and_again_until_they_succeed() {
    let spec = json!({
        "initContainers": [{"name": "one", "image": "a"}, {"name": "two", "image": "b"}],
        "containers": [{"name": "main", "image": "app:1"}],
    });
    story(spec).starts(0).exits(0, 1).starts(0).exits(0, 0).starts(1).exits(1, 0).starts(2).check(expect![[r#"
               Start(0)
          0 s  Pending ready=False; one #0 ContainerCreating; two #0 PodInitializing; main #0 PodInitializing
               event Pulled: Container image "a" already present on machine
               event Created: Created container: one
               event Started: Started container one
          0 s  Pending ready=False; one #0 runs; two #0 PodInitializing; main #0 PodInitializing
               Start(0)
          0 s  Pending ready=False; one #1 ContainerCreating, was Error 1; two #0 PodInitializing; main #0 PodInitializing
               event Pulled: Container image "a" already present on machine
               event Created: Created container: one
               event Started: Started container one
          0 s  Pending ready=False; one #1 runs, was Error 1; two #0 PodInitializing; main #0 PodInitializing
               Start(1)
          0 s  Pending ready=False; one #1 Completed 0, was Error 1; two #0 ContainerCreating; main #0 PodInitializing
               event Pulled: Container image "b" already present on machine
               event Created: Created container: two
               event Started: Started container two
          0 s  Pending ready=False; one #1 Completed 0, was Error 1; two #0 runs; main #0 PodInitializing
               Start(2)
          0 s  Pending ready=False; one #1 Completed 0, was Error 1; two #0 Completed 0; main #0 ContainerCreating
               event Pulled: Container image "app:1" already present on machine
               event Created: Created container: main
               event Started: Started container main
          0 s  Running ready=True; one #1 Completed 0, was Error 1; two #0 Completed 0; main #0 runs
    "#]]);
}

#[test]
fn an_init_container_that_must_not_be_restarted_fails_the_pod() {
    let spec = json!({
        "restartPolicy": "Never",
        "initContainers": [{"name": "one", "image": "a"}],
        "containers": [{"name": "main", "image": "app:1"}],
    });
    story(spec)
        .starts(0)
        .exits(0, 1)
        .deleted()
        .check(expect![[r#"
                   Start(0)
              0 s  Pending ready=False; one #0 ContainerCreating; main #0 PodInitializing
                   event Pulled: Container image "a" already present on machine
                   event Created: Created container: one
                   event Started: Started container one
              0 s  Pending ready=False; one #0 runs; main #0 PodInitializing
              0 s  Failed ready=False; one #0 Error 1; main #0 PodInitializing
                   Finish
              0 s  Failed ready=False; one #0 Error 1; main #0 PodInitializing
        "#]]);
}

#[test]
fn what_ends_well_under_on_failure_is_over() {
    let spec =
        json!({"restartPolicy": "OnFailure", "containers": [{"name": "main", "image": "a"}]});
    story(spec)
        .starts(0)
        .exits(0, 1)
        .starts(0)
        .exits(0, 0)
        .check(expect![[r#"
                   Start(0)
              0 s  Pending ready=False; main #0 ContainerCreating
                   event Pulled: Container image "a" already present on machine
                   event Created: Created container: main
                   event Started: Started container main
              0 s  Running ready=True; main #0 runs
                   Start(0)
              0 s  Running ready=False; main #1 ContainerCreating, was Error 1
                   event Pulled: Container image "a" already present on machine
                   event Created: Created container: main
                   event Started: Started container main
              0 s  Running ready=True; main #1 runs, was Error 1
              0 s  Succeeded ready=False; main #1 Completed 0, was Error 1
        "#]]);
}

#[test]
fn an_unknown_image_is_tried_again_ever_later() {
    let unknown = || Happening::Failed(StartFailure::Image("no command is known".into()));
    story(one()).happens(0, unknown()).at(10).happens(0, unknown()).check(expect![[r#"
               Start(0)
          0 s  Pending ready=False; main #0 ContainerCreating
               event Failed: Failed to pull image "app:1": no command is known
               again at 10 s
          0 s  Pending ready=False; main #0 ErrImagePull (no command is known)
               Start(0)
         10 s  Pending ready=False; main #0 ContainerCreating
               event BackOff: Back-off pulling image "app:1"
               again at 30 s
         10 s  Pending ready=False; main #0 ImagePullBackOff (Back-off pulling image "app:1": ErrImagePull: no command is known)
    "#]]);
}

#[test]
fn a_container_that_asks_for_what_it_may_not_is_not_created() {
    let refused = || Happening::Failed(StartFailure::NotAllowed("`command` is not allowed".into()));
    story(one())
        .happens(0, refused())
        .at(10)
        .happens(0, refused())
        .check(expect![[r#"
                  Start(0)
             0 s  Pending ready=False; main #0 ContainerCreating
                  event Failed: Error: `command` is not allowed
                  again at 10 s
             0 s  Pending ready=False; main #0 CreateContainerError (`command` is not allowed)
                  Start(0)
            10 s  Pending ready=False; main #0 ContainerCreating
                  event Failed: Error: `command` is not allowed
                  again at 30 s
            10 s  Pending ready=False; main #0 CreateContainerError (`command` is not allowed)
        "#]]);
}

#[test]
fn a_missing_config_map_is_waited_for() {
    let missing = Happening::Failed(StartFailure::Config("configmap \"x\" not found".into()));
    story(one())
        .happens(0, missing)
        .at(1)
        .starts(0)
        .check(expect![[r#"
                   Start(0)
              0 s  Pending ready=False; main #0 ContainerCreating
                   event Failed: Error: configmap "x" not found
                   again at 1 s
              0 s  Pending ready=False; main #0 CreateContainerConfigError (configmap "x" not found)
                   Start(0)
              1 s  Pending ready=False; main #0 ContainerCreating
                   event Pulled: Container image "app:1" already present on machine
                   event Created: Created container: main
                   event Started: Started container main
              1 s  Running ready=True; main #0 runs
        "#]]);
}

#[test]
fn a_command_that_cannot_run_is_a_crash() {
    let missing = || Happening::Failed(StartFailure::Command("exec: \"x\": not found".into()));
    story(one()).happens(0, missing()).at(1).happens(0, missing()).check(expect![[r#"
               Start(0)
          0 s  Pending ready=False; main #0 ContainerCreating
               event Failed: Error: exec: "x": not found
               Start(0)
          0 s  Running ready=False; main #1 ContainerCreating, was StartError 128
          1 s  Running ready=False; main #1 ContainerCreating, was StartError 128
               event Failed: Error: exec: "x": not found
               Waits(0)
               event BackOff: Back-off restarting failed container main in pod web_shop(u1)
               again at 11 s
          1 s  Running ready=False; main #1 CrashLoopBackOff (back-off 10s restarting failed container=main pod=web_shop(u1)), was StartError 128
    "#]]);
}

#[test]
fn a_deleted_pod_stops_everything_and_goes_when_all_is_gone() {
    let spec = json!({"containers": [
        {"name": "main", "image": "a"}, {"name": "side", "image": "b"}, {"name": "bad", "image": "c"}]});
    story(spec)
        .starts(0)
        .happens(2, Happening::Failed(StartFailure::Image("no command is known".into())))
        .deleted()
        .at(1)
        .starts(1)
        .exits(0, 0)
        .exits(1, 0)
        .check(expect![[r#"
                   Start(0)
                   Start(1)
                   Start(2)
              0 s  Pending ready=False; main #0 ContainerCreating; side #0 ContainerCreating; bad #0 ContainerCreating
                   event Pulled: Container image "a" already present on machine
                   event Created: Created container: main
                   event Started: Started container main
              0 s  Pending ready=False; main #0 runs; side #0 ContainerCreating; bad #0 ContainerCreating
                   event Failed: Failed to pull image "c": no command is known
                   again at 10 s
              0 s  Pending ready=False; main #0 runs; side #0 ContainerCreating; bad #0 ErrImagePull (no command is known)
                   Stop { container: 0, probe: None }
                   event Killing: Stopping container main
                   Stop { container: 1, probe: None }
                   event Killing: Stopping container side
              0 s  Pending ready=False; main #0 runs; side #0 ContainerCreating; bad #0 ErrImagePull (no command is known)
              1 s  Pending ready=False; main #0 runs; side #0 ContainerCreating; bad #0 ErrImagePull (no command is known)
                   event Pulled: Container image "b" already present on machine
                   event Created: Created container: side
                   event Started: Started container side
              1 s  Pending ready=False; main #0 runs; side #0 runs; bad #0 ErrImagePull (no command is known)
              1 s  Pending ready=False; main #0 Completed 0; side #0 runs; bad #0 ErrImagePull (no command is known)
                   Finish
              1 s  Pending ready=False; main #0 Completed 0; side #0 Completed 0; bad #0 ErrImagePull (no command is known)
        "#]]);
}

#[test]
fn after_the_node_was_stopped_what_ran_runs_again() {
    let spec = json!({"restartPolicy": "OnFailure", "containers": [
        {"name": "main", "image": "a"}, {"name": "done", "image": "b"}, {"name": "looping", "image": "c"}]});
    let told = story(spec.clone())
        .starts(0)
        .starts(1)
        .starts(2)
        .exits(1, 0)
        .exits(2, 1)
        .starts(2)
        .exits(2, 1);
    let before = Pod {
        status: Some(told.status),
        ..pod(spec)
    };
    begin(&before).starts(0).starts(2).check(expect![[r#"
               Start(0)
               Start(2)
          0 s  Running ready=False; main #1 ContainerCreating, was Unknown 255; done #0 Completed 0; looping #2 ContainerCreating, was Error 1
               event Pulled: Container image "a" already present on machine
               event Created: Created container: main
               event Started: Started container main
          0 s  Running ready=False; main #1 runs, was Unknown 255; done #0 Completed 0; looping #2 ContainerCreating, was Error 1
               event Pulled: Container image "c" already present on machine
               event Created: Created container: looping
               event Started: Started container looping
          0 s  Running ready=False; main #1 runs, was Unknown 255; done #0 Completed 0; looping #2 runs, was Error 1
    "#]]);
}

#[test]
fn times_and_foreign_conditions_stay_when_nothing_changes() {
    let mut before = story(one()).starts(0).status;
    before
        .conditions
        .as_mut()
        .unwrap()
        .push(k8s_openapi::api::core::v1::PodCondition {
            type_: "example.com/gate".into(),
            status: "True".into(),
            ..Default::default()
        });
    let told = story(one()).starts(0);
    let later = told.now.checked_add(Duration::from_secs(60)).unwrap();
    let mut life = told.life;
    assert_eq!(status::render(&life, &before, later), before);
    life.happened(
        0,
        Happening::Exited {
            exit: Exit::Code(1),
            message: String::new(),
        },
        later,
    );
    let after = status::render(&life, &before, later);
    let time = |status: &PodStatus, type_: &str| {
        let conditions = status.conditions.as_deref().unwrap();
        conditions
            .iter()
            .find(|one| one.type_ == type_)
            .unwrap()
            .last_transition_time
            .clone()
    };
    assert_eq!(time(&after, "PodScheduled"), time(&before, "PodScheduled"));
    assert_ne!(time(&after, "Ready"), time(&before, "Ready"));
}
