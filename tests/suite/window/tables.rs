//! The table of pairs, and what is drawn of many numbers.

use super::*;

#[test]
fn of_many_pairs_only_the_visible_rows_are_laid_out() {
    let mut window = with_pairs(100_000);
    send(&mut window, Command::Show("Pairs"));
    let rows = window.query_all_by_label_contains("prompt 0").count();
    assert!((5..80).contains(&rows), "{rows} rows are laid out");
    window.get_by_label("prompt 000003").click();
    window.run_steps(3);
    assert_eq!(window.state().state().pairs.selected, Some(3));
    assert!(shows(&window, "Pair 4"), "the pair can be read whole");
}

#[test]
fn pairs_are_filtered_and_sorted() {
    let all = pairs(5000);
    let table = PairTable::new(all.clone());
    let weights = Weights::new(&table, &Weighting { threshold: 0.3, ..Weighting::default() });
    let rows = |query: Query| query.rows(&table, &weights);
    assert_eq!(rows(Query::default()), (0..5000).collect::<Vec<u32>>());

    let found = rows(Query { text: " NO 1".to_owned(), ..Query::default() });
    let expected = |i: &u32| all[*i as usize].responses[1].to_lowercase().contains("no 1");
    assert_eq!(found, (0..5000).filter(expected).collect::<Vec<u32>>());

    let query = Query {
        split: Split::Unlabelled,
        disagreements: true,
        sort: Column::Margin,
        descending: true,
        ..Query::default()
    };
    let found = rows(query);
    assert!(!found.is_empty());
    let pair = |i: &u32| &all[*i as usize];
    assert!(found.iter().all(|i| pair(i).split == "unlabelled" && pair(i).agrees() == Some(false)));
    assert!(found.windows(2).all(|w| pair(&w[0]).margin >= pair(&w[1]).margin));
    // Equal margins stay in the order of the file.
    let tied = |w: &[u32]| pair(&w[0]).margin > pair(&w[1]).margin || w[0] < w[1];
    assert!(found.windows(2).all(tied));

    let found = rows(Query {
        least_weight: 0.2,
        most_weight: 0.5,
        sort: Column::Weight,
        ..Query::default()
    });
    let weight = |i: &u32| weights.weight[*i as usize];
    assert!(found.iter().all(|i| (0.2..=0.5).contains(&weight(i))));
    assert!(found.windows(2).all(|w| weight(&w[0]) <= weight(&w[1])));
}

#[test]
fn weights_are_those_of_the_weighting() {
    let table = PairTable::new(pairs(1000));
    for weight in Choice::<dyn Scheme>::all() {
        let constants = Constants::default().with("top", 0.4);
        let temperature = Temperature::Stated(1.5);
        let weighting = Weighting {
            weight: weight.into(),
            threshold: 0.25,
            temperature,
            constants,
            ..Weighting::default()
        };
        let weights = Weights::new(&table, &weighting);
        let margins: Vec<f64> = table.unlabelled.iter().map(|&i| table.margins[i]).collect();
        let calibrator = Calibrator::Temperature(1.5);
        let none = BTreeMap::new();
        let said: Vec<Said<'_>> = margins.iter().map(|d| (*d, &none)).collect();
        let expected = weighting.weigh(&weighting.judge(&calibrator, &said).unwrap());
        let found: Vec<f64> = table.unlabelled.iter().map(|&i| weights.weight[i]).collect();
        assert_eq!(found, expected);
        assert_eq!(weights.kept, expected.iter().filter(|w| **w > 0.0).count());
        assert_eq!(weights.bins.iter().map(|(dropped, kept)| dropped + kept).sum::<usize>(), 900);
        assert!(weights.weight[9].is_nan(), "held-out pairs have no weight");
        let known = table.unlabelled.iter().filter(|&&i| table.agrees[i].is_some()).count();
        assert_eq!(weights.agree_kept.known + weights.agree_dropped.known, known);
    }
}

#[test]
fn aggregation_keeps_extremes_and_nan() {
    let mut points: Vec<[f64; 2]> =
        (0..100_000).map(|i| [f64::from(i), f64::from(i % 100)]).collect();
    points[31_415][1] = 1e6;
    points[27_182][1] = -1e6;
    points[50_000][1] = f64::NAN;
    points[50_001][1] = f64::INFINITY;
    let drawn = aggregate(&points, (f64::NEG_INFINITY, f64::INFINITY), 400);
    let values: Vec<f64> = drawn.parts.iter().flatten().map(|p| p[1]).collect();
    assert!(values.len() <= 2 * 400 + 4, "{} points are drawn", values.len());
    assert!(values.contains(&1e6) && values.contains(&-1e6));
    assert!(values.iter().all(|v| v.is_finite()));
    assert_eq!(drawn.not_finite, 2);
    assert_eq!(drawn.parts.len(), 2, "the line breaks where a value is not a number");
    assert!((drawn.gaps[0] - 50_000.0).abs() < 1.0);
    let steps: Vec<f64> = drawn.parts.iter().flatten().map(|p| p[0]).collect();
    assert!(steps.windows(2).all(|w| w[0] < w[1]), "points stay in order");

    let few = aggregate(&points[..50], (10.0, 20.0), 400);
    assert_eq!(few.points, 13, "one neighbour on either side");
    assert_eq!(aggregate(&[], (0.0, 1.0), 10).points, 0);

    let smoothed = smooth(&[[0.0, 2.0], [1.0, f64::NAN], [2.0, 2.0]], 5.0);
    assert_eq!(smoothed[0][1], 2.0);
    assert!(smoothed[1][1].is_nan());
    assert!((smoothed[2][1] - 2.0).abs() < 1e-12);
}

/// What labels reward is on show as soon as it is known: what is sure first, each with its numbers.
#[test]
fn what_labels_reward_is_on_show_while_a_run_is_at_work() {
    use confide::dissect::{Dissection, Effect, Found};
    let effect = |value: f64| Some(Effect { value, interval: [value - 0.1, value + 0.1] });
    let property = |title: &str, human: f64, weak: f64| Found {
        property: title.to_lowercase(),
        title: title.to_owned(),
        summary: "Counted.".to_owned(),
        scale: 1.0,
        differing: 0.25,
        human: effect(human),
        weak: effect(weak),
        difference: effect(weak - human),
    };
    let found = Dissection {
        pairs: 1234,
        human_explained: Some(0.65),
        weak_explained: Some(0.95),
        resamples: 200,
        prior_scale: 0.1,
        inexact: 0,
        properties: vec![property("Apologies", 0.2, 0.25), property("Characters", 0.1, 9.0)],
    };
    let mut window = open(demo());
    send(&mut window, Command::Show("Why"));
    assert!(shows(&window, "Nothing compared yet"));
    window.state_mut().fold(started(&demo::recipe(), Path::new("somewhere")));
    let table = serde_json::to_value(&found).unwrap();
    window.state_mut().fold(Event::Tabulated { name: "dissection".to_owned(), table });
    window.run_steps(3);
    assert!(shows(&window, "the same 1,234 pairs"));
    assert!(shows(&window, "65.0 % of people's labels and 95.0 % of the annotator's"));
    let row = window.get_by_label_contains("Characters: Counted.");
    let told = row.accesskit_node().value().unwrap();
    assert!(told.contains("annotator − people +8.90 [+8.80, +9.00]"), "{told}");
    let other = window.get_by_label_contains("Apologies: Counted.");
    assert!(row.rect().top() < other.rect().top(), "what is sure stands first");
    for (theme, size) in [(Theme::Light, vec2(1920.0, 1080.0)), (Theme::Dark, vec2(700.0, 500.0))] {
        window.ctx.set_theme(theme);
        window.set_size(size);
        window.run_steps(3);
        window.check_accessibility();
        assert!(shows(&window, "Characters: Counted."), "{size}");
    }
}
