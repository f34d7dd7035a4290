//! One order of several candidates, of comparisons of two.

/// A comparison: two candidates, and by how much the first is better.
pub type Comparison = (usize, usize, f64);

/// Strengths s of `count` candidates that explain comparisons d best: they minimise Σ (d_ij − (s_i − s_j))² (HodgeRank,
/// arXiv 0811.1067). Where each is compared with each other once, s_i is the mean of its margins over all candidates,
/// itself with 0 included: the order of PairRM's `MaxLogits` (arXiv 2306.02561). Those that no chain of comparisons
/// connects know nothing of each other; the strengths of all that are connected sum to 0.
///
/// Comparisons of a candidate with itself, and of candidates that there are not, count for nothing.
pub fn strengths(count: usize, comparisons: &[Comparison]) -> Vec<f64> {
    let comparisons: Vec<Comparison> =
        comparisons.iter().copied().filter(|(i, k, _)| i != k && *i.max(k) < count).collect();
    // The normal equations are those of a graph: L s = b. Conjugate gradients from 0 stay where their solution is one.
    let mut rest = vec![0.0; count];
    for &(i, k, margin) in &comparisons {
        rest[i] += margin;
        rest[k] -= margin;
    }
    let mut found = vec![0.0; count];
    let mut direction = rest.clone();
    let mut size = dot(&rest, &rest);
    let enough = size * CLOSE;
    for _ in 0..STEPS * count {
        if size <= enough {
            break;
        }
        let image = laplacian(&comparisons, &direction);
        let step = size / dot(&direction, &image);
        add(&mut found, step, &direction);
        add(&mut rest, -step, &image);
        let next = dot(&rest, &rest);
        let turn = next / size;
        direction.iter_mut().zip(&rest).for_each(|(d, r)| *d = r + turn * *d);
        size = next;
    }
    found
}

/// Squared length of what is left of the equations, as a share of what they began with, at which they are solved.
const CLOSE: f64 = 1e-28;
/// Steps for each candidate; one for each suffices where nothing is rounded.
const STEPS: usize = 4;

/// L x of the graph whose edges are comparisons.
fn laplacian(comparisons: &[Comparison], x: &[f64]) -> Vec<f64> {
    let mut image = vec![0.0; x.len()];
    for &(i, k, _) in comparisons {
        image[i] += x[i] - x[k];
        image[k] += x[k] - x[i];
    }
    image
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], times: f64, what: &[f64]) {
    to.iter_mut().zip(what).for_each(|(to, what)| *to += times * what);
}
