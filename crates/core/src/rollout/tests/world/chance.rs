//! Users by chance: how many come, whom they meet, and what goes wrong, for the simulation of how often a policy is wrong.

use super::*;
use crate::analysis::dice::Dice;

/// What users of a release meet.
#[derive(Clone, Copy)]
pub struct Shape {
    /// Users' requests a second.
    pub users: f64,
    /// The chance that a request fails whoever answers, at a second after the push.
    pub errors: fn(u64) -> f64,
    /// The chance that an answer is late whoever gives it.
    pub late: f64,
    /// The chance that the candidate fails a request beyond that.
    pub fault: f64,
    /// The chance that the candidate's answer is late beyond that.
    pub slow: f64,
    /// When that begins.
    pub start: Start,
    /// And for how long it lasts, in seconds; 0: for good.
    pub lasts: u64,
}

/// When a fault begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// With the first user.
    AtOnce,
    /// So long after the first user, as a share of the first step's bake.
    InBake(f64),
    /// So many seconds after it has all traffic.
    AfterPromotion(u64),
}

/// Users by chance.
pub struct Chance {
    pub dice: Dice,
    pub shape: Shape,
    /// The second of the candidate's first user, and that of its promotion.
    exposed: Option<u64>,
    promoted: Option<u64>,
}

impl Chance {
    pub fn new(seed: u64, shape: Shape) -> Self {
        Self {
            dice: Dice(seed),
            shape,
            exposed: None,
            promoted: None,
        }
    }

    /// Whether the candidate is at fault at this second.
    fn at_fault(&self, second: u64, bake: Duration) -> bool {
        let begins = match self.shape.start {
            Start::AtOnce => self.exposed,
            Start::InBake(share) => {
                let after = (bake.as_secs_f64() * share) as u64;
                self.exposed.map(|exposed| exposed + after)
            }
            Start::AfterPromotion(after) => self.promoted.map(|promoted| promoted + after),
        };
        let lasts = if self.shape.lasts == 0 {
            u64::MAX
        } else {
            self.shape.lasts
        };
        begins.is_some_and(|begins| second >= begins && second - begins < lasts)
    }
}

impl World {
    /// Users have come for so long before the story begins.
    pub fn has_had_users(&mut self, seconds: u64) {
        self.run(seconds);
        self.zero = self.second;
        self.requests = 0;
        self.harmed = 0;
    }

    /// Whether this revision serves, and is watched no more.
    pub fn is_over(&self, name: &str) -> bool {
        self.stable_name() == name && self.status.watch.is_none()
    }

    pub(super) fn users_by_chance(&mut self) {
        let (Some(route), Some(mut chance)) = (&self.route, self.chance.take()) else {
            return;
        };
        let shape = chance.shape;
        let since = self.second - self.zero;
        let mut left = chance.dice.arrivals(shape.users * self.tick as f64);
        let mut share_left = 100.0;
        for entry in route.status.clone() {
            let (Some(name), Some(percent)) = (entry.revision_name, entry.percent) else {
                continue;
            };
            if percent == 0 {
                continue;
            }
            let is_new = self.revisions.get(&name).is_some_and(|r| r.hash == "v2");
            if is_new {
                chance.exposed.get_or_insert(self.second);
                if percent == 100 {
                    chance.promoted.get_or_insert(self.second);
                }
            }
            let (requests, others) = chance.dice.split(left, percent as f64 / share_left);
            left = others;
            share_left -= percent as f64;
            let both = (shape.errors)(since);
            let at_fault = is_new && chance.at_fault(self.second, self.policy.steps[0].bake);
            let (fault, slow) = if at_fault {
                (shape.fault, shape.slow)
            } else {
                (0.0, 0.0)
            };
            let failed = chance
                .dice
                .failures(requests, 1.0 - (1.0 - both) * (1.0 - fault));
            let late = chance
                .dice
                .failures(requests, 1.0 - (1.0 - shape.late) * (1.0 - slow));
            let mut times = vec![20.0; usize::try_from(requests - late).unwrap()];
            times.resize(usize::try_from(requests).unwrap(), 900.0);
            self.gateway_counts(
                &name,
                &Booked {
                    statuses: [(200, requests - failed), (500, failed)].into(),
                    times,
                },
            );
            self.requests += requests;
            if at_fault {
                self.harmed += if shape.slow > 0.0 { late } else { failed };
            }
        }
        self.chance = Some(chance);
    }
}
