//! `diff`.

use super::{interrex, words};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

/// The report of two scenarios, and another one with this text in place of that.
fn reports(changes: &[(&str, &str)]) -> (TempDir, [PathBuf; 2]) {
    let folder = tempfile::tempdir().expect("a folder");
    let (code, old, _) = interrex(words("check gms3/joined-3 gms2/joined-3 --format json"));
    assert_eq!(code, 0, "{old}");
    let mut new = old.clone();
    for (before, after) in changes {
        assert!(new.contains(before), "{before}: {new}");
        new = new.replacen(before, after, 1);
    }
    let files = ["old.json", "new.json"].map(|name| folder.path().join(name));
    fs::write(&files[0], &old).expect("a file");
    fs::write(&files[1], &new).expect("a file");
    (folder, files)
}

fn diff(files: &[PathBuf; 2], more: &[&str]) -> (i32, String, String) {
    let files = files.iter().map(|file| file.to_str().expect("text"));
    interrex(["diff"].into_iter().chain(files).chain(more.iter().copied()))
}

#[test]
fn two_equal_reports_differ_in_nothing() {
    let (_folder, files) = reports(&[]);
    assert_eq!(diff(&files, &[]), (0, "nothing differs in 2 scenarios\n".into(), String::new()));
}

#[test]
fn verdicts_that_were_gained_and_lost_are_listed_before_and_after() {
    let holds = r#""name":"no-duplicate","kind":"safety","verdict":"holds""#;
    let violated = r#""name":"no-duplicate","kind":"safety","verdict":"violated""#;
    let changes = [(r#""states":4335"#, r#""states":4336"#), (holds, violated)];
    let (_folder, files) = reports(&changes);
    let (code, out, err) = diff(&files, &[]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    let lines: Vec<_> = out.lines().map(str::trim_end).collect();
    assert!(lines[0].ends_with("1 verdict worse; 1 other difference"), "{out}");
    assert!(lines.contains(&"      differs  states        4,335 → 4,336 worlds"), "{out}");
    assert!(lines.contains(&"      worse    no-duplicate  holds → violated"), "{out}");

    let (code, out, _) = diff(&files, &["--format", "markdown"]);
    assert!(code == 1 && out.contains("| no-duplicate | worse | holds → violated |"), "{out}");
    let (code, out, _) = diff(&files, &["--format", "json"]);
    let object: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, object["cases"].as_array().map(Vec::len)), (1, Some(2)), "{out}");
}

/// A longer shortest run is no better than a shorter one: the property is violated.
#[test]
fn another_number_of_steps_is_neither_better_nor_worse() {
    for steps in [3, 5] {
        let (_folder, files) = reports(&[(r#""steps":4,"#, &format!(r#""steps":{steps},"#))]);
        let (code, out, _) = diff(&files, &[]);
        let said = format!("violated in 4 → {steps} steps");
        assert!(code == 1 && out.contains(&said), "{out}");
        assert!(out.contains("scenarios differs: 1 difference\n"), "{out}");
        assert!(!out.contains("better") && !out.contains("worse"), "{out}");
    }
}

#[test]
fn scenarios_that_only_one_has_are_listed_and_a_search_that_was_cut_short_is_no_difference() {
    let (_folder, files) = reports(&[("gms2/joined-3\"", "gms2/another\"")]);
    let (code, out, _) = diff(&files, &[]);
    assert!(code == 1 && out.contains("no longer checked") && out.contains("new: "), "{out}");
    let (_folder, files) = reports(&[(r#""complete":true"#, r#""complete":false"#)]);
    let (code, out, _) = diff(&files, &[]);
    assert!(code == 3 && out.contains("nothing differs in 2 scenarios"), "{out}");
}

#[test]
fn what_is_no_report_is_refused_with_its_line() {
    let (_folder, files) = reports(&[]);
    for (text, says) in
        [("", "no scenario is in it"), ("{}\nno JSON", ":2:"), ("{\"kind\":\"scenario\"}", ":1:")]
    {
        fs::write(&files[1], text).expect("a file");
        let (code, out, err) = diff(&files, &[]);
        assert!(code == 2 && out.is_empty() && err.contains(says), "{err}");
    }
}
