//! One file from the hub into its blob, going on where an earlier attempt stopped.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use ureq::RequestBuilder;
use ureq::http::HeaderMap;
use ureq::typestate::WithoutBody;

use super::HubError;
use super::remote::{Details, Refusal, Remote, header};

/// How often the caller is asked whether to go on while nothing arrives.
const PULSE: Duration = Duration::from_millis(100);
/// Pause before the first new attempt; it doubles while nothing arrives.
const PAUSE: Duration = Duration::from_millis(250);
/// Attempts in a row that bring no byte before the connection is given up.
const ATTEMPTS: u32 = 5;
/// Bytes read at a time.
const PIECE: usize = 256 << 10;
/// Pieces that may wait for the disk.
const WAITING: usize = 4;

/// A file to be fetched.
pub(super) struct Target<'a> {
    pub(super) commit: &'a str,
    pub(super) file: &'a str,
    pub(super) details: &'a Details,
    pub(super) blob: PathBuf,
    pub(super) lock: PathBuf,
}

/// Why a file did not arrive in one go.
enum Stop {
    /// The connection failed: another attempt may succeed.
    Again(String),
    /// What is on disk cannot be continued: start over.
    Afresh(String),
    /// Another attempt would end the same way.
    Final(HubError),
}

/// What the reading thread hands over.
enum Piece {
    Head(u16, Box<HeaderMap>),
    Bytes(Vec<u8>),
    End,
    Failed(String),
}

/// Told how many bytes of the file there are; `false` cancels.
pub(super) type Report<'a> = dyn FnMut(u64) -> bool + 'a;

/// The file beside a blob that holds as much of it as has come.
pub(super) fn incomplete(blob: &Path) -> PathBuf {
    let mut path = blob.as_os_str().to_owned();
    path.push(".incomplete");
    path.into()
}

/// Whether a file is there with the size that it should have.
pub(super) fn is_there(path: &Path, size: u64) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.len() == size)
}

/// Fetch a file into its blob.
///
/// What comes back is the lock, to be held until the blob has its name in the snapshot.
pub(super) fn fetch(
    remote: &Remote<'_>,
    target: &Target<'_>,
    cancelled: &dyn Fn() -> HubError,
    report: &mut Report<'_>,
) -> Result<File, HubError> {
    for folder in [&target.blob, &target.lock].into_iter().filter_map(|path| path.parent()) {
        std::fs::create_dir_all(folder).map_err(HubError::io(folder))?;
    }
    let lock = lock(target, cancelled, report)?;
    if is_there(&target.blob, target.details.size) {
        return Ok(lock);
    }
    let resumed = incomplete(&target.blob).metadata().is_ok_and(|part| part.len() > 0);
    match fill(remote, target, cancelled, report) {
        // What another attempt or program had left may be at fault, and is gone now.
        Err(HubError::Damaged { .. }) if resumed => fill(remote, target, cancelled, report),
        done => done,
    }
    .map(|()| lock)
}

/// Fetch what is missing of a file, with new attempts while they bring something.
fn fill(
    remote: &Remote<'_>,
    target: &Target<'_>,
    cancelled: &dyn Fn() -> HubError,
    report: &mut Report<'_>,
) -> Result<(), HubError> {
    let size = target.details.size;
    let mut part = Part::open(target, cancelled, report)?;
    let mut attempts = 0;
    while part.length < size {
        let before = part.length;
        let request = remote.file(target.commit, target.file, before);
        let reason = match stream(remote, request, target, &mut part, cancelled, report) {
            Ok(()) => format!("the connection ended after {} of {size} bytes", part.length),
            Err(Stop::Again(reason)) => reason,
            Err(Stop::Afresh(reason)) => {
                part.clear()?;
                reason
            }
            Err(Stop::Final(error)) => return Err(error),
        };
        if part.length == size {
            break;
        }
        attempts = if part.length > before { 1 } else { attempts + 1 };
        if attempts >= ATTEMPTS {
            return Err(remote.unreachable(target.file, &reason));
        }
        pause(PAUSE * (1 << (attempts - 1)), part.length, cancelled, report)?;
    }
    part.finish(target)
}

/// Wait for other programs that fetch the same file, and show their progress meanwhile.
fn lock(
    target: &Target<'_>,
    cancelled: &dyn Fn() -> HubError,
    report: &mut Report<'_>,
) -> Result<File, HubError> {
    let file = OpenOptions::new().create(true).write(true).truncate(false).open(&target.lock);
    let file = file.map_err(HubError::io(&target.lock))?;
    let part = incomplete(&target.blob);
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let length = part.metadata().map_or(0, |found| found.len());
                pause(PULSE, length, cancelled, report)?;
            }
            // Some network drives know no locks; the hash still guards the result.
            Ok(()) | Err(TryLockError::Error(_)) => return Ok(file),
        }
    }
}

/// Sleep, but hear a cancellation.
fn pause(
    length: Duration,
    bytes: u64,
    cancelled: &dyn Fn() -> HubError,
    report: &mut Report<'_>,
) -> Result<(), HubError> {
    let end = Instant::now() + length;
    loop {
        if !report(bytes) {
            return Err(cancelled());
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(PULSE));
    }
}

/// Append what one request brings.
fn stream(
    remote: &Remote<'_>,
    request: RequestBuilder<WithoutBody>,
    target: &Target<'_>,
    part: &mut Part,
    cancelled: &dyn Fn() -> HubError,
    report: &mut Report<'_>,
) -> Result<(), Stop> {
    let pieces = read_elsewhere(request).map_err(Stop::Final)?;
    loop {
        if !report(part.length) {
            return Err(Stop::Final(cancelled()));
        }
        match pieces.recv_timeout(PULSE) {
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) | Ok(Piece::End) => return Ok(()),
            Ok(Piece::Failed(reason)) => return Err(Stop::Again(reason)),
            Ok(Piece::Head(status, headers)) => check(remote, status, &headers, target, part)?,
            Ok(Piece::Bytes(bytes)) => part.append(&bytes, target)?,
        }
    }
}

/// Run a request on a thread of its own, so that a silent connection can be left.
///
/// The thread ends by itself: when nobody receives, or when the connection times out.
fn read_elsewhere(request: RequestBuilder<WithoutBody>) -> Result<Receiver<Piece>, HubError> {
    let (sender, receiver) = sync_channel(WAITING);
    std::thread::Builder::new()
        .name("hub".to_owned())
        .spawn(move || {
            let last = match read(request, &sender) {
                Ok(()) => Piece::End,
                Err(reason) => Piece::Failed(reason),
            };
            // Nobody receives after a cancellation, and nothing is left to be said then.
            let _ = sender.send(last);
        })
        .map_err(HubError::io(Path::new("a thread for the download")))?;
    Ok(receiver)
}

fn read(request: RequestBuilder<WithoutBody>, to: &SyncSender<Piece>) -> Result<(), String> {
    let answer = request.call().map_err(|e| e.to_string())?;
    let (head, body) = answer.into_parts();
    let head = Piece::Head(head.status.as_u16(), Box::new(head.headers));
    if to.send(head).is_err() {
        return Ok(());
    }
    let mut reader = body.into_reader();
    loop {
        let mut bytes = vec![0; PIECE];
        let count = match reader.read(&mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            Err(e) => return Err(e.to_string()),
        };
        bytes.truncate(count);
        if to.send(Piece::Bytes(bytes)).is_err() {
            return Ok(());
        }
    }
}

/// Whether an answer's body continues what is on disk; prepares the part for it.
fn check(
    remote: &Remote<'_>,
    status: u16,
    headers: &HeaderMap,
    target: &Target<'_>,
    part: &mut Part,
) -> Result<(), Stop> {
    let size = target.details.size;
    let announced = match status {
        200 => {
            // The whole file, whatever was asked for.
            part.clear().map_err(Stop::Final)?;
            header(headers, "content-length").and_then(|length| length.parse().ok())
        }
        206 => {
            let (start, total) = range(header(headers, "content-range").unwrap_or_default())
                .ok_or_else(|| Stop::Again("a part of the file without its place".to_owned()))?;
            if start != part.length {
                return Err(Stop::Afresh(format!("asked from byte {}, got {start}", part.length)));
            }
            total
        }
        416 => return Err(Stop::Afresh("the hub cannot continue the file".to_owned())),
        408 | 429 | 500.. => {
            return Err(Stop::Again(format!("the hub answers {status} (busy or out of order)")));
        }
        _ => return Err(Stop::Final(remote.refused(&Refusal::new(status, headers)))),
    };
    if announced.is_some_and(|announced: u64| announced != size) {
        part.clear().map_err(Stop::Final)?;
        return Err(Stop::Final(HubError::Damaged {
            file: target.file.to_owned(),
            found: format!("the server sends {} bytes", announced.unwrap_or_default()),
            expected: format!("{size} bytes, as the hub lists it"),
        }));
    }
    Ok(())
}

/// Start and total of `bytes START-END/TOTAL`, where the total may be unknown.
fn range(header: &str) -> Option<(u64, Option<u64>)> {
    let (span, total) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = span.split_once('-')?;
    Some((start.trim().parse().ok()?, total.trim().parse().ok()))
}

/// A file that is not complete yet.
struct Part {
    path: PathBuf,
    file: File,
    length: u64,
    /// Kept only where the hub tells what it should come to.
    hash: Option<Sha256>,
}

impl Part {
    /// Open what an earlier attempt left, or an empty file.
    fn open(
        target: &Target<'_>,
        cancelled: &dyn Fn() -> HubError,
        report: &mut Report<'_>,
    ) -> Result<Self, HubError> {
        let path = incomplete(&target.blob);
        // Not in append mode, in which Windows refuses to shorten a file.
        let file =
            OpenOptions::new().create(true).read(true).write(true).truncate(false).open(&path);
        let file = file.map_err(HubError::io(&path))?;
        let length = file.metadata().map_err(HubError::io(&path))?.len();
        let hash = target.details.sha256.as_ref().map(|_| Sha256::new());
        let mut part = Self { path, file, length, hash };
        if length > target.details.size {
            part.clear()?;
        }
        part.hash_what_is_there(cancelled, report)?;
        part.file.seek(SeekFrom::End(0)).map_err(HubError::io(&part.path))?;
        Ok(part)
    }

    fn hash_what_is_there(
        &mut self,
        cancelled: &dyn Fn() -> HubError,
        report: &mut Report<'_>,
    ) -> Result<(), HubError> {
        let Some(hash) = &mut self.hash else { return Ok(()) };
        let mut bytes = vec![0; PIECE];
        loop {
            // Gigabytes take their time to be read again.
            if !report(self.length) {
                return Err(cancelled());
            }
            match self.file.read(&mut bytes) {
                Ok(0) => return Ok(()),
                Ok(count) => hash.update(&bytes[..count]),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(HubError::io(&self.path)(e)),
            }
        }
    }

    /// Forget everything that has come.
    fn clear(&mut self) -> Result<(), HubError> {
        self.file.set_len(0).map_err(HubError::io(&self.path))?;
        self.file.rewind().map_err(HubError::io(&self.path))?;
        self.length = 0;
        self.hash = self.hash.take().map(|_| Sha256::new());
        Ok(())
    }

    fn append(&mut self, bytes: &[u8], target: &Target<'_>) -> Result<(), Stop> {
        let size = target.details.size;
        if self.length + bytes.len() as u64 > size {
            self.clear().map_err(Stop::Final)?;
            return Err(Stop::Final(HubError::Damaged {
                file: target.file.to_owned(),
                found: "the server sends more bytes".to_owned(),
                expected: format!("{size} bytes, as the hub lists it"),
            }));
        }
        self.check_length().map_err(Stop::Final)?;
        self.file.write_all(bytes).map_err(|e| Stop::Final(HubError::io(&self.path)(e)))?;
        self.length += bytes.len() as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        Ok(())
    }

    /// Whether the file is as long as what was written to it.
    ///
    /// On cluster file systems a lock may be granted to everyone, and two programs that
    /// append to one file would leave it with the right parts in the wrong order.
    fn check_length(&self) -> Result<(), HubError> {
        let found = self.file.metadata().map_err(HubError::io(&self.path))?.len();
        if found == self.length {
            return Ok(());
        }
        Err(HubError::Busy { path: self.path.clone(), found, expected: self.length })
    }

    /// Check the content and give it its place.
    fn finish(mut self, target: &Target<'_>) -> Result<(), HubError> {
        self.check_length()?;
        let found = self.hash.take().map(|hash| crate::files::hex(&hash.finalize()));
        if found != target.details.sha256 {
            drop(self.file);
            std::fs::remove_file(&self.path).map_err(HubError::io(&self.path))?;
            return Err(HubError::Damaged {
                file: target.file.to_owned(),
                found: format!("its SHA-256 is {}", found.unwrap_or_default()),
                expected: format!("{}, as the hub lists it", target.details.hash),
            });
        }
        // Otherwise a power cut could leave a blob with its full name and no content.
        self.file.sync_all().map_err(HubError::io(&self.path))?;
        drop(self.file);
        std::fs::rename(&self.path, &target.blob).map_err(HubError::io(&target.blob))
    }
}
