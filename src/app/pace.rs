//! How long a stage still takes, from how fast it went lately.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::run::{RunView, Stage, StageState, Status};

/// How far back the pace is measured.
const WINDOW: Duration = Duration::from_secs(30);

/// The recent pace of the stage at work.
#[derive(Debug, Default)]
pub struct Pace {
    stage: Option<Stage>,
    samples: VecDeque<(Instant, u64)>,
}

impl Pace {
    /// Note where the run stands now.
    pub fn observe(&mut self, view: &RunView, now: Instant) {
        let stage = view.current_stage();
        // Time spent in a pause says nothing about the pace.
        if stage != self.stage || view.status != Status::Running {
            self.samples.clear();
            self.stage = stage;
        }
        let Some(stage) = stage else { return };
        let done = view.stages.get(&stage).map_or(0, |s| s.done);
        if self.samples.back().is_none_or(|(_, last)| *last != done) {
            self.samples.push_back((now, done));
        }
        while self.samples.len() > 2 && self.samples.front().is_some_and(|(t, _)| now - *t > WINDOW)
        {
            self.samples.pop_front();
        }
    }

    /// Seconds that the stage still takes; `None` while unknown.
    pub fn seconds_left(&self, stage: Stage, state: &StageState) -> Option<f64> {
        if self.stage != Some(stage) || state.ended || state.total <= state.done {
            return None;
        }
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        let steps = last.1.checked_sub(first.1).filter(|n| *n > 0)?;
        let per_step = (last.0 - first.0).as_secs_f64() / steps as f64;
        Some(per_step * (state.total - state.done) as f64)
    }

    /// Forget everything: another run begins.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}
