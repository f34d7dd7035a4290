//! The plan of the house: which room may know which, read off the sources.
//!
//! A room is a folder or a file right below `src`. It may name rooms that stand before it in the list, and
//! itself.

mod circles;
mod names;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::common::repository;

/// From the ground up.
const ROOMS: &[&str] = &[
    "allocator",
    "finite",
    "legible",
    "input",
    "files",
    "settings",
    "registry",
    "interrupt",
    "device",
    "kernels",
    "data",
    "hub",
    "batch",
    "model",
    "text",
    "builtin",
    "preference",
    "train",
    "annotate",
    "evaluate",
    "dissect",
    "run",
    "report",
    "demo",
    "app",
    "cli",
    "lib",
    "main",
];

/// The sources by their paths below `src`, without comments and without their own tests.
fn sources() -> BTreeMap<PathBuf, String> {
    fn walk(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") {
                into.push(path);
            }
        }
    }
    let root = repository("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let own = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let code: Vec<&str> = own.lines().map(|line| line.split("//").next().unwrap()).collect();
        (path.strip_prefix(&root).unwrap().to_owned(), code.join("\n"))
    };
    files.into_iter().map(read).collect()
}

/// The room that a path below `src` is in.
fn room(path: &Path) -> String {
    let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// Rooms named after `crate::` or `confide::`.
fn named(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        // `use crate::{a, b::c};` names each.
        let (inside, many) = match part.strip_prefix('{') {
            Some(rest) => (rest.split('}').next().unwrap(), true),
            None => (part, false),
        };
        for item in inside.split(',').take(if many { usize::MAX } else { 1 }) {
            let word: String =
                item.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if ROOMS.contains(&word.as_str()) {
                found.insert(word);
            }
        }
    }
    found
}

/// Names of rooms that stand above the room that names them.
fn upward(sources: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let level = |room: &str| ROOMS.iter().position(|known| *known == room);
    let mut found = Vec::new();
    for (path, code) in sources {
        let own = room(path);
        let here = level(&own).unwrap_or_else(|| panic!("{own} is no room in the list"));
        let above = named(code).into_iter().filter(|other| level(other).unwrap() > here);
        found.extend(above.map(|other| format!("{} names {other}", path.display())));
    }
    found
}

#[test]
fn no_room_names_one_above_it() {
    let mut sources = sources();
    assert_eq!(upward(&sources), Vec::<String>::new());
    // And the test would see it.
    let (path, code) = sources.iter().next().map(|(p, c)| (p.clone(), c.clone())).unwrap();
    sources.insert(path, format!("use crate::cli;\n{code}"));
    assert_eq!(upward(&sources).len(), 1);
}
