//! Settings of rounds in which the policy learns from its own responses.

use serde::{Deserialize, Serialize};

use crate::settings::{Limits, Words, settings};

/// What an objective compares the policy with in rounds after the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RoundReference {
    /// As the objective was published.
    #[default]
    Auto,
    /// The policy as it was before the first round.
    Initial,
    /// The policy as it was when the round began.
    Previous,
}

settings! {
    /// Rounds of learning from the policy's own responses, after the labelled pairs.
    pub struct OnlineSettings {
        /// How often the policy is trained. 1: once, on the labelled pairs. More (online DPO, arXiv 2402.04792; SPA, arXiv 2406.04412): after that, in each further round it writes num_generations responses to each training prompt, the annotator labels the best against the worst of them, and the policy learns on from these pairs. Each round takes policy.epochs (or policy.steps) over its own pairs, and optimiser and learning rate begin afresh in it. The paper of confidence weighting (arXiv 2603.04968) warns of it: an annotator that learned from other texts is off its ground on what a policy writes.
        pub rounds: usize = 1 => {
            limits: Limits::between(1.0, 100.0, "from 1 to 100 rounds"),
        },
        /// To how many of the training prompts it writes in a round, drawn anew for each by the seed.
        pub prompts: usize = 0 => { title: "Prompts of a round", unit: "prompts", zero: "all of them" },
        /// Responses to each prompt, of which the best and the worst make a pair (TRL's name).
        pub num_generations: usize = 2 => {
            title: "Responses to each",
            limits: Limits::between(2.0, 64.0, "from 2 to 64 responses"),
        },
        /// Longest response that it writes, in tokens; one that does not end within them is learned without an end (64 is TRL's).
        pub max_new_tokens: usize = 64 => {
            title: "Longest response",
            unit: "tokens",
            limits: Limits::at_least(1.0, "at least 1"),
        },
        /// Temperature of what it writes (0.9 is TRL's); at 0 all responses to a prompt would be the same.
        pub temperature: f64 = 0.9 => { limits: Limits::NOT_NEGATIVE },
        /// What the objective compares with in rounds after the first. initial: the policy before the first round, as online DPO does. previous: the policy as it was when the round began, as SPA and SPIN do. auto: initial, and previous for objectives that hold the policy against its own responses.
        pub reference: RoundReference = RoundReference::Auto => {
            title: "Compares with",
            words: Words::Of(&[
                ("auto", "as the objective has it"),
                ("initial", "the policy before all rounds"),
                ("previous", "the policy before the round"),
            ]),
            advanced: true,
        },
    }
}
