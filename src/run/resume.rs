//! What of an interrupted run counts: the recipe that it was begun with, stages whose files are as
//! they were written, the newest checkpoint that is whole.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use toml::{Table, Value};

use super::folder_error::FolderError;
use super::state::{CHECKPOINTS, State};
use super::{Recipe, Stage};
use crate::files::damage;

/// Settings that may differ when a run goes on: none changes what has been computed. Files may
/// have moved, for what is in them is compared (`State::inputs`).
const MAY_CHANGE: &[&str] = &[
    "name",
    "device",
    "device_memory",
    "checkpoint_seconds",
    "confidence.threshold",
    "data.files",
    "data.unlabelled",
    "data.held_out_files",
    "data.chat_template",
    "annotator.model",
    "annotator.paraphraser",
    "sft.teacher",
    "policy.model",
    "policy.references",
    "evaluate.gold",
];

impl State {
    /// Where there is no `state.json`: nothing counts, which is right only where nothing was done.
    ///
    /// # Errors
    ///
    /// Something was done, and it cannot be said what of it counts.
    pub(crate) fn unknown(folder: &Path, recipe: &Recipe) -> Result<Self, FolderError> {
        let told = std::fs::metadata(folder.join("events.jsonl")).map_or(0, |found| found.len());
        if told > 0 {
            return Err(FolderError::NotARun {
                folder: folder.to_owned(),
                found: format!(
                    "there is no state.json, which says what of the run is complete; put it back, or begin again with `confide run {}`",
                    folder.join("recipe.toml").display()
                ),
            });
        }
        Ok(Self::new(recipe))
    }

    /// Go on with a recipe; returns what differs from the one before, where that is allowed.
    ///
    /// # Errors
    ///
    /// Something differs that must not.
    pub(crate) fn take_recipe(
        &mut self,
        recipe: Recipe,
        folder: &Path,
    ) -> Result<Vec<String>, FolderError> {
        let (mut before, mut after) = (BTreeMap::new(), BTreeMap::new());
        flatten("", &self.recipe.to_table(), &mut before);
        flatten("", &recipe.to_table(), &mut after);
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let changed = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
        let (allowed, differences): (Vec<_>, Vec<_>) =
            changed.partition(|key| MAY_CHANGE.contains(&key.as_str()));
        let value = |table: &BTreeMap<String, String>, key: &String| {
            table.get(key).cloned().unwrap_or_else(|| "not set".to_owned())
        };
        let words = |key: &String| {
            format!("{key} was {} and is {}", value(&before, key), value(&after, key))
        };
        let differences: Vec<String> = differences.into_iter().map(words).collect();
        let allowed: Vec<String> = allowed.into_iter().map(words).collect();
        if !differences.is_empty() {
            let (folder, may_change) = (folder.to_owned(), MAY_CHANGE.join(", "));
            return Err(FolderError::Changed { folder, differences, may_change });
        }
        if self.recipe.confidence.threshold != recipe.confidence.threshold {
            self.now.threshold = recipe.confidence.threshold;
        }
        self.recipe = recipe;
        Ok(allowed.into_iter().map(|change| format!("the recipe was changed: {change}")).collect())
    }

    /// Let count what is whole on the disk: go back to the checkpoint before a damaged one, or to
    /// the beginning of a stage whose files are damaged. Returns what was lost.
    pub(crate) fn settle(&mut self, folder: &Path) -> Vec<String> {
        let found = |(i, files)| Some((i, damage(folder, files)?));
        let damaged = self.done.iter().map(|done| &done.files).enumerate().find_map(found);
        if let Some((i, damage)) = damaged {
            let stage = self.done[i].stage;
            self.now = self.done[i].began.clone();
            self.done.truncate(i);
            self.under_way = None;
            return vec![repeated(&damage, stage)];
        }
        let Some(under_way) = &mut self.under_way else { return Vec::new() };
        let mut notes = Vec::new();
        while let Some(newest) = under_way.checkpoints.last() {
            let place = folder.join(CHECKPOINTS).join(&newest.folder);
            let found = damage(&place, &newest.files);
            let Some(damage) = found.or_else(|| damage(folder, &newest.left)) else { break };
            let lost = under_way.checkpoints.pop();
            let step = lost.map_or(0, |checkpoint| checkpoint.step);
            match under_way.checkpoints.last() {
                Some(before) => {
                    notes.push(format!(
                        "the checkpoint of step {step} is damaged ({damage}): the run goes on from that of step {}",
                        before.step
                    ));
                    self.now = before.moment.clone();
                }
                None => notes.push(repeated(&damage, under_way.stage)),
            }
        }
        if under_way.checkpoints.is_empty() {
            self.now = under_way.began.clone();
            self.under_way = None;
        }
        notes
    }
}

fn repeated(damage: &str, stage: Stage) -> String {
    format!("{damage}: the run goes on from the beginning of the stage “{}”", stage.name())
}

/// Every setting by its whole name, as TOML has it.
fn flatten(section: &str, table: &Table, into: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        let key = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
        match value {
            Value::Table(inner) => flatten(&key, inner, into),
            value => drop(into.insert(key, value.to_string())),
        }
    }
}
