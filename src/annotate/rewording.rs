//! A question in other words, so that its answers depend less on which response stands first (ZEPO, arXiv
//! 2406.11370): its instruction is paraphrased, and a wording is kept where it is fairer. No label is read.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::settings::{Holds, Limits, settings};

settings! {
    /// How a fairer question is looked for.
    pub struct Rewording {
        /// For judge, where it says which response is better (a-b): look for so many epochs for other words of its question that prefer the first place less (ZEPO, arXiv 2406.11370), before anything is labelled. In each the instruction, the longest line of the question without a place in it, up to a sentence that names the answers, is paraphrased by a model; each paraphrase is asked of a few unlabelled pairs in both orders, and kept where its fairness −|share of answers for the first place − ½| is higher than that of the best so far. No label is read. The question that is found is in the report, in the form in which a recipe takes it (annotator.prompt); a run that is resumed asks it again. The paper takes 5. 0: the question is asked as it is.
        pub optimise_prompt: u64 = 0 => {
            title: "Look for a fairer question",
            unit: "epochs",
            zero: "not at all",
            advanced: true,
        },
        /// Paraphrases in each epoch; the question as it is is one of those of the first.
        pub paraphrases: usize = 5 => {
            title: "Paraphrases",
            limits: Limits::between(1.0, 64.0, "from 1 to 64"),
            advanced: true,
        },
        /// Unlabelled pairs that each paraphrase is asked about, in both orders; drawn by the seed. What is found is told on up to 100 further ones, too.
        pub optimise_items: usize = 10 => {
            title: "Asked about",
            unit: "pairs",
            limits: Limits::between(1.0, 1000.0, "from 1 to 1,000 pairs"),
            advanced: true,
        },
        /// How freely paraphrases are drawn: what the logits are divided by.
        pub paraphrase_temperature: f64 = 0.9 => {
            title: "Paraphrases' temperature",
            limits: Limits::POSITIVE,
            advanced: true,
        },
        /// The model that paraphrases: a folder or a hub name of a language model, one that follows instructions best of all. It is stored with annotator.precision, and in memory beside the judge while a question is looked for. Empty takes the judge's own model.
        pub paraphraser: String = String::new() => {
            title: "Who paraphrases",
            holds: Holds::Model,
            zero: "the judge's own model",
            advanced: true,
        },
    }
}

/// The least that can be said in other words.
const FEWEST_WORDS: usize = 3;

/// A question, cut at what says what to do: in the line with the most words, of those without a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    before: String,
    /// What can be said in other words.
    pub words: String,
    after: String,
}

impl Instruction {
    /// Of a question with these answers and places; `None` where no line has three words or more and no place. Of
    /// its line what stands before the first sentence that names an answer, such as “Answer with A or B.”, where
    /// that is three words or more: small models lose the answers' words.
    pub fn of(question: &str, answers: [&str; 2], places: &[&str]) -> Option<Self> {
        let lines = question.split('\n').scan(0, |start, line| {
            let at = *start;
            *start += line.len() + 1;
            Some((at, line))
        });
        let free = lines.filter(|(_, line)| !places.iter().any(|place| line.contains(place)));
        let (at, line) = free.max_by_key(|(_, line)| line.split_whitespace().count())?;
        let words = line.trim();
        if words.split_whitespace().count() < FEWEST_WORDS {
            return None;
        }
        let words = before_answers(words, answers);
        let at = at + line.len() - line.trim_start().len();
        Some(Self {
            before: question[..at].to_owned(),
            words: words.to_owned(),
            after: question[at + words.len()..].to_owned(),
        })
    }

    /// The question with other words in place of the line.
    pub fn with(&self, words: &str) -> String {
        [&self.before, words, &self.after].concat()
    }
}

/// The sentences of a line before the first that names an answer, or all of them where there are too few words.
fn before_answers<'a>(line: &'a str, answers: [&str; 2]) -> &'a str {
    let free = |sentence: &&str| !answers.iter().any(|answer| has_word(sentence, answer));
    let sentences = line.split_inclusive(['.', '?', '!']).take_while(free);
    let found = line[..sentences.map(str::len).sum()].trim_end();
    if found.split_whitespace().count() < FEWEST_WORDS { line } else { found }
}

/// What asks a model to say an instruction in other words: one that is talked to (`chat`), or one that writes on.
pub fn paraphrase_request(instruction: &str, answers: [&str; 2], chat: bool) -> String {
    let [first, second] = answers;
    let keep = if answers.iter().any(|answer| has_word(instruction, answer)) {
        format!(", and keep the words {first} and {second}")
    } else {
        String::new()
    };
    if chat {
        format!(
            "Paraphrase the following instruction for a task in which two responses are compared. Keep its meaning{keep}. Be diverse. Write the paraphrase alone, in one line.\n\nInstruction: {instruction}"
        )
    } else {
        format!("Instruction: {instruction}\n\nThe same instruction in other words:")
    }
}

/// What a model wrote, and whether it came to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its text.
    pub text: String,
    /// Whether it ended by itself.
    pub ended: bool,
}

impl Answer {
    /// The paraphrase in it: its first line that is no heading, without quotes; `None` where there is none, its
    /// end was cut off, or it holds what is no text (control characters, bytes that are no character).
    fn paraphrase(&self) -> Option<&str> {
        let mut lines = self.text.trim().split('\n').map(str::trim);
        let line = lines.find(|line| !line.is_empty() && !line.ends_with(':'))?;
        let whole = self.ended || lines.next().is_some();
        let line = line.strip_prefix("Instruction:").unwrap_or(line);
        let line = line.trim_matches(|c: char| c.is_whitespace() || "\"“”*".contains(c));
        let text = !line.chars().any(|c| c.is_control() || c == char::REPLACEMENT_CHARACTER);
        (whole && text && !line.is_empty()).then_some(line)
    }
}

/// Paraphrases that were not asked, by what was wrong with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unasked {
    /// Nothing was written, its end was cut off, or it is no text.
    pub unwritten: usize,
    /// An answer's word is lost.
    pub lost: usize,
    /// A place of the question stands in it.
    pub places: usize,
    /// It is known already.
    pub known: usize,
    /// With it the answers are no single tokens, or a question is too long.
    pub unaskable: usize,
}

impl Unasked {
    /// All of them.
    pub fn all(&self) -> usize {
        self.unwritten + self.lost + self.places + self.known + self.unaskable
    }
}

/// A wording that was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The instruction.
    pub words: String,
    /// Its fairness, see [`fairness`].
    #[serde(with = "crate::finite")]
    pub fairness: f64,
}

/// The fairest wording, and the way to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reworded {
    /// The fairest; of equally fair ones the earliest.
    pub best: Tried,
    /// All that were asked, the original first.
    pub tried: Vec<Tried>,
    /// How many were written and not asked.
    pub unasked: Unasked,
    /// Epochs; fewer than asked for where nothing can be fairer.
    pub epochs: u64,
}

/// −|rate(P(A) > ½) − ½|: 0 where the first place is preferred in half of all questions, −½ where always or
/// never. `odds` are log-odds of the first place, either response of each pair standing there; 0 of none.
pub fn fairness(odds: &[[f64; 2]]) -> f64 {
    0.0 - position_bias(odds).abs()
}

/// rate(P(A) > ½) − ½, from −½ to ½: how much more often than in half of all questions the first place is
/// preferred; 0 of none.
pub fn position_bias(odds: &[[f64; 2]]) -> f64 {
    let first = odds.iter().flatten().filter(|odds| **odds > 0.0).count() as f64;
    let all = 2.0 * odds.len() as f64;
    // Of whole numbers, so that as far above half is exactly as unfair as below it.
    if odds.is_empty() { 0.0 } else { (2.0 * first - all) / (2.0 * all) }
}

/// Look for a fairer wording of a question whose own has this fairness, and whose answers and places these are.
///
/// # Errors
///
/// The asker's.
pub fn reword<E>(
    instruction: &Instruction,
    own: f64,
    (answers, places): ([&str; 2], &[&str]),
    settings: &Rewording,
    asking: &mut dyn Asker<E>,
) -> Result<Reworded, E> {
    let original = Tried { words: instruction.words.clone(), fairness: own };
    let mut known = BTreeSet::from([original.words.clone()]);
    let mut found = Reworded {
        best: original.clone(),
        tried: vec![original],
        unasked: Unasked::default(),
        epochs: 0,
    };
    // Nothing is fairer than 0.
    while found.epochs < settings.optimise_prompt && found.best.fairness < 0.0 {
        // The question as it is was one of the first.
        let count = settings.paraphrases - usize::from(found.epochs == 0);
        for answer in asking.write(&found.best.words, count)? {
            let words = match sound(&answer, &instruction.words, answers, places, &known) {
                Ok(words) => words.to_owned(),
                Err(which) => {
                    *which(&mut found.unasked) += 1;
                    continue;
                }
            };
            known.insert(words.clone());
            match asking.judge(&instruction.with(&words))? {
                Some(fairness) => found.tried.push(Tried { words, fairness }),
                None => found.unasked.unaskable += 1,
            }
        }
        for tried in &found.tried {
            if tried.fairness > found.best.fairness {
                found.best = tried.clone();
            }
        }
        found.epochs += 1;
        asking.progress(found.epochs)?;
    }
    Ok(found)
}

/// What a search asks of models.
pub trait Asker<E> {
    /// What a model answers to a request for other words of an instruction, so many times.
    ///
    /// # Errors
    ///
    /// The model's.
    fn write(&mut self, instruction: &str, count: usize) -> Result<Vec<Answer>, E>;

    /// How fair a question is; `None` for one that cannot be asked.
    ///
    /// # Errors
    ///
    /// The model's.
    fn judge(&mut self, question: &str) -> Result<Option<f64>, E>;

    /// So many epochs are done.
    ///
    /// # Errors
    ///
    /// Somebody ends it.
    fn progress(&mut self, epochs: u64) -> Result<(), E>;
}

/// The count of one kind of what is not asked.
type Count = fn(&mut Unasked) -> &mut usize;

/// A paraphrase that may stand in the question, or what is wrong with it.
fn sound<'a>(
    answer: &'a Answer,
    original: &str,
    answers: [&str; 2],
    places: &[&str],
    known: &BTreeSet<String>,
) -> Result<&'a str, Count> {
    let words = answer.paraphrase().ok_or::<Count>(|unasked| &mut unasked.unwritten)?;
    if places.iter().any(|place| words.contains(place)) {
        return Err(|unasked| &mut unasked.places);
    }
    if answers.iter().any(|answer| has_word(original, answer) && !has_word(words, answer)) {
        return Err(|unasked| &mut unasked.lost);
    }
    if known.contains(words) {
        return Err(|unasked| &mut unasked.known);
    }
    Ok(words)
}

/// Whether a text has a word, as it is written.
fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|part| part == word)
}
