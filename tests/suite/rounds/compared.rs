//! Rounds whose annotator compares two responses.

use burn::tensor::Device;
use confide::annotate::{
    Annotating, Annotation, Annotator, Asked, Judging, Seen, all_log_odds, encode_questions,
};
use confide::batch::Sequence;
use confide::data::{AnnotatedPair, Pair, Prompt, Side};
use confide::model::{ModelError, ModelFiles, load};
use confide::registry::Choice;
use confide::text::{Encoder, Tokenizer};

use super::{DRAWN, drawn, run, table};
use crate::common::{assert_close, repository};

/// By how much a judge that is asked in both orders prefers the first of two responses.
fn judged(prompt: &str, couples: &[[String; 2]]) -> Vec<f64> {
    let files = ModelFiles::folder(&repository("tests/fixtures/judge")).unwrap();
    let encoder = Encoder::plain(Tokenizer::load(&files).unwrap());
    let annotator = Choice::<dyn Annotator>::named("judge").unwrap();
    let judging = Judging { judge: Asked::AB, ..Judging::default() };
    let settings = Annotating { judging, ..Annotating::default() };
    let (demo, _) = confide::builtin::pairs("demo", 1).unwrap();
    let pair = |responses: &[String; 2]| Pair {
        prompt: Prompt::Text(prompt.to_owned()),
        responses: responses.clone(),
        ..demo[0].clone()
    };
    let pairs: Vec<Pair> = couples.iter().map(pair).collect();
    let places: Vec<usize> = (0..pairs.len()).collect();
    let asking = encode_questions(&encoder, annotator.0, &settings, &pairs, &places).unwrap();
    let sequences: Vec<&Sequence> = asking.encoded.pairs.iter().flat_map(|p| &p.sides).collect();
    let decoder = load(&files, &Device::flex()).unwrap().decoder;
    let quiet = &mut |_| Ok::<(), ModelError>(());
    let odds = all_log_odds(&decoder, &sequences, asking.answers.unwrap(), 1, quiet).unwrap();
    let margin = |(pair, odds): (&Pair, &[f32])| {
        let scores = Some([f64::from(odds[0]), f64::from(odds[1])]);
        let seen = Seen { pair, scores, spread: 0.0, pool: Default::default() };
        match annotator.annotate(&seen, &settings) {
            Some(Annotation::Scores([first, second])) => first - second,
            other => panic!("{other:?}"),
        }
    };
    pairs.iter().zip(odds.chunks(2)).map(margin).collect()
}

/// What each response is better by than the others to its prompt, all together, says which is the best and which the
/// worst; what is said of these two is what the judge says of them, or what the order of all makes of it.
#[test]
fn a_judge_of_two_compares_each_response_with_each_other() {
    let place = tempfile::tempdir().unwrap();
    let judge = repository("tests/fixtures/judge");
    for ordered in ["false", "true"] {
        let folder = place.path().join(ordered);
        let settings = [
            ("annotator.kind", "judge"),
            ("annotator.model", judge.to_str().unwrap()),
            ("annotator.judge", "a-b"),
            ("annotator.tournament", ordered),
            ("data.chat", "plain"),
        ];
        run(&folder, &[&settings[..], &DRAWN].concat());
        let rows = table(&folder, 2);
        assert_eq!(rows.len(), 3);
        for (row, four) in rows.iter().zip(drawn(&rows).chunks(4)) {
            let mut texts: Vec<String> = four.iter().map(|(text, _)| text.clone()).collect();
            texts.dedup();
            assert!(texts.len() > 2, "{texts:?}");
            check(row, &texts, ordered == "true");
        }
    }
}

fn check(row: &AnnotatedPair, texts: &[String], ordered: bool) {
    let n = texts.len();
    let couples: Vec<[usize; 2]> = (0..n).flat_map(|i| (i + 1..n).map(move |k| [i, k])).collect();
    let both: Vec<[String; 2]> = couples.iter().map(|two| two.map(|k| texts[k].clone())).collect();
    let margins = judged(&row.prompt, &both);
    let mut sums = vec![0.0; n];
    for ([i, k], margin) in couples.iter().zip(&margins) {
        sums[*i] += margin;
        sums[*k] -= margin;
    }
    let place = |text: &str| texts.iter().position(|known| known == text).unwrap();
    let by_sum = |a: &usize, b: &usize| sums[*a].total_cmp(&sums[*b]);
    let [best, worst] = [(0..n).max_by(by_sum).unwrap(), (0..n).min_by(by_sum).unwrap()];
    let mut found = row.responses.each_ref().map(|text| place(text));
    let said = if row.label == Side::First { row.margin } else { -row.margin };
    let wanted = if ordered {
        (sums[found[0]] - sums[found[1]]) / n as f64
    } else {
        margins[couples.iter().position(|two| *two == found).unwrap()]
    };
    assert_close(&[said], &[wanted], 1e-4, "margin");
    found.sort_unstable();
    assert_eq!(found, [best.min(worst), best.max(worst)]);
}
