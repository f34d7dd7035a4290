//! A better and a worse response by name: `chosen` and `rejected`, `response_j` and
//! `response_k`, …, with the prompt in a column of its own or in the messages of both.

use super::super::columns::{Columns, Fields};
use super::super::names::judged;
use super::super::pair::{Label, Prompt, Side};
use super::super::prompts::PromptColumns;
use super::super::replies;
use super::super::report::BadReason;
use super::super::values::{Bad, Kind};
use super::{Answer, Draft, Found, Shape, both_begin_with, likeliest};

struct Judged {
    names: [String; 2],
    prompt: Option<PromptColumns>,
    /// Whether the responses repeat the prompt.
    repeated: bool,
}

pub(super) fn detect(columns: &Columns) -> Option<Answer> {
    let twins = judged(columns.speaking().map(|column| column.name.as_str()));
    let twins = likeliest(columns, twins)?;
    let [better, worse] = &twins.names;
    let prompt = PromptColumns::find(columns, &[better, worse]);
    let texts = columns.get(better).is_some_and(|column| column.kind() != Kind::Messages);
    if texts && prompt.is_none() {
        let found = format!("`{better}` and `{worse}` without a column for the prompt");
        let advice = "add a column `prompt`, or put whole transcripts with “Human:” and \
            “Assistant:” turns in both";
        return Some(Answer::Refuses(found, advice.to_owned()));
    }
    let repeats = |prompt: &PromptColumns| {
        columns.share(|row| both_begin_with(row, &twins.names, prompt.text(row)?)) >= 0.9
    };
    let repeated = prompt.as_ref().is_some_and(repeats);
    Some(Answer::Reads(Box::new(Judged { repeated, prompt, names: twins.names })))
}

impl Shape for Judged {
    fn describe(&self) -> String {
        let [better, worse] = &self.names;
        let prompt = match &self.prompt {
            Some(prompt) => format!("the prompt in {}", prompt.describe()),
            None => "the prompt in the messages that both share".to_owned(),
        };
        let repeated = if self.repeated { ", which both repeat" } else { "" };
        format!("`{better}` preferred to `{worse}`, {prompt}{repeated}")
    }

    fn read(&self, row: &mut Fields, found: &mut Found) -> Result<(), Bad> {
        let prompt = self.prompt.as_ref().map(|columns| columns.take(row)).transpose()?;
        let (prompt, mut responses) = replies::take(row, &self.names, prompt)?;
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
        let draft = Draft { prompt, responses, label: Some(Label::certain(Side::First)) };
        found.add(draft, [&self.names[0], &self.names[1]]);
        Ok(())
    }
}
