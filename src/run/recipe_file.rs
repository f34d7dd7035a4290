//! Recipes as TOML: defaults underneath, the file over them, `--set` on top.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::Recipe;
use super::recipe::Setting;
use crate::annotate::{Further, Reads, without_model};
use crate::hub::HubName;
use crate::legible::quoted;
use crate::model::{LoraSettings, Precision, base_of};
use crate::settings::{Holds, Limits};

/// Why a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("{path}: {source}; expected a recipe in TOML (see `confide run --help`)")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path}: {found}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        found: String,
    },
    /// A key that no setting has.
    #[error("{place}: “{key}” is not a setting{nearest}")]
    UnknownKey {
        /// File and line, or `--set`.
        place: String,
        /// The key with its section.
        key: String,
        /// The nearest known one, in a half-sentence.
        nearest: String,
    },
    /// A value of the wrong type.
    #[error("{place}: “{key}” is {found}; expected {expected}")]
    WrongType {
        /// File and line, or `--set`.
        place: String,
        /// The key with its section.
        key: String,
        /// What was found.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// A value out of range, an unknown word, a missing setting.
    #[error("{place}: {found}")]
    Invalid {
        /// The file.
        place: String,
        /// `section.key`; empty where no single setting is at fault.
        key: String,
        /// What is wrong, and what would be right.
        found: String,
    },
}

impl Recipe {
    /// Read a recipe; `set` holds `section.key` and value pairs that override it.
    ///
    /// Relative paths in it start from the file's folder; they become absolute.
    ///
    /// # Errors
    ///
    /// Each names file, line and key, and what to write instead.
    pub fn load(path: &Path, set: &[(String, String)]) -> Result<Self, RecipeError> {
        let text = crate::input::read_text(path, crate::input::RECIPE)
            .map_err(|source| RecipeError::Read { path: path.to_owned(), source })?;
        let mut recipe = Self::parse(&text, path, set)?;
        recipe.resolve_paths(path.parent().unwrap_or(Path::new("")));
        recipe.check(&path.display().to_string())?;
        Ok(recipe)
    }

    /// As [`Recipe::load`] for text, without resolving paths or checking values.
    ///
    /// # Errors
    ///
    /// As [`Recipe::load`].
    pub fn parse(text: &str, path: &Path, set: &[(String, String)]) -> Result<Self, RecipeError> {
        let syntax = |e: toml::de::Error| RecipeError::Syntax {
            path: path.to_owned(),
            found: e.to_string(),
        };
        let parsed = DeTable::parse(text).map_err(syntax)?;
        let mut table = defaults();
        let place =
            |span: Range<usize>| format!("{}, line {}", path.display(), line_of(text, span.start));
        merge(&mut table, parsed.get_ref(), "", &place)?;
        apply(&mut table, set)?;
        from_table(table, &path.display().to_string())
    }

    /// This recipe with `section.key` and value pairs over it.
    ///
    /// # Errors
    ///
    /// An unknown key, a value of the wrong type or out of range.
    pub fn with(&self, set: &[(String, String)]) -> Result<Self, RecipeError> {
        let mut table = self.to_table();
        apply(&mut table, set)?;
        let recipe = from_table(table, "--set")?;
        recipe.check("--set")?;
        Ok(recipe)
    }

    /// The complete recipe as TOML.
    pub fn to_toml(&self) -> String {
        toml::to_string_pretty(&self.to_table()).unwrap_or_default()
    }

    /// Every setting, in sections.
    pub(crate) fn to_table(&self) -> Table {
        Table::try_from(self).unwrap_or_default()
    }

    /// A recipe from every setting, in sections; values are not checked.
    ///
    /// # Errors
    ///
    /// A word that is none of those expected.
    pub(crate) fn of_table(table: Table, place: &str) -> Result<Self, RecipeError> {
        from_table(table, place)
    }

    /// Whether every value is possible; `place` names the recipe in messages.
    ///
    /// # Errors
    ///
    /// The first value that is not.
    pub fn check(&self, place: &str) -> Result<(), RecipeError> {
        let invalid = |key: &str, found: String| RecipeError::Invalid {
            place: place.to_owned(),
            key: key.to_owned(),
            found,
        };
        let (d, p) = (&self.data, &self.policy);
        if d.files.is_empty() {
            return Err(invalid(
                "data.files",
                "data.files is empty; name at least one preference file".to_owned(),
            ));
        }
        if p.model.is_empty() {
            return Err(invalid(
                "policy.model",
                "policy.model is missing; name a model folder, or a model on the hub (org/name)"
                    .to_owned(),
            ));
        }
        if self.annotator.kind.reads().model() && self.annotator.model.is_empty() {
            return Err(invalid(
                "annotator.model",
                format!(
                    "annotator.model is missing; name a model folder, or a model on the hub (org/name), or set annotator.kind = {}",
                    without_model()
                ),
            ));
        }
        self.check_numbers().map_err(|(key, found)| invalid(&key, found))?;
        self.check_annotator().map_err(|(key, found)| invalid(key, found))?;
        self.check_combining().map_err(|(key, found)| invalid(key, found))?;
        self.check_confidence().map_err(|(key, found)| invalid(&key, found))?;
        self.check_sft().map_err(|(key, found)| invalid(key, found))?;
        if !d.chat_template.is_empty() && !Path::new(&d.chat_template).is_file() {
            return Err(invalid(
                "data.chat_template",
                format!(
                    "data.chat_template = \"{}\": there is no such file; expected a chat template in Jinja, or \"\" for each model's own",
                    d.chat_template
                ),
            ));
        }
        super::recipe_objective::check(self).map_err(|(key, found)| invalid(&key, found))?;
        self.check_online().map_err(|(key, found)| invalid(key, found))?;
        let columns = d.columns.check();
        columns.map_err(|e| invalid("data.columns", format!("data.columns: {e}")))?;
        for (section, lora, precision) in [
            ("annotator", &self.annotator.lora, self.annotator.precision),
            ("policy", &p.lora, p.precision),
        ] {
            let key = format!("{section}.lora");
            let checked = lora.adapter(&key, "");
            checked.map_err(|e| invalid(&format!("{key}.rank"), e.to_string()))?;
            let learns = self.annotator.kind.reads().learns();
            let as_it_is =
                section == "annotator" && (!learns || self.annotator.training.epochs == 0.0);
            let trained = lora.rank == 0 && !as_it_is && !is_adapter(self.model(section));
            if precision != Precision::F32 && trained {
                return Err(invalid(
                    &format!("{section}.precision"),
                    format!(
                        "{section}.precision = \"{}\" stores weights that are not trained, but {section}.lora.rank = 0 trains all of them; set {section}.lora.rank (8, say), or precision = \"f32\"",
                        precision.name()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Whether the annotator's settings mean something together: the key of the first that does not, and
    /// what would.
    fn check_annotator(&self) -> Result<(), (&'static str, String)> {
        let settings = &self.annotator;
        settings.kind.check_settings(&settings.constants)?;
        let epochs = settings.constants.judging.rewording.optimise_prompt;
        if epochs > 0 && !settings.kind.reads().asks() {
            let found = format!(
                "annotator.optimise_prompt = {epochs} looks for a fairer question, and \"{}\" asks none; set it to 0, or choose an annotator that asks",
                settings.kind.name()
            );
            return Err(("annotator.optimise_prompt", found));
        }
        if settings.constants.tournament.tournament && !settings.kind.compares(&settings.constants)
        {
            let found = format!(
                "annotator.tournament = true makes one order of comparisons of two responses, and annotator.kind = \"{}\" {}; set annotator.tournament = false, or take one that compares (annotator.kind = \"judge\" with annotator.judge = \"a-b\", say)",
                settings.kind.name(),
                match settings.kind.reads() {
                    Reads::Truth => "believes its labels",
                    _ =>
                        "says of each by itself how good it is, so that its labels follow one order already",
                }
            );
            return Err(("annotator.tournament", found));
        }
        let members = settings.ensemble;
        if members > 1 && !settings.kind.reads().head() {
            let found = format!(
                "annotator.ensemble = {members} is for annotators with a scalar head, which \"{}\" has not; set it to 1",
                settings.kind.name()
            );
            return Err(("annotator.ensemble", found));
        }
        if settings.kind.reads() == Reads::LearnedAnswers && settings.training.epochs == 0.0 {
            let found = format!(
                "annotator.epochs = 0 with annotator.kind = \"{}\" learns nothing; set annotator.epochs (1, say), or choose an annotator that is asked as it is",
                settings.kind.name()
            );
            return Err(("annotator.epochs", found));
        }
        if settings.kind.reads() == Reads::LogRatios && settings.training.epochs == 0.0 {
            let found = format!(
                "annotator.epochs = 0 with annotator.kind = \"{}\" learns nothing, so that its model and its reference would be one, and every score 0; set annotator.epochs (1, say)",
                settings.kind.name()
            );
            return Err(("annotator.epochs", found));
        }
        if members > 1 && settings.training.epochs == 0.0 {
            let found = format!(
                "annotator.ensemble = {members}, but annotator.epochs = 0 trains none of them, so that all would say the same; set annotator.epochs (5, say), or annotator.ensemble = 1"
            );
            return Err(("annotator.ensemble", found));
        }
        Ok(())
    }

    /// Whether every number is one that its setting allows: none that is not finite, for JSON has no
    /// word for one and no setting a use. The key of the first that is not, and what is wrong.
    fn check_numbers(&self) -> Result<(), (String, String)> {
        let table = self.to_table();
        for setting in Self::documentation() {
            let number = match value_at(&table, &setting.key()) {
                Some(Value::Float(number)) => *number,
                Some(Value::Integer(whole)) => *whole as f64,
                _ => continue,
            };
            let limits = &setting.field.limits;
            if !limits.allow(number) {
                let expected = if number.is_finite() { limits.expected } else { "a finite number" };
                let key = setting.key();
                let found = format!("{key} = {number}; expected {expected}");
                return Err((key, found));
            }
        }
        Ok(())
    }

    /// The model field of a section, `annotator` or `policy`.
    pub(super) fn model(&self, section: &str) -> &str {
        if section == "annotator" { &self.annotator.model } else { &self.policy.model }
    }

    /// How the weights of a section's model are stored, and what is trained of it.
    pub(super) fn storage(&self, section: &str) -> (Precision, &LoraSettings) {
        match section {
            "annotator" => (self.annotator.precision, &self.annotator.lora),
            _ => (self.policy.precision, &self.policy.lora),
        }
    }

    fn resolve_paths(&mut self, folder: &Path) {
        let resolve = |path: &mut String| {
            if !path.is_empty() && !path.starts_with("builtin:") {
                let joined = folder.join(&*path);
                *path =
                    std::path::absolute(&joined).unwrap_or(joined).to_string_lossy().into_owned();
            }
        };
        let d = &mut self.data;
        d.files.iter_mut().chain(&mut d.unlabelled).chain(&mut d.held_out_files).for_each(resolve);
        resolve(&mut d.chat_template);
        let with = self.annotator.constants.combining.with.iter_mut();
        with.filter(|text| matches!(Further::parse(text), Further::Table(_))).for_each(resolve);
        let models = [
            &mut self.annotator.model,
            &mut self.annotator.constants.judging.rewording.paraphraser,
            &mut self.sft.teacher,
            &mut self.policy.model,
            &mut self.evaluate.gold,
        ];
        for model in models.into_iter().chain(&mut self.policy.references) {
            // A name on the hub stays one, unless a folder of that name stands here.
            if folder.join(&*model).exists() || HubName::parse(model).is_none() {
                resolve(model);
            }
        }
    }
}

fn is_adapter(model: &str) -> bool {
    matches!(base_of(model.as_ref()), Ok(Some(_)))
}

fn defaults() -> Table {
    Recipe::default().to_table()
}

/// The value of `section.key`.
fn value_at<'a>(table: &'a Table, key: &str) -> Option<&'a Value> {
    let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
    let mut sections = section.split('.').filter(|part| !part.is_empty());
    sections.try_fold(table, |table, section| table.get(section)?.as_table())?.get(name)
}

fn from_table(table: Table, place: &str) -> Result<Recipe, RecipeError> {
    table.try_into().map_err(|e: toml::de::Error| RecipeError::Invalid {
        place: place.to_owned(),
        key: String::new(),
        found: e.to_string().trim().replace('\n', " "),
    })
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes()[..offset.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

/// Lay a parsed table over defaults.
fn merge(
    into: &mut Table,
    from: &DeTable<'_>,
    section: &str,
    place: &dyn Fn(Range<usize>) -> String,
) -> Result<(), RecipeError> {
    let mut given: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, value) in from {
        let written = key.get_ref().as_ref();
        let name = own_name(section, written);
        let full = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
        if let Some(other) = given.insert(name, written) {
            return Err(RecipeError::Invalid {
                place: place(key.span()),
                found: format!(
                    "“{other}” and “{written}” are one setting, {full}; keep one of them"
                ),
                key: full,
            });
        }
        let Some(default) = into.get_mut(name) else {
            return Err(unknown(&place(key.span()), &full));
        };
        match (default, value.get_ref()) {
            (Value::Table(inner), DeValue::Table(table)) => merge(inner, table, &full, place)?,
            (default, _) => *default = fit(default, to_value(value), &full, &place(value.span()))?,
        }
    }
    Ok(())
}

/// The name of a setting that is written by its own name, or by the one that it has elsewhere.
fn own_name<'a>(section: &str, written: &'a str) -> &'a str {
    let mut settings = Recipe::documentation().iter().filter(|s| s.section == section);
    let alias = settings.find(|s| s.field.aliases.contains(&written));
    alias.map_or(written, |setting| setting.field.name)
}

fn to_value(value: &Spanned<DeValue<'_>>) -> Value {
    use serde::de::IntoDeserializer;
    let deserializer = value.clone().into_deserializer();
    serde::Deserialize::deserialize(deserializer).unwrap_or(Value::Boolean(false))
}

/// The words that a number of this name may be in place of a number.
fn words_for_numbers(key: &str) -> Vec<&'static str> {
    let setting = Recipe::setting(key).filter(|setting| setting.field.limits != Limits::ANY);
    let words = setting.map(|setting| setting.field.words.all()).unwrap_or_default();
    words.into_iter().map(|word| word.name).collect()
}

/// A value in the type of the default: whole numbers may stand for fractions, and words for some numbers.
fn fit(default: &Value, value: Value, key: &str, place: &str) -> Result<Value, RecipeError> {
    let in_words = words_for_numbers(key);
    let default = if in_words.is_empty() { default } else { &Value::Float(0.0) };
    match (default, value) {
        (_, Value::String(word)) if in_words.contains(&word.as_str()) => Ok(Value::String(word)),
        (Value::Float(_), Value::Integer(whole)) => Ok(Value::Float(whole as f64)),
        (Value::Integer(_), Value::Integer(n)) if n < 0 => {
            Err(wrong(place, key, &n.to_string(), "0 or more"))
        }
        (Value::Array(_), Value::String(one)) => Ok(Value::Array(vec![Value::String(one)])),
        (Value::String(_), Value::Array(list)) if may_be_several(key) => Ok(Value::Array(list)),
        (default, value) if default.same_type(&value) => Ok(value),
        (default, value) => Err(wrong(
            place,
            key,
            &format!("{} ({})", quoted(&value), words(&value)),
            &in_words.iter().fold(words(default).to_owned(), |e, w| format!("{e} or \"{w}\"")),
        )),
    }
}

/// Whether a setting takes a word or a list of them.
fn may_be_several(key: &str) -> bool {
    let mut settings = Recipe::documentation().iter();
    settings.any(|setting| setting.field.holds == Holds::Several && setting.key() == key)
}

fn wrong(place: &str, key: &str, found: &str, expected: &str) -> RecipeError {
    RecipeError::WrongType {
        place: place.to_owned(),
        key: quoted(key),
        found: found.to_owned(),
        expected: expected.to_owned(),
    }
}

fn words(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text in quotes",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list of texts",
        Value::Table(_) => "a section",
        Value::Datetime(_) => "a date",
    }
}

/// Bytes of a key that can be a misspelt one; distances between longer texts are dear.
const LONGEST_KEY: usize = 100;

fn unknown(place: &str, key: &str) -> RecipeError {
    let distance = |known: &String| {
        let last = |k: &str| k.rsplit('.').next().unwrap_or(k).to_owned();
        strsim::damerau_levenshtein(known, key)
            .min(1 + strsim::damerau_levenshtein(&last(known), &last(key)))
    };
    let nearest = known_keys()
        .into_iter()
        .filter(|_| key.len() <= LONGEST_KEY)
        .min_by_key(distance)
        .map_or_else(String::new, |known| format!("; the nearest is “{known}”"));
    RecipeError::UnknownKey { place: place.to_owned(), key: quoted(key), nearest }
}

fn known_keys() -> Vec<String> {
    Recipe::documentation().iter().map(Setting::key).collect()
}

/// Lay `section.key = value` pairs over a table; values are TOML, or bare words.
fn apply(table: &mut Table, set: &[(String, String)]) -> Result<(), RecipeError> {
    for (key, text) in set {
        let place = format!("--set {key}={}", quoted(text));
        let value = parse_value(text);
        let (section, written) = key.rsplit_once('.').unwrap_or(("", key));
        let name = own_name(section, written);
        let mut sections = section.split('.').filter(|part| !part.is_empty());
        let target = sections.try_fold(&mut *table, |table, section| {
            table.get_mut(section).and_then(Value::as_table_mut)
        });
        let Some(default) = target.and_then(|t| t.get_mut(name)).filter(|v| !v.is_table()) else {
            return Err(unknown(&place, key));
        };
        // A bare word that looks like a number may still be a text, a run's name say.
        let text_is_meant =
            default.is_str() && !value.is_str() && words_for_numbers(key).is_empty();
        let text_is_meant = text_is_meant && !(value.is_array() && may_be_several(key));
        let value = if text_is_meant { Value::String(text.clone()) } else { value };
        *default = fit(default, value, key, &place)?;
    }
    Ok(())
}

fn parse_value(text: &str) -> Value {
    let parsed: Option<Table> = toml::from_str(&format!("value = {text}")).ok();
    parsed
        .and_then(|mut table| table.remove("value"))
        .unwrap_or_else(|| Value::String(text.to_owned()))
}
