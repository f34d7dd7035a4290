//! Where the hub and its cache are, read once from the environment.

use std::fmt;
use std::path::{Path, PathBuf};

/// The hub itself, where no mirror is named.
const HUB: &str = "https://huggingface.co";

/// Where the hub and its cache are.
#[derive(Clone, PartialEq, Eq)]
pub struct HubSettings {
    /// Address of the hub, without a slash at the end.
    pub endpoint: String,
    /// The folder that holds `models--org--name` folders.
    pub cache: PathBuf,
    /// The token for gated and private models.
    pub token: Option<String>,
    /// Certificates to trust instead of the usual ones, for a proxy with its own.
    pub certificates: Option<PathBuf>,
    /// Whether the network must not be used.
    pub offline: bool,
}

impl HubSettings {
    /// Settings by the environment variables that Python's huggingface_hub reads, with its
    /// precedence: `HF_ENDPOINT`, `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `HF_HOME`,
    /// `XDG_CACHE_HOME`, `HF_TOKEN`, `HF_TOKEN_PATH`, `SSL_CERT_FILE`, `REQUESTS_CA_BUNDLE`,
    /// `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE`.
    pub fn from_env() -> Self {
        Self::from_variables(&|name| std::env::var(name).ok(), std::env::home_dir().as_deref())
    }

    /// Settings by variables that a function looks up, and a home folder.
    pub fn from_variables(look_up: &dyn Fn(&str) -> Option<String>, home: Option<&Path>) -> Self {
        let set = |name: &str| look_up(name).map(|v| v.trim().to_owned()).filter(|v| !v.is_empty());
        let path = |name: &str| set(name).map(|value| expand(&value, home));
        let hf_home = path("HF_HOME").unwrap_or_else(|| default_home(path("XDG_CACHE_HOME"), home));
        let token_file = path("HF_TOKEN_PATH").unwrap_or_else(|| hf_home.join("token"));
        Self {
            endpoint: set("HF_ENDPOINT")
                .map_or_else(|| HUB.to_owned(), |address| address.trim_end_matches('/').to_owned()),
            cache: path("HF_HUB_CACHE")
                .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
                .unwrap_or_else(|| hf_home.join("hub")),
            token: set("HF_TOKEN")
                .or_else(|| set("HUGGING_FACE_HUB_TOKEN"))
                .or_else(|| read_token(&token_file)),
            certificates: path("SSL_CERT_FILE").or_else(|| path("REQUESTS_CA_BUNDLE")),
            offline: ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"]
                .iter()
                .any(|name| set(name).is_some_and(|value| is_true(&value))),
        }
    }
}

/// The token is left out: settings are printed in logs and bug reports.
impl fmt::Debug for HubSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HubSettings")
            .field("endpoint", &self.endpoint)
            .field("cache", &self.cache)
            .field("token", &self.token.as_ref().map(|_| "set"))
            .field("certificates", &self.certificates)
            .field("offline", &self.offline)
            .finish()
    }
}

/// `~/.cache/huggingface`; in the temporary folder for an account without a home.
fn default_home(cache: Option<PathBuf>, home: Option<&Path>) -> PathBuf {
    cache
        .or_else(|| home.map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("huggingface")
}

/// A path with `~` put in full, which shells leave alone inside quotes.
fn expand(value: &str, home: Option<&Path>) -> PathBuf {
    match (value.strip_prefix('~'), home) {
        (Some(""), Some(home)) => home.to_owned(),
        (Some(rest), Some(home)) if rest.starts_with(['/', '\\']) => home.join(&rest[1..]),
        _ => PathBuf::from(value),
    }
}

fn read_token(file: &Path) -> Option<String> {
    let token = crate::input::read_text(file, 1 << 16).ok()?.trim().to_owned();
    (!token.is_empty()).then_some(token)
}

fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].iter().any(|word| value.eq_ignore_ascii_case(word))
}
