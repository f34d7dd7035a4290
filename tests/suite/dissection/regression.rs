//! Regressions against scikit-learn, and what is made of them.

use confide::dissect::{Both, Compared, DissectSettings, Dissection, Rows, dissect, fit, quantile};
use serde_json::Value;

use crate::common::{assert_close, fixture, numbers};

fn rows_of(value: &Value) -> Rows {
    Rows::new(value.as_array().unwrap().iter().map(numbers).collect())
}

fn examined(compared: &Compared, settings: &DissectSettings, seed: u64) -> Dissection {
    let done: Result<_, ()> = dissect(compared.clone(), settings, seed, &mut |_| Ok(()));
    done.unwrap()
}

#[test]
fn the_fit_is_that_of_scikit_learn() {
    let data = fixture("dissection.json");
    let rows = rows_of(&data["rows"]);
    let scales = rows.scales();
    assert_close(&scales, &numbers(&data["scales"]), 1e-12, "scales");
    let rows = rows.standardised(&scales);
    let (signs, times) = (numbers(&data["signs"]), numbers(&data["times"]));
    let zero = vec![0.0; rows.width()];
    for case in data["fits"].as_array().unwrap() {
        let c = case["c"].as_f64().unwrap();
        let once = vec![1.0; signs.len()];
        let times = if case["weighted"] == true { &times } else { &once };
        let found = fit(&rows, &signs, times, 1.0 / c, &zero);
        assert!(found.converged, "{case}: {}", found.residual);
        let expected = numbers(&case["liblinear"]);
        assert_close(&found.weights, &expected, 1e-3, &format!("liblinear, C = {c}"));
        if let Some(saga) = case.get("saga") {
            assert_close(&found.weights, &numbers(saga), 1e-3, &format!("saga, C = {c}"));
        }
        // What counts for nothing is exactly that.
        let nothing = |w: &&f64| **w == 0.0;
        assert_eq!(
            found.weights.iter().filter(nothing).count(),
            expected.iter().filter(nothing).count(),
            "C = {c}"
        );
        is_a_minimum(&rows, &signs, times, 1.0 / c, &found.weights, found.residual);
        // And from wherever it starts, what no row differs in included.
        let again = fit(&rows, &signs, times, 1.0 / c, &vec![-3.0; rows.width()]);
        assert!(again.converged, "{case}: {}", again.residual);
        assert_close(&again.weights, &found.weights, 1e-5, "another start");
    }
}

/// The conditions of a minimum, with the slopes of the losses by central differences.
fn is_a_minimum(
    rows: &Rows,
    signs: &[f64],
    times: &[f64],
    lambda: f64,
    weights: &[f64],
    told: f64,
) {
    let loss = |weights: &[f64]| -> f64 {
        let each = rows.iter().zip(signs).zip(times).map(|((row, sign), times)| {
            let z: f64 = row.iter().zip(weights).map(|(x, w)| sign * x * w).sum();
            times * (-z).exp().ln_1p()
        });
        each.sum()
    };
    let mut worst = 0.0_f64;
    for j in 0..weights.len() {
        let at = |by: f64| {
            let mut moved = weights.to_vec();
            moved[j] += by;
            loss(&moved)
        };
        let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
        worst = worst.max(if weights[j] == 0.0 {
            (slope.abs() - lambda).max(0.0)
        } else {
            (slope + lambda * weights[j].signum()).abs()
        });
    }
    assert!(worst < 1e-5 && (worst - told).abs() < 1e-5, "{worst} {told}");
}

#[test]
fn quantiles_are_those_of_numpy() {
    let data = &fixture("dissection.json")["quantiles"];
    let values = numbers(&data["values"]);
    let found: Vec<f64> =
        numbers(&data["shares"]).iter().map(|share| quantile(&values, *share)).collect();
    assert_close(&found, &numbers(&data["expected"]), 1e-12, "quantiles");
    assert_eq!(quantile(&[], 0.5), 0.0);
}

/// Without a penalty to speak of, intervals are as wide as the Fisher information says.
#[test]
fn intervals_are_as_wide_as_standard_errors_say() {
    let data = fixture("dissection.json");
    let columns: Vec<usize> =
        numbers(&data["errors"]["columns"]).into_iter().map(|column| column as usize).collect();
    let rows = data["rows"].as_array().unwrap().iter().map(numbers);
    let rows = Rows::new(rows.map(|row| columns.iter().map(|j| row[*j]).collect()).collect());
    let signs = numbers(&data["signs"]);
    let groups = (0..signs.len()).collect();
    let labels = Both { human: Some(signs), weak: None };
    let settings =
        DissectSettings { prior_scale: 1e6, resamples: 600, ..DissectSettings::default() };
    let found = examined(&Compared { rows, labels, groups }, &settings, 3);
    assert_eq!((found.inexact, found.pairs, found.resamples), (0, 240, 600));
    for (property, error) in found.properties.iter().zip(numbers(&data["errors"]["errors"])) {
        let effect = property.human.unwrap();
        let [low, high] = effect.interval;
        let ratio = (high - low) / (2.0 * 1.96 * error);
        assert!((0.75..1.35).contains(&ratio), "{ratio} {effect:?} {error}");
        assert!(low < effect.value && effect.value < high);
        assert!(property.weak.is_none() && property.difference.is_none());
    }
}

/// Pairs whose first response differs in three things; people reward the first of them, the annotator the
/// second.
fn planted(pairs: usize) -> Compared {
    let noise = |i: usize, k: u32| {
        let x = (i as u32).wrapping_mul(2_654_435_761).wrapping_add(k.wrapping_mul(40_503_001));
        f64::from((x ^ (x >> 15)).wrapping_mul(2_246_822_519) >> 8) / f64::from(1 << 24) - 0.5
    };
    let rows: Vec<Vec<f64>> =
        (0..pairs).map(|i| (0..3).map(|k| 10.0 * noise(i, k)).collect()).collect();
    let by = |j: usize, k: u32| -> Vec<f64> {
        let sign = |i: usize| if rows[i][j] + 6.0 * noise(i, k) > 0.0 { 1.0 } else { -1.0 };
        (0..pairs).map(sign).collect()
    };
    let labels = Both { human: Some(by(0, 5)), weak: Some(by(1, 6)) };
    Compared { rows: Rows::new(rows), labels, groups: (0..pairs).collect() }
}

#[test]
fn what_only_one_rewards_is_found() {
    let compared = planted(400);
    let settings = DissectSettings::default();
    let found = examined(&compared, &settings, 0);
    let difference = |j: usize| found.properties[j].difference.unwrap();
    assert!(difference(0).interval[1] < 0.0, "{:?}", difference(0));
    assert!(difference(1).interval[0] > 0.0, "{:?}", difference(1));
    assert!(!difference(2).is_sure(), "{:?}", difference(2));
    let effect = |j: usize| (found.properties[j].human.unwrap(), found.properties[j].weak.unwrap());
    assert!(effect(0).0.is_sure() && !effect(0).1.is_sure());
    assert!((effect(1).1.value - effect(1).0.value - difference(1).value).abs() < 1e-12);
    assert!(found.human_explained.unwrap() > 0.8 && found.weak_explained.unwrap() > 0.8);
    let ranked: Vec<&str> = found.ranked().iter().map(|f| f.property.as_str()).collect();
    assert_eq!(ranked.last(), Some(&found.properties[2].property.as_str()));

    // The seed decides, and nothing else.
    assert_eq!(examined(&compared, &settings, 0), found);
    assert_ne!(examined(&compared, &settings, 1), found);
}

#[test]
fn an_annotator_that_says_what_people_say_differs_in_nothing() {
    let mut compared = planted(60);
    compared.labels.weak = compared.labels.human.clone();
    let found = examined(&compared, &DissectSettings::default(), 0);
    for property in &found.properties {
        let difference = property.difference.unwrap();
        assert_eq!((difference.value, difference.interval), (0.0, [0.0; 2]));
    }
}

/// Which response stands first says nothing.
#[test]
fn places_do_not_count() {
    let compared = planted(80);
    let mut turned = compared.clone();
    let rows = compared.rows.iter().enumerate();
    let turn = |i: usize| if i.is_multiple_of(3) { -1.0 } else { 1.0 };
    turned.rows =
        Rows::new(rows.map(|(i, row)| row.iter().map(|x| turn(i) * x).collect()).collect());
    for signs in [&mut turned.labels.human, &mut turned.labels.weak] {
        signs.as_mut().unwrap().iter_mut().enumerate().for_each(|(i, sign)| *sign *= turn(i));
    }
    let settings = DissectSettings::default();
    let (a, b) = (examined(&compared, &settings, 0), examined(&turned, &settings, 0));
    for (a, b) in a.properties.iter().zip(&b.properties) {
        assert_eq!(a.scale, b.scale);
        for (a, b) in [(a.human, b.human), (a.weak, b.weak)] {
            let all = |e: confide::dissect::Effect| [e.value, e.interval[0], e.interval[1]];
            assert_close(&all(a.unwrap()), &all(b.unwrap()), 1e-6, "turned");
        }
    }
}

/// Pairs of one prompt are drawn together: where all answer one prompt, every draw is the same.
#[test]
fn prompts_are_drawn_and_not_pairs() {
    let mut compared = planted(60);
    compared.groups = vec![4; 60];
    let found = examined(&compared, &DissectSettings::default(), 0);
    for effect in found.properties.iter().filter_map(|property| property.human) {
        assert_close(&effect.interval, &[effect.value; 2], 1e-7, "one draw");
    }
    // A person may end it.
    let mut asked = 0;
    let ended = dissect(compared, &DissectSettings::default(), 0, &mut |done| {
        asked += 1;
        if done >= 40 { Err(done) } else { Ok(()) }
    });
    assert_eq!((ended, asked), (Err(40), 3));
}
