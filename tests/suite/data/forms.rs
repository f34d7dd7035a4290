//! The same preferences written in every form of label are read as the same preferences, or not
//! at all; what a form leaves open is called a guess.

use confide::data::{FileReport, Pair, Side};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{assert_says, rows};

/// Which response is better, and by how much, from 1 to 3; 0 is a tie.
type Truth = (Option<Side>, u8);

/// One way of writing labels.
struct Form {
    name: &'static str,
    /// The column, with `{0}` and `{1}` for the words that tell the candidates apart.
    column: &'static str,
    write: fn(Truth, [&str; 2]) -> Value,
    /// Whether it says all that is needed, so that it must be read and is no guess.
    certain: bool,
}

fn pick([first, second]: [&str; 2], side: Option<Side>, tie: &str) -> Value {
    match side {
        Some(Side::First) => json!(first),
        Some(Side::Second) => json!(second),
        None => json!(tie),
    }
}

/// Below 0 for the first, above for the second.
fn signed((side, size): Truth) -> i64 {
    match side {
        Some(Side::First) => -i64::from(size),
        Some(Side::Second) => i64::from(size),
        None => 0,
    }
}

const FORMS: &[Form] = &[
    Form {
        name: "letters",
        column: "label",
        certain: true,
        write: |(side, _), _| pick(["A", "B"], side, "tie"),
    },
    Form {
        name: "words",
        column: "winner",
        certain: true,
        write: |(side, _), [a, b]| {
            pick([&format!("Response {a}"), &format!("[[response_{b}]]")], side, "Tie (both bad)")
        },
    },
    Form {
        name: "ordinals",
        column: "preference",
        certain: true,
        write: |(side, _), _| pick(["first", "The second is better."], side, "neither"),
    },
    Form {
        name: "comparison",
        column: "label",
        certain: true,
        write: |(side, _), _| pick(["A>B", "B>A"], side, "A=B"),
    },
    Form {
        name: "reversed comparison",
        column: "label",
        certain: true,
        write: |(side, _), _| pick(["B<A", "A < B"], side, "A = B"),
    },
    Form {
        name: "strong comparison",
        column: "verdict",
        certain: true,
        write: |(side, size), [a, b]| {
            let sign = ">".repeat(usize::from(size.min(2)));
            pick(
                [&format!("[[{a}{sign}{b}]]"), &format!("[[{b}{sign}{a}]]")],
                side,
                &format!("[[{a}={b}]]"),
            )
        },
    },
    Form {
        name: "named comparison",
        column: "label",
        certain: true,
        write: |(side, _), [a, b]| {
            pick(
                [&format!("response_{a} > response_{b}"), &format!("response_{b} > response_{a}")],
                side,
                "tie",
            )
        },
    },
    Form {
        name: "sentence",
        column: "preference",
        certain: true,
        write: |(side, _), [a, b]| {
            pick(
                [
                    &format!("Response {a} is slightly better than Response {b}."),
                    &format!("Response {a} is worse than response {b}"),
                ],
                side,
                "Both are equally good",
            )
        },
    },
    Form {
        name: "signed",
        column: "preference_strength",
        certain: true,
        write: |truth, _| json!(signed(truth)),
    },
    Form {
        name: "signed text",
        column: "overall_preference",
        certain: true,
        write: |truth, _| json!(signed(truth).to_string()),
    },
    Form {
        name: "outcome",
        column: "label",
        certain: false,
        write: |(side, _), _| {
            json!(match side {
                Some(Side::First) => 1,
                Some(Side::Second) => -1,
                None => 0,
            })
        },
    },
    Form {
        name: "scale to 7",
        column: "preference",
        certain: false,
        write: |truth, _| json!(4 + signed(truth)),
    },
    Form {
        name: "scale from 0",
        column: "preference",
        certain: false,
        write: |truth, _| json!(3 + signed(truth)),
    },
    Form {
        name: "flag",
        column: "{0}_is_better",
        certain: true,
        write: |(side, _), _| json!(side == Some(Side::First)),
    },
    Form {
        name: "other flag",
        column: "is_{1}_better",
        certain: true,
        write: |(side, _), _| json!(u8::from(side == Some(Side::Second))),
    },
    Form {
        name: "bare flag",
        column: "label",
        certain: false,
        write: |(side, _), _| json!(side == Some(Side::First)),
    },
    Form {
        name: "probability",
        column: "prob_{0}",
        certain: true,
        write: |truth, _| json!(0.5 - signed(truth) as f64 / 8.0),
    },
    Form {
        name: "other probability",
        column: "{1}_win_probability",
        certain: true,
        write: |truth, _| json!(0.5 + signed(truth) as f64 / 8.0),
    },
    Form {
        name: "soft",
        column: "label",
        certain: false,
        write: |truth, _| json!(0.5 + signed(truth) as f64 / 8.0),
    },
    Form {
        name: "soft, the other way",
        column: "label",
        certain: false,
        write: |truth, _| json!(0.5 - signed(truth) as f64 / 8.0),
    },
    Form {
        name: "index from 0",
        column: "choice",
        certain: false,
        write: |(side, _), _| {
            json!(match side {
                Some(side) => json!(side.index()),
                None => json!("tie"),
            })
        },
    },
    Form {
        name: "index from 1",
        column: "choice",
        certain: false,
        write: |(side, _), _| json!(side.map_or(0, |side| side.index() + 1)),
    },
    Form {
        name: "first is 1",
        column: "labels",
        certain: false,
        write: |(side, _), _| {
            json!(match side {
                Some(side) => json!(1 - side.index()),
                None => json!("tie"),
            })
        },
    },
    Form {
        name: "-1 for a tie",
        column: "winner",
        certain: false,
        write: |(side, _), _| json!(side.map_or(-1, |side| side.index() as i64)),
    },
    Form {
        name: "-1 for no answer",
        column: "winner",
        certain: false,
        write: |(side, _), _| json!(side.map_or(-1, |side| side.index() as i64 + 1)),
    },
    Form {
        name: "the better text",
        column: "chosen",
        certain: true,
        write: |(side, _), _| pick(["left", "right"], side, "tie"),
    },
    Form {
        name: "the better model",
        column: "winner",
        certain: true,
        write: |(side, _), _| pick(["gpt-5", "claude-7"], side, "tie"),
    },
];

const NAMES: [[&str; 2]; 3] = [["a", "b"], ["1", "2"], ["0", "1"]];

fn written(form: &Form, names: [&str; 2], truths: &[Truth]) -> (Vec<Pair>, FileReport) {
    let column = form.column.replace("{0}", names[0]).replace("{1}", names[1]);
    let row = |(i, truth): (usize, &Truth)| {
        let mut row = json!({"prompt": format!("question {i}")});
        for (name, text, model) in [(names[0], "left", "gpt-5"), (names[1], "right", "claude-7")] {
            row[format!("response_{name}")] = json!(text);
            row[format!("model_{name}")] = json!(model);
        }
        row[&column] = (form.write)(*truth, names);
        row
    };
    rows(&truths.iter().enumerate().map(row).collect::<Vec<_>>())
}

fn truths() -> impl Strategy<Value = Vec<Truth>> {
    let truth = (0..3_u8, 1..4_u8).prop_map(|(side, size)| match side {
        0 => (Some(Side::First), size),
        1 => (Some(Side::Second), size),
        _ => (None, 0),
    });
    // Both ends of a scale occur, as in a file of some length.
    proptest::collection::vec(truth, 0..12).prop_map(|mut truths| {
        truths.extend([(Some(Side::First), 3), (Some(Side::Second), 3), (Some(Side::First), 1)]);
        truths
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_form_is_read_the_wrong_way_round_without_a_word(truths in truths()) {
        for form in FORMS {
            for names in NAMES {
                // Candidates called 0 and 1 say themselves what 0 and 1 mean.
                if form.name == "first is 1" && names[0] == "0" {
                    continue;
                }
                let (pairs, report) = written(form, names, &truths);
                let guess = report.notes.iter().any(|note| note.contains("guess"));
                let place = format!("{} with {names:?}: {}", form.name, report.format);
                let mut wrong = 0;
                for pair in &pairs {
                    let (side, size) = truths[pair.source.line as usize - 1];
                    let label = pair.label.map(|label| label.preferred);
                    // A flag cannot say that neither is better.
                    let flag = form.name.contains("flag") && size == 0;
                    wrong += usize::from(label.is_some() && label != side && !flag);
                    if form.certain {
                        prop_assert!(label.is_some(), "{}", place);
                    }
                }
                prop_assert!(wrong == 0 || guess, "{}", place);
                if form.certain {
                    prop_assert!(!guess && wrong == 0, "{}", place);
                    let ties = truths.iter().filter(|(side, _)| side.is_none()).count();
                    let flag = form.name.contains("flag");
                    prop_assert!(flag || report.ties == ties, "{}", place);
                } else if report.unlabelled == pairs.len() {
                    prop_assert!(report.notes.iter().any(|note| note.contains("data.columns")), "{}", place);
                }
            }
        }
    }
}

/// What is said of a reading, with a row as an example.
#[test]
fn a_reading_is_shown_on_a_row() {
    let label = |i: usize, value: &str| json!({"prompt": format!("q{i}"), "response_A": "left", "response_B": "right", "label": value});
    let (_, report) = rows(&[label(0, "A=B"), label(1, "B>A"), label(2, "A>B")]);
    assert_says(&report.format, &["comparison", "“B>A” in line 2 prefers `response_B`"]);
}

/// The size of a preference and the probability of a label are kept.
#[test]
fn strength_and_probability_are_kept() {
    let row = |column: &str, value: Value| json!({"prompt": "q", "response_1": "left", "response_2": "right", column: value});
    let (pairs, _) =
        rows(&[row("preference_strength", json!(-3)), row("preference_strength", json!(2))]);
    let margins: Vec<_> = pairs.iter().map(|pair| pair.label.unwrap().margin).collect();
    assert_eq!(margins, [Some(3.0), Some(2.0)]);
    let (pairs, _) = rows(&[row("prob_2", json!(0.9)), row("prob_2", json!(0.25))]);
    let labels: Vec<_> = pairs.iter().map(|pair| pair.label.unwrap()).collect();
    assert_eq!(labels.iter().map(|l| l.preferred).collect::<Vec<_>>(), [Side::Second, Side::First]);
    assert_eq!(labels.iter().map(|l| l.agreement).collect::<Vec<_>>(), [0.9, 0.75]);
}

/// A value that names both, or holds a sign that nobody reads, is no label.
#[test]
fn what_is_not_read_whole_is_not_read() {
    for values in [["A & B", "A"], ["not A", "B"], ["A/B", "B"], ["A+", "B-"], ["C", "A"]] {
        let row = |value: &str| json!({"prompt": value, "response_A": "left", "response_B": "right", "label": value});
        let (pairs, report) = rows(&values.map(row));
        assert!(pairs.iter().all(|pair| pair.label.is_none()), "{values:?}: {}", report.format);
        assert_says(&report.notes[0], &["cannot be read"]);
    }
}

/// Numbers of a scale of which a file shows one half could mean either.
#[test]
fn half_a_scale_is_called_a_guess() {
    let row = |n: i32| json!({"prompt": format!("q{n}"), "response_a": "left", "response_b": "right", "preference": n});
    let (_, report) = rows(&[row(1), row(2)]);
    assert_says(&report.notes[0], &["guess", "longer scale", "data.columns.reading"]);
}

/// Names and ratings that contradict each other are told.
#[test]
fn ratings_against_the_names_are_told() {
    let row = |chosen: f64| json!({"prompt": "q", "chosen": "a", "rejected": "b", "score_chosen": chosen, "score_rejected": 5});
    let (_, report) = rows(&[row(1.0), row(2.0), row(9.0)]);
    assert_says(
        &report.notes[0],
        &["`rejected` is better than `chosen` in most rows", "data.columns.chosen"],
    );
    let (pairs, report) = rows(&[row(7.5), row(2.0), row(9.0)]);
    assert!(report.notes.is_empty());
    assert_eq!(pairs[0].label.unwrap().margin, Some(2.5));
}
