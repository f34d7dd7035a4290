//! The same numbers dropped on a GPU.

use burn::tensor::DType;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

use crate::kernels::arguments::Dropped;

/// Threads of a group, along a row.
const UNITS: u32 = 256;
/// Groups that a dispatch may count along one side.
const MOST: usize = 65_535;

/// As [`cpu::dropout`](crate::kernels::cpu) has it.
#[cube]
fn hash(place: u32, first: u32, second: u32) -> u32 {
    let mut x = place ^ first;
    x = (x ^ (x >> 16u32)) * 0x7feb_352du32;
    x = (x ^ (x >> 15u32)) + second;
    x = (x ^ (x >> 13u32)) * 0x846c_a68bu32;
    x ^ (x >> 16u32)
}

#[cube(launch)]
fn drop_in_rows(
    x: &Tensor<f32>,
    out: &mut Tensor<f32>,
    first: u32,
    second: u32,
    threshold: u32,
    scale: f32,
) {
    let width = x.shape(1);
    let rows = x.shape(0);
    let column = CUBE_POS_X as usize * CUBE_DIM_X as usize + UNIT_POS as usize;
    let mut row = CUBE_POS_Y as usize;
    while row < rows {
        if column < width {
            let a = hash(row as u32, first, second);
            let b = hash(row as u32, second, first);
            let place = row * width + column;
            let mut value = 0.0f32;
            if hash(column as u32, a, b) >= threshold {
                value = x[place] * scale;
            }
            out[place] = value;
        }
        row += CUBE_COUNT_Y as usize;
    }
}

pub(super) fn drop_inputs(x: CubeTensor, dropped: Dropped) -> CubeTensor {
    let x = into_contiguous(x);
    let shape = x.meta.shape().clone();
    let (rows, width) = (shape[0], shape[1]);
    let out = empty_device_contiguous_dtype(x.client.clone(), x.device.clone(), shape, DType::F32);
    let [first, second] = dropped.key;
    drop_in_rows::launch(
        &x.client.clone(),
        CubeCount::Static((width as u32).div_ceil(UNITS), rows.min(MOST) as u32, 1),
        CubeDim::new_1d(UNITS),
        x.into_tensor_arg(),
        out.clone().into_tensor_arg(),
        first,
        second,
        dropped.threshold,
        dropped.scale,
    );
    out
}
