//! One message a row, each with its parent → trees of ranked replies.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::columns::Columns;
use super::super::error::Fault;
use super::super::names::judged;
use super::super::report::{BadReason, BadRow};
use super::super::row::{Fields, Row};
use super::done::Done;

const IDS: [&str; 2] = ["message_id", "id"];
const PARENTS: [&str; 4] = ["parent_id", "parent_message_id", "parent", "reply_to"];
const TEXTS: [&str; 3] = ["text", "content", "message"];
/// The column of the trees that are made.
const TREE: &str = "tree";
/// Replies to replies that are followed.
const DEEPEST: usize = 100;

/// The columns of messages with parents.
pub(super) struct Messages {
    id: String,
    parent: String,
    text: String,
}

/// Find them, in rows that are messages of trees.
pub(super) fn find(columns: &Columns) -> Result<Option<Messages>, Fault> {
    let one = |names: &[&str]| {
        names.iter().find(|name| columns.get(name).is_some()).map(|name| (*name).to_owned())
    };
    let (Some(id), Some(parent), Some(text)) = (one(&IDS), one(&PARENTS), one(&TEXTS)) else {
        return Ok(None);
    };
    let pairs = judged(columns.speaking().map(|column| column.name.as_str()));
    if columns.get("role").is_none() || !pairs.is_empty() {
        return Ok(None);
    }
    if columns.get("rank").is_none_or(|column| column.filled() == 0) {
        return Err(Fault::unknown(
            format!(
                "one message in each row, with `{parent}` for the one before it, and no `rank` among replies to the same message"
            ),
            "choose a file with ranks, or with two answers to each prompt",
        ));
    }
    Ok(Some(Messages { id, parent, text }))
}

/// Gather messages in trees.
pub(super) fn gather(
    rows: &mut Vec<Row>,
    Messages { id, parent, text }: &Messages,
    done: &mut Done,
) {
    let trees = trees(std::mem::take(rows), [id, parent, text], done);
    done.how.push(format!("messages put together by `{parent}`"));
    *rows = trees;
}

/// The trees, each in the row of its root, in the order of the roots.
fn trees(rows: Vec<Row>, [id, parent, text]: [&str; 3], done: &mut Done) -> Vec<Row> {
    let key = |row: &Row, name: &str| {
        row.fields.get(name).and_then(Value::as_str).map(str::to_owned).or_else(|| {
            row.fields.get(name).filter(|value| value.is_number()).map(ToString::to_string)
        })
    };
    let mut below: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut roots = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        match key(row, parent) {
            Some(parent) if !parent.is_empty() => below.entry(parent).or_default().push(i),
            _ => roots.push(i),
        }
    }
    let ids: Vec<Option<String>> = rows.iter().map(|row| key(row, id)).collect();
    let mut nodes: Vec<Option<Row>> = rows.into_iter().map(Some).collect();
    let mut made = Vec::new();
    for root in roots {
        let line = nodes[root].as_ref().map_or(0, |row| row.line);
        if let Some(tree) = node(root, &ids, &below, &mut nodes, text, 0) {
            made.push(Row {
                line,
                fields: [(TREE.to_owned(), Value::Object(tree))].into_iter().collect(),
            });
        }
    }
    // What no root leads to.
    done.bad.extend(nodes.into_iter().flatten().map(|row| BadRow {
        line: row.line,
        reason: BadReason::MissingField,
        detail: format!("the message that `{parent}` names is not in the file, or too far above"),
    }));
    made
}

/// A message with those below it; each is used once.
fn node(
    at: usize,
    ids: &[Option<String>],
    below: &BTreeMap<String, Vec<usize>>,
    nodes: &mut [Option<Row>],
    text: &str,
    depth: usize,
) -> Option<Fields> {
    let mut fields = nodes.get_mut(at)?.take()?.fields;
    if let Some(said) = fields.remove(text) {
        fields.insert("text".to_owned(), said);
    }
    let children = ids[at].as_ref().and_then(|id| below.get(id)).filter(|_| depth < DEEPEST);
    let replies = children
        .into_iter()
        .flatten()
        .filter_map(|child| node(*child, ids, below, nodes, text, depth + 1).map(Value::Object));
    let replies = replies.collect();
    fields.insert("replies".to_owned(), Value::Array(replies));
    Some(fields)
}
