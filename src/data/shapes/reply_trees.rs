//! OASST: a tree of messages in which people ranked the replies to one prompt. Each two
//! replies of different rank make one pair, in which the lower rank is preferred.

use serde_json::Value;

use super::super::columns::{Columns, Fields};
use super::super::pair::{Label, Message, Prompt, Role, Side};
use super::super::values::Bad;
use super::{Answer, Draft, Found, Shape};

struct ReplyTrees {
    root: String,
}

pub(super) fn detect(columns: &Columns) -> Option<Answer> {
    let tree = |value: &Value| {
        let node = value.as_object()?;
        Some(node.contains_key("text") && node.get("replies")?.is_array())
    };
    let mut roots = columns.iter().filter(|column| {
        columns.share(|row| Some(tree(row.get(&column.name)?).unwrap_or(false))) >= 0.5
    });
    roots.next().map(|column| Answer::Reads(Box::new(ReplyTrees { root: column.name.clone() })))
}

impl Shape for ReplyTrees {
    fn describe(&self) -> String {
        format!(
            "trees of ranked replies in `{}`, each two replies of different rank a pair",
            self.root
        )
    }

    fn read(&self, row: &mut Fields, found: &mut Found) -> Result<(), Bad> {
        let root = match row.get(&self.root) {
            Some(Value::Object(root)) => root,
            Some(other) => {
                return Err(Bad::wrong_type(&self.root, other, "a message with replies"));
            }
            None => return Err(Bad::missing(&self.root)),
        };
        walk(root, &mut Vec::new(), found)
    }
}

/// Visit a message and those below it. The JSON parser bounds how deep that is.
fn walk(node: &Fields, path: &mut Vec<Message>, found: &mut Found) -> Result<(), Bad> {
    let (role, content) = (speaker(node)?, text(node)?);
    path.push(Message { role, content: content.to_owned() });
    let replies: Vec<_> = children(node).collect();
    if role == Role::User {
        ranked_pairs(&replies, path, found)?;
    }
    for reply in replies {
        walk(reply, path, found)?;
    }
    path.pop();
    Ok(())
}

fn ranked_pairs(replies: &[&Fields], path: &[Message], found: &mut Found) -> Result<(), Bad> {
    let ranked = replies.iter().filter_map(|reply| Some((reply.get("rank")?.as_i64()?, *reply)));
    let mut ranked: Vec<_> = ranked.collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    for (i, (rank, better)) in ranked.iter().enumerate() {
        for (_, worse) in ranked[i + 1..].iter().filter(|(other, _)| other > rank) {
            let draft = Draft {
                prompt: Prompt::Messages(path.to_vec()),
                responses: [text(better)?.to_owned(), text(worse)?.to_owned()],
                label: Some(Label::certain(Side::First)),
            };
            found.add(draft, ["text", "text"]);
        }
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
