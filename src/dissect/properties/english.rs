//! What English words say.

use std::sync::LazyLock;

use super::lexicon::Lexicon;
use super::{Property, count};

/// A property that counts the words and phrases of a list.
macro_rules! listed {
    ($name:literal, $title:literal, $summary:literal, $phrases:expr) => {
        count($name, $title, $summary, |reading| {
            static LIST: LazyLock<Lexicon> = LazyLock::new(|| Lexicon::new($phrases));
            LIST.count(&reading.words) as f64
        })
    };
}

pub(super) const ALL: &[Property] = &[
    listed!(
        "hedging",
        "Hedging",
        "Perhaps, might, it depends: words that leave room for doubt.",
        HEDGES
    ),
    listed!(
        "certainty",
        "Certainty",
        "Definitely, always, of course: words that leave no doubt.",
        CERTAIN
    ),
    listed!("politeness", "Politeness", "Please, thank you, you're welcome.", POLITE),
    listed!("apologies", "Apologies", "Sorry, I apologize, forgive me.", APOLOGIES),
    listed!("refusals", "Refusals", "I can't help, I won't, as an AI: it declines.", REFUSALS),
    listed!("first_person", "First person", "I, me, my, we, our.", FIRST_PERSON),
    listed!("second_person", "Second person", "You, your, yourself.", SECOND_PERSON),
    listed!(
        "empathy",
        "Empathy",
        "I understand, that must be hard: words of fellow feeling.",
        EMPATHY
    ),
    listed!("examples", "Examples", "For example, such as, for instance.", EXAMPLES),
    listed!("steps", "Steps", "First, then, next, finally: words that put things in order.", STEPS),
    listed!(
        "reasons",
        "Reasons",
        "Because, therefore, since, so that: words that give reasons.",
        REASONS
    ),
    listed!(
        "contrast",
        "Contrast",
        "But, however, although: words that weigh one against another.",
        CONTRASTS
    ),
    listed!(
        "persuasion",
        "Persuasion",
        "You should, I recommend, it is important: words that urge.",
        URGES
    ),
    listed!("positive", "Positive words", "Good, great, happy, helpful.", POSITIVE),
    listed!("negative", "Negative words", "Bad, wrong, dangerous, terrible.", NEGATIVE),
];

const HEDGES: &str = "\
    perhaps, maybe, might, may, could be, possibly, probably, likely, seems, seem, appears, appear to, \
    apparently, it depends, depends on, i think, i believe, i guess, i suppose, in my opinion, not sure, not \
    certain, i'm not sure, somewhat, sort of, kind of, generally, usually, often, sometimes, tends to, tend to, \
    roughly, approximately, can vary";

const CERTAIN: &str = "\
    definitely, certainly, absolutely, clearly, obviously, undoubtedly, surely, always, never, of course, \
    without a doubt, no doubt, without question, guaranteed, in fact, indeed, must be, exactly, completely, \
    totally, undeniably, unquestionably, for sure, everyone knows";

const POLITE: &str = "\
    please, thank you, thanks, you're welcome, you are welcome, my pleasure, excuse me, pardon, may i, would you \
    mind, would you like, could you please, i'd be happy to, i would be happy to, happy to help, glad to help, \
    feel free, let me know, i appreciate, appreciate";

const APOLOGIES: &str = "\
    sorry, apologize, apologise, apologies, apology, forgive me, my mistake, my bad, i regret";

const REFUSALS: &str = "\
    i can't help, i cannot help, i can't do, i cannot do, i can't provide, i cannot provide, i can't assist, i \
    cannot assist, i can't answer, i cannot answer, i can't tell, i cannot tell, i can't give, i cannot give, i \
    won't, i will not, i'm not able to, i am not able to, i'm unable, i am unable, i don't want to help, i'm not \
    going to, i am not going to, i'm not comfortable, i am not comfortable, i don't feel comfortable, as an ai, \
    i'm just an ai, i am just an ai, i must decline, i shouldn't, i should not, against my";

const FIRST_PERSON: &str = "\
    i, i'm, i've, i'd, i'll, me, my, mine, myself, we, we're, we've, we'd, we'll, us, our, ours, ourselves";

const SECOND_PERSON: &str = "\
    you, you're, you've, you'd, you'll, your, yours, yourself, yourselves";

const EMPATHY: &str = "\
    i understand, i can understand, i hear you, i can imagine, that must be, that must have been, that sounds \
    hard, that sounds difficult, that sounds tough, that sounds like, i'm sorry to hear, i am sorry to hear, \
    sorry to hear, sorry for your loss, i feel for you, it's okay to, it's ok to, it is okay to, you're not \
    alone, you are not alone, i'm here for you, i'm here to listen, hope you feel better, take care, \
    understandable";

const EXAMPLES: &str = "\
    for example, for instance, such as, e g, example, examples, to illustrate, imagine that, consider the, in \
    the case of, namely, including";

const STEPS: &str = "\
    first, firstly, second, secondly, third, thirdly, then, next, after that, afterwards, finally, lastly, to \
    begin with, to start, step, steps, once you, start by, begin by";

const REASONS: &str = "\
    because, therefore, thus, hence, since, so that, due to, as a result, the reason, that's why, that is why, \
    this is why, consequently, in order to, which means, this means";

const CONTRASTS: &str = "\
    but, however, although, though, even though, nevertheless, nonetheless, on the other hand, whereas, while, \
    instead, yet, despite, in contrast, rather than, still";

const URGES: &str = "\
    you should, you must, you need to, you have to, you ought to, you'd better, i recommend, i would recommend, \
    i'd recommend, i suggest, i would suggest, i'd suggest, i advise, i urge you, make sure, be sure to, it is \
    important, it's important, important to, essential, crucial, consider, try to, why not, the best way, don't \
    forget, remember to, avoid";

const POSITIVE: &str = "\
    good, great, excellent, wonderful, amazing, fantastic, awesome, best, better, nice, love, loved, lovely, \
    enjoy, enjoyed, happy, glad, pleased, fun, helpful, useful, beautiful, perfect, safe, easy, effective, \
    healthy, interesting, kind, friendly, success, successful, positive, delicious, congratulations";

const NEGATIVE: &str = "\
    bad, worse, worst, wrong, terrible, horrible, awful, hate, hated, angry, sad, upset, afraid, fear, \
    dangerous, danger, harmful, harm, hurt, illegal, unethical, immoral, stupid, idiot, ugly, disgusting, \
    difficult, hard, problem, problems, risk, risky, pain, painful, fail, failed, failure, negative, evil, kill, \
    poison, unfortunately";
