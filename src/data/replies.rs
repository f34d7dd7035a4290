//! Two values of a row → a prompt and two responses.
//!
//! A value is a text, a message, or messages; messages may begin with the conversation
//! that both responses share.

use serde_json::Value;

use super::messages::messages;
use super::pair::{Message, Prompt, Role};
use super::prompts::Asked;
use super::report::BadReason;
use super::row::Fields;
use super::values::{Bad, Kind};

enum Reply {
    Text(String),
    Messages(Vec<Message>),
    /// What was replied turn by turn.
    Turns(Vec<String>),
}

/// Take two responses out of a row, and complete the prompt with what they share.
pub(super) fn take(
    row: &mut Fields,
    names: &[String; 2],
    asked: Asked,
) -> Result<(Prompt, [String; 2]), Bad> {
    let (prompt, responses) = match (asked, reply(row, &names[0])?, reply(row, &names[1])?) {
        (Asked::Questions(turns), Reply::Turns(first), Reply::Turns(second)) => {
            let [first, second] =
                [talk(&names[0], &turns, first)?, talk(&names[1], &turns, second)?];
            after_shared(names, None, first, second)?
        }
        (asked, Reply::Messages(first), Reply::Messages(second)) => {
            let prompt = match asked {
                Asked::Nothing => None,
                asked => Some(asked.alone()?),
            };
            after_shared(names, prompt, first, second)?
        }
        (asked, first, second) => match (only(first), only(second)) {
            (Some(first), Some(second)) => (asked.alone()?, [first, second]),
            _ => {
                let [a, b] = names;
                let detail = format!(
                    "`{a}` and `{b}` are not both texts, or both messages; expected the same of both"
                );
                return Err(Bad::new(BadReason::WrongType, detail));
            }
        },
    };
    Ok((without_reply(prompt, &responses), responses))
}

fn only(reply: Reply) -> Option<String> {
    match reply {
        Reply::Text(text) => Some(text),
        Reply::Turns(mut turns) if turns.len() == 1 => turns.pop(),
        Reply::Turns(_) | Reply::Messages(_) => None,
    }
}

/// A conversation of questions and replies.
fn talk(name: &str, questions: &[String], replies: Vec<String>) -> Result<Vec<Message>, Bad> {
    if questions.len() != replies.len() {
        let (asked, replied) = (questions.len(), replies.len());
        let detail = format!("`{name}` has {replied} replies to {asked} questions");
        return Err(Bad::new(BadReason::PromptsDiffer, detail));
    }
    let turns = questions.iter().zip(replies).flat_map(|(question, reply)| {
        [Message::new(Role::User, question.as_str()), Message::new(Role::Assistant, reply)]
    });
    Ok(turns.collect())
}

/// A conversation without its end, where that is one of the responses to it.
fn without_reply(prompt: Prompt, responses: &[String; 2]) -> Prompt {
    match prompt {
        Prompt::Messages(mut turns) => {
            turns.pop_if(|turn| {
                turn.role == Role::Assistant
                    && responses.iter().any(|response| response.trim() == turn.content.trim())
            });
            Prompt::Messages(turns)
        }
        text @ Prompt::Text(_) => text,
    }
}

fn reply(row: &mut Fields, name: &str) -> Result<Reply, Bad> {
    match row.get_mut(name).map(Value::take) {
        Some(Value::String(text)) => Ok(Reply::Text(text)),
        Some(list) if Kind::of(&list) == Kind::Texts => {
            let Value::Array(items) = list else { return Err(Bad::missing(name)) };
            let text = |item| if let Value::String(text) = item { Some(text) } else { None };
            Ok(Reply::Turns(items.into_iter().filter_map(text).collect()))
        }
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
        Some(message) if message.role == Role::Assistant => match message.field("tool_calls") {
            Some(_) if message.content.trim().is_empty() => {
                let detail = format!("`{name}` ends with a call of a function; expected text");
                Err(Bad::new(BadReason::WrongType, detail))
            }
            _ => Ok(message.content),
        },
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
        Some(Prompt::Text(content)) => vec![Message::new(Role::User, content)],
        Some(Prompt::Messages(messages)) => messages,
    };
    let goes_on = match first.role {
        Role::Assistant => true,
        Role::User => before.iter().all(|message| message.role == Role::System),
        Role::Tool => true,
        Role::System | Role::Tools => false,
    };
    if !goes_on {
        return Some(Prompt::Messages(shared));
    }
    before.extend(shared);
    Some(Prompt::Messages(before))
}
