//! Progress of the probe on standard error: a bar on a terminal, else a line for each part.

use indicatif::{ProgressBar, ProgressStyle};
use parking_lot::Mutex;
use std::io::{self, IsTerminal as _, Write as _};

/// Progress of one side.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    /// Title of the last part that was printed; `None`: nothing is printed.
    last: Option<Mutex<String>>,
}

impl Progress {
    /// Shows the progress of this many steps.
    pub(super) fn new(steps: usize) -> Self {
        let length = u64::try_from(steps).unwrap_or(u64::MAX);
        if !io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden(), last: Some(Mutex::new(String::new())) };
        }
        let bar = ProgressBar::new(length);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {elapsed} {msg}") {
            bar.set_style(style);
        }
        Self { bar, last: None }
    }

    /// Shows nothing.
    pub(super) fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), last: None }
    }

    pub(super) fn begin(&self, part: &str, step: &str) {
        self.bar.set_message(format!("{part}: {step}"));
        if let Some(last) = &self.last {
            let mut last = last.lock();
            if *last != part {
                let _ = writeln!(io::stderr(), "latchkey: probing: {part}");
                part.clone_into(&mut last);
            }
        }
    }

    pub(super) fn end(&self) {
        self.bar.inc(1);
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
