//! Words of which every text is full.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Words of which every text is full, and the names of speakers: sharing them is no overlap.
pub(super) fn stop_words() -> &'static HashSet<&'static str> {
    static ALL: LazyLock<HashSet<&str>> = LazyLock::new(|| WORDS.split(' ').collect());
    &ALL
}

const WORDS: &str = "\
    a about above after again all also am an and any are aren't as at be because been before being below \
    between both but by can can't cannot could couldn't did didn't do does doesn't doing don't down \
    during each few for from further get give go had has have having he her here hers him his how i i'd \
    i'll i'm i've if in into is isn't it it's its itself just like make me more most my no nor not of \
    off on once one only or other our out over own please same she should so some such than that that's \
    the their them then there these they this those through to too under until up us use very want was \
    we were what when where which while who whom why will with would you you'd you'll you're you've your \
    yours human assistant user system";
