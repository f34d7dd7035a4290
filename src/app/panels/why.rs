//! What labels reward, of what can be counted in a response: people's and the annotator's side by side.

use egui::{
    Align2, Color32, FontId, Label, Rect, RichText, Sense, Stroke, TextStyle, Ui, pos2, vec2,
};

use super::Panel;
use crate::app::icons::Icon;
use crate::app::state::Scene;
use crate::app::theme::Palette;
use crate::app::{format, widgets};
use crate::dissect::{Dissection, Effect, Found, quantile};

/// Coefficients with their intervals.
pub(super) struct Why;

impl Panel for Why {
    fn title(&self) -> &'static str {
        "Why"
    }

    fn ui(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let Some(found) = &scene.state.view.so_far.dissection else {
            let text = if scene.state.recipe.dissect.pairs == 0 {
                "dissect.pairs is 0: what labels reward is not looked for."
            } else {
                "When pairs have their labels, this says what people and the annotator prefer responses for: their length, lists, apologies, and some thirty more things that can be counted."
            };
            widgets::empty(ui, Icon::Bars, "Nothing compared yet", text);
            return;
        };
        widgets::scroll(ui, "why", |ui| {
            explanation(ui, found);
            let picture = Picture::of(ui, found);
            ui.spacing_mut().item_spacing.y = 0.0;
            picture.header(ui);
            let ranked = found.ranked();
            let sure = ranked.iter().filter(|found| found.telling().is_sure()).count();
            for (i, found) in ranked.into_iter().enumerate() {
                if i == sure {
                    picture.border(ui, sure);
                }
                picture.row(ui, found);
            }
        });
    }
}

fn explanation(ui: &mut Ui, found: &Dissection) {
    let pairs = format::counted(found.pairs, "pair");
    let explained = |share: Option<f64>| share.map_or_else(String::new, format::percent);
    let (human, weak) = (explained(found.human_explained), explained(found.weak_explained));
    let (text, told, above) = match (found.human_explained, found.weak_explained) {
        (Some(_), Some(_)) => (
            format!("What people and the annotator prefer a response for, in the same {pairs}"),
            format!("{human} of people's labels and {weak} of the annotator's"),
            "what the annotator surely rewards more or less than people do",
        ),
        (None, _) => (
            format!(
                "What the annotator prefers a response for, in {pairs}; people labelled too few"
            ),
            format!("{weak} of its labels"),
            "what it surely rewards or punishes",
        ),
        (_, None) => (
            format!("What a response is preferred for by the labels that {pairs} came with"),
            format!("{human} of them"),
            "what they surely reward or punish",
        ),
    };
    ui.add(Label::new(RichText::new(text).strong()).wrap());
    let text = format!(
        "More of it wins (right) or loses (left): the change of the log-odds by a typical difference, all else alike, with 95 % intervals of {} draws of the prompts. Above the line: {above}; by chance alone about one in twenty would be. All together tell {told} rightly, on these pairs.",
        found.resamples
    );
    widgets::weak(ui, text);
    ui.add_space(2.0);
}

/// How coefficients are drawn.
struct Picture {
    palette: Palette,
    /// Width of a row, of its name, and of the numbers at its end.
    width: f32,
    name: f32,
    number: f32,
    /// The least and the greatest number that are drawn.
    ends: [f64; 2],
    /// A size that most are below: the scale is straight below it, and logarithmic beyond, so that one large
    /// number does not hide the others.
    usual: f64,
    /// Whether each has two whiskers.
    both: bool,
    human: bool,
}

impl Picture {
    fn of(ui: &Ui, found: &Dissection) -> Self {
        let effects = found.properties.iter().flat_map(|found| [found.human, found.weak]);
        let all: Vec<f64> =
            effects.flatten().flat_map(|e| [e.value, e.interval[0], e.interval[1]]).collect();
        let sizes: Vec<f64> = all.iter().map(|number| number.abs()).collect();
        let usual = quantile(&sizes, 0.9).max(0.05);
        // A scroll bar has its place at the edge.
        let width = ui.available_width() - 12.0;
        Self {
            palette: Palette::get(ui),
            width,
            name: (width * 0.28).clamp(110.0, 190.0),
            number: if width > 460.0 { 150.0 } else { 52.0 },
            ends: [
                all.iter().copied().fold(-usual, f64::min),
                all.iter().copied().fold(usual, f64::max),
            ],
            usual,
            both: found.human_explained.is_some() && found.weak_explained.is_some(),
            human: found.human_explained.is_some(),
        }
    }

    /// Where the whiskers of a row are.
    fn field(&self, rect: Rect) -> Rect {
        let mut field = rect;
        field.min.x += self.name + 6.0;
        field.max.x -= self.number + 10.0;
        field
    }

    fn x(&self, field: Rect, value: f64) -> f32 {
        let place = |value: f64| (value / self.usual).asinh();
        let [least, most] = self.ends.map(place);
        let share = (place(value) - least) / (most - least);
        field.left() + 4.0 + share as f32 * (field.width() - 8.0)
    }

    /// Whose colour is whose, and what the numbers are.
    fn header(&self, ui: &mut Ui) {
        let palette = self.palette;
        ui.horizontal(|ui| {
            if self.human {
                widgets::dot(ui, palette.accent);
                ui.label(RichText::new(if self.both { "people" } else { "labels" }).small());
            }
            if self.both || !self.human {
                widgets::dot(ui, palette.annotator);
                ui.label(RichText::new("annotator").small());
            }
        });
        let (rect, _) = ui.allocate_exact_size(vec2(self.width, 16.0), Sense::hover());
        let (field, font) = (self.field(rect), TextStyle::Small.resolve(ui.style()));
        let write = |at: f32, align: Align2, text: &str| {
            ui.painter().text(pos2(at, rect.center().y), align, text, font.clone(), palette.weak);
        };
        let marks = self.marks();
        let apart = self.x(field, marks[2]) - self.x(field, marks[1]);
        for mark in marks.into_iter().filter(|mark| *mark == 0.0 || apart > 26.0) {
            let text = if mark == 0.0 { "0".to_owned() } else { format!("{mark:+}") };
            write(self.x(field, mark), Align2::CENTER_CENTER, &text);
        }
        let what = if self.both { "annotator − people" } else { "coefficient" };
        write(rect.right(), Align2::RIGHT_CENTER, what);
    }

    /// Numbers that lines stand at.
    fn marks(&self) -> [f64; 3] {
        let digit = 10_f64.powf(self.usual.log10().floor());
        let round = (self.usual / digit).floor() * digit;
        let round = (round * 100.0).round() / 100.0;
        [-round, 0.0, round]
    }

    /// Between what is sure and what is not.
    fn border(&self, ui: &mut Ui, sure: usize) {
        if sure == 0 {
            let text = if self.both {
                "Of no property is it sure that the annotator and people differ."
            } else {
                "Of no property is it sure that it counts."
            };
            widgets::weak(ui, text);
        }
        let (rect, _) = ui.allocate_exact_size(vec2(self.width, 5.0), Sense::hover());
        ui.painter().hline(rect.x_range(), rect.center().y, Stroke::new(1.0, self.palette.weak));
    }

    fn row(&self, ui: &mut Ui, found: &Found) {
        let height = if self.both { 22.0 } else { 18.0 };
        let (rect, response) = ui.allocate_exact_size(vec2(self.width, height), Sense::hover());
        let told = words(found);
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Label, true, &told));
        if ui.is_rect_visible(rect) {
            self.draw(ui, rect, found, response.hovered());
        }
        response.on_hover_text(told);
    }

    fn draw(&self, ui: &Ui, rect: Rect, found: &Found, hovered: bool) {
        let (palette, field, painter) = (self.palette, self.field(rect), ui.painter());
        if hovered {
            painter.rect_filled(rect, 4.0, palette.card);
        }
        let (telling, middle) = (found.telling(), rect.center().y);
        let color = if telling.is_sure() { palette.text } else { palette.weak };
        let font = TextStyle::Body.resolve(ui.style());
        let name = painter.with_clip_rect(rect.with_max_x(field.left() - 4.0));
        name.text(pos2(rect.left() + 2.0, middle), Align2::LEFT_CENTER, &found.title, font, color);
        for mark in self.marks() {
            let color = if mark == 0.0 { palette.dropped } else { palette.line };
            painter.vline(self.x(field, mark), rect.y_range(), Stroke::new(1.0, color));
        }
        let apart = if self.both { 4.0 } else { 0.0 };
        for (effect, color, y) in [
            (found.human, palette.accent, middle - apart),
            (found.weak, palette.annotator, middle + apart),
        ] {
            if let Some(effect) = effect {
                self.whisker(ui, field, y, &effect, color);
            }
        }
        let text = if self.number > 100.0 {
            telling.to_string()
        } else {
            format!("{:+.2}", telling.value)
        };
        let font = FontId::monospace(11.0);
        painter.text(pos2(rect.right() - 2.0, middle), Align2::RIGHT_CENTER, text, font, color);
    }

    fn whisker(&self, ui: &Ui, field: Rect, y: f32, effect: &Effect, color: Color32) {
        let [low, high] = effect.interval.map(|end| self.x(field, end));
        ui.painter().hline(low..=high, y, Stroke::new(2.0, color.gamma_multiply(0.55)));
        ui.painter().circle_filled(pos2(self.x(field, effect.value), y), 3.0, color);
    }
}

/// All that was found of a property.
fn words(found: &Found) -> String {
    let line = |who: &str, effect: Option<Effect>| Some(format!("\n{who} {}", effect?));
    let lines = [
        line("people", found.human),
        line("annotator", found.weak),
        line("annotator − people", found.difference),
    ];
    let numbers: String = lines.into_iter().flatten().collect();
    let differing = format::percent(found.differing);
    format!(
        "{}: {}\nThe responses of {differing} of the pairs differ in it.{numbers}",
        found.title, found.summary
    )
}
