//! How many instances a revision is to have, and why: the pure part.
//!
//! The rules are those of Knative's pod autoscaler (`pkg/autoscaler/scaling` and the KPA
//! reconciler) as far as they show: bounds, initial scale, stable and panic window,
//! rates, scale to zero after a stable window without a request, an activation that is
//! given up at its deadline. Target burst capacity and the grace period for network
//! programming have no meaning here: the gateway is always in the path, and holds
//! requests from the moment it is told to.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    samples::Samples,
    spec::{Reachability, ScaleSpec},
};

/// Beyond the progress deadline, for the Deployment to have said so first (Knative's
/// `activationTimeoutBuffer`).
const ACTIVATION_BUFFER: Duration = Duration::from_secs(30);

/// What is seen of a revision at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seen {
    /// Instances that take requests.
    pub ready: u32,
    /// Requests at instances and in line.
    pub requests: u32,
    /// Time since a request last began or ended.
    pub idle: Duration,
}

/// How far a revision is between zero and serving; Knative's condition `Active`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// Requests are served: `True`.
    Active,
    /// Instances are on their way: `Unknown`, reason `Queued`.
    Activating,
    /// At zero for want of requests: `False`, reason `NoTraffic`.
    Idle,
    /// Given up: `False`, reason `TimedOut`.
    TimedOut,
}

/// What is remembered from one decision to the next. All but the samples and the panic
/// is in the PodAutoscaler's status, and so survives a restart.
#[derive(Clone, Debug)]
pub struct State {
    /// The initial scale was reached once.
    pub initialized: bool,
    /// Where it is.
    pub activity: Activity,
    /// Since when it is there.
    pub since: Timestamp,
    /// Concurrency so far.
    pub samples: Samples,
    /// In panic since the last time load was over the threshold, at that scale or more.
    pub panic: Option<(Timestamp, u32)>,
    /// The larger scales asked for of late (`scale-down-delay`).
    pub asked: Vec<(Timestamp, u32)>,
}

impl State {
    /// A revision that is new at `now`.
    pub fn new(now: Timestamp) -> State {
        State {
            initialized: false,
            activity: Activity::Activating,
            since: now,
            samples: Samples::default(),
            panic: None,
            asked: Vec::new(),
        }
    }
}

/// How many, and where that leaves the revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Instances wanted.
    pub desired: u32,
    /// Where it is now.
    pub activity: Activity,
    /// The initial scale is reached, now or before.
    pub initialized: bool,
}

/// Decides. The clock, the load and the past are arguments; `state` comes out as it is
/// to be passed in next time.
pub fn decide(spec: &ScaleSpec, seen: Seen, state: &mut State, now: Timestamp) -> Decision {
    state
        .samples
        .add(now, f64::from(seen.requests), spec.window);
    let unreachable = spec.reachability == Reachability::Unreachable;
    let floor = match (unreachable, state.initialized) {
        (true, _) => 0,
        (false, true) => spec.min,
        // Given up once: only a request starts it again, or it would never end.
        (false, false) if state.activity == Activity::TimedOut => spec.min,
        (false, false) => spec.min.max(spec.initial),
    };
    let by_load = scale_by_load(spec, seen, state, now);
    let mut desired = by_load.max(floor).max(u32::from(seen.requests > 0));
    if desired > 0 {
        desired = desired.max(if seen.requests > 0 {
            spec.activation
        } else {
            1
        });
    }
    if let Some(max) = spec.max {
        desired = desired.min(max);
    }
    desired = delay_decline(spec, desired, unreachable, state, now);
    let mut given_up = state.activity == Activity::TimedOut;
    if desired == 0 {
        desired = match hold_before_zero(spec, seen, unreachable, state, now) {
            Hold::One => 1,
            Hold::No => 0,
            Hold::GiveUp => {
                given_up = true;
                0
            }
        };
    }
    // No initial scale to reach: reached.
    let initialized = state.initialized
        || (!unreachable && floor == 0 && spec.initial == 0)
        || (seen.ready > 0 && seen.ready >= floor);
    let threshold = if initialized && state.initialized {
        spec.min.max(1)
    } else {
        floor.max(1)
    };
    let activity = if desired == 0 {
        if given_up {
            Activity::TimedOut
        } else {
            Activity::Idle
        }
    } else if seen.ready >= threshold.min(desired) {
        Activity::Active
    } else {
        Activity::Activating
    };
    if activity != state.activity {
        (state.activity, state.since) = (activity, now);
    }
    state.initialized = initialized;
    Decision {
        desired,
        activity,
        initialized,
    }
}

/// Instances for the load, by the mean over the stable window or, in panic, over the
/// panic window; never fewer than at any time in this panic.
fn scale_by_load(spec: &ScaleSpec, seen: Seen, state: &mut State, now: Timestamp) -> u32 {
    let needed = |window| {
        let mean = state.samples.mean(now, window).unwrap_or(0.0);
        (mean / spec.target).ceil()
    };
    let (stable, panic) = (needed(spec.window), needed(spec.panic_window));
    let ready = f64::from(seen.ready.max(1));
    let up = (spec.rates.0 * ready).ceil();
    let down = match spec.reachability {
        Reachability::Unreachable => 0.0,
        _ => (ready / spec.rates.1).floor(),
    };
    let within = |scale: f64| whole(scale.min(up).max(down));
    let over = panic / ready >= spec.panic_threshold;
    let (stable, panic_scale) = (within(stable), within(panic));
    state.panic = match state.panic {
        _ if over => {
            let before = state.panic.map_or(0, |(_, most)| most);
            Some((now, before.max(stable).max(panic_scale)))
        }
        Some((last, _)) if elapsed(last, now) > spec.window => None,
        calm => calm,
    };
    match state.panic {
        Some((_, most)) => stable.max(panic_scale).max(most),
        None => stable,
    }
}

/// With `scale-down-delay`, the largest scale asked for in that time.
fn delay_decline(
    spec: &ScaleSpec,
    desired: u32,
    unreachable: bool,
    state: &mut State,
    now: Timestamp,
) -> u32 {
    if spec.scale_down_delay.is_zero() || unreachable {
        state.asked.clear();
        return desired;
    }
    state
        .asked
        .retain(|(at, asked)| elapsed(*at, now) < spec.scale_down_delay && *asked > desired);
    state.asked.push((now, desired));
    state
        .asked
        .iter()
        .map(|(_, asked)| *asked)
        .max()
        .unwrap_or(desired)
}

enum Hold {
    One,
    No,
    GiveUp,
}

/// Whether nothing wanted means nothing yet.
fn hold_before_zero(
    spec: &ScaleSpec,
    seen: Seen,
    unreachable: bool,
    state: &State,
    now: Timestamp,
) -> Hold {
    if !spec.scale_to_zero {
        return Hold::One;
    }
    let waited = elapsed(state.since, now);
    match state.activity {
        Activity::Idle | Activity::TimedOut => Hold::No,
        // Nobody asks an unreachable revision again: its last instance need not stay.
        Activity::Active if waited >= spec.window && unreachable && seen.idle >= spec.window => {
            Hold::No
        }
        Activity::Active if waited >= spec.window && seen.idle >= spec.window + spec.retention => {
            Hold::No
        }
        Activity::Active => Hold::One,
        Activity::Activating => {
            let deadline = spec.progress_deadline + ACTIVATION_BUFFER;
            // Nobody can ask an unreachable revision for anything: there is no one to
            // wait for, so a crash-looping candidate is not kept for ten minutes.
            let deadline = if unreachable {
                deadline.min(spec.window)
            } else {
                deadline
            };
            if waited >= deadline {
                Hold::GiveUp
            } else {
                Hold::One
            }
        }
    }
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the range of the type first"
)]
fn whole(scale: f64) -> u32 {
    scale.clamp(0.0, 1_000_000.0) as u32
}

#[cfg(test)]
mod tests;
