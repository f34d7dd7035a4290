//! From hidden states to log-probabilities of targets, without ever holding a row of logits
//! beside another: positions and vocabulary are taken in chunks, in both passes.
//!
//! With p the softmax over V and W the head, ∂ log p(t) / ∂h = W_t − Σ_v p_v·W_v. Both that sum
//! and the log-sum-exp come out of one walk over the vocabulary, as in attention without a score
//! matrix (arXiv 2205.14135), so that the backward pass of a frozen head needs no logits at all.

use burn::tensor::{DType, Int, Tensor};

use super::Decoder;
use super::numbers::ints;
use super::precision::widen;
use crate::device::is_cpu;
use crate::kernels::{Beside, head_gradient, read_targets};

/// Numbers in a chunk of logits on the CPU: what its caches hold.
const CPU_CHUNK: usize = 1 << 20;
/// Numbers in a chunk of logits on a GPU: enough to fill it.
const GPU_CHUNK: usize = 1 << 24;
/// Positions in a chunk.
pub(super) const ROWS: usize = 512;

/// The language-model head.
pub(crate) struct Head {
    /// `[V, E]`, its own or the embedding's.
    weight: Tensor<2>,
    vocabulary: usize,
    chunk: usize,
}

/// Log-probabilities of targets, and what their gradient needs.
pub(crate) struct TargetLogProbs {
    /// `[M]`.
    pub(crate) values: Tensor<1>,
    /// ∂value/∂hidden of each target, `[M, E]`; only if asked for.
    pub(crate) jacobian: Option<Tensor<2>>,
    /// log Σ_v π(v)² where each is predicted, `[M]`; only if asked for.
    pub(crate) log_sum_sq_probs: Option<Tensor<1>>,
    /// Log-sum-exp of each row, `[M]`.
    log_sum_exp: Tensor<1>,
}

/// How many logits exist at once.
pub(super) fn chunk_numbers(on_cpu: bool, vocabulary: usize, positions: usize) -> usize {
    let most = if on_cpu { CPU_CHUNK } else { GPU_CHUNK };
    let rows = positions.clamp(1, ROWS);
    rows * (most / rows).clamp(256, vocabulary.max(256)).min(vocabulary)
}

impl Head {
    pub(crate) fn of(decoder: &Decoder) -> Self {
        let weight = decoder.head.as_ref().unwrap_or(&decoder.embedding).weight.val();
        let chunk = if is_cpu(&weight.device()) { CPU_CHUNK } else { GPU_CHUNK };
        Self { weight, vocabulary: decoder.config().vocabulary, chunk }
    }

    /// Whether both passes are one operation each.
    fn is_fused(&self) -> bool {
        self.weight.dtype() == DType::F32
            && is_cpu(&self.weight.device())
            && self.chunk == CPU_CHUNK
    }

    /// `[M, E]` → `[M, V]`.
    pub(crate) fn all_logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        if self.weight.dtype() == DType::F32 {
            return hidden.matmul(self.columns(0, self.vocabulary));
        }
        // A narrow head is widened a piece at a time.
        let chunks = self.vocabulary_chunks(ROWS).into_iter();
        let parts = chunks.map(|(start, count)| hidden.clone().matmul(self.columns(start, count)));
        Tensor::cat(parts.collect(), 1)
    }

    /// Weights of tokens `start..start + count`, `[E, count]`, in f32.
    pub(super) fn columns(&self, start: usize, count: usize) -> Tensor<2> {
        let all = self.weight.clone();
        let part = if count == self.vocabulary { all } else { all.narrow(0, start, count) };
        widen(part).transpose()
    }

    /// Weights of chosen tokens, `[M, E]`, in f32.
    pub(super) fn rows(&self, tokens: Tensor<1, Int>) -> Tensor<2> {
        widen(self.weight.clone().select(0, tokens))
    }

    /// (first token, count) of each chunk of the vocabulary for so many positions.
    pub(super) fn vocabulary_chunks(&self, rows: usize) -> Vec<(usize, usize)> {
        let width = (self.chunk / rows.max(1)).clamp(256, self.vocabulary.max(256));
        (0..self.vocabulary)
            .step_by(width)
            .map(|start| (start, width.min(self.vocabulary - start)))
            .collect()
    }

    /// Log-probabilities of one target for each hidden state `[M, E]`.
    pub(crate) fn log_probs(
        &self,
        hidden: &Tensor<2>,
        targets: &[u32],
        beside: Beside,
    ) -> TargetLogProbs {
        let [m, width] = hidden.dims();
        if self.is_fused() {
            let tokens = ints(targets, [m], &hidden.device());
            let read = read_targets(hidden.clone(), self.weight.clone(), tokens, beside);
            return TargetLogProbs {
                values: read.values,
                jacobian: read.jacobian,
                log_sum_sq_probs: read.log_sum_sq_probs,
                log_sum_exp: read.log_sum_exps,
            };
        }
        let mut parts = Vec::new();
        for start in (0..m).step_by(ROWS) {
            let rows = ROWS.min(m - start);
            let part =
                if rows == m { hidden.clone() } else { hidden.clone().narrow(0, start, rows) };
            let tokens = ints(&targets[start..start + rows], [rows], &hidden.device());
            parts.push(self.rows_log_probs(part.reshape([rows, width]), tokens, beside));
        }
        let squares: Vec<Tensor<1>> =
            parts.iter().filter_map(|p| p.log_sum_sq_probs.clone()).collect();
        let values = parts.iter().map(|p| p.values.clone()).collect();
        let log_sum_exp = parts.iter().map(|p| p.log_sum_exp.clone()).collect();
        let jacobians: Vec<Tensor<2>> = parts.into_iter().filter_map(|p| p.jacobian).collect();
        TargetLogProbs {
            values: Tensor::cat(values, 0),
            jacobian: beside.jacobian.then(|| Tensor::cat(jacobians, 0)),
            log_sum_sq_probs: beside.sum_sq.then(|| Tensor::cat(squares, 0)),
            log_sum_exp: Tensor::cat(log_sum_exp, 0),
        }
    }

    fn rows_log_probs(
        &self,
        hidden: Tensor<2>,
        targets: Tensor<1, Int>,
        beside: Beside,
    ) -> TargetLogProbs {
        let Walk { highest, sum, square, mean } = self.walk(&hidden, None, beside);
        let own = self.rows(targets);
        let target = (hidden * own.clone()).sum_dim(1);
        let log_sum_exp = highest + sum.clone().log();
        TargetLogProbs {
            values: (target - log_sum_exp.clone()).squeeze_dim(1),
            log_sum_sq_probs: square
                .map(|square| (square.log() - sum.clone().log().mul_scalar(2.0)).squeeze_dim(1)),
            jacobian: mean.map(|mean| own - mean / sum),
            log_sum_exp: log_sum_exp.squeeze_dim(1),
        }
    }

    /// Walk over the vocabulary for hidden states `[M, E]`; means are those of another head's weights where
    /// there is one.
    pub(super) fn walk(&self, hidden: &Tensor<2>, means_of: Option<&Self>, beside: Beside) -> Walk {
        let [m, _] = hidden.dims();
        let mut walk: Option<Walk> = None;
        for (start, count) in self.vocabulary_chunks(m) {
            let columns = self.columns(start, count);
            let logits = hidden.clone().matmul(columns.clone());
            let means_of = beside
                .jacobian
                .then(|| means_of.map_or(columns, |other| other.columns(start, count)));
            walk = Some(Walk::on(walk, logits, beside.sum_sq, means_of));
        }
        let Some(walk) = walk else {
            unreachable!("a vocabulary holds at least one token");
        };
        walk
    }

    /// How many tokens have a higher logit than each target, `[M]`; equal ones do not count.
    pub(super) fn likelier(&self, hidden: &Tensor<2>, targets: &[u32]) -> Tensor<1> {
        let m = targets.len();
        let parts = (0..m).step_by(ROWS).map(|start| {
            let rows = ROWS.min(m - start);
            let hidden = hidden.clone().narrow(0, start, rows);
            let tokens = ints(&targets[start..start + rows], [rows, 1], &hidden.device());
            self.rows_likelier(&hidden, &tokens)
        });
        Tensor::cat(parts.collect(), 0)
    }

    /// The target's logit comes out of the very product that it is compared in, in a walk before that.
    fn rows_likelier(&self, hidden: &Tensor<2>, targets: &Tensor<2, Int>) -> Tensor<1> {
        let [rows, _] = targets.dims();
        let device = hidden.device();
        let chunks = self.vocabulary_chunks(rows);
        let logits = |&(start, count): &(usize, usize)| {
            let ids = Tensor::<1, Int>::arange(start as i64..(start + count) as i64, &device);
            let own = targets.clone().equal(ids.unsqueeze::<2>().expand([rows, count]));
            (hidden.clone().matmul(self.columns(start, count)), own)
        };
        let mut own = Tensor::<2>::zeros([rows, 1], &device);
        for chunk in &chunks {
            let (logits, is_target) = logits(chunk);
            own = own + logits.mask_fill(is_target.bool_not(), 0.0).sum_dim(1);
        }
        let mut likelier = Tensor::<2>::zeros([rows, 1], &device);
        for chunk in &chunks {
            let (logits, _) = logits(chunk);
            likelier = likelier + logits.greater(own.clone()).float().sum_dim(1);
        }
        likelier.squeeze_dim(1)
    }

    /// Gradient of Σ cotangent·log p with respect to the head, `[V, E]`.
    pub(crate) fn weight_gradient(
        &self,
        hidden: &Tensor<2>,
        targets: &[u32],
        log_probs: &TargetLogProbs,
        cotangent: &Tensor<1>,
    ) -> Tensor<2> {
        let [m, _] = hidden.dims();
        let device = hidden.device();
        if self.is_fused() {
            let found = [log_probs.log_sum_exp.clone(), cotangent.clone()];
            let tokens = ints(targets, [m], &device);
            return head_gradient(hidden.clone(), self.weight.clone(), tokens, found);
        }
        let scaled = hidden.clone() * cotangent.clone().unsqueeze_dim::<2>(1);
        let mut gradient =
            self.by_probability(hidden, &log_probs.log_sum_exp, &scaled.clone().neg());
        let tokens = ints(targets, [m], &device);
        gradient.inplace(|all| {
            all.select_assign(0, tokens, scaled, burn::tensor::IndexingUpdateOp::Add)
        });
        gradient
    }

    /// Σ_m p_m(v)·x_m for each token v, `[V, X]`: p is the softmax of the logits of hidden states `[M, E]` with
    /// these log-sum-exps `[M]`, x are rows `[M, X]`.
    pub(super) fn by_probability(
        &self,
        hidden: &Tensor<2>,
        log_sum_exp: &Tensor<1>,
        x: &Tensor<2>,
    ) -> Tensor<2> {
        let [m, width] = x.dims();
        let mut all = Tensor::<2>::zeros([self.vocabulary, width], &x.device());
        for (first, count) in self.vocabulary_chunks(ROWS.min(m)) {
            let columns = self.columns(first, count);
            let mut sum: Option<Tensor<2>> = None;
            for start in (0..m).step_by(ROWS) {
                let rows = ROWS.min(m - start);
                let take = |x: &Tensor<2>| x.clone().narrow(0, start, rows);
                let log_sum_exp = log_sum_exp.clone().narrow(0, start, rows);
                let logits = take(hidden).matmul(columns.clone());
                let probabilities = (logits - log_sum_exp.unsqueeze_dim(1)).exp();
                let part = probabilities.transpose().matmul(take(x));
                sum = Some(match sum {
                    Some(sum) => sum + part,
                    None => part,
                });
            }
            if let Some(sum) = sum {
                let range = [first..first + count, 0..width];
                all.inplace(|all| all.slice_assign(range, sum));
            }
        }
        all
    }
}

impl Decoder {
    /// Next-token logits of chosen hidden states: `[M, E]` → `[M, V]`.
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        Head::of(self).all_logits(hidden)
    }
}

/// What a head says of targets when its chunks hold `chunk` logits: log-probabilities `[M]`, their
/// gradients `[M, E]`, that of Σ cotangent·log p with respect to the head, `[V, E]`, and log Σ_v π(v)², `[M]`.
#[doc(hidden)]
pub fn readout_in_chunks(
    decoder: &Decoder,
    hidden: &Tensor<2>,
    targets: &[u32],
    cotangent: &Tensor<1>,
    chunk: usize,
) -> (Tensor<1>, Tensor<2>, Tensor<2>, Tensor<1>) {
    let head = Head { chunk, ..Head::of(decoder) };
    let found = head.log_probs(hidden, targets, Beside { jacobian: true, sum_sq: true });
    let gradient = head.weight_gradient(hidden, targets, &found, cotangent);
    let jacobian = found.jacobian.unwrap_or_else(|| hidden.zeros_like());
    let squares = found.log_sum_sq_probs.unwrap_or_else(|| found.values.zeros_like());
    (found.values, jacobian, gradient, squares)
}

/// What a walk over the vocabulary has seen: numerators relative to the highest logit so far.
pub(super) struct Walk {
    /// `[M, 1]`.
    pub(super) highest: Tensor<2>,
    /// Σ exp(logit − highest), `[M, 1]`.
    pub(super) sum: Tensor<2>,
    /// Σ exp(logit − highest)², `[M, 1]`.
    square: Option<Tensor<2>>,
    /// Σ exp(logit − highest)·W, `[M, E]`.
    pub(super) mean: Option<Tensor<2>>,
}

impl Walk {
    /// One step further, over the logits of a chunk `[M, count]`; with means of these columns `[E, count]`.
    pub(super) fn on(
        walk: Option<Self>,
        logits: Tensor<2>,
        squares: bool,
        means_of: Option<Tensor<2>>,
    ) -> Self {
        let highest = logits.clone().max_dim(1);
        let highest = match &walk {
            Some(earlier) => earlier.highest.clone().max_pair(highest),
            None => highest,
        };
        let exponentials = (logits - highest.clone()).exp();
        let sum = exponentials.clone().sum_dim(1);
        let square = squares.then(|| exponentials.clone().square().sum_dim(1));
        let mean = means_of.map(|columns| exponentials.matmul(columns.transpose()));
        let here = Self { highest, sum, square, mean };
        match walk {
            None => here,
            Some(earlier) => earlier.and(here),
        }
    }

    /// Join a chunk, which is relative to its own highest logit, that of all so far.
    fn and(self, here: Self) -> Self {
        let rescale = (self.highest - here.highest.clone()).exp();
        let squares = self.square.zip(here.square);
        Self {
            sum: self.sum * rescale.clone() + here.sum,
            square: squares.map(|(old, new)| old * rescale.clone().square() + new),
            mean: self.mean.zip(here.mean).map(|(old, new)| old * rescale + new),
            highest: here.highest,
        }
    }
}
