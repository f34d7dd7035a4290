//! What one model says, led away from what another says: the softmax of (1 + λ)·logits − λ·theirs (contrastive
//! extrapolation, as arXiv 2406.04412, eq. 11, detects doubtful labels by it).

use std::rc::Rc;

use burn::tensor::Tensor;

use super::Decoder;
use super::numbers::ints;
use super::readout::{Head, ROWS, Walk};

/// A frozen model of the same vocabulary, away from which another is led.
#[derive(Clone, Debug)]
pub struct Contrast {
    /// Its weights.
    pub decoder: Rc<Decoder>,
    /// λ.
    pub weight: f64,
}

impl PartialEq for Contrast {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.decoder, &other.decoder) && self.weight == other.weight
    }
}

impl Contrast {
    /// What it says where these are its hidden states, `[M, its E]`.
    pub(super) fn says(&self, hidden: Tensor<2>) -> Contrasted {
        Contrasted { hidden, head: Head::of(&self.decoder), weight: self.weight }
    }
}

/// What a model says of targets, for another to be led away from it.
pub(crate) struct Contrasted {
    /// Its hidden states, `[M, its E]`.
    hidden: Tensor<2>,
    head: Head,
    weight: f64,
}

impl Contrasted {
    /// Log-probabilities of targets where both have spoken, `[M]`; `head` and `hidden`, `[M, E]`, are those of the
    /// model that is led away.
    pub(super) fn log_probs(&self, head: &Head, hidden: &Tensor<2>, tokens: &[u32]) -> Tensor<1> {
        let m = tokens.len();
        let parts = (0..m).step_by(ROWS).map(|start| {
            let rows = ROWS.min(m - start);
            let part = |of: &Tensor<2>, by: f64| of.clone().narrow(0, start, rows).mul_scalar(by);
            let sides = [
                (head, part(hidden, 1.0 + self.weight)),
                (&self.head, part(&self.hidden, -self.weight)),
            ];
            rows_log_probs(&sides, &tokens[start..start + rows])
        });
        Tensor::cat(parts.collect(), 0)
    }
}

/// Log-probabilities of targets under the softmax of the sum of two products.
fn rows_log_probs(sides: &[(&Head, Tensor<2>); 2], tokens: &[u32]) -> Tensor<1> {
    let [(head, hidden), (other, others)] = sides;
    let tokens = ints(tokens, [tokens.len()], &hidden.device());
    let target =
        |head: &Head, hidden: &Tensor<2>| (hidden.clone() * head.rows(tokens.clone())).sum_dim(1);
    let own = target(head, hidden) + target(other, others);
    let chunks = head.vocabulary_chunks(tokens.dims()[0]).into_iter();
    let walk = chunks.fold(None, |walk: Option<Walk>, (start, count)| {
        let logits = hidden.clone().matmul(head.columns(start, count))
            + others.clone().matmul(other.columns(start, count));
        Some(Walk::on(walk, logits, false, None))
    });
    match walk {
        Some(walk) => (own - walk.highest - walk.sum.log()).squeeze_dim(1),
        None => unreachable!("a vocabulary holds at least one token"),
    }
}
