//! What a step tells of the policy: rewards and log-probabilities, as TRL names them.

use super::PolicyPair;
use crate::batch::{Ranked, Sequence};
use crate::preference::{Preference, ResponseLogProb};
use crate::train::Metrics;

/// What is known of a pair's responses before the policy has spoken.
pub(super) fn known_of(pair: &PolicyPair) -> Ranked<ResponseLogProb> {
    let known = |reference: f64, side: &Sequence| ResponseLogProb {
        policy: 0.0,
        reference,
        tokens: side.response.len() as f64,
    };
    Ranked {
        chosen: known(pair.reference.chosen, &pair.sides.chosen),
        rejected: known(pair.reference.rejected, &pair.sides.rejected),
    }
}

/// Log-probabilities of chosen and of rejected responses, from those of parts of so many pairs
/// each: chosen, then rejected.
pub(super) fn by_side(sizes: &[usize], all: &[f64]) -> Ranked<Vec<f64>> {
    let mut sides = Ranked { chosen: Vec::new(), rejected: Vec::new() };
    let mut rest = all;
    for &n in sizes {
        sides.chosen.extend_from_slice(&rest[..n]);
        sides.rejected.extend_from_slice(&rest[n..2 * n]);
        rest = &rest[2 * n..];
    }
    sides
}

/// Set what TRL tells of a step, from the policy's log-probabilities, from what is known of the responses, and from
/// what a reference that moves says of them now.
pub(super) fn tell_rewards(
    policy: &Ranked<Vec<f64>>,
    known: Vec<Ranked<ResponseLogProb>>,
    moved: Option<&Ranked<Vec<f64>>>,
    preference: &Preference,
    metrics: &mut Metrics,
) {
    let n = known.len();
    let pairs = known.into_iter().zip(policy.chosen.iter().zip(&policy.rejected));
    let rewards: Vec<Ranked<f64>> = pairs
        .enumerate()
        .map(|(i, (known, (&chosen, &rejected)))| {
            let reward = |known: ResponseLogProb, policy: f64, moved: Option<f64>| {
                let reference = moved.unwrap_or(known.reference);
                preference.reward(&ResponseLogProb { policy, reference, ..known })
            };
            let moved = |side: fn(&Ranked<Vec<f64>>) -> &Vec<f64>| moved.map(|m| side(m)[i]);
            Ranked {
                chosen: reward(known.chosen, chosen, moved(|m| &m.chosen)),
                rejected: reward(known.rejected, rejected, moved(|m| &m.rejected)),
            }
        })
        .collect();
    let mean = |f: &dyn Fn(&Ranked<f64>) -> f64| rewards.iter().map(f).sum::<f64>() / n as f64;
    metrics.set("rewards/chosen", mean(&|r| r.chosen));
    metrics.set("rewards/rejected", mean(&|r| r.rejected));
    metrics.set("rewards/margins", mean(&|r| r.chosen - r.rejected));
    metrics.set("rewards/accuracies", mean(&|r| f64::from(u8::from(r.chosen > r.rejected))));
    metrics.set("logps/chosen", policy.chosen.iter().sum::<f64>() / n as f64);
    metrics.set("logps/rejected", policy.rejected.iter().sum::<f64>() / n as f64);
}
