//! What is counted in a text, against counts by hand.

use std::collections::BTreeSet;

use confide::dissect::{Amount, Prompt, Reading, differences, properties};

/// Property, response, how much of it there is; where the prompt matters, it is [`PROMPT`].
const COUNTED: &[(&str, &str, f64)] = &[
    ("characters", "Añb 世.", 6.0),
    ("words", "It's 2 o'clock – isn’t it? 'Yes.'", 6.0),
    // Signs of scripts without spaces are words; joined letters are one.
    ("words", "世界 हिन्दी", 3.0),
    ("sentences", "One. Two (e.g.x) is 3.14! Really?! Yes", 4.0),
    ("sentences", "A title\n1. First. Again.\n2. Second\n\n* * *", 4.0),
    ("sentences", "一。二!三", 3.0),
    ("sentence_length", "One two. Three four five six!", 3.0),
    ("word_length", "a bb ccc", 2.0),
    ("questions", "What? Why?? 何?", 4.0),
    ("exclamations", "Oh! No!!", 3.0),
    ("numbers", "In 1999, 1,000.5 g of x2 and 3.", 4.0),
    ("quotations", "He said \"yes\" and “no” and «so».", 3.0),
    ("capitals", "ABcd EFgh 12", 0.5),
    ("ends_properly", "It is so.  \n", 1.0),
    ("ends_properly", "It is so because", 0.0),
    ("ends_properly", "", 0.0),
    ("paragraphs", "\n\nOne\nstill one\n\n \nTwo\n", 2.0),
    ("list_items", "- a\n* b\n  3. c\n12) d\nb) e\n-f\n1.5 g\nx. h\n– i", 6.0),
    ("headings", "# One\n###### Two\n####### No\n#no\n**Three**\n**a** and **b**", 3.0),
    ("code", "Use `a` or `b`:\n```rust\nlet c = 1;\nlet d = 2;\n```\nDone.", 4.0),
    ("emphasis", "**a** b *c* __d__\n* item *e*\n2 * 3 * 4", 4.0),
    ("links", "https://a.b and http://www.c.d, www.e.f, [g](h) [i](https://j.k)", 5.0),
    ("variety", "the cat the dog", 0.75),
    ("repetition", "a b c d a b c", 0.2),
    ("repetition", "a b", 0.0),
    ("overlap", "Bake the potatoes", 0.5),
    ("overlap", "", 0.0),
    ("novelty", "Bake the nice potatoes slowly", 0.5),
    ("humour", "Haha :) 😀 lol <3 hahahaha", 6.0),
    ("hedging", "Perhaps. I think it might, maybe. Not sure.", 5.0),
    ("certainty", "Of course! It is definitely never so.", 3.0),
    ("politeness", "Please, thank you, and you're welcome. Thank them.", 3.0),
    ("apologies", "I’m sorry, I apologize. Sorry!", 3.0),
    ("refusals", "As an AI I can't help with that, and I won't. I can help.", 3.0),
    ("first_person", "I'm sure that we and my friend see it in me.", 4.0),
    ("second_person", "You know yourself what your friend said to you.", 4.0),
    ("empathy", "I understand. I'm sorry to hear that; that must be hard.", 3.0),
    ("examples", "For example this, such as that.", 2.0),
    ("steps", "First mix. Then stir. After that, finally, eat.", 4.0),
    ("reasons", "Because it is so, therefore. That's why.", 3.0),
    ("contrast", "But even though it is, however, on the other hand …", 4.0),
    ("persuasion", "You should go. I recommend it; make sure to try to.", 4.0),
    ("positive", "A good and great day.", 2.0),
    ("negative", "A bad, wrong problem. Badly.", 3.0),
];

const PROMPT: &str = "How do I bake potatoes, or fry the onions?";

#[test]
fn properties_are_those_counted_by_hand() {
    let prompt = Prompt::new(PROMPT);
    for (name, text, expected) in COUNTED {
        let property = properties().find(|property| property.name == *name);
        let property = property.unwrap_or_else(|| panic!("{name} is no property"));
        let found = property.measure(&Reading::new(text, &prompt));
        assert!((found - expected).abs() < 1e-12, "{name} of {text:?}: {found}, not {expected}");
    }
    let counted: BTreeSet<&str> = COUNTED.iter().map(|(name, ..)| *name).collect();
    let all: BTreeSet<&str> = properties().map(|property| property.name).collect();
    assert_eq!(counted, all, "each is counted by hand once at least");
    assert_eq!(properties().count(), all.len(), "no two have one name");
}

#[test]
fn properties_say_what_they_are() {
    for property in properties() {
        assert!(property.summary.ends_with('.') && !property.title.is_empty(), "{property:?}");
        assert!(property.title.chars().count() <= 22, "it fits its column: {}", property.title);
    }
}

/// What differs is the first response less the second, of counts in logarithms; texts without end are cut.
#[test]
fn differences_have_a_sign_and_an_end() {
    let (row, cut) = differences(PROMPT, ["One! Two! Three!", "One."]);
    assert!(!cut);
    for (property, found) in properties().zip(&row) {
        match property.name {
            "exclamations" => assert!((found - 4.0_f64.ln()).abs() < 1e-12),
            "sentences" => assert!((found - 2.0_f64.ln()).abs() < 1e-12),
            "ends_properly" => assert!(*found == 0.0 && property.amount == Amount::Share),
            _ => {}
        }
    }
    let (other, _) = differences(PROMPT, ["One.", "One! Two! Three!"]);
    assert!(row.iter().zip(&other).all(|(a, b)| *a == -b));
    let (same, _) = differences(PROMPT, ["Equal.", "Equal."]);
    assert!(same.iter().all(|x| *x == 0.0));

    // A character that the cut would part is left out.
    let long = "é".repeat(60_000);
    let (row, cut) = differences("", [&format!("a{long}"), ""]);
    assert!(cut);
    let characters = properties().position(|property| property.name == "characters").unwrap();
    assert!((row[characters] - 50_001_f64.ln()).abs() < 1e-12, "{}", row[characters].exp());
    assert!(row.iter().all(|x| x.is_finite()));
    let (_, cut) = differences(&long, ["a", ""]);
    assert!(cut, "a prompt is cut, too");
}
