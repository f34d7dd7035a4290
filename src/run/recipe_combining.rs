//! Annotators that cannot be combined, or not so.

use std::path::{Path, PathBuf};

use super::Recipe;
use crate::annotate::{Annotator, Combining, Further, Reads};
use crate::preference::Combine;
use crate::registry::Choice;

/// Where the annotations of a run are.
pub(super) const ANNOTATIONS: &str = "annotations.parquet";

/// Dawid and Skene's model is fixed by this many annotators or more.
const LEAST: usize = 3;

/// The key of a setting, and what is wrong with it.
type Refusal = (&'static str, String);

/// The table of annotations at a path, or in the folder of a run there.
pub(super) fn table_at(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(ANNOTATIONS) } else { path.to_owned() }
}

impl Recipe {
    /// Whether annotators can be combined as the recipe asks for it: the key at fault, and what is wrong.
    pub(super) fn check_combining(&self) -> Result<(), Refusal> {
        let kind = self.annotator.kind;
        let Combining { combine, with } = &self.annotator.constants.combining;
        let fault = |key: &'static str, found: String| Err((key, found));
        match (combine, &with[..]) {
            (Combine::None, []) => return Ok(()),
            (Combine::None, [first, ..]) => {
                return fault(
                    "annotator.with",
                    format!(
                        "annotator.with names \"{first}\", but annotator.combine = \"none\" lets \"{}\" label alone; set annotator.combine (\"mean\", say), or empty annotator.with",
                        kind.name()
                    ),
                );
            }
            (_, []) => {
                return fault(
                    "annotator.combine",
                    format!(
                        "annotator.combine has nobody to combine \"{}\" with; name annotators or folders of earlier runs in annotator.with, or set annotator.combine = \"none\"",
                        kind.name()
                    ),
                );
            }
            _ => {}
        }
        if kind.reads().labels() {
            return fault("annotator.combine", repeats(kind, "annotator.kind"));
        }
        if *combine == Combine::DawidSkene && with.len() + 1 < LEAST {
            return fault(
                "annotator.combine",
                format!(
                    "annotator.combine = \"dawid-skene\" with {} annotators: how often two agree does not tell how often either is right; name {LEAST} or more with annotator.kind, or set annotator.combine = \"mean\"",
                    with.len() + 1
                ),
            );
        }
        let further = self.annotator.constants.combining.further();
        for (place, (text, one)) in with.iter().zip(&further).enumerate() {
            if further[..place].contains(one) || *one == Further::Annotator(kind) {
                return fault(
                    "annotator.with",
                    format!(
                        "annotator.with: \"{text}\" would speak twice, and count for two; name each annotator once, annotator.kind included"
                    ),
                );
            }
            check(text, one).map_err(|found| ("annotator.with", found))?;
        }
        Ok(())
    }

    /// Columns that combined annotators leave in the table; none where one labels alone.
    pub(super) fn combined_columns(&self) -> Vec<String> {
        let combining = &self.annotator.constants.combining;
        match combining.combine {
            Combine::None => Vec::new(),
            _ => {
                let mut columns = combining.columns(self.annotator.kind);
                columns.push(super::stages::DISAGREEMENT.to_owned());
                columns
            }
        }
    }
}

/// Whether an annotator can speak beside the chosen one.
fn check(text: &str, further: &Further) -> Result<(), String> {
    match further {
        Further::Annotator(kind) if kind.reads().labels() => Err(repeats(*kind, "annotator.with")),
        Further::Annotator(kind) if kind.reads() != Reads::Texts => Err(format!(
            "annotator.with: \"{text}\" reads a model, and a run has one annotator's model alone, that of annotator.kind; let it annotate in a run of its own, with the same data, seed and shares (annotator.kind = \"{text}\", policy.epochs = 0), and name the folder of that run here"
        )),
        Further::Annotator(_) => Ok(()),
        // A word alone is a name that was misspelt. Whether a path leads anywhere is seen by the run, for one that
        // has read it can do without.
        Further::Table(path) if path.components().count() == 1 && !table_at(path).is_file() => {
            Err(not_there(text, path))
        }
        Further::Table(_) => Ok(()),
    }
}

/// Nothing of `annotator.with` is there.
pub(super) fn not_there(text: &str, path: &Path) -> String {
    format!(
        "annotator.with: \"{text}\" is neither an annotator nor a table of annotations ({} is no file); expected {}, the folder of an earlier run that has annotated, or its {ANNOTATIONS}",
        table_at(path).display(),
        of_texts()
    )
}

fn repeats(kind: Choice<dyn Annotator>, key: &str) -> String {
    format!(
        "{key} = \"{}\" repeats the labels that the pairs come with, so that others would be combined with what they are measured by; take another annotator, or set annotator.combine = \"none\"",
        kind.name()
    )
}

/// Names of the annotators that look at texts alone.
fn of_texts() -> String {
    let all = Choice::<dyn Annotator>::all().filter(|kind| kind.reads() == Reads::Texts);
    all.map(|kind| format!("\"{}\"", kind.name())).collect::<Vec<_>>().join(", ")
}
