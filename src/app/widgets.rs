//! Small pieces that several panels draw.

use egui::{
    Align, Button, Color32, Frame, IntoAtoms, Label, Layout, Margin, Response, RichText,
    ScrollArea, Sense, Stroke, TextStyle, Ui, vec2,
};

use super::icons::{self, Icon};
use super::theme::Palette;

/// The button that a person most likely wants next.
pub(crate) fn primary(ui: &mut Ui, icon: Option<Icon>, text: &str, enabled: bool) -> Response {
    let palette = Palette::get(ui);
    let text = RichText::new(text).strong().color(Color32::WHITE);
    let atoms = match icon {
        Some(icon) => (white(icon), text).into_atoms(),
        None => text.into_atoms(),
    };
    let button = Button::new(atoms).fill(palette.accent_fill).stroke(Stroke::NONE);
    ui.add_enabled(enabled, button)
}

fn white(icon: Icon) -> egui::Atom<'static> {
    egui::Atom::paint(vec2(10.0, 10.0), move |ui, args| {
        icons::paint(ui.painter(), args.rect, icon, Color32::WHITE);
    })
}

/// A raised box across the width.
pub(crate) fn card<R>(ui: &mut Ui, content: impl FnOnce(&mut Ui) -> R) -> R {
    let palette = Palette::get(ui);
    let frame = Frame::new().fill(palette.card).corner_radius(8.0).inner_margin(Margin::same(12));
    frame
        .show(ui, |ui| {
            ui.set_min_width(ui.available_width());
            content(ui)
        })
        .inner
}

/// A heading inside a panel.
pub(crate) fn section(ui: &mut Ui, title: &str) {
    ui.label(RichText::new(title).strong().size(14.0));
}

/// Explaining text that wraps.
pub(crate) fn weak(ui: &mut Ui, text: impl Into<String>) -> Response {
    let color = Palette::get(ui).weak;
    ui.add(Label::new(RichText::new(text.into()).color(color)).wrap())
}

/// A number with its name above it; the tooltip explains.
pub(crate) fn stat(ui: &mut Ui, name: &str, value: &str, explanation: &str) -> Response {
    let color = Palette::get(ui).text;
    stat_in(ui, name, value, color, explanation)
}

/// As [`stat`], in a colour.
pub(crate) fn stat_in(
    ui: &mut Ui,
    name: &str,
    value: &str,
    color: Color32,
    explanation: &str,
) -> Response {
    let palette = Palette::get(ui);
    let inner = ui.vertical(|ui| {
        ui.spacing_mut().item_spacing.y = 1.0;
        ui.add(
            Label::new(RichText::new(name).small().color(palette.weak))
                .truncate()
                .selectable(false),
        );
        ui.add(Label::new(RichText::new(value).monospace().size(14.0).color(color)).truncate());
    });
    if explanation.is_empty() { inner.response } else { inner.response.on_hover_text(explanation) }
}

/// Stats side by side in columns of equal width, as many as fit with at least this width.
pub(crate) fn stats(ui: &mut Ui, least: f32, stats: &[(&str, String, &str)]) {
    let columns = ((ui.available_width() / least) as usize).clamp(1, stats.len().max(1));
    let width = ui.available_width() / columns as f32;
    for row in stats.chunks(columns) {
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = 0.0;
            for (name, value, explanation) in row {
                ui.allocate_ui_with_layout(vec2(width, 34.0), Layout::top_down(Align::Min), |ui| {
                    ui.set_width(width);
                    stat(ui, name, value, explanation);
                });
            }
        });
    }
}

/// What an empty panel says: what belongs here, and what to do next.
pub(crate) fn empty(ui: &mut Ui, icon: Icon, title: &str, text: &str) {
    let palette = Palette::get(ui);
    let height = ui.available_height();
    ui.vertical_centered(|ui| {
        ui.add_space((height * 0.5 - 70.0).max(8.0));
        icons::show(ui, icon, 30.0, palette.dropped);
        ui.add_space(6.0);
        ui.label(RichText::new(title).size(15.0).strong());
    });
    // A narrow column is easier to read than a line from edge to edge.
    let side = ((ui.available_width() - 340.0) / 2.0).max(0.0);
    let frame = Frame::new().inner_margin(Margin::symmetric(side as i8, 0));
    frame.show(ui, |ui| {
        ui.vertical_centered(|ui| {
            ui.add(Label::new(RichText::new(text).color(palette.weak)).wrap())
        });
    });
}

/// A coloured dot in line with text.
pub(crate) fn dot(ui: &mut Ui, color: Color32) {
    let (rect, _) = ui.allocate_exact_size(vec2(10.0, 10.0), Sense::hover());
    ui.painter().circle_filled(rect.center(), 4.0, color);
}

/// A small coloured word on a tinted ground.
pub(crate) fn tag(ui: &mut Ui, text: &str, color: Color32) -> Response {
    let galley =
        ui.painter().layout_no_wrap(text.to_owned(), TextStyle::Small.resolve(ui.style()), color);
    let (rect, response) = ui.allocate_exact_size(galley.size() + vec2(14.0, 5.0), Sense::hover());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, text));
    ui.painter().rect_filled(rect, 5.0, color.gamma_multiply(0.16));
    ui.painter().galley(rect.min + vec2(7.0, 2.5), galley, color);
    response
}

/// Text of a pair with its role marked by a coloured edge.
pub(crate) fn passage(ui: &mut Ui, role: &str, note: &str, text: &str, color: Color32) {
    let palette = Palette::get(ui);
    let frame = Frame::new().fill(palette.card).corner_radius(6.0).inner_margin(Margin {
        left: 14,
        right: 10,
        top: 8,
        bottom: 10,
    });
    let response = frame
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.horizontal(|ui| {
                ui.label(RichText::new(role).small().strong().color(color));
                ui.label(RichText::new(note).small().color(palette.weak));
            });
            let shown = if text.trim().is_empty() {
                RichText::new("(empty)").italics().weak()
            } else {
                RichText::new(text)
            };
            ui.add(Label::new(shown).wrap());
        })
        .response;
    let mut edge = response.rect;
    edge.set_width(4.0);
    ui.painter().rect_filled(edge, egui::CornerRadius { nw: 6, sw: 6, ne: 0, se: 0 }, color);
}

/// Two passages side by side, or one above the other where there is no room.
pub(crate) fn two_passages(
    ui: &mut Ui,
    first: (&str, &str, &str, Color32),
    second: (&str, &str, &str, Color32),
) {
    if ui.available_width() >= 460.0 {
        ui.columns_const(|columns: &mut [Ui; 2]| {
            for (ui, (role, note, text, color)) in columns.iter_mut().zip([first, second]) {
                // Columns justify their content, which tears words of running text apart.
                ui.with_layout(Layout::top_down(Align::Min), |ui| {
                    passage(ui, role, note, text, color);
                });
            }
        });
    } else {
        passage(ui, first.0, first.1, first.2, first.3);
        passage(ui, second.0, second.1, second.2, second.3);
    }
}

/// A slider whose filled part shows.
pub(crate) fn slider(ui: &mut Ui, slider: egui::Slider<'_>) -> Response {
    let palette = Palette::get(ui);
    ui.scope(|ui| {
        ui.visuals_mut().selection.bg_fill = palette.accent_fill;
        ui.add(slider)
    })
    .inner
}

/// A vertical scroll area that fills the panel.
pub(crate) fn scroll<R>(ui: &mut Ui, salt: &str, content: impl FnOnce(&mut Ui) -> R) -> R {
    ScrollArea::vertical().id_salt(salt).auto_shrink([false, false]).show(ui, content).inner
}

/// A row of a two-column list: name left, value right in digits of equal width.
pub(crate) fn row(ui: &mut Ui, name: &str, value: &str, explanation: &str) {
    let palette = Palette::get(ui);
    ui.spacing_mut().interact_size.y = 17.0;
    let response = ui
        .horizontal(|ui| {
            ui.add(Label::new(RichText::new(name).color(palette.weak)).selectable(false));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.add(
                    Label::new(RichText::new(value).text_style(TextStyle::Monospace)).truncate(),
                );
            });
        })
        .response;
    if !explanation.is_empty() {
        response.on_hover_text(explanation);
    }
}

/// A dot in the colour of a curve, before its name; clicking toggles.
pub(crate) fn legend_toggle(
    ui: &mut Ui,
    name: &str,
    value: &str,
    color: Color32,
    shown: bool,
) -> Response {
    let palette = Palette::get(ui);
    let text = if value.is_empty() { name.to_owned() } else { format!("{name}  {value}") };
    let galley = ui.painter().layout_no_wrap(
        text.clone(),
        TextStyle::Small.resolve(ui.style()),
        palette.text,
    );
    let (rect, response) = ui.allocate_exact_size(galley.size() + vec2(26.0, 8.0), Sense::click());
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::CheckBox, true, shown, &text));
    let fill = if response.hovered() { palette.line } else { palette.card };
    ui.painter().rect_filled(rect, 11.0, fill);
    let dot = rect.left_center() + vec2(11.0, 0.0);
    if shown {
        ui.painter().circle_filled(dot, 4.0, color);
    } else {
        ui.painter().circle_stroke(dot, 3.5, Stroke::new(1.0, color));
    }
    let color = if shown { palette.text } else { palette.weak };
    ui.painter().galley_with_override_text_color(rect.min + vec2(20.0, 4.0), galley, color);
    response
}
