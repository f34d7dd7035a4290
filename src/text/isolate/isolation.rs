//! Where tokenizers and chat templates run, and what they may take there.

use std::path::PathBuf;
use std::sync::OnceLock;

use crate::text::chat::STACK;
use crate::text::error::TextError;

/// The command of the program that [`serve`](super::serve)s.
pub const COMMAND: &str = "text-process";

/// What multiplies all limits.
pub(super) const FACTOR: &str = "CONFIDE_TEXT_LIMITS";

static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Run tokenizers and chat templates of model folders in children of this program from here on: it
/// must [`serve`](super::serve) when its command is [`COMMAND`]. The first call counts.
pub fn isolate_in(program: PathBuf) {
    let _ = PROGRAM.set(program);
}

/// Where tokenizers and chat templates run, and what they may take there.
#[derive(Clone, Debug)]
pub struct Isolation {
    /// The program that is started.
    pub program: PathBuf,
    /// What it may take.
    pub limits: Limits,
}

impl Isolation {
    /// In the program that [`isolate_in`] has named, if any, under the limits that the environment
    /// asks for.
    ///
    /// # Errors
    ///
    /// The environment asks for no number.
    pub fn of_program() -> Result<Option<Self>, TextError> {
        let Some(program) = PROGRAM.get() else { return Ok(None) };
        let limits = Limits::default();
        let limits = match std::env::var(FACTOR) {
            Err(_) => limits,
            Ok(text) => {
                let factor = text.trim().parse().ok();
                let factor = factor.filter(|factor: &f64| *factor > 0.0 && factor.is_finite());
                limits.times(factor.ok_or_else(|| TextError::Process {
                    found: format!("{FACTOR} is “{text}” in the environment; expected a number above 0, which multiplies what tokenizers and chat templates may take, or nothing"),
                })?)
            }
        };
        Ok(Some(Self { program: program.clone(), limits }))
    }
}

/// What a tokenizer and a chat template may take together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Resident memory in bytes.
    pub memory: u64,
    /// Bytes of stack that a template is rendered on.
    pub stack: u64,
    /// Seconds of processor time for anything that is asked; ten times as many may pass.
    pub seconds: f64,
    /// Seconds more for each MiB of text that is read for it.
    pub seconds_per_mib: f64,
}

impl Default for Limits {
    /// 4 GiB, or half of the machine's memory where that is less; 512 MiB; 5 s, and 10 s for each MiB,
    /// of which the `tokenizers` library takes 0.7 s on one core.
    fn default() -> Self {
        const MEMORY: u64 = 4 << 30;
        let mut system = sysinfo::System::new();
        system.refresh_memory();
        let half = Some(system.total_memory() / 2).filter(|half| *half > 0);
        let memory = half.map_or(MEMORY, |half| half.min(MEMORY));
        let stack = STACK as u64;
        Self { memory, stack, seconds: 5.0, seconds_per_mib: 10.0 }
    }
}

impl Limits {
    /// All of them so many times.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self {
            memory: (self.memory as f64 * factor) as u64,
            stack: (self.stack as f64 * factor) as u64,
            seconds: self.seconds * factor,
            seconds_per_mib: self.seconds_per_mib * factor,
        }
    }
}
