//! The same text as transformers' `apply_chat_template`.

use std::path::Path;

use confide::data::{Message, Role};
use confide::model::ModelFiles;
use confide::text::{ChatTemplate, TextError};
use serde_json::{Value, json};

use super::{message, messages, now, render, template};
use crate::common::fixture;

#[test]
fn templates_render_as_transformers_renders_them() {
    let fixture = fixture("chat.json");
    let (mut rendered, mut refused) = (0, 0);
    for entry in fixture["templates"].as_array().unwrap() {
        let name = entry["name"].as_str().unwrap();
        let template = template(entry["template"].as_str().unwrap()).unwrap();
        for case in entry["cases"].as_array().unwrap() {
            let number = case[0].as_u64().unwrap() as usize;
            let talk = messages(&fixture["conversations"][number]);
            let found = template.render(&talk, case[1].as_bool().unwrap());
            match case[2].as_str() {
                Some(text) => {
                    assert_eq!(found.unwrap(), text, "{name}, conversation {number}");
                    rendered += 1;
                }
                None => match found.unwrap_err() {
                    TextError::Refused { words, .. } => {
                        assert_eq!(words, case[3].as_str().unwrap(), "{name}");
                        refused += 1;
                    }
                    other => panic!("{name}: {other}"),
                },
            }
        }
    }
    assert!(rendered > 100 && refused > 5, "{rendered} rendered, {refused} refused");
}

#[test]
fn single_features_render_as_in_transformers() {
    let fixture = fixture("chat.json");
    let talk = messages(&fixture["conversations"][0]);
    let wrong: Vec<String> = fixture["snippets"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|pair| {
            let (source, wanted) = (pair[0].as_str().unwrap(), pair[1].as_str().unwrap());
            let found = render(source, &talk, true).unwrap_or_else(|e| e.to_string());
            (found != wanted).then(|| format!("{source}\n  found  {found:?}\n  wanted {wanted:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A model folder with these files.
fn folder(files: &[(&str, String)]) -> (tempfile::TempDir, ModelFiles) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let files = ModelFiles::folder(folder.path()).unwrap();
    (folder, files)
}

fn config(template: &Value) -> (&'static str, String) {
    let value = json!({"eos_token": {"content": "<end>"}, "bos_token": "<begin>", "chat_template": template});
    ("tokenizer_config.json", value.to_string())
}

fn of(files: &ModelFiles) -> Result<Option<String>, TextError> {
    let template = ChatTemplate::of_model(files, &now())?;
    template.map(|t| t.render(&[message("user", "hi")], false)).transpose()
}

#[test]
fn a_template_is_found_where_transformers_looks() {
    let text = json!("{{ bos_token }}A{{ eos_token }}");
    assert_eq!(of(&folder(&[config(&text)]).1).unwrap().unwrap(), "<begin>A<end>");

    let file = ("chat_template.jinja", "B{{ eos_token }}\n".to_owned());
    assert_eq!(of(&folder(&[config(&text), file]).1).unwrap().unwrap(), "B<end>");

    let named = json!([
        {"name": "tool_use", "template": "T"},
        {"name": "default", "template": "D{{ messages[0].content }}"},
    ]);
    assert_eq!(of(&folder(&[config(&named)]).1).unwrap().unwrap(), "Dhi");
    assert_eq!(of(&folder(&[config(&Value::Null)]).1).unwrap(), None);
    assert_eq!(of(&folder(&[]).1).unwrap(), None);

    // Old folders name their special tokens in a file of their own, which goes before.
    let map = ("special_tokens_map.json", json!({"bos_token": "<map>"}).to_string());
    assert_eq!(of(&folder(&[config(&text), map]).1).unwrap().unwrap(), "<map>A<end>");
}

#[test]
fn what_is_wrong_with_a_template_is_said_with_file_and_line() {
    let said = |files: &[(&str, String)]| of(&folder(files).1).unwrap_err().to_string();
    let without = said(&[config(&json!([{"name": "tool_use", "template": "T"}]))]);
    assert!(without.contains("tool_use") && without.contains("data.chat_template"), "{without}");
    let number = said(&[config(&json!(3))]);
    assert!(number.contains("tokenizer_config.json: chat_template is neither"), "{number}");
    let jinja = |text: &str| said(&[("chat_template.jinja", text.to_owned())]);
    let syntax = jinja("a\nb\n{% for %}");
    assert!(syntax.contains("chat_template.jinja, template line 3: syntax error"), "{syntax}");
    let unknown = jinja("\n{{ messages|nonsense }}");
    assert!(unknown.contains("template line 2") && unknown.contains("nonsense"), "{unknown}");
    for include in ["{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}"] {
        let words = jinja(include);
        assert!(words.contains("template line 1"), "{words}");
    }
    let words = jinja("\n\n{{ raise_exception('No ' ~ messages[0].role) }}");
    assert!(
        words.contains("line 3: the chat template refuses this conversation: No user"),
        "{words}"
    );

    let missing = ChatTemplate::of_file(Path::new("/absent.jinja"), &folder(&[]).1, &now());
    assert!(missing.unwrap_err().to_string().starts_with("/absent.jinja: "));
    let (place, files) = folder(&[]);
    let bytes = place.path().join("bytes.jinja");
    std::fs::write(&bytes, b"ok\nok \xff").unwrap();
    let words = ChatTemplate::of_file(&bytes, &files, &now()).unwrap_err().to_string();
    assert!(words.contains("bytes.jinja, template line 2") && words.contains("UTF-8"), "{words}");
}

/// Functions and calls reach the template as transformers gives them: `tools`, and fields of the
/// messages, with the keys in their order.
#[test]
fn tools_and_calls_reach_the_template() {
    let call = |json: &str| Message {
        role: Role::Assistant,
        content: String::new(),
        fields: vec![("tool_calls".to_owned(), json.to_owned())],
    };
    let talk = [
        Message::new(Role::Tools, r#"[{"type": "function", "function": {"name": "w", "a": 1}}]"#),
        Message::new(Role::User, "q"),
        call(r#"[{"function": {"name": "w", "arguments": {"z": 1, "b": [2, null]}}}]"#),
        Message::new(Role::Tool, "12"),
    ];
    let source = "{% for tool in tools %}<{{ tool | tojson }}>{% endfor %}\
        {% for m in messages %}{{ m.role }}:{{ m.content }}\
        {% for c in m.tool_calls or [] %}({{ c.function.name }} {{ c.function.arguments | tojson }}){% endfor %};\
        {% endfor %}";
    // As Python's json.dumps spaces it.
    let wanted = r#"<{"type": "function", "function": {"name": "w", "a": 1}}>user:q;assistant:(w {"z": 1, "b": [2, null]});tool:12;"#;
    assert_eq!(render(source, &talk, false).unwrap(), wanted);
    let none = "{% if tools is none %}no{% endif %} tools, {{ messages | length }}";
    assert_eq!(render(none, &talk[1..], false).unwrap(), "no tools, 3");
    assert_eq!(render(none, &talk, false).unwrap(), " tools, 3");
    let broken = [call("no JSON")];
    assert!(matches!(render(source, &broken, false), Err(TextError::Template { .. })));
}
