//! What came out of a run, as numbers and as samples to read.

use egui::{Label, RichText, Ui};

use super::Panel;
use crate::app::format;
use crate::app::icons::{self, Icon};
use crate::app::state::Scene;
use crate::app::theme::Palette;
use crate::app::widgets::{self, row};
use crate::run::{GoldReport, GoldSample};

/// The report of a finished run.
pub(super) struct Report;

impl Panel for Report {
    fn title(&self) -> &'static str {
        "Report"
    }

    fn ui(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let Some(report) = &scene.state.view.report else {
            let text = if scene.state.at_work {
                "The run is at work; its report appears here when it ends."
            } else {
                "Press Run, or open the folder of a finished run."
            };
            widgets::empty(ui, Icon::Page, "No report yet", text);
            return;
        };
        widgets::scroll(ui, "report", |ui| {
            ui.label(RichText::new(&report.name).size(19.0).strong());
            widgets::weak(ui, format!("{} on {}", format::duration(report.seconds), report.device));
            ui.add_space(2.0);
            if let Some(gold) = &report.gold {
                verdict(ui, gold);
            }
            if ui.available_width() > 520.0 {
                ui.columns_const(|[left, right]| {
                    annotator(left, report);
                    confidence(left, report);
                    policy(right, report);
                    data(right, report);
                });
            } else {
                annotator(ui, report);
                confidence(ui, report);
                policy(ui, report);
                data(ui, report);
            }
            if let Some(gold) = report.gold.as_ref().filter(|gold| !gold.samples.is_empty()) {
                widgets::section(ui, "Before and after");
                gold.samples.iter().for_each(|pair| sample(ui, pair));
            }
            if !report.warnings.is_empty() {
                widgets::section(ui, "Warnings");
                let color = Palette::get(ui).warning;
                for warning in &report.warnings {
                    ui.horizontal_top(|ui| {
                        icons::show(ui, Icon::Warning, 13.0, color);
                        ui.add(Label::new(warning).wrap());
                    });
                }
            }
        });
    }
}

fn share(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), format::percent)
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), format::number)
}

fn verdict(ui: &mut Ui, gold: &GoldReport) {
    let palette = Palette::get(ui);
    widgets::card(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            ui.label(
                RichText::new(format::percent(gold.win_rate))
                    .monospace()
                    .size(26.0)
                    .color(palette.accent),
            );
            let [low, high] = gold.win_rate_interval;
            let interval =
                format!("95 % interval {} to {}", format::percent(low), format::percent(high));
            ui.vertical(|ui| {
                ui.spacing_mut().item_spacing.y = 1.0;
                ui.label(RichText::new("of samples beat those of the fine-tuned model").strong());
                widgets::weak(
                    ui,
                    format!("{} prompts, {}; {interval}", format::count(gold.prompts), judge(gold)),
                );
            });
        });
        let mut rewards = vec![
            (
                "Before training",
                format::number(gold.base),
                "Mean gold reward of the stronger model as it came",
            ),
            ("After fine-tuning", format::number(gold.sft), "Mean gold reward of the reference"),
            (
                "After alignment",
                format::number(gold.policy),
                "Mean gold reward of the aligned policy",
            ),
        ];
        if gold.accuracy.is_some() {
            rewards.push((
                "Gold model right",
                share(gold.accuracy),
                "Held-out pairs under the sampled prompts on which the gold model agrees with the humans",
            ));
        }
        widgets::stats(ui, 110.0, &rewards);
    });
}

/// Whose reward it is.
fn judge(gold: &GoldReport) -> String {
    match gold.model.as_str() {
        "" => "true reward".to_owned(),
        model => format!("judged by {}", format::file_name(model.as_ref())),
    }
}

fn annotator(ui: &mut Ui, report: &crate::run::Report) {
    let a = &report.annotator;
    widgets::card(ui, |ui| {
        ui.strong("Annotator");
        row(ui, "Right on held-out pairs", &share(a.accuracy), "Agreement with the human labels");
        row(
            ui,
            "Always the longer one",
            &share(a.longer_is_better),
            "What preferring the longer response would reach, for comparison",
        );
        row(
            ui,
            "Calibration error",
            &share(a.ece),
            "Mean distance of stated probability from measured accuracy (15 bins)",
        );
        row(ui, "Log-loss", &number(a.nll), "Mean negative log-likelihood of the human label");
        row(ui, "Steps", &format::count(a.steps as usize), "");
    });
}

fn confidence(ui: &mut Ui, report: &crate::run::Report) {
    let c = &report.confidence;
    widgets::card(ui, |ui| {
        ui.strong("Confidence");
        row(ui, "Mean C", &number(c.mean), "Over the unlabelled split");
        row(ui, "Pairs kept", &format::count(c.kept), "With weight above 0");
        row(
            ui,
            "Agreement, all",
            &share(c.agreement),
            "Weak labels that agree with human labels, where known",
        );
        row(ui, "Agreement, kept", &share(c.agreement_kept), "The same among kept pairs");
    });
}

fn policy(ui: &mut Ui, report: &crate::run::Report) {
    let p = &report.policy;
    widgets::card(ui, |ui| {
        ui.strong("Policy");
        row(
            ui,
            "Right on held-out pairs",
            &share(p.rewards_accuracy),
            "Held-out pairs with a positive reward margin under human labels",
        );
        row(ui, "Reward margin", &number(p.rewards_margin), "Mean, on held-out pairs");
        row(ui, "Steps", &format::count(p.steps as usize), "");
    });
}

fn data(ui: &mut Ui, report: &crate::run::Report) {
    let d = &report.data;
    let s = &d.summary;
    let numbers = [
        ("Pairs", s.pairs, "Readable pairs"),
        ("Labelled", s.labelled, "Train the annotator"),
        ("Unlabelled", s.unlabelled, "Labelled by the annotator, for the policy"),
        ("Held out", s.held_out, "For evaluation"),
        ("Skipped rows", s.bad_rows, "Rows that could not be read"),
        ("Too long", d.too_long, "Pairs beyond data.max_length"),
        ("Refused", d.refused, "Pairs that a chat template refuses"),
    ];
    widgets::card(ui, |ui| {
        ui.strong("Data");
        for (name, n, explanation) in numbers {
            row(ui, name, &format::count(n), explanation);
        }
    });
}

fn sample(ui: &mut Ui, sample: &GoldSample) {
    let palette = Palette::get(ui);
    ui.add_space(2.0);
    ui.add(Label::new(RichText::new(&sample.prompt).strong()).wrap());
    let note = |reward: f64| format!("gold reward {}", format::number(reward));
    let (before, after) = (note(sample.before.1), note(sample.after.1));
    widgets::two_passages(
        ui,
        ("Fine-tuned", &before, &sample.before.0, palette.sft),
        ("Aligned", &after, &sample.after.0, palette.accent),
    );
    ui.add_space(4.0);
}
