//! How sure the annotator is, and what the threshold keeps.

use std::fmt::Write;

use egui::{ComboBox, Label, RichText, Slider, TextEdit, Ui};
use egui_plot::{Bar, BarChart, HoverPosition, Line, MarkerShape, Plot, PlotPoint, Points, VLine};

use super::{Home, Panel};
use crate::app::command::Command;
use crate::app::icons::Icon;
use crate::app::pairs::{Agreement, BINS, Weights};
use crate::app::state::Scene;
use crate::app::theme::Palette;
use crate::app::{format, widgets};
use crate::preference::{
    Calibration, CalibrationMethod, Expression, Scheme, SelectivePoint, Temperature, Weight,
    Weighting, selective_curve,
};
use crate::registry::Choice;
use crate::run::Recipe;
use crate::settings::Limits;

/// Histogram, threshold and calibration.
#[derive(Default)]
pub(super) struct Confidence {
    picture: Picture,
    /// Accuracy over coverage of the table of this number; computed once.
    selective: Option<(u64, Vec<SelectivePoint>)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Picture {
    #[default]
    Histogram,
    Reliability,
    Coverage,
}

impl Panel for Confidence {
    fn title(&self) -> &'static str {
        "Confidence"
    }

    fn home(&self) -> Home {
        Home::RightBottom
    }

    fn ui(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        threshold(ui, scene);
        scheme(ui, scene);
        let pairs = &scene.state.pairs;
        let Some(table) = &pairs.table else {
            let text = if scene.state.at_work {
                "Once the annotator has labelled the pairs, their confidence is drawn here; the threshold can be moved then."
            } else {
                "Run the recipe: the annotator's confidence in each of its labels is drawn here."
            };
            widgets::empty(ui, Icon::Bars, "No annotations yet", text);
            return;
        };
        if let Some(problem) = &pairs.weights.calibrated.problem {
            let color = Palette::get(ui).error;
            ui.add(Label::new(RichText::new(problem).color(color)).wrap());
        }
        fitted(ui, &pairs.weights);
        kept(ui, &pairs.weights, table.unlabelled.len());
        ui.horizontal(|ui| {
            for (picture, text, explanation) in PICTURES {
                ui.selectable_value(&mut self.picture, picture, text).on_hover_text(explanation);
            }
        });
        match self.picture {
            Picture::Histogram => histogram(ui, scene),
            Picture::Reliability => reliability(ui, scene),
            Picture::Coverage => {
                let key = pairs.table_number;
                if self.selective.as_ref().is_none_or(|(known, _)| *known != key) {
                    self.selective =
                        Some((key, thin(selective_curve(&table.signed_margins("unlabelled")))));
                }
                let curve = self.selective.as_ref().map_or(&[][..], |(_, curve)| curve);
                coverage(ui, curve, &pairs.weights, table.unlabelled.len());
            }
        }
    }
}

const PICTURES: [(Picture, &str, &str); 3] = [
    (
        Picture::Histogram,
        "Histogram",
        "How many pairs of the unlabelled split have which confidence",
    ),
    (
        Picture::Reliability,
        "Reliability",
        "Measured accuracy over stated probability on the held-out split; on the line, the annotator is as right as it says",
    ),
    (Picture::Coverage, "Coverage", "Agreement with the humans if only the surest pairs are kept"),
];

/// What a setting's widget moves between.
fn range(key: &str) -> std::ops::RangeInclusive<f64> {
    Recipe::setting(key).map_or(Limits::ANY, |setting| setting.field.limits).range()
}

fn threshold(ui: &mut Ui, scene: &mut Scene<'_>) {
    let mut value = scene.state.recipe.confidence.threshold;
    ui.horizontal(|ui| {
        let name = ui
            .label("Threshold")
            .on_hover_text(Recipe::explain("confidence.threshold").unwrap_or_default());
        ui.spacing_mut().slider_width = (ui.available_width() - 70.0).clamp(80.0, 420.0);
        let slider = Slider::new(&mut value, range("confidence.threshold")).fixed_decimals(3);
        if widgets::slider(ui, slider).labelled_by(name.id).changed() {
            scene.send(Command::SetThreshold(value));
        }
    });
}

fn scheme(ui: &mut Ui, scene: &mut Scene<'_>) {
    let old = &scene.state.recipe.confidence;
    let mut new = old.clone();
    ui.add_enabled_ui(!scene.state.at_work, |ui| {
        ui.horizontal(|ui| {
            let name = ui
                .label("Weight")
                .on_hover_text(Recipe::explain("confidence.weight").unwrap_or_default());
            ui.label_inputs_by(name.id, |ui| {
                weights(ui, &mut new.weight);
            });
            if let Weight::Expression(expression) = &mut new.weight {
                let mut text = expression.text().to_owned();
                let edit = TextEdit::singleline(&mut text).desired_width(ui.available_width());
                let edit = ui.add(edit).labelled_by(name.id).on_hover_text(names(scene));
                if edit.changed() {
                    *expression = Expression::new(&text);
                }
            }
            for constant in new.weight.constants() {
                let field = &constant.field;
                let name = ui.label(field.title()).on_hover_text(field.doc.trim());
                let mut value = new.constants.get(field.name);
                ui.add(egui::DragValue::new(&mut value).range(field.limits.range()).speed(0.005))
                    .labelled_by(name.id);
                new.constants = new.constants.clone().with(field.name, value);
            }
        })
        .response
        .on_disabled_hover_text(FIXED);
        ui.horizontal(|ui| calibrating(ui, &mut new)).response.on_disabled_hover_text(FIXED);
    });
    if new != *old {
        scene.edit(|recipe| recipe.confidence = new);
    }
}

/// The list of weightings, and an expression, which begins as C.
fn weights(ui: &mut Ui, weight: &mut Weight) {
    let selected = match weight {
        Weight::Scheme(scheme) => scheme.about().formula,
        Weight::Expression(_) => EXPRESSION,
    };
    ComboBox::from_id_salt("scheme").width(150.0).selected_text(selected).show_ui(ui, |ui| {
        for scheme in Choice::<dyn Scheme>::all() {
            let text = format!("{}   {}", scheme.name(), scheme.about().formula);
            let label = ui.selectable_value(weight, scheme.into(), text);
            label.on_hover_text(scheme.about().summary);
        }
        let chosen = matches!(weight, Weight::Expression(_));
        if ui.selectable_label(chosen, EXPRESSION).clicked() && !chosen {
            *weight = Weight::Expression(Expression::new("C"));
        }
    });
}

const EXPRESSION: &str = "expression";

/// What the expression of a weight can read of the pairs on show.
fn names(scene: &Scene<'_>) -> String {
    let columns = scene.state.pairs.table.iter().flat_map(|table| table.columns());
    let mut text = Recipe::explain("confidence.weight").unwrap_or_default().to_owned();
    for column in columns {
        let _ = write!(text, "\n{column}: a column of the pairs on show");
    }
    text
}

const FIXED: &str = "Weight and calibration are fixed while a run is at work; the threshold is not";

/// How margins become log-odds.
fn calibrating(ui: &mut Ui, new: &mut Weighting) {
    let explain = |key: &str| Recipe::explain(key).unwrap_or_default();
    let name = ui.label("Calibration").on_hover_text(explain("confidence.calibration"));
    ui.label_inputs_by(name.id, |ui| {
        let isotonic = new.calibration == CalibrationMethod::Isotonic;
        let now = match new.temperature {
            _ if isotonic => ISOTONIC,
            Temperature::Fit => FITTED,
            Temperature::Stated(_) => STATED,
        };
        ComboBox::from_id_salt("calibration").width(150.0).selected_text(now).show_ui(ui, |ui| {
            let t = CalibrationMethod::Temperature;
            let stated = Temperature::Stated(new.temperature.stated());
            for (text, method, temperature) in [
                (STATED, t, stated),
                (FITTED, t, Temperature::Fit),
                (ISOTONIC, CalibrationMethod::Isotonic, Temperature::Stated(1.0)),
            ] {
                if ui.selectable_label(now == text, text).clicked() {
                    (new.calibration, new.temperature) = (method, temperature);
                }
            }
        });
        if let (false, Temperature::Stated(t)) = (isotonic, &mut new.temperature) {
            let name = ui.label("T").on_hover_text(explain("confidence.temperature"));
            ui.add(egui::DragValue::new(t).range(range("confidence.temperature")).speed(0.01))
                .labelled_by(name.id);
        }
    });
}

const STATED: &str = "temperature";
const FITTED: &str = "fitted temperature";
const ISOTONIC: &str = "isotonic regression";

/// What was fitted, and what it changes on held-out pairs.
fn fitted(ui: &mut Ui, weights: &Weights) {
    if !weights.of.calibrates() {
        return;
    }
    let palette = Palette::get(ui);
    let said = &weights.calibrated;
    let Some(fitted) = &said.fitted else {
        let text = "These pairs hold none for calibration (data.calibration): their confidence is shown with T = 1.";
        ui.add(Label::new(RichText::new(text).color(palette.warning)).wrap());
        return;
    };
    let how = match fitted.calibrator.temperature() {
        Some(temperature) => format!("T = {temperature:.3}"),
        None => "Isotonic regression".to_owned(),
    };
    let mut text =
        format!("{how}, fitted on {}.", format::counted(fitted.pairs, "calibration pair"));
    if let (Some(before), Some(after)) = (&said.before, &said.after) {
        let _ = write!(
            text,
            " On held-out pairs calibration error {} before, {} after; log-loss {:.4} before, {:.4} after.",
            format::percent(before.ece),
            format::percent(after.ece),
            before.nll,
            after.nll
        );
    }
    ui.add(Label::new(RichText::new(text).color(palette.weak)).wrap());
    for warning in fitted.warnings() {
        ui.add(Label::new(RichText::new(warning).color(palette.warning)).wrap());
    }
}

fn kept(ui: &mut Ui, weights: &Weights, all: usize) {
    let share =
        |agreement: Agreement| agreement.share().map_or_else(|| "–".to_owned(), format::percent);
    let share_kept = format!("kept, {}", format::percent(weights.kept as f64 / all.max(1) as f64));
    let known =
        |a: Agreement| format!("agree with a human, of {} where one spoke", format::count(a.known));
    let (kept_known, dropped_known) = (known(weights.agree_kept), known(weights.agree_dropped));
    let stats = [
        (
            share_kept.as_str(),
            format::count(weights.kept),
            "Pairs of the unlabelled split with weight above 0",
        ),
        ("agree, kept", share(weights.agree_kept), kept_known.as_str()),
        ("agree, dropped", share(weights.agree_dropped), dropped_known.as_str()),
        (
            "mean weight",
            format::number(weights.mean),
            "Over the unlabelled split, dropped pairs included",
        ),
        (
            "worth",
            format::count(weights.effective.round() as usize),
            "Effective sample size (Σw)² / Σw²: how many equally weighted pairs these weights are worth",
        ),
    ];
    widgets::stats(ui, 80.0, &stats);
}

/// What all plots here share.
fn frame<'a>(ui: &Ui, name: &str) -> Plot<'a> {
    let palette = Palette::get(ui);
    Plot::new(name.to_owned())
        .show_background(false)
        .allow_zoom(false)
        .allow_drag(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .grid_color(palette.line)
        .cursor_color(palette.dropped)
        .height(ui.available_height().max(90.0))
        .x_grid_spacer(format::marks(52.0))
        .y_grid_spacer(format::marks(26.0))
        .y_axis_min_width(34.0)
}

fn histogram(ui: &mut Ui, scene: &mut Scene<'_>) {
    let palette = Palette::get(ui);
    let weights = &scene.state.pairs.weights;
    let threshold = scene.state.recipe.confidence.threshold;
    let width = 1.0 / BINS as f64;
    let bar = |i: usize, height: usize, offset: usize, color| {
        Bar::new((i as f64 + 0.5) * width, height as f64)
            .width(width * 0.9)
            .base_offset(offset as f64)
            .fill(color)
            .stroke(egui::Stroke::NONE)
    };
    let kept = weights
        .bins
        .iter()
        .enumerate()
        .map(|(i, (dropped, kept))| bar(i, *kept, *dropped, palette.accent))
        .collect();
    let dropped = weights
        .bins
        .iter()
        .enumerate()
        .map(|(i, (dropped, _))| bar(i, *dropped, 0, palette.dropped))
        .collect();
    let label = |position: &HoverPosition<'_>| {
        let (HoverPosition::NearDataPoint { position, .. } | HoverPosition::Elsewhere { position }) =
            position;
        Some(format!("C = {:.3}", position.x.clamp(0.0, 1.0)))
    };
    let plot = frame(ui, "histogram")
        .include_x(0.0)
        .include_x(1.0)
        .include_y(0.0)
        .set_margin_fraction(egui::vec2(0.01, 0.08))
        .x_axis_label("confidence C")
        .y_axis_formatter(|mark, _| format::count(mark.value.max(0.0) as usize))
        .label_formatter(label);
    let response = plot.show(ui, |plot| {
        plot.bar_chart(BarChart::new("dropped", dropped).allow_hover(false));
        plot.bar_chart(BarChart::new("kept", kept).allow_hover(false));
        plot.vline(
            VLine::new("threshold", threshold).color(palette.text).width(1.5).allow_hover(false),
        );
        let held = plot.response().is_pointer_button_down_on();
        plot.pointer_coordinate().filter(|_| held).map(|p| p.x.clamp(0.0, 1.0))
    });
    // The line can be pulled where it stands; a click sets it.
    let value = response.inner.map(|value| (value * 1000.0).round() / 1000.0);
    if let Some(value) = value.filter(|value| (value - threshold).abs() > 1e-9) {
        scene.send(Command::SetThreshold(value));
    }
    response.response.on_hover_cursor(egui::CursorIcon::ResizeHorizontal);
}

fn reliability(ui: &mut Ui, scene: &Scene<'_>) {
    let Some(calibration) = &scene.state.pairs.weights.calibrated.after else {
        widgets::empty(
            ui,
            Icon::Bars,
            "Not measured yet",
            "The annotator's stated probabilities are compared with human labels of held-out pairs, and this table has none.",
        );
        return;
    };
    let palette = Palette::get(ui);
    let bins: Vec<_> = calibration.bins.iter().filter(|bin| bin.count > 0).copied().collect();
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(1) as f32;
    // Small plots have no room for a name along the upright axis.
    let upright = if ui.available_height() > 190.0 { "measured accuracy" } else { "" };
    let plot = frame(ui, "reliability")
        .y_axis_label(upright)
        .include_x(0.5)
        .include_x(1.0)
        .include_y(0.0)
        .include_y(1.0)
        .x_axis_label(format!(
            "stated probability ({} held-out pairs)",
            format::count(calibration.count)
        ))
        .label_formatter(|position| bin_label(position, calibration));
    plot.show(ui, |plot| {
        plot.line(
            Line::new("perfect", vec![[0.5, 0.5], [1.0, 1.0]])
                .color(palette.dropped)
                .width(1.0)
                .allow_hover(false),
        );
        let line: Vec<[f64; 2]> = bins.iter().map(|bin| [bin.confidence, bin.accuracy]).collect();
        plot.line(
            Line::new("measured", line)
                .color(palette.accent.gamma_multiply(0.5))
                .width(1.2)
                .allow_hover(false),
        );
        for bin in &bins {
            // The area of a dot says how many pairs stand behind it.
            let radius = 2.5 + 6.0 * (bin.count as f32 / most).sqrt();
            let dot =
                Points::new("bin", vec![[bin.confidence, bin.accuracy]]).shape(MarkerShape::Circle);
            plot.points(dot.radius(radius).color(palette.accent.gamma_multiply(0.8)));
        }
    });
}

fn bin_label(position: &HoverPosition<'_>, calibration: &Calibration) -> Option<String> {
    let HoverPosition::NearDataPoint { position, .. } = position else { return None };
    let distance = |bin: &&_| distance(position, bin);
    let near = calibration
        .bins
        .iter()
        .filter(|bin| bin.count > 0)
        .map(|bin| (bin.confidence, bin.accuracy, bin.count));
    let near: Vec<(f64, f64, usize)> = near.collect();
    let best = near.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    Some(format!(
        "says {}\nis right {}\n{}",
        format::percent(best.0),
        format::percent(best.1),
        format::counted(best.2, "pair")
    ))
}

fn distance(position: &PlotPoint, bin: &(f64, f64, usize)) -> f64 {
    (position.x - bin.0).abs() + (position.y - bin.1).abs()
}

fn coverage(ui: &mut Ui, curve: &[SelectivePoint], weights: &Weights, all: usize) {
    if curve.is_empty() {
        widgets::empty(
            ui,
            Icon::Bars,
            "No human labels to compare with",
            "This picture needs human labels for some pairs of the unlabelled split.",
        );
        return;
    }
    let palette = Palette::get(ui);
    let now = weights.kept as f64 / all.max(1) as f64;
    let upright = if ui.available_height() > 190.0 { "agreement" } else { "" };
    let plot = frame(ui, "coverage")
        .y_axis_label(upright)
        .include_x(0.0)
        .include_x(1.0)
        .include_y(0.5)
        .include_y(1.0)
        .x_axis_label("share of pairs kept, surest first")
        .label_formatter(|position| match position {
            HoverPosition::NearDataPoint { position, .. } => Some(format!(
                "surest {}\nagree {}",
                format::percent(position.x),
                format::percent(position.y)
            )),
            HoverPosition::Elsewhere { .. } => None,
        });
    plot.show(ui, |plot| {
        let points: Vec<[f64; 2]> = curve.iter().map(|p| [p.coverage, p.accuracy]).collect();
        plot.line(Line::new("agreement", points).color(palette.accent).width(1.6));
        plot.vline(VLine::new("kept now", now).color(palette.text).width(1.5).allow_hover(false));
    });
}

/// A thousand points say as much as a hundred thousand.
fn thin(curve: Vec<SelectivePoint>) -> Vec<SelectivePoint> {
    let step = curve.len().div_ceil(1000).max(1);
    // The first few points jump between 0 and 1 and say nothing.
    let from = (curve.len() / 100).min(20);
    curve.into_iter().skip(from).step_by(step).collect()
}
