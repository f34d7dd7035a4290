//! Prompts as text, in the ways that need no template.

use crate::data::{Message, Prompt, Role};

/// The text before the response, for a person or a base model.
///
/// Text stays as it is. Messages become a transcript in the HH-RLHF manner, which every
/// base model can read: `\n\nHuman: …\n\nAssistant:`; a system message stands first.
pub fn prompt_text(prompt: &Prompt) -> String {
    match prompt {
        Prompt::Text(text) => text.clone(),
        Prompt::Messages(messages) => transcript(messages),
    }
}

const SPEAKERS: [(Role, &str); 3] =
    [(Role::System, "System:"), (Role::User, "Human:"), (Role::Assistant, "Assistant:")];

/// Messages as an HH-RLHF transcript, up to where the assistant speaks; functions that may be
/// called have no place in one.
pub(super) fn transcript(messages: &[Message]) -> String {
    let mut text = String::new();
    for message in messages.iter().filter(|message| message.role != Role::Tools) {
        let speaker = SPEAKERS.iter().find(|(role, _)| *role == message.role);
        text.push_str("\n\n");
        text.push_str(speaker.map_or("Tool:", |(_, name)| name));
        text.push(' ');
        text.push_str(&message.said());
    }
    text.push_str("\n\nAssistant:");
    text
}

/// The response as it follows a transcript: one space in.
pub(super) fn after_transcript(response: &str) -> String {
    if response.starts_with(char::is_whitespace) {
        response.to_owned()
    } else {
        format!(" {response}")
    }
}

/// Whether a text is an HH-RLHF transcript that ends where the assistant speaks.
pub(super) fn is_transcript(text: &str) -> bool {
    let text = text.trim();
    text.starts_with("Human:") && text.ends_with("\n\nAssistant:")
}

/// The turns of an HH-RLHF transcript, each without the white space around it; `None` for
/// another text.
pub(super) fn turns(text: &str) -> Option<Vec<Message>> {
    if !is_transcript(text) {
        return None;
    }
    let text = format!("\n\n{}", text.trim());
    let markers = SPEAKERS.map(|(role, name)| (role, format!("\n\n{name}")));
    let mut starts: Vec<(usize, usize, Role)> = markers
        .iter()
        .flat_map(|(role, marker)| {
            text.match_indices(marker).map(|(at, found)| (at, at + found.len(), *role))
        })
        .collect();
    starts.sort_unstable_by_key(|(at, ..)| *at);
    let ends = starts.iter().skip(1).map(|(at, ..)| *at);
    let turn = |(&(_, from, role), to): (&(usize, usize, Role), usize)| {
        Message::new(role, text[from..to].trim())
    };
    // The last one is the turn that the response fills.
    Some(starts.iter().zip(ends).map(turn).collect())
}
