//! OASST: a tree of messages in which people ranked the replies to one prompt. Each two
//! replies of different rank make one pair, in which the lower rank is preferred.

use serde_json::Value;

use super::super::columns::Columns;
use super::super::pair::{Message, Prompt, Role};
use super::super::row::Fields;
use super::super::settings::{Pairing, ReadSettings};
use super::super::values::Bad;
use super::found::Found;
use super::rated_lists::pair_up;
use super::shape::{Answer, Shape};

struct ReplyTrees {
    root: String,
    pairing: Pairing,
}

pub(super) fn detect(columns: &Columns, settings: &ReadSettings) -> Option<Answer> {
    let tree = |value: &Value| {
        let node = value.as_object()?;
        Some(node.contains_key("text") && node.get("replies")?.is_array())
    };
    let mut roots = columns.iter().filter(|column| {
        columns.share(|row| Some(tree(row.get(&column.name)?).unwrap_or(false))) >= 0.5
    });
    let root = roots.next()?.name.clone();
    let pairing = match settings.pairing {
        Pairing::Auto => Pairing::All,
        pairing => pairing,
    };
    Some(Answer::Reads(Box::new(ReplyTrees { root, pairing })))
}

impl Shape for ReplyTrees {
    fn describe(&self) -> String {
        let pairs = match self.pairing {
            Pairing::Auto | Pairing::All => "each two replies of different rank a pair",
            Pairing::BestWorst => "the best reply against the worst",
            Pairing::Adjacent => "each reply against the next better one",
        };
        format!("trees of ranked replies in `{}`, {pairs}", self.root)
    }

    fn columns(&self) -> Vec<String> {
        vec![self.root.clone()]
    }

    fn read(&self, row: &mut Fields, found: &mut Found) -> Result<(), Bad> {
        let root = match row.get(&self.root) {
            Some(Value::Object(root)) => root,
            Some(other) => {
                return Err(Bad::wrong_type(&self.root, other, "a message with replies"));
            }
            None => return Err(Bad::missing(&self.root)),
        };
        walk(root, &mut Vec::new(), self.pairing, found)
    }
}

/// Visit a message and those below it. The JSON parser bounds how deep that is.
fn walk(
    node: &Fields,
    path: &mut Vec<Message>,
    pairing: Pairing,
    found: &mut Found,
) -> Result<(), Bad> {
    let (role, content) = (speaker(node)?, text(node)?);
    path.push(Message::new(role, content));
    let replies: Vec<_> = children(node).collect();
    if role == Role::User {
        ranked_pairs(&replies, path, pairing, found)?;
    }
    for reply in replies {
        walk(reply, path, pairing, found)?;
    }
    path.pop();
    Ok(())
}

fn ranked_pairs(
    replies: &[&Fields],
    path: &[Message],
    pairing: Pairing,
    found: &mut Found,
) -> Result<(), Bad> {
    let rank = |reply: &Fields| reply.get("rank")?.as_f64();
    let mut ranked = Vec::with_capacity(replies.len());
    for reply in replies {
        if let Some(rank) = rank(reply) {
            ranked.push((-rank, text(reply)?.to_owned()));
        }
    }
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    if ranked.len() >= 2 {
        pair_up(&Prompt::Messages(path.to_vec()), &ranked, pairing, "text", found);
    }
    Ok(())
}

fn children(node: &Fields) -> impl Iterator<Item = &Fields> {
    let replies = node.get("replies").and_then(Value::as_array);
    let replies = replies.into_iter().flatten().filter_map(Value::as_object);
    replies.filter(|reply| reply.get("deleted") != Some(&Value::Bool(true)))
}

fn text(node: &Fields) -> Result<&str, Bad> {
    match node.get("text") {
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(Bad::wrong_type("text", other, "text")),
        None => Err(Bad::missing("text")),
    }
}

fn speaker(node: &Fields) -> Result<Role, Bad> {
    match node.get("role") {
        Some(Value::String(role)) if role == "assistant" => Ok(Role::Assistant),
        Some(Value::String(role)) if role == "prompter" || role == "user" => Ok(Role::User),
        Some(other) => Err(Bad::wrong_type("role", other, "prompter or assistant")),
        None => Err(Bad::missing("role")),
    }
}
