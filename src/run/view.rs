//! The fold of events into what a person sees: one for window, terminal and report.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{DataSummary, Event, Metrics, PromptsReport, Recipe, Report, Stage};
use crate::model::MemoryEstimate;
use crate::text::Lengths;
use crate::train::ExecutionPlan;

/// Where a run stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nothing began.
    #[default]
    Idle,
    /// At work.
    Running,
    /// Waiting before the next step.
    Paused,
    /// Ended by the user; can be resumed.
    Stopped,
    /// Ended by an error.
    Failed,
    /// Complete.
    Finished,
}

/// Where a stage stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StageState {
    /// Whether it began.
    pub started: bool,
    /// Whether it ended.
    pub ended: bool,
    /// Steps or items done.
    pub done: u64,
    /// Of so many; 0 if unknown.
    pub total: u64,
    /// Seconds that it took, once it ended.
    pub seconds: f64,
    /// What it was expected to take of the device's memory, where that was told.
    pub needs: Option<MemoryEstimate>,
    /// Bytes at the peak when it ended, where the device tells.
    pub peak_memory: Option<u64>,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the record.
    Info,
    /// Worth knowing.
    Warning,
    /// Ended the run.
    Error,
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// What it says.
    pub text: String,
}

/// Points that a curve holds at most: some for each pixel of a wide screen. The file has them all.
pub const MOST_POINTS: usize = 20_000;

/// Curves of one stage: metric name → points (step, value), NaN included. Of long curves the older part
/// is thinned; the newest half of [`MOST_POINTS`] is whole.
pub type Curves = BTreeMap<String, Vec<[f64; 2]>>;

/// Everything that events told of a run.
#[derive(Clone, Debug, Default)]
pub struct RunView {
    /// Where it stands.
    pub status: Status,
    /// The model that is being fetched from the hub: its name, bytes here, bytes in all.
    pub fetching: Option<(String, u64, u64)>,
    /// The run folder.
    pub folder: PathBuf,
    /// The resolved recipe.
    pub recipe: Option<Box<Recipe>>,
    /// The device, in words.
    pub device: String,
    /// Why that device.
    pub why: String,
    /// Stage by stage.
    pub stages: BTreeMap<Stage, StageState>,
    /// Curves by stage (`annotator`, `sft`, `policy`).
    pub curves: BTreeMap<Stage, Curves>,
    /// Numbers of the newest step of each stage.
    pub latest: BTreeMap<Stage, (u64, Metrics)>,
    /// The data.
    pub data: Option<DataSummary>,
    /// What the limit on lengths loses for each model.
    pub lengths: BTreeMap<String, Lengths>,
    /// How prompts are written for each model.
    pub prompts: BTreeMap<String, PromptsReport>,
    /// Annotations file, once written.
    pub annotations: Option<PathBuf>,
    /// The threshold in force.
    pub threshold: f64,
    /// Newest checkpoint.
    pub checkpoint: Option<(Stage, u64)>,
    /// The log.
    pub log: Vec<LogLine>,
    /// What came out.
    pub report: Option<Box<Report>>,
    /// What has been told of it so far.
    pub so_far: Report,
}

/// Thin the older half of a curve: of each four points the least and the greatest stay, so that spikes
/// stay where they are, and the first that is no finite number.
fn thin(curve: &mut Vec<[f64; 2]>) {
    let old = curve.len() / 2;
    let mut kept = 0;
    for first in (0..old).step_by(4) {
        let four = first..(first + 4).min(old);
        let finite = four.clone().filter(|at| curve[*at][1].is_finite());
        let by_value = |a: &usize, b: &usize| curve[*a][1].total_cmp(&curve[*b][1]);
        let least = finite.clone().min_by(by_value);
        let greatest = finite.max_by(by_value);
        let odd = four.clone().find(|at| !curve[*at][1].is_finite());
        for at in four.filter(|at| [least, greatest, odd].contains(&Some(*at))) {
            curve[kept] = curve[at];
            kept += 1;
        }
    }
    curve.drain(kept..old);
}

/// A plan in a sentence.
fn describe_plan(plan: ExecutionPlan, needs: MemoryEstimate) -> String {
    let layers = if plan.recompute { "layers recomputed" } else { "layers kept" };
    let at_once = match plan.micro_batch {
        0 => "a batch at once".to_owned(),
        1 => "1 item at once".to_owned(),
        n => format!("{n} items at once"),
    };
    format!("{at_once}, {layers}: about {:.2} GiB", needs.total() as f64 / f64::from(1 << 30))
}

impl RunView {
    /// Replay the events of a run.
    pub fn replay(events: impl IntoIterator<Item = Event>) -> Self {
        let mut view = Self::default();
        for event in events {
            view.apply(event);
        }
        view
    }

    /// The stage at work, or the last one that began.
    pub fn current_stage(&self) -> Option<Stage> {
        let began = |stage: &Stage| self.stages.get(stage).is_some_and(|s| s.started);
        Stage::all()
            .filter(began)
            .find(|stage| !self.stages[stage].ended)
            .or_else(|| Stage::all().rev().find(began))
    }

    /// Fold one event.
    pub fn apply(&mut self, event: Event) {
        self.so_far.apply(&event);
        match event {
            Event::Started { recipe, folder, device, why, resumed, threshold, .. } => {
                self.threshold = threshold;
                self.info(format!(
                    "{} “{}” on {device}",
                    if resumed { "Resumed" } else { "Started" },
                    recipe.name
                ));
                self.recipe = Some(recipe);
                self.folder = folder;
                self.device = device;
                self.why = why;
                self.status = Status::Running;
                self.fetching = None;
            }
            Event::Fetching { model, done, total, .. } => {
                self.fetching = Some((model, done, total));
            }
            Event::Data { summary } => self.data = Some(summary),
            Event::Lengths { model, lengths } => {
                self.info(format!("Lengths for the {model}: {lengths}"));
                self.lengths.insert(model, lengths);
            }
            Event::Prompts { model, written } => {
                self.info(format!("Prompts of the {model}: {}", written.style));
                self.prompts.insert(model, written);
            }
            Event::StageStarted { stage, total } => {
                let state = self.stages.entry(stage).or_default();
                let needs = state.needs;
                *state = StageState { started: true, total, needs, ..StageState::default() };
            }
            Event::Progress { stage, done, total } => {
                let state = self.stages.entry(stage).or_default();
                state.done = done;
                state.total = total;
            }
            Event::Planned { stage, plan, needs } => {
                self.info(format!("{}: {}", stage.name(), describe_plan(plan, needs)));
                self.stages.entry(stage).or_default().needs = Some(needs);
            }
            Event::StageEnded { stage, seconds, peak_memory } => {
                let state = self.stages.entry(stage).or_default();
                state.ended = true;
                state.done = state.total;
                state.seconds = seconds;
                state.peak_memory = peak_memory;
            }
            Event::Step { stage, step, metrics } => self.step(stage, step, metrics),
            Event::Annotated { file, pairs } => {
                self.info(format!("{pairs} pairs annotated"));
                self.annotations = Some(file);
            }
            Event::Threshold { value } => {
                self.info(format!("Threshold {value:.3} from the next step on"));
                self.threshold = value;
            }
            Event::Checkpoint { stage, step } => self.checkpoint = Some((stage, step)),
            Event::Measured { .. } | Event::Tabulated { .. } => {}
            Event::Paused => self.status = Status::Paused,
            Event::Continued => self.status = Status::Running,
            Event::Warning { message, .. } => self.line(Level::Warning, &message),
            Event::Note { message } => self.info(message),
            Event::Stopped => {
                self.status = Status::Stopped;
                self.info("Stopped; the run can be resumed");
            }
            Event::Failed { message } => {
                self.status = Status::Failed;
                self.line(Level::Error, &message);
            }
            Event::Finished { report } => {
                self.status = Status::Finished;
                self.info(format!("Finished in {:.0} s", report.seconds));
                self.report = Some(report);
            }
        }
    }

    fn step(&mut self, stage: Stage, step: u64, metrics: Metrics) {
        let state = self.stages.entry(stage).or_default();
        state.started = true;
        state.done = step;
        let curves = self.curves.entry(stage).or_default();
        for (name, &value) in &metrics.0 {
            let curve = curves.entry(name.clone()).or_default();
            // A resumed run repeats the steps after its checkpoint: the newer values stand.
            while curve.last().is_some_and(|last| last[0] >= step as f64) {
                curve.pop();
            }
            curve.push([step as f64, value]);
            if curve.len() >= MOST_POINTS {
                thin(curve);
            }
        }
        self.latest.insert(stage, (step, metrics));
    }

    fn info(&mut self, text: impl AsRef<str>) {
        self.line(Level::Info, text.as_ref());
    }

    fn line(&mut self, level: Level, text: &str) {
        let text = crate::legible::cut(text).into_owned();
        self.log.push(LogLine { level, text });
    }
}
