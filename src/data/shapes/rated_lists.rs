//! A list of answers to one prompt, each with a rating or a rank: `completions` with scores,
//! `answers` with `rank`. Which two make a pair says `data.pairing`.

use serde_json::Value;

use super::super::columns::Columns;
use super::super::lists::{self, Listed, Scores};
use super::super::messages::messages;
use super::super::pair::{Label, Prompt, Role, Side};
use super::super::prompts::PromptColumns;
use super::super::report::BadReason;
use super::super::row::Fields;
use super::super::settings::{Pairing, ReadSettings};
use super::super::values::{Bad, number};
use super::choice::prompt;
use super::found::{Draft, Found};
use super::shape::{Answer, Shape};

struct RatedLists {
    listed: Listed,
    scores: Scores,
    prompt: PromptColumns,
    pairing: Pairing,
}

pub(super) fn detect(columns: &Columns, settings: &ReadSettings) -> Option<Answer> {
    let listed = lists::find(columns).into_iter().next()?;
    let name = listed.column.clone();
    let Some(scores) = listed.scores.clone() else { return refusal(columns, &name) };
    let mut taken = vec![name.as_str()];
    taken.extend(scores.beside.then_some(scores.name.as_str()));
    let prompt = prompt(columns, settings, &taken, None);
    if !prompt.has_main() {
        let found = format!("a list of rated answers in `{name}` without a column for the prompt");
        let advice = "add a column `prompt`, or name it with data.columns.prompt";
        return Some(Answer::Refuses(found, advice.to_owned()));
    }
    let pairing = settings.pairing;
    Some(Answer::Reads(Box::new(RatedLists { listed, scores, prompt, pairing })))
}

/// A list of answers that nothing rates, where the file has no other responses.
fn refusal(columns: &Columns, name: &str) -> Option<Answer> {
    if super::unpaired::is_known(columns) || super::answer_lists::is_known(columns) {
        return None;
    }
    let found = format!("a list of answers in `{name}` that no number rates or ranks");
    let advice = format!(
        "add a list of as many numbers beside it (`scores`), or name two of the answers with \
         data.columns.first = \"{name}.0\" and data.columns.second = \"{name}.1\""
    );
    Some(Answer::Refuses(found, advice))
}

impl Shape for RatedLists {
    fn describe(&self) -> String {
        let (list, score) = (&self.listed.column, &self.scores.name);
        let by = if self.scores.lower { "the lower is better" } else { "the higher is better" };
        let pairs = match self.pairing {
            Pairing::Auto | Pairing::BestWorst => "the best against the worst",
            Pairing::Adjacent => "each against the next better one",
            Pairing::All => "each two that differ",
        };
        format!(
            "answers in `{list}` rated by `{score}` ({by}), {pairs}, {}",
            self.prompt.describe()
        )
    }

    fn columns(&self) -> Vec<String> {
        let mut columns = self.prompt.columns();
        columns.push(self.listed.column.clone());
        columns.extend(self.scores.beside.then(|| self.scores.name.clone()));
        columns
    }

    fn read(&self, row: &mut Fields, found: &mut Found) -> Result<(), Bad> {
        let name = &self.listed.column;
        let mut answers = self.answers(row)?;
        if answers.len() < 2 {
            let detail =
                format!("`{name}` has {} rated answers; expected two or more", answers.len());
            return Err(Bad::new(BadReason::MissingField, detail));
        }
        let prompt = self.prompt.take(row)?.alone()?;
        let prompt = self.prompt.around(row, prompt)?;
        answers.sort_by(|a, b| b.0.total_cmp(&a.0));
        pair_up(&prompt, &answers, self.pairing, name, found);
        Ok(())
    }
}

/// Add the pairs of answers that are sorted by their worth, best first.
pub(super) fn pair_up(
    prompt: &Prompt,
    answers: &[(f64, String)],
    pairing: Pairing,
    name: &str,
    found: &mut Found,
) {
    let mut add = |better: usize, worse: usize| {
        if found.full {
            return;
        }
        let ((best, chosen), (worst, rejected)) = (&answers[better], &answers[worse]);
        if best == worst {
            found.ties += 1;
            return;
        }
        let label = Label { margin: Some((best - worst) as f32), ..Label::certain(Side::First) };
        let draft = Draft {
            prompt: prompt.clone(),
            responses: [chosen.clone(), rejected.clone()],
            label: Some(label),
        };
        found.add(draft, [name, name]);
    };
    match pairing {
        Pairing::Auto | Pairing::BestWorst => add(0, answers.len() - 1),
        Pairing::Adjacent => (1..answers.len()).for_each(|i| add(i - 1, i)),
        Pairing::All => {
            (0..answers.len()).for_each(|i| (i + 1..answers.len()).for_each(|j| add(i, j)));
        }
    }
}

impl RatedLists {
    /// Answers with their worth; those without one are left out.
    fn answers(&self, row: &mut Fields) -> Result<Vec<(f64, String)>, Bad> {
        let name = &self.listed.column;
        let beside = self.scores.beside.then(|| row.get(&self.scores.name).cloned()).flatten();
        let items = match row.get_mut(name).map(Value::take) {
            Some(Value::Array(items)) => items,
            Some(other) => return Err(Bad::wrong_type(name, &other, "a list of answers")),
            None => return Err(Bad::missing(name)),
        };
        if self.scores.beside {
            let numbers = beside.as_ref().and_then(Value::as_array).map_or(0, Vec::len);
            if numbers != items.len() {
                let detail = format!(
                    "`{name}` has {} answers, `{}` {numbers} numbers",
                    items.len(),
                    self.scores.name
                );
                return Err(Bad::new(BadReason::WrongType, detail));
            }
        }
        let sign = if self.scores.lower { -1.0 } else { 1.0 };
        let mut answers = Vec::with_capacity(items.len());
        for (i, item) in items.into_iter().enumerate() {
            let score = match &beside {
                Some(numbers) => numbers.get(i).and_then(number),
                None => item.get(&self.scores.name).and_then(number),
            };
            if let Some(score) = score {
                answers.push((sign * score, text(name, item, self.listed.text.as_deref())?));
            }
        }
        Ok(answers)
    }
}

/// The text of one answer: under its key, or itself; of messages the last of the assistant.
fn text(name: &str, item: Value, key: Option<&str>) -> Result<String, Bad> {
    let value = match (item, key) {
        (Value::Object(mut fields), Some(key)) => {
            let place = || format!("{name}[].{key}");
            fields.remove(key).ok_or_else(|| Bad::missing(&place()))?
        }
        (item, _) => item,
    };
    match value {
        Value::String(text) => Ok(text),
        list @ (Value::Array(_) | Value::Object(_)) => {
            let mut said = messages(name, list)?;
            match said.pop().filter(|turn| turn.role == Role::Assistant) {
                Some(turn) => Ok(turn.content),
                None => {
                    let detail = format!("an answer in `{name}` does not end with the assistant");
                    Err(Bad::new(BadReason::WrongType, detail))
                }
            }
        }
        other => Err(Bad::wrong_type(name, &other, "a text")),
    }
}
