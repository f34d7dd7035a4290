//! The columns that a person named, by their paths.

use serde_json::Value;

use super::super::error::Fault;
use super::super::row::{Fields, Row};
use super::super::settings::ReadSettings;
use super::super::values::excerpt;
use super::done::Done;

/// Columns named in a message.
const LISTED: usize = 24;

/// Put what a person named into columns of its own; whether that is where the pairs are.
pub(super) fn materialise(
    rows: &mut [Row],
    settings: &ReadSettings,
    done: &mut Done,
) -> Result<bool, Fault> {
    let map = &settings.columns;
    let (mut missing, mut found) = (Vec::new(), 0);
    for (entry, path) in map.paths() {
        let mut any = false;
        for row in rows.iter_mut() {
            if row.fields.contains_key(path) {
                any = true;
            } else if let Some(value) = at(&row.fields, path) {
                row.fields.insert(path.to_owned(), value);
                any = true;
            }
        }
        found += usize::from(any);
        if !any {
            missing.push((entry, path));
        }
    }
    match missing.first() {
        // A file of another shape beside those that the map is for.
        Some(_) if found == 0 => {
            done.notes.push(
                "none of data.columns is in this file, which is read by what it holds".to_owned(),
            );
            Ok(false)
        }
        Some((entry, path)) => Err(absent(rows, entry, path)),
        None => Ok([&map.chosen, &map.first].iter().any(|name| !name.is_empty())),
    }
}

fn absent(rows: &[Row], entry: &str, path: &str) -> Fault {
    let mut names: Vec<&str> = Vec::new();
    for name in rows.iter().flat_map(|row| row.fields.keys()) {
        if !names.contains(&name.as_str()) && names.len() < LISTED {
            names.push(name);
        }
    }
    // Distances between longer texts are dear.
    let short = |name: &&&str| name.len() <= 100 && path.len() <= 100;
    let nearest =
        names.iter().filter(short).min_by_key(|name| strsim::damerau_levenshtein(name, path));
    let nearest =
        nearest.map(|name| format!("; the nearest is `{}`", excerpt(name))).unwrap_or_default();
    Fault::unknown(
        format!("no row with `{path}`, which data.columns.{entry} names{nearest}"),
        format!(
            "name one of {}",
            names.iter().map(|name| excerpt(name)).collect::<Vec<_>>().join(", ")
        ),
    )
}

/// The value at a path, through objects by key and through lists by place, from the end where
/// negative; the longest beginning that is a column counts.
fn at(fields: &Fields, path: &str) -> Option<Value> {
    let cuts = path.match_indices('.').map(|(at, _)| at).rev();
    let start = cuts.filter_map(|cut| Some((fields.get(&path[..cut])?, &path[cut + 1..]))).next();
    let (mut value, rest) = start?;
    for part in rest.split('.') {
        value = match value {
            Value::Object(fields) => fields.get(part)?,
            Value::Array(items) => {
                let place: i64 = part.parse().ok()?;
                let place = if place < 0 { items.len() as i64 + place } else { place };
                items.get(usize::try_from(place).ok()?)?
            }
            _ => return None,
        };
    }
    Some(value.clone())
}
