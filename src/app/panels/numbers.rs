//! The newest numbers of each training stage.

use egui::{RichText, Ui};

use super::{Home, Panel};
use crate::app::format;
use crate::app::icons::Icon;
use crate::app::rail::{Mark, mark, words};
use crate::app::state::Scene;
use crate::app::theme::Palette;
use crate::app::widgets;
use crate::run::{Metrics, Stage};

/// The newest metrics.
pub(super) struct Numbers;

impl Panel for Numbers {
    fn title(&self) -> &'static str {
        "Numbers"
    }

    fn home(&self) -> Home {
        Home::RightTop
    }

    fn ui(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let latest = &scene.state.view.latest;
        if latest.is_empty() {
            widgets::empty(
                ui,
                Icon::Curve,
                "No step yet",
                "The newest loss, rewards, weights and speed of each stage appear here during a run.",
            );
            return;
        }
        widgets::scroll(ui, "numbers", |ui| {
            // What is at work now comes first.
            for (stage, (step, metrics)) in latest.iter().rev() {
                stage_card(ui, scene, *stage, *step, metrics);
            }
        });
    }
}

fn stage_card(ui: &mut Ui, scene: &Scene<'_>, stage: Stage, step: u64, metrics: &Metrics) {
    let palette = Palette::get(ui);
    let total = scene.state.view.stages.get(&stage).map_or(0, |s| s.total);
    let how_far = mark(scene.state, stage);
    widgets::card(ui, |ui| {
        ui.horizontal(|ui| {
            widgets::dot(ui, palette.stage(stage));
            ui.label(RichText::new(stage.about().title).strong());
            let color =
                if matches!(how_far, Mark::Working(..)) { palette.accent } else { palette.weak };
            ui.label(RichText::new(words(how_far)).small().color(color));
        });
        let of = if total > 0 {
            format!(" of {}", format::count(total as usize))
        } else {
            String::new()
        };
        let mut stats =
            vec![("step", format!("{}{of}", format::count(step as usize)), "Optimiser steps")];
        let mut sorted: Vec<_> = metrics.0.iter().collect();
        sorted.sort_by_key(|(name, _)| *name != "loss");
        stats.extend(
            sorted
                .into_iter()
                .map(|(name, value)| (name.as_str(), value_of(name, *value), explanation(name))),
        );
        widgets::stats(ui, 118.0, &stats);
    });
}

fn value_of(name: &str, value: f64) -> String {
    match name {
        "accuracy" | "rewards/accuracies" => format::percent(value),
        "num_tokens" | "tokens_per_second" if value.is_finite() && value >= 0.0 => {
            format::count(value.round() as usize)
        }
        _ => format::number(value),
    }
}

/// What a metric means.
pub(super) fn explanation(name: &str) -> &'static str {
    match name {
        "loss" => "What is differentiated, before the update",
        "accuracy" => "Share of pairs in the batch that the annotator scores in the human order",
        "margin" => "Mean score of the chosen response minus that of the rejected one",
        "rewards/chosen" => "β × log-ratio of policy to reference, summed over the chosen response",
        "rewards/rejected" => {
            "β × log-ratio of policy to reference, summed over the rejected response"
        }
        "rewards/margins" => "Reward of the chosen response minus that of the rejected one",
        "rewards/accuracies" => "Share of pairs whose chosen response has the higher reward",
        "logps/chosen" => {
            "Log-probability of the chosen response; falling together with rising margins means that both responses become less likely"
        }
        "logps/rejected" => "Log-probability of the rejected response",
        "grad_norm" => "Length of the gradient before it is clipped",
        "learning_rate" => "Size of the step",
        "num_tokens" => "Tokens computed so far",
        "tokens_per_second" => "Tokens computed per second",
        "weight/mean" => "Mean weight of the pairs in the batch",
        "weight/effective_sample_size" => {
            "(Σw)² / Σw²: how many equally weighted pairs the batch is worth"
        }
        _ => "",
    }
}
