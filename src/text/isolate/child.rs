//! The child: it does what it is asked for, for as long as somebody asks.

use std::borrow::Cow;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use jiff::Zoned;

use super::part::Part;
use super::system;
use super::wire::{Answer, Frame, Opening, Request, Shape, VERSION, receive, send};
use crate::data::Prompt;
use crate::model::{Given, ModelFiles};
use crate::text::encode::{cut_pair, write_pair};
use crate::text::{Chat, Encoder, Rendered, TextError, chat, moment};

/// Stack of the threads that work, in bytes; a template gets a thread of its own.
const STACK: u64 = 64 << 20;
/// What the allocator reserves for a thread.
const RESERVED: u64 = 256 << 20;

static ENCODER: OnceLock<Encoder> = OnceLock::new();

/// Be the child: read requests from standard input until it ends, answer on standard output. Returns
/// the exit code.
pub fn serve() -> u8 {
    match work() {
        Ok(()) => 0,
        Err(error) => {
            let _ = writeln!(io::stderr(), "this command reads what confide itself sends: {error}");
            1
        }
    }
}

fn work() -> io::Result<()> {
    let threads = rayon::ThreadPoolBuilder::new().stack_size(STACK as usize);
    threads.thread_name(|_| "tokenizer".to_owned()).build_global().map_err(io::Error::other)?;
    tell(0, &Answer::Hello(VERSION.to_owned()), &[]);
    // Nothing that a stranger wrote is touched on this thread, so that it always hears the end.
    let mut input = io::stdin().lock();
    let mut first = Frame::default();
    if !receive(&mut input, u64::MAX, &mut first)? {
        return Ok(());
    }
    let Request::Load(opening) = first.read::<Request<'static>>()? else {
        return Err(io::Error::other("expected a tokenizer first"));
    };
    let now = moment::from_text(&opening.now).map_err(io::Error::other)?;
    // However many times the limits are asked for: more than this, systems refuse a thread.
    let stack = opening.stack.min(4 << 30);
    chat::set_stack(stack as usize);
    let stacks = (1 + rayon::current_num_threads() as u64) * (STACK + stack + 2 * RESERVED);
    system::confine(opening.memory, stacks);
    rayon::spawn(move || {
        let begins = |part| tell(first.id, &Answer::Begins(part), &[]);
        let answer = match load(opening, first.tail, now, &begins) {
            Ok(encoder) => Answer::Loaded(ENCODER.get_or_init(|| encoder).facts()),
            Err(error) => Answer::Failed(error),
        };
        tell(first.id, &answer, &[]);
    });
    loop {
        let mut frame = Frame::default();
        if !receive(&mut input, u64::MAX, &mut frame)? {
            return Ok(());
        }
        rayon::spawn(move || answer(&frame));
    }
}

fn load(
    opening: Opening,
    bytes: Vec<u8>,
    now: Zoned,
    begins: &dyn Fn(Part),
) -> Result<Encoder, TextError> {
    let mut at = 0;
    let mut next = |length: usize| {
        at += length;
        at - length..at
    };
    let file = |(name, path, length): (String, String, usize)| (name, path.into(), next(length));
    let files = opening.files.into_iter().map(file).collect();
    let template = opening.template.map(|(path, length)| (path, next(length)));
    let own = template.map(|(path, range)| (PathBuf::from(path), bytes[range].to_vec()));
    let files = ModelFiles::given(Given {
        name: opening.name,
        folder: opening.folder.into(),
        listed: opening.listed,
        files,
        bytes: Arc::new(bytes),
    });
    let Opening { style, words, .. } = opening;
    Encoder::of(&files, &Chat { style, template: None, words, now }, own, begins)
}

fn answer(frame: &Frame) {
    let request = frame.read::<Request<'static>>();
    let (Ok(request), Some(encoder)) = (request, ENCODER.get()) else { std::process::exit(1) };
    let mut ids = Vec::new();
    let answer = match request {
        Request::Pairs(pairs) => Ok(Answer::Pairs(encode(encoder, frame.id, &pairs, &mut ids))),
        Request::Render { messages, add_generation_prompt } => match encoder.template() {
            Some(template) => template.render(&messages, add_generation_prompt).map(Answer::Text),
            None => std::process::exit(1),
        },
        Request::Encode { text, around } => {
            encoder.tokenizer.encode_as(&text, around).map(Answer::Ids)
        }
        Request::Decode(ids) => encoder.tokenizer.decode(&ids).map(Answer::Text),
        Request::Load(_) => std::process::exit(1),
    };
    let answer = answer.unwrap_or_else(Answer::Failed);
    tell(frame.id, &answer, &[bytemuck::cast_slice(&ids)]);
}

/// All texts are written before the first one is cut into tokens, so that it can be told what works.
fn encode(
    encoder: &Encoder,
    id: u32,
    pairs: &[(Cow<'static, Prompt>, Cow<'static, [String; 2]>)],
    ids: &mut Vec<u32>,
) -> Vec<Result<Shape, TextError>> {
    let pairs = pairs.iter();
    let written: Vec<_> =
        pairs.map(|(prompt, responses)| write_pair(encoder, prompt, responses)).collect();
    if encoder.template().is_some() {
        tell(id, &Answer::Begins(Part::Tokenizer), &[]);
    }
    let mut cut = |written: Result<[Rendered; 3], TextError>| -> Result<Shape, TextError> {
        let pair = cut_pair(encoder, 0, &written?)?;
        let [first, second] = &pair.sides;
        let parts = [&*first.prompt, &first.response, &second.response];
        parts.iter().for_each(|part| ids.extend_from_slice(part));
        let [prompt, first, second] = parts.map(|part| part.len() as u32);
        Ok((prompt, first, second, pair.merged))
    };
    written.into_iter().map(&mut cut).collect()
}

/// Say something to the parent; without one there is nothing left to do.
fn tell(id: u32, answer: &Answer, tail: &[&[u8]]) {
    if send(&mut io::stdout().lock(), id, answer, tail).is_err() {
        std::process::exit(1);
    }
}
