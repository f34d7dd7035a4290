//! A hub in miniature, which can be told to misbehave.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub(crate) type Files = Vec<(String, Vec<u8>)>;

/// A request as it came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) range: Option<u64>,
    pub(crate) token: Option<String>,
}

/// How the server misbehaves, and what it holds.
#[derive(Default)]
pub(crate) struct State {
    /// Commit and files of each branch or tag; commits are found too.
    pub(crate) revisions: HashMap<String, (String, Files)>,
    /// The requests so far.
    pub(crate) requests: Vec<Request>,
    /// Bytes of bodies sent, by path.
    pub(crate) sent: HashMap<String, usize>,
    /// Close the connection after so many bytes of a large file, so many times.
    pub(crate) cut: Option<(usize, usize)>,
    /// Say nothing more after so many bytes of a large file.
    pub(crate) stall: Option<usize>,
    /// Answer ranges with the whole file.
    pub(crate) ignore_range: bool,
    /// Flip a byte of large files.
    pub(crate) corrupt: bool,
    /// Announce and send large files so much longer (or shorter).
    pub(crate) stretch: isize,
    /// List names only, as old mirrors do.
    pub(crate) bare_listing: bool,
    /// Answer everything whose path holds the text with a status and an error code.
    pub(crate) refuse: Option<(&'static str, u16, &'static str)>,
    /// Replace the listing.
    pub(crate) listing: Option<Value>,
    /// Large files lie here, if not with this server.
    pub(crate) elsewhere: Option<String>,
}

pub(crate) struct Server {
    pub(crate) endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || while serve(&stream, &state).is_some() {});
            }
        });
        Self { endpoint, state }
    }

    pub(crate) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn publish(&self, branch: &str, commit: &str, files: Files) {
        self.state().revisions.insert(branch.to_owned(), (commit.to_owned(), files));
    }

    /// Requests since the last call.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().requests)
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a file is kept as a large one.
fn large(file: &str) -> bool {
    file.ends_with(".safetensors") || file.ends_with(".bin")
}

/// The hash that names a file's blob.
pub(crate) fn hash(file: &str, bytes: &[u8]) -> String {
    let sha = sha256(bytes);
    if large(file) { sha } else { sha[..40].to_owned() }
}

/// Answer one request; `None` ends the connection.
fn serve(mut stream: &TcpStream, state: &Mutex<State>) -> Option<()> {
    let request = read_request(stream)?;
    let path = request.path.clone();
    let mut held = state.lock().unwrap();
    held.requests.push(request.clone());
    if let Some((text, status, code)) = held.refuse
        && path.contains(text)
    {
        let head = format!(
            "HTTP/1.1 {status} No\r\nX-Error-Code: {code}\r\nX-Error-Message: no entry\r\nContent-Length: 0\r\n\r\n"
        );
        drop(held);
        return stream.write_all(head.as_bytes()).ok();
    }
    let plain = path.split('?').next()?.trim_start_matches('/').to_owned();
    if let Some(rest) = plain.strip_prefix("api/models/") {
        let body = match rest.split_once("/revision/") {
            Some((_, revision)) => listing(&held, &revision.replace("%2F", "/")),
            None => tree(&held, rest.split_once("/tree/")?.1),
        };
        drop(held);
        return answer_json(stream, body);
    }
    let (commit, file) = match plain.strip_prefix("cdn/") {
        Some(rest) => rest.split_once('/')?,
        None => plain.split_once("/resolve/")?.1.split_once('/')?,
    };
    let Some((commit, bytes)) = find(&held, commit, file) else {
        drop(held);
        return answer_json(stream, None);
    };
    if large(file) && !plain.starts_with("cdn/") {
        let to = match &held.elsewhere {
            Some(host) => format!("{host}/cdn/{commit}/{file}"),
            None => format!("/cdn/{commit}/{file}"),
        };
        let head = format!(
            "HTTP/1.1 302 Found\r\nLocation: {to}\r\nX-Repo-Commit: {commit}\r\nX-Linked-Size: {}\r\nX-Linked-Etag: \"{}\"\r\nContent-Length: 0\r\n\r\n",
            bytes.len(),
            hash(file, &bytes),
        );
        drop(held);
        return stream.write_all(head.as_bytes()).ok();
    }
    send_file(stream, held, &request, file, &commit, bytes)
}

fn send_file(
    mut stream: &TcpStream,
    mut state: std::sync::MutexGuard<'_, State>,
    request: &Request,
    file: &str,
    commit: &str,
    mut bytes: Vec<u8>,
) -> Option<()> {
    let etag = hash(file, &bytes);
    if large(file) {
        if state.corrupt {
            bytes[10] ^= 1;
        }
        bytes.resize(bytes.len().checked_add_signed(state.stretch)?, 7);
    }
    let total = bytes.len();
    let start = if state.ignore_range { None } else { request.range };
    let start = start.map(|from| from as usize);
    let status = match start {
        Some(from) if from >= total => "416 Range Not Satisfiable".to_owned(),
        Some(from) => {
            format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{total}", total - 1)
        }
        None => "200 OK".to_owned(),
    };
    let body = bytes.split_off(start.unwrap_or(0).min(total));
    let head = format!(
        "HTTP/1.1 {status}\r\nETag: \"{etag}\"\r\nX-Repo-Commit: {commit}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut length = if request.method == "HEAD" { 0 } else { body.len() };
    let mut cut = false;
    if let Some((after, times)) =
        state.cut.filter(|(after, n)| *n > 0 && large(file) && *after < length)
    {
        state.cut = Some((after, times - 1));
        (length, cut) = (after, true);
    }
    let stall = state.stall.filter(|after| large(file) && *after < length);
    let length = stall.unwrap_or(length);
    *state.sent.entry(file.to_owned()).or_default() += length;
    drop(state);
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(&body[..length]).ok()?;
    if stall.is_some() {
        std::thread::sleep(Duration::from_secs(3));
    }
    if cut || stall.is_some() {
        let _ = stream.shutdown(std::net::Shutdown::Both);
        return None;
    }
    Some(())
}

fn find(state: &State, revision: &str, file: &str) -> Option<(String, Vec<u8>)> {
    let (commit, files) = revision_of(state, revision)?;
    let (_, bytes) = files.iter().find(|(name, _)| name == file)?;
    Some((commit.clone(), bytes.clone()))
}

fn revision_of<'a>(state: &'a State, revision: &str) -> Option<&'a (String, Files)> {
    state
        .revisions
        .get(revision)
        .or_else(|| state.revisions.values().find(|(commit, _)| commit == revision))
}

fn listing(state: &State, revision: &str) -> Option<Value> {
    if let Some(listing) = &state.listing {
        return Some(listing.clone());
    }
    let (commit, files) = revision_of(state, revision)?;
    let siblings: Vec<Value> = files
        .iter()
        .map(|(name, bytes)| {
            let mut one = json!({ "rfilename": name });
            if !state.bare_listing {
                one["size"] = json!(bytes.len());
                one["blobId"] = json!(sha256(name.as_bytes())[..40]);
                match large(name) {
                    true => one["lfs"] = json!({ "sha256": sha256(bytes), "size": bytes.len(), "pointerSize": 134 }),
                    false => one["blobId"] = json!(hash(name, bytes)),
                }
            }
            one
        })
        .collect();
    Some(json!({ "id": "org/name", "sha": commit, "siblings": siblings }))
}

/// The listing that newer Pythons ask for.
fn tree(state: &State, revision: &str) -> Option<Value> {
    let (_, files) = revision_of(state, revision)?;
    let entry = |(name, bytes): &(String, Vec<u8>)| {
        let mut one = json!({ "type": "file", "path": name, "size": bytes.len() });
        one["oid"] = json!(hash(name, bytes)[..40]);
        if large(name) {
            let lfs = json!({ "oid": sha256(bytes), "size": bytes.len(), "pointerSize": 134 });
            one["lfs"] = lfs;
        }
        one
    };
    Some(files.iter().map(entry).collect())
}

fn answer_json(mut stream: &TcpStream, body: Option<Value>) -> Option<()> {
    let (status, body) = match body {
        Some(body) => ("200 OK", body.to_string()),
        None => ("404 Not Found\r\nX-Error-Code: RevisionNotFound", String::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).ok()
}

fn read_request(stream: &TcpStream) -> Option<Request> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut request = Request { method, path, range: None, token: None };
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            return Some(request);
        }
        let (name, value) = line.split_once(": ")?;
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let from = value.strip_prefix("bytes=")?.split('-').next()?;
                request.range = from.parse().ok();
            }
            "authorization" => request.token = Some(value.to_owned()),
            _ => {}
        }
    }
    None
}
