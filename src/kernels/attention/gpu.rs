//! Attention on a GPU, as kernels that compile to every shading language. All sums are in f32.

mod backward;
mod forward;
mod tiles;

use burn::backend::tensor::FloatTensor;
use burn::tensor::wgpu::WgpuBackend;
use burn::tensor::{DType, Shape};
use burn_cubecl::CubeBackend;
use burn_cubecl::CubeDevice;
use burn_cubecl::cubecl::prelude::{CubeCount, CubeDim};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

use self::tiles::{BLOCK, BOUNDS, UNITS};
use crate::kernels::arguments::SegmentAttention;

/// Widest head whose sums a thread can hold.
const WIDEST: usize = 256;
/// Threads that find the bounds of blocks together.
const FINDERS: usize = 64;

/// Whether there is a kernel for heads of this width.
pub(super) fn supports(head_dim: usize) -> bool {
    head_dim.is_multiple_of(8) && (8..=WIDEST).contains(&head_dim)
}

/// Columns that pass through a group's memory at once.
fn chunk(head_dim: usize) -> usize {
    if head_dim.is_multiple_of(16) { 16 } else { 8 }
}

fn empty(like: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), dtype)
}

/// What is the same in all kernels of one attention.
struct Launch {
    spans: CubeTensor,
    bounds: CubeTensor,
    shape: SegmentAttention,
    /// Everything is in the widest one.
    window: i32,
    /// Devices allow 65,535 work-groups in a dimension: two million positions.
    blocks: u32,
    /// Whether blocks are skipped that spans leave empty.
    skip: bool,
}

/// Whether a device's compiler takes barriers in loops whose bounds a kernel read. The older one
/// of DirectX 12 wants proof that all threads agree (X4026), and finds none in a buffer.
fn may_skip(device: &CubeDevice) -> bool {
    match device {
        CubeDevice::Wgpu(device) => device.backend != WgpuBackend::Dx12,
        _ => true,
    }
}

impl Launch {
    fn new(spans: CubeTensor, n: usize, shape: SegmentAttention) -> Self {
        let spans = into_contiguous(spans);
        let blocks = n.div_ceil(BLOCK);
        let bounds = empty(&spans, [blocks, BOUNDS], DType::I32);
        let window = shape.window.and_then(|window| i32::try_from(window).ok());
        let window = window.unwrap_or(i32::MAX);
        tiles::bounds::launch(
            &spans.client,
            CubeCount::Static(blocks.div_ceil(FINDERS) as u32, 1, 1),
            CubeDim::new_1d(FINDERS as u32),
            spans.clone().into_tensor_arg(),
            bounds.clone().into_tensor_arg(),
            window,
        );
        let skip = !shape.every_block && may_skip(&spans.device);
        Self { spans, bounds, shape, window, blocks: blocks as u32, skip }
    }

    fn group(&self) -> u32 {
        (self.shape.heads / self.shape.kv_heads) as u32
    }

    fn count(&self, heads: usize) -> CubeCount {
        CubeCount::Static(self.blocks, heads as u32, 1)
    }
}

/// See [`Kernels::attend`](super::Kernels::attend).
pub(super) fn attend(
    qkv: [CubeTensor; 3],
    spans: CubeTensor,
    shape: SegmentAttention,
) -> (CubeTensor, CubeTensor) {
    let [q, k, v] = qkv.map(into_contiguous);
    let n = q.meta.shape()[0];
    let launch = Launch::new(spans, n, shape);
    let mixed = empty(&q, [n, shape.heads * shape.head_dim], DType::F32);
    let log_sum_exps = empty(&q, [n, shape.heads], DType::F32);
    forward::attend::launch(
        &q.client.clone(),
        launch.count(shape.heads),
        CubeDim::new_1d(UNITS as u32),
        q.into_tensor_arg(),
        k.into_tensor_arg(),
        v.into_tensor_arg(),
        launch.spans.clone().into_tensor_arg(),
        launch.bounds.clone().into_tensor_arg(),
        mixed.clone().into_tensor_arg(),
        log_sum_exps.clone().into_tensor_arg(),
        launch.group(),
        shape.scale,
        launch.window,
        launch.skip,
        shape.head_dim,
        chunk(shape.head_dim),
    );
    (mixed, log_sum_exps)
}

/// See [`Kernels::attend_backward`](super::Kernels::attend_backward).
pub(super) fn attend_backward(
    qkv: [CubeTensor; 3],
    spans: CubeTensor,
    [mixed, log_sum_exps]: [CubeTensor; 2],
    grad_output: CubeTensor,
    shape: SegmentAttention,
) -> [CubeTensor; 3] {
    let [q, k, v] = qkv.map(into_contiguous);
    let grad_output = into_contiguous(grad_output);
    let n = q.meta.shape()[0];
    let levels = levels(mixed, grad_output.clone(), n, shape);
    let launch = Launch::new(spans, n, shape);
    let gradients = [&q, &k, &v].map(|x| empty(x, x.meta.shape().clone(), DType::F32));
    let [of_q, of_k, of_v] = gradients.clone();
    backward::of_queries::launch(
        &q.client,
        launch.count(shape.heads),
        CubeDim::new_1d(UNITS as u32),
        q.clone().into_tensor_arg(),
        k.clone().into_tensor_arg(),
        v.clone().into_tensor_arg(),
        launch.spans.clone().into_tensor_arg(),
        launch.bounds.clone().into_tensor_arg(),
        log_sum_exps.clone().into_tensor_arg(),
        levels.clone().into_tensor_arg(),
        grad_output.clone().into_tensor_arg(),
        of_q.into_tensor_arg(),
        launch.group(),
        shape.scale,
        launch.window,
        launch.skip,
        shape.head_dim,
        chunk(shape.head_dim),
    );
    backward::of_keys::launch(
        &q.client.clone(),
        launch.count(shape.kv_heads),
        CubeDim::new_1d(UNITS as u32),
        q.into_tensor_arg(),
        k.into_tensor_arg(),
        v.into_tensor_arg(),
        launch.spans.clone().into_tensor_arg(),
        launch.bounds.clone().into_tensor_arg(),
        log_sum_exps.into_tensor_arg(),
        levels.into_tensor_arg(),
        grad_output.into_tensor_arg(),
        of_k.into_tensor_arg(),
        of_v.into_tensor_arg(),
        launch.group(),
        shape.scale,
        launch.window,
        launch.skip,
        shape.head_dim,
        chunk(shape.head_dim),
    );
    gradients
}

/// Slope · mixed, summed over each head, `[N, heads]`.
fn levels(
    mixed: CubeTensor,
    grad_output: CubeTensor,
    n: usize,
    shape: SegmentAttention,
) -> CubeTensor {
    use burn::backend::ops::FloatTensorOps;
    type B = CubeBackend;
    let product: FloatTensor<B> = B::float_mul(mixed, grad_output);
    let by_head = B::float_reshape(product, Shape::new([n * shape.heads, shape.head_dim]));
    let sums = B::float_sum_dim(by_head, 1);
    into_contiguous(B::float_reshape(sums, Shape::new([n, shape.heads])))
}
