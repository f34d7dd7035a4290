//! TruthfulQA: a question, its best answer, and a list of incorrect ones. Each incorrect
//! answer makes one pair, in which the best is preferred.

use serde_json::Value;

use super::super::columns::Columns;
use super::super::pair::{Label, Side};
use super::super::prompts::PromptColumns;
use super::super::row::Fields;
use super::super::settings::ReadSettings;
use super::super::values::{Bad, Kind, take_text};
use super::choice::prompt;
use super::found::{Draft, Found};
use super::shape::{Answer, Shape};

/// What stands between the answers of a list that is one text.
const BETWEEN: &str = "; ";

struct BestAnswers {
    prompt: PromptColumns,
    best: String,
    incorrect: String,
}

pub(super) fn detect(columns: &Columns, settings: &ReadSettings) -> Option<Answer> {
    let one = |names: &[&str]| names.iter().find_map(|name| columns.named(name));
    let best =
        one(&["best answer", "correct answer"]).filter(|column| column.kind() == Kind::Text)?;
    let incorrect = one(&["incorrect answers", "wrong answers"])?;
    if !matches!(incorrect.kind(), Kind::Text | Kind::Texts | Kind::List) {
        return None;
    }
    let mut taken = vec![best.name.as_str(), incorrect.name.as_str()];
    taken.extend(one(&["correct answers"]).map(|column| column.name.as_str()));
    let prompt = prompt(columns, settings, &taken, None);
    if !prompt.has_main() {
        return None;
    }
    Some(Answer::Reads(Box::new(BestAnswers {
        prompt,
        best: best.name.clone(),
        incorrect: incorrect.name.clone(),
    })))
}

impl Shape for BestAnswers {
    fn describe(&self) -> String {
        let (best, incorrect, prompt) = (&self.best, &self.incorrect, self.prompt.describe());
        format!("`{best}` preferred to each of `{incorrect}`, {prompt}")
    }

    fn columns(&self) -> Vec<String> {
        let mut columns = self.prompt.columns();
        columns.extend([self.best.clone(), self.incorrect.clone()]);
        columns
    }

    fn read(&self, row: &mut Fields, found: &mut Found) -> Result<(), Bad> {
        let prompt = self.prompt.take(row)?.alone()?;
        let prompt = self.prompt.around(row, prompt)?;
        let best = take_text(row, &self.best)?;
        for wrong in self.incorrect(row)? {
            if found.full {
                break;
            }
            let draft = Draft {
                prompt: prompt.clone(),
                responses: [best.clone(), wrong],
                label: Some(Label::certain(Side::First)),
            };
            found.add(draft, [&self.best, &self.incorrect]);
        }
        Ok(())
    }
}

impl BestAnswers {
    fn incorrect(&self, row: &mut Fields) -> Result<Vec<String>, Bad> {
        let name = &self.incorrect;
        match row.get_mut(name).map(Value::take) {
            Some(Value::String(list)) => {
                let answers = list.split(BETWEEN).map(|answer| answer.trim().trim_end_matches(';'));
                let answers: Vec<_> =
                    answers.filter(|answer| !answer.is_empty()).map(str::to_owned).collect();
                // An empty list is reported as the empty response that it is.
                Ok(if answers.is_empty() { vec![String::new()] } else { answers })
            }
            Some(Value::Array(items)) => items
                .into_iter()
                .map(|item| match item {
                    Value::String(text) => Ok(text),
                    other => Err(Bad::wrong_type(name, &other, "a list of texts")),
                })
                .collect(),
            Some(other) => {
                Err(Bad::wrong_type(name, &other, "answers joined by “; ”, or a list of texts"))
            }
            None => Err(Bad::missing(name)),
        }
    }
}
