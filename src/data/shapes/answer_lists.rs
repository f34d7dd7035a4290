//! Lists of good and of bad answers to one prompt: `chosen` and `rejected`, `correct_answers`
//! and `incorrect_answers`. Each good one is preferred to each bad one.

use serde_json::Value;

use super::super::columns::Columns;
use super::super::names::judged;
use super::super::pair::{Label, Side};
use super::super::prompts::PromptColumns;
use super::super::report::BadReason;
use super::super::row::Fields;
use super::super::settings::{Pairing, ReadSettings};
use super::super::values::{Bad, Kind};
use super::choice::prompt;
use super::found::{Draft, Found};
use super::shape::{Answer, Shape};

struct AnswerLists {
    names: [String; 2],
    prompt: PromptColumns,
}

pub(super) fn detect(columns: &Columns, settings: &ReadSettings) -> Option<Answer> {
    let is_list = |name: &String| columns.get(name).is_some_and(|c| c.kind() == Kind::Texts);
    let texts = columns.speaking().filter(|c| matches!(c.kind(), Kind::Text | Kind::Texts));
    // One of both may be a single answer.
    let lists = judged(texts.map(|column| column.name.as_str())).into_iter();
    let lists = lists.filter(|twins| !twins.are_about() && twins.names.iter().any(is_list));
    let twins = lists.min_by_key(|twins| twins.extra().len())?;
    let prompt = prompt(columns, settings, &twins.names.each_ref().map(String::as_str), None);
    if !prompt.has_main() {
        let found = format!(
            "lists in `{}` and `{}` without a column for the prompt",
            twins.names[0], twins.names[1]
        );
        return Some(Answer::Refuses(
            found,
            "add a column `prompt`, or name it with data.columns.prompt".to_owned(),
        ));
    }
    if matches!(settings.pairing, Pairing::BestWorst | Pairing::Adjacent) {
        let found = format!(
            "lists in `{}` and `{}`, whose answers have no order",
            twins.names[0], twins.names[1]
        );
        return Some(Answer::Refuses(
            found,
            "set data.pairing = \"all\": each good one against each bad one".to_owned(),
        ));
    }
    Some(Answer::Reads(Box::new(AnswerLists { names: twins.names, prompt })))
}

/// Whether a file is one of these.
pub(super) fn is_known(columns: &Columns) -> bool {
    detect(columns, &ReadSettings::default()).is_some()
}

impl Shape for AnswerLists {
    fn describe(&self) -> String {
        let [better, worse] = &self.names;
        format!("each of `{better}` preferred to each of `{worse}`, {}", self.prompt.describe())
    }

    fn columns(&self) -> Vec<String> {
        self.prompt.columns().into_iter().chain(self.names.clone()).collect()
    }

    fn read(&self, row: &mut Fields, found: &mut Found) -> Result<(), Bad> {
        let prompt = self.prompt.take(row)?.alone()?;
        let prompt = self.prompt.around(row, prompt)?;
        let [better, worse] = [texts(row, &self.names[0])?, texts(row, &self.names[1])?];
        for chosen in &better {
            for rejected in &worse {
                if found.full {
                    return Ok(());
                }
                let draft = Draft {
                    prompt: prompt.clone(),
                    responses: [chosen.clone(), rejected.clone()],
                    label: Some(Label::certain(Side::First)),
                };
                found.add(draft, [&self.names[0], &self.names[1]]);
            }
        }
        Ok(())
    }
}

fn texts(row: &mut Fields, name: &str) -> Result<Vec<String>, Bad> {
    let text = |item| match item {
        Value::String(text) => Ok(text),
        other => Err(Bad::wrong_type(name, &other, "a list of texts")),
    };
    match row.get_mut(name).map(Value::take) {
        Some(Value::String(text)) => Ok(vec![text]),
        Some(Value::Array(items)) if items.is_empty() => {
            Err(Bad::new(BadReason::EmptyResponse, format!("`{name}` is an empty list")))
        }
        Some(Value::Array(items)) => items.into_iter().map(text).collect(),
        Some(other) => Err(Bad::wrong_type(name, &other, "a list of texts")),
        None => Err(Bad::missing(name)),
    }
}
