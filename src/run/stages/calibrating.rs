//! How margins of a run's annotations become log-odds, what that changes, and how far they tell right labels
//! from wrong ones.

use super::super::error::RunError;
use super::super::report::FittedReport;
use super::super::session::Session;
use super::asked::Part;
use crate::annotate::log_length;
use crate::data::{AnnotatedPair, Side};
use crate::preference::{
    AurcDifference, Calibrator, Fitted, Judged, Said, Weighting, aurc, aurc_difference, calibration,
};

/// The annotations of one part, in their order.
pub(super) fn of_part(annotated: &[AnnotatedPair], part: Part) -> Vec<&AnnotatedPair> {
    annotated.iter().filter(|found| found.split == part.name()).collect()
}

/// Margins that are positive where a human agrees, where one spoke.
pub(super) fn signed(annotated: &[&AnnotatedPair]) -> Vec<f64> {
    annotated.iter().filter_map(|found| found.signed_margin()).collect()
}

/// How margins become log-odds: as stated, or as fitted on the calibration split of a whole table.
///
/// # Errors
///
/// Something is to be fitted, and the table has no pair for it.
pub(super) fn calibrator(
    weighting: &Weighting,
    annotated: &[AnnotatedPair],
) -> Result<Fitted, RunError> {
    weighting.calibrator(&signed(&of_part(annotated, Part::Calibration))).ok_or_else(|| {
        RunError::Impossible("data.calibration: the annotator can read none of the calibration pairs, so that there is nothing to fit confidence on; raise data.calibration, data.labelled or data.max_length, or fit nothing (confidence.temperature = 1.0, confidence.calibration = \"temperature\")".to_owned())
    })
}

/// What the annotator says of the unlabelled split, calibrated, in the order of the table.
///
/// # Errors
///
/// The expression of a weight cannot be computed of it.
pub(super) fn judged(
    weighting: &Weighting,
    calibrator: &Calibrator,
    annotated: &[AnnotatedPair],
) -> Result<Judged, RunError> {
    let unlabelled = of_part(annotated, Part::Unlabelled);
    let said: Vec<Said<'_>> = unlabelled.iter().map(|a| (a.margin, &a.columns)).collect();
    weighting.judge(calibrator, &said).map_err(RunError::Impossible)
}

/// Tell how well the annotator's confidence tells right labels from wrong ones on held-out pairs, and how
/// much better than the difference of lengths, which needs no annotator.
pub(super) fn selective(
    session: &mut Session<'_>,
    held_out: &[&AnnotatedPair],
) -> Result<(), RunError> {
    let own = signed(held_out);
    let longer: Vec<f64> = held_out.iter().filter_map(|found| by_length(found)).collect();
    session.measured("annotator.aurc", aurc(&own))?;
    match aurc_difference(&own, &longer, session.recipe.seed) {
        Some(AurcDifference { value, interval }) => {
            session.measured_within("annotator.aurc_less_longer", value, interval)
        }
        None => Ok(()),
    }
}

/// The margin of preferring the longer response, as the length baseline has it, below 0 where a human
/// prefers the other one; `None` where no human spoke.
fn by_length(found: &AnnotatedPair) -> Option<f64> {
    let [first, second] = found.responses.each_ref().map(|text| log_length(text));
    found.human.map(|side| if side == Side::First { first - second } else { second - first })
}

/// Tell what was fitted, and what it changes on held-out pairs, which neither the annotator nor the fit has
/// seen; whatever speaks against it is a warning.
pub(super) fn tell(
    session: &mut Session<'_>,
    fitted: Fitted,
    held_out: &[f64],
) -> Result<(), RunError> {
    for warning in fitted.warnings() {
        session.warn(warning)?;
    }
    let report = FittedReport {
        pairs: fitted.pairs,
        before: calibration(held_out, &Calibrator::NONE),
        after: calibration(held_out, &fitted.calibrator),
        calibrator: fitted.calibrator,
    };
    session.tabulated("confidence.calibration", &report)
}
