//! A language model that was never trained for it, asked for its judgement: next-token probabilities of
//! answers.

use super::{Annotating, Annotation, Annotator, Reads, Seen};
use crate::annotate::judging::{Asked, Question};
use crate::annotate::rewording::position_bias;
use crate::data::{AnnotatedPair, Pair};
use crate::registry::About;

pub(super) struct Judge;

static ABOUT: About = About {
    name: "judge",
    aliases: &[],
    title: "a model that is asked",
    summary: "Any language model, as it is, is asked whether each response is good, or which one is better; the probability of its next token is the answer, and nothing is trained or generated.",
    formula: "p = P(Yes)/(P(Yes) + P(No)), or p = (P(A) + 1 − P(A, order swapped))/2;  d = logit p",
    paper: "arXiv 2502.16182, arXiv 2406.11370",
    constants: &[],
};

/// Columns of how probable Yes is for either response.
const YES: [&str; 2] = ["yes_1", "yes_2"];
/// Columns of how probable it is that the response in first place is better, either in first place.
const FIRST: [&str; 2] = ["first_1", "first_2"];

impl Annotator for Judge {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn reads(&self) -> Reads {
        Reads::Answers
    }

    fn compares(&self, settings: &Annotating) -> bool {
        settings.judging.judge == Asked::AB
    }

    /// Log-odds of Yes are scores: p(y₁ ≻ y₂) = σ(z₁ − z₂) is the chance that the answers are Yes and No,
    /// and not No and Yes. Of two orders, the log-odds of their mean probability are the first score.
    fn annotate(&self, seen: &Seen<'_>, settings: &Annotating) -> Option<Annotation> {
        seen.scores.map(|odds| match settings.judging.judge {
            Asked::YesNo => Annotation::Scores(odds),
            Asked::AB => Annotation::Scores([debiased(odds), 0.0]),
        })
    }

    fn asks(&self, pair: &Pair, settings: &Annotating, chat: bool) -> Option<[Question; 2]> {
        Some(settings.judging.questions(pair, chat))
    }

    fn column_names(&self) -> &'static [&'static str] {
        &[YES[0], YES[1], FIRST[0], FIRST[1]]
    }

    fn columns(&self, seen: &Seen<'_>, settings: &Annotating) -> Vec<(&'static str, f64)> {
        let names = match settings.judging.judge {
            Asked::YesNo => YES,
            Asked::AB => FIRST,
        };
        let probabilities = seen.scores.map(|odds| odds.map(|z| log_sigmoid(z).exp()));
        probabilities.map_or_else(Vec::new, |both| names.into_iter().zip(both).collect())
    }

    /// How much the first place counts, whatever stands there, before both orders are averaged (arXiv
    /// 2406.11370), and how often both orders name the same response.
    fn measures(&self, said: &[AnnotatedPair], settings: &Annotating) -> Vec<(&'static str, f64)> {
        if settings.judging.judge == Asked::YesNo || said.is_empty() {
            return Vec::new();
        }
        let first = |pair: &AnnotatedPair| {
            FIRST.map(|name| pair.columns.get(name).copied().unwrap_or(f64::NAN))
        };
        let share = |wins: fn(f64) -> bool| {
            let both = said.iter().filter(|pair| first(pair).into_iter().all(wins)).count();
            both as f64 / said.len() as f64
        };
        let mean = said.iter().flat_map(first).sum::<f64>() / (2 * said.len()) as f64;
        let odds: Vec<[f64; 2]> = said.iter().map(|pair| first(pair).map(|p| p - 0.5)).collect();
        let consistent = odds.iter().filter(|[a, b]| a * b < 0.0).count();
        vec![
            ("annotator.first_wins_both", share(|p| p > 0.5)),
            ("annotator.second_wins_both", share(|p| p < 0.5)),
            ("annotator.first_mean", mean),
            ("annotator.position_bias", position_bias(&odds)),
            ("annotator.consistent", consistent as f64 / said.len() as f64),
        ]
    }

    fn check_settings(&self, settings: &Annotating) -> Result<(), (&'static str, String)> {
        settings.judging.check().map_err(|found| ("annotator.prompt", found))?;
        settings.judging.check_rewording()
    }
}

/// Log-odds of p = (σ(z₁) + 1 − σ(z₂))/2, where z are log-odds of the first place in either order.
fn debiased([z1, z2]: [f64; 2]) -> f64 {
    let sum = |a: f64, b: f64| {
        let highest = log_sigmoid(a).max(log_sigmoid(b));
        highest + ((log_sigmoid(a) - highest).exp() + (log_sigmoid(b) - highest).exp()).ln()
    };
    sum(z1, -z2) - sum(-z1, z2)
}

/// log σ(x) = min(x, 0) − log(1 + e^{−|x|}).
fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}
