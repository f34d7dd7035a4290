//! What is trained of a model, and how the rest is stored.

use egui::{DragValue, TextEdit, Ui};

use super::{choice, line, share};
use crate::app::state::Problem;
use crate::app::widgets;
use crate::model::{LoraSettings, Precision};

/// How weights that are not trained may be stored.
pub(super) const PRECISIONS: [(Precision, &str); 5] = [
    (Precision::F32, "32-bit floats"),
    (Precision::F16, "16-bit floats (f16)"),
    (Precision::Bf16, "16-bit floats (bf16)"),
    (Precision::Int8, "8 bits"),
    (Precision::Int4, "4 bits"),
];

/// The rows of an adapter's settings; most appear once there is one.
pub(super) fn rows(
    ui: &mut Ui,
    problem: Option<&Problem>,
    section: &str,
    lora: &mut LoraSettings,
    precision: &mut Precision,
) {
    let key = |name: &str| format!("{section}.lora.{name}");
    line(ui, problem, &key("rank"), "Train", |ui| {
        let mut adapted = lora.rank > 0;
        if ui.checkbox(&mut adapted, "an adapter (LoRA)").changed() {
            lora.rank = if adapted { 8 } else { 0 };
            if !adapted {
                *precision = Precision::F32;
            }
        }
        if adapted {
            ui.add(DragValue::new(&mut lora.rank).range(1..=4096).prefix("rank "));
        } else {
            widgets::weak(ui, "all weights");
        }
    });
    if lora.rank == 0 {
        return;
    }
    line(ui, problem, &key("alpha"), "α", |ui| {
        ui.add(DragValue::new(&mut lora.alpha).range(0.0..=65_536.0).speed(0.1));
        ui.checkbox(&mut lora.rslora, "over √rank (rsLoRA)");
    });
    line(ui, problem, &key("dropout"), "Dropout", |ui| share(ui, &mut lora.dropout));
    line(ui, problem, &key("targets"), "Modules", |ui| {
        // What was typed stands as long as it means the same, so that a comma can be typed.
        let id = ui.scope_id().with(key("targets"));
        let typed = ui.data(|data| data.get_temp::<String>(id));
        let mut text = typed
            .filter(|text| words(text) == lora.targets)
            .unwrap_or_else(|| lora.targets.join(", "));
        let edit = TextEdit::singleline(&mut text).hint_text("the usual ones, or all-linear");
        if ui.add(edit.desired_width(240.0)).changed() {
            lora.targets = words(&text);
            ui.data_mut(|data| data.insert_temp(id, text));
        }
    });
    line(ui, problem, &format!("{section}.precision"), "Other weights", |ui| {
        choice(ui, &format!("{section}.precision"), precision, &PRECISIONS);
    });
    line(ui, problem, &key("merge"), "Export", |ui| {
        ui.checkbox(&mut lora.merge, "also the merged model");
    });
}

fn words(text: &str) -> Vec<String> {
    text.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
