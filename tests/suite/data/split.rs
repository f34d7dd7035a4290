//! Splits are partitions by prompt with the right shares.

use std::collections::HashSet;

use confide::data::{
    Label, Message, Pair, Prompt, Role, Side, Source, Split, SplitSettings, read_file, split,
};
use proptest::prelude::*;

use super::data;

fn pair(prompt: usize, labelled: bool) -> Pair {
    Pair {
        prompt: Prompt::Text(format!("prompt {prompt}")),
        responses: ["a".to_owned(), "b".to_owned()],
        label: labelled.then(|| Label::certain(Side::First)),
        weight: 1.0,
        source: Source { file: 0, line: 1 },
    }
}

fn parts(split: &Split) -> [&Vec<usize>; 5] {
    [&split.labelled, &split.calibration, &split.unlabelled, &split.held_out, &split.left_out]
}

#[test]
fn one_prompt_has_one_key_in_every_form() {
    let text = |text: &str| Prompt::Text(text.to_owned()).key();
    let message = |role, content: &str| Message::new(role, content);
    assert_eq!(text("Why is  the sky\nblue? "), text("Why is the sky blue?"));
    assert_eq!(text("\n\nHuman: Why?\n\nAssistant:"), text("Why?"));
    assert_eq!(Prompt::Messages(vec![message(Role::User, "Why?")]).key(), text("Why?"));
    let chat = [message(Role::User, "a"), message(Role::Assistant, "b"), message(Role::User, "c")];
    let transcript = text("\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:");
    assert_eq!(Prompt::Messages(chat.to_vec()).key(), transcript);
    assert_ne!(text("Why?"), text("why?"));
    // Fixed for good: caches and published splits rest on it.
    assert_eq!(text("Why is the sky blue?").to_string(), "a283dc9dee9cc9f99a3ff0c081abc874");
}

#[test]
fn extreme_shares() {
    let pairs: Vec<Pair> = (0..50).map(|i| pair(i / 2, true)).collect();
    let all: Vec<usize> = (0..50).collect();
    let at = |labelled, held_out| {
        split(&pairs, &SplitSettings { labelled, held_out, calibration: 0.0, seed: 3 })
    };
    assert_eq!(at(1.0, 0.0), Split { labelled: all.clone(), ..Split::default() });
    assert_eq!(at(0.0, 0.0), Split { unlabelled: all.clone(), ..Split::default() });
    assert_eq!(at(0.5, 1.0), Split { held_out: all.clone(), ..Split::default() });
    assert_eq!(at(f64::NAN, -1.0), Split { unlabelled: all.clone(), ..Split::default() });
    assert_eq!(at(7.0, f64::NAN), Split { labelled: all, ..Split::default() });
    assert_eq!(
        split(&[], &SplitSettings { labelled: 0.3, held_out: 0.1, calibration: 0.0, seed: 0 }),
        Split::default()
    );
}

#[test]
fn the_held_out_part_does_not_depend_on_the_labelled_share() {
    let pairs: Vec<Pair> = (0..500).map(|i| pair(i / 3, true)).collect();
    let at = |labelled, seed| {
        split(&pairs, &SplitSettings { labelled, held_out: 0.1, calibration: 0.0, seed })
    };
    assert_eq!(at(0.2, 1).held_out, at(0.8, 1).held_out);
    assert_eq!(at(0.2, 1), at(0.2, 1));
    assert_ne!(at(0.2, 1).held_out, at(0.2, 2).held_out);
}

/// What calibrates comes out of the labelled part alone.
#[test]
fn the_calibration_part_is_taken_from_the_labelled_one_by_prompt() {
    let pairs: Vec<Pair> = (0..600).map(|i| pair(i / 3, i % 7 != 0)).collect();
    let at = |calibration| {
        split(&pairs, &SplitSettings { labelled: 0.5, held_out: 0.1, calibration, seed: 4 })
    };
    let (without, with) = (at(0.0), at(0.2));
    assert!(without.calibration.is_empty());
    let parts = |s: &Split| (s.unlabelled.clone(), s.held_out.clone(), s.left_out.clone());
    assert_eq!(parts(&with), parts(&without));
    let mut both = [&with.labelled[..], &with.calibration].concat();
    both.sort_unstable();
    assert_eq!(both, without.labelled);
    let prompts = |part: &[usize]| part.iter().map(|i| i / 3).collect::<HashSet<_>>();
    assert!(prompts(&with.calibration).is_disjoint(&prompts(&with.labelled)));
    let share = with.calibration.len() as f64 / without.labelled.len() as f64;
    assert!((share - 0.2).abs() < 0.01, "{share}");
}

#[test]
fn real_pairs_split_by_prompt() {
    let Some(path) = data("pandalm-human/testset-v1.json") else { return };
    let (pairs, _) = read_file(&path, &confide::data::ReadSettings::default()).unwrap();
    let parts =
        split(&pairs, &SplitSettings { labelled: 0.3, held_out: 0.1, calibration: 0.0, seed: 0 });
    let keys = |part: &[usize]| part.iter().map(|i| pairs[*i].prompt.key()).collect::<HashSet<_>>();
    let (labelled, unlabelled, held_out) =
        (keys(&parts.labelled), keys(&parts.unlabelled), keys(&parts.held_out));
    assert!(
        labelled.is_disjoint(&unlabelled)
            && labelled.is_disjoint(&held_out)
            && unlabelled.is_disjoint(&held_out)
    );
    assert!(parts.held_out.len().abs_diff(84) <= 4, "{}", parts.held_out.len());
    assert!(parts.labelled.len().abs_diff(226) <= 4, "{}", parts.labelled.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn splits_are_partitions_by_prompt(
        prompts in proptest::collection::vec((0..60_usize, 0..5_u8), 0..300),
        labelled in 0.0..=1.0,
        held_out in 0.0..=1.0,
        calibration in 0.0..=1.0,
        seed: u64,
    ) {
        let pairs: Vec<Pair> = prompts.iter().map(|(prompt, label)| pair(*prompt, *label > 0)).collect();
        let found = split(&pairs, &SplitSettings { labelled, held_out, calibration, seed });
        let mut all: Vec<usize> = parts(&found).into_iter().flatten().copied().collect();
        for part in parts(&found) {
            prop_assert!(part.is_sorted());
        }
        all.sort_unstable();
        prop_assert_eq!(all, (0..pairs.len()).collect::<Vec<_>>());

        let prompts_of = |parts: &[&Vec<usize>]| -> HashSet<usize> {
            parts.iter().flat_map(|part| part.iter()).map(|i| prompts[*i].0).collect()
        };
        let held = prompts_of(&[&found.held_out, &found.left_out]);
        prop_assert!(held.is_disjoint(&prompts_of(&[&found.labelled, &found.calibration, &found.unlabelled])));
        // A labelled prompt has no hidden label.
        let hidden: Vec<usize> = found.unlabelled.iter().copied().filter(|i| pairs[*i].label.is_some()).collect();
        let known = [&found.labelled, &found.calibration];
        prop_assert!(prompts_of(&known).is_disjoint(&prompts_of(&[&hidden])));
        prop_assert!(prompts_of(&known[..1]).is_disjoint(&prompts_of(&known[1..])));

        let count = |part: &[usize]| part.iter().filter(|i| pairs[**i].label.is_some()).count();
        prop_assert_eq!(count(&found.labelled), found.labelled.len());
        prop_assert_eq!(count(&found.calibration), found.calibration.len());
        prop_assert_eq!(count(&found.held_out), found.held_out.len());
        prop_assert_eq!(count(&found.left_out), 0);

        // No part misses its share by more than half of the largest prompt.
        let largest = (0..60).map(|p| prompts.iter().filter(|(q, l)| *q == p && *l > 0).count()).max().unwrap_or(0);
        let human = pairs.iter().filter(|pair| pair.label.is_some()).count();
        let off = |part: usize, of: usize, share: f64| (part as f64 - share * of as f64).abs();
        prop_assert!(off(found.held_out.len(), human, held_out) <= largest as f64 / 2.0 + 1e-9);
        let rest = human - found.held_out.len();
        let labelled_pairs = found.labelled.len() + found.calibration.len();
        prop_assert!(off(labelled_pairs, rest, labelled) <= largest as f64 / 2.0 + 1e-9);
    }

    /// The same prompts give the same parts, in whatever order they stand.
    #[test]
    fn splits_do_not_depend_on_order(count in 1..80_usize, turn in 0..80_usize, seed: u64) {
        let settings = SplitSettings { labelled: 0.4, held_out: 0.2, calibration: 0.0, seed };
        let pairs: Vec<Pair> = (0..count).map(|i| pair(i, true)).collect();
        let mut turned = pairs.clone();
        turned.rotate_left(turn % count);
        let keys = |pairs: &[Pair], part: &[usize]| {
            part.iter().map(|i| pairs[*i].prompt.key()).collect::<HashSet<_>>()
        };
        let (found, again) = (split(&pairs, &settings), split(&turned, &settings));
        prop_assert_eq!(keys(&pairs, &found.held_out), keys(&turned, &again.held_out));
        prop_assert_eq!(keys(&pairs, &found.labelled), keys(&turned, &again.labelled));
    }
}
