//! Everything but the answers: new crates, colours, completions, manual pages, the glossary.

use super::{assert_refused, interrex, words};
use assert_cmd::Command;
use interrex_models::{claim::property::Kind, model::environment::Start};
use std::{
    fs,
    path::{Path, PathBuf},
};
use strum::VariantArray;

fn text(path: &Path) -> String {
    fs::read_to_string(path).expect("a file")
}

fn in_folder(folder: &Path, name: &str) -> [String; 2] {
    ["new".into(), folder.join(name).display().to_string()]
}

/// What is in it builds and is tested in `.ci/crates`, and its machine in `own.rs`.
#[test]
fn new_makes_a_crate_of_that_name_that_depends_on_the_repository_or_on_a_source_tree() {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, out, _) = interrex(in_folder(folder.path(), "the-first"));
    assert_eq!(code, 0);
    assert!(out.contains("cargo run -- check") && out.contains("guide.md"), "{out}");
    let made = folder.path().join("the-first");
    let manifest: toml::Table = text(&made.join("Cargo.toml")).parse().expect("TOML");
    assert_eq!(manifest["package"]["name"].as_str(), Some("the-first"));
    for dependency in ["interrex", "interrex-models"] {
        let repository = manifest["dependencies"][dependency]["git"].as_str();
        assert_eq!(repository, Some(env!("CARGO_PKG_REPOSITORY")));
    }
    assert!(text(&made.join("src/main.rs")).contains("command!(the_first::protocols())"));
    assert!(text(&made.join(".github/workflows/check.yml")).contains("check.yml@main"));
    for file in walk(&made) {
        assert!(!text(&file).replace('-', "_").contains("my_election"), "{}", file.display());
    }

    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let tree = tree.canonicalize().expect("a path");
    let given = ["--path".to_string(), tree.display().to_string()];
    assert!(!out.contains("CI") && !text(&made.join("Cargo.toml")).contains("in CI"), "{out}");
    let (code, out, _) = interrex(in_folder(folder.path(), "second").into_iter().chain(given));
    assert_eq!(code, 0);
    assert!(out.contains("its workflow cannot pass in CI"), "{out}");
    let manifest = text(&folder.path().join("second/Cargo.toml"));
    let instead = concat!("# git = \"", env!("CARGO_PKG_REPOSITORY"), "\"\n");
    assert!(manifest.contains("cannot pass in CI") && manifest.contains(instead), "{manifest}");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let path = |name: &str| manifest["dependencies"][name]["path"].as_str().map(Path::new);
    assert_eq!(path("interrex"), Some(&*tree));
    assert_eq!(path("interrex-models"), Some(&*tree.join("models")));
}

/// All files below a folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("it").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn cargo_has_the_same_command() {
    let asked = ["list", "--only", "words", "--format", "json"];
    let (_, words, _) = interrex(asked);
    let cargo = |arguments: &[&str]| {
        let program = env!("CARGO_BIN_EXE_cargo-interrex");
        let output = Command::new(program).args(arguments).output().expect("it runs");
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(words.contains("budget"), "{words}");
    assert_eq!(cargo(&[&["interrex"], &asked[..]].concat()), words);
    assert_eq!(cargo(&asked), words);
}

#[test]
fn new_overwrites_nothing_and_says_what_cargo_would_refuse() {
    let folder = tempfile::tempdir().expect("a folder");
    let there = folder.path().join("there");
    fs::create_dir(&there).expect("a folder");
    let refused = |name: &str, says: &str| {
        assert_refused(in_folder(folder.path(), name), &[says, "choose another name"]);
    };
    refused("there", "cannot be made: File exists");
    refused("2nd", "is ASCII letters, digits, - and _, a letter first");
    refused("wähler", "is ASCII letters");
    for taken in ["match", "interrex-models", "test"] {
        refused(taken, "means something else");
    }
    let nowhere = in_folder(&folder.path().join("nowhere"), "first");
    assert_refused(nowhere, &["cannot be made: No such file or directory"]);
    let elsewhere = ["--path".to_string(), folder.path().display().to_string()];
    let elsewhere = in_folder(folder.path(), "first").into_iter().chain(elsewhere);
    assert_refused(elsewhere, &["is not the source tree of interrex: there is no crate"]);
    let left: Vec<_> = fs::read_dir(folder.path()).expect("it").collect();
    assert_eq!((left.len(), walk(&there).len()), (1, 0), "something was made");
}

#[test]
fn key_says_which_protocols_have_a_group_to_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = folder.path().join("cluster.key").display().to_string();
    let (code, out, _) = interrex(["key", &key]);
    assert_eq!(code, 0);
    let (all, groups) = out.split_once("  in a group (").expect("what groups need");
    assert!(all.contains("interrex node ") && !all.contains("--found"), "{out}");
    let (names, needs) = groups.split_once(')').expect("names");
    assert!(needs.contains("--found") && needs.contains("--contact n0"), "{out}");
    let names: Vec<_> = names.split(", ").collect();
    assert!(names.contains(&"group") && names.contains(&"gms3"), "{out}");
    assert!(!names.iter().any(|name| name.starts_with("gen_leader")), "{out}");
}

#[test]
fn colours_are_there_if_they_are_asked_for_and_not_where_the_output_is_no_terminal() {
    let is_coloured = |line: &str| {
        let (_, out, err) = interrex(words(line));
        assert!(!out.is_empty() || !err.is_empty(), "{line}");
        (out + &err).contains('\x1b')
    };
    for line in ["list gms3/joined-3", "list --help", "list nothing-like-this", "lst", "--help"] {
        assert!(
            is_coloured(&format!("--color always {line}")) || line.contains("nothing"),
            "{line}"
        );
        assert!(!is_coloured(&format!("--color=never {line}")) && !is_coloured(line), "{line}");
    }
    assert_refused(words("list --color sometimes"), &["sometimes", "auto, always, never"]);
}

#[test]
fn completions_and_manual_pages_know_every_subcommand() {
    let (_, help, _) = interrex(["--help"]);
    let (_, listed) = help.split_once("Commands:\n").expect("a list of subcommands");
    let names = listed.lines().take_while(|line| !line.is_empty());
    // A description that is wrapped goes on farther in.
    let names = names.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names: Vec<_> = names.filter(|name| !name.is_empty()).collect();
    assert!(names.contains(&"check") && names.contains(&"new"), "{names:?}");

    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = interrex(["completions", shell]);
        assert_eq!(code, 0);
        for name in &names {
            assert!(script.contains(name), "{name} is not in that for {shell}");
        }
    }
    assert_refused(["completions", "ksh"], &["bash", "zsh"]);

    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().display().to_string();
    let (code, out, _) = interrex(["man", &place]);
    assert_eq!(code, 0);
    assert!(out.contains(&place), "{out}");
    for name in names.iter().filter(|name| **name != "help") {
        let page = text(&folder.path().join(format!("interrex-{name}.1")));
        assert!(page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    assert_refused(["man", &format!("{place}/none")], &["there is no such folder"]);
}

#[test]
fn list_shows_one_part_and_the_glossary_only_if_it_is_asked_for() {
    let listed = |line: &str| {
        let (code, out, _) = interrex(words(line));
        assert_eq!(code, 0, "{line}");
        out
    };
    let all = listed("list");
    let titles = ["Protocols", "Scenarios", "Safety properties", "Words"];
    let shown = |out: &str| titles.map(|title| out.lines().any(|line| line.starts_with(title)));
    assert_eq!(shown(&all), [true, true, true, false]);
    assert_eq!(shown(&listed("list --only protocols")), [true, false, false, false]);
    assert_eq!(shown(&listed("list --only scenarios gms3")), [false, true, false, false]);
    // Those that are judged where the pattern leads.
    let judged = listed("list --only properties gms3/joined-3");
    assert_eq!(shown(&judged), [false, false, true, false]);
    assert!(judged.contains(" total-order-uniform ") && !judged.contains(" no-lost-call "));
    let words = listed("list --only words");
    assert_eq!(shown(&words), [false, false, false, true]);
    let lasso = listed("list --only words lasso");
    assert_eq!(lasso.lines().filter(|line| line.trim_start().starts_with("lasso ")).count(), 1);
    assert_eq!(lasso.trim_end().lines().count(), 2, "{lasso}");
    assert_refused(["list", "--only", "words", "laso"], &["did you mean `lasso`?"]);
}

#[test]
fn the_glossary_explains_each_start_and_each_kind_of_property() {
    let (_, out, _) = interrex(words("list --only words --format json"));
    let explained = |word: &str| out.contains(&format!("\"word\":\"{word}\""));
    for start in Start::VARIANTS {
        assert!(explained(start.name()), "{start}");
    }
    for kind in [Kind::Safety, Kind::Settled, Kind::Fair] {
        let name = serde_json::to_value(kind).expect("JSON");
        assert!(explained(name.as_str().expect("a name")), "{name}");
    }
    for word in ["lasso", "overtake", "life", "worker", "world", "exercised", "pin", "trace"] {
        assert!(explained(word), "{word}");
    }
}
