//! How the prompts and responses of a pool become the text that one model reads.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use super::chat::ChatTemplate;
use super::control_words::{ControlWords, Controls};
use super::encoded::common_prefix;
use super::error::TextError;
use super::facts::EncoderFacts;
use super::isolate::{Apart, Isolation, Part};
use super::prompt::{after_transcript, is_transcript, transcript, turns};
use super::special::special_tokens;
use super::style::{Chat, ChatStyle};
use super::tokenizer::Tokenizer;
use crate::batch::Sequence;
use crate::data::{Message, Prompt, Role};
use crate::model::ModelFiles;

/// A text on its way to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text.
    pub text: String,
    /// Whether special tokens are in it already, so that the tokenizer must add none.
    pub complete: bool,
}

/// A model's tokenizer with its way of writing conversations.
#[derive(Debug)]
pub struct Encoder {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    style: ChatStyle,
    template: Option<ChatTemplate>,
    /// The token with which the template ends what the assistant says.
    turn_end: Option<u32>,
    /// The words that the tokenizer reads as control tokens, and what happens to them in data.
    pub(super) controls: Controls,
    pub(super) words: ControlWords,
    /// The texts of the tokens that end what it says.
    pub(super) ends: Vec<String>,
    /// Where tokenizer and template work, if not in this process.
    process: Option<Arc<Apart>>,
}

/// A prompt in the style that it will be written in.
enum Form<'a> {
    Conversation(&'a ChatTemplate, Cow<'a, [Message]>),
    Transcript(String),
    Words(String),
}

impl Encoder {
    /// A tokenizer without a chat template.
    pub fn plain(tokenizer: Tokenizer) -> Self {
        let controls = Controls::new(tokenizer.controls());
        let (style, words) = (ChatStyle::Auto, ControlWords::Keep);
        let ends = tokenizer.texts_of(&tokenizer.stop);
        Self {
            tokenizer,
            style,
            template: None,
            turn_end: None,
            ends,
            process: None,
            controls,
            words,
        }
    }

    /// The tokenizer and the chat template of a model. They are programs of whoever made the
    /// model: unless they are compiled in, they run in a process of their own, where
    /// [`isolate_in`] has named one.
    ///
    /// # Errors
    ///
    /// A file is damaged; a template is asked for and there is none; loading them takes more than
    /// it may.
    ///
    /// [`isolate_in`]: super::isolate_in
    pub fn load(files: &ModelFiles, chat: &Chat) -> Result<Self, TextError> {
        let known = files.is_built_in() && (chat.template.is_none() || !chat.style.has_template());
        match Isolation::of_program()?.filter(|_| !known) {
            Some(isolation) => Self::load_apart(files, chat, isolation),
            None => Self::load_here(files, chat),
        }
    }

    /// As [`Encoder::load`], in a process of this kind.
    ///
    /// # Errors
    ///
    /// As [`Encoder::load`]; the process does not start.
    pub fn load_apart(
        files: &ModelFiles,
        chat: &Chat,
        isolation: Isolation,
    ) -> Result<Self, TextError> {
        let (process, facts) = Apart::open(files, chat, isolation)?;
        let apart = |(path, source)| ChatTemplate::apart(process.clone(), path, source);
        Ok(Self {
            tokenizer: Tokenizer::apart(process.clone(), facts.tokenizer),
            style: chat.style,
            template: facts.template.map(apart),
            turn_end: facts.turn_end,
            ends: facts.ends,
            controls: Controls::new(facts.controls),
            words: chat.words,
            process: Some(process),
        })
    }

    /// As [`Encoder::load`], in this process.
    ///
    /// # Errors
    ///
    /// A file is damaged; a template is asked for and there is none.
    pub fn load_here(files: &ModelFiles, chat: &Chat) -> Result<Self, TextError> {
        let own = chat.own_template()?;
        Self::of(files, chat, own, &|_| ())
    }

    /// The tokenizer and the template, `own` or the model's, which are told when they begin to work.
    pub(super) fn of(
        files: &ModelFiles,
        chat: &Chat,
        own: Option<(PathBuf, Vec<u8>)>,
        begins: &dyn Fn(Part),
    ) -> Result<Self, TextError> {
        let Chat { style, words, ref now, .. } = *chat;
        let tokenizer = Tokenizer::load(files)?;
        begins(Part::Template);
        let template = match (style.has_template(), own) {
            (false, _) => None,
            (true, Some((path, bytes))) => {
                Some(ChatTemplate::from_bytes(&bytes, path, special_tokens(files)?, now)?)
            }
            (true, None) => ChatTemplate::of_model(files, now)?,
        };
        if style == ChatStyle::Template && template.is_none() {
            return Err(TextError::NoTemplate { path: files.name() });
        }
        let behind = template.as_ref().and_then(behind_what_is_said);
        begins(Part::Tokenizer);
        let inner = tokenizer.inner();
        let turn_end = behind.zip(inner).and_then(|(behind, inner)| {
            let mut ids = tokenizer.encode_bare(&behind).ok()?.into_iter();
            ids.find(|id| inner.is_added(*id) || tokenizer.stop.contains(id))
        });
        let end = turn_end.map_or_else(Vec::new, |id| tokenizer.texts_of(&[id]));
        let controls = Controls::new(tokenizer.controls().into_iter().chain(end));
        let plain = Self::plain(tokenizer);
        let mut found = Self { style, template, turn_end, controls, words, ..plain };
        found.ends = found.tokenizer.texts_of(&found.stop());
        Ok(found)
    }

    /// What another process is told.
    pub(super) fn facts(&self) -> EncoderFacts {
        let template = self.template.as_ref();
        EncoderFacts {
            tokenizer: self.tokenizer.facts(),
            template: template.map(|t| (t.path().to_owned(), t.source().to_owned())),
            turn_end: self.turn_end,
            ends: self.ends.clone(),
            controls: self.controls.words().to_vec(),
        }
    }

    /// Where tokenizer and template work, if not in this process.
    pub(super) fn process(&self) -> Option<&Apart> {
        self.process.as_deref()
    }

    /// The number of the process in which tokenizer and template work, if not in this one.
    #[doc(hidden)]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref()?.id()
    }

    /// The chat template, where one is in use.
    pub fn template(&self) -> Option<&ChatTemplate> {
        self.template.as_ref()
    }

    /// The style in words.
    pub fn describe(&self) -> String {
        let template = self.template.as_ref().map(|t| t.path().display().to_string());
        match (self.style, template) {
            (ChatStyle::Auto, Some(path)) => {
                format!("messages by the chat template in {path}, plain text as it is")
            }
            (ChatStyle::Auto, None) => {
                "messages as a Human/Assistant transcript (there is no chat template), plain text as it is".to_owned()
            }
            (ChatStyle::Template, path) => {
                format!("all prompts by the chat template in {}", path.unwrap_or_default())
            }
            (ChatStyle::Hh, _) => "all prompts as Human/Assistant transcripts".to_owned(),
            (ChatStyle::Plain, _) => "the words of the prompts alone".to_owned(),
        }
    }

    /// Whether a prompt names functions that may be called, which this way of writing leaves out:
    /// there is no chat template, or it does not ask for them.
    pub fn leaves_tools_out(&self, prompt: &Prompt) -> bool {
        let Prompt::Messages(messages) = prompt else { return false };
        let has_tools = messages.first().is_some_and(|message| message.role == Role::Tools);
        let asks = |template: &ChatTemplate| template.source().contains("tools");
        has_tools && !self.template.as_ref().is_some_and(asks)
    }

    fn form<'a>(&'a self, prompt: &'a Prompt) -> Form<'a> {
        match (self.style, prompt, &self.template) {
            (ChatStyle::Auto | ChatStyle::Template, Prompt::Messages(messages), Some(template)) => {
                Form::Conversation(template, self.without_ends(messages))
            }
            (ChatStyle::Template, Prompt::Text(text), Some(template)) => {
                let user = || vec![Message::new(Role::User, text.as_str())];
                Form::Conversation(template, turns(text).unwrap_or_else(user).into())
            }
            (ChatStyle::Plain, Prompt::Messages(messages), _) => {
                let turns = messages.iter().filter(|m| m.role != Role::Tools);
                let contents: Vec<Cow<'_, str>> = turns.map(Message::said).collect();
                Form::Words(contents.join("\n\n") + "\n\n")
            }
            (_, Prompt::Messages(messages), _) => Form::Transcript(transcript(messages)),
            (ChatStyle::Hh, Prompt::Text(text), _) if is_transcript(text) => {
                Form::Transcript(text.clone())
            }
            (ChatStyle::Hh, Prompt::Text(text), _) => {
                let said = Message::new(Role::User, text.as_str());
                Form::Transcript(transcript(&[said]))
            }
            (_, Prompt::Text(text), _) => Form::Words(text.clone()),
        }
    }

    /// The text up to where the response begins.
    ///
    /// # Errors
    ///
    /// The template's.
    pub fn prompt(&self, prompt: &Prompt) -> Result<Rendered, TextError> {
        Ok(match self.form(&*self.worded(prompt)?) {
            Form::Conversation(template, messages) => {
                Rendered { text: template.render(&messages, true)?, complete: true }
            }
            Form::Transcript(text) | Form::Words(text) => Rendered { text, complete: false },
        })
    }

    /// Prompt and response as one text. A chat template ends it as it likes; other text ends
    /// with EOS. These are TRL's conventions for conversations and for text.
    ///
    /// # Errors
    ///
    /// The template's.
    pub fn whole(&self, prompt: &Prompt, response: &str) -> Result<Rendered, TextError> {
        let (prompt, response) = (self.worded(prompt)?, self.worded_response(response)?);
        let (prompt, response) = (&*prompt, &*response);
        let mut text = match self.form(prompt) {
            Form::Conversation(template, messages) => {
                let mut messages = messages.into_owned();
                // What parts turns in a transcript is no part of what is said.
                let content = match prompt {
                    Prompt::Text(text) if is_transcript(text) => response.trim(),
                    _ => response,
                };
                messages.push(Message::new(Role::Assistant, self.without_end(content)));
                return Ok(Rendered { text: template.render(&messages, false)?, complete: true });
            }
            Form::Transcript(text) => text + &after_transcript(response),
            Form::Words(text) => text + response,
        };
        let eos = self.tokenizer.eos_text.as_str();
        let ended = text.trim_end().len();
        if text[..ended].ends_with(eos) && !eos.is_empty() {
            text.truncate(ended);
        } else if !text.ends_with(eos) {
            text.push_str(eos);
        }
        Ok(Rendered { text, complete: false })
    }

    /// What is said, without the end of a turn that the data bring along: the template writes it.
    fn without_end<'a>(&self, content: &'a str) -> &'a str {
        if self.turn_end.is_none() {
            return content;
        }
        let cut = |end: &String| content.trim_end().strip_suffix(end.as_str());
        self.ends.iter().find_map(cut).unwrap_or(content)
    }

    fn without_ends<'a>(&self, messages: &'a [Message]) -> Cow<'a, [Message]> {
        let said = |m: &Message| m.role == Role::Assistant;
        let ends = |m: &&Message| said(m) && self.without_end(&m.content).len() < m.content.len();
        if !messages.iter().any(|m| ends(&m)) {
            return messages.into();
        }
        let mut messages = messages.to_vec();
        for message in messages.iter_mut().filter(|m| said(m)) {
            let length = self.without_end(&message.content).len();
            message.content.truncate(length);
        }
        messages.into()
    }

    /// Whether a response brings the end of its turn along, which is then written once.
    pub fn brings_end(&self, prompt: &Prompt, response: &str) -> bool {
        let talks = matches!(self.form(prompt), Form::Conversation(..));
        talks && self.without_end(response).len() < response.len()
    }

    /// Whether none of the tokens of a whole response ends it.
    pub fn is_endless(&self, response: &[u32]) -> bool {
        let ends = |id: &u32| self.tokenizer.stop.contains(id) || self.turn_end == Some(*id);
        !response.iter().any(ends)
    }

    /// Why responses have no end, and what to do about it.
    pub fn why_endless(&self) -> String {
        let eos = &self.tokenizer.eos_text;
        match &self.template {
            Some(template) if self.turn_end.is_none() => format!(
                "the chat template in {} writes none after what the assistant says: write {{{{ eos_token }}}} there, in a copy that data.chat_template names",
                template.path().display()
            ),
            _ => format!(
                "the tokenizer does not read “{eos}”, which is put behind them, as one token: list it among the added tokens of tokenizer.json"
            ),
        }
    }

    /// Token ids of a text.
    ///
    /// # Errors
    ///
    /// The tokenizer's own failure.
    pub fn encode(&self, rendered: &Rendered) -> Result<Vec<u32>, TextError> {
        if rendered.complete {
            self.tokenizer.encode_bare(&rendered.text)
        } else {
            self.tokenizer.encode_open(&rendered.text)
        }
    }

    /// A prompt with one response.
    ///
    /// # Errors
    ///
    /// As [`Encoder::whole`] and [`Encoder::encode`].
    pub fn sequence(&self, prompt: &Prompt, response: &str) -> Result<Sequence, TextError> {
        let alone = self.encode(&self.prompt(prompt)?)?;
        let all = self.encode(&self.whole(prompt, response)?)?;
        let shared = common_prefix(&alone, &all);
        Ok(Sequence { prompt: alone[..shared].into(), response: all[shared..].to_vec() })
    }

    /// Ids that end a generated response: those of the model, and the one with which the chat
    /// template ends a turn.
    pub fn stop(&self) -> Vec<u32> {
        let mut stop = self.tokenizer.stop.clone();
        if let Some(id) = self.turn_end.filter(|id| !stop.contains(id)) {
            stop.push(id);
        }
        stop
    }
}

/// What the template writes behind what the assistant says.
fn behind_what_is_said(template: &ChatTemplate) -> Option<String> {
    const SAID: &str = "word";
    let turn = |role, content: &str| Message::new(role, content);
    let talk = [turn(Role::User, "question"), turn(Role::Assistant, SAID)];
    let text = template.render(&talk, false).ok()?;
    Some(text[text.rfind(SAID)? + SAID.len()..].to_owned())
}
