//! Files fall in.

use super::*;

#[test]
fn a_dropped_preference_file_becomes_the_data() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tea.jsonl");
    let rows = r#"{"prompt": "Tea?", "chosen": "With milk, please.", "rejected": "No."}
{"prompt": "Coffee?", "chosen": "Black.", "rejected": "Never."}
{"prompt": "Water?", "chosen": 3}
"#;
    std::fs::write(&file, rows).unwrap();
    let mut window = open(demo());
    drop_on(&mut window, &file);
    let path = file.to_string_lossy().into_owned();
    until(&mut window, 20, "reading", |w| w.state().state().recipe.data.files == [path.clone()]);
    window.run_steps(2);
    let state = window.state().state();
    assert_eq!(state.recipe.name, "tea");
    let recipe = &state.recipe;
    assert_eq!(
        [&*recipe.annotator.model, &*recipe.policy.model],
        ["", ""],
        "toys know nothing here"
    );
    assert_eq!(recipe.data.max_length, Recipe::default().data.max_length);
    assert_eq!(state.problem.as_ref().unwrap().key, "policy.model");
    let DataState::Read(found) = &state.data else { panic!("the data are not read") };
    assert_eq!((found.pairs, found.bad_rows), (2, 1));
    assert_eq!(found.files[0].bad[0].line, 3);
    assert!(shows(&window, "2 readable pairs"));
    assert!(shows(&window, "1 row skipped"));
    assert!(shows(&window, "With milk, please."), "the first pair can be read");
    window.get_by_label("Next").click();
    window.run_steps(3);
    assert!(shows(&window, "Never."), "and the next one");

    // The window asks for models, and says what the limit on lengths loses with them.
    assert!(shows(&window, "Which models?"));
    send(&mut window, Command::UseModel(repository("assets/weak"), Role::Both));
    assert!(!shows(&window, "Which models?"));
    let mut recipe = window.state().state().recipe.clone();
    recipe.data.max_length = 6;
    send(&mut window, Command::SetRecipe(Box::new(recipe)));
    until(&mut window, 30, "the lengths", |w| shows(w, "For the annotator, 2 of 2 pairs"));
    window.get_by_label_contains("95 % fit").click();
    window.run_steps(3);
    assert!(window.state().state().recipe.data.max_length > 6);

    // Other data keep what was chosen meanwhile, though the demonstration has the same.
    let mut recipe = window.state().state().recipe.clone();
    recipe.policy.beta = demo::recipe().policy.beta;
    send(&mut window, Command::SetRecipe(Box::new(recipe.clone())));
    let other = folder.path().join("milk.jsonl");
    std::fs::write(&other, rows).unwrap();
    drop_on(&mut window, &other);
    until(&mut window, 20, "other data", |w| w.state().state().recipe.name == "milk");
    let kept = &window.state().state().recipe;
    assert_eq!((kept.policy.beta, &kept.policy.model), (recipe.policy.beta, &recipe.policy.model));
}

#[test]
fn columns_of_an_unknown_shape_are_chosen_in_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.jsonl");
    let row = |i: usize| format!(r#"{{"xa": "Ask {i}?", "xb": "Well, {i}.", "xc": "Bad {i}."}}"#);
    std::fs::write(&file, (0..4).map(row).collect::<Vec<_>>().join("\n")).unwrap();
    let mut window = open(demo());
    drop_on(&mut window, &file);
    until(&mut window, 20, "the question", |w| shows(w, "Which columns hold what?"));
    assert!(shows(&window, "no response is chosen yet"));
    assert_eq!(window.state().state().recipe.data.files, ["builtin:demo"], "nothing is read yet");
    let columns = ColumnMap {
        prompt: "xa".to_owned(),
        chosen: "xb".to_owned(),
        rejected: "xc".to_owned(),
        ..ColumnMap::default()
    };
    send(&mut window, Command::MapColumns(Box::new(columns.clone())));
    until(&mut window, 20, "the pairs", |w| shows(w, "4 readable pairs"));
    assert!(shows(&window, "Well, 0."));
    let recipe = &window.state().state().recipe;
    assert_eq!(recipe.data.columns, columns, "a run reads them so too");
    assert_eq!(recipe.data.files, [file.to_string_lossy()]);
    // Other files come without what was said of these.
    let plain = folder.path().join("plain.jsonl");
    std::fs::write(&plain, r#"{"prompt": "Tea?", "chosen": "Yes.", "rejected": "No."}"#).unwrap();
    drop_on(&mut window, &plain);
    until(&mut window, 20, "other data", |w| shows(w, "1 readable pair"));
    assert_eq!(window.state().state().recipe.data.columns, ColumnMap::default());
}

#[test]
fn a_hovering_file_says_what_a_drop_would_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pairs.csv");
    std::fs::write(&file, "prompt,chosen,rejected\n").unwrap();
    let mut window = open(demo());
    let text = "Drop to read 1 file as preference data";
    assert!(!shows(&window, text));
    let hovering = egui::HoveredFile { path: Some(file), ..Default::default() };
    window.input_mut().hovered_files.push(hovering);
    until(&mut window, 10, "the overlay", |w| shows(w, text));
    window.input_mut().hovered_files.clear();
    window.run_steps(2);
    assert!(!shows(&window, text));
}

#[test]
fn a_file_without_pairs_is_an_error_that_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.jsonl");
    std::fs::write(&file, "{\"a\": 1}\n{\"a\": 2}\n").unwrap();
    let mut window = open(demo());
    drop_on(&mut window, &file);
    until(&mut window, 20, "the toast", |w| {
        w.state().toasts().iter().any(|t| t.level == Level::Error)
    });
    assert_eq!(window.state().state().recipe.data.files, ["builtin:demo"]);
    std::thread::sleep(Duration::from_millis(50));
    window.run_steps(3);
    window.get_by_label("Dismiss").click();
    window.run_steps(3);
    assert!(window.state().toasts().iter().all(|t| t.level != Level::Error));
}

#[test]
fn a_dropped_model_folder_asks_for_its_role() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    let mut window = open(demo());
    drop_on(&mut window, folder.path());
    until(&mut window, 10, "the question", |w| w.query_by_label("As policy").is_some());
    window.get_by_label("As policy").click();
    window.run_steps(4);
    let recipe = &window.state().state().recipe;
    assert_eq!(Path::new(&recipe.policy.model), folder.path());
    assert_eq!(recipe.annotator.model, "builtin:weak");
}

#[test]
fn a_dropped_recipe_is_loaded_and_a_dropped_run_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = Recipe { name: "from a file".to_owned(), ..demo::recipe() };
    let file = folder.path().join("recipe.toml");
    std::fs::write(&file, recipe.to_toml()).unwrap();
    let mut window = open(demo());
    drop_on(&mut window, &file);
    until(&mut window, 10, "loading", |w| w.state().state().recipe.name == "from a file");

    let run = folder.path().join("run");
    std::fs::create_dir(&run).unwrap();
    let events = [
        started(&Recipe { name: "an old run".to_owned(), ..demo::recipe() }, &run),
        Event::StageStarted { stage: Stage::DATA, total: 3 },
        Event::Finished { report: Box::default() },
    ];
    let lines: Vec<String> =
        events.iter().map(|event| serde_json::to_string(event).unwrap()).collect();
    std::fs::write(run.join("events.jsonl"), lines.join("\n") + "\n").unwrap();
    drop_on(&mut window, &run);
    until(&mut window, 10, "opening", |w| w.state().state().view.status == Status::Finished);
    assert_eq!(window.state().state().recipe.name, "an old run");
    assert!(!window.state().state().at_work);
}
