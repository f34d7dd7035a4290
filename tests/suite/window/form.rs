//! The form of Settings.

use confide::annotate::Annotator;
use confide::preference::Objective;

use super::*;

/// What the form shows is what the recipe says: looking at it changes nothing, whatever the recipe is.
#[test]
fn looking_at_settings_changes_no_recipe() {
    let changes: [&[(&str, &str)]; 4] = [
        &[],
        // Stored narrowly without an adapter: one comes with the model's folder, say.
        &[("policy.precision", "int8"), ("annotator.precision", "f16")],
        &[("policy.lora.rank", "4"), ("policy.precision", "int4"), ("annotator.kind", "human")],
        &[("policy.objective", "rdpo"), ("confidence.weight", "top"), ("annotator.kind", "file")],
    ];
    for set in changes {
        let mut table = toml::Table::try_from(demo::recipe()).unwrap();
        for (key, value) in set {
            let (section, name) = key.rsplit_once('.').unwrap();
            let section = section.split('.').fold(&mut table, |table, part| {
                table.get_mut(part).unwrap().as_table_mut().unwrap()
            });
            let old = section.get(name).unwrap();
            let value = match value.parse::<i64>() {
                Ok(number) if old.is_integer() => toml::Value::Integer(number),
                _ => toml::Value::String((*value).to_owned()),
            };
            section.insert((*name).to_owned(), value);
        }
        let recipe: Recipe = table.try_into().unwrap();
        let mut window = open(Start { recipe: recipe.clone(), ..Start::default() });
        send(&mut window, Command::Show("Settings"));
        window.run_steps(10);
        assert!(shows(&window, "Who labels"), "{set:?}");
        assert_eq!(window.state().state().recipe, recipe, "{set:?}");
    }
}

/// However long the formula of what is chosen: it ends where its panel does, and so do all others beside it.
#[test]
fn no_choice_is_wider_than_its_panel() {
    let role = egui::accesskit::Role::ComboBox;
    let annotators = Choice::<dyn Annotator>::all().map(|kind| ("annotator.kind", kind.name()));
    let objectives =
        Choice::<dyn Objective>::all().map(|objective| ("policy.objective", objective.name()));
    for (key, name) in annotators.chain(objectives) {
        let set = [(key.to_owned(), name.to_owned())];
        let text = demo::recipe().to_toml();
        let recipe = Recipe::parse(&text, Path::new("demo.toml"), &set).unwrap();
        let mut window = open(Start { recipe, ..Start::default() });
        send(&mut window, Command::Show("Settings"));
        window.run_steps(10);
        let border = window.get_by_label("Curves").rect().left();
        let choices = window.query_all_by_role(role).map(|choice| choice.rect());
        let of_form: Vec<egui::Rect> = choices.filter(|rect| rect.left() < border).collect();
        assert!(of_form.len() > 5, "{name}: {of_form:?}");
        let widest = of_form.iter().map(|rect| rect.right()).fold(0.0, f32::max);
        assert!(widest < border, "{name}: a choice ends at {widest}, the panel before {border}");
    }
}

/// What settings and what can be chosen say of themselves can be drawn with the window's fonts.
#[test]
fn every_letter_of_an_explanation_can_be_drawn() {
    let window = open(demo());
    let font = egui::FontId::proportional(14.0);
    let drawn = |letter: char| window.ctx.fonts_mut(|fonts| fonts.has_glyph(&font, letter));
    let mut letters = 0;
    for setting in Recipe::documentation() {
        let field = &setting.field;
        let mut texts = vec![field.doc.to_owned(), field.title().to_owned(), field.unit.to_owned()];
        texts.push(field.zero.to_owned());
        for word in field.words.all() {
            texts.extend([word.says, word.summary.to_owned(), word.paper.to_owned()]);
        }
        for text in texts {
            letters += text.len();
            let missing: String = text.chars().filter(|c| !c.is_control() && !drawn(*c)).collect();
            assert!(missing.is_empty(), "{}: no glyph for {missing:?} in {text:?}", setting.key());
        }
    }
    assert!(letters > 10_000, "{letters}");
}
