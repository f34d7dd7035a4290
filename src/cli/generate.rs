//! `generate`: sample a response from a model folder.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::{DONE, print, say, tell};
use crate::data::{Message, Prompt, Role};
use crate::device;
use crate::model::{Sampling, generate as sample, load};
use crate::text::{Chat, ChatStyle, Encoder};

#[derive(Debug, Args)]
pub(super) struct GenerateArgs {
    /// Model folder (a run's `policy`, say), or builtin:weak, builtin:strong
    model: String,
    /// What to ask a model that has a chat template; text to continue for another
    #[arg(long)]
    prompt: String,
    /// A system message before the prompt
    #[arg(long)]
    system: Option<String>,
    /// How the prompt is written: auto (by the chat template, where the model has one), template,
    /// hh (a Human/Assistant transcript) or plain (text to continue)
    #[arg(long, default_value = "auto")]
    chat: ChatStyle,
    /// File with a chat template, in place of the model's own
    #[arg(long, value_name = "FILE")]
    chat_template: Option<PathBuf>,
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
    let chat = Chat { style: args.chat, template: args.chat_template.clone(), ..Chat::default() };
    let encoder = Encoder::load(&files, &chat)?;
    let choice = device::find(&args.device).map_err(crate::run::RunError::from)?;
    let checkpoint = load(&files, &device::open(&choice.device)?)?;
    for warning in &checkpoint.warnings {
        tell(&format!("warning: {warning}"));
    }
    let prompt = encoder.encode(&encoder.prompt(&asked(args, &encoder))?)?;
    let sampling = Sampling {
        max_new_tokens: args.max_new_tokens,
        temperature: args.temperature,
        top_p: args.top_p,
        seed: args.seed,
    };
    let prompts = std::slice::from_ref(&prompt);
    let responses = sample(&checkpoint.decoder, prompts, &encoder.stop(), &sampling)?;
    let response = responses.into_iter().next().unwrap_or_default();
    let text = encoder.tokenizer.decode_after(&prompt, &response.tokens)?;
    if args.json {
        let value =
            json!({"text": text, "tokens": response.tokens, "logprobs": response.log_probs});
        print(&serde_json::to_string(&value)?);
    } else if std::io::stdout().is_terminal() {
        // A model writes what its data taught it, which a terminal might obey.
        say(&text);
    } else {
        print(&text);
    }
    Ok(DONE)
}

/// The prompt as a conversation where one is asked for, by a system message or the model's own
/// template; else as text.
fn asked(args: &GenerateArgs, encoder: &Encoder) -> Prompt {
    let talks = args.chat == ChatStyle::Auto && encoder.template().is_some();
    if !talks && args.system.is_none() {
        return Prompt::Text(args.prompt.clone());
    }
    let turn = |role, content: &String| Message::new(role, content.as_str());
    let system = args.system.iter().map(|text| turn(Role::System, text));
    Prompt::Messages(system.chain([turn(Role::User, &args.prompt)]).collect())
}
