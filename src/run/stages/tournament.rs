//! What an annotator says of all pairs of a prompt's candidates, as one order of these.

use std::collections::{BTreeMap, HashMap};

use super::super::Recipe;
use super::super::error::RunError;
use super::super::report::TournamentReport;
use super::super::session::Session;
use super::asked::coin_of;
use crate::annotate::toward_first;
use crate::data::{AnnotatedPair, weak_label};
use crate::preference::{Comparison, strengths};

/// The column of what the annotator says of a pair alone: above 0 where the first response is better.
const PAIRWISE: &str = "pairwise_margin";
/// Columns of the ranks of both responses among the candidates that they were compared with; 1 is the best.
const RANKS: [&str; 2] = ["rank_1", "rank_2"];

/// Columns that a tournament leaves in the table.
pub(crate) const COLUMNS: [&str; 3] = [PAIRWISE, RANKS[0], RANKS[1]];

/// Of margins of this size 1, differences of strengths that are rounded ones.
const ROUNDED: f64 = 1e-12;

/// What a tournament has made of labels.
#[derive(Default)]
struct Ranked {
    /// Labels that a coin decides.
    ties: usize,
    /// Labels that are others now.
    overruled: usize,
    /// Orders of more than two candidates.
    orders: usize,
    /// Pairs in them.
    pairs: usize,
    /// Σ d² of their comparisons, and of it what no order explains.
    squares: f64,
    left: f64,
}

/// Candidates for one prompt whom comparisons connect.
#[derive(Default)]
struct Candidates {
    /// Rows of the table.
    rows: Vec<usize>,
    /// Who is compared in each of these rows, and the margin.
    comparisons: Vec<Comparison>,
    count: usize,
}

/// Let labels and margins of pairs follow one order of all candidates of their prompt, where the recipe asks for
/// that, and tell what came of it. How many labels a coin decides then; `None` where each pair keeps its label.
///
/// # Errors
///
/// It cannot be told.
pub(super) fn tournament(
    session: &mut Session<'_>,
    annotated: &mut [AnnotatedPair],
) -> Result<Option<usize>, RunError> {
    if !asked_for(&session.recipe) {
        return Ok(None);
    }
    let found = rank(session.recipe.seed, annotated);
    if found.orders == 0 {
        session.warn(format!(
            "annotator.tournament has nothing to order: no prompt of the {} pairs has more than two candidates; set data.pairing = \"all\" for lists, or annotator.tournament = false",
            annotated.len()
        ))?;
        return Ok(Some(found.ties));
    }
    let Ranked { orders, pairs, overruled, .. } = found;
    let inconsistency = (found.squares > 0.0).then(|| found.left / found.squares);
    let report = TournamentReport { orders, pairs, overruled, inconsistency };
    session.tabulated("annotator.tournament", &report)?;
    Ok(Some(found.ties))
}

/// Whether there is one.
pub(super) fn asked_for(recipe: &Recipe) -> bool {
    recipe.annotator.constants.tournament.tournament
}

/// The same for pairs whose prompts' candidates are all there, without a word.
pub(super) fn rank_quietly(recipe: &Recipe, annotated: &mut [AnnotatedPair]) {
    if asked_for(recipe) {
        rank(recipe.seed, annotated);
    }
}

/// Order the candidates of each prompt.
fn rank(seed: u64, annotated: &mut [AnnotatedPair]) -> Ranked {
    let mut all = Ranked::default();
    for candidates in connected(annotated) {
        let order = candidates.order();
        let several = candidates.count > 2;
        all.orders += usize::from(several);
        for (&row, &(first, second, said)) in candidates.rows.iter().zip(&candidates.comparisons) {
            let pair = &mut annotated[row];
            if several {
                let difference = order.difference(first, second);
                let label = weak_label([difference, 0.0], || coin_of(seed, pair));
                all.pairs += 1;
                all.overruled += usize::from(label != pair.label);
                all.squares += said * said;
                all.left += (said - difference).powi(2);
                pair.label = label;
                pair.margin = difference.abs();
                pair.scores = [first, second].map(|k| order.strengths[k] as f32);
            }
            all.ties += usize::from(pair.margin == 0.0);
            let values = [said, order.ranks[first], order.ranks[second]];
            pair.columns.extend(COLUMNS.map(str::to_owned).into_iter().zip(values));
        }
    }
    all
}

/// An order of candidates.
struct Order {
    strengths: Vec<f64>,
    /// 1 for the best; those that are as strong share the best of their ranks.
    ranks: Vec<f64>,
    /// Differences of strengths up to this one are none.
    rounded: f64,
}

impl Order {
    /// By how much one candidate is stronger than another.
    fn difference(&self, first: usize, second: usize) -> f64 {
        let difference = self.strengths[first] - self.strengths[second];
        if difference.abs() <= self.rounded { 0.0 } else { difference }
    }
}

impl Candidates {
    fn order(&self) -> Order {
        let strengths = strengths(self.count, &self.comparisons);
        let largest = self.comparisons.iter().map(|c| c.2.abs()).fold(0.0, f64::max);
        let rounded = ROUNDED * largest;
        let mut places: Vec<usize> = (0..self.count).collect();
        places.sort_by(|&a, &b| strengths[b].total_cmp(&strengths[a]));
        let mut ranks = vec![1.0; self.count];
        for (i, two) in places.windows(2).enumerate() {
            let alike = strengths[two[0]] - strengths[two[1]] <= rounded;
            ranks[two[1]] = if alike { ranks[two[0]] } else { (i + 2) as f64 };
        }
        Order { strengths, ranks, rounded }
    }
}

/// Candidates of each prompt that comparisons connect, in the order in which they appear.
fn connected(annotated: &[AnnotatedPair]) -> Vec<Candidates> {
    let mut known: HashMap<(&str, &str, &str), usize> = HashMap::new();
    let mut parents: Vec<usize> = Vec::new();
    let mut compared = Vec::with_capacity(annotated.len());
    for pair in annotated {
        // One prompt is in one split.
        let both = pair.responses.each_ref().map(|response| {
            *known.entry((&pair.split, &pair.prompt, response)).or_insert_with(|| {
                parents.push(parents.len());
                parents.len() - 1
            })
        });
        let [first, second] = both.map(|candidate| root(&mut parents, candidate));
        parents[first.max(second)] = first.min(second);
        compared.push(both);
    }
    let mut groups: BTreeMap<usize, Candidates> = BTreeMap::new();
    let mut numbers: HashMap<usize, usize> = HashMap::new();
    for (row, (both, pair)) in compared.into_iter().zip(annotated).enumerate() {
        let group = groups.entry(root(&mut parents, both[0])).or_default();
        let [first, second] = both.map(|candidate| {
            *numbers.entry(candidate).or_insert_with(|| {
                group.count += 1;
                group.count - 1
            })
        });
        group.rows.push(row);
        group.comparisons.push((first, second, toward_first(pair)));
    }
    groups.into_values().collect()
}

/// The first candidate of all that one is connected with.
fn root(parents: &mut [usize], mut candidate: usize) -> usize {
    while parents[candidate] != candidate {
        parents[candidate] = parents[parents[candidate]];
        candidate = parents[candidate];
    }
    candidate
}
