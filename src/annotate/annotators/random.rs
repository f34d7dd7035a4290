//! Labels drawn at random: what any annotator has to beat, and what its confidence is worth without being right.

use sha2::{Digest, Sha256};

use super::{Annotating, Annotation, Annotator, Reads, Seen};
use crate::registry::About;
use crate::text::prompt_text;

pub(super) struct Random;

static ABOUT: About = About {
    name: "random",
    aliases: &[],
    title: "chance (baseline)",
    summary: "A coin that is the same for the same texts decides, and says at random how sure it is; no annotator is trained.",
    formula: "d = ln((1 + u)/(1 − u)), u uniform in [0, 1)",
    paper: "",
    constants: &[],
};

impl Annotator for Random {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn reads(&self) -> Reads {
        Reads::Texts
    }

    fn compares(&self, _: &Annotating) -> bool {
        true
    }

    /// A hash of the texts, so that no generator's state matters and confidence is uniform at T = 1.
    fn annotate(&self, seen: &Seen<'_>, _: &Annotating) -> Option<Annotation> {
        let mut hash = Sha256::new();
        hash.update(prompt_text(&seen.pair.prompt));
        for response in &seen.pair.responses {
            hash.update((response.len() as u64).to_le_bytes());
            hash.update(response);
        }
        let drawn = hash.finalize();
        let (coin, rest) = drawn.split_first()?;
        let number = rest.iter().take(4).fold(0u32, |all, byte| all << 8 | u32::from(*byte));
        let sure = f64::from(number) / (f64::from(u32::MAX) + 1.0);
        let score = f64::from(((1.0 + sure) / (1.0 - sure)).ln() as f32);
        Some(Annotation::Scores(if coin & 1 == 0 { [score, 0.0] } else { [0.0, score] }))
    }
}
