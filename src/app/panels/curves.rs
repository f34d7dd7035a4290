//! Curves of training, one plot per stage, as fine as the pixels allow.

use egui::{ComboBox, RichText, Ui, vec2};
use egui_plot::{HoverPosition, Line, MarkerShape, Plot, PlotPoint, Points, VLine};

use super::numbers::explanation;
use super::{Home, Panel};
use crate::app::icons::Icon;
use crate::app::series::{aggregate, smooth};
use crate::app::state::Scene;
use crate::app::theme::Palette;
use crate::app::{format, widgets};
use crate::run::{RunView, Stage};

/// The curves of a run.
pub(super) struct Curves;

/// Least width and height at which a plot is still readable.
const SMALL: egui::Vec2 = vec2(190.0, 96.0);

impl Panel for Curves {
    fn title(&self) -> &'static str {
        "Curves"
    }

    fn home(&self) -> Home {
        Home::RightTop
    }

    fn ui(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let view = &scene.state.view;
        if view.curves.is_empty() {
            widgets::empty(
                ui,
                Icon::Curve,
                "No curve yet",
                "Losses, rewards and accuracies are drawn here while a run is at work. Press Run to start.",
            );
            return;
        }
        let metrics = metrics(view);
        if !metrics.contains(&scene.prefs.metric.as_str()) {
            scene.prefs.metric = "loss".to_owned();
        }
        ui.horizontal_wrapped(|ui| selectors(ui, scene, &metrics));
        let metric = scene.prefs.metric.clone();
        let shown: Vec<Stage> =
            stages_with(view, &metric).filter(|s| !scene.prefs.hidden_curves.contains(s)).collect();
        if shown.is_empty() {
            widgets::empty(
                ui,
                Icon::Curve,
                "All curves are hidden",
                "Click a name above to show its curve.",
            );
            return;
        }
        plots(ui, scene, &metric, &shown);
    }
}

/// All metric names, the loss first.
fn metrics(view: &RunView) -> Vec<&str> {
    let mut names: Vec<&str> =
        view.curves.values().flat_map(|curves| curves.keys().map(String::as_str)).collect();
    names.sort_unstable_by_key(|name| (*name != "loss", *name));
    names.dedup();
    names
}

fn stages_with<'a>(view: &'a RunView, metric: &'a str) -> impl Iterator<Item = Stage> + 'a {
    view.curves
        .iter()
        .filter(move |(_, curves)| curves.contains_key(metric))
        .map(|(stage, _)| *stage)
}

fn selectors(ui: &mut Ui, scene: &mut Scene<'_>, metrics: &[&str]) {
    let palette = Palette::get(ui);
    let chosen = scene.prefs.metric.clone();
    let combo = ComboBox::from_id_salt("metric").selected_text(&chosen).width(150.0).height(320.0);
    ui.name_inputs("Metric", |ui| {
        combo
            .show_ui(ui, |ui| {
                for name in metrics {
                    ui.selectable_value(&mut scene.prefs.metric, (*name).to_owned(), *name)
                        .on_hover_text(explanation(name));
                }
            })
            .response
            .on_hover_text(explanation(&chosen));
    });
    ui.name_inputs("Smoothing", |ui| {
        let drag = egui::DragValue::new(&mut scene.prefs.smoothing)
            .range(0.0..=200.0)
            .speed(0.5)
            .max_decimals(0)
            .prefix("smooth ");
        ui.add(drag).on_hover_text(
            "Steps that the moving average remembers; 0 draws the values as they are",
        );
    });
    for stage in stages_with(&scene.state.view, &chosen) {
        let shown = !scene.prefs.hidden_curves.contains(&stage);
        let value = scene
            .state
            .view
            .latest
            .get(&stage)
            .and_then(|(_, m)| m.get(&chosen))
            .map_or_else(String::new, format::number);
        if widgets::legend_toggle(ui, stage.about().title, &value, palette.stage(stage), shown)
            .clicked()
        {
            if shown {
                scene.prefs.hidden_curves.push(stage);
            } else {
                scene.prefs.hidden_curves.retain(|s| *s != stage);
            }
        }
    }
}

/// One above the other where there is room, else side by side as well.
fn plots(ui: &mut Ui, scene: &Scene<'_>, metric: &str, stages: &[Stage]) {
    let space = ui.available_size();
    let gap = ui.spacing().item_spacing;
    let fit = |space: f32, least: f32, gap: f32| ((space + gap) / (least + gap)).max(1.0) as usize;
    let rows = if space.x > 900.0 { 1 } else { fit(space.y, SMALL.y, gap.y).min(stages.len()) };
    let columns = stages.len().div_ceil(rows).min(fit(space.x, SMALL.x, gap.x));
    let rows = stages.len().div_ceil(columns);
    let part = |space: f32, gap: f32, n: usize| (space - gap * (n as f32 - 1.0)) / n as f32;
    let height = part(space.y, gap.y, rows).max(SMALL.y);
    egui::ScrollArea::vertical().auto_shrink([false, false]).show(ui, |ui| {
        for row in stages.chunks(columns) {
            ui.horizontal_top(|ui| {
                let size = vec2(part(space.x, gap.x, row.len()), height);
                for stage in row {
                    ui.allocate_ui(size, |ui| plot(ui, scene, metric, *stage, size));
                }
            });
        }
    });
}

fn plot(ui: &mut Ui, scene: &Scene<'_>, metric: &str, stage: Stage, size: egui::Vec2) {
    let Some(points) = scene.state.view.curves.get(&stage).and_then(|curves| curves.get(metric))
    else {
        return;
    };
    let palette = Palette::get(ui);
    let color = palette.stage(stage);
    let smoothing = scene.prefs.smoothing;
    let buckets = (size.x * ui.ctx().pixels_per_point()) as usize;
    let title = stage.about().title;
    let id = ui.scope_id().with((stage.name(), metric));
    let plot = Plot::new((stage.name(), metric.to_owned()))
        .id(id)
        .width(size.x)
        .height(size.y)
        .show_background(false)
        .allow_scroll(false)
        .y_axis_min_width(36.0)
        .x_grid_spacer(format::marks(56.0))
        .y_grid_spacer(format::marks(26.0))
        .grid_color(palette.line)
        .cursor_color(palette.dropped)
        .y_axis_formatter(|mark, _| format::tick(mark.value, mark.step_size))
        .x_axis_formatter(|mark, _| {
            if mark.value.fract() == 0.0 && mark.value >= 0.0 {
                format::count(mark.value as usize)
            } else {
                String::new()
            }
        })
        .label_formatter(move |position| hover_label(position, title));
    let response = plot.show(ui, |plot| {
        let bounds = plot.plot_bounds();
        let whole = (f64::NEG_INFINITY, f64::INFINITY);
        let auto = plot.auto_bounds();
        let range = if auto.x { whole } else { (bounds.min()[0], bounds.max()[0]) };
        let raw = aggregate(points, range, buckets);
        let strength = if smoothing > 0.0 { 0.35 } else { 1.0 };
        for part in &raw.parts {
            line(plot, title, part, color.gamma_multiply(strength));
        }
        if smoothing > 0.0 {
            for part in &aggregate(&smooth(points, smoothing), range, buckets).parts {
                line(plot, title, part, color);
            }
        }
        // A value that is not a number has no height: a line through the whole plot marks its step.
        for gap in &raw.gaps {
            plot.vline(
                VLine::new("", *gap)
                    .color(palette.error.gamma_multiply(0.7))
                    .width(1.0)
                    .allow_hover(false),
            );
        }
        raw.not_finite
    });
    badge(ui, &response.response, title, response.inner);
}

fn line<'a>(
    plot: &mut egui_plot::PlotUi<'a>,
    title: &str,
    part: &[[f64; 2]],
    color: egui::Color32,
) {
    if let [alone] = part {
        let dot =
            Points::new(title, vec![*alone]).shape(MarkerShape::Circle).radius(2.5).color(color);
        plot.points(dot);
    } else {
        plot.line(Line::new(title, part.to_vec()).color(color).width(1.6));
    }
}

fn hover_label(position: &HoverPosition<'_>, title: &str) -> Option<String> {
    let text = |p: &PlotPoint| {
        format!(
            "{title}, step {}\n{}",
            format::count(p.x.max(0.0).round() as usize),
            format::number(p.y)
        )
    };
    match position {
        HoverPosition::NearDataPoint { position, .. } => Some(text(position)),
        HoverPosition::Elsewhere { .. } => None,
    }
}

/// The name of the stage in the corner, and how many values are not numbers.
fn badge(ui: &Ui, response: &egui::Response, title: &str, not_finite: usize) {
    let palette = Palette::get(ui);
    let painter = ui.painter_at(response.rect);
    let corner = response.rect.right_top() + vec2(-6.0, 4.0);
    let font = egui::FontId::proportional(11.0);
    let rect = painter.text(corner, egui::Align2::RIGHT_TOP, title, font.clone(), palette.weak);
    if not_finite > 0 {
        let text = format!("{} not a number", format::count(not_finite));
        painter.text(
            rect.right_bottom() + vec2(0.0, 2.0),
            egui::Align2::RIGHT_TOP,
            &text,
            font,
            palette.error,
        );
        let explanation = RichText::new(
            "The loss or a metric overflowed at the marked steps; a lower learning rate may help",
        );
        ui.interact(response.rect, response.id.with("badge"), egui::Sense::hover())
            .on_hover_text(explanation);
    }
}
