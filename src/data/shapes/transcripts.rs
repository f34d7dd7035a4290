//! HH-RLHF: two whole transcripts, of which the second was rejected.
//!
//! The prompt is the text through the last `\n\nAssistant:`, which must be the same in both.
//! Nothing is trimmed: a response keeps its leading space.

use super::super::columns::Columns;
use super::super::names::judged;
use super::super::pair::{Label, Prompt, Side};
use super::super::report::BadReason;
use super::super::row::Fields;
use super::super::settings::ReadSettings;
use super::super::values::{Bad, Kind, take_text};
use super::found::{Draft, Found};
use super::shape::{Answer, Shape};

const MARKER: &str = "\n\nAssistant:";

struct Transcripts {
    names: [String; 2],
}

pub(super) fn detect(columns: &Columns, _: &ReadSettings) -> Option<Answer> {
    let texts = columns.iter().filter(|column| column.kind() == Kind::Text);
    let twins = judged(texts.map(|column| column.name.as_str())).into_iter();
    let mut twins = twins.collect::<Vec<_>>();
    twins.sort_by_key(|twins| (twins.are_about(), twins.extra().len()));
    let twins = twins.into_iter();
    let transcript = |text: &str| text.trim_start().starts_with("Human:") && text.contains(MARKER);
    let mut twins = twins.filter(|twins| {
        columns.share(|row| Some(transcript(row.get(&twins.names[0])?.as_str()?))) >= 0.5
    });
    twins.next().map(|twins| Answer::Reads(Box::new(Transcripts { names: twins.names })))
}

fn end_of_prompt(transcript: &str) -> Option<usize> {
    transcript.rfind(MARKER).map(|at| at + MARKER.len())
}

impl Shape for Transcripts {
    fn describe(&self) -> String {
        format!("HH-RLHF transcripts (`{}`, `{}`)", self.names[0], self.names[1])
    }

    fn columns(&self) -> Vec<String> {
        self.names.to_vec()
    }

    fn read(&self, row: &mut Fields, found: &mut Found) -> Result<(), Bad> {
        let [better, worse] = &self.names;
        let mut chosen = take_text(row, better)?;
        let rejected = take_text(row, worse)?;
        let Some(end) = end_of_prompt(&chosen) else {
            let detail = format!("`{better}` has no “Assistant:” turn; expected a transcript");
            return Err(Bad::new(BadReason::PromptsDiffer, detail));
        };
        if end_of_prompt(&rejected) != Some(end) || rejected[..end] != chosen[..end] {
            let detail =
                format!("`{better}` and `{worse}` part before their last “Assistant:” turn");
            return Err(Bad::new(BadReason::PromptsDiffer, detail));
        }
        let responses = [chosen[end..].to_owned(), rejected[end..].to_owned()];
        chosen.truncate(end);
        let draft = Draft {
            prompt: Prompt::Text(chosen),
            responses,
            label: Some(Label::certain(Side::First)),
        };
        found.add(draft, [better, worse]);
        Ok(())
    }
}
