//! The recipe as a form.

mod adapter;

use egui::{
    Align, CollapsingHeader, ComboBox, DragValue, Label, Layout, RichText, Sense, TextEdit, Ui,
    vec2,
};

use super::Panel;
use crate::app::command::{Command, Dialog, Role};
use crate::app::icons::{self, Icon};
use crate::app::state::{Problem, Scene};
use crate::app::theme::Palette;
use crate::app::{format, widgets};
use crate::data::{Media, Pairing};
use crate::hub::HubName;
use crate::preference::{Objective, Scheme};
use crate::run::{AnnotatorKind, Normalisation, Recipe};
use crate::text::{ChatStyle, ControlWords};
use crate::train::{PairSampling, Recompute, Schedule, Training};

/// All settings of the next run.
pub(super) struct Settings;

impl Panel for Settings {
    fn title(&self) -> &'static str {
        "Settings"
    }

    fn ui(&mut self, ui: &mut Ui, scene: &mut Scene<'_>) {
        let state = scene.state;
        let mut wish = None;
        let mut form = Form {
            recipe: state.recipe.clone(),
            problem: state.problem.as_ref(),
            fetching: state.fetching.clone(),
            wish: &mut wish,
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
                group(ui, "Run", true, |ui| form.run(ui));
                group(ui, "Data", true, |ui| form.data(ui));
                group(ui, "Annotator", true, |ui| form.annotator(ui));
                group(ui, "Confidence", true, |ui| form.confidence(ui));
                group(ui, "Fine-tuning (SFT)", false, |ui| form.sft(ui));
                group(ui, "Policy", true, |ui| form.policy(ui));
                group(ui, "Evaluation", false, |ui| form.evaluate(ui));
            });
        });
        let recipe = form.recipe;
        if recipe != state.recipe {
            scene.send(Command::SetRecipe(Box::new(recipe)));
        }
        if let Some(command) = wish {
            scene.send(command);
        }
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
    recipe: Recipe,
    problem: Option<&'a Problem>,
    /// The model that is being fetched.
    fetching: Option<(String, u64, u64)>,
    wish: &'a mut Option<Command>,
}

/// One line of the form: the name, which explains itself, and the widget.
fn line(
    ui: &mut Ui,
    problem: Option<&Problem>,
    key: &str,
    name: &str,
    widget: impl FnOnce(&mut Ui),
) {
    let palette = Palette::get(ui);
    let wrong = problem.filter(|problem| problem.key == key);
    ui.horizontal(|ui| {
        let color = if wrong.is_some() { palette.error } else { palette.weak };
        let width = 148.0_f32.min(ui.available_width() * 0.45);
        let label = ui
            .allocate_ui_with_layout(
                vec2(width, 24.0),
                Layout::left_to_right(Align::Center),
                |ui| {
                    ui.set_min_width(width);
                    ui.add(
                        Label::new(RichText::new(name).color(color))
                            .truncate()
                            .selectable(false)
                            .sense(Sense::hover()),
                    )
                },
            )
            .inner
            .on_hover_text(Recipe::explain(key).unwrap_or_default());
        ui.label_inputs_by(label.id, widget);
    });
    if let Some(wrong) = wrong {
        ui.add(Label::new(RichText::new(&wrong.message).small().color(palette.error)).wrap());
    }
}

fn integer(ui: &mut Ui, value: &mut usize, least: usize) {
    ui.add(DragValue::new(value).range(least..=usize::MAX).speed(1.0));
}

/// A share as a slider in percent.
fn share(ui: &mut Ui, value: &mut f64) {
    let percent = |share: f64, _| format!("{:.1} %", share * 100.0);
    let parse = |text: &str| {
        text.trim().trim_end_matches('%').trim().parse::<f64>().ok().map(|p| p / 100.0)
    };
    widgets::slider(
        ui,
        egui::Slider::new(value, 0.0..=1.0).custom_formatter(percent).custom_parser(parse),
    );
}

/// A positive number over many orders of magnitude, written as in a recipe.
fn scientific(ui: &mut Ui, value: &mut f64) {
    let speed = (*value * 0.02).max(1e-9);
    let text = |value: f64, _| {
        if value != 0.0 && value.abs() < 0.01 { format!("{value:e}") } else { format!("{value}") }
    };
    ui.add(DragValue::new(value).range(0.0..=1e6).speed(speed).custom_formatter(text));
}

fn choice<T: Copy + PartialEq>(ui: &mut Ui, salt: &str, value: &mut T, options: &[(T, &str)]) {
    let name = options.iter().find(|(option, _)| option == value).map_or("", |(_, name)| name);
    ComboBox::from_id_salt(salt).selected_text(name).width(190.0).show_ui(ui, |ui| {
        for (option, name) in options {
            ui.selectable_value(value, *option, *name);
        }
    });
}

impl Form<'_> {
    fn run(&mut self, ui: &mut Ui) {
        let (p, r) = (self.problem, &mut self.recipe);
        line(ui, p, "name", "Name", |ui| {
            ui.add(TextEdit::singleline(&mut r.name).desired_width(200.0));
        });
        line(ui, p, "seed", "Seed", |ui| {
            ui.add(DragValue::new(&mut r.seed));
        });
        line(ui, p, "checkpoint_seconds", "Checkpoint every", |ui| {
            ui.add(DragValue::new(&mut r.checkpoint_seconds).range(0.0..=86_400.0).suffix(" s"));
        });
    }

    fn data(&mut self, ui: &mut Ui) {
        let p = self.problem;
        line(ui, p, "data.files", "Files", |ui| {
            let names: Vec<String> =
                self.recipe.data.files.iter().map(|f| format::file_name(f.as_ref())).collect();
            if ui.button("Choose…").clicked() {
                *self.wish = Some(Command::Ask(Dialog::Files));
            }
            let text = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            ui.add(Label::new(text).truncate()).on_hover_text(self.recipe.data.files.join("\n"));
        });
        let d = &mut self.recipe.data;
        line(ui, p, "data.labelled", "Labelled share", |ui| share(ui, &mut d.labelled));
        line(ui, p, "data.held_out", "Held-out share", |ui| share(ui, &mut d.held_out));
        line(ui, p, "data.max_length", "Longest pair", |ui| {
            ui.add(DragValue::new(&mut d.max_length).range(2..=1_000_000).suffix(" tokens"));
        });
        line(ui, p, "data.max_lost", "Begin if it loses at most", |ui| share(ui, &mut d.max_lost));
        line(ui, p, "data.chat", "Write prompts", |ui| {
            let options = [
                (ChatStyle::Auto, "as the model's template has it"),
                (ChatStyle::Template, "all by a chat template"),
                (ChatStyle::Hh, "all as Human/Assistant"),
                (ChatStyle::Plain, "as the words alone"),
            ];
            choice(ui, "chat", &mut d.chat, &options);
        });
        line(ui, p, "data.chat_template", "Chat template", |ui| {
            let edit = TextEdit::singleline(&mut d.chat_template).hint_text("the model's own");
            ui.add(edit.desired_width(240.0));
        });
        line(ui, p, "data.pairing", "Pairs of ranked answers", |ui| {
            let options = [
                (Pairing::Auto, "as the data suggest"),
                (Pairing::BestWorst, "the best against the worst"),
                (Pairing::Adjacent, "each against the next"),
                (Pairing::All, "each two that differ"),
            ];
            choice(ui, "pairing", &mut d.pairing, &options);
        });
        line(ui, p, "data.media", "Pictures and sounds", |ui| {
            let options =
                [(Media::Refuse, "skip their rows"), (Media::LeaveOut, "leave them out, and tell")];
            choice(ui, "media", &mut d.media, &options);
        });
        line(ui, p, "data.special_tokens", "Control tokens in texts", |ui| {
            let options = [
                (ControlWords::Keep, "stay control tokens"),
                (ControlWords::Escape, "become words"),
                (ControlWords::Refuse, "leave their pairs out"),
            ];
            choice(ui, "special_tokens", &mut d.special_tokens, &options);
        });
        line(ui, p, "data.limit", "Use at most", |ui| {
            let text =
                |n: f64, _| if n == 0.0 { "all pairs".to_owned() } else { format!("{n:.0} pairs") };
            ui.add(DragValue::new(&mut d.limit).custom_formatter(text));
        });
        line(ui, p, "data.shuffle", "Shuffle", |ui| {
            let text = if d.shuffle { "random order" } else { "order of the files" };
            ui.checkbox(&mut d.shuffle, text);
        });
        for (key, name, list) in [
            ("data.unlabelled", "More unlabelled", &d.unlabelled),
            ("data.held_out_files", "More held out", &d.held_out_files),
        ] {
            if !list.is_empty() {
                line(ui, p, key, name, |ui| drop(ui.add(Label::new(list.join(", ")).truncate())));
            }
        }
    }

    fn evaluate(&mut self, ui: &mut Ui) {
        let (p, e) = (self.problem, &mut self.recipe.evaluate);
        line(ui, p, "evaluate.gold", "Gold reward model", |ui| {
            let edit = TextEdit::singleline(&mut e.gold).hint_text("none");
            ui.add(edit.desired_width(240.0));
        });
        if !e.gold.is_empty() {
            line(ui, p, "evaluate.gold_precision", "Its weights", |ui| {
                choice(ui, "gold precision", &mut e.gold_precision, &adapter::PRECISIONS);
            });
        }
        line(ui, p, "evaluate.samples", "Prompts", |ui| integer(ui, &mut e.samples, 0));
        line(ui, p, "evaluate.max_new_tokens", "Longest response", |ui| {
            ui.add(DragValue::new(&mut e.max_new_tokens).range(1..=100_000).suffix(" tokens"));
        });
        line(ui, p, "evaluate.temperature", "Temperature", |ui| {
            ui.add(DragValue::new(&mut e.temperature).range(0.0..=10.0).speed(0.01));
        });
    }

    fn model(&mut self, ui: &mut Ui, role: Role) {
        let key = if role == Role::Policy { "policy.model" } else { "annotator.model" };
        let builtin = if role == Role::Policy { "builtin:strong" } else { "builtin:weak" };
        let p = self.problem;
        line(ui, p, key, "Model", |ui| {
            let fetching = self.fetching.clone();
            let model = if role == Role::Policy {
                &mut self.recipe.policy.model
            } else {
                &mut self.recipe.annotator.model
            };
            if ui
                .button("Choose…")
                .on_hover_text(
                    "A folder with config.json and weights; or drop it on the window, or write a name on the hub: org/name",
                )
                .clicked()
            {
                *self.wish = Some(Command::Ask(Dialog::Model(role)));
            }
            if model != builtin
                && ui
                    .button("Built in")
                    .on_hover_text("Use the tiny model of the demonstration")
                    .clicked()
            {
                *model = builtin.to_owned();
            }
            match fetching {
                Some((name, done, total)) if name == *model => {
                    let text = format!("{} of {}", format::bytes(done), format::bytes(total));
                    widgets::weak(ui, &text);
                }
                _ if HubName::of_field(model).is_some() => {
                    let button = ui.button("Download").on_hover_text(
                        "Fetch this model from the hub into the local Hugging Face cache, unless it is there",
                    );
                    if button.clicked() {
                        *self.wish = Some(Command::Fetch(model.clone()));
                    }
                }
                _ => {}
            }
            ui.add(TextEdit::singleline(model).desired_width(ui.available_width().min(320.0)));
        });
    }

    fn annotator(&mut self, ui: &mut Ui) {
        let p = self.problem;
        line(ui, p, "annotator.kind", "Who labels", |ui| {
            let kinds = [
                (AnnotatorKind::RewardHead, "a weak model"),
                (AnnotatorKind::Human, "humans (baseline)"),
                (AnnotatorKind::File, "the files (with their confidence)"),
            ];
            choice(ui, "kind", &mut self.recipe.annotator.kind, &kinds);
        });
        if self.recipe.annotator.kind == AnnotatorKind::RewardHead {
            self.model(ui, Role::Annotator);
            let a = &mut self.recipe.annotator;
            adapter::rows(ui, p, "annotator", &mut a.lora, &mut a.precision);
            training(ui, p, "annotator", &mut a.training);
        }
    }

    fn confidence(&mut self, ui: &mut Ui) {
        let (p, c) = (self.problem, &mut self.recipe.confidence);
        line(ui, p, "confidence.weight", "Weight", |ui| {
            let options = Scheme::ALL
                .map(|scheme| (scheme, format!("{}:  {}", scheme.name(), scheme.formula())));
            let options: Vec<(Scheme, &str)> =
                options.iter().map(|(scheme, text)| (*scheme, text.as_str())).collect();
            choice(ui, "weight", &mut c.weight, &options);
        });
        line(ui, p, "confidence.threshold", "Threshold", |ui| {
            widgets::slider(ui, egui::Slider::new(&mut c.threshold, 0.0..=1.0).fixed_decimals(3));
        });
        line(ui, p, "confidence.temperature", "Temperature T", |ui| {
            ui.add(DragValue::new(&mut c.temperature).range(0.0..=1000.0).speed(0.01));
        });
        if c.weight == Scheme::Top {
            line(ui, p, "confidence.top", "Top share", |ui| share(ui, &mut c.top));
        }
    }

    fn sft(&mut self, ui: &mut Ui) {
        training(ui, self.problem, "sft", &mut self.recipe.sft.training);
    }

    fn policy(&mut self, ui: &mut Ui) {
        self.model(ui, Role::Policy);
        let (problem, p) = (self.problem, &mut self.recipe.policy);
        line(ui, problem, "policy.objective", "Objective", |ui| {
            let options =
                [(Objective::Dpo, "DPO"), (Objective::Ipo, "IPO"), (Objective::Rdpo, "robust DPO")];
            choice(ui, "objective", &mut p.objective, &options);
        });
        line(ui, problem, "policy.beta", "β", |ui| {
            ui.add(DragValue::new(&mut p.beta).range(0.0..=100.0).speed(0.005));
        });
        if p.objective == Objective::Rdpo {
            line(ui, problem, "policy.label_noise", "Label noise ε", |ui| {
                ui.add(DragValue::new(&mut p.label_noise).range(0.0..=0.5).speed(0.002));
            });
        }
        line(ui, problem, "policy.normalisation", "Divide by", |ui| {
            let options = [
                (Normalisation::Pairs, "number of pairs"),
                (Normalisation::Weights, "sum of weights"),
            ];
            choice(ui, "normalisation", &mut p.normalisation, &options);
        });
        line(ui, problem, "policy.sampling", "Confidence as", |ui| {
            let options = [
                (PairSampling::Every, "weight of the loss"),
                (PairSampling::Proportional, "chance of being drawn"),
            ];
            choice(ui, "sampling", &mut p.sampling, &options);
        });
        adapter::rows(ui, problem, "policy", &mut p.lora, &mut p.precision);
        if p.lora.rank > 0 {
            line(ui, problem, "policy.disable_dropout", "In alignment", |ui| {
                ui.checkbox(&mut p.disable_dropout, "drop nothing");
            });
        }
        training(ui, problem, "policy", &mut p.training);
    }
}

fn training(ui: &mut Ui, problem: Option<&Problem>, section: &str, t: &mut Training) {
    let key = |name: &str| format!("{section}.{name}");
    line(ui, problem, &key("epochs"), "Epochs", |ui| {
        ui.add(DragValue::new(&mut t.epochs).range(0.0..=10_000.0).speed(0.05));
    });
    line(ui, problem, &key("steps"), "Steps", |ui| {
        let text =
            |n: f64, _| if n == 0.0 { "as the epochs need".to_owned() } else { format!("{n:.0}") };
        ui.add(DragValue::new(&mut t.steps).custom_formatter(text));
    });
    line(ui, problem, &key("learning_rate"), "Learning rate", |ui| {
        scientific(ui, &mut t.learning_rate);
    });
    line(ui, problem, &key("batch_size"), "Batch size", |ui| {
        integer(ui, &mut t.batch_size, 1);
        ui.label("×");
        ui.name_inputs("Accumulate", |ui| integer(ui, &mut t.accumulate, 1));
        widgets::weak(ui, "accumulated")
            .on_hover_text(Recipe::explain(&key("accumulate")).unwrap_or_default());
    });
    line(ui, problem, &key("schedule"), "Schedule", |ui| {
        choice(
            ui,
            &key("schedule"),
            &mut t.schedule,
            &[(Schedule::Cosine, "cosine, down to 0"), (Schedule::Constant, "constant")],
        );
    });
    line(ui, problem, &key("warmup_steps"), "Warm-up", |ui| {
        ui.add(DragValue::new(&mut t.warmup_steps).suffix(" steps"));
    });
    line(ui, problem, &key("weight_decay"), "Weight decay", |ui| {
        scientific(ui, &mut t.weight_decay);
    });
    line(ui, problem, &key("recompute"), "Recompute layers", |ui| {
        let options = [
            (Recompute::Auto, "where memory is short"),
            (Recompute::Always, "always"),
            (Recompute::Never, "never"),
        ];
        choice(ui, &key("recompute"), &mut t.recompute, &options);
    });
    line(ui, problem, &key("micro_batch"), "At once", |ui| {
        let text =
            |n: f64, _| if n == 0.0 { "as many as fit".to_owned() } else { format!("{n:.0}") };
        ui.add(DragValue::new(&mut t.micro_batch).custom_formatter(text));
    });
    line(ui, problem, &key("max_grad_norm"), "Clip gradients at", |ui| {
        let text = |n: f64, _| if n == 0.0 { "off".to_owned() } else { format!("{n}") };
        ui.add(
            DragValue::new(&mut t.max_grad_norm)
                .range(0.0..=1e6)
                .speed(0.01)
                .custom_formatter(text),
        );
    });
    line(ui, problem, &key("skip_nonfinite"), "Skip broken steps", |ui| {
        ui.add(DragValue::new(&mut t.skip_nonfinite).suffix(" at most"));
    });
}
