//! What column names say: the words in them, and which two names belong together.

/// Words that tell the better of two responses from the worse.
const BETTER_WORSE: &[(&str, &str)] = &[
    ("chosen", "rejected"),
    ("preferred", "rejected"),
    ("accepted", "rejected"),
    ("preferred", "dispreferred"),
    ("preferred", "unpreferred"),
    ("better", "worse"),
    ("best", "worst"),
    ("winner", "loser"),
    ("winning", "losing"),
    ("win", "lose"),
    ("positive", "negative"),
    ("pos", "neg"),
    ("good", "bad"),
    ("correct", "incorrect"),
    ("right", "wrong"),
    ("good", "wrong"),
    ("correct", "wrong"),
    ("j", "k"),
    ("w", "l"),
];

/// Words that number two responses without judging them.
const FIRST_SECOND: &[(&str, &str)] =
    &[("1", "2"), ("0", "1"), ("a", "b"), ("first", "second"), ("one", "two"), ("left", "right")];

/// Words in the names of responses.
const RESPONSES: &[&str] = &[
    "response",
    "responses",
    "output",
    "outputs",
    "answer",
    "answers",
    "completion",
    "completions",
    "reply",
    "replies",
    "generation",
    "generations",
    "generated",
    "candidate",
    "candidates",
    "conversation",
    "conversations",
    "messages",
    "message",
    "text",
    "content",
    "summary",
    "summaries",
    "ref",
    "value",
];

/// Last words in the names of columns that are about a text and not the text.
const ABOUT: &[&str] = &[
    "id",
    "ids",
    "idx",
    "index",
    "hash",
    "sha",
    "md",
    "uuid",
    "key",
    "source",
    "src",
    "origin",
    "model",
    "models",
    "policy",
    "name",
    "author",
    "score",
    "scores",
    "rating",
    "ratings",
    "rank",
    "ranks",
    "reward",
    "rewards",
    "elo",
    "grade",
    "critique",
    "critiques",
    "feedback",
    "comment",
    "explanation",
    "rationale",
    "reason",
    "reasoning",
    "justification",
    "length",
    "len",
    "tokens",
    "token",
    "count",
    "chars",
    "words",
    "num",
    "number",
    "category",
    "type",
    "kind",
    "lang",
    "language",
    "url",
    "date",
    "time",
    "timestamp",
    "note",
    "notes",
    "label",
    "labels",
    "level",
    "safe",
    "safety",
    "logprob",
    "logprobs",
    "logps",
    "probability",
    "prob",
    "confidence",
    "margin",
    "agreement",
    "embedding",
    "metadata",
    "meta",
    "version",
    "worker",
    "annotator",
    "status",
    "tags",
    "tag",
    "split",
    "subset",
    "dataset",
    "domain",
    "topic",
    "weight",
    "seed",
    "cost",
    "usage",
    "finish",
    "role",
    "from",
];

/// Whether a name is that of a response rather than of something about it: it says so, or
/// it says nothing but which of the two it is.
pub(super) fn names_a_response(name: &str) -> bool {
    let words = words(name);
    words.len() == 1 || words.iter().any(|word| RESPONSES.contains(&word.as_str()))
}

/// Whether a word is one for a response.
pub(super) fn is_response_word(word: &str) -> bool {
    RESPONSES.contains(&word)
}

/// Whether a name is that of something about a text: `response_0_sha256`, `score_chosen`.
///
/// `side` is the word that tells it from its twin, which says nothing of what it is.
pub(super) fn is_about(name: &str, side: Option<&str>) -> bool {
    let words = words(name);
    let telling = words
        .iter()
        .rev()
        .find(|word| side != Some(word.as_str()) && !word.chars().all(char::is_numeric));
    telling.is_some_and(|word| ABOUT.contains(&word.as_str()))
}

/// The lower-case words of a name: `responseA`, `response_a` and `Response A` have the same.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before = ' ';
    for c in name.chars() {
        let breaks = (before.is_lowercase() && c.is_uppercase())
            || (before.is_alphabetic() && c.is_numeric())
            || (before.is_numeric() && c.is_alphabetic());
        if (breaks || !c.is_alphanumeric()) && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Two columns whose names differ in one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Twins {
    /// The names.
    pub(super) names: [String; 2],
    /// The words in which they differ.
    pub(super) sides: [String; 2],
}

impl Twins {
    /// Two columns that a person named.
    pub(super) fn of(first: &str, second: &str) -> Self {
        let names = [first.to_owned(), second.to_owned()];
        let named =
            FIRST_SECOND.iter().find(|(a, b)| differ_in(&words(first), &words(second), a, b));
        let (a, b) = named.copied().unwrap_or(("first", "second"));
        Self { names, sides: [a.to_owned(), b.to_owned()] }
    }

    /// Whether both names are those of something about a response.
    pub(super) fn are_about(&self) -> bool {
        self.names.iter().zip(&self.sides).any(|(name, side)| is_about(name, Some(side)))
    }

    /// Whether both names are those of models, which some files give to what these said.
    pub(super) fn are_models(&self) -> bool {
        let last = self.extra().pop();
        last.is_some_and(|word| ["model", "policy", "system"].contains(&word.as_str()))
    }

    /// The words that both names share, but those for a response: `orig` of `orig_response_a`.
    pub(super) fn extra(&self) -> Vec<String> {
        let mut words = words(&self.names[0]);
        let side = words.iter().position(|word| *word == self.sides[0]);
        side.map(|at| words.remove(at));
        words.retain(|word| !RESPONSES.contains(&word.as_str()));
        words
    }
}

/// All pairs of names that call one response better and the other worse, better first.
pub(super) fn judged<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Twins> {
    let names: Vec<_> = names.map(|name| (name, words(name))).collect();
    let mut found = twins(&names, BETTER_WORSE);
    for (yes, plain) in &names {
        for (no, negated) in &names {
            // `answer_matching_behavior` against `answer_not_matching_behavior`.
            let not = negated.iter().position(|word| word == "not" || word == "non");
            let without = not.map(|at| [&negated[..at], &negated[at + 1..]].concat());
            if without.as_ref() == Some(plain) {
                let names = [(*yes).to_owned(), (*no).to_owned()];
                found.push(Twins { names, sides: ["yes".to_owned(), "no".to_owned()] });
            }
        }
    }
    if found.is_empty() { against_plain(&names) } else { found }
}

/// `response` against `rejected_response`, where no name says which is the better one.
fn against_plain(names: &[(&str, Vec<String>)]) -> Vec<Twins> {
    let mut found = Vec::new();
    for (no, worse) in names {
        let Some(at) = worse.iter().position(|word| is_worse(word)) else { continue };
        let rest = [&worse[..at], &worse[at + 1..]].concat();
        if !rest.iter().any(|word| is_response_word(word)) {
            continue;
        }
        for (yes, _) in names.iter().filter(|(_, words)| *words == rest) {
            let names = [(*yes).to_owned(), (*no).to_owned()];
            found.push(Twins { names, sides: [String::new(), worse[at].clone()] });
        }
    }
    found
}

/// Whether a word calls a response the worse one.
pub(super) fn is_worse(word: &str) -> bool {
    BETTER_WORSE.iter().any(|(_, worse)| *worse == word && worse.len() > 2)
}

/// All pairs of names that number two responses.
pub(super) fn numbered<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Twins> {
    twins(&names.map(|name| (name, words(name))).collect::<Vec<_>>(), FIRST_SECOND)
}

/// The words of a name that has another of the numbers, as `response_3` beside the first two.
pub(super) fn others(twins: &Twins) -> Vec<Vec<String>> {
    let more: &[&str] = match twins.sides[0].as_str() {
        "1" => &["0", "3"],
        "0" => &["2"],
        "a" => &["c"],
        "first" => &["third"],
        _ => &[],
    };
    let first = words(&twins.names[0]);
    let second = words(&twins.names[1]);
    let differ = first.iter().zip(&second).position(|(a, b)| a != b).unwrap_or_default();
    let with = |side: &&str| {
        let mut words = first.clone();
        words[differ] = (*side).to_owned();
        words
    };
    more.iter().map(with).collect()
}

fn twins(names: &[(&str, Vec<String>)], opposites: &[(&str, &str)]) -> Vec<Twins> {
    let mut found = Vec::new();
    for (a, b) in opposites {
        for (first, left) in names {
            for (second, right) in names {
                if differ_in(left, right, a, b) {
                    found.push(Twins {
                        names: [(*first).to_owned(), (*second).to_owned()],
                        sides: [(*a).to_owned(), (*b).to_owned()],
                    });
                }
            }
        }
    }
    found
}

/// Whether two lists of words are equal but for one place, with `a` here and `b` there.
fn differ_in(left: &[String], right: &[String], a: &str, b: &str) -> bool {
    let mut different = left.iter().zip(right).filter(|(l, r)| l != r);
    left.len() == right.len()
        && different.next().is_some_and(|(l, r)| l == a && r == b)
        && different.next().is_none()
}
