//! What of a row is not read: pictures and sounds, and columns that may belong to the prompt.

use rayon::prelude::*;
use serde_json::Value;

use super::columns::Columns;
use super::messages::{WITHOUT_MEDIA, leave_media_out};
use super::names::{is_about, words};
use super::report::BadReason;
use super::row::{Fields, Row};
use super::settings::Media;
use super::values::{Bad, is_empty};

/// Names of columns of pictures, sounds and films.
const MEDIA: [&str; 6] = ["image", "images", "audio", "audios", "video", "videos"];

/// Words in the names of columns that other programs write into the prompt.
const PROMPT: &[&str] = &[
    "system",
    "history",
    "context",
    "documents",
    "document",
    "passage",
    "passages",
    "background",
    "tools",
    "functions",
    "input",
    "inputs",
    "knowledge",
    "persona",
    "kwargs",
];

fn is_media(name: &str) -> bool {
    let words = words(name);
    words.last().is_some_and(|word| MEDIA.contains(&word.as_str())) && words.len() <= 2
}

/// Take pictures and sounds out of all rows; a note on what there was.
pub(super) fn take_media_out(rows: &mut [Row], media: Media) -> Option<String> {
    if media == Media::Refuse {
        return None;
    }
    let take = |row: &mut Row| {
        let mut found = false;
        for (name, value) in &mut row.fields {
            if is_media(name) {
                found |= !is_empty(value);
                *value = Value::Null;
            } else {
                found |= leave_media_out(value);
            }
        }
        found
    };
    let found = rows.par_iter_mut().map(take).filter(|found| *found).count();
    (found > 0).then(|| {
        format!("{found} rows have a picture, sound or film, which is left out: the models see the text alone")
    })
}

/// The columns of pictures and sounds, where a row with one is a bad row.
pub(super) fn media_columns(columns: &Columns, media: Media) -> Vec<String> {
    let refused = columns.every().filter(|column| media == Media::Refuse && is_media(&column.name));
    refused.map(|column| column.name.clone()).collect()
}

/// Whether a row holds something in one of these columns.
pub(super) fn media_in(row: &Fields, columns: &[String]) -> Result<(), Bad> {
    let held = |name: &&String| row.get(*name).is_some_and(|value| !is_empty(value));
    match columns.iter().find(held) {
        Some(name) => {
            let detail = format!("`{name}` holds a picture, sound or film, {WITHOUT_MEDIA}");
            Err(Bad::new(BadReason::Media, detail))
        }
        None => Ok(()),
    }
}

/// Columns that nothing is read from, and a note on those that may belong to the prompt.
pub(super) fn unread(columns: &Columns, read: &[String]) -> (Vec<String>, Option<String>) {
    let left: Vec<_> = columns.every().filter(|column| !read.contains(&column.name)).collect();
    let filled = |name: &str| {
        columns.rows.iter().any(|row| row.fields.get(name).is_some_and(|value| !is_empty(value)))
    };
    let prompt = left.iter().filter(|column| {
        // Of `input.parallel_tool_calls` the last part counts.
        let words = words(column.name.rsplit('.').next().unwrap_or_default());
        let has = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
        let about = is_about(&column.name, None) || has(&["judge", "labelling", "raw"]);
        !about && has(PROMPT) && filled(&column.name)
    });
    let named: Vec<_> = prompt.map(|column| format!("`{}`", column.name)).collect();
    let note = (!named.is_empty()).then(|| {
        format!(
            "{} may belong to the prompt and is left out; write it into the prompt's column, or name what makes the prompt with data.columns.prompt (several joined by +)",
            named.join(", ")
        )
    });
    (left.into_iter().map(|column| column.name.clone()).collect(), note)
}
