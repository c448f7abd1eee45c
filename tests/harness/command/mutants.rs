//! The score of the scenarios, from results of cargo-mutants.

use super::{assert_refused, interrex};
use serde_json::{Value, json};
use std::fs;
use tempfile::TempDir;

/// Results in the form of cargo-mutants 27, without what does not count here.
fn results(summaries: &[(&str, &str)], end: Option<&str>) -> TempDir {
    let mutant = |(nth, (file, summary)): (usize, &(&str, &str))| {
        let name = format!("{file}:{nth}:5: replace f -> bool with true");
        json!({
            "scenario": { "Mutant": {
                "name": name, "package": "p", "file": file, "replacement": "true", "genre": "FnValue",
                "span": { "start": { "line": nth, "column": 5 }, "end": { "line": nth, "column": 9 } },
            } },
            "summary": summary, "log_path": "log/it.log", "diff_path": null, "phase_results": [],
        })
    };
    let baseline = json!({ "scenario": "Baseline", "summary": "Success", "log_path": "log/b.log" });
    let mutants = (1..).zip(summaries).map(mutant);
    let outcomes: Vec<_> = [baseline].into_iter().chain(mutants).collect();
    let folder = TempDir::new().expect("a folder");
    let results =
        json!({ "outcomes": outcomes, "total_mutants": summaries.len(), "end_time": end });
    fs::write(folder.path().join("outcomes.json"), results.to_string()).expect("written");
    folder
}

const ALL: [(&str, &str); 5] = [
    ("src/ring.rs", "CaughtMutant"),
    ("src/ring.rs", "Timeout"),
    ("src/ring.rs", "Unviable"),
    ("src/ring.rs", "MissedMutant"),
    ("src/lib.rs", "CaughtMutant"),
];

fn judged(folder: &TempDir, more: &[&str]) -> (i32, String, String) {
    let read = ["mutants", "--read", folder.path().to_str().expect("a name")];
    interrex([&read[..], more].concat())
}

#[test]
fn the_score_counts_what_can_be_built_and_names_what_is_missed() {
    let folder = results(&ALL, Some("2026-12-01T00:00:00Z"));
    let (code, out, _) = judged(&folder, &[]);
    assert_eq!(code, 1, "{out}");
    for line in [
        "missed: src/ring.rs:4:5: replace f -> bool with true",
        " src/lib.rs        1          0       0          0  100 %",
        " src/ring.rs       1          1       1          1   66 %",
        "3 of 4 changes caught, 75 %; at least 90 % are asked for",
    ] {
        assert!(out.lines().any(|it| it.trim_end() == line), "{line:?} is not in {out}");
    }
    assert_eq!(judged(&folder, &["--at-least", "75"]).0, 0);
    assert_eq!(judged(&folder, &["--at-least", "76"]).0, 1);
    let (_, out, _) = judged(&folder, &["--format", "json"]);
    let objects: Vec<Value> = out.lines().map(|line| line.parse().expect("JSON")).collect();
    let [lib, ring, all] = &objects[..] else { panic!("{out}") };
    assert_eq!((&lib["file"], &ring["percent"]), (&json!("src/lib.rs"), &json!(66)));
    assert_eq!(
        (&all["kind"], &all["missed"], &all["percent"]),
        (&json!("mutants"), &json!(1), &json!(75))
    );
    assert_eq!(all["cases"][0]["place"], json!({ "file": "src/ring.rs", "line": 4 }));
}

#[test]
fn results_that_are_cut_short_decide_nothing_and_none_is_no_score() {
    assert_eq!(judged(&results(&ALL[..1], None), &[]).0, 3);
    let (code, out, _) = judged(&results(&ALL[2..3], Some("now")), &[]);
    assert_eq!(code, 1);
    assert!(out.contains("no change could be built"), "{out}");
}

#[test]
fn results_that_are_none_are_refused() {
    let folder = TempDir::new().expect("a folder");
    let name = folder.path().to_str().expect("a name");
    assert_refused(["mutants", "--read", name], &["outcomes.json", "cannot be read"]);
    fs::write(folder.path().join("outcomes.json"), "{}").expect("written");
    assert_refused(["mutants", "--read", name], &["not results of cargo-mutants"]);
    assert_refused(["mutants", "--read", "nowhere"], &["there is no such folder"]);
    assert_refused(["mutants", "--read", name, "--file", "x"], &["cannot be used with"]);
}
