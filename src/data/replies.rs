//! Two values of a row → a prompt and two responses.
//!
//! A value is a text, a message, or messages; messages may begin with the conversation
//! that both responses share.

use serde_json::Value;

use super::columns::Fields;
use super::pair::{Message, Prompt, Role};
use super::report::BadReason;
use super::values::{Bad, messages};

enum Reply {
    Text(String),
    Messages(Vec<Message>),
}

/// Take two responses out of a row, and complete the prompt with what they share.
pub(super) fn take(
    row: &mut Fields,
    names: &[String; 2],
    prompt: Option<Prompt>,
) -> Result<(Prompt, [String; 2]), Bad> {
    match (reply(row, &names[0])?, reply(row, &names[1])?) {
        (Reply::Text(first), Reply::Text(second)) => match prompt {
            Some(prompt) => Ok((prompt, [first, second])),
            None => Err(Bad::new(BadReason::MissingField, "the row has no prompt")),
        },
        (Reply::Messages(first), Reply::Messages(second)) => {
            after_shared(names, prompt, first, second)
        }
        _ => {
            let [a, b] = names;
            let detail = format!(
                "one of `{a}` and `{b}` is a text, the other messages; expected the same of both"
            );
            Err(Bad::new(BadReason::WrongType, detail))
        }
    }
}

fn reply(row: &mut Fields, name: &str) -> Result<Reply, Bad> {
    match row.get_mut(name).map(Value::take) {
        Some(Value::String(text)) => Ok(Reply::Text(text)),
        Some(list @ (Value::Array(_) | Value::Object(_))) => {
            messages(name, list).map(Reply::Messages)
        }
        Some(other) => Err(Bad::wrong_type(name, &other, "text or chat messages")),
        None => Err(Bad::missing(name)),
    }
}

fn after_shared(
    names: &[String; 2],
    prompt: Option<Prompt>,
    mut first: Vec<Message>,
    mut second: Vec<Message>,
) -> Result<(Prompt, [String; 2]), Bad> {
    if first == second && !first.is_empty() {
        let detail = format!("`{}` and `{}` are the same conversation", names[0], names[1]);
        return Err(Bad::new(BadReason::IdenticalResponses, detail));
    }
    let shared = first.iter().zip(&second).take_while(|(a, b)| a == b).count();
    if first.len() > shared + 1 || second.len() > shared + 1 {
        let detail =
            format!("the conversations part at message {}, before the last one", shared + 1);
        return Err(Bad::new(BadReason::PromptsDiffer, detail));
    }
    let responses = [last(&names[0], &mut first, shared)?, last(&names[1], &mut second, shared)?];
    first.truncate(shared);
    match join(prompt, first) {
        Some(prompt) => Ok((prompt, responses)),
        None => Err(Bad::new(BadReason::EmptyPrompt, "there is no message before the responses")),
    }
}

/// The one message that is not shared.
fn last(name: &str, messages: &mut Vec<Message>, shared: usize) -> Result<String, Bad> {
    match messages.pop().filter(|_| messages.len() == shared) {
        Some(message) if message.role == Role::Assistant => Ok(message.content),
        Some(message) => {
            let detail = format!(
                "`{name}` ends with a message by {}; expected assistant",
                message.role.name()
            );
            Err(Bad::new(BadReason::WrongType, detail))
        }
        None => {
            Err(Bad::new(BadReason::EmptyResponse, format!("`{name}` ends before its response")))
        }
    }
}

/// The prompt from its own column, and the messages that both responses begin with.
///
/// Those may be the whole conversation again, or go on where the column ends.
fn join(prompt: Option<Prompt>, shared: Vec<Message>) -> Option<Prompt> {
    let Some(first) = shared.first() else { return prompt };
    let mut before = match prompt {
        None => return Some(Prompt::Messages(shared)),
        Some(Prompt::Text(content)) => vec![Message { role: Role::User, content }],
        Some(Prompt::Messages(messages)) => messages,
    };
    let goes_on = match first.role {
        Role::Assistant => true,
        Role::User => before.iter().all(|message| message.role == Role::System),
        Role::System => false,
    };
    if !goes_on {
        return Some(Prompt::Messages(shared));
    }
    before.extend(shared);
    Some(Prompt::Messages(before))
}
