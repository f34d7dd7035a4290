//! What was measured and has no place of its own.

use serde_json::Value;

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
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.clone(),
            table => serde_json::to_string(table).unwrap_or_default(),
        };
        let interval = report.intervals.get(name).map(|[low, high]| format!(" [{low}, {high}]"));
        Row::new(name.clone(), value + &interval.unwrap_or_default(), "")
    });
    Some(Section { title: "Measured", rows: rows.collect(), ..Section::default() })
}
