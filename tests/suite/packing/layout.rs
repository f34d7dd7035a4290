//! Where packed rows put what.

use std::sync::Arc;

use confide::batch::{Batch, Piece, SegmentKind, Sequence, Span, Target, bucket};
use confide::model::BatchShape;
use proptest::prelude::*;

use super::shared::behind_heads;
use super::{PAD, behind, random_sequences};

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
    let own =
        |prompt: [usize; 2], own, group_end| Span { head: [prompt[0]; 2], prompt, own, group_end };
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

fn piece(tokens: &[u32], of: Option<usize>, after: Option<usize>) -> Piece<'_> {
    let kind = of.map_or(SegmentKind::Prompt, SegmentKind::Response);
    Piece { tokens, kind, after, joined: false }
}

#[test]
fn what_prompts_begin_with_is_there_once() {
    let pieces = [
        piece(&[5, 6], None, None),
        piece(&[7, 1], None, Some(0)),
        piece(&[1, 2], Some(0), Some(1)),
        piece(&[9], Some(3), Some(1)),
        piece(&[], None, Some(0)),
        piece(&[7, 3], Some(1), Some(4)),
        piece(&[7], None, Some(0)),
        piece(&[4], Some(2), Some(6)),
    ];
    let batch = Batch::of_pieces(&pieces, PAD);
    assert_eq!(batch.sequences, 4);
    assert_eq!(batch.tokens[..11], [5, 6, 7, 1, 1, 2, 9, 7, 3, 7, 4]);
    assert_eq!(batch.positions[..11], [0, 1, 2, 3, 4, 5, 4, 2, 3, 2, 3]);
    let spans = batch.spans();
    let own = |prompt, own, group_end| Span { head: [0, 2], prompt, own, group_end };
    let alone = Span { head: [0, 0], prompt: [0, 0], own: 0, group_end: 11 };
    assert_eq!(spans[1], alone, "all see the head, which sees itself");
    assert_eq!(spans[3], own([2, 2], 2, 7), "a prompt sees the head and itself");
    assert_eq!(spans[6], own([2, 4], 6, 7));
    assert_eq!(spans[8], own([7, 7], 7, 9), "a prompt that is the head alone");
    assert_eq!(spans[10], own([9, 10], 10, 11));
    let padding = Span { head: [12, 12], prompt: [12, 12], own: 12, group_end: 13 };
    assert_eq!(spans[12], padding);
    let targets: Vec<_> = batch.targets().iter().map(|t| (t.from, t.token, t.sequence)).collect();
    assert_eq!(targets, [(3, 1, 0), (4, 2, 0), (3, 9, 3), (1, 7, 1), (7, 3, 1), (9, 4, 2)]);
    let prompts: Vec<_> = batch
        .prompt_targets()
        .into_iter()
        .map(|(t, all)| (t.from, t.token, t.index, all))
        .collect();
    let expected = [
        (0, 6, 1, vec![0, 3, 1, 2]),
        (1, 7, 2, vec![0, 3]),
        (2, 1, 3, vec![0, 3]),
        (1, 7, 2, vec![2]),
    ];
    assert_eq!(prompts, expected);
    assert_eq!(batch.ends(), [5, 8, 10, 6]);
    assert_eq!(batch.real_tokens(), 11);
    // Nothing of a sequence but its head is more than padding.
    let padding = [PAD; 1];
    let two = [1, 2].map(|of| piece(&padding, Some(of - 1), Some(1)));
    let empty = [piece(&[3, 4], None, None), piece(&padding, None, Some(0)), two[0], two[1]];
    assert_eq!(Batch::of_pieces(&empty, PAD).ends(), [1, 1]);
}

/// What stands right behind what it continues may be one stretch with it: more than three pieces are seen so.
#[test]
fn pieces_that_are_joined_are_one_stretch() {
    let joined = |piece| Piece { joined: true, ..piece };
    let pieces = [
        piece(&[5, 6], None, None),
        joined(piece(&[7], None, Some(0))),
        joined(piece(&[8, 9], Some(0), Some(1))),
        piece(&[1, 2], None, Some(1)),
        joined(piece(&[3], None, Some(3))),
        joined(piece(&[4], Some(1), Some(4))),
        piece(&[4, 4], Some(2), Some(4)),
    ];
    let batch = Batch::of_pieces(&pieces, PAD);
    assert_eq!(batch.tokens[..11], [5, 6, 7, 8, 9, 1, 2, 3, 4, 4, 4]);
    assert_eq!(batch.positions[..11], [0, 1, 2, 3, 4, 3, 4, 5, 6, 6, 7]);
    let span = |head, prompt, own, group_end| Span { head, prompt, own, group_end };
    let spans = batch.spans();
    assert_eq!(spans[1], span([0, 0], [0, 0], 0, 11));
    assert_eq!(spans[2], span([0, 0], [0, 0], 0, 11));
    assert_eq!(spans[4], span([0, 0], [0, 0], 0, 5));
    assert_eq!(spans[6], span([0, 3], [5, 5], 5, 11));
    assert_eq!(spans[7], span([0, 3], [5, 5], 5, 11));
    assert_eq!(spans[8], span([0, 0], [0, 3], 5, 9));
    assert_eq!(spans[10], span([0, 3], [5, 8], 9, 11));
    assert_eq!(batch.ends(), [4, 8, 10]);
    let targets: Vec<_> = batch.targets().iter().map(|t| (t.from, t.token, t.sequence)).collect();
    assert_eq!(targets, [(2, 8, 0), (3, 9, 0), (7, 4, 1), (7, 4, 2), (9, 4, 2)]);
}

proptest! {
    #[test]
    fn packed_rows_say_what_single_rows_say(
        seed in any::<u64>(),
        groups in 1usize..9,
        head in prop_oneof![Just(0), 1usize..20],
    ) {
        let sequences = behind(head, &random_sequences(seed, groups));
        let all: Vec<&Sequence> = sequences.iter().collect();
        let packed = behind_heads(head, &all, PAD);
        let single = Batch::one_per_row(&all, PAD);
        prop_assert_eq!(Batch::packed(&all, PAD).length, BatchShape::of(&all).tokens);
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
        let of_prompts = |batch: &Batch| -> Vec<(usize, usize, u32, u32)> {
            let each = |(t, all): (Target, Vec<usize>)| {
                let said = move |sequence| (sequence, t.index, batch.positions[t.from], t.token);
                all.into_iter().map(said)
            };
            let mut all: Vec<_> = batch.prompt_targets().into_iter().flat_map(each).collect();
            all.sort_unstable();
            all
        };
        prop_assert_eq!(of_prompts(&packed), of_prompts(&single));
        // Following what each token sees gives its sequence back.
        let spans = packed.spans();
        for (segment, kind) in packed.segments.iter().map(|s| (s, s.kind)) {
            let SegmentKind::Response(which) = kind else { continue };
            let span = spans[segment.end - 1];
            let stretches = [span.head, span.prompt, [span.own, segment.end]];
            let seen = stretches.into_iter().flat_map(|[from, to]| from..to);
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
