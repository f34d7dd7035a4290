//! A better and a worse response by name: `chosen` and `rejected`, `response_j` and
//! `response_k`, …, with the prompt in a column of its own or in the messages of both.

use super::super::columns::Columns;
use super::super::names::{Twins, judged, numbered};
use super::super::pair::{Label, Prompt, Side};
use super::super::prompts::PromptColumns;
use super::super::replies;
use super::super::report::BadReason;
use super::super::row::Fields;
use super::super::settings::ReadSettings;
use super::super::values::{Bad, Kind, number};
use super::choice::{both_begin_with, likeliest, prompt_of};
use super::found::{Draft, Found};
use super::shape::{Answer, Shape};

struct Judged {
    names: [String; 2],
    prompt: PromptColumns,
    /// Whether the responses repeat the prompt.
    repeated: bool,
    /// How much better the first is.
    ratings: Option<[String; 2]>,
    note: Option<String>,
}

pub(super) fn detect(columns: &Columns, settings: &ReadSettings) -> Option<Answer> {
    let twins = likeliest(columns, judged(columns.speaking().map(|column| column.name.as_str())))?;
    let varied = |twins: &Twins| columns.get(&twins.names[0]).is_some_and(|c| c.is_varied());
    if !varied(&twins) {
        // `winner` and `loser` may be models, whose responses stand beside.
        let others = numbered(columns.speaking().map(|column| column.name.as_str()));
        if likeliest(columns, others).is_some_and(|others| varied(&others)) {
            return None;
        }
    }
    let prompt = prompt_of(columns, settings, &twins);
    answer(columns, &twins, prompt)
}

/// The columns that a person named.
pub(super) fn mapped(columns: &Columns, settings: &ReadSettings) -> Option<Answer> {
    let map = &settings.columns;
    let all = [&map.chosen, &map.rejected];
    if all.iter().any(|name| columns.get(name).is_none()) {
        return None;
    }
    let twins = Twins::of(&map.chosen, &map.rejected);
    let prompt = prompt_of(columns, settings, &twins);
    answer(columns, &twins, prompt)
}

fn answer(columns: &Columns, twins: &Twins, prompt: PromptColumns) -> Option<Answer> {
    let [better, worse] = &twins.names;
    let kind = columns.get(better)?.kind();
    // Lists of texts are turns only beside a list of questions.
    if kind == Kind::Texts && !prompt.is_by_turns(columns) {
        return None;
    }
    if kind != Kind::Messages && !prompt.has_main() {
        let found = format!("`{better}` and `{worse}` without a column for the prompt");
        let advice = "add a column `prompt`, name it with data.columns.prompt, or put whole \
            transcripts with “Human:” and “Assistant:” turns in both";
        return Some(Answer::Refuses(found, advice.to_owned()));
    }
    let names = twins.names.clone();
    let repeated = columns.share(|row| both_begin_with(row, &names, prompt.text(row)?)) >= 0.9;
    let ratings = ratings(columns);
    let note = ratings.as_ref().filter(|(_, against)| *against).map(|([a, b], _)| {
        format!("by `{a}` and `{b}`, `{worse}` is better than `{better}` in most rows; if the names are the wrong way round, say so with data.columns.chosen and data.columns.rejected")
    });
    let ratings = ratings.filter(|(_, against)| !against).map(|(names, _)| names);
    Some(Answer::Reads(Box::new(Judged { names, prompt, repeated, ratings, note })))
}

/// Ratings of both, and whether they say of most rows that the worse is the better one.
fn ratings(columns: &Columns) -> Option<([String; 2], bool)> {
    let rating = ["score", "rating", "reward"];
    let twins = judged(columns.iter().map(|column| column.name.as_str()));
    let rates = |twins: &&Twins| twins.extra().iter().any(|word| rating.contains(&word.as_str()));
    let mut names: Vec<_> = twins.iter().filter(rates).collect();
    names.sort_by_key(|twins| twins.extra().len());
    let names = names.first()?.names.clone();
    let each = |row: &Fields| {
        let [a, b] = names.each_ref().map(|name| row.get(name).and_then(number));
        Some((a?, b?))
    };
    let known = columns.rows.iter().any(|row| each(&row.fields).is_some());
    let against = columns.share(|row| each(row).map(|(a, b)| a < b)) > 0.5;
    known.then_some((names, against))
}

impl Shape for Judged {
    fn describe(&self) -> String {
        let [better, worse] = &self.names;
        let repeated = if self.repeated { ", which both repeat" } else { "" };
        format!("`{better}` preferred to `{worse}`, {}{repeated}", self.prompt.describe())
    }

    fn columns(&self) -> Vec<String> {
        let ratings = self.ratings.iter().flatten().cloned();
        self.prompt.columns().into_iter().chain(self.names.clone()).chain(ratings).collect()
    }

    fn notes(&self) -> Vec<String> {
        self.note.iter().cloned().collect()
    }

    fn read(&self, row: &mut Fields, found: &mut Found) -> Result<(), Bad> {
        let asked = self.prompt.take(row)?;
        let (prompt, mut responses) = replies::take(row, &self.names, asked)?;
        if let (true, Prompt::Text(start)) = (self.repeated, &prompt) {
            for (response, name) in responses.iter_mut().zip(&self.names) {
                let Some(rest) = response.strip_prefix(start.as_str()) else {
                    let detail =
                        format!("`{name}` does not begin with the prompt, as other rows do");
                    return Err(Bad::new(BadReason::PromptsDiffer, detail));
                };
                *response = rest.to_owned();
            }
        }
        let prompt = self.prompt.around(row, prompt)?;
        let rated = self.ratings.as_ref().and_then(|names| {
            let [a, b] = names.each_ref().map(|name| row.get(name).and_then(number));
            Some((a? - b?).max(0.0) as f32)
        });
        let label = Some(Label { margin: rated, ..Label::certain(Side::First) });
        found.add(Draft { prompt, responses, label }, [&self.names[0], &self.names[1]]);
        Ok(())
    }
}
