//! What was measured and has no place of its own.

use serde_json::Value;

use crate::report::words::number;
use crate::report::{Row, Section};
use crate::run::Report;

pub(super) fn section(report: &Report) -> Option<Section> {
    // Tables have sections of their own, or stand in `report.json` alone.
    let numbers =
        || report.measured.iter().filter(|(_, value)| !value.is_array() && !value.is_object());
    if numbers().count() == 0 {
        return None;
    }
    let rows = numbers().map(|(name, value)| {
        let value = match value {
            Value::Number(found) if found.is_f64() => legible(found.as_f64().unwrap_or(f64::NAN)),
            Value::Number(found) => found.to_string(),
            Value::String(text) => text.clone(),
            table => serde_json::to_string(table).unwrap_or_default(),
        };
        let interval = report.intervals.get(name);
        let interval = interval.map(|ends| format!(" [{}]", ends.map(legible).join(", ")));
        Row::new(name.clone(), value + &interval.unwrap_or_default(), "")
    });
    Some(Section { title: "Measured", rows: rows.collect(), ..Section::default() })
}

/// Four decimals, or two digits of what is too small for them; `report.json` has all.
fn legible(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 { format!("{value:.1e}") } else { number(Some(value)) }
}
