//! What a story says, and how it ended.

use std::fmt::Write as _;

use super::*;

impl World {
    pub fn clock(&self) -> String {
        let second = self.second - self.zero;
        format!("{:02}:{:02}", second / 60, second % 60)
    }

    pub fn say(&mut self, text: &str) {
        if !self.quiet {
            let clock = self.clock();
            let _ = writeln!(self.story, "{clock}  {text}");
        }
    }

    /// The story, and where it ended.
    pub fn told(&self) -> String {
        let candidate = self
            .status
            .candidate
            .as_ref()
            .and_then(|c| c.revision.as_deref());
        let mut text = self.story.clone();
        let _ = writeln!(
            text,
            "end    {}{}; {}; {} of {} requests harmed",
            self.status.phase,
            candidate
                .map(|name| format!(" with {name}"))
                .unwrap_or_default(),
            self.route.as_ref().map_or_else(
                || "no Route".to_owned(),
                |route| crate::rollout::describe(&route.status)
            ),
            self.harmed,
            self.requests,
        );
        for broken in &self.broken {
            let _ = writeln!(text, "BROKEN {broken}");
        }
        text
    }

    /// What must be the same however often the agent was killed on the way.
    pub fn end(&self) -> String {
        let status = &self.status;
        let name = |release: &Option<crate::api::rollout::Release>| {
            release
                .as_ref()
                .and_then(|r| r.revision.clone())
                .unwrap_or_default()
        };
        format!(
            "{} stable {} candidate {:?} traffic {} quarantine {:?} history {:?} template {:?}",
            status.phase,
            name(&status.stable),
            name(&status.candidate),
            self.route
                .as_ref()
                .map_or_else(String::new, |route| crate::rollout::describe(&route.status)),
            status
                .quarantine
                .iter()
                .map(|q| q.template_hash.0.clone())
                .collect::<Vec<_>>(),
            status
                .history
                .iter()
                .map(|h| (
                    h.outcome,
                    h.release.revision.clone(),
                    h.release.template_hash.clone()
                ))
                .collect::<Vec<_>>(),
            self.configuration
                .as_ref()
                .map(|c| (c.template.clone(), c.generation)),
        )
    }
}
