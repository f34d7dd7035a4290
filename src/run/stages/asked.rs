//! Pairs that an annotator is asked about, and what it says of them.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::Recipe;
use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::AboutStage;
use super::encode::{encode, encoder, max_length};
use super::labels::for_policy;
use super::prepared::Prepared;
use super::random::stream;
use super::reader::{pad, trained_files};
use crate::annotate::{Annotation, Pool, Seen, score_sequences};
use crate::batch::Sequence;
use crate::data::{AnnotatedPair, Side, weak_label};
use crate::model::{Footprint, ModelFiles, load_as};
use crate::text::{EncodedPair, Fit, prompt_text};

/// A pair that an annotator is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Its index.
    pub(super) pair: usize,
    /// Whether it is there for evaluation alone.
    pub(super) held_out: bool,
}

impl Asked {
    /// The pairs of which an annotator without a model has something to say.
    pub(super) fn without_model(
        session: &mut Session<'_>,
        prepared: &Prepared,
        pool: Pool,
    ) -> Result<Vec<Self>, RunError> {
        let settings = session.recipe.annotator.clone();
        let mut asked: Vec<Self> = for_policy(&session.recipe, prepared)
            .into_iter()
            .map(|pair| Self { pair, held_out: false })
            .collect();
        if !settings.kind.reads().labels() {
            let held_out = prepared.split.held_out.iter();
            asked.extend(held_out.map(|&pair| Self { pair, held_out: true }));
        }
        let all = asked.len();
        asked.retain(|asked| {
            let seen = Seen { pair: &prepared.pairs[asked.pair], scores: None, pool };
            settings.kind.annotate(&seen, &settings.constants).is_some()
        });
        if asked.len() < all {
            session.warn(format!(
                "{} of {all} pairs are left out: {}",
                all - asked.len(),
                if settings.kind.reads().labels() {
                    "the files have no label for them, or do not say how sure it is"
                } else {
                    "the annotator has nothing to say of them"
                }
            ))?;
        }
        Ok(asked)
    }
}

/// The same pairs in the tokens of the annotator's model.
pub(super) struct Texts {
    files: ModelFiles,
    pad: Option<u32>,
    pairs: Vec<EncodedPair>,
}

impl Texts {
    /// The unlabelled and the held-out pairs that the annotator's model can read.
    pub(super) fn of(
        session: &mut Session<'_>,
        prepared: &Prepared,
    ) -> Result<(Vec<Asked>, Self), RunError> {
        let files = trained_files(session)?;
        let encoder = encoder(session, &files)?;
        let pad = pad(&files, &encoder, session.state.now.report.annotator.steps)?;
        let max_length = max_length(&session.recipe, &files)?;
        let (mut asked, mut pairs) = (Vec::new(), Vec::new());
        for (held_out, name, indexes) in [
            (false, "unlabelled", &prepared.split.unlabelled),
            (true, "held-out", &prepared.split.held_out),
        ] {
            for pair in encode(session, &encoder, prepared, indexes, ["annotator", name])? {
                if pair.fit(Fit::Whole, max_length).is_some() {
                    asked.push(Asked { pair: pair.pair, held_out });
                    pairs.push(pair);
                } else {
                    session.too_long.insert(pair.pair);
                }
            }
        }
        Ok((asked, Self { files, pad, pairs }))
    }

    /// Scores of both responses of each pair.
    pub(super) fn score(
        self,
        session: &mut Session<'_>,
        stage: &'static AboutStage,
    ) -> Result<Vec<[f32; 2]>, RunError> {
        let Self { files, pad, pairs } = self;
        let annotator = load_as(&files, &session.device, session.recipe.annotator.precision)?;
        if annotator.decoder.score.is_none() {
            return Err(RunError::Impossible(format!(
                "{} has no score.weight, and annotator.epochs = 0; let it learn (annotator.epochs = 5, say)",
                files.name()
            )));
        }
        let sequences: Vec<&Sequence> = pairs.iter().flat_map(|p| &p.sides).collect();
        let settings = &session.recipe.annotator;
        let footprint = Footprint::of(&annotator, settings.precision);
        let wanted = 2 * settings.training.batch_size;
        let batch_size = session.scoring_batch(stage, &footprint, true, &sequences, wanted)?;
        let total = pairs.len() as u64;
        let mut cache = session.cached(&annotator.decoder, &format!("scores, padding {pad:?}"))?;
        let new: Vec<&Sequence> =
            sequences.iter().copied().filter(|side| cache.get(side).is_none()).collect();
        let known = (sequences.len() - new.len()) as u64;
        let scores = score_sequences(&annotator.decoder, &new, pad, batch_size, &mut |done| {
            session.progress(stage.stage, (known + done as u64) / 2, total)
        })?;
        new.into_iter().zip(scores).for_each(|(side, score)| cache.put(side, score));
        let of = |side: &Sequence| cache.get(side).unwrap_or(f32::NAN);
        let scores = pairs.iter().map(|pair| pair.sides.each_ref().map(of)).collect();
        session.keep_cache(cache)?;
        Ok(scores)
    }
}

/// A probability of 1 has no finite margin; this is near enough to it.
const SUREST: f64 = 0.9999;

/// What the annotator says of pairs, as rows of the table, and how many it scores alike on both sides; scores
/// stand in the order of the pairs.
pub(super) fn annotate(
    recipe: &Recipe,
    prepared: &Prepared,
    asked: &[Asked],
    pool: Pool,
    scores: Option<&[[f32; 2]]>,
) -> (Vec<AnnotatedPair>, usize) {
    let (kind, constants) = (recipe.annotator.kind, &recipe.annotator.constants);
    let mut ties = 0;
    let row = |(i, asked): (usize, &Asked)| {
        let pair = &prepared.pairs[asked.pair];
        let seen = Seen { pair, scores: scores.map(|scores| scores[i]), pool };
        let said = kind.annotate(&seen, constants)?;
        let (label, scores, margin) = match said {
            Annotation::Scores(scores) => {
                let [first, second] = scores.map(f64::from);
                ties += usize::from(first == second);
                let label = weak_label(scores, || coin(recipe.seed, asked.pair));
                (label, scores, (first - second).abs())
            }
            Annotation::Margin(label, margin) => (label, one_sided(label, margin), margin),
            Annotation::Probability(label, p) => {
                // σ(d/T) = p.
                let p = p.clamp(0.5, SUREST);
                let margin = recipe.confidence.temperature * (p / (1.0 - p)).ln();
                (label, one_sided(label, margin), margin)
            }
        };
        let human = pair.label.filter(|_| !kind.reads().labels());
        Some(AnnotatedPair {
            pair: Some(asked.pair as u64),
            split: if asked.held_out { "held_out" } else { "unlabelled" }.to_owned(),
            prompt: prompt_text(&pair.prompt),
            responses: pair.responses.clone(),
            human: human.map(|label| label.preferred),
            scores,
            label,
            margin,
            columns: BTreeMap::new(),
        })
    };
    let rows = asked.iter().enumerate().filter_map(row).collect();
    (rows, ties)
}

/// Scores that stand for a margin: the other response has 0.
fn one_sided(label: Side, margin: f64) -> [f32; 2] {
    let mut scores = [0.0; 2];
    scores[label.index()] = margin as f32;
    scores
}

/// Breaks the tie of a pair, in the same way whenever it is asked.
fn coin(seed: u64, pair: usize) -> Side {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream::TIES);
    rng.set_word_pos(pair as u128);
    if rng.random() { Side::Second } else { Side::First }
}
