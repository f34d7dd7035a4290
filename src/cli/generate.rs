//! `generate`: sample a response from a model folder.

use clap::Args;
use serde_json::json;

use super::{DONE, say};
use crate::device;
use crate::model::{Sampling, generate as sample, load};
use crate::text::Tokenizer;

#[derive(Debug, Args)]
pub(super) struct GenerateArgs {
    /// Model folder (a run's `policy`, say), or builtin:weak, builtin:strong
    model: String,
    /// Text to continue
    #[arg(long)]
    prompt: String,
    /// Longest response in tokens
    #[arg(long, default_value_t = 128)]
    max_new_tokens: usize,
    /// 0 takes the likeliest token each time
    #[arg(long, default_value_t = 1.0)]
    temperature: f64,
    /// Draw from the smallest set of tokens with this total probability
    #[arg(long, default_value_t = 1.0)]
    top_p: f64,
    /// Of the draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// auto, cpu, gpu or gpu:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// Fetch the model if the local Hugging Face cache lacks it
    #[arg(long)]
    download: bool,
    /// Print text, tokens and logprobs as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn generate(args: &GenerateArgs) -> anyhow::Result<u8> {
    crate::run::fetch_model(&args.model, args.download, &mut |_| true)?;
    let files = crate::run::find_model(&args.model)?;
    let tokenizer = Tokenizer::load(&files)?;
    let choice = device::find(&args.device).map_err(crate::run::RunError::from)?;
    let checkpoint = load(&files, &device::open(&choice.device)?)?;
    let prompt = tokenizer.encode(&args.prompt)?;
    let sampling = Sampling {
        max_new_tokens: args.max_new_tokens,
        temperature: args.temperature,
        top_p: args.top_p,
        seed: args.seed,
    };
    let responses =
        sample(&checkpoint.decoder, std::slice::from_ref(&prompt), &tokenizer.stop, &sampling)?;
    let response = responses.into_iter().next().unwrap_or_default();
    let text = tokenizer.decode_after(&prompt, &response.tokens)?;
    if args.json {
        let value =
            json!({"text": text, "tokens": response.tokens, "logprobs": response.log_probs});
        say(&serde_json::to_string(&value)?);
    } else {
        say(&text);
    }
    Ok(DONE)
}
