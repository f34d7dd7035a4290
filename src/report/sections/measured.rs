//! What was measured and has no place of its own.

use serde_json::Value;

use crate::report::{Row, Section};
use crate::run::Report;

pub(super) fn section(report: &Report) -> Option<Section> {
    if report.measured.is_empty() {
        return None;
    }
    let rows = report.measured.iter().map(|(name, value)| {
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
