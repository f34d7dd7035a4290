//! Which linear layers get a low-rank adapter, and of what rank.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use fancy_regex::{Regex, RegexBuilder};

use super::{Family, ModelError, Parameter, ParameterKind};
use crate::legible::quoted;
use crate::settings::{Holds, settings};

settings! {
    /// A low-rank adapter (LoRA) that is trained in place of the weights.
    pub struct LoraSettings {
        /// Rank of the adapter; 0 trains all weights instead.
        pub rank: usize = 0 => {
            aliases: &["r", "lora_r"],
            title: "Train",
            zero: "all weights",
            holds: Holds::Rank,
        },
        /// Strength: the adapter is scaled by alpha / rank.
        pub alpha: f64 = 16.0 => { aliases: &["lora_alpha"], title: "α" },
        /// Share of the adapter's inputs that are dropped in training; in the policy's alignment only with policy.disable_dropout = false.
        pub dropout: f64 = 0.05 => { aliases: &["lora_dropout"] },
        /// Scale by alpha / √rank instead (rsLoRA).
        pub rslora: bool = false => { aliases: &["use_rslora"], title: "Over √rank (rsLoRA)" },
        /// Modules that get an adapter, by the last parts of their names in Hugging Face files (q_proj, v_proj, …), or "all-linear"; empty takes the family's usual ones.
        pub targets: Vec<String> = Vec::new() => {
            aliases: &["target_modules", "lora_target_modules"],
            title: "Modules",
        },
        /// Other ranks for some modules: "pattern=rank", the pattern a regular expression for the end of the name.
        pub rank_pattern: Vec<String> = Vec::new() => { advanced: true, holds: Holds::List },
        /// Other alphas for some modules: "pattern=alpha".
        pub alpha_pattern: Vec<String> = Vec::new() => { advanced: true, holds: Holds::List },
        /// Also write the model with the adapter merged into its weights.
        pub merge: bool = false => { title: "Also export merged" },
    }
}

/// Which modules an adapter joins, by their names in Hugging Face files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Targets {
    /// Those whose names end in one of these.
    Names(Vec<String>),
    /// Those whose whole names match a regular expression.
    Pattern(String),
    /// Every linear layer but the head.
    AllLinear,
}

/// An adapter as PEFT describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Adapter {
    /// Rank where no pattern says otherwise.
    pub rank: usize,
    /// α where no pattern says otherwise.
    pub alpha: f64,
    /// Share of inputs dropped in training.
    pub dropout: f64,
    /// Scale by α/√r.
    pub rslora: bool,
    /// The modules.
    pub targets: Targets,
    /// Only these layers.
    pub layers: Option<Vec<usize>>,
    /// Modules that are left out although they are targets.
    pub excluded: Option<Targets>,
    /// (regular expression for the end of a name, rank).
    pub rank_pattern: Vec<(String, usize)>,
    /// (regular expression for the end of a name, α).
    pub alpha_pattern: Vec<(String, f64)>,
    /// The model it belongs to: a folder or a hub name.
    pub base: String,
    /// The commit, branch or tag of a base on the hub.
    pub revision: Option<String>,
}

impl LoraSettings {
    /// The adapter that these settings describe, or `None` for rank 0.
    ///
    /// # Errors
    ///
    /// A pattern that cannot be read; `section` names the settings in messages.
    pub fn adapter(&self, section: &str, base: &str) -> Result<Option<Adapter>, ModelError> {
        if self.rank == 0 {
            return Ok(None);
        }
        let all = self.targets.iter().any(|t| t == "all-linear");
        let adapter = Adapter {
            rank: self.rank,
            alpha: self.alpha,
            dropout: self.dropout,
            rslora: self.rslora,
            targets: if all { Targets::AllLinear } else { Targets::Names(self.targets.clone()) },
            layers: None,
            excluded: None,
            rank_pattern: pairs(&self.rank_pattern, section, "rank_pattern")?,
            alpha_pattern: pairs(&self.alpha_pattern, section, "alpha_pattern")?,
            base: base.to_owned(),
            revision: None,
        };
        adapter.check(Path::new(section))?;
        Ok(Some(adapter))
    }
}

/// `pattern=number` texts.
fn pairs<T: std::str::FromStr>(
    texts: &[String],
    section: &str,
    key: &str,
) -> Result<Vec<(String, T)>, ModelError> {
    let parse = |text: &String| {
        let (pattern, number) = text.rsplit_once('=')?;
        Some((pattern.trim().to_owned(), number.trim().parse().ok()?))
    };
    texts
        .iter()
        .map(|text| {
            parse(text).ok_or_else(|| ModelError::Adapter {
                path: PathBuf::from(format!("{section}.{key}")),
                found: format!("“{}”", quoted(text)),
                expected: "a text like \"layers.0.self_attn.q_proj=16\"".to_owned(),
            })
        })
        .collect()
}

/// Patterns that an adapter may have, names and layers that it may list: a model of 126 layers has
/// some 900 modules.
const MOST_LISTED: usize = 1 << 12;
/// Those of the patterns that are more than a name: each is tried on every module.
const MOST_EXPRESSIONS: usize = 128;
/// Bytes of one compiled expression, and steps of it on one name.
const EXPRESSION: usize = 1 << 20;
const STEPS: usize = 10_000;

impl Adapter {
    /// Whether its patterns are regular expressions and its numbers possible.
    pub(crate) fn check(&self, path: &Path) -> Result<(), ModelError> {
        let error = |found: String, expected: &str| ModelError::Adapter {
            path: path.to_owned(),
            found,
            expected: expected.to_owned(),
        };
        let mut ranks = self.rank_pattern.iter().map(|(_, r)| *r).chain([self.rank]);
        if let Some(rank) = ranks.find(|r| *r == 0 || *r > 1 << 16) {
            return Err(error(format!("rank {rank}"), "a rank from 1 to 65536"));
        }
        let mut alphas = self.alpha_pattern.iter().map(|(_, a)| *a).chain([self.alpha]);
        if let Some(alpha) = alphas.find(|a| !a.is_finite()) {
            return Err(error(format!("alpha {alpha}"), "a finite number"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            let found = format!("dropout {}", self.dropout);
            return Err(error(found, "a share from 0 to below 1"));
        }
        self.check_counts(&error)?;
        let whole = [Some(&self.targets), self.excluded.as_ref()].into_iter().flatten();
        let whole = whole.filter_map(|t| match t {
            Targets::Pattern(pattern) => Some(pattern),
            _ => None,
        });
        let ends = self.rank_pattern.iter().map(|(p, _)| p);
        for pattern in whole.chain(ends).chain(self.alpha_pattern.iter().map(|(p, _)| p)) {
            if let Err(e) = compiled(pattern) {
                let found = format!("pattern “{}”: {}", quoted(pattern), quoted(e));
                return Err(error(found, "a regular expression, of a size that compiles to 1 MiB"));
            }
        }
        Ok(())
    }

    /// Whether there are no more patterns, names and layers than modules can need.
    fn check_counts(&self, error: &dyn Fn(String, &str) -> ModelError) -> Result<(), ModelError> {
        let names = |targets: Option<&Targets>| match targets {
            Some(Targets::Names(names)) => names.len(),
            _ => 0,
        };
        let counts = [
            ("names in target_modules", names(Some(&self.targets))),
            ("names in exclude_modules", names(self.excluded.as_ref())),
            ("layers in layers_to_transform", self.layers.as_ref().map_or(0, Vec::len)),
            ("patterns in rank_pattern", self.rank_pattern.len()),
            ("patterns in alpha_pattern", self.alpha_pattern.len()),
        ];
        if let Some((what, count)) = counts.into_iter().find(|(_, count)| *count > MOST_LISTED) {
            return Err(error(format!("{count} {what}"), &format!("{MOST_LISTED} at most")));
        }
        let ranks = self.rank_pattern.iter().map(|(pattern, _)| pattern);
        let patterns = ranks.chain(self.alpha_pattern.iter().map(|(pattern, _)| pattern));
        let expressions = patterns.filter(|pattern| !is_name(pattern)).count();
        if expressions > MOST_EXPRESSIONS {
            return Err(error(
                format!("{expressions} regular expressions in rank_pattern and alpha_pattern"),
                &format!("{MOST_EXPRESSIONS} at most beside whole names of modules"),
            ));
        }
        Ok(())
    }

    /// The rank, or `None` where the module is no target. `name` is the module's whole name.
    pub fn rank_of(&self, name: &str, usual: &[&str]) -> Option<usize> {
        let included = match &self.targets {
            Targets::AllLinear => true,
            Targets::Pattern(pattern) => matches_whole(pattern, name),
            Targets::Names(names) if names.is_empty() => usual.iter().any(|t| ends_in(name, t)),
            Targets::Names(names) => names.iter().any(|t| ends_in(name, t)),
        };
        let excluded = match &self.excluded {
            None => false,
            Some(Targets::AllLinear) => true,
            Some(Targets::Pattern(pattern)) => matches_whole(pattern, name),
            Some(Targets::Names(names)) => names.iter().any(|t| ends_in(name, t)),
        };
        let in_layer = match &self.layers {
            None => true,
            Some(layers) => layer_of(name).is_some_and(|layer| layers.contains(&layer)),
        };
        (included && !excluded && in_layer)
            .then(|| first_match(&self.rank_pattern, name).copied().unwrap_or(self.rank))
    }

    /// Whether one of a model's modules is a target; `path` names the settings.
    ///
    /// # Errors
    ///
    /// None is.
    pub(crate) fn check_targets(
        &self,
        family: &Family,
        parameters: &[Parameter],
        path: &Path,
    ) -> Result<(), ModelError> {
        if parameters.iter().any(|parameter| parameter.rank(family, self).is_some()) {
            return Ok(());
        }
        let linear = parameters.iter().filter(|p| p.kind == ParameterKind::Linear);
        let names = linear.filter_map(|p| p.path.strip_suffix(".weight"));
        let names: Vec<String> = names.map(|name| module_name(family, name)).collect();
        Err(self.no_target(&names, path))
    }

    /// Why none of these modules gets an adapter.
    pub(super) fn no_target(&self, names: &[String], path: &Path) -> ModelError {
        ModelError::Adapter {
            path: path.to_owned(),
            found: format!("no module of this model is one of {:?}", self.targets),
            expected: format!("targets among {}", last_parts(names)),
        }
    }

    /// α of a module.
    pub(crate) fn alpha_of(&self, name: &str) -> f64 {
        first_match(&self.alpha_pattern, name).copied().unwrap_or(self.alpha)
    }

    /// What its product is multiplied by.
    pub fn scale_of(&self, name: &str, rank: usize) -> f64 {
        self.alpha_of(name) / if self.rslora { (rank as f64).sqrt() } else { rank as f64 }
    }
}

/// `name` is `target`, or ends in it after a dot.
fn ends_in(name: &str, target: &str) -> bool {
    name.strip_suffix(target).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}

fn matches_whole(pattern: &str, name: &str) -> bool {
    is_match(&format!("^(?:{pattern})$"), name)
}

/// A name that matches a pattern for ends of names, as PEFT reads its keys.
fn first_match<'a, T>(patterns: &'a [(String, T)], name: &str) -> Option<&'a T> {
    let matches = |pattern: &str| {
        if is_name(pattern) {
            ends_like(name, pattern)
        } else {
            is_match(&format!("^(?:.*\\.)?(?:{pattern})$"), name)
        }
    };
    patterns.iter().find(|(pattern, _)| matches(pattern)).map(|(_, value)| value)
}

/// Whether a pattern has no sign but the dot, as the names have that most adapters list.
fn is_name(pattern: &str) -> bool {
    pattern.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
}

/// As [`ends_in`], a dot of the target standing for any character.
fn ends_like(name: &str, target: &str) -> bool {
    let (name, target) = (name.as_bytes(), target.as_bytes());
    let Some(at) = name.len().checked_sub(target.len()) else { return false };
    let alike =
        name[at..].iter().zip(target).all(|(byte, wanted)| *wanted == b'.' || byte == wanted);
    alike && (at == 0 || name[at - 1] == b'.')
}

/// Expressions are tried on the names of many modules, and dear to compile.
fn is_match(pattern: &str, name: &str) -> bool {
    thread_local!(static COMPILED: RefCell<HashMap<String, Option<Regex>>> = RefCell::default());
    COMPILED.with_borrow_mut(|known| {
        // Those of other adapters.
        if known.len() > 4 * MOST_EXPRESSIONS {
            known.clear();
        }
        let regex = match known.get(pattern) {
            Some(regex) => regex,
            None => known.entry(pattern.to_owned()).or_insert(compiled(pattern).ok()),
        };
        regex.as_ref().is_some_and(|regex| regex.is_match(name).unwrap_or(false))
    })
}

fn compiled(pattern: &str) -> Result<Regex, fancy_regex::Error> {
    RegexBuilder::new(pattern).delegate_size_limit(EXPRESSION).backtrack_limit(STEPS).build()
}

/// The number behind `layers.` or `h.` in a name.
fn layer_of(name: &str) -> Option<usize> {
    let mut parts = name.split('.');
    parts.find(|part| matches!(*part, "layers" | "h"))?;
    parts.next()?.parse().ok()
}

impl Parameter {
    /// The rank of its adapter, if `adapter` joins it.
    pub fn rank(&self, family: &Family, adapter: &Adapter) -> Option<usize> {
        let module = self.path.strip_suffix(".weight")?;
        let joins = self.kind == ParameterKind::Linear && module != "score";
        joins.then(|| adapter.rank_of(&module_name(family, module), family.adapted)).flatten()
    }
}

/// The name of a module in the family's files, with prefix.
pub(super) fn module_name(family: &Family, path: &str) -> String {
    format!("{}{}", family.prefixes[0], family.module(path).unwrap_or_else(|| path.to_owned()))
}

fn last_parts(names: &[String]) -> String {
    let mut parts: Vec<&str> = names.iter().filter_map(|n| n.rsplit('.').next()).collect();
    parts.sort_unstable();
    parts.dedup();
    parts.join(", ")
}
