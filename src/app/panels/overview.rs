//! What will happen, what is happening, what came out.

use egui::{Align, Label, Layout, RichText, Ui, vec2};

use super::Panel;
use crate::app::command::{Command, Dialog};
use crate::app::format;
use crate::app::icons::Icon;
use crate::app::rail::{self, Entry, Mark};
use crate::app::state::{DataState, Scene, State};
use crate::app::theme::Palette;
use crate::app::widgets;
use crate::run::{Report, Shows, Status};

/// The first panel that a person sees.
pub(super) struct Overview;

impl Panel for Overview {
    fn title(&self) -> &'static str {
        "Overview"
    }

    fn ui(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        widgets::scroll(ui, "overview", |ui| {
            headline(ui, scene.state);
            ui.add_space(6.0);
            if let Some(report) = &scene.state.view.report {
                outcome(ui, scene, report);
            }
            widgets::card(ui, |ui| {
                for (i, entry) in rail::entries().iter().enumerate() {
                    if i > 0 {
                        ui.add_space(4.0);
                    }
                    let (title, text) = (entry.part.title, plan(scene.state, entry));
                    step(ui, i + 1, title, &text, &rail::entry_mark(scene.state, entry));
                }
            });
            ui.add_space(4.0);
            if scene.state.view.status == Status::Idle {
                invitation(ui, scene);
            }
        });
    }
}

fn headline(ui: &mut Ui, state: &State) {
    let (title, text) = match state.view.status {
        Status::Idle if state.is_demo() => (
            "A weak model learns what people prefer, and teaches a stronger one",
            "The built-in demonstration is loaded: two tiny language models and a small world of questions and answers. It runs on this machine in a minute or two and downloads nothing.",
        ),
        Status::Idle => {
            ("Ready to run", "This is what will happen. Every number can be changed in Settings.")
        }
        Status::Running => (
            "At work",
            "Curves, Confidence and Pairs fill as the run goes on. The threshold can be moved at any time.",
        ),
        Status::Paused => ("Paused", "The run waits before its next step."),
        Status::Stopped => {
            ("Stopped", "Resume goes on from the last checkpoint; Run starts afresh.")
        }
        Status::Failed => (
            "The run failed",
            "The reason is in the log. What was computed is kept; Resume tries again from the last checkpoint.",
        ),
        Status::Finished => (
            "Finished",
            "Read pairs by confidence in Pairs, and move the threshold in Confidence to see what it would keep.",
        ),
    };
    ui.label(RichText::new(title).size(19.0).strong());
    widgets::weak(ui, text);
}

fn step(ui: &mut Ui, number: usize, title: &str, text: &str, (mark, words): &(Mark, String)) {
    let palette = Palette::get(ui);
    ui.horizontal_top(|ui| {
        let (rect, _) = ui.allocate_exact_size(vec2(24.0, 24.0), egui::Sense::hover());
        let current = matches!(mark, Mark::Working(..));
        let fill = if current { palette.accent_fill } else { palette.surface };
        let color = if current { egui::Color32::WHITE } else { palette.weak };
        ui.painter().circle_filled(rect.center(), 11.0, fill);
        let font = egui::FontId::proportional(12.0);
        ui.painter().text(rect.center(), egui::Align2::CENTER_CENTER, number, font, color);
        ui.vertical(|ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            ui.horizontal(|ui| {
                ui.label(RichText::new(title).strong());
                if !matches!(mark, Mark::Waiting) {
                    let color = rail::note_color(&palette, *mark);
                    ui.label(RichText::new(words).small().color(color));
                }
            });
            widgets::weak(ui, text);
        });
    });
}

/// What the stages of a part will do, in the numbers of the recipe.
fn plan(state: &State, entry: &Entry) -> String {
    if entry.part.shows == Shows::Data {
        return data(state);
    }
    let plans = entry.stages.iter().map(|stage| stage.plan(&state.recipe));
    plans.filter(|plan| !plan.is_empty()).collect::<Vec<String>>().join(" ")
}

fn data(state: &State) -> String {
    let (recipe, view) = (&state.recipe, &state.view);
    let names: Vec<String> =
        recipe.data.files.iter().map(|f| format::file_name(f.as_ref())).collect();
    let source = match names.as_slice() {
        [] => "No file yet: drop preference files on the window.".to_owned(),
        [one] if one == "builtin:demo" => "The built-in pairs".to_owned(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} and {}", format::counted(rest.len(), "more file")),
    };
    match (&view.data, &state.data) {
        _ if names.is_empty() => source,
        (Some(data), _) => format!(
            "{source}: {} train the annotator, {}{} are left for it to label, {} are kept for evaluation.",
            format::count(data.labelled),
            match data.calibration {
                0 => String::new(),
                pairs => format!("{} calibrate it, ", format::count(pairs)),
            },
            format::count(data.unlabelled),
            format::count(data.held_out)
        ),
        (None, found) => {
            let pairs = if let DataState::Read(found) = found {
                format!(" ({})", format::counted(found.pairs, "pair"))
            } else {
                String::new()
            };
            format!(
                "{source}{pairs}: {:.0} % of the prompts are kept for evaluation; of the rest, {:.0} % keep their human labels and the others lose them.{}",
                100.0 * recipe.data.held_out,
                100.0 * recipe.data.labelled,
                if recipe.confidence.fits() {
                    let share = 100.0 * recipe.data.calibration;
                    format!(" {share:.0} % of the labelled ones calibrate its confidence.")
                } else {
                    String::new()
                }
            )
        }
    }
}

fn invitation(ui: &mut Ui, scene: &mut Scene<'_>) {
    let ready = scene.state.problem.is_none();
    let text = if scene.state.is_demo() { "Run the demonstration" } else { "Start the run" };
    ui.horizontal_wrapped(|ui| {
        ui.scope(|ui| {
            ui.spacing_mut().button_padding = vec2(20.0, 9.0);
            let button = widgets::primary(ui, Some(Icon::Play), text, ready);
            let problem = scene.state.problem.as_ref().map_or("", |p| p.message.as_str());
            if button.on_disabled_hover_text(problem).clicked() {
                scene.send(Command::Run);
            }
        });
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| {
            if ui.button("Open preference files…").clicked() {
                scene.send(Command::Ask(Dialog::Files));
            }
        });
    });
    if let Some(problem) = &scene.state.problem {
        let color = Palette::get(ui).error;
        ui.add(Label::new(RichText::new(&problem.message).color(color)).wrap());
    }
    widgets::weak(
        ui,
        "Or drop preference files, a recipe, a model folder or a run folder anywhere on this window.",
    );
}

fn outcome(ui: &mut Ui, scene: &mut Scene<'_>, report: &Report) {
    let share = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), format::percent);
    let mut stats = vec![
        (
            "Annotator right",
            share(report.annotator.accuracy),
            "Held-out pairs on which the annotator agrees with the humans",
        ),
        (
            "Mean C",
            report.confidence.mean.map_or_else(|| "–".to_owned(), format::number),
            "Mean confidence over the unlabelled split",
        ),
        (
            "Policy right",
            share(report.policy.rewards_accuracy),
            "Held-out pairs on which the policy's reward prefers what the humans preferred",
        ),
    ];
    if let Some(gold) = &report.gold {
        stats.push(("Wins against SFT", format::percent(gold.win_rate), "Prompts on which the aligned policy's sample has the higher gold reward; ties count one half"));
    }
    widgets::card(ui, |ui| {
        widgets::stats(ui, 130.0, &stats);
        if ui.button("Read the report").clicked() {
            scene.send(Command::Show("Report"));
        }
    });
    ui.add_space(4.0);
}
