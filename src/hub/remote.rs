//! Questions to the hub: what a revision is, which files it has, how large they are.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use hf_hub::{Repo, RepoType};
use serde_json::Value;
use ureq::config::RedirectAuthHeaders;
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::WithoutBody;
use ureq::{Agent, RequestBuilder};

use super::cache::is_plain;
use super::name::is_commit;
use super::{HubError, HubName, HubSettings};

/// How long a connection may take to stand, and an answer to begin.
const CONNECT: Duration = Duration::from_secs(20);
/// How long a connection may stay silent before it counts as lost.
const SILENCE: Duration = Duration::from_secs(60);
/// The longest list of files that is read; the largest repositories stay far below.
const LONGEST_LISTING: u64 = 64 << 20;
/// How many redirects within the hub are followed for the description of a file.
const REDIRECTS: usize = 5;

/// The hub, for one model.
pub(super) struct Remote<'a> {
    name: &'a HubName,
    settings: &'a HubSettings,
    agent: Agent,
}

/// What the hub says about a revision.
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) files: Vec<Entry>,
}

impl Listing {
    pub(super) fn entry(&self, file: &str) -> Option<&Entry> {
        self.files.iter().find(|entry| entry.file == file)
    }
}

/// A file as the listing describes it; older mirrors give only its name.
pub(super) struct Entry {
    pub(super) file: String,
    details: Option<Details>,
}

/// What must be known of a file before it is fetched.
#[derive(Clone, Debug)]
pub(super) struct Details {
    pub(super) size: u64,
    /// The name of its blob in the cache.
    pub(super) hash: String,
    /// The SHA-256 of its content, which the hub knows for large files only.
    pub(super) sha256: Option<String>,
}

/// The part of an answer that tells why the hub refuses.
pub(super) struct Refusal {
    status: u16,
    code: String,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, headers: &HeaderMap) -> Self {
        let text = |name| header(headers, name).unwrap_or_default().to_owned();
        Self { status, code: text("x-error-code"), message: text("x-error-message") }
    }
}

impl<'a> Remote<'a> {
    pub(super) fn new(name: &'a HubName, settings: &'a HubSettings) -> Result<Self, HubError> {
        let roots = match &settings.certificates {
            Some(file) => read_certificates(file)?,
            None => RootCerts::WebPki,
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // Files lie with other hosts, which must not see the token.
            .redirect_auth_headers(RedirectAuthHeaders::SameHost)
            // Sizes and ranges count bytes of the file, not of its compressed form.
            .accept_encoding("identity")
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .timeout_resolve(Some(CONNECT))
            .timeout_connect(Some(CONNECT))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .build();
        Ok(Self { name, settings, agent: config.into() })
    }

    /// A request with the token, if there is one.
    fn request(&self, url: &str) -> RequestBuilder<WithoutBody> {
        self.authorised(self.agent.get(url))
    }

    fn authorised(&self, request: RequestBuilder<WithoutBody>) -> RequestBuilder<WithoutBody> {
        match &self.settings.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    /// The request for a file from a byte onwards.
    pub(super) fn file(&self, commit: &str, file: &str, from: u64) -> RequestBuilder<WithoutBody> {
        let request = self.request(&self.url(commit, file));
        if from == 0 { request } else { request.header("Range", format!("bytes={from}-")) }
    }

    fn url(&self, commit: &str, file: &str) -> String {
        let repo = self.repo(commit);
        format!("{}/{}/resolve/{}/{file}", self.settings.endpoint, repo.url(), repo.url_revision())
    }

    fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(
            self.name.org_and_name().to_owned(),
            RepoType::Model,
            revision.to_owned(),
        )
    }

    /// The commit that the revision stands for now, and its files.
    pub(super) fn listing(&self) -> Result<Listing, HubError> {
        let repo = self.repo(self.name.revision_or_main());
        let url = format!("{}/api/{}", self.settings.endpoint, repo.api_url());
        let mut answer = self
            .request(&url)
            .query("blobs", "true")
            .call()
            .map_err(|e| self.unreachable(&url, &e.to_string()))?;
        if answer.status() != 200 {
            return Err(self.refused(&Refusal::new(answer.status().as_u16(), answer.headers())));
        }
        let mut bytes = Vec::new();
        answer
            .body_mut()
            .as_reader()
            .take(LONGEST_LISTING)
            .read_to_end(&mut bytes)
            .map_err(|e| self.unreachable(&url, &e.to_string()))?;
        let json: Value = serde_json::from_slice(&bytes).map_err(|e| {
            self.strange(format!("a description that is no JSON ({e})"), "a JSON object")
        })?;
        self.read_listing(&json)
    }

    fn read_listing(&self, json: &Value) -> Result<Listing, HubError> {
        let commit = json.get("sha").and_then(Value::as_str).unwrap_or_default();
        if !is_commit(commit) {
            return Err(self.strange(format!("the commit “{commit}”"), "40 hexadecimal digits"));
        }
        let siblings = json
            .get("siblings")
            .and_then(Value::as_array)
            .ok_or_else(|| self.strange("no list of files".to_owned(), "“siblings”"))?;
        let files = siblings.iter().map(|one| self.entry(one)).collect::<Result<_, _>>()?;
        Ok(Listing { commit: commit.to_owned(), files })
    }

    fn entry(&self, json: &Value) -> Result<Entry, HubError> {
        let file = json.get("rfilename").and_then(Value::as_str).unwrap_or_default();
        // Only known names are ever fetched, but a hub that lists this is not to be trusted.
        if file.split(['/', '\\']).any(|part| part.is_empty() || part == "..") {
            return Err(self.strange(format!("the file name “{file}”"), "a path inside the model"));
        }
        let lfs = json.get("lfs").filter(|lfs| lfs.is_object());
        let sha256 = lfs.and_then(|lfs| lfs.get("sha256")).and_then(Value::as_str);
        let hash = if lfs.is_some() { sha256 } else { json.get("blobId").and_then(Value::as_str) };
        let size = json.get("size").and_then(Value::as_u64);
        let details = match (size, hash) {
            (Some(size), Some(hash)) => Some(self.details(file, size, hash, sha256.is_some())?),
            _ => None,
        };
        Ok(Entry { file: file.to_owned(), details })
    }

    /// Details of a file, whose hash becomes the name of a file and is therefore checked.
    fn details(&self, file: &str, size: u64, hash: &str, sha: bool) -> Result<Details, HubError> {
        if !is_plain(hash) {
            return Err(self.strange(format!("the hash “{hash}” for {file}"), "a plain word"));
        }
        Ok(Details { size, hash: hash.to_owned(), sha256: sha.then(|| hash.to_owned()) })
    }

    /// What must be known of a file: from the listing, else asked for.
    pub(super) fn describe(&self, commit: &str, entry: &Entry) -> Result<Details, HubError> {
        match &entry.details {
            Some(details) => Ok(details.clone()),
            None => self.ask(commit, &entry.file),
        }
    }

    /// The description of a file by a HEAD request.
    ///
    /// A redirect to another host is not followed: the hub itself tells the hash and the
    /// size of the file beside it, where the other host may tell neither.
    fn ask(&self, commit: &str, file: &str) -> Result<Details, HubError> {
        let mut url = self.url(commit, file);
        for _ in 0..REDIRECTS {
            let answer = self
                .authorised(self.agent.head(&url))
                .config()
                .max_redirects(0)
                .max_redirects_will_error(false)
                .build()
                .call()
                .map_err(|e| self.unreachable(file, &e.to_string()))?;
            let (status, headers) = (answer.status().as_u16(), answer.headers());
            if status >= 400 {
                return Err(self.refused(&Refusal::new(status, headers)));
            }
            let told = header(headers, "x-linked-size").is_some() || status < 300;
            match header(headers, "location").filter(|to| to.starts_with('/') && !told) {
                Some(path) => url = format!("{}{path}", origin(&url)),
                None => return self.read_headers(file, status, headers),
            }
        }
        Err(self.strange(format!("endless redirects for {file}"), "a file"))
    }

    fn read_headers(
        &self,
        file: &str,
        status: u16,
        headers: &HeaderMap,
    ) -> Result<Details, HubError> {
        let linked = header(headers, "x-linked-etag");
        // The length of a redirect is that of its own page.
        let own = header(headers, "content-length").filter(|_| status < 300);
        let size = header(headers, "x-linked-size").or(own).and_then(|size| size.parse().ok());
        let etag = linked.or_else(|| header(headers, "etag"));
        let (Some(size), Some(etag)) = (size, etag) else {
            return Err(self.strange(format!("no size or no ETag for {file}"), "both"));
        };
        let hash = etag.trim_start_matches("W/").trim_matches('"');
        let sha = linked.is_some() && hash.len() == 64;
        self.details(file, size, hash, sha)
    }

    /// The error for a status that is no success.
    pub(super) fn refused(&self, refusal: &Refusal) -> HubError {
        let (name, endpoint) = (self.name.clone(), self.settings.endpoint.clone());
        let not_found = |what: String| HubError::NotFound {
            name: name.clone(),
            endpoint: endpoint.clone(),
            what,
        };
        match (refusal.status, refusal.code.as_str()) {
            (404, "RevisionNotFound") => {
                not_found(format!("revision “{}”", self.name.revision_or_main()))
            }
            (404, "EntryNotFound") => not_found("file".to_owned()),
            (404, _) | (401, "RepoNotFound") => not_found("model".to_owned()),
            (status @ (401 | 403), code) => HubError::Denied {
                name,
                endpoint,
                status,
                found: [&refusal.message, code, "no reason given"]
                    .into_iter()
                    .find(|words| !words.is_empty())
                    .unwrap_or_default()
                    .to_owned(),
                token: match self.settings.token {
                    Some(_) => "the one sent has none",
                    None => "none is set",
                },
            },
            (status, _) => self.unreachable(
                &self.name.to_string(),
                &format!("{endpoint} answers {status} {}", refusal.message),
            ),
        }
    }

    pub(super) fn unreachable(&self, what: &str, reason: &str) -> HubError {
        HubError::Network { what: what.to_owned(), reason: reason.trim().to_owned() }
    }

    pub(super) fn strange(&self, found: String, expected: &'static str) -> HubError {
        HubError::Strange { name: self.name.clone(), found, expected }
    }
}

/// A header's value, where it is text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The certificates of a PEM file.
fn read_certificates(file: &Path) -> Result<RootCerts, HubError> {
    let fault = |found: String| HubError::Network {
        what: file.display().to_string(),
        reason: format!(
            "{found}; expected certificates as PEM, since SSL_CERT_FILE or REQUESTS_CA_BUNDLE names this file"
        ),
    };
    let bytes =
        crate::input::read(file, crate::input::SETTINGS).map_err(|e| fault(e.to_string()))?;
    let certificates: Vec<_> = parse_pem(&bytes)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(one)) => Some(one),
            // Bundles may hold comments and keys besides.
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(fault("there is no certificate in it".to_owned()));
    }
    Ok(certificates.into())
}

/// Scheme and host of an address.
fn origin(url: &str) -> String {
    let uri: Uri = url.parse().unwrap_or_default();
    let scheme = uri.scheme_str().unwrap_or("https");
    format!("{scheme}://{}", uri.authority().map_or("", |authority| authority.as_str()))
}
