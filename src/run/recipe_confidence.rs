//! Settings of confidence that have no meaning together, or with the annotator.

use super::Recipe;
use crate::preference::{CalibrationMethod, Temperature};

impl Recipe {
    /// Whether confidence can be had as the recipe asks for it: the key at fault, and what is wrong.
    pub(super) fn check_confidence(&self) -> Result<(), (String, String)> {
        let weighting = &self.confidence;
        let isotonic = weighting.calibration == CalibrationMethod::Isotonic;
        let fault = |key: &str, found: String| Err((key.to_owned(), found));
        if isotonic && weighting.temperature != Temperature::Stated(1.0) {
            return fault(
                "confidence.temperature",
                format!(
                    "confidence.temperature = {} has no meaning beside confidence.calibration = \"isotonic\", which takes the place of T; set confidence.temperature = 1.0, or confidence.calibration = \"temperature\"",
                    serde_json::to_string(&weighting.temperature).unwrap_or_default()
                ),
            );
        }
        // One member alone differs from nobody.
        let several = self.annotator.ensemble > 1;
        let columns = self.annotator.kind.column_names().iter().copied();
        let columns =
            columns.filter(|name| several || !super::stages::MEMBERS_COLUMNS.contains(name));
        let own = super::stages::GATE_COLUMNS.into_iter().filter(|_| weighting.gate);
        let combined = self.combined_columns();
        let mut all: Vec<&str> = columns.chain(own).collect();
        if self.annotator.constants.tournament.tournament {
            all.extend(super::stages::TOURNAMENT_COLUMNS);
        }
        all.extend(combined.iter().map(String::as_str));
        weighting.check(&all).map_err(|found| ("confidence.weight".to_owned(), found))?;
        if !weighting.fits() {
            return Ok(());
        }
        if weighting.gate && weighting.calibrates() {
            return fault(
                "confidence.gate",
                "confidence.gate = true fits log-odds on the calibration split, and confidence.temperature or confidence.calibration would fit them there once more; set confidence.temperature = 1.0 and confidence.calibration = \"temperature\", or confidence.gate = false".to_owned(),
            );
        }
        let (key, asked) = if isotonic {
            ("confidence.calibration", "confidence.calibration = \"isotonic\"")
        } else if weighting.gate {
            ("confidence.gate", "confidence.gate = true")
        } else {
            ("confidence.temperature", "confidence.temperature = \"fit\"")
        };
        if self.annotator.kind.reads().labels() {
            return fault(
                key,
                format!(
                    "{asked} compares an annotator's labels with those of people, but annotator.kind = \"{}\" repeats the labels that the pairs come with, so that there is nothing to compare; set confidence.temperature = 1.0, confidence.calibration = \"temperature\" and confidence.gate = false, or take another annotator",
                    self.annotator.kind.name()
                ),
            );
        }
        if self.data.calibration <= 0.0 {
            return fault(
                "data.calibration",
                format!(
                    "data.calibration = 0, but {asked} is fitted on that share of the labelled pairs; set data.calibration = 0.2, say, or fit nothing (confidence.temperature = 1.0, confidence.calibration = \"temperature\")"
                ),
            );
        }
        Ok(())
    }
}
