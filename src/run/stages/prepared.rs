//! The pairs of a run, read and split.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::Recipe;
use super::super::error::RunError;
use super::super::summary::{DataSummary, FileSummary};
use crate::data::{FileReport, Pair, ReadSettings, Split, SplitSettings, read_files, split};

/// How many bad rows a summary lists; all are counted.
const LISTED: usize = 100;

/// The pairs of a run and their parts.
pub(crate) struct Prepared {
    /// All pairs.
    pub(crate) pairs: Vec<Pair>,
    /// Which pair is in which part; indexes into `pairs`.
    pub(crate) split: Split,
}

/// Read and split the pairs of a recipe.
pub(crate) fn prepare(recipe: &Recipe) -> Result<(Prepared, DataSummary), RunError> {
    let settings = &recipe.data;
    let reading = settings.reading();
    let (mut pairs, mut files) = read(&settings.files, recipe.seed, &reading)?;
    if settings.limit > 0 {
        pairs.truncate(settings.limit);
    }
    let shares = SplitSettings {
        labelled: settings.labelled,
        held_out: settings.held_out,
        calibration: if recipe.confidence.fits() { settings.calibration } else { 0.0 },
        seed: recipe.seed,
    };
    let mut split = split(&pairs, &shares);
    if recipe.confidence.fits() && split.calibration.is_empty() {
        return Err(nothing_to_fit(recipe, split.labelled.len()));
    }
    for (list, part) in [
        (&settings.unlabelled, &mut split.unlabelled),
        (&settings.held_out_files, &mut split.held_out),
    ] {
        let (more, reports) = read(list, recipe.seed, &reading)?;
        part.extend(pairs.len()..pairs.len() + more.len());
        pairs.extend(more);
        files.extend(reports);
    }
    let summary = summarise(&pairs, &split, files);
    Ok((Prepared { pairs, split }, summary))
}

/// Confidence is to be fitted on pairs that there are not.
fn nothing_to_fit(recipe: &Recipe, labelled: usize) -> RunError {
    let data = &recipe.data;
    RunError::Impossible(format!(
        "data.calibration = {}: of {labelled} labelled pairs (data.labelled = {}) none is left to calibrate confidence on; raise data.calibration or data.labelled, or fit nothing (confidence.temperature = 1.0, confidence.calibration = \"temperature\")",
        data.calibration, data.labelled
    ))
}

fn read(
    names: &[String],
    seed: u64,
    settings: &ReadSettings,
) -> Result<(Vec<Pair>, Vec<FileReport>), RunError> {
    let mut pairs = Vec::new();
    let mut reports = Vec::new();
    for name in names {
        if let Some(built_in) = name.strip_prefix("builtin:") {
            let (more, report) = crate::builtin::pairs(built_in, seed).ok_or_else(|| {
                RunError::Impossible(format!(
                    "data “{name}” is not built in; expected builtin:demo or a file"
                ))
            })?;
            pairs.extend(more);
            reports.push(report);
        } else {
            let pool = read_files(&[PathBuf::from(name)], settings)?;
            pairs.extend(pool.pairs);
            reports.extend(pool.files);
        }
    }
    Ok((pairs, reports))
}

fn summarise(pairs: &[Pair], split: &Split, files: Vec<FileReport>) -> DataSummary {
    let mut by_reason = BTreeMap::new();
    for row in files.iter().flat_map(|file| &file.bad) {
        *by_reason.entry(row.reason.to_string()).or_insert(0) += 1;
    }
    DataSummary {
        pairs: pairs.len(),
        bad_rows: files.iter().map(|f| f.bad.len()).sum(),
        bad_by_reason: by_reason,
        duplicates: files.iter().map(|f| f.duplicates).sum(),
        ties: files.iter().map(|f| f.ties).sum(),
        labelled: split.labelled.len(),
        calibration: split.calibration.len(),
        unlabelled: split.unlabelled.len(),
        held_out: split.held_out.len(),
        files: files.into_iter().map(file_summary).collect(),
    }
}

fn file_summary(file: FileReport) -> FileSummary {
    FileSummary {
        path: file.path,
        format: file.format,
        pairs: file.pairs,
        bad_rows: file.bad.len(),
        bad: file.bad.into_iter().take(LISTED).collect(),
        notes: file.notes,
        unread: file.unread,
    }
}
