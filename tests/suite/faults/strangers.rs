//! Tokenizers and chat templates are programs of strangers: whatever they do, they are stopped and
//! told of, and the program that asked goes on.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use confide::data::{Message, Pair, Prompt, Role, Source};
use confide::model::load;
use confide::text::{Chat, Encoder, Isolation, Limits, TextError, encode_pairs};

use super::*;
use crate::common::{program, repository, shared};

/// What nothing here may take on the slowest machine that runs the tests, all others beside it.
const LONGEST: Duration = Duration::from_secs(30);

/// Two namespaces, each in itself.
const ITSELF: &str =
    "{% set n = namespace(a=1) %}{% set n.x = n %}{% set m = namespace(a=1) %}{% set m.x = m %}";
/// Two values that hold one value twice, which holds one twice, sixty deep.
const DOUBLED: &str = "{% set n = namespace(x=['t'], y=['t']) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% set n.y = [n.y, n.y] %}{% endfor %}";

fn isolation() -> Isolation {
    let limits = Limits { memory: 600 << 20, stack: 64 << 20, seconds: 5.0, seconds_per_mib: 10.0 };
    Isolation { program: env!("CARGO_BIN_EXE_confide").into(), limits }
}

/// The same for what takes no end of time.
fn hurried() -> Isolation {
    let Isolation { program, limits } = isolation();
    Isolation { program, limits: Limits { seconds: 1.0, ..limits } }
}

fn apart(model: &Model) -> Result<Encoder, TextError> {
    apart_in(model, isolation())
}

fn apart_in(model: &Model, isolation: Isolation) -> Result<Encoder, TextError> {
    Encoder::load_apart(&model.files(), &Chat::default(), isolation)
}

fn with_template(source: &str) -> Model {
    let model = Model::llama();
    model.write("chat_template.jinja", source);
    model
}

/// The words with which something is stopped, in time.
#[track_caller]
fn stopped(what: &str, work: impl FnOnce() -> Result<(), TextError>) -> String {
    let begun = Instant::now();
    let outcome = work();
    assert!(begun.elapsed() < LONGEST, "{what}: {:?}", begun.elapsed());
    match outcome {
        Err(error @ TextError::Exceeded { .. }) => {
            let words = error.to_string();
            assert_says(&words, &["was stopped; try", "CONFIDE_TEXT_LIMITS"]);
            words
        }
        other => panic!("{what}: {other:?}"),
    }
}

fn hello() -> Prompt {
    Prompt::Messages(vec![Message::new(Role::User, "hello")])
}

#[test]
fn templates_that_nest_a_value_in_itself_are_stopped() {
    for end in [
        "{{ n == m }}",
        "{{ n != m }}",
        "{{ [n, m]|sort|length }}",
        "{{ n in [m] }}",
        "{{ [n, m]|unique|list|length }}",
        "{{ '%s'|format(n) }}",
        "{{ n ~ '' }}",
        "{{ {n: 1}|length }}",
        "{{ n|upper }}",
        "{{ n|replace('a', 'b') }}",
        "{{ raise_exception(n) }}",
    ] {
        let model = with_template(&format!("{ITSELF}{end}"));
        let words = stopped(end, || apart(&model).map(drop));
        let path = model.path().join("chat_template.jinja").display().to_string();
        assert_says(
            &words,
            &[&path, "the chat template overflowed the stack", "data.chat = \"hh\""],
        );
    }
    // What is paid for before it is written is refused by the template's own rules, as before, and
    // so is what is merely dropped.
    for end in ["{{ n }}", "{{ n|tojson }}", "{{ n|string }}", "{{ [n, n]|join }}"] {
        let encoder = apart(&with_template(&format!("{ITSELF}{end}"))).unwrap();
        let refused = encoder.prompt(&hello()).unwrap_err().to_string();
        assert_says(&refused, &["nested more than 200 times"]);
    }
    let encoder = apart(&with_template(&format!("{ITSELF}dropped"))).unwrap();
    assert_eq!(encoder.prompt(&hello()).unwrap().text, "dropped");
}

#[test]
fn templates_that_double_a_value_outside_their_fuel_are_stopped() {
    // What is written of them fills the memory, or takes too long to get there.
    let (time, either) = ("worked more than 1.0 s at one request", " more than ");
    for (end, isolation, exceeded) in [
        ("{{ n.x == n.y }}", hurried(), time),
        ("{{ [n.x, n.y]|sort|length }}", hurried(), time),
        ("{{ n.x ~ '' }}", isolation(), either),
        ("{{ '%s'|format(n.x)|length }}", isolation(), either),
    ] {
        let model = with_template(&format!("{DOUBLED}{end}"));
        let words = stopped(end, || apart_in(&model, isolation).map(drop));
        let path = model.path().join("chat_template.jinja").display().to_string();
        assert_says(&words, &[&path, "the chat template", exceeded]);
    }
}

/// A template that breaks on one conversation alone breaks where that is written.
#[test]
fn a_template_that_breaks_at_one_pair_is_stopped_there() {
    let source = format!(
        "{ITSELF}{{% for t in messages %}}{{{{ t.content }}}}{{% if t.content == 'boom' %}}{{{{ n == m }}}}{{% endif %}}{{% endfor %}}"
    );
    let model = with_template(&source);
    let encoder = apart(&model).unwrap();
    let pair = |i: usize, said: &str| Pair {
        prompt: Prompt::Messages(vec![Message::new(Role::User, said)]),
        responses: [format!("yes {i}"), "no".to_owned()],
        label: None,
        weight: 1.0,
        source: Source { file: 0, line: i as u64 + 1 },
    };
    let mut pairs: Vec<Pair> = (0..200).map(|i| pair(i, "hi")).collect();
    let all: Vec<usize> = (0..pairs.len()).collect();
    assert_eq!(encode_pairs(&encoder, &pairs, &all).unwrap().pairs.len(), 200);
    pairs[150] = pair(150, "boom");
    let words = stopped("pairs", || encode_pairs(&encoder, &pairs, &all).map(drop));
    assert_says(&words, &["the chat template overflowed the stack"]);
    // Whoever asks again gets another process.
    pairs[150] = pair(150, "calm");
    assert_eq!(encode_pairs(&encoder, &pairs, &all).unwrap().pairs.len(), 200);
    assert_eq!(encoder.prompt(&hello()).unwrap().text, "hello");
}

/// A tokenizer of a kind of its own: the second of `fuzz::tokenizers`, which is no byte-level one.
fn with_tokenizer(change: impl FnOnce(&mut Value)) -> Model {
    let model = Model::llama();
    let mut tokenizer = fuzz::tokenizers().swap_remove(1);
    change(&mut tokenizer);
    model.write("tokenizer.json", tokenizer.to_string());
    model.write("tokenizer_config.json", json!({"eos_token": "<|endoftext|>"}).to_string());
    model
}

fn doubling(letter: &str) -> Value {
    let double = json!({
        "type": "Replace", "pattern": {"String": letter}, "content": letter.repeat(2),
    });
    json!({"type": "Sequence", "normalizers": vec![double; 60]})
}

#[test]
fn tokenizers_that_take_more_than_they_may_are_stopped() {
    // The letter stands in what is looked at when a tokenizer is loaded, and in the text alone.
    let model = with_tokenizer(|t| t["normalizer"] = doubling("o"));
    let words = stopped("doubling at once", || apart(&model).map(drop));
    let path = model.path().join("tokenizer.json").display().to_string();
    assert_says(&words, &[&path, "the tokenizer took more than 0.59 GiB of memory"]);

    let model = with_tokenizer(|t| t["normalizer"] = doubling("q"));
    let encoder = apart(&model).unwrap();
    let words = stopped("doubling", || encoder.tokenizer.encode("q").map(drop));
    assert_says(&words, &["the tokenizer took more than 0.59 GiB of memory"]);
    assert!(encoder.tokenizer.encode("Hi").is_ok(), "the next one is read again");

    // Each place is tried as often as the text is long, in steps that each compare as much.
    let model = with_tokenizer(|t| {
        t["pre_tokenizer"] = json!({
            "type": "Split", "pattern": {"Regex": "(?:(a*)\\1x)|a"}, "behavior": "Isolated", "invert": false,
        });
    });
    let encoder = apart_in(&model, hurried()).unwrap();
    let text = "a".repeat(100_000);
    let words = stopped("backtracking", || encoder.tokenizer.encode(&text).map(drop));
    assert_says(&words, &["tokenizer.json: the tokenizer worked more than", "s at one request"]);
}

#[test]
fn a_tokenizer_that_panics_is_an_error_of_its_file() {
    let model = with_tokenizer(|t| {
        t["decoder"] = json!({"type": "Strip", "content": "H", "start": 2, "stop": 2});
    });
    let encoder = apart(&model).unwrap();
    let words = encoder.tokenizer.decode(&[2, 2]).unwrap_err().to_string();
    assert_says(
        &words,
        &["tokenizer.json: the tokenizer failed: this breaks the tokenizers library"],
    );
    assert!(encoder.tokenizer.encode("Hi").is_ok());
}

#[cfg(unix)]
#[test]
fn a_process_that_ends_by_itself_is_told_of_and_started_again() {
    let model = Model::llama();
    let Isolation { program, limits } = hurried();
    let limits = Limits { seconds: 0.4, ..limits };
    let encoder = apart_in(&model, Isolation { program, limits }).unwrap();
    let before = encoder.tokenizer.encode("a story").unwrap();
    let kill = |signal: &str| {
        let process = encoder.process_id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
    };
    // Between two requests nobody is any the wiser.
    kill("-KILL");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(encoder.tokenizer.encode("a story").unwrap(), before);
    // In the middle of one, it is an error like any other.
    kill("-STOP");
    let words = stopped("stopped", || encoder.tokenizer.encode("a story").map(drop));
    assert_says(&words, &["tokenizer.json: the tokenizer gave no answer for 4 s"]);
    assert_eq!(encoder.tokenizer.encode("a story").unwrap(), before);
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_may_open_nothing_and_write_nothing() {
    let encoder = apart(&Model::llama()).unwrap();
    let process = encoder.process_id().unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let limit = |name: &str| -> Vec<String> {
        let line = limits.lines().find(|line| line.starts_with(name)).unwrap();
        line[name.len()..].split_whitespace().take(2).map(str::to_owned).collect()
    };
    assert_eq!(limit("Max file size"), ["0", "0"]);
    assert_eq!(limit("Max core file size"), ["0", "0"]);
    // None beside those that it has already, and whatever it has inherited.
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    let most: Vec<usize> = limit("Max open files").iter().map(|n| n.parse().unwrap()).collect();
    assert!(most.iter().all(|most| *most <= open), "{most:?} of {open}");
}

#[test]
fn without_a_parent_there_is_no_process() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_confide"))
        .arg("text-process")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

/// A process that is busy for ever ends with its parent, however that ends.
#[cfg(target_os = "linux")]
#[test]
fn a_busy_process_ends_with_its_parent() {
    let model = with_template(&format!("{DOUBLED}{{{{ n.x == n.y }}}}"));
    let mut parent = program();
    parent.env("CONFIDE_TEXT_LIMITS", "100").stdout(Stdio::null()).stderr(Stdio::null());
    parent.args(["generate", model.path().to_str().unwrap(), "--prompt", "hi"]);
    let mut parent = parent.spawn().unwrap();
    let wait = |what: &str, holds: &mut dyn FnMut() -> bool| {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < LONGEST, "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    let mut child = String::new();
    wait("a child that works", &mut || {
        // Not every kernel lists children.
        let of_parent = |stat: &str| {
            let after = stat.rsplit_once(") ").map_or("", |(_, after)| after);
            after.split_whitespace().nth(1) == Some(&parent.id().to_string())
        };
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let found = all.map(|entry| entry.path()).find(|path| {
            std::fs::read_to_string(path.join("stat")).is_ok_and(|stat| of_parent(&stat))
        });
        let name = found.as_ref().and_then(|path| path.file_name());
        child = name.map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let times = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        let used = times.split_whitespace().nth(13).and_then(|ticks| ticks.parse::<u64>().ok());
        !child.is_empty() && used.is_some_and(|ticks| ticks > 20)
    });
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait("the child's end", &mut || {
        let status = std::fs::read_to_string(format!("/proc/{child}/stat"));
        status.map_or(true, |status| status.contains(") Z "))
    });
}

fn confide(args: &[&str]) -> Output {
    let begun = Instant::now();
    let output = program().env("CONFIDE_TEXT_LIMITS", "0.5").args(args).output().unwrap();
    assert!(begun.elapsed() < LONGEST, "{args:?}: {:?}", begun.elapsed());
    output
}

#[test]
fn every_command_tells_what_was_stopped() {
    let model = with_template(&format!("{ITSELF}{{{{ n == m }}}}"));
    let checkpoint = load(&model.files(), &Device::flex()).unwrap();
    let place = tempfile::tempdir().unwrap();
    let pairs = some_pairs(place.path());
    let (folder, pairs) = (model.path().to_str().unwrap(), pairs.to_str().unwrap());
    let recipe = |name: &str, policy: &str, gold: &str| {
        let path = place.path().join(name);
        let text = format!(
            "device = 'cpu'\ndata = {{ files = ['{pairs}'], labelled = 1.0, held_out = 0.2 }}\n\
             annotator = {{ kind = 'human' }}\npolicy = {{ model = '{policy}' }}\n\
             evaluate = {{ gold = '{gold}' }}"
        );
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let out = place.path().join("run");
    let out = out.to_str().unwrap();
    let plain = recipe("plain.toml", folder, "");
    let commands = [
        vec!["inspect", pairs, "--model", folder],
        vec!["estimate", &plain],
        vec!["generate", folder, "--prompt", "hi", "--device", "cpu"],
        vec!["run", &plain, "--out", out],
    ];
    let check = |args: &[&str]| {
        let output = confide(args);
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {words}");
        let path = model.path().join("chat_template.jinja").display().to_string();
        assert_says(&words, &[&path, "overflowed the stack", "data.chat = \"hh\""]);
    };
    commands.iter().for_each(|args| check(args));

    // As a judge of samples.
    let mut judge = checkpoint;
    let weight = burn::tensor::Tensor::from_data([[0.5f32]; 16], &Device::flex());
    judge.decoder = judge.decoder.with_score(weight);
    save(model.path(), &judge, None, Storage::F32).unwrap();
    let judged = recipe("judged.toml", "builtin:strong", folder);
    let out = place.path().join("judged");
    check(&["run", &judged, "--out", out.to_str().unwrap()]);

    // The environment asks for no number.
    let output = program().env("CONFIDE_TEXT_LIMITS", "much").args(&commands[0]).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_says(&words, &["CONFIDE_TEXT_LIMITS is “much”", "expected a number above 0"]);
}

/// All that an encoder says and does, in this process and apart.
#[track_caller]
fn assert_same(what: &str, files: &ModelFiles, pairs: &[Pair]) {
    let chat = Chat::default();
    let here = Encoder::load_here(files, &chat);
    let there =
        Encoder::load_apart(files, &chat, Isolation { limits: Limits::default(), ..isolation() });
    let (here, there) = match (here, there) {
        (Ok(here), Ok(there)) => (here, there),
        (Err(here), Err(there)) => {
            assert_eq!(here.to_string(), there.to_string(), "{what}");
            return;
        }
        (here, there) => panic!("{what}: {here:?} and {there:?}"),
    };
    for said in [Encoder::describe, Encoder::why_endless] {
        assert_eq!(said(&here), said(&there), "{what}");
    }
    assert_eq!(here.stop(), there.stop(), "{what}");
    assert_eq!(here.tokenizer.beyond(), there.tokenizer.beyond(), "{what}");
    let all: Vec<usize> = (0..pairs.len()).rev().collect();
    let told = |encoder: &Encoder| match encode_pairs(encoder, pairs, &all) {
        Ok(found) => {
            let refused = found.refused.into_iter().map(|(i, e)| (i, e.to_string()));
            Ok((found.pairs, refused.collect::<Vec<_>>()))
        }
        Err(error) => Err(error.to_string()),
    };
    assert_eq!(told(&here), told(&there), "{what}");
    for pair in pairs.iter().take(20) {
        let alone = |encoder: &Encoder| -> Result<_, String> {
            let words = |e: TextError| e.to_string();
            let sequence = encoder.sequence(&pair.prompt, &pair.responses[0]).map_err(words)?;
            let tokenizer = &encoder.tokenizer;
            let text =
                tokenizer.decode_after(&sequence.prompt, &sequence.response).map_err(words)?;
            let bare = tokenizer.encode_bare(&pair.responses[1]).map_err(words)?;
            Ok((sequence, text, bare, tokenizer.encode(&pair.responses[1]).map_err(words)?))
        };
        assert_eq!(alone(&here), alone(&there), "{what}");
        for response in &pair.responses {
            let brings = [&here, &there].map(|e| e.brings_end(&pair.prompt, response));
            assert_eq!(brings[0], brings[1], "{what}");
        }
    }
}

#[test]
fn tokens_are_the_same_in_another_process() {
    let place = tempfile::tempdir().unwrap();
    let read = |path: &Path| {
        let settings = confide::data::ReadSettings::default();
        confide::data::read_files(&[path.to_owned()], &settings).unwrap().pairs
    };
    let mut pairs = read(&some_pairs(place.path()));
    pairs[3].prompt = Prompt::Messages(vec![
        Message::new(Role::System, "Be brief."),
        Message::new(Role::User, "\u{1F600} and\n\n then\u{0301}?"),
        Message::new(Role::Assistant, "a <|endoftext|>"),
    ]);
    pairs[4].prompt = hello();
    pairs[4].responses[0] = "yes <|endoftext|> ".to_owned();
    pairs[5].prompt =
        Prompt::Messages(vec![Message::new(Role::Tools, "no JSON"), Message::new(Role::User, "?")]);
    let model = Model::llama();
    assert_same("byte level", &model.files(), &pairs);
    for template in [
        "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{{ eos_token }}{% endfor %}{% if tools %}{{ tools }}{% endif %}",
        "{{ strftime_now('%Y %Z') }}{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no') }}{% endif %}{{ m.content }}{% endfor %}",
        "{{ messages",
    ] {
        assert_same(template, &with_template(template).files(), &pairs);
    }
    for (i, tokenizer) in fuzz::tokenizers().into_iter().enumerate() {
        let model = with_tokenizer(|t| *t = tokenizer);
        assert_same(&format!("tokenizer {i}"), &model.files(), &pairs);
    }
    for name in ["added", "gpt2", "opt", "qwen2"] {
        let files =
            ModelFiles::folder(&repository("tests/fixtures/tokenizers").join(name)).unwrap();
        assert_same(name, &files, &pairs);
    }
    model.write("tokenizer_config.json", "{");
    assert_same("a damaged file", &model.files(), &pairs);
    std::fs::remove_file(model.path().join("tokenizer_config.json")).unwrap();
    std::fs::remove_file(model.path().join("tokenizer.json")).unwrap();
    assert_same("a missing file", &model.files(), &pairs);

    let Some(data) = shared("data/hh-harmless-base/test.jsonl.gz") else { return };
    let Some(tokenizer) = shared("data/models/gpt2-tokenizer") else { return };
    let gpt2 = tempfile::tempdir().unwrap();
    for (from, to) in [("encoder.json", "vocab.json"), ("vocab.bpe", "merges.txt")] {
        std::fs::copy(tokenizer.join(from), gpt2.path().join(to)).unwrap();
    }
    let config = json!({"model_type": "gpt2", "eos_token_id": 50256});
    std::fs::write(gpt2.path().join("config.json"), config.to_string()).unwrap();
    assert_same("GPT-2", &ModelFiles::folder(gpt2.path()).unwrap(), &read(&data));
}
