//! What phases say, the ways from one to another, and the one place that takes them.

use std::time::Duration;

use crate::api::rollout::Phase;

use super::context::DecisionContext;

/// What a phase says after it has looked.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transition {
    /// Another phase begins: look again at once.
    To(Phase),
    /// What this phase stands on is another now: look again at once.
    Again,
    /// Nothing more to do until something happens, or this much time has passed.
    Wait(Option<Duration>),
}

/// A way from one phase to another.
struct Way {
    /// Where it begins; `None`: anywhere.
    from: Option<Phase>,
    to: Phase,
    /// When it is taken, in words.
    when: &'static str,
}

const fn way(from: Phase, to: Phase, when: &'static str) -> Way {
    let from = Some(from);
    Way { from, to, when }
}

const fn from_anywhere(to: Phase, when: &'static str) -> Way {
    let from = None;
    Way { from, to, when }
}

/// All ways there are; `docs/rollout.md` shows them. A transition that is not among them is a fault.
#[rustfmt::skip]
const WAYS: &[Way] = &[
    way(Phase::Pending, Phase::Stable, "something serves already: it is adopted"),
    way(Phase::Pending, Phase::Initial, "nothing serves yet"),
    way(Phase::Initial, Phase::Stable, "the probes pass"),
    way(Phase::Initial, Phase::Failed, "the template is refused; the second crash of a Pod; Ready is `False`, or not `True` within `progressDeadline`; the probes fail; `abort`; Git goes to a template that is in quarantine"),
    way(Phase::Initial, Phase::Initial, "another template in Git"),
    way(Phase::Pinning, Phase::Staging, "confirmed; or written, where stable is not well"),
    way(Phase::Pinning, Phase::RollingBack, "the release ends"),
    way(Phase::Staging, Phase::Probing, "the revision is Ready"),
    way(Phase::Staging, Phase::RollingBack, "the release ends; the template is refused; not Ready within `progressDeadline`"),
    way(Phase::Probing, Phase::Stepping, "the probes pass"),
    way(Phase::Probing, Phase::Promoting, "the probes pass, and the policy has no steps, or stable serves nobody; `promote`"),
    way(Phase::Probing, Phase::RollingBack, "the release ends; the probes fail; the Route says no for `confirmTimeout`"),
    way(Phase::Stepping, Phase::Stepping, "the evidence passes after the bake: to the next step"),
    way(Phase::Stepping, Phase::Promoting, "the evidence passes at the last step, or at any where stable serves nobody; `promote`"),
    way(Phase::Stepping, Phase::RollingBack, "the release ends; the evidence fails beyond doubt, or `consecutiveFailures` times; the Route says no for `confirmTimeout`"),
    way(Phase::Promoting, Phase::Stable, "confirmed"),
    way(Phase::Promoting, Phase::RollingBack, "the second crash of a Pod; no Pod is Ready any more; Ready is `False`; the revision is deleted; the Route says no for `confirmTimeout`; `abort`"),
    way(Phase::RollingBack, Phase::RolledBack, "confirmed; or not within `confirmTimeout`, where no good revision is left"),
    way(Phase::Stable, Phase::Pinning, "another template in Git; `retry`"),
    way(Phase::Stable, Phase::Promoting, "`undo`; Git reverts to a template that is known to be good; stable is deleted, and a known good revision is left"),
    way(Phase::Stable, Phase::RolledBack, "Git goes to a template that is in quarantine, or that is refused"),
    way(Phase::Stable, Phase::Initial, "stable is deleted and stays away, and no good revision is left"),
    way(Phase::RolledBack, Phase::Stable, "Git goes to stable's template; or to a new one that waits"),
    way(Phase::RolledBack, Phase::Pinning, "another template in Git; `retry`"),
    way(Phase::RolledBack, Phase::Promoting, "as from `Stable`"),
    way(Phase::RolledBack, Phase::RolledBack, "Git goes to another template that is refused"),
    way(Phase::RolledBack, Phase::Initial, "stable is deleted and stays away, no good revision is left, and Git's template is not in quarantine"),
    way(Phase::RolledBack, Phase::Failed, "stable is deleted and stays away, and no good revision is left"),
    way(Phase::Failed, Phase::Initial, "another template in Git; `retry`"),
    // What a hand, or a memory with holes, leaves behind.
    from_anywhere(Phase::Pending, "the whole service was deleted; what serves is not remembered"),
    from_anywhere(Phase::Failed, "the same, and Git's template is in quarantine"),
    way(Phase::Probing, Phase::Staging, "the revision is not remembered"),
    way(Phase::Stepping, Phase::Staging, "the revision is not remembered"),
    way(Phase::Holding, Phase::Stable, "what it holds is not remembered"),
    way(Phase::Holding, Phase::RollingBack, "what it holds is not remembered, and there is a candidate"),
];

/// The phases in their order, and what each wants of the cluster.
const WANTED: &[(Phase, &str)] = &[
    (Phase::Pending, "nothing"),
    (
        Phase::Initial,
        "the template; once its revision is Ready, a Route with 100 % on it and the tag `candidate`",
    ),
    (Phase::Pinning, "100 % of the share on stable, by name"),
    (Phase::Staging, "as in `Pinning`, and Git's template"),
    (
        Phase::Probing,
        "the candidate at 0 % with the tag `candidate`, stable with the tag `stable`",
    ),
    (Phase::Stepping, "the candidate at the step's weight"),
    (Phase::Holding, "as in the phase that it stands on"),
    (
        Phase::Promoting,
        "Git's own block, with the candidate in stable's place",
    ),
    (
        Phase::RollingBack,
        "Git's own block with stable in it, and nothing of the candidate; stable alone after `confirmTimeout`, or where that is refused",
    ),
    (Phase::Stable, "Git's own block"),
    (Phase::RolledBack, "Git's own block, on stable"),
    (Phase::Failed, "what is there"),
];

/// The phases and the ways between them, as a table in Markdown.
pub fn phases() -> String {
    let mut text = String::from("| phase | wanted meanwhile | ways out |\n|---|---|---|\n");
    let ways = |from: Option<Phase>| {
        let ways = WAYS.iter().filter(|way| way.from == from);
        let ways = ways.map(|way| format!("**`{}`**: {}", way.to, way.when));
        ways.collect::<Vec<_>>().join("<br>")
    };
    for (phase, wanted) in WANTED {
        text += &format!("| `{phase}` | {wanted} | {} |\n", ways(Some(*phase)));
    }
    text + &format!("| any | | {} |\n", ways(None))
}

impl DecisionContext<'_> {
    /// Takes what a phase, or a request, says.
    pub fn take(&mut self, transition: Transition) {
        if let Transition::To(phase) = transition {
            self.enter(phase);
        }
    }

    /// Begins a phase: the only place where one changes.
    pub fn enter(&mut self, phase: Phase) {
        let from = self.phase();
        debug_assert!(
            WAYS.iter()
                .any(|way| way.to == phase && way.from.is_none_or(|start| start == from)),
            "there is no way from {from} to {phase}"
        );
        if phase.rests() {
            self.candidate.ledger = None;
        }
        self.candidate.phase = phase;
        self.candidate.phase_since = Some(self.now);
        self.candidate.hold = None;
        self.candidate.message.clear();
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;

    use super::*;

    /// `docs/rollout.md` with the table as it is here.
    #[test]
    fn the_table_in_the_documentation_is_this_one() {
        let page = include_str!("../../../../docs/rollout.md");
        let (before, rest) = page.split_once("<!-- phases -->\n").unwrap();
        let (_, after) = rest.split_once("<!-- /phases -->").unwrap();
        let table = phases();
        expect_file!["../../../../docs/rollout.md"].assert_eq(&format!(
            "{before}<!-- phases -->\n{table}<!-- /phases -->{after}"
        ));
    }
}
