//! A small world of questions and answers in which the true worth of every answer is
//! known.
//!
//! A user asks for advice on an everyday matter, an assistant answers in a few short
//! sentences. Because a grammar writes them, [`gold_reward`] can read any text and say
//! exactly what it is worth; people who compare two answers see that worth through noise.
//! So the demonstration needs no download, and after a run it can be checked whether the
//! policy got better in truth and not only in the eyes of its annotator.
//!
//! Some of what makes an answer good shows in a few words (rudeness, empty talk), some only
//! in how question and answer fit together (whether advice belongs to the matter at all):
//! a weak annotator is sure of the one and unsure of the other.
//!
//! All that is drawn here is a function of its seed.

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use super::gold::{
    MAX_ADVICE, MAX_REWARD, MAX_SENTENCES, Part, explain, gold_reward, topics_of,
};
use super::lexicon::{
    ADVICE_FORMS, CIRCUMSTANCES, CURT, DISMISSALS, FILLERS, NEUTRAL, OFFERS, QUESTIONS,
    REASON_FORMS, RUDE, TOPICS, WARM, topic,
};

/// The noise at which people prefer the worse of two responses in about one pair of six:
/// 17 % of 20,000 pairs, an equal pair counting as half.
pub const DEFAULT_NOISE: f64 = 1.25;

/// Two responses to one prompt, and which of them a person preferred.
#[derive(Clone, Debug, PartialEq)]
pub struct WorldPair {
    /// The transcript up to where the assistant speaks: `"\n\nHuman: …\n\nAssistant:"`.
    pub prompt: String,
    /// Two different responses, each with a leading space.
    pub responses: [String; 2],
    /// Whether the person preferred the second response.
    pub human_prefers_second: bool,
    /// The gold reward of each response.
    pub gold: [f64; 2],
}

/// Pairs as people would label them: P(first preferred) = σ((r₁ − r₂)/noise).
///
/// With a `noise` of 0 people always prefer the better response, and toss a coin for equal
/// ones. Prompts come back only after all that are not held out were used.
pub fn pairs(count: usize, seed: u64, noise: f64) -> Vec<WorldPair> {
    let mut rng = generator(seed, Stream::Pairs);
    let questions = shuffled(&mut rng, false);
    questions.iter().cycle().take(count).map(|&q| pair(&mut rng, q, noise)).collect()
}

/// Text to pretrain a policy on: prompts, not the held-out ones, each with one response.
///
/// The responses are of all qualities, so that a policy that imitates them is mediocre and
/// yet able to give good answers.
pub fn pretraining_text(count: usize, seed: u64) -> impl Iterator<Item = (String, String)> {
    let mut rng = generator(seed, Stream::Pretraining);
    let questions = shuffled(&mut rng, false);
    (0..count).map(move |i| {
        let question = questions[i % questions.len()];
        (question.prompt(), Draft::sample(&mut rng, question.topic(), &PRETRAINING))
    })
}

/// Distinct prompts for evaluation, which neither [`pairs`] nor [`pretraining_text`] ever
/// uses; fewer than `count` only if there are no more.
pub fn prompts(count: usize, seed: u64) -> Vec<String> {
    let mut rng = generator(seed, Stream::Prompts);
    let mut questions = shuffled(&mut rng, true);
    questions.truncate(count);
    questions.into_iter().map(Question::prompt).collect()
}

/// What draws from a seed; each has its own stream, so that equal seeds do not make equal
/// choices.
#[derive(Clone, Copy)]
enum Stream {
    Pairs,
    Pretraining,
    Prompts,
}

fn generator(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream as u64);
    rng
}

/// One prompt in this many is held out.
const HELD_OUT: u64 = 8;

/// One of the questions that can be asked, as a number below [`Question::COUNT`].
#[derive(Clone, Copy)]
struct Question(usize);

impl Question {
    const GOALS: usize = 3;
    const COUNT: usize = TOPICS * Self::GOALS * QUESTIONS.len() * CIRCUMSTANCES.len();

    fn topic(self) -> usize {
        self.0 % TOPICS
    }

    /// Whether the question is kept for evaluation. It depends on the question alone, so
    /// that no seed and no count lets a held-out prompt into training; the multiplication
    /// spreads them over topics and wordings.
    fn held_out(self) -> bool {
        ((self.0 as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32).is_multiple_of(HELD_OUT)
    }

    fn prompt(self) -> String {
        let wording = self.0 / TOPICS;
        let goal = topic(self.topic()).goals[wording % Self::GOALS];
        let wording = wording / Self::GOALS;
        let circumstance = CIRCUMSTANCES[wording % CIRCUMSTANCES.len()];
        let question = QUESTIONS[wording / CIRCUMSTANCES.len()];
        let question = question.replace("{}", &format!("{goal}{circumstance}"));
        format!("\n\nHuman: {question}\n\nAssistant:")
    }
}

/// All questions that are held out, or all others, in random order.
fn shuffled(rng: &mut ChaCha8Rng, held_out: bool) -> Vec<Question> {
    let mut questions: Vec<_> =
        (0..Question::COUNT).map(Question).filter(|q| q.held_out() == held_out).collect();
    questions.shuffle(rng);
    questions
}

fn pair(rng: &mut ChaCha8Rng, question: Question, noise: f64) -> WorldPair {
    let prompt = question.prompt();
    let first = Draft::sample(rng, question.topic(), &COMPARED);
    let second = loop {
        let second = Draft::sample(rng, question.topic(), &COMPARED);
        if second != first {
            break second;
        }
    };
    let gold = [gold_reward(&prompt, &first), gold_reward(&prompt, &second)];
    let difference = gold[0] - gold[1];
    let prefers_first = if noise > 0.0 {
        1.0 / (1.0 + (-difference / noise).exp())
    } else if difference == 0.0 {
        0.5
    } else {
        f64::from(u8::from(difference > 0.0))
    };
    let human_prefers_second = rng.random::<f64>() >= prefers_first;
    WorldPair { prompt, responses: [first, second], human_prefers_second, gold }
}

/// How a response treats the user.
#[derive(Clone, Copy)]
enum Manners {
    Kind,
    Plain,
    Rude,
}

/// What the advice in a response is worth.
#[derive(Clone, Copy)]
enum Substance {
    Expert,
    Mixed,
    Vague,
    OffTopic,
    Harmful,
}

/// How often responses have which quality. Manners and substance are drawn apart, so that
/// neither can stand in for the other.
struct Mix {
    manners: [(Manners, f64); 3],
    substance: [(Substance, f64); 5],
}

/// The responses that people compare: the ends of the scale are frequent, so that many
/// pairs are clear.
const COMPARED: Mix = Mix {
    manners: [(Manners::Kind, 0.4), (Manners::Plain, 0.25), (Manners::Rude, 0.35)],
    substance: [
        (Substance::Expert, 0.35),
        (Substance::Mixed, 0.2),
        (Substance::Vague, 0.15),
        (Substance::OffTopic, 0.2),
        (Substance::Harmful, 0.1),
    ],
};

/// The responses that a policy is pretrained on: mostly mediocre, sometimes excellent.
const PRETRAINING: Mix = Mix {
    manners: [(Manners::Kind, 0.35), (Manners::Plain, 0.4), (Manners::Rude, 0.25)],
    substance: [
        (Substance::Expert, 0.25),
        (Substance::Mixed, 0.35),
        (Substance::Vague, 0.15),
        (Substance::OffTopic, 0.15),
        (Substance::Harmful, 0.1),
    ],
};

/// What a sentence of advice turns out to be.
#[derive(Clone, Copy)]
enum Content {
    Right,
    OffTopic,
    Bad,
    Filler,
    Again,
}

impl Substance {
    /// How often which content comes of it.
    fn contents(self) -> [(Content, f64); 5] {
        use Content::{Again, Bad, Filler, OffTopic, Right};
        let [right, off_topic, bad, filler, again] = match self {
            Self::Expert => [0.94, 0.02, 0.0, 0.02, 0.02],
            Self::Mixed => [0.55, 0.18, 0.07, 0.15, 0.05],
            Self::Vague => [0.25, 0.1, 0.05, 0.5, 0.1],
            Self::OffTopic => [0.12, 0.7, 0.03, 0.1, 0.05],
            Self::Harmful => [0.15, 0.15, 0.6, 0.05, 0.05],
        };
        [(Right, right), (OffTopic, off_topic), (Bad, bad), (Filler, filler), (Again, again)]
    }
}

/// A response while it is being written.
struct Draft {
    topic: usize,
    sentences: Vec<String>,
    /// The pieces of right advice not given yet.
    unused: Vec<usize>,
    /// Of which advice the last sentence spoke, so that a reason can follow.
    last_advice: Option<(usize, usize)>,
}

impl Draft {
    /// Write a response.
    ///
    /// How many sentences there are is drawn apart from how good they are: length must not
    /// tell an annotator which response is better.
    fn sample(rng: &mut ChaCha8Rng, topic_number: usize, mix: &Mix) -> String {
        let manners = pick(rng, &mix.manners);
        let substance = pick(rng, &mix.substance);
        let contents = pick(rng, &[(1, 0.3), (2, 0.4), (3, 0.3)]);
        let has_reason = contents < 3 && rng.random_bool(if contents == 1 { 0.75 } else { 0.45 });
        let mut draft = Self {
            topic: topic_number,
            sentences: Vec::new(),
            unused: (0..topic(topic_number).right.len()).collect(),
            last_advice: None,
        };
        draft.open(rng, manners);
        let opened = draft.sentences.len();
        let reason_after = rng.random_range(0..contents);
        for i in 0..contents {
            draft.advise(rng, substance, opened);
            if has_reason && i == reason_after {
                draft.give_reason(rng);
            }
        }
        draft.close(rng, manners);
        // A lone sentence is no answer, and says too little to be compared.
        if draft.sentences.len() < 2 {
            draft.advise(rng, substance, opened);
        }
        format!(" {}", draft.sentences.join(" "))
    }

    fn open(&mut self, rng: &mut ChaCha8Rng, manners: Manners) {
        let rows: [(&[&str], f64); 5] = match manners {
            Manners::Kind => {
                [(&WARM, 0.75), (&NEUTRAL, 0.1), (&CURT, 0.0), (&RUDE, 0.0), (&[], 0.15)]
            }
            Manners::Plain => {
                [(&WARM, 0.1), (&NEUTRAL, 0.35), (&CURT, 0.15), (&RUDE, 0.0), (&[], 0.4)]
            }
            Manners::Rude => {
                [(&WARM, 0.0), (&NEUTRAL, 0.1), (&CURT, 0.25), (&RUDE, 0.5), (&[], 0.15)]
            }
        };
        let row = pick(rng, &rows);
        self.say_one_of(rng, row);
    }

    fn close(&mut self, rng: &mut ChaCha8Rng, manners: Manners) {
        let rows: [(&[&str], f64); 3] = match manners {
            Manners::Kind => [(&OFFERS, 0.65), (&DISMISSALS, 0.0), (&[], 0.35)],
            Manners::Plain => [(&OFFERS, 0.1), (&DISMISSALS, 0.1), (&[], 0.8)],
            Manners::Rude => [(&OFFERS, 0.0), (&DISMISSALS, 0.65), (&[], 0.35)],
        };
        let row = pick(rng, &rows);
        self.say_one_of(rng, row);
    }

    /// Add a sentence of advice; `opened` is how many sentences stood before all advice.
    fn advise(&mut self, rng: &mut ChaCha8Rng, substance: Substance, opened: usize) {
        self.last_advice = None;
        match pick(rng, &substance.contents()) {
            Content::Right if !self.unused.is_empty() => {
                let advice = self.unused.swap_remove(rng.random_range(0..self.unused.len()));
                self.say(rng, &ADVICE_FORMS, topic(self.topic).right[advice].0);
                self.last_advice = Some((self.topic, advice));
            }
            Content::OffTopic => {
                let other = self.other_topic(rng);
                let advice = rng.random_range(0..topic(other).right.len());
                self.say(rng, &ADVICE_FORMS, topic(other).right[advice].0);
                self.last_advice = Some((other, advice));
            }
            Content::Bad => {
                let wrong = topic(self.topic).wrong;
                let advice = wrong[rng.random_range(0..wrong.len())];
                self.say(rng, &ADVICE_FORMS, advice);
            }
            Content::Again if self.sentences.len() > opened => {
                self.sentences.extend(self.sentences.last().cloned());
            }
            Content::Right | Content::Filler | Content::Again => self.say_one_of(rng, &FILLERS),
        }
    }

    /// Add a reason for the last advice; where there is none, one that hangs in the air.
    fn give_reason(&mut self, rng: &mut ChaCha8Rng) {
        let (about, advice) = self.last_advice.unwrap_or_else(|| {
            let about = if rng.random_bool(0.5) { self.topic } else { self.other_topic(rng) };
            (about, rng.random_range(0..topic(about).right.len()))
        });
        self.say(rng, &REASON_FORMS, topic(about).right[advice].1);
    }

    fn other_topic(&self, rng: &mut ChaCha8Rng) -> usize {
        (self.topic + rng.random_range(1..TOPICS)) % TOPICS
    }

    fn say(&mut self, rng: &mut ChaCha8Rng, forms: &[&str], core: &str) {
        if let Some(form) = forms.choose(rng) {
            self.sentences.push(capitalised(&form.replace("{}", core)));
        }
    }

    /// Add one of the sentences, or nothing if there is none.
    fn say_one_of(&mut self, rng: &mut ChaCha8Rng, sentences: &[&str]) {
        if let Some(sentence) = sentences.choose(rng) {
            self.sentences.push((*sentence).to_owned());
        }
    }
}

fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// One of the rows, each as likely as its share; the last takes what rounding leaves.
fn pick<T: Copy, const N: usize>(rng: &mut ChaCha8Rng, rows: &[(T, f64); N]) -> T {
    let mut left = rng.random::<f64>() * rows.iter().map(|(_, share)| share).sum::<f64>();
    let mut chosen = rows[0].0;
    for &(row, share) in rows {
        if share > 0.0 {
            chosen = row;
            left -= share;
            if left < 0.0 {
                break;
            }
        }
    }
    chosen
}
