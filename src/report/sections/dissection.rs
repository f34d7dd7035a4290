//! What people and the annotator reward that can be counted in a text.

use serde_json::Value;

use crate::report::words::share;
use crate::report::{Row, Section};
use crate::run::Report;

pub(super) fn section(report: &Report) -> Option<Section> {
    let found = report.measured.get("dissection").and_then(Value::as_array)?;
    let row = |row: &Value| {
        let of = |who: &str| row.get(who).and_then(Value::as_f64);
        let (people, annotator) = (of("human"), of("annotator"));
        // Texts that never differ in it say nothing of it.
        people.or(annotator)?;
        Some(Row::new(
            format!("More {}", row.get("property")?.as_str()?),
            format!("{}, {}", share(people), share(annotator)),
            "How often the response that people prefer, and the one that the annotator prefers, has more of it, where the two differ: 50 % is no preference",
        ))
    };
    let rows = found.iter().filter_map(row).collect();
    Some(Section { title: "Rewarded by people, by the annotator", rows, ..Section::default() })
}
