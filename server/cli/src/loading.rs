//! What a person sees while a model goes to a device: the memory plan, then a bar. A model for the CPU is read too fast for
//! either, and says nothing.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lacuna_diffusion::LoadEvent;
use std::io::{IsTerminal, Write, stderr};

/// The view of one load, on standard error.
#[derive(Debug)]
pub struct Loading {
    bar: ProgressBar,
    /// Whether the plan is said where nobody watches, too.
    plan: bool,
}

impl Loading {
    /// A view that shows itself to a person, and with `plan` says the plan to a file as well.
    pub fn new(plan: bool) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        let style =
            ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} · {bytes_per_sec} · {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { bar, plan }
    }

    /// Takes one event.
    pub fn event(&self, event: LoadEvent) {
        match event {
            LoadEvent::Plan(plan) => {
                let watched = stderr().is_terminal();
                if watched || self.plan {
                    // Nobody to tell is no reason to fail.
                    let _ = writeln!(stderr(), "on the device: {plan}");
                }
                self.bar.set_length(plan.weight_bytes as u64);
                if watched {
                    self.bar.set_draw_target(ProgressDrawTarget::stderr());
                }
            }
            LoadEvent::Loaded(bytes) => self.bar.set_position(bytes as u64),
        }
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
