//! Logits, log-probabilities, scores and greedy text.

use confide::model::{
    Sampling, generate, input, sequence_log_probs, sequence_scores, token_log_probs,
};

use super::{
    FAMILIES, HALVES, Padded, SCORED, assert_within, batch, expected, files, open, sequences,
    vector, with_score,
};
use crate::common::{ids, numbers};

#[test]
fn logits_agree_with_transformers() {
    for family in FAMILIES {
        let (model, expected) = (open(family).decoder, expected(family));
        let sequences = sequences(&expected, 1);
        let hidden = model.hidden(&input(&batch(&sequences), &model.device()), None);
        for (row, sequence) in sequences.iter().enumerate() {
            let (length, width) = (sequence.len(), hidden.dims()[2]);
            let real = hidden.clone().slice([row..row + 1, 0..length]).reshape([length, width]);
            let wanted = numbers(&expected["logits"][row]);
            assert_within(&vector(model.logits(real)), &wanted, &format!("{family} row {row}"));
        }
    }
}

#[test]
fn log_probabilities_agree_token_for_token() {
    for family in FAMILIES.into_iter().chain(HALVES) {
        let (model, expected) = (open(family).decoder, expected(family));
        let batch = batch(&sequences(&expected, 4));
        let tokens = vector(token_log_probs(&model, &batch));
        assert_within(&tokens, &numbers(&expected["log_probs"]), family);
        let sums = vector(sequence_log_probs(&model, &batch));
        assert_within(&sums, &numbers(&expected["sum_log_probs"]), family);
    }
}

#[test]
fn left_padded_rows_have_the_logits_of_transformers() {
    for family in FAMILIES.into_iter().chain(HALVES) {
        let (model, expected) = (open(family).decoder, expected(family));
        let last = Padded::of(&expected, "left").states_of_last(&model, 0);
        let wanted = numbers(&expected["logits_left_last"]);
        assert_within(&vector(model.logits(last)), &wanted, family);
    }
}

#[test]
fn scores_agree_on_either_side_of_padding() {
    for family in FAMILIES {
        let expected = expected(family);
        let model = with_score(open(family).decoder, &expected);
        let scores = sequence_scores(&model, &batch(&sequences(&expected, 4)));
        assert_within(&vector(scores), &numbers(&expected["scores"]), family);
        let last = Padded::of(&expected, "left").states_of_last(&model, 0);
        assert_within(&vector(model.scores(last)), &numbers(&expected["scores_left"]), family);
    }
    for half in HALVES {
        let expected = expected(half);
        let model = with_score(open(half).decoder, &expected);
        let scores = sequence_scores(&model, &batch(&sequences(&expected, 4)));
        assert_within(&vector(scores), &numbers(&expected["scores"]), half);
    }
}

/// Where a classifier reads is its own rule: the rightmost token that is not its padding token.
#[test]
fn stored_classifiers_score_as_transformers_does() {
    for name in SCORED {
        let (model, expected) = (open(name).decoder, expected(name));
        let pad = files(name).special_tokens().unwrap().pad.unwrap();
        assert!(model.head.is_none(), "{name}: a classifier has no language-model head");
        let weight = model.score.as_ref().expect("a scalar head").weight.val();
        assert_within(&vector(weight), &numbers(&expected["score_weight"]), name);
        for (side, key) in [("right", "scores"), ("left", "scores_left")] {
            let last = Padded::of(&expected, side).states_of_last(&model, pad);
            let wanted = numbers(&expected[key]);
            assert_within(&vector(model.scores(last)), &wanted, &format!("{name} {side}"));
        }
        // Batches here know where sequences end, which is where that rule finds them.
        let scores = sequence_scores(&model, &batch(&sequences(&expected, 4)));
        assert_within(&vector(scores), &numbers(&expected["scores"]), name);
    }
}

#[test]
fn greedy_samples_agree_token_for_token() {
    for family in FAMILIES {
        let (model, expected) = (open(family).decoder, expected(family));
        let greedy = &expected["greedy"];
        let wanted = ids(&greedy["tokens"]);
        let sampling =
            Sampling { max_new_tokens: wanted.len(), temperature: 0.0, ..Sampling::default() };
        // A second, shorter prompt in the batch must not change the first.
        let prompt = ids(&greedy["prompt"]);
        let prompts = [prompt.clone(), prompt[..2].to_vec()];
        let found = generate(&model, &prompts, &[], &sampling).unwrap();
        assert_eq!(wanted.len(), 50);
        assert_eq!(found[0].tokens, wanted, "{family}");
        assert_within(&found[0].log_probs, &numbers(&greedy["log_probs"]), family);
        let alone = generate(&model, &prompts[1..], &[], &sampling).unwrap();
        assert_eq!(found[1].tokens, alone[0].tokens, "{family}: the shorter prompt alone");
    }
}
