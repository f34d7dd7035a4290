//! A weight as an expression over what an annotator says of a pair.
//!
//! The language is that of expressions in chat templates (`minijinja`), which is Python's but for calls; nothing
//! but numbers can be written in it.

use std::fmt;
use std::sync::{Arc, LazyLock};

use minijinja::value::{Object, Rest, Value, ValueKind};
use minijinja::{Environment, Error};

use crate::legible::quoted;

/// What every annotation has: the calibrated probability that the label is right, the margin, and the
/// confidence.
pub(super) const OWN: [&str; 3] = ["p", "d", "C"];

/// Bytes of the longest expression: parsing descends into it.
const LONGEST: usize = 1000;

/// Steps of the longest evaluation; an expression has no loops.
const FUEL: u64 = 10_000;

/// What an expression can be made of, beside letters and digits.
const SIGNS: &str = "_+-*/%(),.<>=! ";

const FUNCTIONS: [&str; 9] = ["min", "max", "clamp", "pow", "exp", "ln", "sqrt", "tanh", "abs"];

static LANGUAGE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut language = Environment::empty();
    language.set_fuel(Some(FUEL));
    language.add_function("min", |numbers: Rest<f64>| pick(&numbers, |a, b| b < a));
    language.add_function("max", |numbers: Rest<f64>| pick(&numbers, |a, b| b > a));
    language.add_function("clamp", |x: f64, least: f64, most: f64| {
        pick(&[pick(&[x, least], |a, b| b > a), most], |a, b| b < a)
    });
    language.add_function("pow", f64::powf as fn(f64, f64) -> f64);
    language.add_function("exp", f64::exp as fn(f64) -> f64);
    language.add_function("ln", f64::ln as fn(f64) -> f64);
    language.add_function("sqrt", f64::sqrt as fn(f64) -> f64);
    language.add_function("tanh", f64::tanh as fn(f64) -> f64);
    language.add_function("abs", f64::abs as fn(f64) -> f64);
    language
});

/// The number that none of the others beats; NaN where any is, as in NumPy, or where there is none.
fn pick(numbers: &[f64], beats: fn(f64, f64) -> bool) -> f64 {
    let better = |a: f64, b: f64| if a.is_nan() || (!b.is_nan() && !beats(a, b)) { a } else { b };
    numbers.iter().copied().reduce(better).unwrap_or(f64::NAN)
}

/// A formula for the weight of a pair, with what is wrong with it if it cannot be computed.
#[derive(Clone)]
pub struct Expression {
    text: String,
    program: Result<Arc<Program>, String>,
}

struct Program {
    expression: minijinja::Expression<'static, 'static>,
    /// What it reads of a pair, by name.
    reads: Arc<[String]>,
}

/// What an expression reads, as it is for one pair.
#[derive(Debug)]
struct Row {
    names: Arc<[String]>,
    values: Vec<f64>,
}

impl Object for Row {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let place = self.names.iter().position(|name| Some(name.as_str()) == key.as_str())?;
        Some(Value::from(self.values[place]))
    }
}

impl Expression {
    /// Of a text, whatever it is: [`Expression::check`] says whether it can be computed.
    pub fn new(text: &str) -> Self {
        let text = text.trim().to_owned();
        let program = compile(&text).map(Arc::new);
        Self { text, program }
    }

    /// As it is written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it can be computed of annotations that may have these columns beside p, d and C.
    ///
    /// # Errors
    ///
    /// In half a sentence: what cannot be read, or a name that nothing has, or that the result is no number.
    pub fn check(&self, columns: &[&str]) -> Result<(), String> {
        let program = self.program.as_ref().map_err(Clone::clone)?;
        let known =
            |name: &&String| OWN.contains(&name.as_str()) || columns.contains(&name.as_str());
        if let Some(name) = program.reads.iter().find(|name| !known(name)) {
            return Err(format!(
                "nothing is called “{}”; there are {}, and the functions {}",
                quoted(name),
                [&OWN[..], columns].concat().join(", "),
                FUNCTIONS.join(", ")
            ));
        }
        // Odd numbers, at which few formulas have a pole: what fails at all of them has another fault.
        let trials = [0.37, 0.71, 1.93].map(|x| program.at(|_| Some(x)));
        match trials.into_iter().reduce(|before, next| before.or(next)) {
            Some(Err(fault)) => Err(fault.to_string()),
            _ => Ok(()),
        }
    }

    /// Its value for a pair whose columns, [`OWN`] among them, `column` knows.
    ///
    /// # Errors
    ///
    /// It cannot be computed, or the pair has no such column.
    pub(super) fn at(&self, column: impl Fn(&str) -> Option<f64>) -> Result<f64, Fault> {
        match &self.program {
            Ok(program) => program.at(column),
            Err(fault) => Err(Fault::Computation(fault.clone())),
        }
    }
}

/// Why an expression has no value for a pair.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// The pair has no such column.
    Missing(String),
    /// In half a sentence.
    Computation(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "there is no column “{}”", quoted(name)),
            Self::Computation(fault) => f.write_str(fault),
        }
    }
}

impl Program {
    fn at(&self, column: impl Fn(&str) -> Option<f64>) -> Result<f64, Fault> {
        let value = |name: &String| column(name).ok_or_else(|| Fault::Missing(name.clone()));
        let values = self.reads.iter().map(value).collect::<Result<Vec<f64>, _>>()?;
        let row = Row { names: Arc::clone(&self.reads), values };
        let found = self.expression.eval(Value::from_object(row));
        let found = found.map_err(|e| Fault::Computation(words(&e)))?;
        match (found.kind(), f64::try_from(found)) {
            (ValueKind::Number, Ok(number)) => Ok(number),
            (ValueKind::Bool, _) => Err(Fault::Computation(
                "it is true or false, and no number; write “1 if … else 0”".to_owned(),
            )),
            (kind, _) => Err(Fault::Computation(format!("it is {kind}, and no number"))),
        }
    }
}

fn compile(text: &str) -> Result<Program, String> {
    if text.is_empty() {
        return Err("it is empty; expected a formula, clamp(2*p - 1, 0, 1) say".to_owned());
    }
    if text.len() > LONGEST {
        return Err(format!("it has {} bytes; expected {LONGEST} or fewer", text.len()));
    }
    let strange = |c: &char| !c.is_ascii_alphanumeric() && !SIGNS.contains(*c);
    // -p ** 2 is -(p ** 2) in Python, and (-p) ** 2 in templates.
    if text.contains('^') || text.contains("**") {
        return Err("powers are written pow(p, 2) in it".to_owned());
    }
    if let Some(sign) = text.chars().find(strange) {
        return Err(format!(
            "“{}” has no meaning in it; expected numbers, names, functions and {}",
            quoted(sign),
            SIGNS.trim()
        ));
    }
    let expression = LANGUAGE.compile_expression_owned(text.to_owned()).map_err(|e| words(&e))?;
    let mut reads: Vec<String> = expression.undeclared_variables(false).into_iter().collect();
    reads.retain(|name| !FUNCTIONS.contains(&name.as_str()));
    reads.sort_unstable();
    Ok(Program { expression, reads: reads.into() })
}

/// What the language says of an error, without where it is in a template.
fn words(error: &Error) -> String {
    let kind = error.kind().to_string();
    error.detail().map_or_else(|| kind.clone(), |detail| format!("{kind}: {detail}"))
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
