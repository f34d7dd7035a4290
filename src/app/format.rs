//! Numbers, durations and paths as a person reads them.

use std::path::Path;

pub(crate) use crate::report::count;

/// A count and its noun: “1 pair”, “12 pairs”.
pub(crate) fn counted(n: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A share as a percentage: 71.3 %.
pub(crate) fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.1} %", share * 100.0) } else { "–".to_owned() }
}

/// A number with about four significant digits, whatever its size.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "∞".to_owned() } else { "−∞".to_owned() }
    } else if size == 0.0 {
        "0".to_owned()
    } else if !(0.001..100_000.0).contains(&size) {
        format!("{value:.2e}")
    } else if size >= 1000.0 {
        let sign = if value < 0.0 { "-" } else { "" };
        format!("{sign}{}", count(size.round() as usize))
    } else if size >= 100.0 {
        format!("{value:.1}")
    } else if size >= 10.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

/// A value on an axis, as precise as the distance to its neighbours asks for.
pub(crate) fn tick(value: f64, step: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e6) {
        return format!("{value:.0e}");
    }
    let digits = (-step.log10()).ceil().clamp(0.0, 4.0) as usize;
    format!("{value:.digits$}")
}

/// Marks of an axis at 1, 2 or 5 times a power of ten, at least `apart` points from each other.
pub(crate) fn marks(apart: f64) -> impl Fn(egui_plot::GridInput) -> Vec<egui_plot::GridMark> {
    move |input| {
        // The base step is what eight points of the screen are worth, egui_plot's finest grid.
        let least = input.base_step_size * apart / 8.0;
        let power = 10_f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|k| k * power)
            .into_iter()
            .find(|step| *step >= least)
            .unwrap_or(least);
        let (low, high) = input.bounds;
        let first = (low / step).ceil() as i64;
        let last = ((high / step).floor() as i64).min(first + 200);
        (first..=last)
            .map(|i| egui_plot::GridMark { value: i as f64 * step, step_size: step })
            .collect()
    }
}

/// A duration: 0.4 s, 12 s, 3 min 05 s, 2 h 07 min.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".to_owned();
    }
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// An amount of memory: `3.2 GiB`.
pub(crate) fn bytes(n: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match units.into_iter().find(|(_, size)| n >= *size) {
        Some((unit, size)) => format!("{:.1} {unit}", n as f64 / size as f64),
        None => format!("{n} B"),
    }
}

/// The last part of a path, or all of it if it has none.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name()
        .map_or_else(|| path.display().to_string(), |name| name.to_string_lossy().into_owned())
}

/// The first `limit` characters of a text on one line.
pub(crate) fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::with_capacity(limit.min(text.len()) + 4);
    for (i, c) in text.trim().chars().enumerate() {
        if i == limit {
            line.push('…');
            break;
        }
        line.push(if c.is_whitespace() || c.is_control() { ' ' } else { c });
    }
    line
}
