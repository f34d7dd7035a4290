//! The pairs that one row holds, and why it holds no more.

use super::super::limits::size_of_pair;
use super::super::pair::{Label, Prompt};
use super::super::report::BadReason;
use super::super::values::Bad;

/// A pair before it knows where it was read.
#[derive(Debug)]
pub(in crate::data) struct Draft {
    pub(in crate::data) prompt: Prompt,
    pub(in crate::data) responses: [String; 2],
    pub(in crate::data) label: Option<Label>,
}

/// What one row held.
#[derive(Debug, Default)]
pub(in crate::data) struct Found {
    pub(in crate::data) pairs: Vec<Draft>,
    pub(in crate::data) ties: usize,
    pub(in crate::data) bad: Vec<Bad>,
    /// Bytes that the pairs take.
    pub(in crate::data) bytes: u64,
    /// Bytes that they may take: each two of many answers are more than any memory.
    most: u64,
    /// Whether they would take more.
    pub(in crate::data) full: bool,
}

/// Bytes that a fault takes, about.
const FAULT: u64 = 128;

impl Found {
    /// Nothing yet, and room for so many bytes.
    pub(in crate::data) fn within(most: u64) -> Self {
        Self { most, ..Self::default() }
    }

    /// A bad row.
    pub(in crate::data) fn of(bad: Bad) -> Self {
        Self { bad: vec![bad], ..Self::default() }
    }

    /// Add a pair if it is sound; else say why not, with the names of its responses.
    pub(super) fn add(&mut self, draft: Draft, names: [&str; 2]) {
        let fault = fault(&draft, names);
        self.bytes += match &fault {
            Some(_) => FAULT,
            None => size_of_pair(&draft.prompt, &draft.responses),
        };
        self.full |= self.bytes > self.most;
        match fault {
            _ if self.full => {}
            Some(bad) => self.bad.push(bad),
            None => self.pairs.push(draft),
        }
    }
}

fn fault(draft: &Draft, names: [&str; 2]) -> Option<Bad> {
    if draft.prompt.is_blank() {
        return Some(Bad::new(BadReason::EmptyPrompt, "the prompt is empty"));
    }
    for (response, name) in draft.responses.iter().zip(names) {
        if response.trim().is_empty() {
            return Some(Bad::new(
                BadReason::EmptyResponse,
                format!("the response in `{name}` is empty"),
            ));
        }
    }
    let [first, second] = names;
    (draft.responses[0] == draft.responses[1]).then(|| {
        let detail = format!("the responses in `{first}` and `{second}` are the same");
        Bad::new(BadReason::IdenticalResponses, detail)
    })
}
