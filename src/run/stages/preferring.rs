//! Which of the policy's own responses the annotator prefers, and how sure it is.

use std::collections::{BTreeMap, HashMap};

use super::super::error::RunError;
use super::super::session::Session;
use super::super::stage::Stage;
use super::asked::{Asked, Part, annotate};
use super::prepared::Prepared;
use super::sampling::{Response, Written};
use super::texts::Texts;
use super::tournament::rank_quietly;
use crate::annotate::{Pool, toward_first};
use crate::data::{AnnotatedPair, Pair, Split};

/// Columns of whether the responses of a pair that the policy wrote have an end: 1 or 0.
pub(super) const ENDED: [&str; 2] = ["ended_1", "ended_2"];

/// Two of the responses to a prompt, in the order in which they were written.
#[derive(Clone, Copy)]
struct Two {
    /// Index of what was written.
    written: usize,
    sides: [usize; 2],
}

/// What the annotator says of pairs.
struct Said {
    pairs: Prepared,
    asked: Vec<Asked>,
    /// What each member of its model says of both responses, in the order in which it was asked.
    scores: Option<Vec<Vec<[f64; 2]>>>,
}

/// The best against the worst of the responses to each prompt, as the annotator has it, and how many prompts it has
/// nothing to say of. What was written to a prompt is different texts, two or more.
///
/// # Errors
///
/// As of [`Texts`].
pub(super) fn prefer(
    session: &mut Session<'_>,
    prepared: &Prepared,
    written: &[Written],
) -> Result<(Vec<AnnotatedPair>, usize), RunError> {
    let (kind, constants) = (session.recipe.annotator.kind, &session.recipe.annotator.constants);
    // What a model says of a response is its own score, whatever it stands beside.
    let alone = kind.reads().model() && !kind.compares(constants);
    let of_prompt = |(place, found): (usize, &Written)| {
        couples(found.responses.len(), alone)
            .into_iter()
            .map(move |sides| Two { written: place, sides })
    };
    let twos: Vec<Two> = written.iter().enumerate().flat_map(of_prompt).collect();
    if twos.is_empty() {
        return Ok((Vec::new(), 0));
    }
    let said = ask(session, pairs_of(prepared, written, &twos))?;
    let mut rows = if alone {
        by_scores(session, prepared, written, &twos, &said)
    } else {
        by_pairs(session, &twos, &said)
    };
    for (row, two) in &mut rows {
        let Written { pair, responses } = &written[two.written];
        row.pair = Some(*pair as u64);
        let ended = two.sides.map(|side| f64::from(u8::from(responses[side].ended)));
        row.columns.extend(ENDED.map(str::to_owned).into_iter().zip(ended));
    }
    let silent = written.len() - rows.len();
    Ok((rows.into_iter().map(|(row, _)| row).collect(), silent))
}

/// The couples of `count` responses that the annotator is asked about: each response in one or more, or, where a
/// response has no score of its own, all couples.
fn couples(count: usize, alone: bool) -> Vec<[usize; 2]> {
    if !alone {
        return (0..count).flat_map(|i| (i + 1..count).map(move |k| [i, k])).collect();
    }
    (0..count.div_ceil(2)).map(|i| [2 * i, (2 * i + 1) % count]).map(ascending).collect()
}

fn ascending([i, k]: [usize; 2]) -> [usize; 2] {
    [i.min(k), i.max(k)]
}

/// Couples of responses as pairs that nobody has labelled.
fn pairs_of(prepared: &Prepared, written: &[Written], twos: &[Two]) -> Prepared {
    let pair = |two: &Two| {
        let Written { pair, responses } = &written[two.written];
        let responses = two.sides.map(|side| responses[side].text.clone());
        Pair { responses, label: None, ..prepared.pairs[*pair].clone() }
    };
    let split = Split { unlabelled: (0..twos.len()).collect(), ..Split::default() };
    Prepared { pairs: twos.iter().map(pair).collect(), split }
}

/// Ask the annotator, its model beside the policy where it has one.
fn ask(session: &mut Session<'_>, pairs: Prepared) -> Result<Said, RunError> {
    // What is left out of these is told elsewhere, and none of the pairs that were read.
    let left_out = (session.too_long.clone(), session.refused.clone());
    let (asked, texts) = if session.recipe.annotator.kind.reads().model() {
        let (asked, texts) = Texts::of(session, &pairs)?;
        (asked, Some(texts))
    } else {
        (Asked::without_model(session, &pairs, Pool::default())?, None)
    };
    (session.too_long, session.refused) = left_out;
    // It reads them in the way in which it has read all others.
    let about = Stage::CONFIDENCE.about();
    let scores = texts.map(|texts| texts.score(session, about)).transpose()?;
    Ok(Said { pairs, asked, scores })
}

/// By each response's own score, the mean over members.
fn by_scores(
    session: &Session<'_>,
    prepared: &Prepared,
    written: &[Written],
    twos: &[Two],
    said: &Said,
) -> Vec<(AnnotatedPair, Two)> {
    let members = said.scores.as_deref().unwrap_or_default();
    let mut known: BTreeMap<(usize, usize), Vec<f64>> = BTreeMap::new();
    for (i, asked) in said.asked.iter().enumerate() {
        let two = twos[asked.pair];
        for (k, side) in two.sides.into_iter().enumerate() {
            let scores = members.iter().map(|scores| scores[i][k]).collect();
            known.insert((two.written, side), scores);
        }
    }
    let mean = |scores: &Vec<f64>| scores.iter().sum::<f64>() / scores.len().max(1) as f64;
    let best: Vec<Two> = (0..written.len())
        .filter_map(|place| {
            let of_prompt = known.range((place, 0)..(place + 1, 0));
            let values: Vec<(usize, f64)> =
                of_prompt.map(|((_, side), scores)| (*side, mean(scores))).collect();
            Some(Two { written: place, sides: best_and_worst(&values)? })
        })
        .collect();
    let scores: Vec<Vec<[f64; 2]>> = (0..members.len())
        .map(|member| {
            let score = |two: &Two, side: usize| known[&(two.written, side)][member];
            best.iter().map(|two| two.sides.map(|side| score(two, side))).collect()
        })
        .collect();
    let pairs = pairs_of(prepared, written, &best);
    let asked: Vec<Asked> =
        (0..best.len()).map(|pair| Asked { pair, part: Part::Unlabelled }).collect();
    let (rows, _) = annotate(&session.recipe, &pairs, &asked, Pool::default(), Some(&scores));
    with_twos(rows, &best)
}

/// By how much each response is better than the others, all together.
fn by_pairs(session: &Session<'_>, twos: &[Two], said: &Said) -> Vec<(AnnotatedPair, Two)> {
    let Said { pairs, asked, scores } = said;
    let (mut rows, _) = annotate(&session.recipe, pairs, asked, Pool::default(), scores.as_deref());
    rank_quietly(&session.recipe, &mut rows);
    let rows = with_twos(rows, twos);
    let mut sums: BTreeMap<usize, BTreeMap<usize, f64>> = BTreeMap::new();
    for (row, two) in &rows {
        let of_prompt = sums.entry(two.written).or_default();
        *of_prompt.entry(two.sides[0]).or_default() += toward_first(row);
        *of_prompt.entry(two.sides[1]).or_default() -= toward_first(row);
    }
    let best: HashMap<usize, [usize; 2]> = sums
        .into_iter()
        .filter_map(|(written, sums)| {
            let values: Vec<(usize, f64)> = sums.into_iter().collect();
            Some((written, best_and_worst(&values)?))
        })
        .collect();
    let is_best = |(_, two): &(AnnotatedPair, Two)| best.get(&two.written) == Some(&two.sides);
    rows.into_iter().filter(is_best).collect()
}

/// Rows with the couple that each is about.
fn with_twos(rows: Vec<AnnotatedPair>, twos: &[Two]) -> Vec<(AnnotatedPair, Two)> {
    let two = |row: &AnnotatedPair| twos.get(usize::try_from(row.pair?).ok()?).copied();
    rows.into_iter().filter_map(|row| two(&row).map(|two| (row, two))).collect()
}

/// The first of the best and the last of the worst, in the order in which they were written; `None` of fewer than
/// two.
fn best_and_worst(values: &[(usize, f64)]) -> Option<[usize; 2]> {
    let by_value = |a: &&(usize, f64), b: &&(usize, f64)| a.1.total_cmp(&b.1);
    let (best, _) = values.iter().rev().max_by(by_value)?;
    let (worst, _) = values.iter().rev().min_by(by_value)?;
    (best != worst).then(|| ascending([*best, *worst]))
}

/// Responses to each prompt, each text once, where there are two or more, and to how many prompts there are not.
pub(super) fn different(written: Vec<Written>) -> (Vec<Written>, usize) {
    let all = written.len();
    let once = |Written { pair, responses }: Written| {
        let mut found: Vec<Response> = Vec::new();
        for response in responses {
            if !found.iter().any(|known| known.text == response.text) {
                found.push(response);
            }
        }
        (found.len() > 1).then_some(Written { pair, responses: found })
    };
    let different: Vec<Written> = written.into_iter().filter_map(once).collect();
    let alike = all - different.len();
    (different, alike)
}
