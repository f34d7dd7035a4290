//! The demonstration world: what its documentation promises about worth, labels and length.

use std::collections::{HashMap, HashSet};

use confide::builtin::world::*;

const PROMPT: &str = "\n\nHuman: How do I keep my tomato plants healthy?\n\nAssistant:";
const PERFECT: &str = " That is a great question! Water the roots in the morning. Try to tie each \
                       stem to a stick. You should add compost to the soil. Let me know if you \
                       need more help.";

fn kinds(response: &str) -> Vec<Part> {
    explain(PROMPT, response).into_iter().map(|(part, _)| part).collect()
}

fn words(text: &str) -> f64 {
    text.split_whitespace().count() as f64
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn correlation(x: &[f64], y: &[f64]) -> f64 {
    let (a, b) = (mean(x), mean(y));
    let product = |x: &[f64], a: f64, y: &[f64], b: f64| -> f64 {
        x.iter().zip(y).map(|(x, y)| (x - a) * (y - b)).sum()
    };
    product(x, a, y, b) / (product(x, a, x, a) * product(y, b, y, b)).sqrt()
}

#[test]
fn equal_seeds_give_equal_worlds() {
    assert_eq!(pairs(50, 3, DEFAULT_NOISE), pairs(50, 3, DEFAULT_NOISE));
    assert_ne!(pairs(50, 3, DEFAULT_NOISE), pairs(50, 4, DEFAULT_NOISE));
    assert!(pretraining_text(50, 3).eq(pretraining_text(50, 3)));
    assert!(!pretraining_text(50, 3).eq(pretraining_text(50, 4)));
    assert_eq!(prompts(50, 3), prompts(50, 3));
    assert_ne!(prompts(50, 3), prompts(50, 4));
    // More of the same seed begins with the same.
    assert_eq!(pairs(50, 3, DEFAULT_NOISE)[..], pairs(80, 3, DEFAULT_NOISE)[..50]);
}

#[test]
fn the_layout_is_that_of_a_transcript() {
    for pair in pairs(200, 1, DEFAULT_NOISE) {
        assert!(pair.prompt.starts_with("\n\nHuman: ") && pair.prompt.ends_with("\n\nAssistant:"));
        for response in &pair.responses {
            assert!(response.starts_with(' ') && !response.starts_with("  "), "{response:?}");
            assert!((6.0..=50.0).contains(&words(response)), "{response:?}");
        }
        assert_ne!(pair.responses[0], pair.responses[1]);
    }
}

#[test]
fn the_parts_sum_to_the_gold_reward() {
    let odd = [("", ""), ("no question", "Oh. Well"), (PROMPT, "...!?"), (PROMPT, PERFECT)];
    let odd = odd.map(|(prompt, response)| (prompt.to_owned(), response.to_owned()));
    for (prompt, response) in pretraining_text(2000, 5).chain(odd) {
        let parts = explain(&prompt, &response);
        let sum: f64 = parts.iter().map(|(_, contribution)| contribution).sum();
        assert_eq!(sum, gold_reward(&prompt, &response), "{response:?}");
        assert!(parts.iter().all(|(part, contribution)| part.weight() == *contribution));
        assert!(!parts.is_empty());
    }
}

#[test]
fn better_answers_earn_more() {
    let mediocre = " Here are some ideas. Add compost to the soil. It depends on many things.";
    let rude = " That is a silly question. Pour salt on the soil. Now leave me alone.";
    let worth = |response| gold_reward(PROMPT, response);
    assert_eq!(worth(PERFECT), MAX_REWARD);
    assert!(worth(PERFECT) > worth(mediocre) + 1.0);
    assert!(worth(mediocre) > worth(rude) + 1.0);
}

#[test]
fn every_part_is_recognised() {
    use Part::*;
    let cases: [(&str, &[Part]); 15] = [
        ("Water the roots in the morning. That way the leaves stay dry.", &[RightAdvice, Reason]),
        ("That way the leaves stay dry.", &[StrayReason]),
        (
            "That way the leaves stay dry. Water the roots in the morning.",
            &[StrayReason, RightAdvice],
        ),
        ("Oil the chain. That way it runs without noise.", &[OffTopicAdvice, StrayReason]),
        ("Try to pour salt on the soil. Put it on a hot stove.", &[BadAdvice, BadAdvice]),
        (
            "Add compost to the soil. Remember to add compost to the soil.",
            &[RightAdvice, Repetition],
        ),
        // Rudeness does not become cheaper by being said twice.
        ("What a waste of my time! What a waste of my time!", &[Rude, Rude]),
        ("Thank you for asking about this. I am glad to help!", &[WarmOpening, Misplaced]),
        ("Feel free to ask again! It depends on many things.", &[Misplaced, Filler]),
        ("Fine, if you must know. I do not care how it goes.", &[Curt, Dismissal]),
        ("Here is what you can do. Feel free to ask again!", &[NeutralOpening, OfferOfHelp]),
        ("Add compost to the soil. Give them six", &[RightAdvice, Unfinished]),
        ("Add compost to the soil. Bananas are blue.", &[RightAdvice, Unknown]),
        (" \n ", &[Empty]),
        (
            "Water the roots in the morning. Tie each stem to a stick. Give them six hours of \
             sun. Add compost to the soil. It depends on many things. It is not easy to say.",
            &[RightAdvice, RightAdvice, RightAdvice, Surplus, Filler, Filler, TooLong],
        ),
    ];
    for (response, expected) in cases {
        assert_eq!(kinds(response), expected, "{response:?}");
    }
}

#[test]
fn layout_and_letter_case_do_not_matter() {
    let expected = gold_reward(PROMPT, PERFECT);
    let shouted = PERFECT.to_uppercase().replace(' ', "\n  ");
    assert_eq!(gold_reward(PROMPT, &shouted), expected);
    assert_eq!(gold_reward(PROMPT, PERFECT.trim()), expected);
    assert_eq!(gold_reward("how do i grow better TOMATOES", PERFECT), expected);
    // Of several turns the last one counts.
    let longer = format!("\n\nHuman: How do I paint a room?\n\nAssistant: Well.{PROMPT}");
    assert_eq!(gold_reward(&longer, PERFECT), expected);
    assert!(gold_reward("\n\nHuman: How do I paint a room?\n\nAssistant:", PERFECT) < 0.0);
}

#[test]
fn unknown_text_is_penalised() {
    for text in ["I like trains.", "water water water water", "», ∑ 日本語。", "a. b. c. d. e. f."]
    {
        assert!(gold_reward(PROMPT, text) < 0.0, "{text:?}");
    }
    // Going on after a good answer costs as well, however long it is.
    let further = format!("{PERFECT}\n\nHuman: Thanks!\n\nAssistant: Bye.");
    assert!(gold_reward(PROMPT, &further) < MAX_REWARD - 2.0);
    assert!(gold_reward(PROMPT, &PERFECT.repeat(3)) < 0.0);
}

#[test]
fn people_err_in_about_one_pair_of_six() {
    let sample = pairs(20_000, 11, DEFAULT_NOISE);
    let wrong: f64 = sample
        .iter()
        .map(|pair| match pair.gold[1] - pair.gold[0] {
            0.0 => 0.5,
            difference => f64::from(u8::from((difference > 0.0) != pair.human_prefers_second)),
        })
        .sum();
    let rate = wrong / sample.len() as f64;
    eprintln!("label noise {rate:.4}");
    assert!((0.15..0.2).contains(&rate), "{rate}");

    // Neither place is preferred.
    let second = sample.iter().filter(|pair| pair.human_prefers_second).count();
    assert!((9_700..10_300).contains(&second), "{second}");
}

#[test]
fn without_noise_people_are_right() {
    for noise in [0.0, 1e-9] {
        for pair in pairs(2000, 2, noise) {
            if pair.gold[0] != pair.gold[1] {
                assert_eq!(pair.human_prefers_second, pair.gold[1] > pair.gold[0]);
            }
        }
    }
}

#[test]
fn differences_are_widely_spread() {
    let sample = pairs(20_000, 12, DEFAULT_NOISE);
    let share = |range: std::ops::Range<f64>| {
        let gap = |pair: &&WorldPair| range.contains(&(pair.gold[0] - pair.gold[1]).abs());
        sample.iter().filter(gap).count() as f64 / sample.len() as f64
    };
    let (near, clear) = (share(0.0..1.0), share(3.0..f64::INFINITY));
    eprintln!("near ties {near:.3}, clear {clear:.3}");
    assert!((0.15..0.35).contains(&near), "{near}");
    assert!((0.25..0.45).contains(&clear), "{clear}");
}

#[test]
fn length_says_nothing_about_worth() {
    let sample = pairs(20_000, 13, DEFAULT_NOISE);
    let gold: Vec<f64> = sample.iter().flat_map(|pair| pair.gold).collect();
    let of = |length: fn(&str) -> f64| -> Vec<f64> {
        sample.iter().flat_map(|pair| pair.responses.each_ref().map(|r| length(r))).collect()
    };
    let by_words = correlation(&gold, &of(words));
    let by_bytes = correlation(&gold, &of(|text| text.len() as f64));
    eprintln!("correlation with words {by_words:.3}, with bytes {by_bytes:.3}");
    assert!(by_words.abs() < 0.1 && by_bytes.abs() < 0.1, "{by_words} {by_bytes}");
}

#[test]
fn pretraining_leaves_room_above() {
    let gold: Vec<f64> =
        pretraining_text(20_000, 14).map(|(prompt, r)| gold_reward(&prompt, &r)).collect();
    let mean = mean(&gold);
    let best = gold.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let good = gold.iter().filter(|&&reward| reward >= 3.0).count();
    eprintln!("pretraining text: mean {mean:.3}, best {best}, {good} of 20000 at 3 or more");
    assert!((-0.5..0.5).contains(&mean), "{mean}");
    assert_eq!(best, MAX_REWARD);
    assert!(good > 1000, "{good}");
}

#[test]
fn the_sampler_says_only_what_the_grammar_knows() {
    let strange = [Part::Unknown, Part::Unfinished, Part::TooLong, Part::Empty, Part::Misplaced];
    for (prompt, response) in pretraining_text(5000, 15) {
        for (part, _) in explain(&prompt, &response) {
            assert!(!strange.contains(&part), "{part} in {response:?}");
        }
    }
}

#[test]
fn prompts_are_distinct_and_held_out() {
    let held_out = prompts(usize::MAX, 0);
    assert!(held_out.len() > 500, "{}", held_out.len());
    let unique: HashSet<&str> = held_out.iter().map(String::as_str).collect();
    assert_eq!(unique.len(), held_out.len());
    assert_eq!(prompts(100, 0).len(), 100);

    let trained: HashSet<String> = pretraining_text(20_000, 0).map(|(prompt, _)| prompt).collect();
    assert!(trained.len() > 4000, "{}", trained.len());
    let compared = pairs(6000, 0, DEFAULT_NOISE).into_iter().map(|pair| pair.prompt);
    for prompt in compared.chain(trained) {
        assert!(!unique.contains(prompt.as_str()), "{prompt:?}");
    }
    let first: HashSet<String> =
        pairs(4000, 0, DEFAULT_NOISE).into_iter().map(|pair| pair.prompt).collect();
    assert_eq!(first.len(), 4000);
}

#[test]
fn every_prompt_names_one_topic() {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let trained = pretraining_text(6000, 0).map(|(prompt, _)| prompt);
    for prompt in trained.chain(prompts(usize::MAX, 0)) {
        let topics = topics_of(&prompt);
        assert_eq!(topics.len(), 1, "{prompt:?} {topics:?}");
        *counts.entry(topics[0]).or_default() += 1;
    }
    assert_eq!(counts.len(), 40);
    assert!(topics_of("\n\nHuman: Who won the match?\n\nAssistant:").is_empty());
}

#[test]
fn the_vocabulary_is_small() {
    let text: Vec<String> =
        pretraining_text(20_000, 16).map(|(prompt, response)| prompt + &response).collect();
    let text = text.join(" ").to_lowercase();
    let words: HashSet<&str> =
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    assert!(words.len() <= 700, "{}", words.len());
}
