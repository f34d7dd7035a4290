//! What a teacher finds likely next, read as a target beside the token that the data have (SALT, arXiv
//! 2410.18779).
//!
//! With q the teacher's softmax and W the head of the model that learns, the cross-entropy to q is
//! −Σ_v q_v·log p_v = log-sum-exp − h·Σ_v q_v·W_v: one target row Σ_v q_v·W_v in place of W_y. It comes out of a
//! walk over the vocabulary with the teacher's logits, of which no more than a chunk exists; nothing else of the
//! read-out changes.

use std::rc::Rc;

use burn::tensor::{IndexingUpdateOp, Int, Tensor};

use super::Decoder;
use super::numbers::ints;
use super::readout::{Head, ROWS, TargetLogProbs};
use crate::kernels::Beside;

/// A frozen model with the tokenizer of the one that learns.
#[derive(Clone, Debug)]
pub struct Teacher {
    /// Its weights.
    pub decoder: Rc<Decoder>,
    /// What its logits are divided by: below 1 it is surer than it was trained to be.
    pub temperature: f64,
    /// ω, its share of what a token is compared with.
    pub weight: f64,
}

impl PartialEq for Teacher {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.decoder, &other.decoder)
            && (self.temperature, self.weight) == (other.temperature, other.weight)
    }
}

impl Teacher {
    /// What it says where these are its hidden states, `[M, its E]`.
    pub(super) fn says(&self, hidden: Tensor<2>) -> Taught {
        Taught {
            // Of the product with its head it is the same to divide one side by the temperature.
            hidden: hidden.div_scalar(self.temperature),
            head: Head::of(&self.decoder),
            weight: self.weight,
        }
    }
}

/// What a teacher says of targets.
pub(crate) struct Taught {
    /// Its hidden states over its temperature, `[M, its E]`.
    hidden: Tensor<2>,
    head: Head,
    weight: f64,
}

impl Taught {
    /// Put (1 − ω)·log p(token) + ω·Σ_v q(v)·log p(v) in place of log-probabilities of tokens, and the gradient
    /// of that in place of theirs. `head` is that of the model that learns, `hidden` its states `[M, E]`.
    pub(super) fn mix(
        &self,
        head: &Head,
        hidden: &Tensor<2>,
        tokens: &[u32],
        mut found: TargetLogProbs,
    ) -> TargetLogProbs {
        let m = tokens.len();
        let parts = (0..m).step_by(ROWS).map(|start| {
            let rows = ROWS.min(m - start);
            let tokens = ints(&tokens[start..start + rows], [rows], &hidden.device());
            self.apart(head, start, tokens)
        });
        let apart = Tensor::cat(parts.collect(), 0).mul_scalar(self.weight);
        let moved = (hidden.clone() * apart.clone()).sum_dim(1).squeeze_dim(1);
        found.values = found.values + moved;
        found.jacobian = found.jacobian.map(|jacobian| jacobian + apart);
        found
    }

    /// How far the rows that the teacher expects are from those of tokens, for positions from `start` on: Σ_v
    /// q(v)·W_v − W_token, `[rows, E]`.
    fn apart(&self, head: &Head, start: usize, tokens: Tensor<1, Int>) -> Tensor<2> {
        let [rows] = tokens.dims();
        let hidden = self.hidden.clone().narrow(0, start, rows);
        let beside = Beside { jacobian: true, sum_sq: false };
        let walk = self.head.walk(&hidden, Some(head), beside);
        let own = head.rows(tokens);
        match walk.mean {
            Some(mean) => mean / walk.sum - own,
            None => unreachable!("the walk was asked for means"),
        }
    }

    /// What the teacher adds to the gradient of Σ cotangent·value with respect to the head of the model that
    /// learns, `[V, E]`: ω·Σ cotangent·(q − onehot)·hidden.
    pub(crate) fn weight_gradient(
        &self,
        hidden: &Tensor<2>,
        tokens: &[u32],
        cotangent: &Tensor<1>,
    ) -> Tensor<2> {
        let cotangent = cotangent.clone().mul_scalar(self.weight);
        let scaled = hidden.clone() * cotangent.unsqueeze_dim::<2>(1);
        let all = self.head.by_probability(&self.hidden, &self.log_sum_exps(), &scaled);
        let tokens = ints(tokens, [tokens.len()], &hidden.device());
        all.select_assign(0, tokens, scaled.neg(), IndexingUpdateOp::Add)
    }

    /// Of the teacher's logits over its temperature, `[M]`.
    fn log_sum_exps(&self) -> Tensor<1> {
        let [m, _] = self.hidden.dims();
        let of_rows = (0..m).step_by(ROWS).map(|start| {
            let hidden = self.hidden.clone().narrow(0, start, ROWS.min(m - start));
            let walk = self.head.walk(&hidden, None, Beside { jacobian: false, sum_sq: false });
            (walk.highest + walk.sum.log()).squeeze_dim(1)
        });
        Tensor::cat(of_rows.collect(), 0)
    }
}
