//! No circle of files: whoever reads one file need not have read the file that reads it.
//!
//! A list and its entries know each other, as a folder's `mod.rs` and what stands in the folder do; that is
//! no circle here.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::sources;

/// A module's path, below the crate.
type Module = Vec<String>;

/// The module that a file is.
fn module_of(path: &Path) -> Module {
    let mut parts: Module =
        path.with_extension("").iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// The paths of `use` declarations, braces opened: the path, and the name that it gets here.
fn uses(code: &str) -> Vec<(Vec<String>, String)> {
    fn open(prefix: &[String], text: &str, into: &mut Vec<(Vec<String>, String)>) {
        let text = text.trim();
        if let Some(at) = text.find('{') {
            let mut prefix = prefix.to_vec();
            prefix.extend(segments(&text[..at]));
            let inside = &text[at + 1..text.rfind('}').unwrap()];
            let (mut depth, mut begin) = (0, 0);
            for (i, c) in inside.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        open(&prefix, &inside[begin..i], into);
                        begin = i + 1;
                    }
                    _ => {}
                }
            }
            open(&prefix, &inside[begin..], into);
            return;
        }
        let (path, name) = text.split_once(" as ").unwrap_or((text, ""));
        let mut all = prefix.to_vec();
        all.extend(segments(path));
        if all.last().is_some_and(|last| last == "self") {
            all.pop();
        }
        if let Some(last) = all.last().cloned() {
            let name = if name.is_empty() { last } else { name.trim().to_owned() };
            into.push((all, name));
        }
    }
    fn segments(path: &str) -> impl Iterator<Item = String> {
        path.split("::").map(|part| part.trim().to_owned()).filter(|part| !part.is_empty())
    }
    let mut found = Vec::new();
    for (i, _) in code.match_indices("use ") {
        let line_start = code[..i].rfind('\n').map_or(0, |at| at + 1);
        let before = code[line_start..i].trim();
        if before.is_empty()
            || before == "pub"
            || before.starts_with("pub(") && before.ends_with(')')
        {
            let end = code[i..].find(';').map_or(code.len(), |at| i + at);
            open(&[], &code[i + 4..end], &mut found);
        }
    }
    found
}

/// Which file names what of which other file.
struct Graph {
    files: BTreeMap<Module, PathBuf>,
    uses: BTreeMap<Module, Vec<(Vec<String>, String)>>,
}

impl Graph {
    fn of(sources: &BTreeMap<PathBuf, String>) -> Self {
        let files = sources.keys().map(|path| (module_of(path), path.clone())).collect();
        let uses = sources.iter().map(|(path, code)| (module_of(path), uses(code))).collect();
        Self { files, uses }
    }

    /// The module in which what a path names is written down.
    fn home(&self, from: &Module, path: &[String], depth: usize) -> Option<Module> {
        let mut rest = path;
        let mut at = match rest.first()?.as_str() {
            "crate" => Module::new(),
            "self" => from.clone(),
            "super" => from[..from.len().checked_sub(1)?].to_vec(),
            first => {
                // A child of this module; all else is another crate's.
                let child = [&from[..], &[first.to_owned()]].concat();
                return self
                    .files
                    .contains_key(&child)
                    .then(|| self.follow(child, &rest[1..], depth));
            }
        };
        rest = &rest[1..];
        while rest.first().is_some_and(|part| part == "super") {
            at.pop();
            rest = &rest[1..];
        }
        Some(self.follow(at, rest, depth))
    }

    fn follow(&self, mut at: Module, mut rest: &[String], depth: usize) -> Module {
        while let Some(next) = rest.first() {
            let child = [&at[..], std::slice::from_ref(next)].concat();
            if self.files.contains_key(&child) {
                (at, rest) = (child, &rest[1..]);
                continue;
            }
            // Passed on from elsewhere, if this module says so.
            let passed = self.uses.get(&at).into_iter().flatten().find(|(_, name)| name == next);
            let home =
                passed.filter(|_| depth < 8).and_then(|(path, _)| self.home(&at, path, depth + 1));
            return home.unwrap_or(at);
        }
        at
    }

    /// The files that each file names, its own folder's list aside.
    fn edges(&self) -> BTreeMap<&PathBuf, BTreeSet<&PathBuf>> {
        let mut edges = BTreeMap::new();
        for (module, path) in &self.files {
            let named = self.uses[module].iter().filter_map(|(used, _)| {
                let home = self.home(module, used, 0)?;
                let inside = home.len() > module.len() && home.starts_with(module);
                self.files.get(&home).filter(|other| *other != path && !inside)
            });
            edges.insert(path, named.collect());
        }
        edges
    }
}

/// Files that name each other, over however many others; each circle once.
fn circles(edges: &BTreeMap<&PathBuf, BTreeSet<&PathBuf>>) -> Vec<String> {
    let reach = |from: &PathBuf| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(at) = open.pop() {
            for next in edges.get(at).into_iter().flatten() {
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> =
        edges.keys().map(|path| (*path, reach(path))).collect();
    let mut found = BTreeSet::new();
    for (path, reaches) in &reached {
        if reaches.contains(path) {
            let circle = reaches.iter().filter(|other| reached[*other].contains(path));
            let names: Vec<String> = circle.map(|path| path.display().to_string()).collect();
            found.insert(names.join(" "));
        }
    }
    found.into_iter().collect()
}

#[test]
fn no_circle_of_files() {
    let mut sources = sources();
    assert_eq!(circles(&Graph::of(&sources).edges()), Vec::<String>::new());
    // And the test would see one, through a name that is passed on, too.
    let path = PathBuf::from("batch/sequence.rs");
    let code = format!("use super::Ranked;\n{}", sources[&path]);
    sources.insert(path, code);
    let other = PathBuf::from("batch/ranked.rs");
    let code = format!("use crate::batch::{{Sequence, Batch}};\n{}", sources[&other]);
    sources.insert(other, code);
    let found = circles(&Graph::of(&sources).edges());
    assert!(
        found.iter().any(|circle| circle.contains("sequence.rs") && circle.contains("ranked.rs")),
        "{found:?}"
    );
}
