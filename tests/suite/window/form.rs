//! The form of Settings.

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
