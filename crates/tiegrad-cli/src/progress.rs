//! How training shows that it goes on: a bar where stderr is a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::output;

/// Without a bar, a line is due at each evaluation and when this time has gone by.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// With a bar, its text changes at most this often.
const TEXT_EVERY: Duration = Duration::from_millis(100);

/// What there is to show after a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Status {
    /// Steps done.
    pub(crate) iter: u64,
    /// Training loss of the last step.
    pub(crate) loss: f64,
    /// Last estimate of the validation loss.
    pub(crate) val_loss: Option<f64>,
    /// Training speed.
    pub(crate) tokens_per_s: f64,
}

/// The progress of a run on stderr.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    first: u64,
    total: u64,
    started: Instant,
    shown: Option<Instant>,
}

impl Progress {
    /// Progress from `first` to `total` steps; a bar only if stderr is a terminal that can draw one.
    pub(crate) fn new(first: u64, total: u64) -> Progress {
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let bar = (std::io::stderr().is_terminal() && !dumb).then(|| {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
            bar.set_position(first);
            bar.with_style(style(
                std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
            ))
        });
        Progress {
            bar,
            first,
            total,
            started: Instant::now(),
            shown: None,
        }
    }

    /// Shows a step, unless something was shown a moment ago.
    pub(crate) fn step(&mut self, status: &Status) {
        let every = if self.bar.is_some() {
            TEXT_EVERY
        } else {
            LINE_EVERY
        };
        let wait = self.shown.unwrap_or(self.started).elapsed() < every;
        if let Some(bar) = &self.bar {
            bar.set_position(status.iter);
            if wait && self.shown.is_some() {
                return;
            }
            bar.set_message(self.with_time_left(status));
        } else if wait {
            return;
        } else {
            output::note(&self.line(status));
        }
        self.shown = Some(Instant::now());
    }

    /// Shows an evaluation: always a line that stays.
    pub(crate) fn evaluation(
        &mut self,
        iter: u64,
        train_loss: f64,
        val_loss: f64,
        tokens_per_s: f64,
    ) {
        let speed = if tokens_per_s > 0.0 {
            format!(", {}", speed(tokens_per_s))
        } else {
            String::new()
        };
        let left = self
            .left(iter)
            .map(|left| format!(", {left} left"))
            .unwrap_or_default();
        let width = self.total.to_string().len();
        self.note(&format!(
            "step {iter:>width$}/{}: train loss {train_loss:.4}, val loss {val_loss:.4}{speed}{left}",
            self.total
        ));
        // the bar takes up the new validation loss with the next step; lines have just shown it
        self.shown = self.bar.is_none().then(Instant::now);
    }

    /// Prints a line without disturbing the bar.
    pub(crate) fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| output::note(text)),
            None => output::note(text),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn line(&self, status: &Status) -> String {
        let width = self.total.to_string().len();
        let shown = self.with_time_left(status);
        format!("step {:>width$}/{}: {shown}", status.iter, self.total)
    }

    fn with_time_left(&self, status: &Status) -> String {
        let left = self.left(status.iter);
        let left = left.map(|left| format!(", {left} left"));
        numbers(status) + &left.unwrap_or_default()
    }

    /// The time the remaining steps take at the pace of those of this session.
    fn left(&self, iter: u64) -> Option<String> {
        let done = iter
            .checked_sub(self.first)
            .filter(|&done| done > 0 && iter < self.total)?;
        let seconds =
            self.started.elapsed().as_secs_f64() * (self.total - iter) as f64 / done as f64;
        Some(duration(seconds))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// A duration as people write it: `42 s`, `3 min 05 s`, `2 h 10 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let s = seconds.max(0.0).round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ => format!("{} h {:02} min", s / 3600, s / 60 % 60),
    }
}

fn numbers(status: &Status) -> String {
    let val = status
        .val_loss
        .map(|loss| format!(", val loss {loss:.4}"))
        .unwrap_or_default();
    format!(
        "loss {:.4}{val}, {}",
        status.loss,
        speed(status.tokens_per_s)
    )
}

fn speed(tokens_per_s: f64) -> String {
    if tokens_per_s < 10_000.0 {
        format!("{tokens_per_s:.0} tokens/s")
    } else {
        format!("{:.1}k tokens/s", tokens_per_s / 1000.0)
    }
}

fn style(colors: bool) -> ProgressStyle {
    let bar = if colors {
        "{wide_bar:.green/white.dim}"
    } else {
        "{wide_bar}"
    };
    let template = format!("{bar} {{pos}}/{{len}}  {{msg}}");
    ProgressStyle::with_template(&template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let shown: Vec<String> = [0.4, 59.4, 59.6, 185.0, 7800.0]
            .into_iter()
            .map(duration)
            .collect();
        assert_eq!(
            shown,
            ["0 s", "59 s", "1 min 00 s", "3 min 05 s", "2 h 10 min"]
        );
    }

    #[test]
    fn lines() {
        let status = Status {
            iter: 30,
            loss: 2.5,
            val_loss: Some(2.75),
            tokens_per_s: 16_040.0,
        };
        let started = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let progress = Progress {
            bar: None,
            first: 10,
            total: 110,
            started,
            shown: None,
        };
        assert_eq!(
            progress.line(&status),
            "step  30/110: loss 2.5000, val loss 2.7500, 16.0k tokens/s, 40 s left"
        );
        assert_eq!(progress.left(10), None);
        assert_eq!(progress.left(110), None);
        assert_eq!(speed(9_999.0), "9999 tokens/s");
    }

    #[test]
    fn both_templates_are_understood() {
        for colors in [false, true] {
            let bar = ProgressBar::with_draw_target(Some(9), ProgressDrawTarget::hidden())
                .with_style(style(colors));
            bar.set_message("x");
            bar.finish();
        }
        assert!(
            ProgressStyle::with_template("{wide_bar:.green/white.dim} {pos}/{len}  {msg}").is_ok()
        );
    }
}
