//! The sections of a report, in order. One more is a file here and a line in [`SECTIONS`].

mod annotator;
mod calibration;
mod combination;
mod confidence;
mod data;
mod dissection;
mod gate;
mod gold;
mod judge;
mod measured;
mod policy;
mod rounds;
mod tournament;

use super::Section;
use crate::run::Report;

/// Makes a section of a report, if the report has anything for it.
pub type Describe = fn(&Report) -> Option<Section>;

/// All sections, in the order in which they are read.
pub static SECTIONS: &[Describe] = &[
    gold::section,
    annotator::section,
    judge::section,
    tournament::section,
    combination::section,
    calibration::section,
    gate::section,
    confidence::section,
    dissection::section,
    policy::section,
    rounds::section,
    data::section,
    measured::section,
];

/// The sections of a report.
pub fn sections(report: &Report) -> Vec<Section> {
    SECTIONS.iter().filter_map(|section| section(report)).collect()
}
