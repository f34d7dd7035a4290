//! GPTScore: how likely a language model that was never trained for it finds each token of a response, in the
//! mean.

use super::{Annotating, Annotation, Annotator, Reads, Seen};
use crate::registry::About;

pub(super) struct GptScore;

static ABOUT: About = About {
    name: "gptscore",
    aliases: &["gpt-score", "gpt_score"],
    title: "how likely a model finds it",
    summary: "Any language model, as it is, scores each response by the mean log-probability of its tokens (the end that is written behind it included), given its prompt; each distinct response to a prompt is computed once, in however many pairs of several candidates it stands (data.pairing), so that all pairs of one prompt follow one order. Differences of such means are small and no log-odds: let confidence.temperature = \"fit\" find their scale.",
    formula: "s(x, y) = (1/|y|) Σ_t log π(y_t | x, y_<t)",
    paper: "arXiv 2302.04166, arXiv 2305.14239",
    constants: &[],
};

impl Annotator for GptScore {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn reads(&self) -> Reads {
        Reads::LogProbs
    }

    fn annotate(&self, seen: &Seen<'_>, _: &Annotating) -> Option<Annotation> {
        seen.scores.map(Annotation::Scores)
    }
}
