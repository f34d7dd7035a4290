//! Two candidates by number, `response_1` and `response_2`, `answer_a` and `answer_b`, …,
//! and perhaps columns that say which is better.

use super::super::columns::{Columns, Fields};
use super::super::labels::{Labels, Verdict};
use super::super::names::{Twins, numbered, others, words};
use super::super::prompts::PromptColumns;
use super::super::replies;
use super::super::values::{Bad, Kind};
use super::{Answer, Draft, Found, Shape, likeliest};

struct Candidates {
    twins: Twins,
    prompt: Option<PromptColumns>,
    labels: Labels,
}

pub(super) fn detect(columns: &Columns) -> Option<Answer> {
    let twins = numbered(columns.speaking().map(|column| column.name.as_str()));
    let twins = likeliest(columns, twins)?;
    if let Some(more) = another(columns, &twins) {
        let found = format!(
            "more than two responses for each prompt (`{more}` beside `{}`)",
            twins.names.join("`, `")
        );
        return Some(Answer::Refuses(found, "keep two of them in each row".to_owned()));
    }
    let [first, second] = &twins.names;
    let prompt = PromptColumns::find(columns, &[first, second]);
    let texts = columns.get(first).is_some_and(|column| column.kind() != Kind::Messages);
    if texts && prompt.is_none() {
        let found = format!("`{first}` and `{second}` without a column for the prompt");
        return Some(Answer::Refuses(found, "add a column `prompt`".to_owned()));
    }
    let labels = Labels::find(columns, &twins);
    Some(Answer::Reads(Box::new(Candidates { prompt, labels, twins })))
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
        let prompt = match &self.prompt {
            Some(prompt) => format!("the prompt in {}", prompt.describe()),
            None => "the prompt in the messages that both share".to_owned(),
        };
        format!("two candidates `{first}` and `{second}`, {prompt}, {}", self.labels.says)
    }

    fn read(&self, row: &mut Fields, found: &mut Found) -> Result<(), Bad> {
        let verdict = self.labels.verdict(row);
        let prompt = self.prompt.as_ref().map(|columns| columns.take(row)).transpose()?;
        let (prompt, responses) = replies::take(row, &self.twins.names, prompt)?;
        let names = [self.twins.names[0].as_str(), self.twins.names[1].as_str()];
        let mut sound = Found::default();
        sound.add(Draft { prompt, responses, label: None }, names);
        if sound.bad.is_empty() {
            match verdict? {
                Verdict::Tie => {
                    found.ties += 1;
                    return Ok(());
                }
                Verdict::Unlabelled => {}
                Verdict::Preferred(label) => {
                    sound.pairs.iter_mut().for_each(|pair| pair.label = Some(label));
                }
            }
        }
        found.pairs.append(&mut sound.pairs);
        found.bad.append(&mut sound.bad);
        Ok(())
    }
}
