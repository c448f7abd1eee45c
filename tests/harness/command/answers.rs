//! Answers to programs: one shape for all commands, errors included.

use assert_cmd::Command;
use serde_json::Value;
use std::path::Path;

/// The exit code, and the objects on standard output and on standard error.
fn interrex(line: &str) -> (i32, Vec<Value>, Vec<Value>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interrex"));
    let output = command.args(line.split_whitespace()).output().expect("it runs");
    let objects = |bytes| {
        let text = String::from_utf8(bytes).expect("it writes text");
        text.lines().map(|line| line.parse().expect("JSON")).collect()
    };
    let code = output.status.code().expect("it is not killed");
    (code, objects(output.stdout), objects(output.stderr))
}

fn kinds(objects: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<_> = objects.iter().map(|it| it["kind"].as_str().expect("a kind")).collect();
    kinds.dedup();
    kinds
}

/// What a program needs to know: what each object is about, and what all that was judged came to.
#[test]
fn every_command_answers_with_objects_that_say_what_they_are_and_cases_that_decide_its_end() {
    let trace = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../traces/gms3/total-order-uniform.joined-3.json");
    let trace = trace.display();
    let kept = tempfile::tempdir().expect("a folder");
    let kept = kept.path().display();
    for (line, expected) in [
        ("check gms3/joined-3-calm --coverage".to_string(), &["scenario", "coverage"][..]),
        (
            format!("fuzz gms3/joined-3-calm --schedules 9 --save-traces {kept}"),
            &["known_traces", "scenario"],
        ),
        ("matrix gms3 --max-seconds 0.2".into(), &["cell", "matrix"]),
        ("list gms3/joined-3".into(), &["scenario", "property"]),
        (format!("replay {trace}"), &["step", "replay"]),
        (format!("replay {trace} --schedule-only"), &["step", "replay"]),
        ("failover --protocol gen_leader --nodes 2".into(), &["round"]),
    ] {
        let (code, objects, errors) = interrex(&format!("{line} --format json"));
        assert_eq!((kinds(&objects), errors.len()), (expected.to_vec(), 0), "{line}");
        let cases = objects.iter().filter_map(|it| it["cases"].as_array()).flatten();
        let status = |case: &Value| {
            assert!(case["suite"].is_string() && case["name"].is_string(), "{line}: {case}");
            assert!(case["message"].is_string(), "{line}: {case}");
            let known = ["as_expected", "cut", "differs"];
            let at = known.iter().position(|name| case["status"] == *name);
            at.unwrap_or_else(|| panic!("{line}: {case}"))
        };
        let worst = cases.map(status).max();
        assert_eq!(worst.is_none(), line.starts_with("list"), "{line}");
        assert_eq!([0, 3, 1][worst.unwrap_or(0)], code, "{line}");
    }
}

/// An error is where errors are, with the same exit code, whatever finds it: the parser, a file, or the command.
#[test]
fn an_error_is_an_object_too() {
    for (line, code, says) in [
        ("check gms3/joind-3", 2, "did you mean `gms3/joined-3`?"),
        ("check --threads 0", 2, "invalid value '0' for '--threads <N>'"),
        ("check --thread 2", 2, "tip: a similar argument exists: '--threads'"),
        ("matrix gms4", 2, "did you mean `gms3`?"),
        ("fuzz gms3/joined-3 --shard 3/2", 2, "there is no shard 3 of 2"),
        ("list nothing-like-this", 2, "nothing is named like `nothing-like-this`"),
        ("replay /nowhere.json", 2, "/nowhere.json: cannot be read"),
        ("validate /nowhere.log", 2, "/nowhere.log: cannot be read"),
        ("failover --protocol gms4", 2, "did you mean `gms3`?"),
        ("node --id n0 --peers n1=127.0.0.1:1 --key-file none", 2, "n0 is not in --peers"),
    ] {
        for format in ["--format json", "--format=json"] {
            let (ended, objects, errors) = interrex(&format!("{line} {format}"));
            assert_eq!((ended, objects.len(), kinds(&errors)), (code, 0, vec!["error"]), "{line}");
            let said = errors[0]["error"].as_str().expect("a text");
            assert!(said.contains(says) && !said.starts_with("error"), "{line}: {said}");
            assert!(!said.contains("Usage:") && !said.contains("--help"), "{line}: {said}");
            assert_eq!(errors[0]["exit"], code, "{line}");
        }
    }
}
