//! The panel of confidence: calibration of what is on show, and the threshold on calibrated values.

use super::*;

/// As [`pairs`], some of them for calibration.
fn with_calibration(count: usize) -> Vec<AnnotatedPair> {
    let mut all = pairs(count);
    for (i, pair) in all.iter_mut().enumerate() {
        if i % 10 == 4 {
            pair.split = "calibration".to_owned();
            // Surer labels are right more often: 60 % to 90 %.
            let right = (i / 10 * 37 % 100) as f64 / 100.0 < 0.6 + 0.075 * pair.margin;
            pair.human = Some(if right { Side::First } else { Side::Second });
        }
    }
    all
}

fn set(window: &mut Window, change: impl FnOnce(&mut Recipe)) {
    let mut recipe = window.state().state().recipe.clone();
    change(&mut recipe);
    send(window, Command::SetRecipe(Box::new(recipe)));
}

#[test]
fn the_threshold_works_on_calibrated_confidence() {
    let all = with_calibration(1000);
    let mut window = open(demo());
    window.state_mut().show_pairs(all.clone());
    until(&mut window, 30, "sorting", |w| w.state().state().pairs.rows.len() == 1000);
    send(&mut window, Command::Show("Confidence"));
    let signed = |split: &str| -> Vec<f64> {
        let of_split = all.iter().filter(|pair| pair.split == split);
        of_split.filter_map(AnnotatedPair::signed_margin).collect()
    };
    for (method, temperature) in [
        (CalibrationMethod::Temperature, Temperature::Fit),
        (CalibrationMethod::Isotonic, Temperature::Stated(1.0)),
    ] {
        set(&mut window, |recipe| {
            (recipe.confidence.calibration, recipe.confidence.temperature) = (method, temperature);
            recipe.confidence.threshold = 0.0;
        });
        assert!(window.state().state().problem.is_none());
        assert!(shows(&window, "fitted on 100 calibration pairs"));
        let recipe = &window.state().state().recipe;
        let fitted = recipe.confidence.calibrator(&signed("calibration")).unwrap();
        window.get_by_role_and_label(egui::Role::Slider, "Threshold").set_value_accesskit(0.4);
        window.run_steps(4);
        let state = window.state().state();
        let kept = |calibrator: &Calibrator| {
            let unlabelled = all.iter().filter(|pair| pair.split == "unlabelled");
            let sure =
                |pair: &&AnnotatedPair| calibrator.log_odds(pair.margin) >= 2.0 * 0.4_f64.atanh();
            unlabelled.filter(sure).count()
        };
        assert_eq!(state.pairs.weights.kept, kept(&fitted.calibrator), "{method:?}");
        assert_ne!(kept(&fitted.calibrator), kept(&Calibrator::NONE), "{method:?}");
        // As a whole, not only after a move of the threshold.
        let table = PairTable::new(all.clone());
        let whole = Weights::new(&table, &state.recipe.confidence);
        let numbers = |weights: &Weights| -> Vec<u64> {
            weights.weight.iter().map(|weight| weight.to_bits()).collect()
        };
        assert_eq!(numbers(&whole), numbers(&state.pairs.weights));
        let after = calibration(&signed("held_out"), &fitted.calibrator).unwrap();
        assert_eq!(state.pairs.weights.calibrated.after.as_ref(), Some(&after));
    }
}

#[test]
fn what_cannot_be_calibrated_is_said() {
    let mut window = with_pairs(1000);
    send(&mut window, Command::Show("Confidence"));
    set(&mut window, |recipe| recipe.confidence.temperature = Temperature::Fit);
    assert!(shows(&window, "These pairs hold none for calibration (data.calibration)"));
    let weights = &window.state().state().pairs.weights;
    assert_eq!(weights.calibrated.confidence[1], (pairs(2)[1].margin / 2.0).tanh());

    window.state_mut().show_pairs(with_calibration(200));
    window.run_steps(4);
    assert!(shows(&window, "too few to believe"));
}

#[test]
fn calibration_is_chosen_in_the_panel_and_in_the_form() {
    let mut window = open(demo());
    for panel in ["Confidence", "Settings"] {
        send(&mut window, Command::Show(panel));
        set(&mut window, |recipe| recipe.confidence.temperature = Temperature::Stated(1.5));
        let (from, to, list) = match panel {
            "Confidence" => ("temperature", "fitted temperature", "Calibration"),
            _ => ("this number", "fitted on human labels", "Temperature T"),
        };
        let choose = |window: &mut Window, entry: &str| {
            window.get_by_role_and_label(egui::Role::ComboBox, list).scroll_to_me();
            window.run_steps(10);
            window.get_by_role_and_label(egui::Role::ComboBox, list).click();
            window.run_steps(4);
            window.get_all_by_label(entry).last().unwrap().click();
            window.run_steps(4);
        };
        choose(&mut window, to);
        assert_eq!(
            window.state().state().recipe.confidence.temperature,
            Temperature::Fit,
            "{panel}"
        );
        choose(&mut window, from);
        let back = window.state().state().recipe.confidence.temperature;
        assert_eq!(back, Temperature::Stated(1.0), "{panel}");
    }
    set(&mut window, |recipe| recipe.confidence.temperature = Temperature::Fit);
    assert!(shows(&window, "Calibration share"), "the share is there where something is fitted");
    set(&mut window, |recipe| recipe.confidence.temperature = Temperature::Stated(1.0));
    assert!(!shows(&window, "Calibration share"));
}

#[test]
fn an_expression_is_chosen_and_typed() {
    let all = pairs(1000);
    for panel in ["Confidence", "Settings"] {
        let mut window = open(demo());
        window.state_mut().show_pairs(all.clone());
        until(&mut window, 30, "sorting", |w| w.state().state().pairs.rows.len() == 1000);
        // What hides the panel of confidence; the form is hidden at first.
        send(&mut window, Command::Show("Log"));
        send(&mut window, Command::Show(panel));
        let entry = if panel == "Settings" { "expression of your own" } else { "expression" };
        window.get_by_role_and_label(egui::Role::ComboBox, "Weight").scroll_to_me();
        window.run_steps(10);
        window.get_by_role_and_label(egui::Role::ComboBox, "Weight").click();
        window.run_steps(4);
        window.get_all_by_label(entry).last().unwrap().scroll_to_me();
        window.run_steps(10);
        window.get_all_by_label(entry).last().unwrap().click();
        window.run_steps(4);
        let weight = |window: &Window| window.state().state().recipe.confidence.weight.text();
        assert_eq!(weight(&window), "expr: C", "{panel}");
        let before = window.state().state().pairs.weights.kept;
        assert_eq!(
            before,
            all.iter().filter(|p| p.split == "unlabelled" && p.margin > 0.0).count()
        );
        window.get_by_role_and_label(egui::Role::TextInput, "Weight").focus();
        window.run_steps(2);
        window.get_by_role_and_label(egui::Role::TextInput, "Weight").type_text(" - 0.5");
        window.run_steps(4);
        assert_eq!(weight(&window), "expr: C - 0.5", "{panel}");
        let kept = window.state().state().pairs.weights.kept;
        let sure = |p: &&AnnotatedPair| p.split == "unlabelled" && (p.margin / 2.0).tanh() > 0.5;
        assert_eq!(kept, all.iter().filter(sure).count(), "{panel}");
    }
}

#[test]
fn an_expression_reads_the_columns_of_the_table_and_says_what_is_wrong() {
    let mut all = pairs(300);
    for pair in &mut all {
        pair.columns.insert("spread".to_owned(), pair.margin / 10.0);
    }
    let table = PairTable::new(all.clone());
    let of =
        |text: &str| Weighting { weight: Weight::parse(text).unwrap(), ..Weighting::default() };
    let weights = Weights::new(&table, &of("expr: 3 * C * (1 - spread)"));
    assert!(weights.calibrated.problem.is_none());
    for (pair, weight) in all.iter().zip(&weights.weight) {
        let wanted = 3.0 * (pair.margin / 2.0).tanh() * (1.0 - pair.margin / 10.0);
        assert!(weight.is_nan() || (weight - wanted).abs() < 1e-12, "{weight} {wanted}");
    }
    assert!(weights.weight.iter().any(|weight| *weight > 1.0));
    // Weights above 1 are not lost to a filter that asks for all.
    assert_eq!(Query::default().rows(&table, &weights).len(), 300);

    let mut window = with_pairs(300);
    send(&mut window, Command::Show("Confidence"));
    set(&mut window, |recipe| recipe.confidence.weight = of("expr: C * spread").weight);
    assert_eq!(window.state().state().problem.as_ref().unwrap().key, "confidence.weight");
    assert!(shows(&window, "there is no column “spread” for 270 of 270 annotated pairs"));
    assert!(window.get_by_label("Run").accesskit_node().is_disabled());
    set(&mut window, |recipe| recipe.confidence.weight = of("expr: (C").weight);
    assert!(shows(&window, "syntax error"));
    set(&mut window, |recipe| recipe.confidence.weight = of("sigmoid").weight);
    assert!(window.state().state().problem.is_none() && !shows(&window, "syntax error"));
}
