//! The recipe as a form, made of what is known of its settings.

mod model;
mod row;

use egui::{CollapsingHeader, Label, RichText, Ui};
use toml::{Table, Value};

use super::Panel;
use crate::annotate::{Combining, Judging};
use crate::app::command::{Command, Dialog, Role};
use crate::app::icons::{self, Icon};
use crate::app::state::{Problem, Scene};
use crate::app::theme::Palette;
use crate::app::{format, widgets};
use crate::preference::Scheme;
use crate::registry::{Choice, Constant, Registry, constants_of};
use crate::run::{Recipe, Setting};
use crate::settings::{Holds, Settings as _};

/// All settings of the next run.
#[derive(Default)]
pub(super) struct Settings {
    /// A recipe and the same as a table, so that the table is not made anew for each frame.
    known: Option<(Recipe, Table)>,
}

/// The groups of the form: their titles, the sections in them, and whether they are open at first.
const GROUPS: [(&str, &[&str], bool); 8] = [
    ("Run", &[""], true),
    ("Data", &["data"], true),
    ("Annotator", &["annotator", "annotator.lora"], true),
    ("Confidence", &["confidence"], true),
    ("Fine-tuning (SFT)", &["sft"], false),
    ("Policy", &["policy", "policy.lora"], true),
    ("Rounds on its own responses", &["online"], false),
    ("Evaluation", &["evaluate", "dissect"], false),
];

impl Panel for Settings {
    fn title(&self) -> &'static str {
        "Settings"
    }

    fn ui(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let state = scene.state;
        let known = self.known.take().filter(|(recipe, _)| *recipe == state.recipe);
        let (recipe, table) =
            known.unwrap_or_else(|| (state.recipe.clone(), state.recipe.to_table()));
        let mut form = Form {
            recipe: &recipe,
            table: table.clone(),
            problem: state.problem.as_ref(),
            fetching: state.fetching.clone(),
            wish: None,
        };
        widgets::scroll(ui, "settings", |ui| {
            if state.at_work {
                widgets::weak(
                    ui,
                    "Settings are fixed while a run is at work; the threshold in Confidence is not.",
                );
            }
            if let Some(problem) = form.problem {
                let color = Palette::get(ui).error;
                ui.horizontal_top(|ui| {
                    icons::show(ui, Icon::Warning, 14.0, color);
                    ui.add(Label::new(RichText::new(&problem.message).color(color)).wrap());
                });
            }
            ui.add_enabled_ui(!state.at_work, |ui| {
                for (title, sections, open) in GROUPS {
                    group(ui, title, open, |ui| form.sections(ui, sections));
                }
            });
        });
        let (edited, wish) = (form.table, form.wish);
        if edited != table
            && let Ok(recipe) = Recipe::of_table(edited, "the form")
        {
            scene.send(Command::SetRecipe(Box::new(recipe)));
        }
        if let Some(command) = wish {
            scene.send(command);
        }
        self.known = Some((recipe, table));
    }
}

fn group(ui: &mut Ui, title: &str, open: bool, content: impl FnOnce(&mut Ui)) {
    widgets::card(ui, |ui| {
        CollapsingHeader::new(RichText::new(title).strong()).default_open(open).show_unindented(
            ui,
            |ui| {
                ui.add_space(2.0);
                content(ui);
            },
        );
    });
}

/// The recipe as it is being edited.
struct Form<'a> {
    /// As it was at the beginning of the frame.
    recipe: &'a Recipe,
    /// As it is.
    table: Table,
    problem: Option<&'a Problem>,
    /// The model that is being fetched.
    fetching: Option<(String, u64, u64)>,
    wish: Option<Command>,
}

impl Form<'_> {
    /// The settings of some sections: those for everybody, then those for who looks for them.
    fn sections(&mut self, ui: &mut Ui, sections: &[&str]) {
        let of = |advanced: bool| {
            Recipe::documentation().iter().filter(move |setting| {
                sections.contains(&setting.section.as_str()) && setting.field.advanced == advanced
            })
        };
        of(false).filter(|s| shows(self.recipe, s)).for_each(|setting| self.setting(ui, setting));
        let rest: Vec<&Setting> = of(true).filter(|s| shows(self.recipe, s)).collect();
        if !rest.is_empty() {
            let wrong = self.problem.is_some_and(|p| rest.iter().any(|s| s.key() == p.key));
            CollapsingHeader::new("Advanced")
                .id_salt(sections)
                .open(wrong.then_some(true))
                .show_unindented(ui, |ui| {
                    rest.into_iter().for_each(|setting| self.setting(ui, setting));
                });
        }
    }

    fn setting(&mut self, ui: &mut Ui, setting: &Setting) {
        match setting.field.holds {
            Holds::Files => self.files(ui, setting),
            Holds::List => self.list(ui, setting),
            Holds::Model if setting.section == "annotator" => {
                self.model(ui, setting, Role::Annotator);
            }
            Holds::Model => self.model(ui, setting, Role::Policy),
            Holds::Rank => self.rank(ui, setting),
            Holds::Value | Holds::Several | Holds::Numbers | Holds::Models => {
                let problem = self.problem;
                if let Some(value) = value_of(&mut self.table, setting) {
                    row::line(ui, problem, setting, |ui| row::widget(ui, setting, value));
                }
            }
        }
    }

    fn files(&mut self, ui: &mut Ui, setting: &Setting) {
        let files = &self.recipe.data.files;
        let names: Vec<String> = files.iter().map(|f| format::file_name(f.as_ref())).collect();
        let wish = &mut self.wish;
        row::line(ui, self.problem, setting, |ui| {
            if ui.button("Choose…").clicked() {
                *wish = Some(Command::Ask(Dialog::Files));
            }
            let text = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            ui.add(Label::new(text).truncate()).on_hover_text(files.join("\n"));
        });
    }

    /// A list to look at, whose entries hold commas of their own; nothing where it is empty.
    fn list(&mut self, ui: &mut Ui, setting: &Setting) {
        let Some(Value::Array(list)) = value_of(&mut self.table, setting) else { return };
        if list.is_empty() {
            return;
        }
        let names: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
        row::line(ui, self.problem, setting, |ui| {
            drop(ui.add(Label::new(names.join(", ")).truncate()));
        });
    }

    /// Whether all is trained or an adapter, and of what rank.
    fn rank(&mut self, ui: &mut Ui, setting: &Setting) {
        let problem = self.problem;
        let Some(Value::Integer(rank)) = value_of(&mut self.table, setting) else { return };
        let mut adapted = *rank > 0;
        let mut given_up = false;
        row::line(ui, problem, setting, |ui| {
            if ui.checkbox(&mut adapted, "an adapter (LoRA)").changed() {
                given_up = !adapted;
                *rank = if adapted { 8 } else { 0 };
            }
            if adapted {
                ui.add(egui::DragValue::new(rank).range(1..=4096).prefix("rank "));
            } else {
                widgets::weak(ui, setting.field.zero);
            }
        });
        let section = setting.section.trim_end_matches(".lora");
        if given_up && let Some(Value::Table(section)) = self.table.get_mut(section) {
            // Weights that are all trained are stored as they are computed.
            section.insert("precision".to_owned(), Value::String("f32".to_owned()));
        }
    }
}

/// The value of a setting in a recipe's table.
fn value_of<'a>(table: &'a mut Table, setting: &Setting) -> Option<&'a mut Value> {
    let mut sections = setting.section.split('.').filter(|part| !part.is_empty());
    let table =
        sections.try_fold(table, |table, section| table.get_mut(section)?.as_table_mut())?;
    table.get_mut(setting.field.name)
}

/// Whether a setting says anything of a recipe as it is.
fn shows(recipe: &Recipe, setting: &Setting) -> bool {
    let name = setting.field.name;
    let reads = recipe.annotator.kind.reads();
    let adapter = match setting.section.as_str() {
        "annotator" | "annotator.lora" => recipe.annotator.lora.rank > 0,
        _ => recipe.policy.lora.rank > 0,
    };
    let constant = match setting.section.as_str() {
        "annotator" => is_of_others(&recipe.annotator.kind, name),
        "policy" => {
            let parts = recipe.policy.objective.parts();
            let several = name == "mrpo_eta" && !recipe.policy.references.is_empty();
            !several && parts.iter().all(|part| is_of_others(part, name))
        }
        "confidence" => {
            let own = recipe.confidence.weight.constants();
            let has = |constant: &Constant| constant.field.name == name;
            !own.iter().any(has) && constants_of::<dyn Scheme>().into_iter().any(has)
        }
        _ => false,
    };
    let (several, own) = (recipe.online.rounds > 1, recipe.policy.objective.needs().own_responses);
    match (setting.section.as_str(), name) {
        _ if constant => false,
        ("annotator", "kind") => true,
        ("annotator", name) if is_constant_of(&*recipe.annotator.kind, name) => true,
        ("annotator", "model") => reads.model(),
        (
            "annotator",
            "paraphrases" | "optimise_items" | "paraphrase_temperature" | "paraphraser",
        ) => reads.asks() && recipe.annotator.constants.judging.rewording.optimise_prompt > 0,
        ("annotator", name) if is_of_judges(name) => reads.asks(),
        ("annotator", "tournament") => recipe.annotator.kind.compares(&recipe.annotator.constants),
        ("annotator", name) if is_of_combining(name) => !reads.labels(),
        ("annotator", "precision") if reads.model() && !reads.learns() => true,
        ("annotator" | "annotator.lora", _) if !reads.learns() => false,
        ("annotator", "ensemble") => reads.head(),
        (_, "precision" | "disable_dropout") => adapter,
        ("annotator.lora" | "policy.lora", name) => name == "rank" || adapter,
        ("", "device" | "device_memory") => false,
        ("policy", "loss_weights") => recipe.policy.objective.parts().len() > 1,
        ("sft", "teacher") => recipe.sft.distill_steps > 0 || recipe.sft.select_share < 1.0,
        ("sft", "distill_weight" | "distill_temperature") => recipe.sft.distill_steps > 0,
        ("sft", "select_top_k") => recipe.sft.select_share < 1.0,
        ("online", "num_generations") => several && !own,
        ("online", "reference") => several && !own && recipe.policy.objective.needs().reference,
        ("online", name) => name == "rounds" || several || own,
        ("policy", "ref_model_mixup_alpha") => recipe.policy.ref_model_sync_steps > 0,
        ("data", "calibration") => recipe.confidence.fits(),
        ("evaluate", "gold_precision") => !recipe.evaluate.gold.is_empty(),
        _ => true,
    }
}

/// Whether a constant is one that the chosen entry of a list does not have, and others do.
fn is_of_others<T: Registry + ?Sized>(chosen: &Choice<T>, name: &str) -> bool {
    !is_constant_of(&**chosen, name) && T::all().iter().any(|entry| is_constant_of(*entry, name))
}

/// Whether a setting says how a judge is asked.
fn is_of_judges(name: &str) -> bool {
    Judging::fields().iter().any(|field| field.name == name)
}

/// Whether a setting says how annotators are combined.
fn is_of_combining(name: &str) -> bool {
    Combining::fields().iter().any(|field| field.name == name)
}

fn is_constant_of<T: Registry + ?Sized>(entry: &T, name: &str) -> bool {
    entry.about().constants.iter().any(|constant| constant.field.name == name)
}
