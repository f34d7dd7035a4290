//! Text that others wrote, made fit for a terminal, a log line or a message.
//!
//! Data, file names and the settings of models end up in messages. Printed as they are, they could
//! move the cursor, recolour or retitle the terminal, turn the direction of what follows, or fill
//! the screen.

use std::borrow::Cow;
use std::fmt::{Display, Write};

/// Characters of a value that a message quotes.
const QUOTED: usize = 200;
/// Bytes of a whole message.
const MESSAGE: usize = 4000;

/// What a terminal obeys in place of showing it: control characters, and those that override or
/// isolate the direction of text.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}

fn escaped(text: &str, obeyed: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&obeyed) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if obeyed(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    Cow::Owned(out)
}

/// Text of any number of lines with what a terminal would obey made visible, as `\u{1b}`; line ends
/// and tabs stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_obeyed(c) && c != '\n' && c != '\t')
}

/// As [`lines`], line ends and tabs made visible too.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_obeyed)
}

/// The beginning of a message, where it is long, with how much more there is.
pub fn cut(text: &str) -> Cow<'_, str> {
    if text.len() <= MESSAGE {
        return Cow::Borrowed(text);
    }
    let end = text.floor_char_boundary(MESSAGE);
    Cow::Owned(format!("{}… ({} more bytes)", &text[..end], text.len() - end))
}

/// A message as it may leave the program: [`cut`], and [`lines`].
pub fn message(text: &str) -> String {
    lines(&cut(text)).into_owned()
}

/// A found value for a message, on one line and no longer than a person reads.
pub fn quoted(value: impl Display) -> String {
    let mut taken = Taken { text: String::new(), room: QUOTED, left: 0 };
    let _ = write!(taken, "{value}");
    let mut text = line(&taken.text).into_owned();
    if taken.left > 0 {
        let _ = write!(text, "… ({} more bytes)", taken.left);
    }
    text
}

/// The beginning of what is written, without the memory for all of it.
struct Taken {
    text: String,
    /// Characters that still fit.
    room: usize,
    /// Bytes that did not.
    left: usize,
}

impl Write for Taken {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = text.char_indices().nth(self.room).map_or(text.len(), |(end, _)| end);
        self.text.push_str(&text[..end]);
        self.room -= text[..end].chars().count();
        self.left += text.len() - end;
        Ok(())
    }
}
