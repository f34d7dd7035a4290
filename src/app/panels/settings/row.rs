//! One setting of the form: its name, which explains itself, and the widget that suits what it may be.

use egui::{
    Align, ComboBox, DragValue, Label, Layout, RichText, Sense, SliderClamping, TextEdit, Ui, vec2,
};
use toml::Value;

use crate::app::state::Problem;
use crate::app::theme::Palette;
use crate::app::widgets;
use crate::run::Setting;
use crate::settings::{Field, Holds, Limits, Word, Words};

/// One line of the form.
pub(super) fn line(
    ui: &mut Ui,
    problem: Option<&Problem>,
    setting: &Setting,
    widget: impl FnOnce(&mut Ui),
) {
    let palette = Palette::get(ui);
    let key = setting.key();
    let wrong = problem.filter(|problem| problem.key == key);
    ui.horizontal(|ui| {
        let color = if wrong.is_some() { palette.error } else { palette.weak };
        let width = 148.0_f32.min(ui.available_width() * 0.45);
        let label = ui
            .allocate_ui_with_layout(
                vec2(width, 24.0),
                Layout::left_to_right(Align::Center),
                |ui| {
                    ui.set_min_width(width);
                    ui.add(
                        Label::new(RichText::new(setting.field.title()).color(color))
                            .truncate()
                            .selectable(false)
                            .sense(Sense::hover()),
                    )
                },
            )
            .inner
            .on_hover_text(setting.field.doc.trim());
        ui.label_inputs_by(label.id, widget);
    });
    if let Some(wrong) = wrong {
        ui.add(Label::new(RichText::new(&wrong.message).small().color(palette.error)).wrap());
    }
}

/// The widget for a value of a setting. It moves inside the limits, and leaves alone what a file put outside
/// them, for the check to tell.
pub(super) fn widget(ui: &mut Ui, setting: &Setting, value: &mut Value) {
    let field = &setting.field;
    match value {
        Value::Float(_) | Value::String(_) if is_number_or_word(field) => {
            number_or_word(ui, setting, value);
        }
        Value::Boolean(on) => {
            ui.checkbox(on, if *on { "yes" } else { "no" });
        }
        Value::Integer(number) => integer(ui, field, number),
        Value::Float(number) if is_share(&field.limits) => share(ui, &field.limits, number),
        Value::Float(number) if is_unit(&field.limits) => {
            widgets::slider(
                ui,
                egui::Slider::new(number, field.limits.range())
                    .clamping(SliderClamping::Edits)
                    .fixed_decimals(3),
            );
        }
        Value::Float(number) => float(ui, field, number),
        Value::String(text) if matches!(field.words, Words::Any) => {
            let edit = TextEdit::singleline(text).hint_text(field.zero);
            ui.add(edit.desired_width(240.0));
        }
        Value::String(_) | Value::Array(_) if field.holds == Holds::Several => {
            several(ui, setting, value);
        }
        Value::String(text) => words(ui, setting, 0, text),
        Value::Array(list) => texts(ui, setting, list),
        Value::Table(_) | Value::Datetime(_) => {}
    }
}

fn is_share(limits: &Limits) -> bool {
    limits.expected.contains("share")
}

fn is_unit(limits: &Limits) -> bool {
    (limits.least, limits.most) == (0.0, 1.0)
}

/// What stands behind a number, unless words stand in its place.
fn suffix(field: &Field, number: f64) -> String {
    let in_words = number == 0.0 && !field.zero.is_empty();
    if field.unit.is_empty() || in_words { String::new() } else { format!(" {}", field.unit) }
}

fn integer(ui: &mut Ui, field: &Field, number: &mut i64) {
    let least = field.limits.least.max(0.0) as i64;
    let (zero, unit) = (field.zero, suffix(field, *number as f64));
    let text = move |number: f64, _| {
        if number == 0.0 && !zero.is_empty() { zero.to_owned() } else { format!("{number:.0}") }
    };
    ui.add(
        DragValue::new(number)
            .range(least..=i64::MAX)
            .clamp_existing_to_range(false)
            .suffix(unit)
            .speed(1.0)
            .custom_formatter(text),
    );
}

/// A number over many orders of magnitude, written as in a recipe.
fn float(ui: &mut Ui, field: &Field, number: &mut f64) {
    let speed = (*number * 0.02).max(1e-9);
    let (zero, unit) = (field.zero, suffix(field, *number));
    let text = move |number: f64, _| {
        if number == 0.0 && !zero.is_empty() {
            zero.to_owned()
        } else if number != 0.0 && number.abs() < 0.01 {
            format!("{number:e}")
        } else {
            format!("{number}")
        }
    };
    ui.add(
        DragValue::new(number)
            .range(field.limits.range())
            .clamp_existing_to_range(false)
            .suffix(unit)
            .speed(speed)
            .custom_formatter(text),
    );
}

/// Whether a number may be a word, too.
fn is_number_or_word(field: &Field) -> bool {
    field.limits != Limits::ANY && !matches!(field.words, Words::Any)
}

/// A number, or one of some words; the number that comes after a word is 1.
fn number_or_word(ui: &mut Ui, setting: &Setting, value: &mut Value) {
    let words = setting.field.words.all();
    let now = words.iter().find(|word| value.as_str() == Some(word.name));
    let says = now.map_or("this number", |word| word.says.as_str());
    ComboBox::from_id_salt(setting.key()).selected_text(says).width(190.0).show_ui(ui, |ui| {
        let number = if value.is_float() { value.clone() } else { Value::Float(1.0) };
        ui.selectable_value(value, number, "this number");
        for word in &words {
            ui.selectable_value(value, Value::String(word.name.to_owned()), word.says.as_str());
        }
    });
    if let Value::Float(number) = value {
        float(ui, &setting.field, number);
    }
}

/// A share as a slider in percent.
fn share(ui: &mut Ui, limits: &Limits, value: &mut f64) {
    let percent = |share: f64, _| format!("{:.1} %", share * 100.0);
    let parse = |text: &str| {
        text.trim().trim_end_matches('%').trim().parse::<f64>().ok().map(|p| p / 100.0)
    };
    let slider = egui::Slider::new(value, limits.range()).clamping(SliderClamping::Edits);
    widgets::slider(ui, slider.custom_formatter(percent).custom_parser(parse));
}

/// One of some words.
fn words(ui: &mut Ui, setting: &Setting, place: usize, value: &mut String) {
    let words = setting.field.words.all();
    let head = value.split_once(':').map_or(value.as_str(), |(head, _)| head.trim()).to_owned();
    let now = words.iter().find(|word| word.name == head);
    let says = now.map_or("", |word| word.says.as_str());
    // A long formula ends where the panel does.
    let combo = ComboBox::from_id_salt((setting.key(), place)).selected_text(says).truncate();
    let shown = combo.width(190.0).show_ui(ui, |ui| {
        for word in &words {
            let label = ui.selectable_label(word.name == head, word.says.as_str());
            if label.clicked() && word.name != head {
                *value = with_text(word, word.then);
            }
            if !word.summary.is_empty() {
                label.on_hover_text(explained(word));
            }
        }
    });
    if let Some(word) = now.filter(|word| !word.summary.is_empty()) {
        // Its name is that of the setting, which a hover text would take the place of.
        shown.response.on_hover_ui(|ui| {
            ui.set_max_width(ui.spacing().tooltip_width);
            ui.label(format!("{}\n{}", word.says, explained(word)));
        });
    }
    if let Some(word) = now.filter(|word| !word.then.is_empty()) {
        let mut text = value.split_once(':').map_or("", |(_, text)| text).trim_start().to_owned();
        if ui.add(TextEdit::singleline(&mut text).desired_width(240.0)).changed() {
            *value = with_text(word, &text);
        }
    }
}

/// What a word means, and who says so.
fn explained(word: &Word) -> String {
    match word.paper {
        "" => word.summary.to_owned(),
        paper => format!("{} ({paper})", word.summary),
    }
}

/// A word, and the text that follows it if one does.
fn with_text(word: &Word, text: &str) -> String {
    match word.then {
        "" => word.name.to_owned(),
        _ => format!("{}: {text}", word.name),
    }
}

/// One of some words, or several of them below each other; each but the first can go again.
fn several(ui: &mut Ui, setting: &Setting, value: &mut Value) {
    let mut chosen: Vec<String> = match &*value {
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        other => other.as_str().map(str::to_owned).into_iter().collect(),
    };
    let before = chosen.clone();
    let mut gone = None;
    ui.vertical(|ui| {
        for (i, word) in chosen.iter_mut().enumerate() {
            ui.horizontal(|ui| {
                words(ui, setting, i, word);
                if i > 0 && ui.small_button("−").on_hover_text("without it").clicked() {
                    gone = Some(i);
                }
            });
        }
        let all = setting.field.words.all();
        let free = all.iter().find(|word| !before.iter().any(|known| known == word.name));
        if let Some(next) = free
            && ui.small_button("+").on_hover_text("one more, whose loss is added").clicked()
        {
            chosen.push(next.name.to_owned());
        }
    });
    if let Some(i) = gone {
        chosen.remove(i);
    }
    if chosen != before {
        *value = match <[String; 1]>::try_from(chosen) {
            Ok([one]) => Value::String(one),
            Err(several) => Value::Array(several.into_iter().map(Value::String).collect()),
        };
    }
}

/// What stands between the texts of a list, and what one of them means.
fn parts(field: &Field, text: &str) -> Vec<Value> {
    let between: &[char] = if field.holds == Holds::Models { &[','] } else { &[',', ' '] };
    let words = text.split(between).map(str::trim).filter(|word| !word.is_empty());
    let number = |word: &str| word.parse().ok().map(Value::Float);
    match field.holds {
        Holds::Numbers => words.filter_map(number).collect(),
        _ => words.map(|word| Value::String(word.to_owned())).collect(),
    }
}

/// Texts with commas between them. What was typed stands as long as it means the same, so that a comma
/// can be typed.
fn texts(ui: &mut Ui, setting: &Setting, list: &mut Vec<Value>) {
    let id = ui.scope_id().with(setting.key());
    let parts = |text: &str| parts(&setting.field, text);
    let written = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let typed = ui.data(|data| data.get_temp::<String>(id));
    let mut text = typed
        .filter(|text| parts(text) == *list)
        .unwrap_or_else(|| list.iter().map(written).collect::<Vec<_>>().join(", "));
    let edit = TextEdit::singleline(&mut text).hint_text(match setting.field.zero {
        "" => "the usual ones",
        zero => zero,
    });
    if ui.add(edit.desired_width(240.0)).changed() {
        *list = parts(&text);
        ui.data_mut(|data| data.insert_temp(id, text));
    }
}
