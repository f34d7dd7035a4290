//! Self-attention over a packed row: each token sees the prompt that it continues and its own
//! segment up to itself (arXiv 2410.20305), so that one row holds a prompt and all that continues
//! it, and rows hold many of these; what prompts begin with alike may stand before them, once. No matrix of scores outlives its block in either pass (arXiv
//! 2307.08691).

mod gpu;

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, Int, Tensor};
use burn_autodiff::checkpoint::base::Checkpointer;
use burn_autodiff::checkpoint::strategy::CheckpointStrategy;
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;
use burn_flex::FlexTensor;

use super::arguments::{SegmentAttention, Span};
use super::cpu::{self, Floats, ints, tensor};
use crate::device::is_cpu;

/// Queries `[N, heads · head_dim]`, keys and values `[N, kv_heads · head_dim]` → what they mix,
/// `[N, heads · head_dim]`. `spans` is `[N, 6]`: first and one past the last token of what the prompt of
/// a token shares with others, the same of the prompt that it continues, first token of its own segment,
/// one past the last token that sees it.
pub(crate) fn segment_attention(
    [q, k, v]: [Tensor<2>; 3],
    spans: Tensor<2, Int>,
    shape: SegmentAttention,
) -> Tensor<2> {
    let fused = has_attention_kernel(shape.head_dim) && q.dtype() == DType::F32;
    if !is_cpu(&q.device()) && !fused {
        return plain_attention([q, k, v], &spans, shape);
    }
    let [q, k, v] = [q, k, v].map(Tensor::into_dispatch);
    Tensor::from_dispatch(Dispatch::segment_attention(q, k, v, spans.into_dispatch(), shape))
}

/// Whether a GPU has a kernel for heads of this width; others take the plain operations.
pub(crate) fn has_attention_kernel(head_dim: usize) -> bool {
    gpu::supports(head_dim)
}

/// The same in plain operations, with all scores at once.
pub(crate) fn plain_attention(
    [q, k, v]: [Tensor<2>; 3],
    spans: &Tensor<2, Int>,
    shape: SegmentAttention,
) -> Tensor<2> {
    let SegmentAttention { heads, kv_heads, head_dim, scale, window, .. } = shape;
    let n = q.dims()[0];
    let device = spans.device();
    let split = |x: Tensor<2>, count: usize| -> Tensor<3> {
        let x = x.reshape([n, count, 1, head_dim]).repeat_dim(2, heads / count);
        x.reshape([n, heads, head_dim]).swap_dims(0, 1)
    };
    let [q, k, v] = [split(q, heads), split(k, kv_heads), split(v, kv_heads)];
    let column = |i: usize| spans.clone().narrow(1, i, 1).expand([n, n]);
    let token = Tensor::<1, Int>::arange(0..n as i64, &device);
    let query = token.clone().reshape([n, 1]).expand([n, n]);
    let key = token.reshape([1, n]).expand([n, n]);
    let within = |first: usize| {
        let not_before = key.clone().greater_equal(column(first));
        not_before.bool_and(key.clone().lower(column(first + 1)))
    };
    let (in_head, in_prompt) = (within(0), within(2));
    let own = key.clone().greater_equal(column(4)).bool_and(key.clone().lower_equal(query.clone()));
    let mut visible = in_head.clone().bool_or(in_prompt.clone()).bool_or(own);
    if let Some(window) = window {
        let to_own = query.clone() - key.clone();
        let to_prompt = query - column(4) + column(3) - key;
        let to_head = to_prompt.clone() - column(2) + column(1);
        let distance = to_own.mask_where(in_prompt, to_prompt).mask_where(in_head, to_head);
        visible = visible.bool_and(distance.lower_elem(window as i64));
    }
    let scores = q.matmul(k.swap_dims(1, 2)).mul_scalar(scale);
    let hidden = visible.bool_not().unsqueeze::<3>().expand([heads, n, n]);
    let probabilities = burn::tensor::activation::softmax(scores.mask_fill(hidden, -1e30), 2);
    probabilities.matmul(v).swap_dims(0, 1).reshape([n, heads * head_dim])
}

/// The operation, with its backward pass.
#[backend_extension(Flex, Cube, Autodiff)]
pub(crate) trait SegmentAttentionOp: Backend {
    /// See [`segment_attention`].
    fn segment_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        spans: IntTensor<Self>,
        shape: SegmentAttention,
    ) -> FloatTensor<Self>;
}

/// Both passes on one backend.
trait Kernels: Backend {
    /// What is mixed, `[N, heads · head_dim]`, and the log-sum-exps of its scores, `[N, heads]`.
    fn attend(
        qkv: [FloatTensor<Self>; 3],
        spans: IntTensor<Self>,
        shape: SegmentAttention,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The gradients of queries, keys and values; `found` is what [`Kernels::attend`] gave.
    fn attend_backward(
        qkv: [FloatTensor<Self>; 3],
        spans: IntTensor<Self>,
        found: [FloatTensor<Self>; 2],
        grad_output: FloatTensor<Self>,
        shape: SegmentAttention,
    ) -> [FloatTensor<Self>; 3];
}

/// Rows of the `spans` tensor.
fn rows_of(spans: &FlexTensor) -> Vec<Span> {
    let numbers = ints(spans);
    let (rows, _) = numbers.as_chunks::<6>();
    let span = |&[a, b, c, d, own, group_end]: &[usize; 6]| Span {
        head: [a, b],
        prompt: [c, d],
        own,
        group_end,
    };
    rows.iter().map(span).collect()
}

impl Kernels for Flex {
    fn attend(
        qkv: [FlexTensor; 3],
        spans: FlexTensor,
        shape: SegmentAttention,
    ) -> (FlexTensor, FlexTensor) {
        let (n, width) = (qkv[0].shape()[0], shape.heads * shape.head_dim);
        let [q, k, v] = qkv.each_ref().map(Floats::of);
        let (mixed, log_sum_exps) =
            cpu::attend([q.get(), k.get(), v.get()], &rows_of(&spans), shape);
        (tensor(mixed, [n, width]), tensor(log_sum_exps, [n, shape.heads]))
    }

    fn attend_backward(
        qkv: [FlexTensor; 3],
        spans: FlexTensor,
        found: [FlexTensor; 2],
        grad_output: FlexTensor,
        shape: SegmentAttention,
    ) -> [FlexTensor; 3] {
        let shapes = qkv.each_ref().map(|x| x.shape());
        let [q, k, v] = qkv.each_ref().map(Floats::of);
        let [mixed, log_sum_exps] = found.each_ref().map(Floats::of);
        let grad_output = Floats::of(&grad_output);
        let gradients = cpu::attend_backward(
            [q.get(), k.get(), v.get()],
            &rows_of(&spans),
            [mixed.get(), log_sum_exps.get(), grad_output.get()],
            shape,
        );
        let ([dq, dk, dv], [q, k, v]) = (gradients, shapes);
        [tensor(dq, q), tensor(dk, k), tensor(dv, v)]
    }
}

impl Kernels for CubeBackend {
    fn attend(
        qkv: [CubeTensor; 3],
        spans: CubeTensor,
        shape: SegmentAttention,
    ) -> (CubeTensor, CubeTensor) {
        gpu::attend(qkv, spans, shape)
    }

    fn attend_backward(
        qkv: [CubeTensor; 3],
        spans: CubeTensor,
        found: [CubeTensor; 2],
        grad_output: CubeTensor,
        shape: SegmentAttention,
    ) -> [CubeTensor; 3] {
        gpu::attend_backward(qkv, spans, found, grad_output, shape)
    }
}

impl SegmentAttentionOp for CubeBackend {
    fn segment_attention(
        q: CubeTensor,
        k: CubeTensor,
        v: CubeTensor,
        spans: CubeTensor,
        shape: SegmentAttention,
    ) -> CubeTensor {
        Self::attend([q, k, v], spans, shape).0
    }
}

impl SegmentAttentionOp for Flex {
    fn segment_attention(
        q: FlexTensor,
        k: FlexTensor,
        v: FlexTensor,
        spans: FlexTensor,
        shape: SegmentAttention,
    ) -> FlexTensor {
        Self::attend([q, k, v], spans, shape).0
    }
}

impl<B: Kernels, C: CheckpointStrategy> SegmentAttentionOp for Autodiff<B, C> {
    fn segment_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        spans: IntTensor<Self>,
        shape: SegmentAttention,
    ) -> FloatTensor<Self> {
        /// Inputs, spans, what was found.
        type Kept<B> = ([FloatTensor<B>; 3], IntTensor<B>, [FloatTensor<B>; 2], SegmentAttention);

        #[derive(Debug)]
        struct Attend;

        impl<B: Kernels> Backward<B, 3> for Attend {
            type State = Kept<B>;

            fn backward(
                self,
                ops: Ops<Self::State, 3>,
                grads: &mut Gradients,
                _: &mut Checkpointer,
            ) {
                let grad_output = grads.consume::<B>(&ops.node);
                let (qkv, spans, found, shape) = ops.state;
                let gradients = B::attend_backward(qkv, spans, found, grad_output, shape);
                for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
                    if let Some(node) = parent {
                        grads.register::<B>(node.id, gradient);
                    }
                }
            }
        }

        let [(q, a), (k, b), (v, c)] = [q, k, v].map(FloatTensor::<Self>::into_parts);
        let qkv = [q, k, v];
        let (mixed, log_sum_exps) = B::attend(qkv.clone(), spans.clone(), shape);
        match Attend.prepare::<C>([a, b, c]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                prep.finish((qkv, spans, [mixed.clone(), log_sum_exps], shape), mixed)
            }
            OpsKind::UnTracked(prep) => prep.finish(mixed),
        }
    }
}
