//! What people and the annotator reward that can be counted in a text.

use serde_json::Value;

use crate::report::words::share;
use crate::report::{Row, Section};
use crate::run::Report;

pub(super) fn section(report: &Report) -> Option<Section> {
    let found = report.measured.get("dissection").and_then(Value::as_array)?;
    let row = |row: &Value| {
        let of = |who: &str| share(row.get(who).and_then(Value::as_f64));
        Some(Row::new(
            format!("More {}", row.get("property")?.as_str()?),
            format!("people {}, annotator {}", of("human"), of("annotator")),
            "How often the preferred response has more of it, where the two differ: 50 % is no preference",
        ))
    };
    let rows = found.iter().filter_map(row).collect();
    Some(Section { title: "What the labels reward", rows, ..Section::default() })
}
