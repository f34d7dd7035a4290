//! `demo`, `run` and `resume`: progress on stderr, the report on stdout.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

use super::{DONE, print, say, show, tell};
use crate::interrupt::{self, Cause};
use crate::legible;
use crate::run::{Control, Event, Job, Metrics, Recipe, RunView, Stage, cache_folder, execute};

/// Every setting of a recipe with default and meaning, for `run --help`.
pub(super) fn recipe_help() -> String {
    let defaults = toml::Table::try_from(Recipe::default()).unwrap_or_default();
    let mut text = String::from("Settings of a recipe, with their defaults:\n");
    let mut last = "";
    for setting in Recipe::documentation() {
        let (section, field) = (setting.section.as_str(), &setting.field);
        if section != last {
            let _ = writeln!(text, "\n  [{section}]");
            last = section;
        }
        let mut parts = section.split('.').filter(|part| !part.is_empty());
        let table = parts.try_fold(&defaults, |table, part| table.get(part)?.as_table());
        let value =
            table.and_then(|t| t.get(field.name)).map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(text, "  {} = {value}\n      {}", field.name, field.doc.trim());
        if !field.aliases.is_empty() {
            let _ = writeln!(text, "      Also read as {}.", field.aliases.join(", "));
        }
        for word in field.words.all().iter().filter(|word| !word.summary.is_empty()) {
            let _ = writeln!(text, "      {}: {}", word.name, word.summary);
            let _ = writeln!(text, "          {}  ({})", word.formula, word.paper);
        }
    }
    text.push_str("\nPaths are relative to the recipe. data.files and policy.model are required, and annotator.model unless annotator.kind = \"human\".");
    text
}

/// Run a job to its end; who interrupts it gets a checkpoint first.
pub(super) fn run(job: Job, json: bool) -> anyhow::Result<u8> {
    let control = Control::caching_in(cache_folder());
    let (commands, computing) = (control.clone(), control.clone());
    let stop = move |cause| {
        commands.stop();
        tell(match cause {
            _ if !commands.at_stake() => "Stopping.",
            Cause::Interrupt => "Stopping after this step; press Ctrl-C again to end at once.",
            Cause::HangUp | Cause::Terminate => "Told to end: stopping after this step.",
        });
    };
    if let Err(error) = interrupt::watch(stop, move || computing.at_stake()) {
        tell(&format!("warning: interrupting this run will not write a checkpoint: {error}"));
    }
    let mut screen = Screen::new();
    let report = execute(job, control, &mut |event| screen.show(event))?;
    screen.clear();
    if json {
        print(&serde_json::to_string_pretty(&report)?);
    } else {
        say(&show::report_text(&report, &screen.view.folder));
    }
    Ok(DONE)
}

/// What the terminal shows of a run under way.
struct Screen {
    view: RunView,
    bars: BTreeMap<Stage, ProgressBar>,
    fetch: Option<ProgressBar>,
    interactive: bool,
}

impl Screen {
    fn new() -> Self {
        let interactive = std::io::stderr().is_terminal();
        Self { view: RunView::default(), bars: BTreeMap::new(), fetch: None, interactive }
    }

    fn show(&mut self, event: Event) {
        let before = self.view.log.len();
        match &event {
            Event::Fetching { model, file, done, total } => self.fetch(model, file, *done, *total),
            Event::StageStarted { stage, total } => self.begin(*stage, *total),
            Event::Progress { stage, done, total } => self.advance(*stage, *done, *total),
            Event::Step { stage, step, metrics } => self.step(*stage, *step, metrics),
            Event::StageEnded { stage, seconds, .. } => self.end(*stage, *seconds),
            Event::Data { summary } => self.line(&format!(
                "data: {} pairs ({} labelled, {}{} unlabelled, {} held out), {} bad rows skipped",
                summary.pairs,
                summary.labelled,
                match summary.calibration {
                    0 => String::new(),
                    pairs => format!("{pairs} for calibration, "),
                },
                summary.unlabelled,
                summary.held_out,
                summary.bad_rows
            )),
            Event::Started { device, why, folder, .. } => {
                self.fetch.take().inspect(ProgressBar::finish_and_clear);
                self.line(&format!("device: {device} ({why})\nfolder: {}", folder.display()));
            }
            _ => {}
        }
        // The outcome is printed by the caller.
        let outcome =
            matches!(event, Event::Failed { .. } | Event::Finished { .. } | Event::Started { .. });
        self.view.apply(event);
        if !outcome {
            for line in &self.view.log[before..] {
                self.line(&line.text);
            }
        }
    }

    fn fetch(&mut self, model: &str, file: &str, done: u64, total: u64) {
        let interactive = self.interactive;
        let bar = self.fetch.get_or_insert_with(|| {
            let bar = if interactive { ProgressBar::new(total) } else { ProgressBar::hidden() };
            let template = "{prefix} {wide_bar:.cyan/dim} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            if !interactive {
                tell(&format!("fetching {model}"));
            }
            bar
        });
        bar.set_prefix(legible::quoted(model));
        bar.set_message(legible::quoted(file));
        bar.set_length(total);
        bar.set_position(done);
    }

    fn line(&self, text: &str) {
        match self.bars.values().find(|bar| !bar.is_finished()) {
            Some(bar) if self.interactive => bar.println(legible::message(text)),
            _ => tell(text),
        }
    }

    fn begin(&mut self, stage: Stage, total: u64) {
        if !stage.about().computes {
            return;
        }
        let bar = if self.interactive { ProgressBar::new(total) } else { ProgressBar::hidden() };
        let template =
            "{prefix:>10} {wide_bar:.cyan/dim} {pos}/{len}  {per_sec}  {eta} left  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(stage.name());
        self.bars.insert(stage, bar);
    }

    fn advance(&mut self, stage: Stage, done: u64, total: u64) {
        if !self.bars.contains_key(&stage) {
            self.begin(stage, total);
        }
        if let Some(bar) = self.bars.get(&stage) {
            bar.set_length(total);
            bar.set_position(done);
        }
    }

    fn step(&mut self, stage: Stage, step: u64, metrics: &Metrics) {
        let number = |name: &str| metrics.get(name).map(|v| format!("{} {v:.4}", short(name)));
        let names = ["loss", "accuracy", "rewards/margins", "rewards/accuracies"];
        let message = names.iter().filter_map(|n| number(n)).collect::<Vec<_>>().join("  ");
        let total = self.view.stages.get(&stage).map_or(0, |s| s.total);
        if self.interactive {
            if let Some(bar) = self.bars.get(&stage) {
                bar.set_message(message);
            }
        } else if step == 1 || step == total || step.is_multiple_of((total / 10).max(1)) {
            tell(&format!("{:>10} {step}/{total}  {message}", stage.name()));
        }
    }

    fn end(&mut self, stage: Stage, seconds: f64) {
        if let Some(bar) = self.bars.get(&stage) {
            bar.finish_and_clear();
        }
        if stage.about().computes {
            self.line(&format!("{:>10} done in {seconds:.1} s", stage.name()));
        }
    }

    fn clear(&self) {
        self.bars.values().for_each(ProgressBar::finish_and_clear);
    }
}

fn short(name: &str) -> &str {
    match name {
        "rewards/margins" => "margin",
        "rewards/accuracies" => "accuracy",
        other => other,
    }
}
