//! Look for a question whose answers depend less on which response stands first, before anything is labelled
//! (ZEPO, arXiv 2406.11370).

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::error::RunError;
use super::super::event::Event;
use super::super::session::Session;
use super::super::sizes::frozen_footprint;
use super::super::stage::{AboutStage, Stage, StageEstimate, Whose};
use super::super::{QuestionReport, Recipe, find_model};
use super::confidence::PART;
use super::encode::{encoder, max_length};
use super::estimating::Estimating;
use super::labels::for_policy;
use super::prepared::Prepared;
use super::questions::questions;
use super::random::stream;
use super::words::model;
use super::work::Work;
use super::{StageDefinition, Then};
use crate::annotate::{
    Answer, Asker, PLACES, QuestionError, Shapes, Sharing, Unasked, all_log_odds, encode_questions,
    fairness, paraphrase_request, reword,
};
use crate::batch::Sequence;
use crate::data::{Message, Prompt, Role};
use crate::model::{
    Checkpoint, Footprint, Generated, ModelError, ModelFiles, Sampling, generate, is_reward_model,
    load_as,
};
use crate::text::{Encoder, Fit};

pub(super) struct Question;

impl Stage {
    /// Look for a fairer question of a judge.
    pub const QUESTION: Self = Self("question");
}

static ABOUT: AboutStage = AboutStage {
    stage: Stage::QUESTION,
    title: "Question",
    part: &PART,
    model: Whose::Annotator,
    computes: true,
    seed: 12,
};

/// Pairs on which what was found is looked at once more.
const CHECKED: usize = 100;

/// The longest paraphrase, in tokens.
const LONGEST: usize = 128;

impl StageDefinition for Question {
    fn about(&self) -> &'static AboutStage {
        &ABOUT
    }

    fn is_skipped(&self, recipe: &Recipe) -> bool {
        let settings = &recipe.annotator;
        let epochs = settings.constants.judging.rewording.optimise_prompt;
        !settings.kind.reads().asks() || epochs == 0
    }

    fn plan(&self, recipe: &Recipe) -> String {
        if self.is_skipped(recipe) {
            return String::new();
        }
        let settings = &recipe.annotator.constants.judging.rewording;
        let who = match settings.paraphraser.as_str() {
            "" => "the judge's own model".to_owned(),
            field => format!("the model {}", model(field)),
        };
        format!(
            "For up to {} epoch{} {who} says the judge's instruction in other words; of what it writes, the question is asked that prefers the first of two responses least, as {} unlabelled pairs show in both orders.",
            settings.optimise_prompt,
            if settings.optimise_prompt == 1 { "" } else { "s" },
            settings.optimise_items
        )
    }

    fn estimate(&self, inputs: &Estimating<'_>) -> Result<Option<StageEstimate>, RunError> {
        let (recipe, reader) = (inputs.recipe, inputs.annotator()?);
        let settings = &recipe.annotator.constants.judging.rewording;
        let looked_at = settings.optimise_items + CHECKED;
        let some: Vec<usize> =
            for_policy(recipe, inputs.prepared).into_iter().take(looked_at).collect();
        let pairs = inputs.asked(reader, &some)?;
        let kind = recipe.annotator.kind.reads().output();
        let batch = 2 * recipe.annotator.training.batch_size;
        let mut found =
            inputs.inferred_questions(Stage::QUESTION, &reader.footprint, kind, &pairs, batch);
        let writes = match paraphraser(recipe)? {
            Some(files) => {
                let precision = recipe.annotator.precision;
                let writes = frozen_footprint(&files, precision, inputs.device())?;
                found.needs.weights += writes.weights();
                writes
            }
            None => reader.footprint.clone(),
        };
        // A request is about as long as what it asks for.
        let writing = writes.sampled(settings.paraphrases, LONGEST, LONGEST);
        found.needs.activations = found.needs.activations.max(writing);
        Ok(Some(found))
    }

    fn run(&self, session: &mut Session<'_>, work: &Work) -> Result<Then, RunError> {
        let prepared = work.prepared()?;
        let epochs = session.recipe.annotator.constants.judging.rewording.optimise_prompt;
        session.stage(Stage::QUESTION, epochs, |session| {
            let Some(found) = look(session, prepared)? else { return Ok(()) };
            tell(session, &found)?;
            session.tabulated("annotator.question", &found)
        })?;
        // From here on all of this run asks it, in this sitting and in later ones; the recipe in the folder stays
        // as it was written.
        if let Some(found) = session.state.now.report.annotator.question.clone() {
            session.recipe.annotator.constants.judging.prompt = found.prompt;
        }
        Ok(Then::Next)
    }
}

/// The files of the model that paraphrases, where it is not the judge's.
///
/// # Errors
///
/// There is none of the name, or it writes nothing.
fn paraphraser(recipe: &Recipe) -> Result<Option<ModelFiles>, RunError> {
    let field = &recipe.annotator.constants.judging.rewording.paraphraser;
    if field.is_empty() {
        return Ok(None);
    }
    let files = find_model(field)?;
    let classifies = match is_reward_model(&files) {
        // An estimate knows a model by its settings alone; a run looks at the weights first.
        Err(ModelError::NotAModel { .. }) => false,
        found => found?,
    };
    if classifies {
        return Err(RunError::Impossible(format!(
            "annotator.paraphraser: {} is a sequence classifier, which writes nothing; name a language model that follows instructions, or leave it empty for the judge's own",
            files.name()
        )));
    }
    Ok(Some(files))
}

/// Refuse a paraphraser that cannot write, before anything is trained.
///
/// # Errors
///
/// See [`paraphraser`].
pub(super) fn check(session: &mut Session<'_>) -> Result<(), RunError> {
    if Question.is_skipped(&session.recipe) {
        return Ok(());
    }
    let Some(files) = paraphraser(&session.recipe)? else { return Ok(()) };
    session.same_input("annotator.paraphraser", &files.fingerprint()?)?;
    encoder(session, &files).map(drop)
}

/// A model that reads or writes here.
struct Voice {
    encoder: Encoder,
    model: Checkpoint,
}

impl Voice {
    fn open(session: &mut Session<'_>, files: &ModelFiles) -> Result<Self, RunError> {
        let encoder = encoder(session, files)?;
        let model = load_as(files, &session.device, session.recipe.annotator.precision)?;
        Ok(Self { encoder, model })
    }

    fn is_talked_to(&self) -> bool {
        self.encoder.template().is_some()
    }
}

/// What the search asks, and of what.
struct Asking<'a, 'r> {
    session: &'a mut Session<'r>,
    prepared: &'a Prepared,
    judge: Voice,
    /// None where the judge's model paraphrases.
    paraphraser: Option<Voice>,
    max_length: usize,
    pairs: Vec<usize>,
    random: ChaCha8Rng,
}

/// Find the fairest wording; `None` where there is no pair to ask about.
fn look(
    session: &mut Session<'_>,
    prepared: &Prepared,
) -> Result<Option<QuestionReport>, RunError> {
    let recipe = session.recipe.clone();
    let judging = &recipe.annotator.constants.judging;
    let files = find_model(&recipe.annotator.model)?;
    let judge = Voice::open(session, &files)?;
    let max_length = max_length(&recipe, &files)?;
    let mut random = ChaCha8Rng::seed_from_u64(recipe.seed);
    random.set_stream(stream::QUESTION);
    let [pairs, further] = drawn(session, prepared, &judge.encoder, max_length, &mut random)?;
    // Looked at when the recipe was checked.
    let Some(instruction) = judging.instruction(judge.is_talked_to()) else { return Ok(None) };
    if pairs.is_empty() {
        session.warn("no fairer question is looked for: questions about no unlabelled pair fit into data.max_length".to_owned())?;
        return Ok(None);
    }
    let paraphraser = match paraphraser(&recipe)? {
        Some(files) => Some(Voice::open(session, &files)?),
        None => None,
    };
    let all = [&pairs[..], &further].concat();
    let mut asking = Asking { session, prepared, judge, paraphraser, max_length, pairs, random };
    // All of them fit with it, and its answers are single tokens: that was found out when they were drawn.
    let before = instruction.with(&instruction.words);
    let original = asking.odds(&before, &all)?.unwrap_or_default();
    let (asked, rest) = original.split_at(asking.pairs.len().min(original.len()));
    let own = fairness(&asked.iter().copied().flatten().collect::<Vec<[f64; 2]>>());
    let known = (judging.judge.answers(), &PLACES[..]);
    let found = reword(&instruction, own, known, &judging.rewording, &mut asking)?;
    let prompt = instruction.with(&found.best.words);
    let fairness_further = asking.further(&prompt, &further, rest)?;
    Ok(Some(QuestionReport {
        before,
        prompt,
        fairness: [own, found.best.fairness],
        instruction: found.best.words,
        pairs: asking.pairs.len(),
        fairness_further,
        further: further.len(),
        epochs: found.epochs,
        tried: found.tried,
        unasked: found.unasked,
    }))
}

/// Pairs to ask about, and further ones, drawn from the unlabelled ones that fit with the question as it is.
fn drawn(
    session: &mut Session<'_>,
    prepared: &Prepared,
    encoder: &Encoder,
    max_length: usize,
    random: &mut ChaCha8Rng,
) -> Result<[Vec<usize>; 2], RunError> {
    let wanted = session.recipe.annotator.constants.judging.rewording.optimise_items;
    let mut all = for_policy(&session.recipe, prepared);
    all.shuffle(random);
    let mut fitting = Vec::new();
    for part in all.chunks(wanted + CHECKED) {
        let asked = questions(&session.recipe, encoder, &prepared.pairs, part)?.encoded.pairs;
        let fits = asked.iter().filter(|pair| pair.fit(Fit::Whole, max_length).is_some());
        fitting.extend(fits.map(|pair| pair.pair));
        if fitting.len() >= wanted + CHECKED {
            break;
        }
    }
    fitting.truncate(wanted + CHECKED);
    if !fitting.is_empty() && fitting.len() < wanted {
        session.warn(format!(
            "a fairer question is looked for on {} unlabelled pairs, not on annotator.optimise_items = {wanted}: there are no more that fit",
            fitting.len()
        ))?;
    }
    let further = fitting.split_off(wanted.min(fitting.len()));
    Ok([fitting, further])
}

impl Asking<'_, '_> {
    /// Log-odds of the first place in both orders of each pair, `None` for those that do not fit; nothing where
    /// the answers are no single tokens.
    fn odds(
        &mut self,
        question: &str,
        pairs: &[usize],
    ) -> Result<Option<Vec<Option<[f64; 2]>>>, RunError> {
        let annotator = self.session.recipe.annotator.clone();
        let mut settings = annotator.constants;
        question.clone_into(&mut settings.judging.prompt);
        let (encoder, all) = (&self.judge.encoder, &self.prepared.pairs);
        let asked = match encode_questions(encoder, annotator.kind.0, &settings, all, pairs) {
            Ok(asked) => asked,
            Err(QuestionError::Text(error)) => return Err(error.into()),
            Err(_) => return Ok(None),
        };
        let Some(answers) = asked.answers else { return Ok(None) };
        let fitting: Vec<(usize, [Sequence; 2])> = asked
            .encoded
            .pairs
            .iter()
            .filter_map(|pair| Some((pair.pair, pair.fit(Fit::Whole, self.max_length)?)))
            .collect();
        let sides: Vec<&Sequence> = fitting.iter().flat_map(|(_, sides)| sides).collect();
        let (once, _) = Sharing::of(&sides);
        let footprint = Footprint::of(&self.judge.model, annotator.precision);
        let wanted = 2 * annotator.training.batch_size;
        let shapes: Shapes<'_> = &|size| once.shapes(size);
        let batch = self.session.scoring_batch_in(&ABOUT, &footprint, true, shapes, wanted)?;
        let (decoder, session) = (&self.judge.model.decoder, &mut *self.session);
        let odds = all_log_odds(decoder, &sides, answers, batch, &mut |_| session.poll())?;
        let of = |k: usize| f64::from(odds[k]);
        let found = |pair: &usize| {
            let k = fitting.iter().position(|(other, _)| other == pair)?;
            Some([of(2 * k), of(2 * k + 1)])
        };
        Ok(Some(pairs.iter().map(found).collect()))
    }

    /// Fairness of the question as it was, which these log-odds tell, and as it is now on further pairs, those
    /// that fit with both; `None` without any.
    fn further(
        &mut self,
        question: &str,
        pairs: &[usize],
        original: &[Option<[f64; 2]>],
    ) -> Result<Option<[f64; 2]>, RunError> {
        let now = self.odds(question, pairs)?.unwrap_or_default();
        let both = original.iter().zip(&now).filter_map(|(a, b)| Some(((*a)?, (*b)?)));
        let (before, after): (Vec<[f64; 2]>, Vec<[f64; 2]>) = both.unzip();
        Ok((!before.is_empty()).then(|| [fairness(&before), fairness(&after)]))
    }
}

impl Asker<RunError> for Asking<'_, '_> {
    fn write(&mut self, instruction: &str, count: usize) -> Result<Vec<Answer>, RunError> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let judging = &self.session.recipe.annotator.constants.judging;
        let sampling = Sampling {
            max_new_tokens: LONGEST,
            temperature: judging.rewording.paraphrase_temperature,
            seed: self.random.random(),
            ..Sampling::default()
        };
        let Voice { encoder, model } = self.paraphraser.as_ref().unwrap_or(&self.judge);
        let chat = encoder.template().is_some();
        let request = paraphrase_request(instruction, judging.judge.answers(), chat);
        let prompt = match chat {
            true => Prompt::Messages(vec![Message::new(Role::User, request)]),
            false => Prompt::Text(request),
        };
        let ids = encoder.encode(&encoder.prompt(&prompt)?)?;
        let requests = vec![ids.clone(); count];
        let written = generate(&model.decoder, &requests, &encoder.stop(), &sampling)?;
        self.session.poll()?;
        let answer = |written: Generated| {
            let text = encoder.tokenizer.decode_after(&ids, &written.tokens)?;
            Ok(Answer { text, ended: written.ended })
        };
        written.into_iter().map(answer).collect()
    }

    fn judge(&mut self, question: &str) -> Result<Option<f64>, RunError> {
        let pairs = self.pairs.clone();
        let odds = self.odds(question, &pairs)?;
        // On fewer pairs it would be compared with others on other pairs.
        let all: Option<Vec<[f64; 2]>> = odds.and_then(|odds| odds.into_iter().collect());
        Ok(all.map(|odds| fairness(&odds)))
    }

    fn progress(&mut self, epochs: u64) -> Result<(), RunError> {
        let total = self.session.recipe.annotator.constants.judging.rewording.optimise_prompt;
        self.session.progress(Stage::QUESTION, epochs, total)
    }
}

/// Tell what was found, and what was left out.
fn tell(session: &mut Session<'_>, found: &QuestionReport) -> Result<(), RunError> {
    let unasked = found.unasked.all();
    if unasked > 0 {
        let written = unasked + found.tried.len() - 1;
        session.warn(format!(
            "{unasked} of {written} paraphrases of the judge's instruction are not asked: {}; a model that follows instructions better (annotator.paraphraser) loses fewer",
            reasons(&found.unasked)
        ))?;
    }
    let [before, after] = found.fairness;
    let further = found.fairness_further.map_or_else(String::new, |[before, after]| {
        format!(", and from {before:.3} to {after:.3} on {} further ones", found.further)
    });
    let message = if found.is_new() {
        format!(
            "a fairer question is asked: its fairness rises from {before:.3} to {after:.3} on {} pairs{further}; its instruction is “{}”",
            found.pairs, found.instruction
        )
    } else {
        format!(
            "the question is asked as it is: of {} wordings none is fairer on {} pairs ({before:.3})",
            found.tried.len(),
            found.pairs
        )
    };
    session.emit(Event::Note { message })?;
    match found.fairness_further {
        Some([before, after]) if after < before => session.warn(format!(
            "the question that was found is less fair on {} further pairs ({after:.3}) than the one as it was ({before:.3}): it may owe its fairness to the {} pairs that it was found on; raise annotator.optimise_items, or set annotator.optimise_prompt = 0",
            found.further, found.pairs
        )),
        _ => Ok(()),
    }
}

/// Why paraphrases were not asked, in words.
fn reasons(unasked: &Unasked) -> String {
    let all = [
        (unasked.unwritten, "have no line of text that came to its end"),
        (unasked.lost, "lose the word of an answer"),
        (unasked.places, "hold a place of the question"),
        (unasked.known, "were known already"),
        (unasked.unaskable, "leave no single token for each answer, or are too long"),
    ];
    let told = all.into_iter().filter(|(count, _)| *count > 0);
    told.map(|(count, why)| format!("{count} {why}")).collect::<Vec<_>>().join(", ")
}
