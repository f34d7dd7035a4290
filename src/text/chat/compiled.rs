//! A template that is compiled in this process: rendered as transformers' `apply_chat_template` renders
//! it, under limits.

use std::path::{Path, PathBuf};

use jiff::Zoned;
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Error, ErrorKind, Value};

use super::source::MAX_TEMPLATE;
use super::stack::with_large_stack;
use super::{python, syntax};
use crate::data::{Message, Role};
use crate::text::error::TextError;
use crate::text::moment;
use crate::text::special::Special;

/// Steps of any rendering; each also pays for 64 bytes of text.
const FUEL: u64 = 200_000;
/// Steps for each message more.
const FUEL_PER_MESSAGE: u64 = 500;
/// Steps of the longest conversation.
const MAX_FUEL: u64 = 1_000_000;
/// Longest rendered text in bytes, beyond sixteen times the conversation.
const MAX_OUTPUT: usize = 1 << 20;
/// Calls within calls.
const MAX_DEPTH: usize = 100;
/// The name of the one template in its environment.
const NAME: &str = "chat";

/// A compiled template with the special tokens and the time that it may ask for.
pub(super) struct Compiled {
    environment: Environment<'static>,
    special: Special,
    path: PathBuf,
}

impl Compiled {
    /// Compile a template; see [`ChatTemplate::new`](super::ChatTemplate::new).
    pub(super) fn new(
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
            python::add(&mut environment, moment::nameless(now));
            environment.add_template_owned(NAME, plain)?;
            Ok(environment)
        };
        let environment = with_large_stack(&path, compile)?.map_err(|e| failure(&path, &e))?;
        Ok(Self { environment, special, path })
    }

    /// A conversation as text; see [`ChatTemplate::render`](super::ChatTemplate::render).
    pub(super) fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, TextError> {
        let beside = |m: &Message| m.fields.iter().map(|(_, json)| json.len()).sum::<usize>();
        let length: usize = messages.iter().map(|m| m.content.len() + beside(m)).sum();
        // Long conversations may cost more: every message may be handled a few times.
        let fuel = FUEL + FUEL_PER_MESSAGE * messages.len() as u64 + length as u64 / 2;
        let work = || {
            let variables = self.variables(messages, add_generation_prompt)?;
            let mut environment = self.environment.clone();
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
        let mut variables: Vec<(String, Value)> = self.special.iter().map(text).collect();
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
