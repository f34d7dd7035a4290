//! Read the files and split the pairs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::super::error::RunError;
use super::super::event::Event;
use super::super::session::Session;
use super::super::stage::Stage;
use super::super::summary::{DataSummary, FileSummary};
use crate::data::{FileReport, Pair, ReadSettings, Split, SplitSettings, read_files, split};
use crate::files::hex;
use crate::run::Recipe;

/// How many bad rows a summary lists; all are counted.
const LISTED: usize = 100;

/// The pairs of a run and their parts.
pub(crate) struct Prepared {
    /// All pairs.
    pub(crate) pairs: Vec<Pair>,
    /// Which pair is in which part; indexes into `pairs`.
    pub(crate) split: Split,
}

pub(crate) fn run(session: &mut Session<'_>) -> Result<Prepared, RunError> {
    let (prepared, summary) = prepare(&session.recipe)?;
    session.same_input("data.files", &fingerprint(&prepared.pairs))?;
    session.stage(Stage::Data, summary.pairs as u64, |session| {
        for file in &summary.files {
            for note in &file.notes {
                session.warn(format!("{}: {note}", file.path.display()))?;
            }
        }
        session.emit(Event::Data { summary })
    })?;
    Ok(prepared)
}

/// A hash of all that pairs say, whatever files they come from.
fn fingerprint(pairs: &[Pair]) -> String {
    let of_pair = |pair: &Pair| {
        let Pair { prompt, responses: [first, second], label, weight, .. } = pair;
        let rest = format!("{prompt:?}\n{label:?}\n{weight:?}\n{}\n", first.len());
        Sha256::new().chain_update(rest).chain_update(first).chain_update(second).finalize()
    };
    let all: Vec<_> = pairs.par_iter().map(of_pair).collect();
    let mut whole = Sha256::new();
    all.iter().for_each(|one| whole.update(one));
    hex(&whole.finalize())
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
        seed: recipe.seed,
    };
    let mut split = split(&pairs, &shares);
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
