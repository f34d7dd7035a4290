//! What the two processes say to each other: frames of a message and, behind it, bytes that need no
//! reading.

use std::borrow::Cow;
use std::io::{self, Error, ErrorKind, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::part::Part;
use crate::data::{Message, Prompt};
use crate::text::control_words::ControlWords;
use crate::text::error::TextError;
use crate::text::facts::EncoderFacts;
use crate::text::inner::Around;
use crate::text::style::ChatStyle;

/// Both are built together, and must be the same build of the same version.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What is asked of the child.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Request<'a> {
    /// The first of all; the files' bytes stand behind it.
    Load(Opening),
    Render {
        messages: Cow<'a, [Message]>,
        add_generation_prompt: bool,
    },
    Encode {
        text: Cow<'a, str>,
        around: Around,
    },
    Decode(Cow<'a, [u32]>),
    Pairs(Vec<(Cow<'a, Prompt>, Cow<'a, [String; 2]>)>),
}

/// A model's files, and how conversations are written.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Opening {
    /// Of the model.
    pub(super) name: String,
    /// Where its files would be.
    pub(super) folder: String,
    /// All files there.
    pub(super) listed: Vec<String>,
    /// Those that follow: name, path, length.
    pub(super) files: Vec<(String, String, usize)>,
    /// A template in place of the model's own, which follows last: path, length.
    pub(super) template: Option<(String, usize)>,
    pub(super) style: ChatStyle,
    pub(super) words: ControlWords,
    /// What templates take for the present time.
    pub(super) now: String,
    /// Bytes of memory that the child may take, and of the stack of a template.
    pub(super) memory: u64,
    pub(super) stack: u64,
}

/// What the child says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// The first of all: it runs, and is this version.
    Hello(String),
    /// What works from here on at a request that is not answered yet.
    Begins(Part),
    Loaded(EncoderFacts),
    Text(String),
    Ids(Vec<u32>),
    /// Each pair's share of the ids behind the message.
    Pairs(Vec<Result<Shape, TextError>>),
    Failed(TextError),
}

/// Tokens of a pair: of the prompt, of both responses, and whether the tokenizer merges across the
/// border.
pub(super) type Shape = (u32, u32, u32, bool);

/// Something said. One frame hears many things, so that its memory is used again.
#[derive(Default)]
pub(super) struct Frame {
    /// What it belongs to.
    pub(super) id: u32,
    message: Vec<u8>,
    /// The bytes behind the message.
    pub(super) tail: Vec<u8>,
}

/// The number of the request, and how long message and tail are.
const HEAD: usize = 4 + 8 + 8;

impl Frame {
    /// The message.
    ///
    /// # Errors
    ///
    /// It is none of this kind.
    pub(super) fn read<T: DeserializeOwned>(&self) -> io::Result<T> {
        rmp_serde::from_slice(&self.message).map_err(|e| Error::new(ErrorKind::InvalidData, e))
    }
}

/// Say something.
///
/// # Errors
///
/// Nobody listens.
pub(super) fn send(
    out: &mut dyn Write,
    id: u32,
    message: &impl Serialize,
    tail: &[&[u8]],
) -> io::Result<()> {
    let mut bytes = vec![0; HEAD];
    rmp_serde::encode::write_named(&mut bytes, message).map_err(Error::other)?;
    let length = (bytes.len() - HEAD) as u64;
    let behind = tail.iter().map(|part| part.len() as u64).sum::<u64>();
    bytes[..4].copy_from_slice(&id.to_le_bytes());
    bytes[4..12].copy_from_slice(&length.to_le_bytes());
    bytes[12..HEAD].copy_from_slice(&behind.to_le_bytes());
    out.write_all(&bytes)?;
    tail.iter().try_for_each(|part| out.write_all(part))?;
    out.flush()
}

/// Hear something of at most so many bytes; false once the other side is gone.
///
/// # Errors
///
/// The other side goes in the middle of it, or says more.
pub(super) fn receive(input: &mut dyn Read, most: u64, frame: &mut Frame) -> io::Result<bool> {
    let mut head = [0; HEAD];
    match input.read(&mut head)? {
        0 => return Ok(false),
        n => input.read_exact(&mut head[n..])?,
    }
    let [a, b, c, d, rest @ ..] = head;
    let number = |at: usize| rest[at..at + 8].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
    let (length, behind) = (number(0), number(8));
    if length.saturating_add(behind) > most {
        return Err(ErrorKind::FileTooLarge.into());
    }
    frame.id = u32::from_le_bytes([a, b, c, d]);
    for (bytes, length) in [(&mut frame.message, length), (&mut frame.tail, behind)] {
        bytes.clear();
        let found = (&mut *input).take(length).read_to_end(bytes)?;
        if found as u64 != length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(true)
}
