//! Signs, drawn as lines and shapes, so that no font has to have them.

use egui::{Atom, Color32, Painter, Pos2, Rect, Sense, Shape, Stroke, Ui, vec2};

/// A sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Icon {
    /// Begin, or go on.
    Play,
    /// Wait.
    Pause,
    /// End.
    Stop,
    /// Wrong, or away with it.
    Cross,
    /// Right.
    Check,
    /// Mind this.
    Warning,
    /// Know this.
    Info,
    /// Towards greater values.
    Up,
    /// Towards lesser values.
    Down,
    /// The one before.
    Left,
    /// The one after.
    Right,
    /// Let it fall in here.
    Drop,
    /// A curve.
    Curve,
    /// A histogram.
    Bars,
    /// Many points.
    Points,
    /// A table.
    Table,
    /// A written page.
    Page,
}

/// Draw a sign into a square.
pub(crate) fn paint(painter: &Painter, rect: Rect, icon: Icon, color: Color32) {
    let side = rect.width().min(rect.height());
    let square = Rect::from_center_size(rect.center(), vec2(side, side));
    // Signs are described on a square from −1 to 1, y downwards.
    let at = |x: f32, y: f32| -> Pos2 { square.center() + vec2(x, y) * side * 0.5 };
    let stroke = Stroke::new((side * 0.12).max(1.4), color);
    let lines = |points: &[(f32, f32)]| {
        painter.add(Shape::line(points.iter().map(|(x, y)| at(*x, *y)).collect(), stroke));
    };
    let filled = |points: &[(f32, f32)]| {
        let points = points.iter().map(|(x, y)| at(*x, *y)).collect();
        painter.add(Shape::convex_polygon(points, color, Stroke::NONE));
    };
    let bar = |x0: f32, y0: f32, x1: f32, y1: f32| {
        painter.rect_filled(Rect::from_min_max(at(x0, y0), at(x1, y1)), side * 0.06, color);
    };
    let dot = |x: f32, y: f32, radius: f32| {
        painter.circle_filled(at(x, y), side * 0.5 * radius, color);
    };
    match icon {
        Icon::Play => filled(&[(-0.55, -0.8), (0.8, 0.0), (-0.55, 0.8)]),
        Icon::Pause => {
            [(-0.65, -0.2), (0.2, 0.65)].into_iter().for_each(|(a, b)| bar(a, -0.75, b, 0.75));
        }
        Icon::Stop => bar(-0.65, -0.65, 0.65, 0.65),
        Icon::Cross => {
            lines(&[(-0.6, -0.6), (0.6, 0.6)]);
            lines(&[(0.6, -0.6), (-0.6, 0.6)]);
        }
        Icon::Check => lines(&[(-0.7, 0.05), (-0.2, 0.55), (0.75, -0.55)]),
        Icon::Warning => {
            lines(&[(0.0, -0.85), (0.92, 0.75), (-0.92, 0.75), (0.0, -0.85), (0.92, 0.75)]);
            lines(&[(0.0, -0.25), (0.0, 0.25)]);
            dot(0.0, 0.5, 0.12);
        }
        Icon::Info => {
            painter.circle_stroke(at(0.0, 0.0), side * 0.43, stroke);
            lines(&[(0.0, -0.05), (0.0, 0.45)]);
            dot(0.0, -0.4, 0.13);
        }
        Icon::Up => filled(&[(-0.7, 0.4), (0.0, -0.5), (0.7, 0.4)]),
        Icon::Down => filled(&[(-0.7, -0.4), (0.7, -0.4), (0.0, 0.5)]),
        Icon::Left => filled(&[(0.4, -0.7), (0.4, 0.7), (-0.5, 0.0)]),
        Icon::Right => filled(&[(-0.4, -0.7), (0.5, 0.0), (-0.4, 0.7)]),
        Icon::Drop => {
            lines(&[(0.0, -0.9), (0.0, 0.3)]);
            lines(&[(-0.45, -0.1), (0.0, 0.35), (0.45, -0.1)]);
            lines(&[(-0.9, 0.3), (-0.9, 0.85), (0.9, 0.85), (0.9, 0.3)]);
        }
        Icon::Curve => {
            lines(&[(-0.9, -0.9), (-0.9, 0.9), (0.9, 0.9)]);
            lines(&[(-0.6, -0.5), (-0.3, 0.1), (0.1, 0.35), (0.8, 0.5)]);
        }
        Icon::Bars => {
            for (x, top) in [(-0.8, 0.3), (-0.4, -0.2), (0.0, -0.8), (0.4, -0.1)] {
                bar(x, top, x + 0.28, 0.85);
            }
        }
        Icon::Points => {
            for (x, y, radius) in [
                (-0.6, 0.5, 0.16),
                (-0.2, -0.1, 0.2),
                (0.3, 0.4, 0.14),
                (0.1, -0.7, 0.12),
                (0.7, -0.3, 0.18),
                (-0.7, -0.5, 0.1),
            ] {
                dot(x, y, radius);
            }
        }
        Icon::Table => [-0.65, 0.0, 0.65].into_iter().for_each(|y| lines(&[(-0.9, y), (0.9, y)])),
        Icon::Page => {
            lines(&[
                (-0.65, -0.9),
                (0.65, -0.9),
                (0.65, 0.9),
                (-0.65, 0.9),
                (-0.65, -0.9),
                (0.65, -0.9),
            ]);
            [-0.4, 0.0, 0.4].into_iter().for_each(|y| lines(&[(-0.3, y), (0.3, y)]));
        }
    }
}

/// A sign in line with text; only to look at.
pub(crate) fn show(ui: &mut Ui, icon: Icon, size: f32, color: Color32) -> egui::Response {
    let (rect, response) = ui.allocate_exact_size(vec2(size, size), Sense::hover());
    paint(ui.painter(), rect, icon, color);
    response
}

/// A button of a sign alone, with its name for tooltips and screen readers.
pub(crate) fn button(ui: &mut Ui, icon: Icon, name: &str) -> egui::Response {
    let (rect, response) = ui.allocate_exact_size(vec2(20.0, 20.0), Sense::click());
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, ui.is_enabled(), name));
    let visuals = ui.style().interact(&response);
    if response.hovered() {
        ui.painter().rect_filled(rect, 5.0, visuals.bg_fill);
    }
    paint(ui.painter(), rect.shrink(5.0), icon, visuals.fg_stroke.color);
    response.on_hover_text(name)
}

/// A sign for the text of a button, in the colour of that text.
pub(crate) fn sign(icon: Icon) -> Atom<'static> {
    Atom::paint(vec2(10.0, 10.0), move |ui, args| {
        paint(ui.painter(), args.rect, icon, args.fallback_text_color);
    })
}

/// The icon of the window: a C, open towards the one point that it holds.
pub(crate) fn window() -> egui::IconData {
    const SIDE: u32 = 64;
    const GROUND: [u8; 3] = [0x1b, 0x7f, 0x78];
    // How much of a pixel lies inside an edge at this signed distance.
    let cover = |distance: f32| (0.5 - distance).clamp(0.0, 1.0);
    let pixel = |x: u32, y: u32| {
        let (x, y) = (x as f32 - 31.5, y as f32 - 31.5);
        let corner = vec2((x.abs() - 16.0).max(0.0), (y.abs() - 16.0).max(0.0)).length() - 15.5;
        let open = x > 0.0 && y.abs() < x * 0.8;
        let ring = if open { 0.0 } else { cover(((x * x + y * y).sqrt() - 17.0).abs() - 3.6) };
        let dot = cover(vec2(x - 16.0, y).length() - 4.6);
        let white = ring.max(dot);
        let [r, g, b] = GROUND.map(|c| (f32::from(c) + (255.0 - f32::from(c)) * white) as u8);
        [r, g, b, (255.0 * cover(corner)) as u8]
    };
    let rgba = (0..SIDE * SIDE).flat_map(|i| pixel(i % SIDE, i / SIDE)).collect();
    egui::IconData { rgba, width: SIDE, height: SIDE }
}
