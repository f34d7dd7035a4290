//! Several annotators of one kind as one: what they say together, and how far they differ.

/// What the members of an ensemble say of one pair.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ensemble {
    /// Mean scores of both responses.
    pub scores: [f64; 2],
    /// Var, the variance of the members' margins s₁ − s₂, divided by their number (arXiv 2310.02743); 0
    /// of one member.
    pub spread: f64,
}

impl Ensemble {
    /// Of each member's scores of both responses; those of one are what it says itself.
    pub fn of(members: &[[f64; 2]]) -> Self {
        let n = members.len().max(1) as f64;
        let mean = |values: &dyn Fn(&[f64; 2]) -> f64| members.iter().map(values).sum::<f64>() / n;
        let margin = |scores: &[f64; 2]| scores[0] - scores[1];
        let middle = mean(&margin);
        Self {
            scores: [mean(&|scores| scores[0]), mean(&|scores| scores[1])],
            spread: mean(&|scores| (margin(scores) - middle).powi(2)),
        }
    }
}

/// max(0, 1 − Var/τ²): what is left of a label's weight where members differ by so much; 1 where τ is 0.
pub fn trust(spread: f64, tau: f64) -> f64 {
    if tau > 0.0 { (1.0 - spread / (tau * tau)).max(0.0) } else { 1.0 }
}
