//! Standard output: lines, and on a terminal a bar for each release below them.

use std::collections::HashMap;
use std::sync::Arc;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::api::rollout::RolloutStatus;

/// Where the story is shown.
#[derive(Clone)]
pub struct Screen {
    bars: MultiProgress,
    by_service: Arc<parking_lot::Mutex<HashMap<String, ProgressBar>>>,
    terminal: bool,
}

impl Screen {
    /// Bars only where there is a terminal.
    pub fn new() -> Self {
        Self {
            bars: MultiProgress::new(),
            by_service: Arc::default(),
            terminal: std::io::IsTerminal::is_terminal(&std::io::stdout()),
        }
    }

    /// One line of the story.
    pub fn say(&self, text: &str) {
        if self.terminal {
            // Where the terminal is gone there is nobody to tell.
            let _ = self.bars.println(text);
        } else {
            println!("{text}");
        }
    }

    /// Shows how far a release is; the bar goes when it ends.
    pub fn progress(&self, service: &str, status: &RolloutStatus) {
        if !self.terminal {
            return;
        }
        let mut bars = self.by_service.lock();
        if status.candidate.is_none() {
            if let Some(bar) = bars.remove(service) {
                bar.finish_and_clear();
            }
            return;
        }
        let bar = bars.entry(service.to_owned()).or_insert_with(|| {
            let style = ProgressStyle::with_template(
                "         {prefix:<8} {bar:40} {pos:>3} %  {wide_msg}",
            );
            let bar = ProgressBar::new(100).with_prefix(service.to_owned());
            self.bars
                .add(style.map_or(bar.clone(), |style| bar.with_style(style)))
        });
        bar.set_message(status.message.clone());
        bar.set_position(status.weight.into());
    }
}
