//! A conversation that ends with the better reply, and the worse one in a column of its own:
//! `messages` and `rejected_response`, as ms-swift has them.

use serde_json::Value;

use super::super::columns::{Column, Columns};
use super::super::messages::messages;
use super::super::names::{is_worse, words};
use super::super::pair::{Label, Prompt, Role, Side};
use super::super::prompts::PromptColumns;
use super::super::report::BadReason;
use super::super::row::Fields;
use super::super::settings::ReadSettings;
use super::super::values::{Bad, Kind};
use super::found::{Draft, Found};
use super::shape::{Answer, Shape};

struct Continued {
    conversation: String,
    rejected: String,
    around: PromptColumns,
}

pub(super) fn detect(columns: &Columns, _: &ReadSettings) -> Option<Answer> {
    let worse = |column: &&Column| {
        matches!(column.kind(), Kind::Text | Kind::Message | Kind::Messages)
            && words(&column.name).iter().any(|word| is_worse(word))
    };
    let rejected = columns.speaking().find(worse)?;
    let spoken = |row: &Fields, name: &str| -> Option<bool> {
        let last = row.get(name)?.as_array()?.last()?;
        let role = last.get("role").or_else(|| last.get("from"))?.as_str()?;
        Some(["assistant", "gpt", "model", "bot"].contains(&role.to_lowercase().as_str()))
    };
    let conversation = columns.speaking().find(|column| {
        column.kind() == Kind::Messages
            && column.name != rejected.name
            && columns.share(|row| spoken(row, &column.name)) >= 0.5
    })?;
    let taken = [rejected.name.as_str(), conversation.name.as_str()];
    Some(Answer::Reads(Box::new(Continued {
        conversation: conversation.name.clone(),
        rejected: rejected.name.clone(),
        around: PromptColumns::mapped(columns, &taken, &[]),
    })))
}

impl Shape for Continued {
    fn describe(&self) -> String {
        format!(
            "the last reply in `{}` preferred to `{}`, the prompt in the messages before it",
            self.conversation, self.rejected
        )
    }

    fn columns(&self) -> Vec<String> {
        let mut columns = self.around.columns();
        columns.extend([self.conversation.clone(), self.rejected.clone()]);
        columns
    }

    fn read(&self, row: &mut Fields, found: &mut Found) -> Result<(), Bad> {
        let (conversation, rejected) = (&self.conversation, &self.rejected);
        let value = row.get_mut(conversation).map(Value::take);
        let mut turns = messages(conversation, value.ok_or_else(|| Bad::missing(conversation))?)?;
        let Some(chosen) = turns.pop_if(|turn| turn.role == Role::Assistant) else {
            let detail = format!("`{conversation}` does not end with a reply by the assistant");
            return Err(Bad::new(BadReason::WrongType, detail));
        };
        let worse = match row.get_mut(rejected).map(Value::take) {
            Some(Value::String(text)) => text,
            Some(value) => {
                let mut said = messages(rejected, value)?;
                said.retain(|turn| turn.role == Role::Assistant);
                said.pop().map(|turn| turn.content).unwrap_or_default()
            }
            None => return Err(Bad::missing(rejected)),
        };
        let draft = Draft {
            prompt: self.around.around(row, Prompt::Messages(turns))?,
            responses: [chosen.content, worse],
            label: Some(Label::certain(Side::First)),
        };
        found.add(draft, [conversation, rejected]);
        Ok(())
    }
}
