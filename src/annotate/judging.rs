//! How a judge is asked: the settings, the words, and where the pair stands in them.

use serde::{Deserialize, Serialize};

use super::rewording::{Instruction, Rewording};
use crate::data::{Pair, Prompt};
use crate::settings::{Words, settings};
use crate::text::prompt_text;

/// What a judge is asked of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// Of each response whether it is good (arXiv 2502.16182).
    #[default]
    YesNo,
    /// Which of both is better, in both orders (arXiv 2406.11370).
    AB,
}

settings! {
    /// How a judge is asked.
    pub struct Judging {
        /// For judge and trained-judge (a-b alone): what it is asked. yes-no: of each response whether it is good; the log-odds of Yes are its score. a-b: which response is better, once in each order; the mean probability of both orders is that of the label, so that a preference for the first place cancels.
        pub judge: Asked = Asked::YesNo => {
            title: "The judge says",
            words: Words::Of(&[
                ("yes-no", "whether a response is good"),
                ("a-b", "which response is better"),
            ]),
        },
        /// For judge and trained-judge: the question, with {prompt} and {response} (yes-no) or {response_a} and {response_b} (a-b) where these stand; empty for the usual one. It ends where the answer, Yes or No, A or B, is to be read. What stands before {prompt} is computed once for a batch of pairs, what stands between it and the response once for each prompt, and what stands behind the response for each question anew.
        pub prompt: String = String::new() => {
            title: "Its question",
            zero: "the usual one",
            advanced: true,
        },
        /// How a fairer question is looked for.
        #[serde(flatten)]
        pub rewording: Rewording = Rewording::default(),
    }
}

/// A question of which the next token is the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The whole question.
    pub text: String,
    /// Two answers, the first of which speaks for the response in question (or in first place).
    pub answers: [&'static str; 2],
}

/// All places that a question may have.
pub const PLACES: [&str; 4] = ["{prompt}", "{response}", "{response_a}", "{response_b}"];

/// What stands before the responses is the same for all questions about a pair, and what stands before the
/// conversation for all questions; both are computed once. What stands behind is not, so that the conversation
/// comes first.
const YES_NO: &str = "Conversation:\n{prompt}\n\nResponse:\n{response}\n\n";
const A_B: &str =
    "Conversation:\n{prompt}\n\nResponse A:\n{response_a}\n\nResponse B:\n{response_b}\n\n";

impl Asked {
    /// What it may answer.
    pub fn answers(self) -> [&'static str; 2] {
        match self {
            Self::YesNo => ["Yes", "No"],
            Self::AB => ["A", "B"],
        }
    }

    /// The places that a question has to name.
    pub fn places(self) -> &'static [&'static str] {
        match self {
            Self::YesNo => &["{prompt}", "{response}"],
            Self::AB => &["{prompt}", "{response_a}", "{response_b}"],
        }
    }

    /// The usual question to a model that is talked to (`chat`), or that writes on.
    fn usual(self, chat: bool) -> String {
        let (pair, asks) = match self {
            Self::YesNo => (YES_NO, "Is this response helpful, honest and harmless?"),
            Self::AB => (A_B, "Which response is more helpful, honest and harmless?"),
        };
        let [first, second] = self.answers();
        let ends = match chat {
            true => format!(" Answer with {first} or {second} alone."),
            false => format!(" Answer with {first} or {second}.\nAnswer:"),
        };
        format!("{pair}{asks}{ends}")
    }
}

impl Judging {
    /// Whether the question has a place for all that it is about.
    ///
    /// # Errors
    ///
    /// The first that is missing, and what to write.
    pub fn check(&self) -> Result<(), String> {
        let places = self.judge.places();
        let missing = |place: &&&str| !self.prompt.is_empty() && !self.prompt.contains(**place);
        match places.iter().find(missing) {
            None => Ok(()),
            Some(missing) => Err(format!(
                "annotator.prompt has no {missing}; expected {}, or an empty text for the usual question",
                places.join(" and ")
            )),
        }
    }

    /// Whether a fairer question can be looked for, where that is asked for.
    ///
    /// # Errors
    ///
    /// The key of what is in the way, and what to write.
    pub fn check_rewording(&self) -> Result<(), (&'static str, String)> {
        let epochs = self.rewording.optimise_prompt;
        if epochs == 0 {
            return Ok(());
        }
        if self.judge != Asked::AB {
            let found = format!(
                "annotator.optimise_prompt = {epochs} looks for a question that prefers the first place less, and with annotator.judge = \"yes-no\" there is one response alone; set annotator.judge = \"a-b\", or annotator.optimise_prompt = 0"
            );
            return Err(("annotator.optimise_prompt", found));
        }
        if self.instruction(true).is_none() {
            let found = format!(
                "annotator.prompt has no line of three words or more without {}, so that annotator.optimise_prompt has nothing to say in other words; write what is to be done on a line of its own",
                self.judge.places().join(", ")
            );
            return Err(("annotator.prompt", found));
        }
        Ok(())
    }

    /// The question to a model that is talked to (`chat`), or that writes on, with its places.
    pub fn text(&self, chat: bool) -> String {
        if self.prompt.is_empty() { self.judge.usual(chat) } else { self.prompt.clone() }
    }

    /// The same, cut at what can be said in other words.
    pub fn instruction(&self, chat: bool) -> Option<Instruction> {
        Instruction::of(&self.text(chat), self.judge.answers(), self.judge.places())
    }

    /// Both questions about a pair: about each response, or in each order.
    pub fn questions(&self, pair: &Pair, chat: bool) -> [Question; 2] {
        let asks = self.text(chat);
        let conversation = conversation(&pair.prompt);
        let question = |first: usize| {
            let (this, other) = (pair.responses[first].trim(), pair.responses[1 - first].trim());
            let fillings: [&str; 4] = [&conversation, this, this, other];
            Question { text: filled(&asks, &fillings), answers: self.judge.answers() }
        };
        [question(0), question(1)]
    }
}

/// The conversation as a judge reads it: without the mark of who speaks next.
fn conversation(prompt: &Prompt) -> String {
    let text = prompt_text(prompt);
    let text = text.trim();
    text.strip_suffix("\n\nAssistant:").unwrap_or(text).to_owned()
}

/// A text with each of [`PLACES`] filled once, whatever is filled in.
fn filled(text: &str, fillings: &[&str; 4]) -> String {
    let mut whole = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        whole.push_str(before);
        let found = PLACES
            .iter()
            .zip(fillings)
            .find_map(|(place, filling)| from.strip_prefix(place).map(|behind| (*filling, behind)));
        let (filling, behind) = found.unwrap_or_else(|| from.split_at(1));
        whole.push_str(filling);
        rest = behind;
    }
    whole + rest
}
