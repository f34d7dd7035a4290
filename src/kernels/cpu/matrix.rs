//! Products of views on slices.

/// A matrix within a slice.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) data: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Numbers from a row to the next, and from a column to the next.
    pub(super) strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` numbers, `stride` apart, from the start of `data`.
    pub(super) fn rows(data: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        Self { data, rows, columns, strides: [stride, 1] }
    }

    pub(super) fn transpose(self) -> Self {
        let [row, column] = self.strides;
        Self { rows: self.columns, columns: self.rows, strides: [column, row], ..self }
    }

    fn is_within(&self) -> bool {
        reach(self.rows, self.columns, self.strides) <= self.data.len()
    }
}

/// Numbers from the first to one past the last.
fn reach(rows: usize, columns: usize, [row, column]: [usize; 2]) -> usize {
    match (rows, columns) {
        (0, _) | (_, 0) => 0,
        _ => (rows - 1) * row + (columns - 1) * column + 1,
    }
}

/// Threads that one product may use.
#[derive(Clone, Copy)]
pub(super) enum Threads {
    /// It is one of many that run side by side.
    One,
    /// All of them.
    All,
}

/// c = factor·a·b, or c + factor·a·b; rows of c are `stride` apart.
pub(super) fn multiply(
    c: &mut [f32],
    stride: usize,
    [a, b]: [Matrix<'_>; 2],
    factor: f32,
    add: bool,
    threads: Threads,
) {
    let fits = reach(a.rows, b.columns, [stride, 1]) <= c.len();
    assert!(
        a.columns == b.rows && fits && a.is_within() && b.is_within(),
        "a product of matrices that do not fit each other"
    );
    if a.rows == 0 || b.columns == 0 {
        return;
    }
    let threads = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::All => gemm::Parallelism::Rayon(0),
    };
    let [[a_row, a_column], [b_row, b_column]] = [a, b].map(|m| m.strides.map(|s| s as isize));
    // SAFETY: the assertion above holds every view within its slice, and c is borrowed mutably.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            c.as_mut_ptr(),
            1,
            stride as isize,
            add,
            a.data.as_ptr(),
            a_column,
            a_row,
            b.data.as_ptr(),
            b_column,
            b_row,
            1.0,
            factor,
            false,
            false,
            false,
            threads,
        );
    }
}
