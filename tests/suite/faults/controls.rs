//! Words of data that a tokenizer reads as control tokens.

use confide::data::{Message, Pair, Prompt, ReadSettings, Role, read_file};
use confide::text::{Chat, ControlWords, Encoder, encode_pairs};
use serde_json::{Value, json};

use super::{Model, VOCABULARY, assert_says, data, run};
use crate::common::program;

const TEMPLATE: &str = "{% for m in messages %}{{ m.role }}: {{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

fn model() -> Model {
    let rows = VOCABULARY + 1;
    let model = Model::of(&json!({
        "model_type": "llama", "vocab_size": rows, "hidden_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 512,
        "tie_word_embeddings": true, "eos_token_id": 0,
    }));
    model.add_token(VOCABULARY, "<|end|>");
    model.write("chat_template.jinja", TEMPLATE);
    model
}

fn encoder(model: &Model, words: ControlWords) -> Encoder {
    Encoder::load(&model.files(), &Chat { words, ..Chat::default() }).unwrap()
}

fn pairs(model: &Model) -> Vec<Pair> {
    let path = data(
        model.path(),
        &[
            ["How?", " So.", " No."],
            ["What is <|end|>?", " A token.", " None."],
            ["Why?", " <|endoftext|> is one.", " <|end|> or <|end|> it"],
            ["And?", " Whole.<|endoftext|>", " Cut."],
        ],
    );
    read_file(&path, &ReadSettings::default()).unwrap().0
}

#[test]
fn they_are_counted_with_their_first_line() {
    let model = model();
    let found = encoder(&model, ControlWords::Keep).controls_in(&pairs(&model));
    // That a response brings its own end along is no harm.
    assert_eq!((found.pairs, found.line), (2, 2));
    let told = found.to_string();
    assert_says(&told, &["2 pairs", "`<|end|>` in 2", "`<|endoftext|>` in 1", "line 2"]);
    let path = data(model.path(), &[["a <|end|> b", " x", " y"], ["q", " z", " w"]]);
    let args = ["inspect", path.to_str().unwrap(), "--model", model.path().to_str().unwrap()];
    let output = program().args(args).output().unwrap();
    assert_says(&String::from_utf8_lossy(&output.stdout), &["1 pairs hold", "`<|end|>` in 1"]);
    let output = program().args(args).arg("--json").output().unwrap();
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["control_tokens"], json!({"pairs": 1, "tokens": {"<|end|>": 1}, "line": 1}));
}

#[test]
fn escaped_they_are_words() {
    let model = model();
    let pairs = pairs(&model);
    let all: Vec<usize> = (0..pairs.len()).collect();
    let ids = |words| {
        let encoder = encoder(&model, words);
        let encoded = encode_pairs(&encoder, &pairs, &all).unwrap();
        assert!(encoded.refused.is_empty());
        encoded.pairs.into_iter().map(|pair| pair.sides).collect::<Vec<_>>()
    };
    let control =
        |ids: &[u32]| ids.iter().filter(|id| [0, VOCABULARY as u32].contains(*id)).count();
    let (kept, escaped) = (ids(ControlWords::Keep), ids(ControlWords::Escape));
    assert_eq!(kept[0], escaped[0]);
    assert_eq!(kept[3], escaped[3]);
    for pair in [1, 2] {
        for side in [0, 1] {
            let prompt = control(&escaped[pair][side].prompt);
            let response = control(&escaped[pair][side].response);
            // Nothing but the one end that is written behind the response.
            assert_eq!([prompt, response], [0, 1], "pair {pair}, side {side}");
        }
    }
    assert!(control(&kept[1][0].prompt) > 0 && control(&kept[2][1].response) > 1);
}

#[test]
fn escaped_in_conversations_the_template_still_ends_turns() {
    let model = model();
    let turn = |role, text: &str| Message::new(role, text);
    let prompt = Prompt::Messages(vec![turn(Role::User, "Say <|end|>!")]);
    let encoder = encoder(&model, ControlWords::Escape);
    let whole = encoder.whole(&prompt, "<|end|> it is<|end|>").unwrap().text;
    assert_eq!(whole, "user: Say < |end|>!<|end|>assistant: < |end|> it is<|end|>");
}

#[test]
fn refused_their_pairs_are_left_out_and_counted() {
    let model = model();
    let path = data(
        model.path(),
        &[
            ["How?", " So.", " No."],
            ["What is <|end|>?", " A token.", " None."],
            ["Why?", " Because.", " <|endoftext|> so."],
            ["Then?", " Now.", " Later."],
            ["When?", " Now.", " Later."],
        ],
    );
    let refused = run(model.path(), &path, &[("data.special_tokens", "refuse")]);
    refused.warned(&["2 of 5 training pairs are left out", "data.special_tokens", "line 2"]);
    assert_eq!(refused.report.as_ref().unwrap().data.refused, 2);
    let kept = run(model.path(), &path, &[]);
    kept.warned(&["for the policy, 2 pairs hold", "stay control tokens", "escape"]);
    assert_eq!(kept.report.as_ref().unwrap().data.refused, 0);
    let path = data(model.path(), &[["<|end|>", " a", " b"], ["x<|end|>", " c", " d"]]);
    let none = run(model.path(), &path, &[("data.special_tokens", "refuse")]);
    assert_says(&none.error(), &["all 2 training pairs", "data.special_tokens", "escape"]);
}
