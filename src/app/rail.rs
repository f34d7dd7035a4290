//! The stages of a run, from top to bottom, with their state.

use std::f32::consts::TAU;

use egui::{Align2, FontId, Painter, Pos2, Sense, Shape, Stroke, Ui, pos2, vec2};

use super::command::Command;
use super::format;
use super::state::{Scene, State};
use super::theme::Palette;
use crate::run::{Part, Shows, Stage, Status};

/// How far a stage is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mark {
    /// Its turn has not come.
    Waiting,
    /// At work: steps done, of so many, seconds left if known.
    Working(u64, u64, Option<f64>),
    /// Ended, after so many seconds.
    Done(f64),
    /// Has nothing to do in this run.
    Skipped,
    /// Where the run was stopped.
    Stopped,
    /// Where the run failed.
    Failed,
}

/// A part of the way with its stages: one entry of the rail.
pub(crate) struct Entry {
    /// What it says of itself.
    pub part: &'static Part,
    /// Its stages.
    pub stages: Vec<Stage>,
}

/// The entries, in order.
pub(crate) fn entries() -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for stage in Stage::all() {
        let part = stage.about().part;
        match entries.last_mut().filter(|entry| entry.part == part) {
            Some(entry) => entry.stages.push(stage),
            None => entries.push(Entry { part, stages: vec![stage] }),
        }
    }
    entries
}

/// The panel that shows what there is to be seen of a part.
fn panel(shows: Shows) -> &'static str {
    match shows {
        Shows::Data => "Data",
        Shows::Curves => "Curves",
        Shows::Confidence => "Confidence",
        Shows::Report => "Report",
    }
}

/// How far a stage of the run on show is.
pub(crate) fn mark(state: &State, stage: Stage) -> Mark {
    let view = &state.view;
    let s = view.stages.get(&stage).copied().unwrap_or_default();
    if s.ended {
        return Mark::Done(s.seconds);
    }
    if s.started {
        return match view.status {
            Status::Failed if view.current_stage() == Some(stage) => Mark::Failed,
            Status::Stopped => Mark::Stopped,
            _ => Mark::Working(s.done, s.total, state.pace.seconds_left(stage, &s)),
        };
    }
    let mut later = view.stages.iter().filter(|(other, _)| **other > stage);
    let later_began = later.any(|(_, other)| other.started);
    if later_began || view.status == Status::Finished || stage.is_skipped(&state.recipe) {
        Mark::Skipped
    } else {
        Mark::Waiting
    }
}

/// One mark for all stages of an entry, and its words.
pub(crate) fn entry_mark(state: &State, entry: &Entry) -> (Mark, String) {
    let marks: Vec<Mark> = entry.stages.iter().map(|stage| mark(state, *stage)).collect();
    let together = together(&marks);
    // The share of one stage is not that of its entry: its own line tells it.
    let words = if marks.len() > 1 && matches!(together, Mark::Working(..)) {
        "at work".to_owned()
    } else {
        words(together)
    };
    (together, words)
}

fn together(marks: &[Mark]) -> Mark {
    if let Some(ended) = marks.iter().find(|m| matches!(m, Mark::Failed | Mark::Stopped)) {
        return *ended;
    }
    let ended = |m: &&Mark| matches!(m, Mark::Done(_) | Mark::Skipped);
    let working = marks.iter().find(|m| matches!(m, Mark::Working(..)));
    match (working, marks) {
        (Some(alone), [_]) => return *alone,
        (Some(_), _) => {
            return Mark::Working(
                1 + 2 * marks.iter().filter(ended).count() as u64,
                2 * marks.len() as u64,
                None,
            );
        }
        (None, _) => {}
    }
    let seconds: f64 = marks.iter().map(|m| if let Mark::Done(s) = m { *s } else { 0.0 }).sum();
    let done = marks.iter().any(|m| matches!(m, Mark::Done(_)));
    let waiting = marks.iter().any(|m| matches!(m, Mark::Waiting));
    match (done, waiting) {
        (true, false) => Mark::Done(seconds),
        (false, false) => Mark::Skipped,
        _ => Mark::Waiting,
    }
}

/// In words.
pub(crate) fn words(mark: Mark) -> String {
    match mark {
        Mark::Waiting => "waiting".to_owned(),
        Mark::Working(_, 0, _) => "at work".to_owned(),
        Mark::Working(done, total, left) => {
            let share = format!("{:.0} %", 100.0 * done as f64 / total as f64);
            left.map_or(share.clone(), |left| format!("{share}, {} left", format::duration(left)))
        }
        Mark::Done(seconds) => format!("done in {}", format::duration(seconds)),
        Mark::Skipped => "nothing to do".to_owned(),
        Mark::Stopped => "stopped here".to_owned(),
        Mark::Failed => "failed here".to_owned(),
    }
}

/// Draw the rail.
pub(crate) fn ui(ui: &mut Ui, scene: &mut Scene<'_>) {
    ui.spacing_mut().item_spacing.y = 0.0;
    ui.add_space(4.0);
    let mut above: Option<Pos2> = None;
    for entry in &entries() {
        let (main, text) = entry_mark(scene.state, entry);
        let (center, clicked) =
            line(ui, entry.part.title, main, &text, entry.part.explanation, true);
        if let Some(above) = above {
            let color = Palette::get(ui).line;
            ui.painter().line_segment(
                [above + vec2(0.0, 12.0), center - vec2(0.0, 12.0)],
                Stroke::new(2.0, color),
            );
        }
        above = Some(center);
        let mut clicked = clicked;
        if entry.stages.len() > 1 {
            for stage in &entry.stages {
                let mark = mark(scene.state, *stage);
                clicked |= line(
                    ui,
                    stage.about().title,
                    mark,
                    &words(mark),
                    entry.part.explanation,
                    false,
                )
                .1;
            }
        }
        if clicked {
            scene.send(Command::Show(panel(entry.part.shows)));
        }
    }
}

/// One line: the place of its circle, and whether it was clicked.
fn line(
    ui: &mut Ui,
    title: &str,
    mark: Mark,
    text: &str,
    explanation: &str,
    large: bool,
) -> (Pos2, bool) {
    let palette = Palette::get(ui);
    let height = if large { 50.0 } else { 34.0 };
    let (rect, response) =
        ui.allocate_exact_size(vec2(ui.available_width(), height), Sense::click());
    response.widget_info(|| {
        egui::WidgetInfo::labeled(egui::Role::Button, true, format!("{title}: {text}"))
    });
    if response.hovered() {
        ui.painter().rect_filled(rect.shrink2(vec2(0.0, 2.0)), 8.0, palette.card);
    }
    let indent = if large { 0.0 } else { 22.0 };
    let center = pos2(rect.left() + 20.0 + indent, rect.center().y);
    circle(ui, center, if large { 9.0 } else { 4.5 }, mark);
    let (title_size, text_size) = if large { (14.0, 11.0) } else { (12.5, 10.5) };
    let left = center.x + if large { 20.0 } else { 13.0 };
    let quiet = matches!(mark, Mark::Waiting | Mark::Skipped);
    let color = if quiet { palette.weak } else { palette.text };
    let painter = ui.painter_at(rect);
    let font = |size: f32| FontId::proportional(size);
    let gap = if large { 1.0 } else { 0.0 };
    painter.text(pos2(left, center.y - gap), Align2::LEFT_BOTTOM, title, font(title_size), color);
    painter.text(
        pos2(left, center.y + gap),
        Align2::LEFT_TOP,
        text,
        font(text_size),
        note_color(&palette, mark),
    );
    let clicked = response.on_hover_text(explanation).clicked();
    (center, clicked)
}

/// The colour of a mark's words.
pub(crate) fn note_color(palette: &Palette, mark: Mark) -> egui::Color32 {
    match mark {
        Mark::Working(..) => palette.accent,
        Mark::Failed => palette.error,
        Mark::Stopped => palette.warning,
        _ => palette.weak,
    }
}

fn circle(ui: &Ui, center: Pos2, radius: f32, mark: Mark) {
    let palette = Palette::get(ui);
    let painter = ui.painter();
    match mark {
        Mark::Waiting => {
            painter.circle(center, radius, palette.surface, Stroke::new(1.5, palette.dropped));
        }
        Mark::Skipped => {
            painter.circle(center, radius, palette.surface, Stroke::new(1.5, palette.line));
            let half = vec2(radius * 0.45, 0.0);
            painter.line_segment([center - half, center + half], Stroke::new(1.5, palette.dropped));
        }
        Mark::Working(done, total, _) => {
            painter.circle(center, radius, palette.surface, Stroke::new(2.5, palette.line));
            let share =
                if total == 0 { 0.25 } else { (done as f32 / total as f32).clamp(0.02, 1.0) };
            arc(painter, center, radius, share, Stroke::new(2.5, palette.accent));
        }
        Mark::Done(_) => {
            painter.circle_filled(center, radius, palette.accent_fill);
            if radius > 6.0 {
                let points =
                    [(-4.0, 0.2), (-1.2, 3.0), (4.2, -3.0)].map(|(x, y)| center + vec2(x, y));
                painter.add(Shape::line(points.to_vec(), Stroke::new(1.8, egui::Color32::WHITE)));
            }
        }
        Mark::Stopped | Mark::Failed => {
            painter.circle_filled(center, radius, note_color(&palette, mark));
        }
    }
}

/// Part of a circle, clockwise from the top.
fn arc(painter: &Painter, center: Pos2, radius: f32, share: f32, stroke: Stroke) {
    let steps = (48.0 * share).ceil() as usize;
    let point = |i: usize| {
        let angle = TAU * share * i as f32 / steps as f32 - TAU / 4.0;
        center + radius * vec2(angle.cos(), angle.sin())
    };
    painter.add(Shape::line((0..=steps).map(point).collect(), stroke));
}
