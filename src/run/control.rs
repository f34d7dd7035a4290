//! How a person steers a run that is under way.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Event;

/// Commands to a run; cheap to clone, safe to use from any thread.
///
/// The run looks at them between two steps, so that each takes effect at the next one.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<State>);

#[derive(Debug)]
struct State {
    paused: AtomicBool,
    stopped: AtomicBool,
    at_stake: AtomicBool,
    /// Bits of the wanted threshold; NaN while nobody asked.
    threshold: AtomicU64,
    /// Where what models say is kept for runs to come.
    cache: Option<PathBuf>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            paused: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            at_stake: AtomicBool::new(false),
            threshold: AtomicU64::new(f64::NAN.to_bits()),
            cache: None,
        }
    }
}

impl Control {
    /// Of a run that keeps what models say in a folder, for runs to come, and finds there what earlier
    /// ones have kept; `None` keeps nothing, as by default.
    pub fn caching_in(cache: Option<PathBuf>) -> Self {
        Self(Arc::new(State { cache, ..State::default() }))
    }

    /// Where what models say is kept.
    pub(super) fn cache(&self) -> Option<&Path> {
        self.0.cache.as_deref()
    }

    /// Wait before the next step.
    pub fn pause(&self) {
        self.0.paused.store(true, Ordering::Relaxed);
    }

    /// Go on after a pause.
    pub fn proceed(&self) {
        self.0.paused.store(false, Ordering::Relaxed);
    }

    /// Write a checkpoint and end.
    pub fn stop(&self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }

    /// Use this threshold from the next step on.
    pub fn set_threshold(&self, value: f64) {
        self.0.threshold.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Use this threshold from the next step on, unless another one was asked for meanwhile.
    pub(super) fn restore_threshold(&self, value: f64) {
        let (nothing, wanted) = (f64::NAN.to_bits(), value.to_bits());
        let _ = self.0.threshold.compare_exchange(
            nothing,
            wanted,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// Whether a pause was asked for.
    pub fn is_paused(&self) -> bool {
        self.0.paused.load(Ordering::Relaxed)
    }

    /// Whether a stop was asked for.
    pub fn is_stopped(&self) -> bool {
        self.0.stopped.load(Ordering::Relaxed)
    }

    /// Whether something would be lost if the process ended now: what was computed since the run's
    /// last checkpoint. Before the first stage that computes there is nothing, and nothing after
    /// the last event.
    pub fn at_stake(&self) -> bool {
        self.0.at_stake.load(Ordering::Acquire)
    }

    /// Take note of what the run tells.
    pub(super) fn observe(&self, event: &Event) {
        let at_stake = match event {
            Event::Finished { .. } | Event::Stopped | Event::Failed { .. } => false,
            Event::StageStarted { stage, .. } | Event::Progress { stage, .. }
                if !stage.about().computes =>
            {
                return;
            }
            Event::StageStarted { .. }
            | Event::Progress { .. }
            | Event::Planned { .. }
            | Event::Step { .. } => true,
            _ => return,
        };
        self.0.at_stake.store(at_stake, Ordering::Release);
    }

    /// The threshold asked for since the last call, if any.
    pub fn take_threshold(&self) -> Option<f64> {
        let nothing = f64::NAN.to_bits();
        let value = f64::from_bits(self.0.threshold.swap(nothing, Ordering::Relaxed));
        (!value.is_nan()).then_some(value)
    }
}
