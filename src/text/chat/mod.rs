//! Chat templates: a model's own way of writing a conversation, in Jinja.
//!
//! Rendered as transformers' `apply_chat_template` renders them, but under limits: a template
//! is a program from somewhere else. It sees no file, and fuel bounds what ordinary loops take.
//! What fuel does not bound (comparing a value that is nested in itself, say) the process does in
//! which templates of strangers are rendered.

mod python;
mod special;
mod syntax;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Zoned;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value};

use super::TextError;
use super::guard::guarded;
use super::isolate::Apart;
use crate::data::{Message, Role};
use crate::model::ModelFiles;

pub use special::special_tokens;

/// The file that a template may have of its own; it goes before `tokenizer_config.json`.
pub const TEMPLATE_FILE: &str = "chat_template.jinja";

/// Longest template in bytes; the longest known ones have some ten thousand.
const MAX_TEMPLATE: usize = 1 << 18;
/// Steps of any rendering; each also pays for 64 bytes of text.
const FUEL: u64 = 200_000;
/// Steps for each message more.
const FUEL_PER_MESSAGE: u64 = 500;
/// Steps of the longest conversation.
const MAX_FUEL: u64 = 1_000_000;
/// Bytes of stack for compiling and rendering: an expression can be nested once for each byte of the
/// template, a value in itself once for a few steps, and both are walked and dropped by
/// recursion. Pages that are not touched cost nothing.
pub(super) const STACK: usize = 512 << 20;
/// Longest rendered text in bytes, beyond sixteen times the conversation.
const MAX_OUTPUT: usize = 1 << 20;
/// Calls within calls.
const MAX_DEPTH: usize = 100;
/// The name of the one template in its environment.
const NAME: &str = "chat";
/// The thread that renders, by which a stack that overflowed is known.
pub(super) const THREAD: &str = "chat template";

/// Names such as `eos_token`, with the texts of those tokens.
pub type Special = Vec<(String, String)>;

/// What stands for [`STACK`] in a process whose limits are others.
static STACK_HERE: AtomicUsize = AtomicUsize::new(STACK);

/// Render on stacks of so many bytes in this process from here on.
pub(super) fn set_stack(bytes: usize) {
    STACK_HERE.store(bytes, Ordering::Relaxed);
}

/// A compiled chat template with the special tokens and the time that it may ask for.
pub struct ChatTemplate {
    place: Place,
    path: PathBuf,
    source: String,
}

/// Where it is rendered.
enum Place {
    Here(Box<Environment<'static>>, Special),
    Apart(Arc<Apart>),
}

impl std::fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChatTemplate").field("path", &self.path).finish_non_exhaustive()
    }
}

impl ChatTemplate {
    /// A template that another process has compiled.
    pub(super) fn apart(process: Arc<Apart>, path: PathBuf, source: String) -> Self {
        Self { place: Place::Apart(process), path, source }
    }

    /// The template of a model, if it has one: `chat_template.jinja`, else `chat_template` of
    /// `tokenizer_config.json`, a text or a list of named ones, of which `default` counts.
    ///
    /// `now` is what the template takes for the present time.
    ///
    /// # Errors
    ///
    /// A damaged file, a template that is no Jinja, named templates without a default.
    pub fn of_model(files: &ModelFiles, now: &Zoned) -> Result<Option<Self>, TextError> {
        let special = special_tokens(files)?;
        if let Some(bytes) = files.bytes(TEMPLATE_FILE)? {
            let path = files.path(TEMPLATE_FILE);
            return Self::from_bytes(&bytes, path, special, now).map(Some);
        }
        let config = files.json("tokenizer_config.json")?.unwrap_or_default();
        let path = files.path("tokenizer_config.json");
        match named_default(config.get("chat_template"), &path)? {
            Some(source) => Self::new(&source, path, special, now).map(Some),
            None => Ok(None),
        }
    }

    /// A template file of the user's own, with the special tokens of a model.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is no Jinja.
    pub fn of_file(path: &Path, files: &ModelFiles, now: &Zoned) -> Result<Self, TextError> {
        Self::from_bytes(&read(path)?, path.to_owned(), special_tokens(files)?, now)
    }

    pub(super) fn from_bytes(
        bytes: &[u8],
        path: PathBuf,
        special: Special,
        now: &Zoned,
    ) -> Result<Self, TextError> {
        match std::str::from_utf8(bytes) {
            Ok(source) => Self::new(source, path, special, now),
            Err(e) => {
                let line = 1 + bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count();
                let found = "this is no UTF-8; expected a chat template in Jinja".to_owned();
                Err(TextError::Template { path, line, found })
            }
        }
    }

    /// Compile a template; `path` is where it stands, `special` maps names such as `eos_token`
    /// to texts, `now` is what `strftime_now` tells.
    ///
    /// # Errors
    ///
    /// It is too long or no Jinja.
    pub fn new(
        source: &str,
        path: PathBuf,
        special: Special,
        now: &Zoned,
    ) -> Result<Self, TextError> {
        if source.len() > MAX_TEMPLATE {
            let found = format!(
                "the template has {} bytes; expected at most {MAX_TEMPLATE} (is this a chat template?)",
                source.len()
            );
            return Err(TextError::Template { path, line: 0, found });
        }
        let plain = match syntax::plain(source) {
            Ok(plain) => plain,
            Err(line) => {
                let found = format!(
                    "a tag of more than {} bytes; expected a chat template in Jinja",
                    syntax::MAX_TAG
                );
                return Err(TextError::Template { path, line, found });
            }
        };
        let compile = || {
            let mut environment = Environment::new();
            let rules = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
            environment.set_syntax(rules);
            environment.set_recursion_limit(MAX_DEPTH);
            python::add(&mut environment, super::moment::nameless(now));
            environment.add_template_owned(NAME, plain)?;
            Ok(environment)
        };
        let environment = with_large_stack(&path, compile)?.map_err(|e| failure(&path, &e))?;
        Ok(Self {
            place: Place::Here(Box::new(environment), special),
            path,
            source: source.to_owned(),
        })
    }

    /// The file that it was read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The template's text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// A conversation as text; with `add_generation_prompt`, up to where the assistant speaks.
    ///
    /// # Errors
    ///
    /// The template refuses the conversation, is not one that can be rendered here, or takes
    /// more steps, depth or text than the limits allow.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, TextError> {
        let (environment, special) = match &self.place {
            Place::Here(environment, special) => (environment, special),
            Place::Apart(process) => return process.render(messages, add_generation_prompt),
        };
        let beside = |m: &Message| m.fields.iter().map(|(_, json)| json.len()).sum::<usize>();
        let length: usize = messages.iter().map(|m| m.content.len() + beside(m)).sum();
        // Long conversations may cost more: every message may be handled a few times.
        let fuel = FUEL + FUEL_PER_MESSAGE * messages.len() as u64 + length as u64 / 2;
        let work = || {
            let variables = self.variables(messages, add_generation_prompt, special)?;
            let mut environment = environment.clone();
            environment.set_fuel(Some(fuel.min(MAX_FUEL)));
            let template = environment.get_template(NAME);
            template
                .and_then(|template| template.render(Value::from_pairs(variables)))
                .map_err(|e| failure(&self.path, &e))
        };
        let rendered = with_large_stack(&self.path, work)??;
        let limit = MAX_OUTPUT + 16 * length;
        if rendered.len() > limit {
            return Err(self.wrong(format!(
                "the template makes {} bytes of a conversation of {length}; expected at most {limit} (try another data.chat_template, or data.chat = \"hh\")",
                rendered.len()
            )));
        }
        Ok(rendered)
    }

    /// What a template sees.
    fn variables(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        special: &Special,
    ) -> Result<Vec<(String, Value)>, TextError> {
        // The functions that may be called are no turn.
        let (tools, messages) = match messages {
            [first, turns @ ..] if first.role == Role::Tools => {
                (self.json("tools", &first.content)?, turns)
            }
            turns => (Value::from(()), turns),
        };
        let turn = |m: &Message| {
            let text = |text: &str| Ok::<_, TextError>(Value::from(text));
            let said = [("role", text(m.role.key())), ("content", text(&m.content))];
            let beside = m.fields.iter().map(|(name, json)| (&**name, self.json(name, json)));
            let fields = said.into_iter().chain(beside);
            let fields = fields.map(|(name, value)| Ok((name.to_owned(), value?)));
            fields.collect::<Result<Vec<(String, Value)>, TextError>>().map(Value::from_pairs)
        };
        let turns = messages.iter().map(turn).collect::<Result<Vec<Value>, TextError>>()?;
        let text = |(name, token): &(String, String)| (name.clone(), Value::from(token.as_str()));
        let mut variables: Vec<(String, Value)> = special.iter().map(text).collect();
        let mut set = |name: &str, value: Value| variables.push((name.to_owned(), value));
        set("messages", turns.into());
        set("add_generation_prompt", add_generation_prompt.into());
        set("tools", tools);
        set("documents", Value::from(()));
        Ok(variables)
    }

    /// JSON as a value whose keys keep their order.
    fn json(&self, name: &str, text: &str) -> Result<Value, TextError> {
        serde_json::from_str(text).map_err(|e| {
            self.wrong(format!("`{name}` of this conversation is no JSON ({e}); mend the row"))
        })
    }

    fn wrong(&self, found: String) -> TextError {
        TextError::Template { path: self.path.clone(), line: 0, found }
    }
}

/// A template file of the user's own.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, TextError> {
    crate::input::read(path, MAX_TEMPLATE as u64).map_err(|e| TextError::Template {
        path: path.to_owned(),
        line: 0,
        found: format!("{e}; expected a chat template in Jinja (data.chat_template)"),
    })
}

/// `chat_template` of `tokenizer_config.json`: a text, or the default of a list of named ones.
fn named_default(
    value: Option<&serde_json::Value>,
    path: &Path,
) -> Result<Option<String>, TextError> {
    use serde_json::Value::{Array, Null, String as Text};
    let wrong = |found: String| Err(TextError::Template { path: path.to_owned(), line: 0, found });
    match value {
        None | Some(Null) => Ok(None),
        Some(Text(source)) => Ok(Some(source.clone())),
        Some(Array(list)) => {
            let text = |item: &serde_json::Value, key: &str| {
                item.get(key).and_then(serde_json::Value::as_str).map(str::to_owned)
            };
            let named = |item| Some((text(item, "name")?, text(item, "template")?));
            let templates: Vec<(String, String)> = list.iter().filter_map(named).collect();
            match templates.iter().find(|(name, _)| name == "default") {
                Some((_, source)) => Ok(Some(source.clone())),
                None => {
                    let names: Vec<&str> = templates.iter().map(|(name, _)| &**name).collect();
                    wrong(format!(
                        "chat_template names {} but no “default”; set data.chat_template to a file with the one to use",
                        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
                    ))
                }
            }
        }
        Some(_) => wrong("chat_template is neither a text nor a list of {name, template}; set data.chat_template to a file, or data.chat = \"hh\"".to_owned()),
    }
}

/// Do work that recurses as deep as a template nests, on a thread that has the stack for it.
fn with_large_stack<T: Send>(path: &Path, work: impl FnOnce() -> T + Send) -> Result<T, TextError> {
    let ended = std::thread::scope(|scope| {
        let work = || guarded(work);
        let thread = std::thread::Builder::new()
            .name(THREAD.to_owned())
            .stack_size(STACK_HERE.load(Ordering::Relaxed));
        let thread = thread.spawn_scoped(scope, work);
        thread.map(std::thread::ScopedJoinHandle::join)
    });
    let found = match ended {
        Ok(Ok(Some(outcome))) => return Ok(outcome),
        Ok(_) => "the template breaks the program that renders it; try another data.chat_template, or data.chat = \"hh\"".to_owned(),
        Err(e) => format!("{e}; is there memory for one more thread?"),
    };
    Err(TextError::Template { path: path.to_owned(), line: 0, found })
}

/// What went wrong, with what to try.
fn failure(path: &Path, error: &Error) -> TextError {
    let line = error.line().unwrap_or(0);
    let path = path.to_owned();
    let refused =
        std::error::Error::source(error).and_then(|e| e.downcast_ref::<python::Refused>());
    if let Some(python::Refused(words)) = refused {
        return TextError::Refused { path, line, words: words.clone() };
    }
    let found = match error.kind() {
        ErrorKind::OutOfFuel => "the template takes more steps or memory than a chat template may (does it loop for ever?); try another data.chat_template, or data.chat = \"hh\"".to_owned(),
        kind => {
            let detail = error.detail().map(|d| format!(": {d}")).unwrap_or_default();
            format!("{kind}{detail}; try another data.chat_template, or data.chat = \"hh\"")
        }
    };
    TextError::Template { path, line, found }
}
