//! What the run was made of.

use crate::report::words::count;
use crate::report::{Row, Section};
use crate::run::Report;

pub(super) fn section(report: &Report) -> Option<Section> {
    let d = &report.data;
    let s = &d.summary;
    let numbers = [
        ("Pairs", s.pairs, "Readable pairs"),
        ("Labelled", s.labelled, "Train the annotator"),
        ("Unlabelled", s.unlabelled, "Labelled by the annotator, for the policy"),
        ("Held out", s.held_out, "For evaluation"),
        ("Skipped rows", s.bad_rows, "Rows that could not be read"),
        ("Too long", d.too_long, "Pairs beyond data.max_length"),
        ("Refused", d.refused, "Pairs that a chat template refuses"),
    ];
    let mut rows: Vec<Row> = numbers
        .into_iter()
        .map(|(name, number, explanation)| Row::new(name, count(number), explanation))
        .collect();
    if s.calibration > 0 {
        let meaning = "Calibrate its confidence; it does not learn from them";
        rows.insert(2, Row::new("Calibration", count(s.calibration), meaning));
    }
    rows.extend(d.lengths.iter().map(|(model, lengths)| {
        let meaning = "What the limit on lengths loses for this model";
        Row::new(format!("Lengths for the {model}"), lengths.to_string(), meaning)
    }));
    rows.extend(report.prompts.iter().map(|(model, written)| {
        let meaning = "How prompts were written for this model";
        Row::new(format!("Prompts of the {model}"), written.style.clone(), meaning)
    }));
    Some(Section { title: "Data", rows, ..Section::default() })
}
