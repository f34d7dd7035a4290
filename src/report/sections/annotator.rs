//! How well the annotator judges.

use crate::report::words::{count, number, share};
use crate::report::{Row, Section};
use crate::run::Report;

pub(super) fn section(report: &Report) -> Option<Section> {
    let a = &report.annotator;
    let who = (!a.kind.is_empty()).then(|| Row::new("Who labels", &a.kind, "annotator.kind"));
    let numbers = [
        Row::new("Right on held-out pairs", share(a.accuracy), "Agreement with the human labels"),
        Row::new(
            "Always the longer one",
            share(a.longer_is_better),
            "What preferring the longer response would reach, for comparison",
        ),
        Row::new(
            "Calibration error",
            share(a.ece),
            "Mean distance of stated probability from measured accuracy (15 bins)",
        ),
        Row::new("Log-loss", number(a.nll), "Mean negative log-likelihood of the human label"),
        Row::new(
            "AURC",
            number(a.aurc),
            "Mean share of wrong labels among the surest, over all shares of the held-out pairs; a confidence that says nothing has the share of all",
        ),
        Row::new("Steps", count(a.steps as usize), "Optimiser steps"),
    ];
    let rows = who.into_iter().chain(numbers).collect();
    Some(Section { title: "Annotator", rows, ..Section::default() })
}
