//! Templates in whole runs and in the terminal.

use std::path::Path;
use std::process::Output;

use confide::run::{Event, Recipe, Report, RunError};
use serde_json::{Value, json};

use crate::common::{program, ran};

const TEMPLATE: &str = "{% for m in messages %}{% if m.role == 'system' and m.content == 'bad' %}{{ raise_exception('nothing of the kind: ' ~ m.content) }}{% endif %}<{{ m.role }}>{{ m.content }}</{{ m.role }}>\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}";

/// Conversations, of which every `nth` has the system message that the template refuses.
fn data(folder: &Path, nth: usize) -> String {
    let pair = |i: usize| {
        let mut prompt = vec![json!({"role": "user", "content": format!("What is number {i}?")})];
        if i % nth == nth - 1 {
            prompt.insert(0, json!({"role": "system", "content": "bad"}));
        }
        json!({
            "prompt": prompt,
            "chosen": [{"role": "assistant", "content": format!("It is {i}.")}],
            "rejected": [{"role": "assistant", "content": format!("I say {i} {i}.")}],
        })
    };
    let lines: Vec<String> = (0..40).map(|i| pair(i).to_string()).collect();
    let path = folder.join("talk.jsonl");
    std::fs::write(&path, lines.join("\n")).unwrap();
    path.display().to_string()
}

fn run(folder: &Path, nth: usize, settings: &str) -> (Result<Report, RunError>, Vec<Event>) {
    let template = folder.join("own.jinja");
    std::fs::write(&template, TEMPLATE).unwrap();
    let text = format!(
        "device = 'cpu'\nname = 'chat'\n\
         data = {{ files = ['{}'], labelled = 0.5, held_out = 0.2, {settings} }}\n\
         annotator = {{ model = 'builtin:weak', steps = 1, batch_size = 4 }}\n\
         sft = {{ steps = 1, batch_size = 4, accumulate = 1 }}\n\
         policy = {{ model = 'builtin:strong', steps = 1, batch_size = 4, accumulate = 1 }}\n\
         evaluate = {{ samples = 0 }}",
        data(folder, nth),
    );
    let recipe = Recipe::parse(&text, Path::new("chat.toml"), &[]).unwrap();
    ran(recipe, &folder.join("run"))
}

#[test]
fn a_run_tells_how_prompts_are_written_and_names_refused_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.jinja");
    let (report, events) = run(folder.path(), 10, &format!("chat_template = '{}'", own.display()));
    let report = report.unwrap();
    assert_eq!(report.data.refused, 4);
    let named: Vec<&String> =
        report.warnings.iter().filter(|w| w.contains("nothing of the kind: bad")).collect();
    assert!(
        !named.is_empty() && named.iter().all(|w| w.contains("pairs are left out")),
        "{named:?}"
    );
    for model in ["annotator", "policy"] {
        let written = &report.prompts[model];
        assert!(written.style.contains("own.jinja"), "{}", written.style);
        assert!(written.prompt.starts_with("<user>What is number"), "{}", written.prompt);
        assert!(written.prompt.ends_with("</user>\n<assistant>"), "{}", written.prompt);
        assert!(written.response.ends_with(".</assistant>\n"), "{}", written.response);
        let told = |e: &&Event| matches!(e, Event::Prompts { model: m, .. } if m == model);
        assert_eq!(events.iter().filter(told).count(), 1);
        // The exported model is asked as it was trained.
        let exported = folder.path().join("run").join(model).join("chat_template.jinja");
        assert_eq!(std::fs::read_to_string(exported).unwrap(), TEMPLATE);
    }
}

#[test]
fn a_run_in_which_a_template_refuses_everything_fails_in_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.jinja");
    let (report, _) = run(folder.path(), 1, &format!("chat_template = '{}'", own.display()));
    let words = report.unwrap_err().to_string();
    assert!(words.contains("are refused by the chat template of the annotator"), "{words}");
    assert!(words.contains("nothing of the kind: bad") && words.contains("data.chat = \"hh\""));
}

#[test]
fn without_a_template_messages_are_transcripts() {
    let folder = tempfile::tempdir().unwrap();
    let report = run(folder.path(), 10, "chat = 'auto'").0.unwrap();
    assert_eq!(report.data.refused, 0);
    let written = &report.prompts["policy"];
    assert!(written.style.contains("there is no chat template"), "{}", written.style);
    assert!(written.prompt.ends_with("?\n\nAssistant:"), "{:?}", written.prompt);

    let folder = tempfile::tempdir().unwrap();
    let words = run(folder.path(), 10, "chat = 'template'").0.unwrap_err().to_string();
    assert!(words.contains("has no chat template"), "{words}");
}

#[test]
fn recipes_with_an_impossible_style_are_refused() {
    let parse = |text: &str| Recipe::parse(text, Path::new("r.toml"), &[]).map(|_| ());
    let words = parse("data = { chat = 'nonsense' }").unwrap_err().to_string();
    assert!(words.contains("nonsense") && words.contains("template"), "{words}");
    let recipe = confide::demo::recipe();
    let set = [("data.chat_template".to_owned(), "/absent.jinja".to_owned())];
    let words = recipe.with(&set).unwrap_err().to_string();
    assert!(words.contains("data.chat_template") && words.contains("/absent.jinja"), "{words}");
}

fn confide(args: &[&str]) -> Output {
    program().args(args).output().unwrap()
}

#[test]
fn inspect_and_generate_write_prompts_by_a_template() {
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join("own.jinja");
    std::fs::write(&template, TEMPLATE).unwrap();
    let (data, template) = (data(folder.path(), 10), template.display().to_string());
    let args = ["inspect", &data, "--model", "builtin:strong", "--chat-template", &template];
    let shown = confide(&args);
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(
        text.contains("own.jinja") && text.contains("│<user>What is number 0?</user>│"),
        "{text}"
    );
    let found: Value =
        serde_json::from_slice(&confide(&[&args[..], &["--json"]].concat()).stdout).unwrap();
    assert_eq!(found["prompts"]["response"], "It is 0.</assistant>\n");

    let sample = |extra: &[&str]| {
        let head = ["generate", "builtin:strong", "--prompt", "hi", "--temperature", "0"];
        let rest = ["--max-new-tokens", "4", "--device", "cpu", "--json"];
        confide(&[&head[..], &rest[..], extra].concat())
    };
    assert!(sample(&[]).status.success());
    assert!(sample(&["--chat-template", &template]).status.success());
    let refused = sample(&["--chat-template", &template, "--system", "bad"]);
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && words.contains("nothing of the kind"), "{words}");
    let none = sample(&["--chat", "template"]);
    assert!(String::from_utf8_lossy(&none.stderr).contains("has no chat template"));
}
