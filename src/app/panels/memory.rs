//! What the next run will take of the device's memory, stage by stage, and what would help.

use egui::{Align2, FontId, RichText, Sense, Ui, vec2};

use super::{Home, Panel};
use crate::app::state::Scene;
use crate::app::theme::Palette;
use crate::app::{format, widgets};
use crate::model::MemoryEstimate;
use crate::run::{Advice, Estimate, Stage};

/// The memory of the next run, or of the one on show.
pub(super) struct Memory;

impl Panel for Memory {
    fn title(&self) -> &'static str {
        "Memory"
    }

    fn home(&self) -> Home {
        Home::RightTop
    }

    fn ui(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        widgets::scroll(ui, "memory", |ui| {
            on_show(ui, scene);
            field(ui, scene);
            match &scene.state.estimate {
                _ if scene.state.problem.is_some() => {
                    widgets::weak(ui, "Told once the settings can be used.");
                }
                Some(Ok(estimate)) => {
                    let advice = tell(ui, estimate);
                    if let Some(advice) = advice {
                        apply(scene, &advice);
                    }
                }
                Some(Err(error)) => {
                    ui.label(RichText::new(error).color(Palette::get(ui).error));
                }
                None => {}
            }
            if scene.state.estimating {
                ui.horizontal(|ui| {
                    ui.spinner();
                    widgets::weak(ui, "Reading data and models…");
                });
            }
        });
    }
}

/// What the run on show was expected to take, and took.
fn on_show(ui: &mut Ui, scene: &Scene<'_>) {
    let stages = &scene.state.view.stages;
    let peak = stages.values().filter_map(|stage| stage.peak_memory).max();
    let expected = stages.values().filter_map(|stage| stage.needs).map(|n| n.total()).max();
    if let (Some(peak), Some(expected)) = (peak, expected) {
        let told = format!(
            "The run on show: {} at its peak, {} of it expected of its stages.",
            format::bytes(peak),
            format::bytes(expected)
        );
        widgets::weak(ui, told);
    }
}

/// How much a run may take, where the user knows better than the device.
fn field(ui: &mut Ui, scene: &mut Scene<'_>) {
    let mut gib = scene.state.recipe.device_memory;
    ui.horizontal(|ui| {
        let label = ui.label("May take").on_hover_text(
            "GiB of the device's memory that a run may take; 0 takes what the driver or the system tells",
        );
        let text = |n: f64, _| {
            if n == 0.0 { "what the device tells".to_owned() } else { format!("{n:.1} GiB") }
        };
        let value = egui::DragValue::new(&mut gib).range(0.0..=4096.0).speed(0.1);
        let enabled = !scene.state.at_work;
        if ui.add_enabled(enabled, value.custom_formatter(text)).labelled_by(label.id).changed() {
            scene.edit(|recipe| recipe.device_memory = gib);
        }
    });
}

/// Draw an estimate; returns the advice that was taken.
fn tell(ui: &mut Ui, estimate: &Estimate) -> Option<Advice> {
    let palette = Palette::get(ui);
    let total = format::bytes(estimate.total());
    let (text, color) = match (estimate.fits(), estimate.memory) {
        (Some(true), Some(memory)) => (
            format!("Fits: about {total} of {} ({})", format::bytes(memory.bytes), memory.source),
            palette.chosen,
        ),
        (Some(false), Some(memory)) => (
            format!(
                "Does not fit: about {total}, and there are {} ({})",
                format::bytes(memory.bytes),
                memory.source
            ),
            palette.error,
        ),
        _ => (
            format!("About {total}; what {} has is unknown: set it above", estimate.device),
            palette.warning,
        ),
    };
    ui.label(RichText::new(text).strong().color(color));
    let limit = estimate.memory.map(|memory| memory.bytes);
    // Where there is plenty, the parts would vanish on the scale of all there is.
    let near = limit.filter(|limit| *limit < 2 * estimate.total());
    let whole = near.unwrap_or(0).max(estimate.total());
    legend(ui);
    for stage in &estimate.stages {
        bar(ui, stage.stage, &stage.needs, whole, near);
        let layers = if stage.plan.recompute { ", layers recomputed" } else { "" };
        let at_once = stage.plan.micro_batch.max(1);
        widgets::weak(ui, format!("{at_once} at once{layers}"));
    }
    on_disk(ui, estimate);
    let mut taken = None;
    if !estimate.advice.is_empty() {
        widgets::section(ui, "What would make it fit");
    }
    for advice in &estimate.advice {
        let settings: Vec<String> =
            advice.settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        let text = format!("{}  ({})", settings.join(", "), format::bytes(advice.total));
        if ui.button(text).clicked() {
            taken = Some(advice.clone());
        }
    }
    taken
}

/// What the run takes of the disk.
fn on_disk(ui: &mut Ui, estimate: &Estimate) {
    let disk = &estimate.disk;
    let free = disk
        .free
        .map_or("an unknown amount is".to_owned(), |free| format!("{} are", format::bytes(free)));
    let text = format!("On the disk up to {}; {free} free", format::bytes(disk.needed));
    match disk.fits() {
        Some(false) => {
            let palette = Palette::get(ui);
            ui.label(RichText::new(format!("{text}: too little")).color(palette.error));
        }
        _ => {
            widgets::weak(ui, text);
        }
    }
}

fn apply(scene: &mut Scene<'_>, advice: &Advice) {
    if let Ok(recipe) = scene.state.recipe.with(&advice.settings) {
        scene.edit(|edited| *edited = recipe);
    }
}

/// Names and colours of the parts.
fn parts(palette: &Palette, needs: &MemoryEstimate) -> [(&'static str, u64, egui::Color32); 4] {
    [
        ("weights", needs.weights, palette.accent_fill),
        ("gradients", needs.gradients, palette.sft),
        ("optimiser", needs.optimiser, palette.annotator),
        ("activations", needs.activations, palette.chosen),
    ]
}

fn legend(ui: &mut Ui) {
    let palette = Palette::get(ui);
    ui.horizontal_wrapped(|ui| {
        for (name, _, color) in parts(&palette, &MemoryEstimate::default()) {
            widgets::dot(ui, color);
            widgets::weak(ui, name);
        }
    });
}

/// One stage: its parts side by side, on the scale of what there is.
fn bar(ui: &mut Ui, stage: Stage, needs: &MemoryEstimate, whole: u64, limit: Option<u64>) {
    let palette = Palette::get(ui);
    let height = 20.0;
    let (area, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::hover());
    let scale = area.width() / whole.max(1) as f32;
    ui.painter().rect_filled(area, 4.0, palette.card);
    let mut left = area.left();
    for (_, bytes, color) in parts(&palette, needs) {
        let width = bytes as f32 * scale;
        let piece = egui::Rect::from_min_size(egui::pos2(left, area.top()), vec2(width, height));
        ui.painter().rect_filled(piece, 0.0, color);
        left += width;
    }
    if let Some(limit) = limit {
        let x = area.left() + limit as f32 * scale;
        ui.painter().vline(x, area.y_range(), egui::Stroke::new(2.0, palette.error));
    }
    let text = format!("{}  {}", stage.name(), format::bytes(needs.total()));
    let place =
        egui::pos2((left + 6.0).min(area.right() - 170.0).max(area.left() + 6.0), area.center().y);
    ui.painter().text(place, Align2::LEFT_CENTER, &text, FontId::proportional(12.0), palette.text);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &text));
    let details =
        parts(&palette, needs).map(|(name, bytes, _)| format!("{name} {}", format::bytes(bytes)));
    response.on_hover_text(details.join("\n"));
}
