//! What the labels of people and those of an annotator reward, side by side.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::found::{Dissection, Effect, Found};
use super::logistic::{Fit, Rows, fit};
use super::properties::{Property, properties};
use super::settings::DissectSettings;

/// Something of people's labels, and of the annotator's; of those that there are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Both<T> {
    /// People's.
    pub human: Option<T>,
    /// The annotator's.
    pub weak: Option<T>,
}

impl<T> Both<T> {
    /// Something made of each.
    pub fn map<U>(&self, mut f: impl FnMut(&T) -> U) -> Both<U> {
        Both { human: self.human.as_ref().map(&mut f), weak: self.weak.as_ref().map(&mut f) }
    }

    /// Those that there are.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.human.iter().chain(&self.weak)
    }
}

/// Pairs that are compared, N of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// By how much the first response of each has more of every property, `[N, P]`.
    pub rows: Rows,
    /// Who prefers which, `[N]`: 1 the first response, −1 the second.
    pub labels: Both<Vec<f64>>,
    /// Pairs with one number answer one prompt, `[N]`; they are drawn together.
    pub groups: Vec<usize>,
}

/// Resamples between two words to `poll`.
const AT_ONCE: usize = 20;

/// Fit people's labels and the annotator's to what their pairs differ by, and say how sure that is: percentile
/// intervals over draws of whole prompts, the same draws for both. `poll` is told how many draws are done, and may
/// end it.
///
/// # Errors
///
/// `poll` says so.
pub fn dissect<E>(
    compared: Compared,
    settings: &DissectSettings,
    seed: u64,
    poll: &mut dyn FnMut(usize) -> Result<(), E>,
) -> Result<Dissection, E> {
    let Compared { rows, labels, groups } = compared;
    let (scales, differing) = (rows.scales(), rows.differing());
    let rows = rows.standardised(&scales);
    let (pairs, lambda) = (rows.len(), 1.0 / settings.prior_scale);
    let (once, zero) = (vec![1.0; pairs], vec![0.0; rows.width()]);
    let whole = labels.map(|signs| fit(&rows, signs, &once, lambda, &zero));
    let prompts = Prompts::of(&groups);
    let again = |i: usize| {
        let times = prompts.draw(seed, i as u64);
        let one = |signs: &Option<Vec<f64>>, whole: &Option<Fit>| {
            let (signs, whole) = signs.as_ref().zip(whole.as_ref())?;
            Some(fit(&rows, signs, &times, lambda, &whole.weights))
        };
        Both { human: one(&labels.human, &whole.human), weak: one(&labels.weak, &whole.weak) }
    };
    let mut drawn: Vec<Both<Fit>> = Vec::with_capacity(settings.resamples);
    while drawn.len() < settings.resamples {
        poll(drawn.len())?;
        let part = drawn.len()..(drawn.len() + AT_ONCE).min(settings.resamples);
        drawn.extend(part.into_par_iter().map(again).collect::<Vec<_>>());
    }
    poll(drawn.len())?;
    let explained = Both {
        human: explained(&rows, labels.human.as_deref(), whole.human.as_ref()),
        weak: explained(&rows, labels.weak.as_deref(), whole.weak.as_ref()),
    };
    let inexact = |fits: &Both<Fit>| fits.iter().filter(|fit| !fit.converged).count();
    let of = |(j, property): (usize, &'static Property)| Found {
        scale: scales[j],
        differing: differing[j],
        ..found(property, &whole.map(|fit| fit.weights[j]), &column(&drawn, j))
    };
    Ok(Dissection {
        pairs,
        human_explained: explained.human,
        weak_explained: explained.weak,
        resamples: settings.resamples,
        prior_scale: settings.prior_scale,
        inexact: inexact(&whole) + drawn.iter().map(inexact).sum::<usize>(),
        properties: properties().enumerate().take(rows.width()).map(of).collect(),
    })
}

/// One property's coefficients.
fn column(drawn: &[Both<Fit>], j: usize) -> Vec<Both<f64>> {
    drawn.iter().map(|fits| fits.map(|fit| fit.weights[j])).collect()
}

/// What was found of a property, from its coefficients: on all pairs, and on each draw.
fn found(property: &Property, whole: &Both<f64>, drawn: &[Both<f64>]) -> Found {
    let effect = |of: fn(&Both<f64>) -> Option<f64>| {
        let value = of(whole)?;
        let drawn: Vec<f64> = drawn.iter().filter_map(of).collect();
        Some(Effect { value, interval: [0.025, 0.975].map(|share| quantile(&drawn, share)) })
    };
    Found {
        property: property.name.to_owned(),
        title: property.title.to_owned(),
        summary: property.summary.to_owned(),
        human: effect(|both| both.human),
        weak: effect(|both| both.weak),
        difference: effect(|both| Some(both.weak? - both.human?)),
        ..Found::default()
    }
}

/// Share of the labels that a fit tells rightly; where it tells nothing, a half.
fn explained(rows: &Rows, signs: Option<&[f64]>, fit: Option<&Fit>) -> Option<f64> {
    let (signs, fit) = signs.zip(fit)?;
    let right = rows.iter().zip(signs).map(|(row, sign)| {
        let z: f64 = row.iter().zip(&fit.weights).map(|(x, w)| sign * x * w).sum();
        if z == 0.0 { 0.5 } else { f64::from(u8::from(z > 0.0)) }
    });
    Some(right.sum::<f64>() / rows.len().max(1) as f64)
}

/// Pairs by the prompt that they answer.
struct Prompts {
    /// The pairs of each.
    members: Vec<Vec<usize>>,
    pairs: usize,
}

impl Prompts {
    fn of(groups: &[usize]) -> Self {
        let mut members = vec![Vec::new(); groups.iter().max().map_or(0, |most| most + 1)];
        groups.iter().enumerate().for_each(|(pair, &group)| members[group].push(pair));
        members.retain(|pairs: &Vec<usize>| !pairs.is_empty());
        Self { members, pairs: groups.len() }
    }

    /// How often each pair is there in a draw of as many prompts as there are, with replacement.
    fn draw(&self, seed: u64, number: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let mut times = vec![0.0; self.pairs];
        for _ in 0..self.members.len() {
            let drawn = rng.random_range(0..self.members.len());
            self.members[drawn].iter().for_each(|&pair| times[pair] += 1.0);
        }
        times
    }
}

/// A quantile, between two values by the straight line between them; 0 of nothing.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else { return 0.0 };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let below = sorted[place.floor() as usize];
    below + place.fract() * (sorted[place.ceil() as usize] - below)
}
