//! Where packed rows put what.

use std::sync::Arc;

use confide::batch::{Batch, Sequence, Span, bucket};
use proptest::prelude::*;

use super::{PAD, both, random_sequences};

fn sequence(prompt: &Arc<[u32]>, response: &[u32]) -> Sequence {
    Sequence { prompt: prompt.clone(), response: response.to_vec() }
}

#[test]
fn a_prompt_is_there_once_and_positions_go_on_from_it() {
    let (first, second): (Arc<[u32]>, Arc<[u32]>) = ([5, 6, 7].into(), [8].into());
    let [a, b, c] =
        [sequence(&first, &[1, 2]), sequence(&second, &[3]), sequence(&first, &[4, 9, 10])];
    let batch = Batch::packed(&[&a, &b, &c], PAD);
    assert_eq!(batch.tokens[..10], [5, 6, 7, 1, 2, 4, 9, 10, 8, 3]);
    assert_eq!(batch.positions[..10], [0, 1, 2, 3, 4, 3, 4, 5, 0, 1]);
    assert_eq!((batch.rows, batch.length, batch.real_tokens()), (1, 16, 10));
    let spans = batch.spans();
    let own = |prompt, own, group_end| Span { prompt, own, group_end };
    assert_eq!(spans[1], own([0, 0], 0, 8), "a prompt sees itself, and both responses see it");
    assert_eq!(spans[4], own([0, 3], 3, 5));
    assert_eq!(spans[7], own([0, 3], 5, 8), "the second response does not see the first");
    assert_eq!(spans[9], own([8, 9], 9, 10));
    assert_eq!(spans[12], own([12, 12], 12, 13), "padding sees itself");
    let targets: Vec<_> = batch.targets().iter().map(|t| (t.from, t.token, t.sequence)).collect();
    let expected = [(2, 1, 0), (3, 2, 0), (2, 4, 2), (5, 9, 2), (6, 10, 2), (8, 3, 1)];
    assert_eq!(targets, expected);
    assert_eq!(batch.ends(), [4, 9, 7]);
    assert_eq!(batch.response_lengths(), [2, 1, 3]);
}

proptest! {
    #[test]
    fn packed_rows_say_what_single_rows_say(seed in any::<u64>(), groups in 1usize..9) {
        let sequences = random_sequences(seed, groups);
        let [packed, single] = both(&sequences);
        let read = |batch: &Batch| -> Vec<(usize, u32, u32)> {
            let mut all: Vec<_> = batch
                .targets()
                .iter()
                .map(|t| (t.sequence, batch.positions[t.from], t.token))
                .collect();
            all.sort_unstable();
            all
        };
        prop_assert_eq!(read(&packed), read(&single));
        let ends = |batch: &Batch| -> Vec<(u32, u32)> {
            batch.ends().iter().map(|&i| (batch.positions[i], batch.tokens[i])).collect()
        };
        prop_assert_eq!(ends(&packed), ends(&single));
        // Following what each token sees gives its sequence back.
        let spans = packed.spans();
        for (segment, kind) in packed.segments.iter().map(|s| (s, s.kind)) {
            let confide::batch::SegmentKind::Response(which) = kind else { continue };
            let span = spans[segment.end - 1];
            let seen = (span.prompt[0]..span.prompt[1]).chain(span.own..segment.end);
            let seen: Vec<u32> = seen.map(|i| packed.tokens[i]).collect();
            let sequence = &sequences[which];
            let whole: Vec<u32> = sequence.prompt.iter().chain(&sequence.response).copied().collect();
            prop_assert_eq!(seen, whole);
        }
    }

    #[test]
    fn lengths_are_few_and_little_is_padding(n in 1usize..100_000) {
        let length = bucket(n);
        prop_assert!(length >= n && bucket(length) == length);
        prop_assert!(length - n <= 15.max(n / 32));
    }
}
