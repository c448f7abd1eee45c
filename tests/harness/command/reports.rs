//! Reports that other programs read: `JUnit`, SARIF, and GitHub's annotations and summaries.

use super::{broken::wrong, interrex, words};
use assert_cmd::Command;
use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use serde_json::Value;
use std::{collections::BTreeSet, fs, path::Path, process};

/// What is said of the scenarios that expect something wrong, in this format.
fn of_wrong(format: &str) -> String {
    let folder = wrong();
    let path = folder.path().to_str().expect("text");
    let (code, out, err) = interrex(["check", "--scenarios", path, "--format", format]);
    assert_eq!((code, err.as_str()), (1, ""), "{out}");
    out
}

fn junit(text: &str) -> Report {
    Report::deserialize_from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The public schema, as it lies in the source of the crate whose types we write.
fn sarif_schema() -> jsonschema::Validator {
    let read = |program: &str, arguments: &[&str]| {
        let folder = env!("CARGO_MANIFEST_DIR");
        let output = process::Command::new(program).args(arguments).current_dir(folder).output();
        String::from_utf8(output.expect("it runs").stdout).expect("text")
    };
    let host = read("rustc", &["--print", "host-tuple"]);
    let metadata = ["metadata", "--format-version", "1", "--locked", "--filter-platform"];
    let metadata = read(env!("CARGO"), &[&metadata as &[_], &[host.trim()]].concat());
    let metadata: Value = metadata.parse().expect("JSON");
    let mut packages = metadata["packages"].as_array().expect("packages").iter();
    let package = packages.find(|package| package["name"] == "serde-sarif").expect("the crate");
    let manifest = Path::new(package["manifest_path"].as_str().expect("a path"));
    let schema = fs::read_to_string(manifest.with_file_name("src/schema.json")).expect("a schema");
    let mut schema: Value = schema.parse().expect("JSON");
    // A stray bracket, in the pattern of a field that we do not write: strictly, this is no schema.
    for owner in ["run", "toolComponent"] {
        let language = &mut schema["definitions"][owner]["properties"]["language"];
        let pattern = language.as_object_mut().and_then(|language| language.remove("pattern"));
        assert!(pattern.is_some_and(|it| it.as_str().is_some_and(|it| it.ends_with("]?$"))));
    }
    assert_eq!(schema["title"], "Static Analysis Results Format (SARIF) Version 2.1.0 JSON Schema");
    jsonschema::validator_for(&schema).expect("a schema")
}

#[test]
fn junit_has_a_case_for_each_scenario_and_property() {
    let report = junit(&of_wrong("junit"));
    assert_eq!((report.tests, report.failures, report.errors), (30, 6, 0));
    let suites: Vec<_> = report.test_suites.iter().map(|suite| suite.name.as_str()).collect();
    assert_eq!(suites, ["right", "wrong"]);
    let cases = &report.test_suites[1].test_cases;
    let case = cases.iter().find(|case| case.name.as_str() == "no-lost-message-validity");
    let TestCaseStatus::NonSuccess { kind, message, description, .. } =
        &case.expect("a case").status
    else {
        panic!("it is violated")
    };
    let said = "violated in 4 steps; expected: holds";
    assert_eq!((*kind, message.as_deref()), (NonSuccessKind::Failure, Some(said)));
    let run = description.as_deref().expect("the run");
    assert!(run.contains("Here: n1 sent n1.0") && run.contains("─────down─►●"), "{run}");
}

#[test]
fn junit_calls_what_a_limit_cut_an_error() {
    let (code, out, _) = interrex(words("check gms3/joined-3 --max-worlds 300 --format junit"));
    let report = junit(&out);
    assert_eq!((code, report.failures), (3, 0), "{out}");
    assert!(report.errors > 5, "{out}");
}

#[test]
fn sarif_is_valid_and_names_the_lines() {
    let report: Value = of_wrong("sarif").parse().expect("JSON");
    let results = report["runs"][0]["results"].as_array().expect("results");
    let found: Vec<_> = results
        .iter()
        .map(|result| {
            let place = &result["locations"][0]["physicalLocation"];
            let file = place["artifactLocation"]["uri"].as_str().expect("a file");
            assert!(file.ends_with("/wrong.toml"), "{file}");
            (result["ruleId"].as_str(), place["region"]["startLine"].as_u64())
        })
        .collect();
    let expected = [
        ("states", 9),
        ("single-leader", 12),
        ("view-order", 14),
        ("total-order-uniform", 15),
        ("no-lost-message-validity", 19),
        ("nobody-stopped", 24),
    ];
    assert_eq!(found, expected.map(|(rule, line)| (Some(rule), Some(line))));
    let schema = sarif_schema();
    let errors: Vec<_> = schema.iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:#?}");
    // It would notice.
    let mut other = report.clone();
    other["runs"][0]["results"][0]["level"] = "terrible".into();
    assert!(!schema.is_valid(&other));
}

#[test]
fn fuzz_and_matrix_report_in_these_formats_too() {
    let kept = tempfile::tempdir().expect("a folder");
    let fuzz = "fuzz gms3/joined-3-calm --schedules 9 --save-traces";
    let fuzz = format!("{fuzz} {}", kept.path().display());
    let schema = sarif_schema();
    for (line, suites) in [
        (fuzz.as_str(), ["gms3", "gms3/joined-3-calm"]),
        ("matrix gms3 --max-seconds 0.2", ["gms3/crash-stop", "gms3/lossy"]),
    ] {
        let (_, out, _) = interrex(words(&format!("{line} --format junit")));
        let report = junit(&out);
        let named: BTreeSet<_> = report.test_suites.iter().map(|it| it.name.as_str()).collect();
        assert!(suites.iter().all(|suite| named.contains(suite)), "{out}");
        let (_, out, _) = interrex(words(&format!("{line} --format sarif")));
        assert!(schema.is_valid(&out.parse().expect("JSON")), "{out}");
    }
}

/// The exit code, standard output, and the summary of the job.
fn in_a_job(line: &[&str], workspace: &Path) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let summary = folder.path().join("summary.md");
    fs::write(&summary, "# Of another step\n").expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_interrex"));
    let job = [("GITHUB_STEP_SUMMARY", summary.as_path()), ("GITHUB_WORKSPACE", workspace)];
    let output = command.args(line).envs(job).output().expect("it runs");
    let out = String::from_utf8(output.stdout).expect("text");
    let summary = fs::read_to_string(&summary).expect("a summary");
    let own = summary.strip_prefix("# Of another step\n").expect("it is kept");
    (output.status.code(), out, own.into())
}

#[test]
fn github_gets_annotations_at_the_lines_and_a_summary_with_each_new_run() {
    let folder = wrong();
    let path = folder.path().to_str().expect("text");
    let line = ["check", "--scenarios", path, "--format", "github"];
    let (code, out, summary) = in_a_job(&line, folder.path());
    let annotations: Vec<_> = out.lines().filter(|line| line.starts_with("::")).collect();
    assert_eq!((code, annotations.len()), (Some(1), 6), "{out}");
    let expected = "::error file=wrong.toml,line=19,title=wrong%3A no-lost-message-validity::\
                    violated in 4 steps; expected: holds%0AHere: n1 sent n1.0 and never delivered it";
    assert_eq!(annotations[4], expected);
    // The line is that of the property.
    let file = fs::read_to_string(folder.path().join("wrong.toml")).expect("a file");
    assert_eq!(file.lines().nth(18), Some("no-lost-message-validity = \"holds\""));
    for says in [
        "**Not as expected: 6 of 30 results**",
        "| wrong | no-lost-message-validity | worse | holds → violated in 4 steps | wrong.toml:19 |",
        "### no-lost-message-validity is violated in wrong, in 4 steps",
        "* Here: n1 sent n1.0 and never delivered it",
        "3    ─────down─►●",
        "### What to do next\n\n* See it on your own machine: `cargo run -- check wrong`\n",
        "`cargo run -- check wrong --bless` writes what was found",
        "the artifact `interrex-traces-…` of this run has the new runs",
    ] {
        assert!(summary.contains(says), "{says}: {summary}");
    }
    // What to do, the run of this one, and those of total-order-uniform and nobody-stopped, which take other numbers of steps.
    assert_eq!(summary.matches("\n### ").count(), 4, "{summary}");
}

#[test]
fn github_says_that_all_is_as_expected_and_how_much_a_limit_cut() {
    let line =
        |more: &[&'static str]| [&["check", "gms3/joined-3", "--format", "github"], more].concat();
    let (code, out, summary) = in_a_job(&line(&[]), Path::new("."));
    assert_eq!((code, out.contains("::")), (Some(0), false), "{out}");
    assert_eq!(summary, "## interrex\n\n**As expected: 15 results**\n\n");
    let (code, out, summary) = in_a_job(&line(&["--max-worlds", "300"]), Path::new("."));
    let warning = "::warning file=";
    assert!(code == Some(3) && out.contains(warning) && !out.contains("::error"), "{out}");
    assert!(summary.contains("**Undecided: "), "{summary}");
}

/// A violation that random schedules find has a run, too.
#[test]
fn github_shows_the_run_that_random_schedules_found() {
    let (folder, kept) = (wrong(), tempfile::tempdir().expect("a folder"));
    let [path, kept] = [&folder, &kept].map(|folder| folder.path().to_str().expect("text"));
    let line = format!(
        "fuzz wrong --schedules 300 --scenarios {path} --save-traces {kept} --format github"
    );
    let (code, out, summary) = in_a_job(&words(&line), folder.path());
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("\n::error file=wrong.toml,line=19,title="), "{out}");
    let title = "### no-lost-message-validity is violated in wrong, in 4 steps";
    assert!(summary.contains(title) && summary.contains("* Here: "), "{summary}");
}
