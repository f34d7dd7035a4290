//! Which responses are worth learning from: those that are hard for a weak model, and that it could have guessed
//! (SALT_DS, arXiv 2410.18779, section 3.2).

/// The median loss of the tokens of a response that are among the `top_k` which a model finds likeliest; none where
/// no token is. Each token is its log-probability and how many tokens are likelier.
pub fn difficulty(tokens: &[(f32, usize)], top_k: usize) -> Option<f64> {
    let guessed = tokens.iter().filter(|(_, likelier)| *likelier < top_k);
    let mut losses: Vec<f64> = guessed.map(|(log_prob, _)| -f64::from(*log_prob)).collect();
    losses.sort_by(f64::total_cmp);
    let middle = losses.len() / 2;
    match losses.len() {
        0 => None,
        n if n % 2 == 1 => Some(losses[middle]),
        _ => Some((losses[middle - 1] + losses[middle]) / 2.0),
    }
}

/// The places of the hardest, in their order: of n, ⌈share·n⌉; what has no difficulty comes last, and of two alike
/// the earlier first.
pub fn hardest(difficulties: &[Option<f64>], share: f64) -> Vec<usize> {
    let count = (share * difficulties.len() as f64).ceil() as usize;
    let mut places: Vec<usize> = (0..difficulties.len()).collect();
    places.sort_by(|&i, &j| match (difficulties[i], difficulties[j]) {
        (Some(one), Some(other)) => other.total_cmp(&one),
        (one, other) => other.is_some().cmp(&one.is_some()),
    });
    places.truncate(count);
    places.sort_unstable();
    places
}
