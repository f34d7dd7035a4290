//! A template is a program from somewhere else: it must end, and cannot fill the memory.

use std::time::{Duration, Instant};

use confide::text::TextError;
use proptest::prelude::*;

use super::{message, render};
use crate::common::fixture;

/// What no rendering may take on the slowest machine that runs the tests.
const LONGEST: Duration = Duration::from_secs(10);

#[track_caller]
fn fails(source: &str) -> String {
    let begun = Instant::now();
    let outcome = render(source, &[message("user", "hi")], true);
    assert!(begun.elapsed() < LONGEST, "{source}: {:?}", begun.elapsed());
    match outcome {
        Err(error @ TextError::Template { .. }) => error.to_string(),
        other => panic!("{source}: {:?}", other.map(|text| text.len())),
    }
}

#[test]
fn endless_loops_end() {
    let nested =
        |n: usize| "{% for a in range(99999) %}".repeat(n) + "{{ a }}" + &"{% endfor %}".repeat(n);
    let words = fails(&nested(4));
    assert!(
        words.contains("more steps or memory") && words.contains("data.chat_template"),
        "{words}"
    );
    fails(
        "{% for a in range(99999) %}{% for b in range(99999) %}{% set c = a %}{% endfor %}{% endfor %}",
    );
    fails(
        "{% set n = namespace(s='x') %}{% for i in range(99999) %}{% set n.s = n.s + n.s %}{% endfor %}",
    );
    fails(
        "{{ range(99999)|map('string')|list|tojson|length }}{% for i in range(99999) %}{{ range(99999)|list|length }}{% endfor %}",
    );
}

#[test]
fn huge_texts_are_refused() {
    assert!(fails("{{ 'x' * 100000000000 }}").contains("memory"));
    fails("{{ 'x' * 90000000 }}");
    let words = fails("{{ 'x' * 2000000 }}");
    assert!(words.contains("2000000 bytes of a conversation of 2; expected at most"), "{words}");
    fails("{{ '%1000000000d'|format(1) }}");
    fails("{{ 'a'.replace('', 'x' * 10000).replace('', 'x' * 10000).replace('', 'x' * 10000) }}");
    fails("{{ 'x'|indent(1000000000, true) }}");
    fails(&format!("{{# {} #}}", "x".repeat(1 << 20)));
}

#[test]
fn recursion_ends() {
    fails("{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}");
    fails(
        "{% macro f(n) %}{{ g(n) }}{% endmacro %}{% macro g(n) %}{{ f(n) }}{% endmacro %}{{ f(0) }}",
    );
    fails("{% for x in [messages] recursive %}{{ loop([messages]) }}{% endfor %}");
    fails(&("{{ ".to_owned() + &"(".repeat(100_000)));
    fails(&("{{ ".to_owned() + &"[".repeat(100_000)));
    fails(&"{% if true %}".repeat(19_000));
}

/// Expressions as deep as the longest tag allows: compiled, or refused.
#[test]
fn deep_expressions_are_no_crash() {
    let begun = Instant::now();
    let nested = [
        ("-", "1"),
        ("not ", "1"),
        ("1+", "1"),
        ("1~", "1"),
        ("1 and ", "1"),
        ("1 if 1 else ", "1"),
    ];
    let chained = [".a", "|e", "[0]", "()", " is none", "+1", "~1"];
    let nested = nested.map(|(part, end)| (part.repeat(16_000 / part.len()), end.to_owned()));
    let chained = chained.map(|part| ("a".to_owned(), part.repeat(16_000 / part.len())));
    for (head, tail) in nested.into_iter().chain(chained) {
        let _ = render(&format!("{{{{ {head}{tail} }}}}"), &[message("user", "hi")], true);
    }
    let _ = render(&("{% if 0 %}".to_owned() + &"{% elif 0 %}".repeat(20_000)), &[], true);
    assert!(begun.elapsed() < 3 * LONGEST, "{:?}", begun.elapsed());
    let words = fails(&format!("\n{{{{ {} }}}}", "1+".repeat(100_000)));
    assert!(words.contains("template line 2: a tag of more than"), "{words}");
}

/// A value nested in itself, deeper and deeper: written, compared and dropped by recursion.
#[test]
fn deep_values_are_no_crash() {
    let nest =
        "{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = [n.x] %}{% endfor %}";
    fails(nest);
    for depth in [100, 5_000, 20_000] {
        let nest = nest.replace("99999", &depth.to_string());
        for end in [
            "{{ n.x == [n.x] }}",
            "{{ n.x in [[n.x]] }}",
            "{{ {n.x: 1}|length }}",
            "{{ [n.x, [n.x]]|sort|length }}",
        ] {
            let begun = Instant::now();
            let _ = render(&format!("{nest}{end}"), &[message("user", "hi")], true);
            assert!(begun.elapsed() < LONGEST, "{depth} {end}: {:?}", begun.elapsed());
        }
        for end in ["{{ n.x }}", "{{ n.x|tojson }}", "{{ n.x|string|length }}", "{{ n.x|join }}"] {
            let outcome = render(&format!("{nest}{end}"), &[message("user", "hi")], true);
            assert_eq!(outcome.is_ok(), depth == 100, "{depth} {end}");
        }
    }
    let itself = "{% set n = namespace(a=1) %}{% set n.x = n %}{% set m = namespace(a=1) %}{% set m.x = m %}";
    for end in ["{{ n }}", "{{ n|tojson }}", "{{ n|string }}", "{{ [n, n]|join }}"] {
        assert!(fails(&format!("{itself}{end}")).contains("nested more than"));
    }
}

/// A value that holds another twice, which holds another twice: small, but endless to write.
#[test]
fn wide_values_are_not_written_out() {
    for end in [
        "{{ n.x }}",
        "{{ n.x|tojson }}",
        "{{ n.x|string|length }}",
        "{{ n.x|tojson(sort_keys=true) }}",
        "{{ n.x|join }}",
    ] {
        let source = format!(
            "{{% set n = namespace(x=['text']) %}}{{% for i in range(60) %}}{{% set n.x = [n.x, n.x] %}}{{% endfor %}}{end}"
        );
        fails(&source);
    }
}

fn mutated(source: &str, edits: &[(usize, usize, usize)], pieces: &[String]) -> String {
    let mut text: Vec<char> = source.chars().collect();
    for &(at, length, piece) in edits {
        let at = at % (text.len() + 1);
        let end = (at + length).min(text.len());
        let piece = &pieces[piece % pieces.len()];
        text.splice(at..end, piece.chars());
    }
    text.into_iter().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_templates_never_panic_or_hang(
        which in 0usize..100,
        edits in prop::collection::vec((0usize..4000, 0usize..12, 0usize..1000), 1..8),
    ) {
        let fixture = fixture("chat.json");
        let mut sources: Vec<String> = fixture["templates"].as_array().unwrap().iter()
            .map(|t| t["template"].as_str().unwrap().to_owned()).collect();
        sources.extend(fixture["snippets"].as_array().unwrap().iter().map(|s| s[0].as_str().unwrap().to_owned()));
        let mut pieces: Vec<String> = ["", "{%", "%}", "{{", "}}", "{#", "#}", "-", "'", "\"", "|", "(", ")", "[", "]", ".", "~", "*", "99999",
            "{% generation %}", "{% endgeneration %}", "{% raw %}", "{% endfor %}", "{% set x = messages %}", "{% for i in range(99999) %}", "loop", "namespace()",
            "messages", "tojson", "é", "\u{0}", "\r", "strftime_now('%Q%')", "strftime_now('%')", ".rsplit(none, 2)", ".partition('')", "|tojson(indent=-1)"]
            .map(str::to_owned).to_vec();
        pieces.extend(sources.iter().flat_map(|s| s.split_inclusive("%}").map(str::to_owned)).take(200));
        let source = mutated(&sources[which % sources.len()], &edits, &pieces);
        let begun = Instant::now();
        // A panic inside the renderer is caught there; it would say so.
        if let Err(error) = render(&source, &[message("system", "s"), message("user", "hi")], true) {
            prop_assert!(!error.to_string().contains("breaks the program"), "{source}\n{error}");
        }
        prop_assert!(begun.elapsed() < LONGEST, "{source}");
    }
}
