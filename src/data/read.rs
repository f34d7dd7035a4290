//! Files → pool.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use super::columns::Columns;
use super::containers::{self, Table};
use super::error::{DataError, Fault};
use super::left_out;
use super::limits::{Budget, Limits, size_of};
use super::pair::{Pair, Pool, Prompt, Source};
use super::prepare::{Done, prepare};
use super::report::{BadRow, FileReport};
use super::row::Row;
use super::settings::ReadSettings;
use super::shapes::{self, Answer, Found, Shape};
use super::values::{self, Bad, Kind};
use super::weights::{Weighed, Weights};

/// Columns named in a message.
const COLUMNS: usize = 12;

/// Read files into one pool, in the order in which they are named.
///
/// # Errors
///
/// As [`read_file`], for the first file that has one.
pub fn read_files(paths: &[PathBuf], settings: &ReadSettings) -> Result<Pool, DataError> {
    let mut pool = Pool::default();
    for path in paths {
        let (pairs, report) = read_file(path, settings)?;
        let file = pool.files.len();
        let here = |pair: Pair| Pair { source: Source { file, ..pair.source }, ..pair };
        pool.pairs.extend(pairs.into_iter().map(here));
        pool.files.push(report);
    }
    Ok(pool)
}

/// Read the pairs of one file; their [`Source::file`] is 0.
///
/// Container and columns are found by content, unless the settings name them. Bad rows and ties
/// are skipped and reported; exact duplicates are kept and counted.
///
/// # Errors
///
/// The file cannot be opened, is damaged, holds no preference pairs, or has no good row.
pub fn read_file(
    path: &Path,
    settings: &ReadSettings,
) -> Result<(Vec<Pair>, FileReport), DataError> {
    let budget = Budget::new(&settings.limits);
    let read = containers::open(path, &budget).and_then(|table| pairs(table, settings, &budget));
    let (pairs, report) = read.map_err(|fault| fault.of(path.to_owned()))?;
    Ok((pairs, FileReport { path: path.to_owned(), ..report }))
}

/// A column of a file, for a person who says what it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ColumnInfo {
    /// Its name, or its path into objects, as [`ColumnMap`](super::ColumnMap) takes it.
    pub name: String,
    /// What most rows hold there, in words.
    pub kind: String,
    /// The beginning of what the first row holds there that holds something.
    pub example: String,
}

/// The columns of a file, in the order of their names; none where it has no rows.
pub fn list_columns(path: &Path, limits: &Limits) -> Vec<ColumnInfo> {
    let budget = Budget::new(limits);
    let Ok(Table { mut rows, flat, .. }) = containers::open(path, &budget) else {
        return Vec::new();
    };
    let _ = prepare(&mut rows, flat, &ReadSettings::default(), &budget);
    let columns = Columns::of(&rows);
    let example = |name: &str| {
        let values = columns.rows.iter().filter_map(|row| row.fields.get(name));
        let value = values.into_iter().find(|value| !values::is_empty(value))?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some(values::excerpt(text.trim()))
    };
    let mut all: Vec<ColumnInfo> = columns
        .every()
        .map(|column| ColumnInfo {
            name: column.name.clone(),
            kind: column.kind().name().to_owned(),
            example: example(&column.name).unwrap_or_default(),
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn pairs(
    table: Table,
    settings: &ReadSettings,
    budget: &Budget,
) -> Result<(Vec<Pair>, FileReport), Fault> {
    let Table { container, mut rows, mut bad, mut notes, no_numbers, flat, bytes } = table;
    if rows.is_empty() {
        let found = if bad.is_empty() { "no record".to_owned() } else { in_words(&bad) };
        return Err(Fault::NoPairs(container, found));
    }
    if no_numbers > 0 {
        notes.push(format!("{no_numbers} values that are NaN or Infinity count as absent"));
    }
    notes.extend(left_out::take_media_out(&mut rows, settings.media));
    let done = prepare(&mut rows, flat, settings, budget)?;
    notes.extend(done.notes.iter().cloned());
    if rows.is_empty() {
        let how = [container].into_iter().chain(done.how).collect::<Vec<_>>().join(", ");
        return Err(Fault::NoPairs(how, in_words(&done.bad)));
    }
    let plan = Plan::make(&container, &rows, done, settings)?;
    let Plan { shape, weights, media, format, unread, notes: more, bad: dropped } = plan;
    notes.extend(more);
    bad.extend(dropped);
    let (mut pairs, mut ties, mut against) = (Vec::with_capacity(rows.len()), 0, 0);
    for (line, weighed, found) in read_rows(shape.as_ref(), &weights, &media, rows, budget)? {
        ties += found.ties;
        bad.extend(found.bad.into_iter().map(|Bad { reason, detail }| BadRow {
            line,
            reason,
            detail,
        }));
        for draft in found.pairs {
            let label = draft.label.map(|label| weighed.label(label));
            against += usize::from(label.is_some_and(|(_, against)| against));
            pairs.push(Pair {
                prompt: draft.prompt,
                responses: draft.responses,
                label: label.map(|(label, _)| label),
                weight: weighed.weight,
                source: Source { file: 0, line },
            });
        }
    }
    bad.sort_by_key(|row| row.line);
    if pairs.is_empty() {
        let ties =
            if ties > 0 { format!("{ties} ties, which prefer nothing; ") } else { String::new() };
        return Err(Fault::NoPairs(format, ties + &in_words(&bad)));
    }
    if against > 0 {
        notes.push(format!("in {against} pairs the file's own number speaks against its label{}; they carry no confidence", weights.describe()));
    }
    let report = FileReport {
        path: PathBuf::new(),
        format,
        pairs: pairs.len(),
        unlabelled: pairs.iter().filter(|pair| pair.label.is_none()).count(),
        ties,
        duplicates: duplicates(&pairs),
        bad,
        notes,
        unread,
        bytes,
    };
    Ok((pairs, report))
}

/// How the rows of a file become pairs.
struct Plan {
    shape: Box<dyn Shape>,
    weights: Weights,
    /// Columns of pictures and sounds that make a row a bad one.
    media: Vec<String>,
    format: String,
    unread: Vec<String>,
    notes: Vec<String>,
    bad: Vec<BadRow>,
}

impl Plan {
    fn make(
        container: &str,
        rows: &[Row],
        done: Done,
        settings: &ReadSettings,
    ) -> Result<Self, Fault> {
        let (shape, columns) = shape(container, rows, settings)?;
        let mut read = shape.columns();
        let weights = Weights::find(&columns, &settings.columns, &read);
        read.extend(weights.columns().cloned());
        let (unread, may_belong) = left_out::unread(&columns, &read);
        let how: String = done.how.iter().map(|how| format!("{how}, ")).collect();
        let format = format!("{container}, {how}{}{}", shape.describe(), weights.describe());
        let notes = shape.notes().into_iter().chain(may_belong).collect();
        let media = left_out::media_columns(&columns, settings.media);
        Ok(Self { shape, weights, media, format, unread, notes, bad: done.bad })
    }
}

/// Read rows on all cores; order is kept.
fn read_rows(
    shape: &dyn Shape,
    weights: &Weights,
    media: &[String],
    rows: Vec<Row>,
    budget: &Budget,
) -> Result<Vec<(u64, Weighed, Found)>, Fault> {
    let read = |mut row: Row| {
        // The pairs take the place of their row.
        budget.release(size_of(&row.fields));
        let mut found = Found::within(budget.pairs_of_row());
        let weighed = weights.of(&row.fields);
        let outcome = match &weighed {
            Err(bad) => Err(Bad::new(bad.reason, bad.detail.clone())),
            Ok(_) => left_out::media_in(&row.fields, media),
        };
        if let Err(bad) = outcome.and_then(|()| shape.read(&mut row.fields, &mut found)) {
            found = Found::of(bad);
        }
        if found.full {
            return Err(budget.pairs_take(row.line));
        }
        let many = found.pairs.len() as u64;
        budget.add_pairs(many, found.bytes)?;
        Ok((row.line, weighed.unwrap_or_default(), found))
    };
    rows.into_par_iter().map(read).collect()
}

fn shape<'a>(
    container: &str,
    rows: &'a [Row],
    settings: &ReadSettings,
) -> Result<(Box<dyn Shape>, Columns<'a>), Fault> {
    let columns = Columns::of(rows);
    let (answer, columns) = match shapes::detect(&columns, settings) {
        Some(answer) => (Some(answer), columns),
        // Perhaps most rows are noise.
        None => {
            let columns = columns.with_rare();
            (shapes::detect(&columns, settings), columns)
        }
    };
    match answer {
        Some(Answer::Reads(shape)) => Ok((shape, columns)),
        Some(Answer::Refuses(found, advice)) => {
            Err(Fault::unknown(format!("{container}, {found}"), advice))
        }
        None => Err(Fault::unknown(
            format!("{container} with columns {}", first_columns(&columns, rows)),
            "name the columns that hold the prompt and the two responses in the recipe \
             ([data.columns] prompt = …, chosen = …, rejected = …) or in \
             `confide inspect --columns prompt=…,first=…,second=…,label=…`, with paths such as \
             answers.0.text into lists and objects; if there are none, choose another file",
        )),
    }
}

/// The columns of the first row and what they hold over the file.
fn first_columns(columns: &Columns, rows: &[Row]) -> String {
    let fields = rows.first().map(|row| &row.fields);
    let names: Vec<_> = fields.into_iter().flat_map(|fields| fields.keys()).collect();
    let kind =
        |name: &str| columns.get(name).map_or(Kind::Null, super::columns::Column::kind).name();
    let name = |name: &String| format!("`{}` ({})", values::excerpt(name), kind(name));
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
