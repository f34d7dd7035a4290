//! How sure the annotator was, and whether rightly.

use crate::report::words::{count, number, share};
use crate::report::{Row, Section};
use crate::run::Report;

pub(super) fn section(report: &Report) -> Option<Section> {
    let c = &report.confidence;
    let rows = vec![
        Row::new("Mean C", number(c.mean), "Over the unlabelled split"),
        Row::new("Pairs kept", count(c.kept), "With weight above 0"),
        Row::new(
            "Agreement, all",
            share(c.agreement),
            "Weak labels that agree with human labels, where known",
        ),
        Row::new("Agreement, kept", share(c.agreement_kept), "The same among kept pairs"),
    ];
    Some(Section { title: "Confidence", rows, ..Section::default() })
}
