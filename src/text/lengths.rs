//! How many tokens pairs need, and how many of them a limit loses.

use serde::{Deserialize, Serialize};

use super::encoded::{EncodedPair, Fit, common_prefix};

/// Shares of pairs whose needs [`Lengths::quantiles`] tell.
pub const QUANTILES: [f64; 4] = [0.5, 0.75, 0.95, 1.0];

/// What pairs need of a limit on their tokens, and what it loses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lengths {
    /// The limit, in tokens of prompt and response.
    pub limit: usize,
    /// Pairs in all.
    pub pairs: usize,
    /// How many of them were looked at.
    pub looked_at: usize,
    /// How many of these the limit loses.
    pub lost: usize,
    /// The limits that keep half, three quarters, 95 of a hundred and all of these; pairs that none
    /// keeps, whose responses are the same tokens, do not count.
    pub quantiles: [usize; 4],
}

impl EncodedPair {
    /// The smallest limit under which [`EncodedPair::fit`] keeps the pair; `None` where none does.
    pub fn needs(&self, fit: Fit) -> Option<usize> {
        let [first, second] = &self.sides;
        match fit {
            Fit::Whole => Some(first.len().max(second.len())),
            Fit::Start => {
                let (a, b) = (&first.response, &second.response);
                let shared = common_prefix(a, b);
                // The prompt is the same, so the sides part behind what their responses share.
                (a != b).then(|| first.prompt.len() + shared + 1)
            }
        }
    }
}

impl Lengths {
    /// What some of so many pairs need.
    pub fn of(encoded: &[EncodedPair], pairs: usize, fit: Fit, limit: usize) -> Self {
        let needs = encoded.iter().map(|pair| pair.needs(fit));
        let mut needed: Vec<usize> = needs.flatten().collect();
        needed.sort_unstable();
        let kept = needed.partition_point(|needed| *needed <= limit);
        let quantile = |share: f64| {
            let place = (share * needed.len() as f64).ceil() as usize;
            needed.get(place.saturating_sub(1)).copied().unwrap_or(0)
        };
        Self {
            limit,
            pairs,
            looked_at: encoded.len(),
            lost: encoded.len() - kept,
            quantiles: QUANTILES.map(quantile),
        }
    }

    /// Share of pairs that the limit loses, 0 to 1.
    pub fn share_lost(&self) -> f64 {
        if self.looked_at == 0 { 0.0 } else { self.lost as f64 / self.looked_at as f64 }
    }

    /// Whether so many are lost that a person should know.
    pub fn is_warned_of(&self) -> bool {
        const WARNED: f64 = 0.05;
        self.share_lost() > WARNED
    }

    /// Whether more is lost than a share that somebody accepts. Of a handful of pairs a share says
    /// little, and nobody takes what comes of them for a result.
    pub fn exceeds(&self, accepted: f64) -> bool {
        const HANDFUL: usize = 20;
        self.pairs >= HANDFUL && self.share_lost() > accepted
    }

    /// The limit that keeps 95 of a hundred.
    pub fn keeps_most(&self) -> usize {
        self.quantiles[2]
    }
}

impl std::fmt::Display for Lengths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { limit, pairs, looked_at, lost, quantiles: [half, _, most, all] } = self;
        let of = if looked_at == pairs { String::new() } else { format!(" looked at, of {pairs}") };
        write!(
            f,
            "{lost} of {looked_at} pairs{of} ({:.0} %) do not fit {limit} tokens; half of them need up to {half}, 95 % up to {most}, all up to {all}",
            100.0 * self.share_lost()
        )
    }
}
