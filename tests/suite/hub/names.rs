//! Names and settings.

use std::path::Path;

use confide::hub::{HubName, HubSettings};

#[test]
fn names_follow_the_hub() {
    let long = "a".repeat(96);
    for field in ["gpt2", "org/name", "Qwen/Qwen2.5-0.5B", "a_b/c.d-e", "o/n@main", &long] {
        let name = HubName::parse(field).unwrap_or_else(|| panic!("{field} is a name"));
        assert_eq!(name.to_string(), field);
    }
    let name = HubName::parse(" org/name@refs/pr/1 ").unwrap();
    assert_eq!(
        (name.org_and_name(), name.revision(), name.to_string().as_str()),
        ("org/name", Some("refs/pr/1"), "org/name@refs/pr/1")
    );
    let longer = "a".repeat(97);
    for field in [
        "",
        "/",
        "a/",
        "/a",
        "a/b/c",
        "./a",
        "../a",
        "a/..",
        "a..b",
        "a--b",
        "-a",
        "a-",
        ".a",
        "a.",
        "a b",
        "a/b.git",
        "builtin:weak",
        "C:\\models",
        "org/name@",
        "o/n@../x",
        "o/n@a//b",
        "o/n@/a",
        "o/n@a b",
        "o/n@.a",
        "o/n@a?b",
        "o/n@a@b",
        "ö/n",
        "~/a",
        &longer,
    ] {
        assert_eq!(HubName::parse(field), None, "“{field}” is no name");
    }
}

#[test]
fn folder_wins_over_name() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().to_str().unwrap();
    assert_eq!(HubName::of_field(there), None);
    // Tests run in the crate's folder, which has this one.
    assert_eq!(HubName::of_field("src"), None);
    assert!(HubName::parse("src").is_some());
    assert_eq!(HubName::of_field("no-such-folder").unwrap().to_string(), "no-such-folder");
}

fn settings(variables: &[(&str, &str)]) -> HubSettings {
    let look_up = |name: &str| {
        variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    };
    HubSettings::from_variables(&look_up, Some(Path::new("/home/me")))
}

#[test]
fn settings_follow_python() {
    let plain = settings(&[]);
    assert_eq!(plain.endpoint, "https://huggingface.co");
    assert_eq!(plain.cache, Path::new("/home/me/.cache/huggingface/hub"));
    assert_eq!((plain.token, plain.offline), (None, false));
    let cache = |variables: &[(&str, &str)]| settings(variables).cache;
    assert_eq!(cache(&[("HF_HOME", "~/hf")]), Path::new("/home/me/hf/hub"));
    assert_eq!(cache(&[("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
    let both = [("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "/old"), ("HF_HUB_CACHE", "/new")];
    assert_eq!(cache(&both), Path::new("/new"));
    assert_eq!(cache(&both[..2]), Path::new("/old"));
    assert_eq!(cache(&[("HF_HOME", "")]), Path::new("/home/me/.cache/huggingface/hub"));
    assert_eq!(settings(&[("HF_ENDPOINT", "http://a/")]).endpoint, "http://a");
    let bundles = [("REQUESTS_CA_BUNDLE", "/b"), ("SSL_CERT_FILE", "/a")];
    assert_eq!(settings(&bundles).certificates.as_deref(), Some(Path::new("/a")));
    assert_eq!(settings(&bundles[..1]).certificates.as_deref(), Some(Path::new("/b")));
    for (value, expected) in [("1", true), ("ON", true), ("true", true), ("0", false), ("", false)]
    {
        assert_eq!(settings(&[("HF_HUB_OFFLINE", value)]).offline, expected, "“{value}”");
    }
}

#[test]
fn token_is_read_and_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    assert_eq!(settings(&[("HF_HOME", home)]).token, None);
    std::fs::write(folder.path().join("token"), "hf_file\n").unwrap();
    let from_file = settings(&[("HF_HOME", home)]);
    assert_eq!(from_file.token.as_deref(), Some("hf_file"));
    assert!(!format!("{from_file:?}").contains("hf_file"));
    let both = settings(&[("HF_HOME", home), ("HF_TOKEN", " hf_set ")]);
    assert_eq!(both.token.as_deref(), Some("hf_set"));
}
