//! All pairs at once: margin against difference of lengths, coloured by weight.

use std::sync::Arc;

use egui::{Color32, Rect, Sense, Stroke, Ui};
use egui_plot::{Plot, PlotPoint, PlotTransform};

use super::{Home, Panel};
use crate::app::cloud_gpu::{self, Point, View};
use crate::app::command::Command;
use crate::app::icons::{self, Icon};
use crate::app::pairs::PairTable;
use crate::app::state::{Pairs, Scene};
use crate::app::theme::Palette;
use crate::app::{format, widgets};

/// The cloud of pairs.
#[derive(Default)]
pub(super) struct Cloud {
    points: Arc<Vec<Point>>,
    /// Least and greatest coordinates.
    extent: Option<[[f64; 2]; 2]>,
    /// What the points were made of.
    made_of: Option<(u64, u64)>,
    number: u64,
}

/// How near the pointer must be to a point, in points of the screen.
const REACH: f32 = 9.0;

impl Panel for Cloud {
    fn title(&self) -> &'static str {
        "Cloud"
    }

    fn home(&self) -> Home {
        Home::RightBottom
    }

    fn ui(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let pairs = &scene.state.pairs;
        let Some(table) = pairs.table.as_ref().filter(|table| !table.pairs.is_empty()) else {
            widgets::empty(
                ui,
                Icon::Points,
                "No pairs yet",
                "Each annotated pair becomes a point here: how sure the annotator is, and whether it just prefers long answers.",
            );
            return;
        };
        self.update(pairs, table);
        legend(ui);
        let palette = Palette::get(ui);
        let [low, high] = self.extent.unwrap_or([[0.0, -1.0], [1.0, 1.0]]);
        let plot = Plot::new("cloud")
            .show_background(false)
            .grid_color(palette.line)
            .cursor_color(palette.dropped)
            .show_crosshair(false)
            .x_grid_spacer(format::marks(56.0))
            .y_grid_spacer(format::marks(34.0))
            .set_margin_fraction(egui::vec2(0.03, 0.05))
            .include_x(low[0])
            .include_x(high[0])
            .include_y(low[1])
            .include_y(high[1])
            // Margins are small numbers: whole marks would repeat.
            .x_axis_formatter(|mark, _| ((mark.value * 100.0).round() / 100.0).to_string())
            .x_axis_label("margin d")
            .y_axis_label("chosen − rejected, characters")
            .height(ui.available_height().max(100.0))
            .label_formatter(|_| None)
            .sense(Sense::click_and_drag());
        let response = plot.show(ui, |_| ());
        let (response, transform) = (response.response, response.transform);
        let callback = cloud_gpu::Cloud {
            view: view(&transform, &palette, ui.ctx().pixels_per_point(), self.points.len()),
            points: Arc::clone(&self.points),
            number: self.number,
        };
        let rect = *transform.frame();
        ui.painter_at(rect).add(egui_wgpu::Callback::new_paint_callback(rect, callback));
        if let Some(selected) = pairs.selected {
            self.ring(ui, &transform, selected, palette.text);
        }
        let near = response.hover_pos().and_then(|pointer| self.nearest(&transform, pointer));
        if let Some(i) = near {
            self.ring(ui, &transform, i, palette.accent);
            if response.clicked() {
                scene.send(Command::Select(Some(i)));
            }
            response.on_hover_ui_at_pointer(|ui| tooltip(ui, pairs, table, i as usize));
        }
    }
}

impl Cloud {
    /// Make the points again if table, weights or filter changed.
    fn update(&mut self, pairs: &Pairs, table: &PairTable) {
        let made_of = Some((pairs.number, pairs.rows_number));
        if self.made_of == made_of {
            return;
        }
        let filtered = pairs.query.filters();
        let mut points: Vec<Point> = (0..table.pairs.len())
            .map(|i| Point {
                position: [table.margins[i] as f32, table.longer[i] as f32],
                weight: pairs
                    .weights
                    .weight
                    .get(i)
                    .filter(|w| !w.is_nan())
                    .map_or(-1.0, |w| *w as f32),
                matches: if filtered { 0.0 } else { 1.0 },
            })
            .collect();
        if filtered {
            for &i in pairs.rows.iter() {
                points[i as usize].matches = 1.0;
            }
        }
        let extent = points.iter().fold(
            [[f64::INFINITY; 2], [f64::NEG_INFINITY; 2]],
            |[low, high], point| {
                let [x, y] = point.position.map(f64::from);
                [[low[0].min(x), low[1].min(y)], [high[0].max(x), high[1].max(y)]]
            },
        );
        self.extent = extent.iter().flatten().all(|v| v.is_finite()).then_some(extent);
        self.points = Arc::new(points);
        self.number += 1;
        self.made_of = made_of;
    }

    fn nearest(&self, transform: &PlotTransform, pointer: egui::Pos2) -> Option<u32> {
        let distance = |point: &Point| place(transform, point).distance_sq(pointer);
        let visible = self.points.iter().enumerate().filter(|(_, point)| point.matches > 0.5);
        let best =
            visible.map(|(i, point)| (i, distance(point))).min_by(|a, b| a.1.total_cmp(&b.1));
        best.filter(|(_, d)| *d < REACH * REACH).map(|(i, _)| i as u32)
    }

    fn ring(&self, ui: &Ui, transform: &PlotTransform, i: u32, color: Color32) {
        if let Some(point) = self.points.get(i as usize) {
            let painter = ui.painter_at(*transform.frame());
            painter.circle_stroke(place(transform, point), 6.5, Stroke::new(2.0, color));
        }
    }
}

fn place(transform: &PlotTransform, point: &Point) -> egui::Pos2 {
    let [x, y] = point.position.map(f64::from);
    transform.position_from_point(&PlotPoint::new(x, y))
}

/// The plot's transform as the shader wants it.
fn view(transform: &PlotTransform, palette: &Palette, pixels_per_point: f32, count: usize) -> View {
    let bounds = transform.bounds();
    let (min, max) = (bounds.min(), bounds.max());
    let axis = |i: usize| {
        let scale = 2.0 / (max[i] - min[i]);
        (scale as f32, (-1.0 - min[i] * scale) as f32)
    };
    let ((sx, ox), (sy, oy)) = (axis(0), axis(1));
    let frame: &Rect = transform.frame();
    // Many points are drawn smaller and fainter, so that their density shows.
    let (radius, opacity): (f32, f32) = match count {
        0..3_000 => (3.6, 0.85),
        3_000..30_000 => (2.8, 0.6),
        _ => (2.0, 0.4),
    };
    let radius = radius.max(1.0 / pixels_per_point);
    View {
        scale: [sx, sy],
        offset: [ox, oy],
        radius: [2.0 * radius / frame.width(), 2.0 * radius / frame.height()],
        linear_target: 0.0,
        opacity,
        dropped: palette.dropped.to_normalized_gamma_f32(),
        trusted: palette.accent.to_normalized_gamma_f32(),
        held_out: palette.annotator.to_normalized_gamma_f32(),
    }
}

fn legend(ui: &mut Ui) {
    let palette = Palette::get(ui);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        for (color, text) in [
            (palette.weight(1.0), "weight 1"),
            (palette.weight(0.01), "weight near 0"),
            (palette.dropped, "dropped"),
            (palette.annotator, "not trained on"),
        ] {
            widgets::dot(ui, color);
            ui.label(egui::RichText::new(text).small().color(palette.weak));
            ui.add_space(6.0);
        }
        let help =
            "Drag to move, Ctrl and wheel to zoom, double-click to see everything, click to select";
        icons::show(ui, Icon::Info, 13.0, palette.weak).on_hover_text(help);
    });
}

fn tooltip(ui: &mut Ui, pairs: &Pairs, table: &PairTable, i: usize) {
    let pair = &table.pairs[i];
    let palette = Palette::get(ui);
    ui.set_max_width(340.0);
    ui.strong(format::one_line(&pair.prompt, 120));
    ui.label(
        egui::RichText::new(format!("+ {}", format::one_line(pair.chosen(), 110)))
            .color(palette.chosen),
    );
    ui.label(
        egui::RichText::new(format!("− {}", format::one_line(pair.rejected(), 110)))
            .color(palette.rejected),
    );
    let confidence = pairs.weights.calibrated.confidence.get(i).copied().unwrap_or(f64::NAN);
    let weight = pairs.weights.weight.get(i).copied().filter(|w| !w.is_nan());
    let weight = weight.map_or_else(|| pair.split.replace('_', " "), |w| format!("weight {w:.3}"));
    ui.monospace(format!("d {:.3}   C {confidence:.3}   {weight}", table.margins[i]));
}
