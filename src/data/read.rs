//! Files → pool.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::columns::{Columns, Row};
use super::containers::{self, Table};
use super::error::{DataError, Fault};
use super::pair::{Pair, Pool, Prompt, Source};
use super::report::{BadRow, FileReport};
use super::shapes::{self, Answer, Found, Shape};
use super::values::{Bad, Kind};

/// Columns named in a message.
const COLUMNS: usize = 12;

/// Read files into one pool, in the order in which they are named.
///
/// # Errors
///
/// As [`read_file`], for the first file that has one.
pub fn read_files(paths: &[PathBuf]) -> Result<Pool, DataError> {
    let mut pool = Pool::default();
    for path in paths {
        let (pairs, report) = read_file(path)?;
        let file = pool.files.len();
        let here = |pair: Pair| Pair { source: Source { file, ..pair.source }, ..pair };
        pool.pairs.extend(pairs.into_iter().map(here));
        pool.files.push(report);
    }
    Ok(pool)
}

/// Read the pairs of one file; their [`Source::file`] is 0.
///
/// Container and columns are found by content. Bad rows and ties are skipped and reported;
/// exact duplicates are kept and counted.
///
/// # Errors
///
/// The file cannot be opened, is damaged, holds no preference pairs, or has no good row.
pub fn read_file(path: &Path) -> Result<(Vec<Pair>, FileReport), DataError> {
    let read = containers::open(path).and_then(pairs);
    let (pairs, report) = read.map_err(|fault| fault.of(path.to_owned()))?;
    Ok((pairs, FileReport { path: path.to_owned(), ..report }))
}

fn pairs(table: Table) -> Result<(Vec<Pair>, FileReport), Fault> {
    let Table { container, rows, mut bad, bytes } = table;
    if rows.is_empty() {
        let found = if bad.is_empty() { "no record".to_owned() } else { in_words(&bad) };
        return Err(Fault::NoPairs(container, found));
    }
    let shape = shape(&container, &rows)?;
    let format = format!("{container}, {}", shape.describe());
    let (mut pairs, mut ties) = (Vec::with_capacity(rows.len()), 0);
    for (line, found) in read_rows(shape.as_ref(), rows) {
        ties += found.ties;
        bad.extend(found.bad.into_iter().map(|Bad { reason, detail }| BadRow {
            line,
            reason,
            detail,
        }));
        let source = Source { file: 0, line };
        pairs.extend(found.pairs.into_iter().map(|draft| Pair {
            prompt: draft.prompt,
            responses: draft.responses,
            label: draft.label,
            source,
        }));
    }
    bad.sort_by_key(|row| row.line);
    if pairs.is_empty() {
        let ties =
            if ties > 0 { format!("{ties} ties, which prefer nothing; ") } else { String::new() };
        return Err(Fault::NoPairs(format, ties + &in_words(&bad)));
    }
    let report = FileReport {
        path: PathBuf::new(),
        format,
        pairs: pairs.len(),
        unlabelled: pairs.iter().filter(|pair| pair.label.is_none()).count(),
        ties,
        duplicates: duplicates(&pairs),
        bad,
        bytes,
    };
    Ok((pairs, report))
}

/// Read rows on all cores; order is kept.
fn read_rows(shape: &dyn Shape, rows: Vec<Row>) -> Vec<(u64, Found)> {
    let read = |mut row: Row| {
        let mut found = Found::default();
        if let Err(bad) = shape.read(&mut row.fields, &mut found) {
            found = Found { bad: vec![bad], ..Found::default() };
        }
        (row.line, found)
    };
    rows.into_par_iter().map(read).collect()
}

fn shape(container: &str, rows: &[Row]) -> Result<Box<dyn Shape>, Fault> {
    let columns = Columns::of(rows);
    let (answer, columns) = match shapes::detect(&columns) {
        Some(answer) => (Some(answer), columns),
        // Perhaps most rows are noise.
        None => {
            let columns = columns.with_rare();
            (shapes::detect(&columns), columns)
        }
    };
    match answer {
        Some(Answer::Reads(shape)) => Ok(shape),
        Some(Answer::Refuses(found, advice)) => {
            Err(Fault::unknown(format!("{container}, {found}"), advice))
        }
        None => Err(Fault::unknown(
            format!("{container} with columns {}", first_columns(&columns, rows)),
            "name the columns that hold the prompt and the two responses `prompt`, `response_1` and \
             `response_2`; if there are none, choose another file",
        )),
    }
}

/// The columns of the first row and what they hold over the file.
fn first_columns(columns: &Columns, rows: &[Row]) -> String {
    let fields = rows.first().map(|row| &row.fields);
    let names: Vec<_> = fields.into_iter().flat_map(|fields| fields.keys()).collect();
    let kind =
        |name: &str| columns.get(name).map_or(Kind::Null, super::columns::Column::kind).name();
    let name = |name: &String| format!("`{}` ({})", super::values::excerpt(name), kind(name));
    let mut listed: Vec<_> = names.iter().take(COLUMNS).map(|n| name(n)).collect();
    if names.len() > COLUMNS {
        listed.push(format!("… and {} more", names.len() - COLUMNS));
    }
    if listed.is_empty() { "none".to_owned() } else { listed.join(", ") }
}

/// How many rows are bad and why, with the first as an example.
fn in_words(bad: &[BadRow]) -> String {
    let mut reasons: BTreeMap<_, usize> = BTreeMap::new();
    for row in bad {
        *reasons.entry(row.reason).or_default() += 1;
    }
    let counts: Vec<_> =
        reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    match bad.first() {
        Some(first) => {
            format!(
                "{} bad rows ({}); line {}: {}",
                bad.len(),
                counts.join(", "),
                first.line,
                first.detail
            )
        }
        None => "no bad rows".to_owned(),
    }
}

/// Pairs that repeat an earlier one in everything but its place.
fn duplicates(pairs: &[Pair]) -> usize {
    let mut seen: HashSet<(&Prompt, &[String; 2], _)> = HashSet::with_capacity(pairs.len());
    let key = |pair| -> (_, _, _) {
        let Pair { prompt, responses, label, .. }: &Pair = pair;
        (prompt, responses, label.map(|label| label.preferred))
    };
    pairs.iter().filter(|pair| !seen.insert(key(pair))).count()
}
