//! The parent's hold of a child.

use std::borrow::Cow;
use std::io::{self, BufReader, Error, ErrorKind, Read};
use std::ops::Range;
use std::path::PathBuf;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::isolation::{COMMAND, FACTOR, Isolation, Limits};
use super::part::Part;
use super::system;
use super::watch::{Cause, Watch};
use super::wire::{Answer, Frame, Opening, Request, VERSION, receive, send};
use crate::batch::Sequence;
use crate::data::{Message, Pair};
use crate::model::{Bytes, ModelFiles};
use crate::text::chat::{TEMPLATE_FILE, THREAD};
use crate::text::encoded::{EachPair, EncodedPair};
use crate::text::error::TextError;
use crate::text::facts::EncoderFacts;
use crate::text::inner::{Around, TOKENIZER_FILE};
use crate::text::moment;
use crate::text::style::Chat;

/// The files that tokenizers and chat templates are made of.
const FILES: [&str; 9] = [
    TOKENIZER_FILE,
    TEMPLATE_FILE,
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
];

/// Seconds of work until the program runs; it may wait ten times as long for a slow disk.
const START: f64 = 6.0;
/// Bytes of files that are read in the time of one byte of text.
const FILE_BYTES: usize = 20;
/// Bytes of text in one request for pairs, and pairs where a template writes them, which takes
/// longer: enough of it to be busy for some milliseconds.
const CHUNK: usize = 128 << 10;
const CHUNK_RENDERED: usize = 16;
/// Bytes of the longest answer, and how many more for each byte that was asked.
const ANSWER: u64 = 16 << 20;
const ANSWER_BYTES: u64 = 256;
/// Bytes of a child's last words that are kept.
const WORDS: u64 = 4096;

/// A tokenizer and a chat template in a process of their own. One that has ended, whatever for, is
/// started again when it is next asked for something.
pub(in crate::text) struct Apart {
    isolation: Isolation,
    files: ModelFiles,
    chat: Chat,
    /// What the first one said of itself.
    facts: EncoderFacts,
    /// For messages.
    path: PathBuf,
    live: Mutex<Option<Live>>,
}

impl std::fmt::Debug for Apart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Apart").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Pairs of one request, and their bytes.
type Chunk = (Range<usize>, usize);

/// What one process is asked, and at which part it begins.
struct Asked<'a> {
    request: Request<'a>,
    part: Part,
    /// Of text.
    bytes: usize,
}

impl Apart {
    /// Load the tokenizer and the chat template of a model.
    ///
    /// # Errors
    ///
    /// A file is damaged, the process does not start, or it takes more than it may.
    pub(in crate::text) fn open(
        files: &ModelFiles,
        chat: &Chat,
        isolation: Isolation,
    ) -> Result<(Arc<Self>, EncoderFacts), TextError> {
        let path = match files.bytes(TOKENIZER_FILE)? {
            None if files.bytes("vocab.json")?.is_some() => files.path("vocab.json"),
            _ => files.path(TOKENIZER_FILE),
        };
        let template = match &chat.template {
            Some(own) => own.clone(),
            None if files.bytes(TEMPLATE_FILE)?.is_some() => files.path(TEMPLATE_FILE),
            None => files.path("tokenizer_config.json"),
        };
        let (live, facts) = Live::open(files, chat, &isolation, [&path, &template])?;
        let apart = Self {
            isolation,
            files: files.clone(),
            chat: chat.clone(),
            facts: facts.clone(),
            path,
            live: Mutex::new(Some(live)),
        };
        Ok((Arc::new(apart), facts))
    }

    /// The number of the process, if there is one.
    pub(in crate::text) fn id(&self) -> Option<u32> {
        let place = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        place.as_ref().map(|live| live.watch.id())
    }

    /// A conversation by the chat template.
    ///
    /// # Errors
    ///
    /// The template's; it takes more than it may.
    pub(in crate::text) fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, TextError> {
        let beside = |m: &Message| m.fields.iter().map(|(_, json)| json.len()).sum::<usize>();
        let bytes = messages.iter().map(|m| m.content.len() + beside(m)).sum();
        let request = Request::Render { messages: messages.into(), add_generation_prompt };
        self.text(&Asked { request, part: Part::Template, bytes })
    }

    /// The ids of a text.
    ///
    /// # Errors
    ///
    /// The tokenizer's; it takes more than it may.
    pub(in crate::text) fn encode(
        &self,
        text: &str,
        around: Around,
    ) -> Result<Vec<u32>, TextError> {
        let request = Request::Encode { text: text.into(), around };
        match self.ask(&Asked { request, part: Part::Tokenizer, bytes: text.len() })? {
            Answer::Ids(ids) => Ok(ids),
            _ => Err(self.confused()),
        }
    }

    /// The text of ids.
    ///
    /// # Errors
    ///
    /// The tokenizer's; it takes more than it may.
    pub(in crate::text) fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        let (request, bytes) = (Request::Decode(ids.into()), 4 * ids.len());
        self.text(&Asked { request, part: Part::Tokenizer, bytes })
    }

    /// Chosen pairs as tokens, in the order asked for; many of them are on their way at once.
    ///
    /// # Errors
    ///
    /// Tokenizer or template take more than they may.
    pub(in crate::text) fn pairs(
        &self,
        pairs: &[Pair],
        indexes: &[usize],
    ) -> Result<EachPair, TextError> {
        let template = self.facts.template.is_some();
        let most = if template { CHUNK_RENDERED } else { usize::MAX };
        let part = if template { Part::Template } else { Part::Tokenizer };
        self.with(|live, limits| live.pairs(pairs, indexes, (most, part), limits))
    }

    fn text(&self, asked: &Asked<'_>) -> Result<String, TextError> {
        match self.ask(asked)? {
            Answer::Text(text) => Ok(text),
            _ => Err(self.confused()),
        }
    }

    fn ask(&self, asked: &Asked<'_>) -> Result<Answer, TextError> {
        match self.with(|live, limits| live.ask(asked, &[], limits))? {
            Answer::Failed(error) => Err(error),
            answer => Ok(answer),
        }
    }

    /// Do something with a process that lives; one that fails is gone.
    fn with<T>(
        &self,
        work: impl FnOnce(&mut Live, &Limits) -> io::Result<T>,
    ) -> Result<T, TextError> {
        let mut place = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        self.revive(&mut place)?;
        let Some(live) = place.as_mut() else { return Err(self.confused()) };
        match work(live, &self.isolation.limits) {
            Ok(outcome) => Ok(outcome),
            Err(error) => {
                let template = self.facts.template.as_ref().map(|(path, _)| path);
                let paths = [&self.path, template.unwrap_or(&self.path)];
                let told = live.told(&error, &self.isolation, paths);
                *place = None;
                Err(told)
            }
        }
    }

    /// Start another process in place of one that has ended since it was last asked.
    fn revive(&self, place: &mut Option<Live>) -> Result<(), TextError> {
        if place.as_ref().is_some_and(|live| !live.watch.has_ended()) {
            return Ok(());
        }
        *place = None;
        let paths = [&self.path, &self.path];
        let (live, facts) = Live::open(&self.files, &self.chat, &self.isolation, paths)?;
        if facts != self.facts {
            let found = "the tokenizer, or the chat template, was changed while it was in use; begin again with files that stay".to_owned();
            return Err(TextError::Exceeded { path: self.path.clone(), found });
        }
        *place = Some(live);
        Ok(())
    }

    fn confused(&self) -> TextError {
        let found = "the process of the tokenizer answered something else than it was asked";
        TextError::Exceeded { path: self.path.clone(), found: found.to_owned() }
    }
}

/// A process.
struct Live {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    watch: Arc<Watch>,
    /// What it says beside its answers.
    words: Option<JoinHandle<String>>,
    watcher: Option<JoinHandle<()>>,
    /// The number of the next request.
    next: u32,
}

impl Live {
    /// Start a process and load a tokenizer there; `paths` are those of the tokenizer and of the
    /// template, for messages.
    fn open(
        files: &ModelFiles,
        chat: &Chat,
        isolation: &Isolation,
        paths: [&PathBuf; 2],
    ) -> Result<(Self, EncoderFacts), TextError> {
        let own = chat.own_template()?;
        let mut found: Vec<(String, String, Bytes)> = Vec::new();
        for name in FILES {
            if let Some(bytes) = files.bytes(name)? {
                found.push((name.to_owned(), shown(files.path(name)), bytes));
            }
        }
        let opening = Opening {
            name: files.name(),
            folder: shown(files.base().path("")),
            listed: files.list(),
            files: found
                .iter()
                .map(|(name, path, b)| (name.clone(), path.clone(), b.len()))
                .collect(),
            template: own.as_ref().map(|(path, bytes)| (shown(path.clone()), bytes.len())),
            style: chat.style,
            words: chat.words,
            now: moment::to_text(&chat.now),
            memory: isolation.limits.memory,
            stack: isolation.limits.stack,
        };
        let own = own.as_ref().map(|(_, bytes)| bytes.as_slice());
        let tail: Vec<&[u8]> = found.iter().map(|(.., bytes)| &**bytes).chain(own).collect();
        let bytes = tail.iter().map(|part| part.len()).sum::<usize>() / FILE_BYTES;
        let asked = Asked { request: Request::Load(opening), part: Part::Tokenizer, bytes };

        let mut live = Self::start(isolation)?;
        match live.ask(&asked, &tail, &isolation.limits) {
            Ok(Answer::Loaded(facts)) => Ok((live, facts)),
            Ok(Answer::Failed(error)) => Err(error),
            Ok(_) => Err(live.told(&Error::from(ErrorKind::InvalidData), isolation, paths)),
            Err(error) => Err(live.told(&error, isolation, paths)),
        }
    }

    fn start(isolation: &Isolation) -> Result<Self, TextError> {
        let program = isolation.program.display();
        let failed = |e: Error| TextError::Process {
            found: format!(
                "{program}: {e}; tokenizers and chat templates run in a process of this program: is it still there, and is there memory for it?"
            ),
        };
        let mut command = Command::new(&isolation.program);
        command.arg(COMMAND);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        system::set_apart(&mut command);
        let mut child = command.spawn().map_err(failed)?;
        let (input, output, said) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (watch, watcher) = Watch::over(child, isolation.limits.memory).map_err(failed)?;
        let (Some(input), Some(output), Some(mut said)) = (input, output, said) else {
            watch.close();
            return Err(failed(ErrorKind::BrokenPipe.into()));
        };
        let listen = move || {
            let mut words = Vec::new();
            let _ = said.by_ref().take(WORDS).read_to_end(&mut words);
            let _ = io::copy(&mut said, &mut io::sink());
            String::from_utf8_lossy(&words).into_owned()
        };
        let words = std::thread::Builder::new().spawn(listen).ok();
        let output = BufReader::with_capacity(1 << 16, output);
        let watcher = Some(watcher);
        let mut live = Self { input, output, watch, words, watcher, next: 1 };
        let allowed = Duration::from_secs_f64(START.max(isolation.limits.seconds));
        live.watch.begin(0, allowed, Part::Start);
        let hello = live.answer(0, ANSWER);
        live.watch.done(0);
        match hello {
            Ok(Answer::Hello(version)) if version == VERSION => Ok(live),
            Ok(_) => Err(TextError::Process {
                found: format!(
                    "{program} was replaced by another version while it ran; start it again"
                ),
            }),
            Err(error) => Err(live.told(&error, isolation, [&isolation.program; 2])),
        }
    }

    /// Ask for one thing and wait for it.
    fn ask(&mut self, asked: &Asked<'_>, tail: &[&[u8]], limits: &Limits) -> io::Result<Answer> {
        let id = self.number();
        self.watch.begin(id, allowed(limits, asked.bytes), asked.part);
        send(&mut self.input, id, &asked.request, tail)?;
        let answer = self.answer(id, ANSWER + ANSWER_BYTES * asked.bytes as u64);
        self.watch.done(id);
        answer
    }

    fn number(&mut self) -> u32 {
        self.next = self.next.wrapping_add(1);
        self.next - 1
    }

    fn answer(&mut self, id: u32, most: u64) -> io::Result<Answer> {
        let mut frame = Frame::default();
        let answer = hear(&mut self.output, &self.watch, most, &mut frame)?;
        if frame.id == id { Ok(answer) } else { Err(ErrorKind::InvalidData.into()) }
    }

    fn pairs(
        &mut self,
        pairs: &[Pair],
        indexes: &[usize],
        (most, part): (usize, Part),
        limits: &Limits,
    ) -> io::Result<EachPair> {
        let chunks = chunks(pairs, indexes, most);
        let ids: Vec<u32> = chunks.iter().map(|_| self.number()).collect();
        let at_once = 2 * rayon::current_num_threads() + 2;
        let Self { input, output, watch, .. } = self;
        let (chunks, ids) = (chunks.as_slice(), ids.as_slice());
        std::thread::scope(|scope| {
            let (permit, permits) = sync_channel(at_once);
            let own = watch.clone();
            let write = move || {
                let under_way = |k: usize| chunks[k.saturating_sub(at_once)..=k].iter();
                for (k, (range, _)) in chunks.iter().enumerate() {
                    if permit.send(()).is_err() {
                        break;
                    }
                    let ahead = under_way(k).map(|(_, bytes)| bytes).sum();
                    own.begin(ids[k], allowed(limits, ahead), part);
                    let pair = |&i: &usize| {
                        (Cow::Borrowed(&pairs[i].prompt), Cow::Borrowed(&pairs[i].responses))
                    };
                    let chosen = indexes[range.clone()].iter().map(pair).collect();
                    send(input, ids[k], &Request::Pairs(chosen), &[])?;
                }
                Ok(())
            };
            let writer = scope.spawn(write);
            let found = gather(output, watch, (indexes, chunks, ids), &permits);
            if found.is_err() {
                // Nobody waits for what is still being written.
                watch.kill();
            }
            drop(permits);
            let written: io::Result<()> =
                writer.join().unwrap_or_else(|_| Err(ErrorKind::Other.into()));
            let found = found?;
            written.map(|()| found)
        })
    }

    /// Why a process has failed.
    fn told(&mut self, error: &Error, isolation: &Isolation, paths: [&PathBuf; 2]) -> TextError {
        if error.kind() == ErrorKind::FileTooLarge {
            self.watch.too_much();
        }
        let at_work = self.watch.at_work();
        let status = self.watch.end();
        let words = self.words.take().and_then(|words| words.join().ok()).unwrap_or_default();
        let cause = self.watch.cause();
        explain(cause, at_work, status, &words, isolation, paths)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.watch.close();
        let words = self.words.take().map(|words| words.join().map(drop));
        let _ = (words, self.watcher.take().map(JoinHandle::join));
    }
}

/// How long a request may take for which so many bytes are read.
fn allowed(limits: &Limits, bytes: usize) -> Duration {
    let mib = bytes as f64 / f64::from(1 << 20);
    Duration::from_secs_f64((limits.seconds + limits.seconds_per_mib * mib).min(1e9))
}

/// A path as it is written in messages.
fn shown(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap_or_else(|path| path.to_string_lossy().into_owned())
}

/// Stretches of the pairs that are asked for at once, with the bytes of their text.
fn chunks(pairs: &[Pair], indexes: &[usize], most: usize) -> Vec<Chunk> {
    let mut chunks = Vec::new();
    let (mut begin, mut bytes) = (0, 0);
    for (at, &i) in indexes.iter().enumerate() {
        let pair = &pairs[i];
        bytes += pair.prompt.bytes() + pair.responses.iter().map(String::len).sum::<usize>();
        if bytes >= CHUNK || at + 1 - begin >= most || at + 1 == indexes.len() {
            chunks.push((begin..at + 1, bytes));
            (begin, bytes) = (at + 1, 0);
        }
    }
    chunks
}

/// The next answer; what is told of the way to it goes to the watch.
fn hear(
    output: &mut BufReader<ChildStdout>,
    watch: &Watch,
    most: u64,
    frame: &mut Frame,
) -> io::Result<Answer> {
    loop {
        if !receive(output, most, frame)? {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        match frame.read()? {
            Answer::Begins(part) => watch.at(frame.id, part),
            answer => return Ok(answer),
        }
    }
}

/// All pairs that are asked for, in their order, which is not that of the answers.
fn gather(
    output: &mut BufReader<ChildStdout>,
    watch: &Watch,
    (indexes, chunks, ids): (&[usize], &[Chunk], &[u32]),
    permits: &Receiver<()>,
) -> io::Result<EachPair> {
    let largest = chunks.iter().map(|(_, bytes)| *bytes as u64).max().unwrap_or(0);
    let mut found: Vec<Option<Vec<_>>> = chunks.iter().map(|_| None).collect();
    let mut frame = Frame::default();
    for _ in chunks {
        let answer = hear(output, watch, ANSWER + ANSWER_BYTES * largest, &mut frame)?;
        watch.done(frame.id);
        let _ = permits.try_recv();
        let place = frame.id.wrapping_sub(ids[0]) as usize;
        let wrong = || Error::from(ErrorKind::InvalidData);
        let (range, _) = chunks.get(place).ok_or_else(wrong)?;
        let Answer::Pairs(shapes) = answer else { return Err(wrong()) };
        let mut rest = frame.tail.as_slice();
        let mut take = |count: u32| {
            let (own, behind) = rest.split_at_checked(4 * count as usize).ok_or_else(wrong)?;
            rest = behind;
            let ids = own.chunks_exact(4).map(|b| u32::from_ne_bytes([b[0], b[1], b[2], b[3]]));
            Ok::<Vec<u32>, Error>(ids.collect())
        };
        let mut pairs = Vec::with_capacity(shapes.len());
        for (&pair, shape) in indexes[range.clone()].iter().zip(shapes) {
            pairs.push((
                pair,
                match shape {
                    Err(error) => Err(error),
                    Ok((prompt, first, second, merged)) => {
                        let prompt: Arc<[u32]> = take(prompt)?.into();
                        let side = |response| Sequence { prompt: prompt.clone(), response };
                        let sides = [side(take(first)?), side(take(second)?)];
                        Ok(EncodedPair { pair, sides, merged })
                    }
                },
            ));
        }
        if pairs.len() != range.len() {
            return Err(wrong());
        }
        found[place] = Some(pairs);
    }
    Ok(found.into_iter().flatten().flatten().collect())
}

/// What a process exceeded, by what, and what to try.
fn explain(
    cause: Option<Cause>,
    at_work: Option<Part>,
    status: Option<std::process::ExitStatus>,
    words: &str,
    isolation: &Isolation,
    [tokenizer, template]: [&PathBuf; 2],
) -> TextError {
    let overflowed = words.contains("has overflowed its stack");
    let renders = words.contains(&format!("'{THREAD}'"));
    let (part, found) = match cause {
        Some(Cause::Time(part, allowed)) => {
            (Some(part), format!("worked more than {:.1} s at one request", allowed.as_secs_f64()))
        }
        Some(Cause::Silence(part, waited)) => {
            (Some(part), format!("gave no answer for {:.0} s", waited.as_secs_f64()))
        }
        Some(Cause::Memory(part)) => (part, more_than(isolation.limits.memory)),
        Some(Cause::Answer(part)) => {
            (part, "makes more of a text than can be of use: its memory is exceeded".to_owned())
        }
        None if overflowed => {
            let part = if renders { Part::Template } else { Part::Tokenizer };
            (Some(part), "overflowed the stack".to_owned())
        }
        None if words.contains("memory allocation of") => {
            (at_work, more_than(isolation.limits.memory))
        }
        None => {
            let status = status.map_or("unknown".to_owned(), |status| status.to_string());
            let first = words.lines().find(|line| !line.trim().is_empty()).unwrap_or("no word");
            (at_work, format!("broke the process that it runs in ({status}: {first})"))
        }
    };
    let (path, who) = match part {
        Some(Part::Tokenizer) => (tokenizer, "the tokenizer".to_owned()),
        Some(Part::Template) => (template, "the chat template".to_owned()),
        Some(Part::Start) => (tokenizer, "the program that tokenizers run in".to_owned()),
        None if tokenizer == template => (tokenizer, "the tokenizer".to_owned()),
        None => {
            (tokenizer, format!("the tokenizer, or the chat template in {},", template.display()))
        }
    };
    let advice = match part {
        Some(Part::Template) => "try another data.chat_template, or data.chat = \"hh\"",
        _ => "try the tokenizer files that the model was published with",
    };
    let found = format!(
        "{who} {found} and was stopped; {advice}; the environment variable {FACTOR}, 1 unless it is set, multiplies the time, the memory and the stack that are allowed"
    );
    TextError::Exceeded { path: path.clone(), found }
}

fn more_than(memory: u64) -> String {
    format!("took more than {:.2} GiB of memory", memory as f64 / f64::from(1 << 30))
}
