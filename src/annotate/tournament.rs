//! A tournament of several candidates: its setting.

use crate::settings::settings;

settings! {
    /// Whether comparisons of two become one order of all.
    pub struct Tournament {
        /// For annotators that compare two responses (judge and trained-judge with a-b, file, random): what they say of all pairs of one prompt's candidates (data.pairing = "all") becomes one order. Each candidate has the strength s that explains the margins best, the least of Σ (d_ij − (s_i − s_j))² (HodgeRank, arXiv 0811.1067; of complete comparisons the order of PairRM's MaxLogits, arXiv 2306.02561); the label and the margin of a pair are those of its strengths. The table keeps what was said of the pair alone (pairwise_margin, above 0 for the first response) and the candidates' ranks (rank_1, rank_2); the report says how much no order explains. false: each pair has the label that it was given.
        pub tournament: bool = false => { title: "Tournament of candidates", advanced: true },
    }
}
