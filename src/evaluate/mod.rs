//! Samples of models compared under a reward that is known exactly.

use serde::{Deserialize, Serialize};

use crate::model::{Decoder, Generated, ModelError, Sampling, generate};
use crate::text::{TextError, Tokenizer};

/// Gold reward of sampled responses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GoldReport {
    /// The gold reward model; empty where the reward is that of the built-in world.
    #[serde(default)]
    pub model: String,
    /// Share of the held-out pairs under the sampled prompts on which the gold model agrees with
    /// the human label; ties are misses; `null` if there are none.
    #[serde(default, with = "crate::finite")]
    pub accuracy: Option<f64>,
    /// Prompts sampled.
    pub prompts: usize,
    /// Mean gold reward before any training.
    #[serde(with = "crate::finite")]
    pub base: f64,
    /// Mean gold reward after SFT: the reference.
    #[serde(with = "crate::finite")]
    pub sft: f64,
    /// Mean gold reward of the aligned policy.
    #[serde(with = "crate::finite")]
    pub policy: f64,
    /// Share of prompts on which the policy beats the SFT model; ties count one half.
    #[serde(with = "crate::finite")]
    pub win_rate: f64,
    /// 95 % Wilson interval of `win_rate`.
    #[serde(with = "crate::finite")]
    pub win_rate_interval: [f64; 2],
    /// A few prompts with the responses before and after.
    pub samples: Vec<GoldSample>,
}

/// One prompt with responses before and after alignment, each with its gold reward.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GoldSample {
    /// The prompt.
    pub prompt: String,
    /// The SFT model's.
    #[serde(with = "crate::finite")]
    pub before: (String, f64),
    /// The policy's.
    #[serde(with = "crate::finite")]
    pub after: (String, f64),
}

/// Prompts sampled at once.
pub const SAMPLED_AT_ONCE: usize = 32;

/// Sample one response to each prompt, given as tokens, ending at those of `stop`; `poll` is called between batches and may end it.
///
/// # Errors
///
/// The tokenizer or the device fails, or `poll` says so.
pub fn sample<E: From<ModelError> + From<TextError>>(
    decoder: &Decoder,
    tokenizer: &Tokenizer,
    stop: &[u32],
    prompts: &[Vec<u32>],
    sampling: &Sampling,
    poll: &mut dyn FnMut() -> Result<(), E>,
) -> Result<Vec<String>, E> {
    let found = sample_whole(decoder, tokenizer, stop, prompts, sampling, poll)?;
    Ok(found.into_iter().map(|(text, _)| text).collect())
}

/// As [`sample`], with the tokens of each response and whether it ended.
///
/// # Errors
///
/// As [`sample`].
pub fn sample_whole<E: From<ModelError> + From<TextError>>(
    decoder: &Decoder,
    tokenizer: &Tokenizer,
    stop: &[u32],
    prompts: &[Vec<u32>],
    sampling: &Sampling,
    poll: &mut dyn FnMut() -> Result<(), E>,
) -> Result<Vec<(String, Generated)>, E> {
    let mut found = Vec::with_capacity(prompts.len());
    for (i, part) in prompts.chunks(SAMPLED_AT_ONCE).enumerate() {
        let sampling = Sampling { seed: sampling.seed.wrapping_add(i as u64), ..sampling.clone() };
        let responses = generate(decoder, part, stop, &sampling)?;
        for (prompt, response) in part.iter().zip(responses) {
            found.push((tokenizer.decode_after(prompt, &response.tokens)?, response));
        }
        poll()?;
    }
    Ok(found)
}

/// Compare samples of [base, SFT, policy], each with its reward, prompt by prompt.
pub fn gold_report(
    prompts: &[String],
    samples: &[Vec<String>; 3],
    rewards: &[Vec<f64>; 3],
) -> GoldReport {
    let [base, before, after] = rewards;
    let n = prompts.len().max(1) as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let points = |(b, a): (&f64, &f64)| match a.total_cmp(b) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Equal => 0.5,
        std::cmp::Ordering::Less => 0.0,
    };
    let wins: f64 = before.iter().zip(after).map(points).sum();
    let shown = 0..prompts.len().min(6);
    GoldReport {
        model: String::new(),
        accuracy: None,
        prompts: prompts.len(),
        base: mean(base),
        sft: mean(before),
        policy: mean(after),
        win_rate: wins / n,
        win_rate_interval: wilson(wins, n),
        samples: shown
            .map(|i| GoldSample {
                prompt: prompts[i].clone(),
                before: (samples[1][i].clone(), before[i]),
                after: (samples[2][i].clone(), after[i]),
            })
            .collect(),
    }
}

/// 95 % Wilson interval of a proportion.
pub fn wilson(successes: f64, n: f64) -> [f64; 2] {
    if n <= 0.0 {
        return [0.0, 1.0];
    }
    let z = 1.959_963_984_540_054_f64;
    let p = successes / n;
    let centre = p + z * z / (2.0 * n);
    let spread = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    let scale = 1.0 + z * z / n;
    [(centre - spread) / scale, (centre + spread) / scale]
}
