//! Pairs that an annotator is asked about, and what it says of them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::Recipe;
use super::super::error::RunError;
use super::super::session::Session;
use super::labels::{for_policy, mean};
use super::prepared::Prepared;
use super::random::stream;
use crate::annotate::{Annotation, Ensemble, Pool, Seen};
use crate::data::{AnnotatedPair, Side, Split, weak_label};
use crate::preference::TRUST;
use crate::text::prompt_text;

/// A pair that an annotator is asked about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Its index.
    pub(super) pair: usize,
    /// What it is asked for.
    pub(super) part: Part,
}

/// What a pair's annotation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// For the policy.
    Unlabelled,
    /// For saying how far confidence is to be trusted.
    Calibration,
    /// For evaluation.
    HeldOut,
}

impl Part {
    /// As the table of annotations has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unlabelled => "unlabelled",
            Self::Calibration => "calibration",
            Self::HeldOut => "held_out",
        }
    }
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
            .map(|pair| Self { pair, part: Part::Unlabelled })
            .collect();
        if !settings.kind.reads().labels() {
            let Split { calibration, held_out, .. } = &prepared.split;
            for (part, pairs) in [(Part::Calibration, calibration), (Part::HeldOut, held_out)] {
                asked.extend(pairs.iter().map(|&pair| Self { pair, part }));
            }
        }
        let all = asked.len();
        asked.retain(|asked| {
            let pair = &prepared.pairs[asked.pair];
            let seen = Seen { pair, scores: None, spread: 0.0, pool };
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

/// A probability of 1 has no finite margin; this is near enough to it.
const SUREST: f64 = 0.9999;

/// Columns that several members leave and one does not.
pub(crate) const MEMBERS_COLUMNS: [&str; 2] = [SPREAD, TRUST];

/// The column of how far members differ.
pub(super) const SPREAD: &str = "spread";

/// What multiplies the weight that its confidence gives a pair.
fn trust(annotated: &AnnotatedPair) -> f64 {
    annotated.columns.get(TRUST).copied().unwrap_or(1.0)
}

/// What the annotator says of pairs, as rows of the table, and how many it scores alike on both sides; each
/// member's scores stand in the order of the pairs.
pub(super) fn annotate(
    recipe: &Recipe,
    prepared: &Prepared,
    asked: &[Asked],
    pool: Pool,
    scores: Option<&[Vec<[f64; 2]>]>,
) -> (Vec<AnnotatedPair>, usize) {
    let (kind, constants) = (recipe.annotator.kind, &recipe.annotator.constants);
    let mut ties = 0;
    let row = |(i, asked): (usize, &Asked)| {
        let pair = &prepared.pairs[asked.pair];
        let members: Option<Vec<[f64; 2]>> =
            scores.map(|members| members.iter().map(|scores| scores[i]).collect());
        let together = members.as_deref().map(Ensemble::of);
        let spread = together.map_or(0.0, |together| together.spread);
        let seen = Seen { pair, scores: together.map(|together| together.scores), spread, pool };
        let said = kind.annotate(&seen, constants)?;
        let (label, scores, margin) = match said {
            Annotation::Scores([first, second]) => {
                ties += usize::from(first == second);
                let label = weak_label([first, second], || coin(recipe.seed, asked.pair));
                (label, [first as f32, second as f32], (first - second).abs())
            }
            Annotation::Margin(label, margin) => (label, one_sided(label, margin), margin),
            Annotation::Probability(label, p) => {
                // σ(d/T) = p; a fitted T corrects what is said with T = 1.
                let p = p.clamp(0.5, SUREST);
                let margin = recipe.confidence.temperature.stated() * (p / (1.0 - p)).ln();
                (label, one_sided(label, margin), margin)
            }
        };
        let human = pair.label.filter(|_| !kind.reads().labels());
        Some(AnnotatedPair {
            pair: Some(asked.pair as u64),
            split: asked.part.name().to_owned(),
            prompt: prompt_text(&pair.prompt),
            responses: pair.responses.clone(),
            human: human.map(|label| label.preferred),
            scores,
            label,
            margin,
            columns: {
                let trust = kind.trust(&seen, constants);
                let own = kind.columns(&seen, constants).into_iter();
                let of_members = columns(members.as_deref().unwrap_or_default(), spread, trust);
                of_members
                    .into_iter()
                    .chain(own.map(|(name, value)| (name.to_owned(), value)))
                    .collect()
            },
        })
    };
    let rows = asked.iter().enumerate().filter_map(row).collect();
    (rows, ties)
}

/// What several members say beside their means: each one's scores, how far they differ, and what that
/// leaves of the pair's weight. Of one member nothing.
fn columns(members: &[[f64; 2]], spread: f64, trust: f64) -> Vec<(String, f64)> {
    if members.len() < 2 {
        return Vec::new();
    }
    let name = |side: usize, member: usize| format!("score_{}.member_{}", side + 1, member + 1);
    let scores = members
        .iter()
        .enumerate()
        .flat_map(|(member, scores)| [0, 1].map(|side| (name(side, member), scores[side])));
    let all = [(SPREAD.to_owned(), spread), (TRUST.to_owned(), trust)];
    scores.chain(all).collect()
}

/// Tell what can be measured of all that the annotator has said; how far its members differ, and what
/// that costs.
pub(super) fn tell_more(
    session: &mut Session<'_>,
    annotated: &[AnnotatedPair],
) -> Result<(), RunError> {
    let settings = &session.recipe.annotator;
    for (name, value) in settings.kind.measures(annotated, &settings.constants) {
        session.measured(name, value)?;
    }
    session.measured("annotator.spread", mean(annotated.iter().filter_map(spread)))?;
    let left = annotated.iter().filter(|pair| trust(pair) <= 0.0).count();
    if left > 0 {
        session.warn(format!(
            "the annotator's members differ by ensemble_tau or more on {left} of {} pairs, whose weight is 0",
            annotated.len()
        ))?;
    }
    Ok(())
}

/// How far members differ on a pair, where there are several.
fn spread(annotated: &AnnotatedPair) -> Option<f64> {
    annotated.columns.get(SPREAD).copied()
}

/// Scores that stand for a margin: the other response has 0.
pub(super) fn one_sided(label: Side, margin: f64) -> [f32; 2] {
    let mut scores = [0.0; 2];
    scores[label.index()] = margin as f32;
    scores
}

/// Breaks the tie of an annotated pair, as it was broken when the pair was annotated.
pub(super) fn coin_of(seed: u64, pair: &AnnotatedPair) -> Side {
    coin(seed, pair.pair.and_then(|pair| usize::try_from(pair).ok()).unwrap_or_default())
}

/// Breaks the tie of a pair, in the same way whenever it is asked.
fn coin(seed: u64, pair: usize) -> Side {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream::TIES);
    rng.set_word_pos(pair as u128);
    if rng.random() { Side::Second } else { Side::First }
}
