//! What Python prints for lists and dictionaries, as a table of them saved to CSV holds it.

/// Lists within lists that are read.
const DEEPEST: usize = 64;

/// A printed value as JSON with the same order of keys; `None` where it is none.
///
/// Reads what `repr` writes of lists, tuples, dictionaries, texts, numbers, `None`, `True`,
/// `False` and `nan`, and numpy's arrays, whose items may stand without commas.
pub(super) fn to_json(text: &str) -> Option<String> {
    let mut reader = Reader { rest: text.trim(), out: String::with_capacity(text.len() + 16) };
    reader.value(0)?;
    reader.rest.trim_start().is_empty().then_some(reader.out)
}

struct Reader<'a> {
    rest: &'a str,
    out: String,
}

impl Reader<'_> {
    fn skip(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start();
        self.rest.chars().next()
    }

    /// Go on behind a beginning, if it is there.
    fn eat(&mut self, beginning: &str) -> bool {
        match self.rest.strip_prefix(beginning) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        match self.skip()? {
            '[' => self.items("[", ']', depth),
            '(' => self.items("(", ')', depth),
            '{' => self.dictionary(depth),
            '\'' | '"' => self.text(),
            c if c.is_ascii_digit() || matches!(c, '-' | '+' | '.') => self.number(),
            _ => self.word(depth),
        }
    }

    fn items(&mut self, open: &str, close: char, depth: usize) -> Option<()> {
        self.eat(open);
        self.out.push('[');
        let mut first = true;
        loop {
            if self.skip()? == close {
                self.rest = &self.rest[1..];
                break;
            }
            if !first {
                self.out.push(',');
            }
            first = false;
            self.value(depth + 1)?;
            self.skip()?;
            self.eat(",");
        }
        self.out.push(']');
        Some(())
    }

    fn dictionary(&mut self, depth: usize) -> Option<()> {
        self.eat("{");
        self.out.push('{');
        let mut first = true;
        loop {
            if self.skip()? == '}' {
                self.rest = &self.rest[1..];
                break;
            }
            if !first {
                self.out.push(',');
            }
            first = false;
            self.key()?;
            self.skip()?;
            if !self.eat(":") {
                return None;
            }
            self.out.push(':');
            self.value(depth + 1)?;
            let end = self.skip()?;
            if !self.eat(",") && end != '}' {
                return None;
            }
        }
        self.out.push('}');
        Some(())
    }

    fn key(&mut self) -> Option<()> {
        if matches!(self.skip()?, '\'' | '"') {
            return self.text();
        }
        let end = self.rest.find(':')?;
        let (key, rest) = self.rest.split_at(end);
        let plain = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        self.rest = rest;
        self.push_text(key.trim());
        plain.then_some(())
    }

    fn text(&mut self) -> Option<()> {
        let quote = self.rest.chars().next()?;
        let mut text = String::new();
        let mut chars = self.rest[1..].char_indices();
        loop {
            let (at, c) = chars.next()?;
            match c {
                '\\' => unescape(&mut chars, &mut text)?,
                c if c == quote => {
                    self.rest = &self.rest[1 + at + 1..];
                    break;
                }
                c => text.push(c),
            }
        }
        self.push_text(&text);
        Some(())
    }

    fn push_text(&mut self, text: &str) {
        self.out.push_str(&serde_json::Value::from(text).to_string());
    }

    fn number(&mut self) -> Option<()> {
        if self.eat("-inf") {
            self.out.push_str("null");
            return Some(());
        }
        let part = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_'));
        let (number, rest) = self.rest.split_at(self.rest.find(part).unwrap_or(self.rest.len()));
        self.rest = rest;
        let value: f64 = number.parse().ok()?;
        let whole = number.parse::<i64>().map(serde_json::Number::from).ok();
        match whole.or_else(|| serde_json::Number::from_f64(value)) {
            Some(number) => self.out.push_str(&number.to_string()),
            None => self.out.push_str("null"),
        }
        Some(())
    }

    fn word(&mut self, depth: usize) -> Option<()> {
        for (word, json) in [
            ("None", "null"),
            ("True", "true"),
            ("False", "false"),
            ("nan", "null"),
            ("inf", "null"),
        ] {
            if self.eat(word) {
                self.out.push_str(json);
                return Some(());
            }
        }
        if !self.eat("array(") {
            return None;
        }
        self.value(depth + 1)?;
        // Its type, as in `array([…], dtype=object)`.
        let end = self.rest.find(')')?;
        let between = self.rest[..end].trim_start_matches([',', ' ', '\n']);
        self.rest = &self.rest[end + 1..];
        (between.is_empty() || between.starts_with("dtype")).then_some(())
    }
}

/// The character that an escape in a text stands for.
fn unescape(chars: &mut std::str::CharIndices<'_>, text: &mut String) -> Option<()> {
    let code = |chars: &mut std::str::CharIndices<'_>, digits: usize| {
        let hex: String = chars.take(digits).map(|(_, c)| c).collect();
        char::from_u32(u32::from_str_radix(&hex, 16).ok()?)
    };
    match chars.next()?.1 {
        'n' => text.push('\n'),
        't' => text.push('\t'),
        'r' => text.push('\r'),
        'a' => text.push('\u{7}'),
        'b' => text.push('\u{8}'),
        'f' => text.push('\u{c}'),
        'v' => text.push('\u{b}'),
        '0' => text.push('\0'),
        '\n' => {}
        'x' => text.push(code(chars, 2)?),
        'u' => text.push(code(chars, 4)?),
        'U' => text.push(code(chars, 8)?),
        c @ ('\\' | '\'' | '"') => text.push(c),
        other => text.extend(['\\', other]),
    }
    Some(())
}
