//! Objects → columns: `info: {post, title}` becomes `info.post` and `info.title`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::super::names::words;
use super::super::row::Row;
use super::super::values::Kind;

/// Objects within objects that are opened.
const DEEPEST: usize = 3;
/// Objects with more keys are maps of something, and no records.
const WIDEST: usize = 64;
/// Pictures and sounds, whose parts are no columns.
const WHOLE: [&str; 6] = ["image", "images", "audio", "audios", "video", "videos"];

/// Open the objects of columns that mostly hold objects which are no messages and no trees.
pub(super) fn flatten(rows: &mut [Row]) {
    for _ in 0..DEEPEST {
        let names = objects(rows);
        if names.is_empty() {
            return;
        }
        for row in rows.iter_mut() {
            for name in &names {
                open(row, name);
            }
        }
    }
}

fn is_plain(value: &Value) -> bool {
    Kind::of(value) == Kind::Object
        && value.as_object().is_some_and(|fields| !fields.contains_key("replies"))
}

fn objects(rows: &[Row]) -> BTreeSet<String> {
    let mut counts: BTreeMap<&str, (usize, usize, BTreeSet<&str>)> = BTreeMap::new();
    for (name, value) in rows.iter().flat_map(|row| &row.fields) {
        if value.is_null() {
            continue;
        }
        let (all, plain, keys) = counts.entry(name).or_default();
        *all += 1;
        if is_plain(value) {
            *plain += 1;
            if keys.len() <= WIDEST {
                keys.extend(
                    value
                        .as_object()
                        .into_iter()
                        .flat_map(|fields| fields.keys())
                        .map(String::as_str),
                );
            }
        }
    }
    let whole = |name: &str| words(name).iter().any(|word| WHOLE.contains(&word.as_str()));
    let mostly = counts.into_iter().filter(|(name, (all, plain, keys))| {
        2 * plain > *all && keys.len() <= WIDEST && !whole(name)
    });
    mostly.map(|(name, _)| name.to_owned()).collect()
}

fn open(row: &mut Row, name: &str) {
    if !row.fields.get(name).is_some_and(is_plain) {
        return;
    }
    let Some(Value::Object(inner)) = row.fields.remove(name) else { return };
    for (key, value) in inner {
        row.fields.entry(format!("{name}.{key}")).or_insert(value);
    }
}
