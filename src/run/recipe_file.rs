//! Recipes as TOML: defaults underneath, the file over them, `--set` on top.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::{AnnotatorKind, Recipe};
use crate::hub::HubName;
use crate::legible::quoted;
use crate::model::{Precision, base_of};
use crate::train::Training;

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
    pub(super) fn to_table(&self) -> Table {
        Table::try_from(self).unwrap_or_default()
    }

    /// Whether every value is possible; `place` names the recipe in messages.
    ///
    /// # Errors
    ///
    /// The first value that is not.
    pub fn check(&self, place: &str) -> Result<(), RecipeError> {
        let invalid = |found: String| RecipeError::Invalid { place: place.to_owned(), found };
        let need = |ok: bool, key: &str, value: f64, expected: &str| {
            if ok { Ok(()) } else { Err(invalid(format!("{key} = {value}; expected {expected}"))) }
        };
        let (d, c, p) = (&self.data, &self.confidence, &self.policy);
        if let Some((key, value)) = not_finite("", &self.to_table()) {
            return Err(invalid(format!("{key} = {value}; expected a finite number")));
        }
        if d.files.is_empty() {
            return Err(invalid(
                "data.files is empty; name at least one preference file".to_owned(),
            ));
        }
        if p.model.is_empty() {
            return Err(invalid(
                "policy.model is missing; name a model folder, or a model on the hub (org/name)"
                    .to_owned(),
            ));
        }
        if self.annotator.kind == AnnotatorKind::RewardHead && self.annotator.model.is_empty() {
            return Err(invalid("annotator.model is missing; name a model folder, or a model on the hub (org/name), or set annotator.kind = \"human\" or \"file\"".to_owned()));
        }
        need(
            self.device_memory >= 0.0 && self.device_memory.is_finite(),
            "device_memory",
            self.device_memory,
            "0 or a number of GiB",
        )?;
        need(
            self.checkpoint_seconds >= 0.0,
            "checkpoint_seconds",
            self.checkpoint_seconds,
            "0 or more",
        )?;
        need(
            (0.0..=1.0).contains(&d.labelled),
            "data.labelled",
            d.labelled,
            "a share from 0 to 1",
        )?;
        need(
            (0.0..1.0).contains(&d.held_out),
            "data.held_out",
            d.held_out,
            "a share from 0 to below 1",
        )?;
        if !d.chat_template.is_empty() && !Path::new(&d.chat_template).is_file() {
            return Err(invalid(format!(
                "data.chat_template = \"{}\": there is no such file; expected a chat template in Jinja, or \"\" for each model's own",
                d.chat_template
            )));
        }
        d.columns.check().map_err(|e| invalid(format!("data.columns: {e}")))?;
        need(d.max_length >= 2, "data.max_length", d.max_length as f64, "at least 2 tokens")?;
        need(d.max_rows >= 1, "data.max_rows", d.max_rows as f64, "at least 1")?;
        need(d.max_row_bytes >= 1, "data.max_row_bytes", d.max_row_bytes as f64, "at least 1")?;
        need(
            d.max_memory >= 0.0 && d.max_memory.is_finite(),
            "data.max_memory",
            d.max_memory,
            "0 or a number of GiB",
        )?;
        need(
            (0.0..=1.0).contains(&d.max_lost),
            "data.max_lost",
            d.max_lost,
            "a share from 0 to 1",
        )?;
        need(
            (0.0..=1.0).contains(&c.threshold),
            "confidence.threshold",
            c.threshold,
            "a number from 0 to 1",
        )?;
        need(c.temperature > 0.0, "confidence.temperature", c.temperature, "a number above 0")?;
        need((0.0..=1.0).contains(&c.top), "confidence.top", c.top, "a share from 0 to 1")?;
        need(p.beta > 0.0, "policy.beta", p.beta, "a number above 0")?;
        need(
            (0.0..0.5).contains(&p.label_noise),
            "policy.label_noise",
            p.label_noise,
            "a share from 0 to below 0.5",
        )?;
        let e = &self.evaluate;
        need(e.temperature >= 0.0, "evaluate.temperature", e.temperature, "0 or more")?;
        let stages = [
            ("annotator", &self.annotator.training),
            ("sft", &self.sft.training),
            ("policy", &p.training),
        ];
        for (section, training) in stages {
            check_training(section, training, &need)?;
        }
        for (section, lora, precision) in [
            ("annotator", &self.annotator.lora, self.annotator.precision),
            ("policy", &p.lora, p.precision),
        ] {
            let key = format!("{section}.lora");
            let checked = lora.adapter(&key, "");
            checked.map_err(|e| invalid(e.to_string()))?;
            let as_it_is = section == "annotator" && self.annotator.training.epochs == 0.0;
            let trained = lora.rank == 0 && !as_it_is && !is_adapter(self.model(section));
            if precision != Precision::F32 && trained {
                return Err(invalid(format!(
                    "{section}.precision = \"{}\" stores weights that are not trained, but {section}.lora.rank = 0 trains all of them; set {section}.lora.rank (8, say), or precision = \"f32\"",
                    precision.name()
                )));
            }
        }
        Ok(())
    }

    /// The model field of a section, `annotator` or `policy`.
    pub(super) fn model(&self, section: &str) -> &str {
        if section == "annotator" { &self.annotator.model } else { &self.policy.model }
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
        let models = [&mut self.annotator.model, &mut self.policy.model, &mut self.evaluate.gold];
        for model in models {
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

/// (holds, key, value, what was expected) → an error where it does not hold.
type Need<'a> = dyn Fn(bool, &str, f64, &str) -> Result<(), RecipeError> + 'a;

fn check_training(section: &str, t: &Training, need: &Need<'_>) -> Result<(), RecipeError> {
    let key = |name: &str| format!("{section}.{name}");
    need(t.epochs >= 0.0 && t.epochs.is_finite(), &key("epochs"), t.epochs, "0 or more passes")?;
    need(
        t.learning_rate > 0.0 && t.learning_rate.is_finite(),
        &key("learning_rate"),
        t.learning_rate,
        "a number above 0",
    )?;
    need(t.batch_size >= 1, &key("batch_size"), t.batch_size as f64, "at least 1")?;
    need(t.accumulate >= 1, &key("accumulate"), t.accumulate as f64, "at least 1")?;
    need(t.weight_decay >= 0.0, &key("weight_decay"), t.weight_decay, "0 or more")?;
    need(t.max_grad_norm >= 0.0, &key("max_grad_norm"), t.max_grad_norm, "0 (off) or more")
}

fn defaults() -> Table {
    Recipe::default().to_table()
}

/// The first setting that is no finite number: JSON has no word for one, and no setting a use.
fn not_finite(section: &str, table: &Table) -> Option<(String, f64)> {
    table.iter().find_map(|(name, value)| {
        let key = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
        match value {
            Value::Table(inner) => not_finite(&key, inner),
            Value::Float(number) if !number.is_finite() => Some((key, *number)),
            _ => None,
        }
    })
}

fn from_table(table: Table, place: &str) -> Result<Recipe, RecipeError> {
    table.try_into().map_err(|e: toml::de::Error| RecipeError::Invalid {
        place: place.to_owned(),
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
    for (key, value) in from {
        let name = key.get_ref().as_ref();
        let full = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
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

fn to_value(value: &Spanned<DeValue<'_>>) -> Value {
    use serde::de::IntoDeserializer;
    let deserializer = value.clone().into_deserializer();
    serde::Deserialize::deserialize(deserializer).unwrap_or(Value::Boolean(false))
}

/// A value in the type of the default: whole numbers may stand for fractions.
fn fit(default: &Value, value: Value, key: &str, place: &str) -> Result<Value, RecipeError> {
    match (default, value) {
        (Value::Float(_), Value::Integer(whole)) => Ok(Value::Float(whole as f64)),
        (Value::Integer(_), Value::Integer(n)) if n < 0 => {
            Err(wrong(place, key, &n.to_string(), "0 or more"))
        }
        (Value::Array(_), Value::String(one)) => Ok(Value::Array(vec![Value::String(one)])),
        (default, value) if default.same_type(&value) => Ok(value),
        (default, value) => Err(wrong(
            place,
            key,
            &format!("{} ({})", quoted(&value), words(&value)),
            words(default),
        )),
    }
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
    Recipe::documentation()
        .into_iter()
        .map(|(section, field)| {
            if section.is_empty() {
                field.name.to_owned()
            } else {
                format!("{section}.{}", field.name)
            }
        })
        .collect()
}

/// Lay `section.key = value` pairs over a table; values are TOML, or bare words.
fn apply(table: &mut Table, set: &[(String, String)]) -> Result<(), RecipeError> {
    for (key, text) in set {
        let place = format!("--set {key}={}", quoted(text));
        let value = parse_value(text);
        let (section, name) = key.rsplit_once('.').unwrap_or(("", key));
        let mut sections = section.split('.').filter(|part| !part.is_empty());
        let target = sections.try_fold(&mut *table, |table, section| {
            table.get_mut(section).and_then(Value::as_table_mut)
        });
        let Some(default) = target.and_then(|t| t.get_mut(name)).filter(|v| !v.is_table()) else {
            return Err(unknown(&place, key));
        };
        // A bare word that looks like a number may still be a text, a run's name say.
        let value =
            if default.is_str() && !value.is_str() { Value::String(text.clone()) } else { value };
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
