//! One step of AdamW, in one walk over its four vectors.

use multiversion::multiversion;
use rayon::prelude::*;

use crate::kernels::arguments::AdamWStep;

/// Numbers that one thread takes at a time.
const CHUNK: usize = 1 << 14;

#[multiversion(targets = "simd")]
fn step(values: &mut [f32], gradient: &[f32], [first, second]: [&mut [f32]; 2], s: AdamWStep) {
    let moments = first.iter_mut().zip(second);
    for ((x, g), (m, v)) in values.iter_mut().zip(gradient).zip(moments) {
        *m = s.first[0] * *m + s.first[1] * g;
        *v = s.second[0] * *v + s.second[1] * g * g;
        let direction = *m * s.first_scale / ((*v * s.second_scale).sqrt() + s.epsilon);
        *x = *x * s.decay - s.rate * direction;
    }
}

/// Update values and both moments in place.
pub(crate) fn adamw(
    values: &mut [f32],
    gradient: &[f32],
    [first, second]: [&mut [f32]; 2],
    settings: AdamWStep,
) {
    let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
    let parts = values.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK)).zip(moments);
    parts.for_each(|((x, g), (m, v))| step(x, g, [m, v], settings));
}
