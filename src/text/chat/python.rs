//! What templates take from Python: methods of texts, JSON as `json.dumps` writes it, dates.

use jiff::Zoned;
use jiff::fmt::strtime;
use minijinja::value::{Kwargs, Tuple, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, Output, State, Value, escape_formatter};
use minijinja_contrib::pycompat::unknown_method_callback;
use serde::Serialize;
use serde_json::ser::Formatter;

/// The template called `raise_exception`: its words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refused(pub(super) String);

/// Add what transformers adds, and Python's methods.
pub(super) fn add(environment: &mut Environment<'static>, now: Zoned) {
    environment.set_unknown_method_callback(method);
    environment.set_formatter(write);
    environment.add_filter("tojson", to_json);
    // As minijinja has them, but what they write is paid for before.
    environment.add_filter("string", to_text);
    environment.add_filter("join", join);
    // Prints for people, at a cost that grows with the cube of the depth.
    environment.remove_filter("pprint");
    // In Python a text is a sequence, and so is whatever has a length and items.
    environment.add_test("sequence", |value: &Value| {
        matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::String)
    });
    environment.add_function("raise_exception", |message: Value| -> Result<Value, Error> {
        let words = message.to_string();
        Err(Error::new(ErrorKind::InvalidOperation, words.clone()).with_source(Refused(words)))
    });
    environment.add_function("strftime_now", move |format: &str| strftime(format, &now));
}

fn strftime(format: &str, now: &Zoned) -> Result<String, Error> {
    strtime::format(c_locale(format), now).map_err(|e| {
        Error::new(ErrorKind::InvalidOperation, format!("strftime_now(\"{format}\"): {e}"))
    })
}

/// A format in which Python's meaning of locale and fractions is spelt out.
fn c_locale(format: &str) -> String {
    let mut out = String::with_capacity(format.len());
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('c') => out.push_str("%a %b %e %H:%M:%S %Y"),
            Some('x') => out.push_str("%m/%d/%y"),
            Some('X') => out.push_str("%H:%M:%S"),
            Some('r') => out.push_str("%I:%M:%S %p"),
            Some('f') => out.push_str("%6f"),
            Some(other) => out.extend(['%', other]),
            None => out.push_str("%%"),
        }
    }
    out
}

/// Methods that minijinja's compatibility layer lacks, else those that it has.
fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let Some(text) = value.as_str().filter(|_| value.kind() == ValueKind::String) else {
        return unknown_method_callback(state, value, name, args);
    };
    match name {
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            Ok(text.strip_prefix(prefix).unwrap_or(text).into())
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            Ok(text.strip_suffix(suffix).unwrap_or(text).into())
        }
        "partition" | "rpartition" => {
            let (separator,): (&str,) = from_args(args)?;
            if separator.is_empty() {
                return Err(Error::new(ErrorKind::InvalidOperation, "empty separator"));
            }
            let found = if name == "partition" {
                text.split_once(separator)
            } else {
                text.rsplit_once(separator)
            };
            let parts = match found {
                Some((before, after)) => [before, separator, after],
                None if name == "partition" => [text, "", ""],
                None => ["", "", text],
            };
            Ok(Value::from_object(Tuple::from(parts.map(Value::from).to_vec())))
        }
        "rsplit" => {
            let (separator, most): (Option<&str>, Option<i64>) = from_args(args)?;
            rsplit(text, separator, most)
        }
        _ => unknown_method_callback(state, value, name, args),
    }
}

fn rsplit(text: &str, separator: Option<&str>, most: Option<i64>) -> Result<Value, Error> {
    let most =
        most.and_then(|n| usize::try_from(n).ok()).map_or(usize::MAX, |n| n.saturating_add(1));
    let mut parts: Vec<&str> = match separator {
        Some("") => return Err(Error::new(ErrorKind::InvalidOperation, "empty separator")),
        Some(separator) => text.rsplitn(most, separator).collect(),
        None => {
            let mut parts = Vec::new();
            let mut rest = text.trim_end();
            while !rest.is_empty() {
                if parts.len() + 1 >= most {
                    parts.push(rest);
                    break;
                }
                let before = rest.trim_end_matches(|c: char| !c.is_whitespace());
                parts.push(&rest[before.len()..]);
                rest = before.trim_end();
            }
            parts
        }
    };
    parts.reverse();
    Ok(parts.into_iter().map(Value::from).collect::<Vec<_>>().into())
}

/// JSON as transformers' `tojson` writes it: Python's spacing, nothing escaped that JSON does
/// not ask for.
#[allow(clippy::needless_pass_by_value, reason = "a filter takes its options by value")]
fn to_json(state: &mut State, value: &Value, options: Kwargs) -> Result<String, Error> {
    let ascii: Option<bool> = options.get("ensure_ascii")?;
    let indent: Option<Value> = options.get("indent")?;
    let separators: Option<Value> = options.get("separators")?;
    let sorted: Option<bool> = options.get("sort_keys")?;
    options.assert_all_used()?;
    let unit = match indent.filter(|v| !v.is_none()) {
        None => None,
        Some(text) if text.as_str().is_some() => text.as_str().map(str::to_owned),
        Some(number) => Some(" ".repeat(usize::try_from(number)?.min(64))),
    };
    let [mut item, mut key] = [if unit.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()];
    if let Some(pair) = separators.filter(|v| !v.is_none()) {
        item = pair.get_item(&Value::from(0))?.to_string();
        key = pair.get_item(&Value::from(1))?.to_string();
    }
    if value.is_undefined() {
        let words = "tojson of an undefined value";
        return Err(Error::new(ErrorKind::BadSerialization, words));
    }
    pay(state, value, 0)?;
    let failed = |e: serde_json::Error| Error::new(ErrorKind::BadSerialization, e.to_string());
    let style = Style { unit, item, key, depth: 0, filled: false };
    let mut bytes = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut bytes, style);
    if sorted == Some(true) {
        // serde_json's own objects are sorted by their keys.
        let tree = serde_json::to_value(value).map_err(failed)?;
        tree.serialize(&mut writer).map_err(failed)?;
    } else {
        value.serialize(&mut writer).map_err(failed)?;
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(if ascii == Some(true) { escaped(&text) } else { text })
}

/// Values within values that are written out.
const MAX_NESTING: usize = 200;

/// Pay for writing a value before it is written: one value may stand in another many times, and
/// a namespace in itself.
fn pay(state: &mut State, value: &Value, depth: usize) -> Result<(), Error> {
    let length = value.as_str().map_or(0, str::len) as u64;
    state.consume_fuel(1 + length / 16)?;
    if !matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::Iterable) {
        return Ok(());
    }
    if depth > MAX_NESTING {
        let words = format!("a value is nested more than {MAX_NESTING} times");
        return Err(Error::new(ErrorKind::InvalidOperation, words));
    }
    let is_map = value.kind() == ValueKind::Map;
    for item in value.try_iter()? {
        if is_map {
            pay(state, &value.get_item(&item)?, depth + 1)?;
        }
        pay(state, &item, depth + 1)?;
    }
    Ok(())
}

fn write(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if value.as_str().is_none() {
        pay(state, value, 0)?;
    }
    escape_formatter(out, state, value)
}

fn to_text(state: &mut State, value: &Value) -> Result<String, Error> {
    pay(state, value, 0)?;
    Ok(value.to_string())
}

fn join(state: &mut State, value: &Value, joiner: Option<&str>) -> Result<String, Error> {
    pay(state, value, 0)?;
    let mut text = String::new();
    for (i, item) in value.try_iter()?.enumerate() {
        if i > 0 {
            text.push_str(joiner.unwrap_or_default());
        }
        text.push_str(&item.to_string());
    }
    Ok(text)
}

/// `\uXXXX` for all that is not ASCII, in UTF-16 units.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

/// Python's spacing.
struct Style {
    /// What one level is indented by; on one line without.
    unit: Option<String>,
    item: String,
    key: String,
    depth: usize,
    /// Whether the list or object that ends has anything in it.
    filled: bool,
}

impl Style {
    fn begin<W: ?Sized + std::io::Write>(
        &mut self,
        w: &mut W,
        bracket: &[u8],
    ) -> std::io::Result<()> {
        self.depth += 1;
        self.filled = false;
        w.write_all(bracket)
    }

    fn end<W: ?Sized + std::io::Write>(
        &mut self,
        w: &mut W,
        bracket: &[u8],
    ) -> std::io::Result<()> {
        self.depth -= 1;
        if self.filled {
            self.new_line(w)?;
        }
        self.filled = true;
        w.write_all(bracket)
    }

    fn item<W: ?Sized + std::io::Write>(&mut self, w: &mut W, first: bool) -> std::io::Result<()> {
        if !first {
            w.write_all(self.item.as_bytes())?;
        }
        self.filled = true;
        self.new_line(w)
    }

    fn new_line<W: ?Sized + std::io::Write>(&self, w: &mut W) -> std::io::Result<()> {
        let Some(unit) = &self.unit else { return Ok(()) };
        w.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| w.write_all(unit.as_bytes()))
    }
}

impl Formatter for Style {
    fn begin_array<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        self.begin(w, b"[")
    }

    fn end_array<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        self.end(w, b"]")
    }

    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        self.item(w, first)
    }

    fn begin_object<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        self.begin(w, b"{")
    }

    fn end_object<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        self.end(w, b"}")
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        self.item(w, first)
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, w: &mut W) -> std::io::Result<()> {
        w.write_all(self.key.as_bytes())
    }
}
