//! Two candidates by number, `response_1` and `response_2`, `answer_a` and `answer_b`, …,
//! and perhaps columns that say which is better.

use super::super::columns::Columns;
use super::super::labels::{Labels, Verdict};
use super::super::names::{Twins, numbered, others, words};
use super::super::pair::{Label, Side};
use super::super::prompts::PromptColumns;
use super::super::readings::Reading;
use super::super::replies;
use super::super::row::Fields;
use super::super::settings::ReadSettings;
use super::super::values::{Bad, Kind};
use super::choice::{likeliest, prompt_of};
use super::found::{Draft, Found};
use super::shape::{Answer, Shape};

struct Candidates {
    twins: Twins,
    prompt: PromptColumns,
    labels: Labels,
    /// A list of two without a label, of which the first is the better by convention.
    first_is_better: bool,
}

pub(super) fn detect(columns: &Columns, settings: &ReadSettings) -> Option<Answer> {
    let twins = numbered(columns.speaking().map(|column| column.name.as_str()));
    let twins = likeliest(columns, twins)?;
    if let Some(more) = another(columns, &twins) {
        let found = format!(
            "more than two responses for each prompt (`{more}` beside `{}`)",
            twins.names.join("`, `")
        );
        let advice = "keep two of them in each row, or name two with data.columns.first and \
            data.columns.second";
        return Some(Answer::Refuses(found, advice.to_owned()));
    }
    let prompt = prompt_of(columns, settings, &twins);
    let labels = labels(columns, settings, &twins);
    answer(columns, twins, prompt, labels)
}

/// The columns that a person named.
pub(super) fn mapped(columns: &Columns, settings: &ReadSettings) -> Option<Answer> {
    let map = &settings.columns;
    let all = [&map.first, &map.second];
    if all.iter().any(|name| columns.get(name).is_none()) {
        return None;
    }
    let twins = Twins::of(&map.first, &map.second);
    let prompt = prompt_of(columns, settings, &twins);
    let labels = labels(columns, settings, &twins);
    answer(columns, twins, prompt, labels)
}

fn labels(columns: &Columns, settings: &ReadSettings, twins: &Twins) -> Labels {
    let map = &settings.columns;
    let reading = Reading::parse(&map.reading).ok();
    match columns.get(&map.label) {
        Some(column) => Labels::mapped(columns, twins, column, reading),
        None => Labels::find(columns, twins, reading.as_ref()),
    }
}

fn answer(
    columns: &Columns,
    twins: Twins,
    prompt: PromptColumns,
    labels: Labels,
) -> Option<Answer> {
    let [first, second] = &twins.names;
    let kind = columns.get(first)?.kind();
    if kind == Kind::Texts && !prompt.is_by_turns(columns) {
        return None;
    }
    if kind != Kind::Messages && !prompt.has_main() {
        let found = format!("`{first}` and `{second}` without a column for the prompt");
        let advice = "add a column `prompt`, or name it with data.columns.prompt";
        return Some(Answer::Refuses(found, advice.to_owned()));
    }
    // LLaMA-Factory's older ranking files: `output` = [better, worse].
    let first_is_better = labels.columns().is_empty() && first.starts_with("output.0");
    Some(Answer::Reads(Box::new(Candidates { twins, prompt, labels, first_is_better })))
}

fn another(columns: &Columns, twins: &Twins) -> Option<String> {
    let others = others(twins);
    columns
        .speaking()
        .find(|column| others.contains(&words(&column.name)))
        .map(|column| column.name.clone())
}

impl Shape for Candidates {
    fn describe(&self) -> String {
        let [first, second] = &self.twins.names;
        let labels = match self.first_is_better {
            true => "the first taken for the better one, as in ranking files with a list of two",
            false => &self.labels.says,
        };
        format!("two candidates `{first}` and `{second}`, {}, {labels}", self.prompt.describe())
    }

    fn columns(&self) -> Vec<String> {
        let mut columns = self.prompt.columns();
        columns.extend(self.twins.names.clone());
        columns.extend(self.labels.columns());
        columns
    }

    fn notes(&self) -> Vec<String> {
        self.labels.note.iter().cloned().collect()
    }

    fn read(&self, row: &mut Fields, found: &mut Found) -> Result<(), Bad> {
        let verdict = self.labels.verdict(row);
        let asked = self.prompt.take(row)?;
        let (prompt, responses) = replies::take(row, &self.twins.names, asked)?;
        let prompt = self.prompt.around(row, prompt)?;
        let names = [self.twins.names[0].as_str(), self.twins.names[1].as_str()];
        // One pair is no more than its row.
        let mut sound = Found::within(u64::MAX);
        sound.add(Draft { prompt, responses, label: None }, names);
        if sound.bad.is_empty() {
            let label = match verdict? {
                Verdict::Tie => {
                    found.ties += 1;
                    return Ok(());
                }
                Verdict::Unlabelled if self.first_is_better => Some(Label::certain(Side::First)),
                Verdict::Unlabelled => None,
                Verdict::Preferred(label) => Some(label),
            };
            sound.pairs.iter_mut().for_each(|pair| pair.label = label);
        }
        found.bytes += sound.bytes;
        found.pairs.append(&mut sound.pairs);
        found.bad.append(&mut sound.bad);
        Ok(())
    }
}
