//! What was fitted to make probabilities of margins, and what it changed.

use crate::preference::{Calibration, Calibrator};
use crate::report::words::{count, number, share};
use crate::report::{Row, Section};
use crate::run::{FittedReport, Report};

pub(super) fn section(report: &Report) -> Option<Section> {
    let fitted = report.confidence.calibration.as_ref()?;
    let pairs = "Labelled pairs that the annotator did not learn from (data.calibration)";
    let of = |measure: fn(&Calibration) -> f64| {
        [&fitted.before, &fitted.after].map(|found| found.as_ref().map(measure))
    };
    let change = |[before, after]: [String; 2]| format!("{before} before, {after} after");
    let rows = vec![
        how(fitted),
        Row::new("Calibration pairs", count(fitted.pairs), pairs),
        Row::new(
            "Accuracy",
            change(of(|c| c.accuracy).map(share)),
            "On held-out pairs; no calibration changes a label",
        ),
        Row::new(
            "Calibration error",
            change(of(|c| c.ece).map(share)),
            "On held-out pairs; before, with T = 1",
        ),
        Row::new(
            "Log-loss",
            change(of(|c| c.nll).map(number)),
            "On held-out pairs; before, with T = 1; a coin has ln 2",
        ),
    ];
    Some(Section { title: "Calibration", rows, ..Section::default() })
}

fn how(fitted: &FittedReport) -> Row {
    match &fitted.calibrator {
        Calibrator::Temperature(temperature) => Row::new(
            "Temperature T",
            number(Some(*temperature)),
            "Fitted; above 1 the annotator was too sure of itself",
        ),
        Calibrator::Isotonic(found) => {
            let ends = [found.knots.first(), found.knots.last()];
            let [least, most] = ends.map(|knot| share(knot.map(|[_, p]| *p)));
            Row::new(
                "Isotonic regression",
                format!("{least} to {most}"),
                "Probabilities of being right, from the smallest margin to the largest",
            )
        }
    }
}
