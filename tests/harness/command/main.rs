//! The command, as its users run it: what it prints, what it ends with, and what it says of bad input.

mod answers;
mod broken;
mod diff;
mod mutants;
mod reports;
mod small;
mod undecided;

use assert_cmd::Command;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};
use tempfile::TempDir;

const TRACE: &str = "gms3/total-order-uniform.joined-3.json";

fn traces() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces")
}

/// Runs the command: its exit code, and what it wrote to standard output and standard error.
fn interrex<Argument: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = Argument>,
) -> (i32, String, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_interrex")).args(arguments).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    (output.status.code().expect("it is not killed"), text(output.stdout), text(output.stderr))
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// It fails with 2, prints no answer, and says all of this on standard error.
fn assert_refused<Argument: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = Argument>,
    says: &[&str],
) {
    let (code, out, err) = interrex(arguments);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.starts_with("error: "), "{err}");
    for part in says {
        assert!(err.contains(part), "{part:?} is not in {err}");
    }
}

/// A file with this content, in a folder that vanishes with the value.
fn file(content: impl AsRef<[u8]>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("trace.json");
    fs::write(&path, content).expect("a file");
    (folder, path)
}

/// A known trace, altered.
fn altered(alter: impl FnOnce(&mut Value)) -> (TempDir, PathBuf) {
    let text = fs::read_to_string(traces().join(TRACE)).expect("a trace");
    let mut trace = serde_json::from_str(&text).expect("JSON");
    alter(&mut trace);
    file(trace.to_string())
}

fn replay(path: &Path, more: &[&str]) -> (i32, String, String) {
    let path = path.to_str().expect("a path that is text");
    interrex(["replay", path].iter().chain(more))
}

#[test]
fn check_prints_a_table_and_ends_with_0() {
    let (code, out, err) = interrex(["check", "gms3/joined-3"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(
        out.contains("4,335 worlds, 915 settled; 9,597 transitions; depth 14; complete"),
        "{out}"
    );
    let line = out.lines().find(|line| line.contains("nobody-stopped")).expect("a line");
    assert_eq!(words(line)[..4], ["nobody-stopped", "safety", "violated", "6"]);
    assert!(line.ends_with("traces/gms3/nobody-stopped.joined-3.json"), "{line}");
    assert!(out.ends_with("1 scenario: as expected\n"), "{out}");
    assert!(!out.contains('\u{1b}'), "colours, and this is no terminal");
}

#[test]
fn the_engine_that_is_asked_for_explores() {
    for (arguments, engine) in [
        (vec![], "layers"),
        (vec!["--threads", "2"], "layers"),
        (vec!["--engine", "stateright"], "stateright"),
        (vec!["--engine", "layers"], "layers"),
    ] {
        let check = ["check", "gms3/joined-3-calm", "--format", "json"];
        let (code, out, _) = interrex(check.into_iter().chain(arguments));
        let report: Value = out.parse().expect("JSON");
        assert_eq!((code, &report["engine"]), (0, &engine.into()));
    }
}

#[test]
fn check_answers_programs_with_an_object_a_line() {
    let (code, out, _) =
        interrex(["check", "joined-3-busy", "joined-3-calm", "--format", "json", "--threads", "2"]);
    assert_eq!(code, 0);
    let reports: Vec<Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(reports.len(), 2);
    let busy = &reports[0];
    for (field, value) in [
        ("scenario", "gms3/joined-3-busy".into()),
        ("protocol", "gms3".into()),
        ("nodes", 3.into()),
        ("engine", "layers".into()),
        ("threads", 2.into()),
        ("complete", true.into()),
        ("states", 23899.into()),
        ("transitions", 56235.into()),
        ("depth", Value::from(18)),
        ("settled", 4861.into()),
    ] {
        assert_eq!(busy[field], value, "{field}");
    }
    assert_eq!(busy["environment"]["crashes"], 2);
    assert!(busy["seconds"].is_f64() && busy["peak_rss_bytes"].as_u64() > Some(1_000_000));
    let rows = busy["properties"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["name"] == "no-lost-message-validity").expect("a row");
    assert_eq!((&row["kind"], &row["steps"]), (&"settled".into(), &4.into()));
    assert_eq!((&row["verdict"], &row["expected"]), (&"violated".into(), &"violated".into()));
    assert!(
        row["trace"]
            .as_str()
            .expect("a path")
            .ends_with("no-lost-message-validity.joined-3-busy.json")
    );
    let last = rows.last().expect("a row");
    assert_eq!((&last["name"], &last["kind"]), (&"no-livelock".into(), &"fair".into()));
    let holds = rows.iter().find(|row| row["verdict"] == "holds").expect("a row");
    assert_eq!((&holds["steps"], &holds["trace"]), (&Value::Null, &Value::Null));
}

#[test]
fn a_scenario_can_be_made_on_the_line_and_its_counterexamples_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a path that is text");
    let line = "check --protocol gms3 --nodes 2 --start joined --budget commands=1,crashes=1 --expect none \
        --format json --save-traces";
    let (code, out, _) = interrex(words(line).into_iter().chain([path]));
    // Nothing is expected of it, so nothing differs.
    assert_eq!(code, 0);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["states"], 29);
    assert_eq!(report["properties"][0]["expected"], Value::Null);
    let saved =
        folder.path().join("gms3/no-lost-message-validity.joined-2-commands-1-crashes-1.json");
    assert_eq!(replay(&saved, &[]).0, 0);
}

#[test]
fn nodes_may_restart_without_what_they_had_stored_and_timers_fire_without_limit() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a path that is text");
    let line = "check --protocol gms3 --nodes 2 --start joined --storage lost \
        --budget commands=1,timeouts=unlimited,crashes=1,restarts=1 --expect none --format json --save-traces";
    let (code, out, _) = interrex(words(line).into_iter().chain([path]));
    assert_eq!(code, 0);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&report["workers"], &report["bounded"]), (&0.into(), &false.into()));
    let environment = &report["environment"];
    assert_eq!(environment["storage"], "lost");
    assert_eq!(
        (&environment["timeouts"], &environment["restarts"]),
        (&"unlimited".into(), &1.into())
    );
    let name = "joined-2-lost-commands-1-timeouts-unlimited-crashes-1-restarts-1";
    let saved = folder.path().join(format!("gms3/no-lost-message-validity.{name}.json"));
    let (code, out, _) = replay(&saved, &[]);
    assert_eq!(code, 0);
    assert!(out.contains("storage lost; commands 1, timeouts unlimited, crashes 1"), "{out}");
}

#[test]
fn a_restart_is_replayed_and_drawn() {
    let (_folder, path) = altered(|trace| {
        trace["environment"]["budgets"]["restarts"] = 1.into();
        let action = serde_json::json!({"restart": {"node": "n0", "contact": "n1"}});
        let step = serde_json::json!({"action": action, "effects": []});
        trace["steps"].as_array_mut().expect("steps").insert(1, step);
    });
    let (_, out, _) = replay(&path, &["--schedule-only"]);
    assert!(out.contains("restart n0, through n1\n     n0 handles start(me: n0#1"), "{out}");
    let (_, drawn, _) = replay(&path, &["--schedule-only", "--format", "diagram"]);
    assert!(drawn.contains("start(me: n0#1"), "{drawn}");
}

#[test]
fn messages_may_be_disturbed_detectors_err_and_nodes_fall_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("a path that is text");
    let line = "check --protocol gms3 --nodes 2 --start joined --expect none --format json --property \
        no-lost-message-validity --budget commands=1,drops=1,duplicates=2,overtakes=1,suspicions=1,cuts=1";
    let (code, out, err) = interrex(words(line));
    assert_eq!((code, err.as_str()), (0, ""));
    let report: Value = serde_json::from_str(&out).expect("JSON");
    for (budget, times) in
        [("drops", 1), ("duplicates", 2), ("overtakes", 1), ("suspicions", 1), ("cuts", 1)]
    {
        assert_eq!(report["environment"][budget], times, "{budget}");
    }
    let line = "check --protocol gms3 --nodes 2 --start joined --budget commands=1,drops=1 \
        --expect none --property no-lost-message-validity --save-traces";
    let (code, _, _) = interrex(words(line).into_iter().chain([path]));
    assert_eq!(code, 0);
    let saved = "gms3/no-lost-message-validity.joined-2-commands-1-drops-1.json";
    let (code, out, _) = replay(&folder.path().join(saved), &[]);
    assert_eq!(code, 0);
    assert!(out.contains("drop n1 → n0\n     the message: "), "{out}");
    let (_, drawn, _) = replay(&folder.path().join(saved), &["--format", "diagram"]);
    assert!(drawn.contains("○") && drawn.contains("drop n1 → n0  "), "{drawn}");
}

#[test]
fn a_cut_and_its_end_are_replayed_and_drawn() {
    let cut = |side: Value| {
        altered(move |trace| {
            trace["environment"]["budgets"]["cuts"] = 1.into();
            let action = serde_json::json!({ "cut": { "side": side } });
            for action in ["heal".into(), action] {
                let step = serde_json::json!({ "action": action, "effects": [] });
                trace["steps"].as_array_mut().expect("steps").insert(1, step);
            }
        })
    };
    // Behind the crash of n0, and off it.
    let (_folder, path) = cut(serde_json::json!(["n1", "n2"]));
    let (_, out, _) = replay(&path, &["--schedule-only"]);
    assert!(out.contains("\n  2  cut n1, n2 off\n\n  3  heal\n"), "{out}");
    let (_, drawn, _) = replay(&path, &["--schedule-only", "--format", "diagram"]);
    assert!(
        drawn.contains("    2               ┊           ┊           cut n1, n2 off\n"),
        "{drawn}"
    );
    assert!(drawn.contains("    3               │           │           heal\n"), "{drawn}");
    let (_, out, _) = replay(&path, &["--schedule-only", "--format", "json"]);
    let steps = out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let cut_off: Vec<_> = steps.map(|step| step["cut_off"].clone()).take(3).collect();
    assert_eq!(cut_off, [Value::Null, serde_json::json!(["n1", "n2"]), Value::Null]);
    let (_folder, path) = cut(serde_json::json!(["n0"]));
    let path = path.to_str().expect("a path that is text");
    assert_refused(["replay", path], &["names nodes in order, at least one, and not n0"]);
}

#[test]
fn a_verdict_or_a_count_that_differs_ends_with_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = "summary = ''\nprotocol = 'gms3'\nnodes = 2\nstart = 'joined'\nbudgets = { commands = 1, crashes = 1 }\n\
        [expect]\nstates = 30\n[expect.properties]\nno-lost-message-validity = 'holds'\nnobody-stopped = { violated = 4 }\n";
    fs::write(folder.path().join("wrong.toml"), scenario).expect("a file");
    let path = folder.path().to_str().expect("a path that is text");
    let (code, out, _) = interrex(["check", "--scenarios", path]);
    assert_eq!(code, 1);
    let difference = "1 of 1 scenario differs: 1 verdict worse, 1 gone; 1 other difference\n";
    assert!(out.contains(difference) && out.ends_with("1 scenario: not as expected\n"), "{out}");
    // Once each: the table above them shows only what is found.
    for (line, said) in [
        ("   7  differs  states  ", "30 → 29 worlds\n"),
        ("   9  worse    no-lost-message-validity  ", "holds → violated in 3 steps\n"),
        ("  10  gone     nobody-stopped  ", "violated in 4 steps → unwitnessed\n"),
    ] {
        assert!(out.contains(line) && out.matches(said).count() == 1, "{line}{said}: {out}");
    }
    assert!(!out.contains("expected: "), "{out}");
    let (_, out, _) = interrex(["check", "--scenarios", path, "--format", "json"]);
    let report: Value = serde_json::from_str(&out).expect("JSON");
    let lines = report["cases"].as_array().expect("cases").iter().map(|case| {
        assert_eq!((&case["suite"], &case["status"]), (&"wrong".into(), &"differs".into()));
        (case["name"].as_str().expect("a name"), case["place"]["line"].as_u64())
    });
    let expected = [("states", 7), ("no-lost-message-validity", 9), ("nobody-stopped", 10)];
    let expected = expected.map(|(name, line)| (name, Some(line)));
    assert!(lines.clone().eq(expected), "{out}");
}

/// As where a program runs that was built elsewhere: the default folders are not there.
#[test]
fn a_folder_that_does_not_exist_is_refused_with_its_option_also_where_it_is_not_read() {
    for command in ["check", "fuzz", "matrix", "list"] {
        for option in ["--scenarios", "--traces"] {
            let says = ["'/nowhere'", option, "there is no such folder"];
            assert_refused([command, option, "/nowhere"], &says);
            assert_refused([command, option, "/dev/null"], &[option, "it is not a folder"]);
        }
    }
}

#[test]
fn a_search_that_is_cut_short_ends_with_3() {
    let (code, out, _) = interrex(["check", "gms3/joined-3-busy", "--max-worlds", "100"]);
    assert_eq!(code, 3);
    assert!(out.contains("cut short by a limit") && out.contains("unknown"), "{out}");
}

#[test]
fn bad_usage_ends_with_2_and_says_what_would_have_been_right() {
    let made = "check --protocol gms3 --nodes 3 --start joined";
    for (line, says) in [
        (
            "check nothing-like-this".to_string(),
            &["no scenario is named like", "`interrex list` shows all"][..],
        ),
        ("check gms3/joind-3".into(), &["did you mean `gms3/joined-3`"]),
        ("check --threads 0".into(), &["--threads"]),
        ("check --max-worlds 0".into(), &["--max-worlds"]),
        ("check --max-seconds 0".into(), &["--max-seconds"]),
        ("check --engine other".into(), &["possible values: layers, stateright"]),
        ("check --nodes 3".into(), &["--protocol"]),
        ("check --protocol gms3".into(), &["--nodes", "--start"]),
        ("check --protocol gsm3 --nodes 3 --start joined".into(), &["did you mean `gms3`"]),
        (
            "check --protocol gms3 --nodes 40 --start joined".into(),
            &["--nodes: 40 nodes: expected 1 to 32"],
        ),
        ("check --protocol gms3 --nodes 0 --start joined".into(), &["--nodes: 0 nodes"]),
        (
            "check --protocol gms3 --nodes 3 --start idle".into(),
            &["gms3 cannot start idle", "first contact", "joined or joining"],
        ),
        (format!("{made} --budget crash=1"), &["no budget `crash`", "crashes"]),
        (format!("{made} --budget crashes"), &["NAME=N"]),
        (format!("{made} --budget crashes=-1"), &["not a number from 0 to 4294967294"]),
        (format!("{made} --budget crashes=1,crashes=2"), &["given twice"]),
        (format!("{made} --budget starts=1"), &["nobody left to start"]),
        (format!("{made} --property single-leadr"), &["did you mean `single-leader`"]),
        (format!("{made} --property agreement,agreement"), &["given twice"]),
        (format!("{made} --budget crashes=unlimited"), &["only timeouts", "give a number"]),
        (format!("{made} --budget drop=1"), &["no budget `drop`", "duplicates, overtakes"]),
        (format!("{made} --budget cuts=unlimited"), &["cuts cannot be unlimited"]),
        (
            "check --protocol gms3 --nodes 13 --start joined --budget cuts=1".into(),
            &["cuts of 13 nodes: expected 12 at most"],
        ),
        (
            format!("{made} --timers any --budget timeouts=unlimited"),
            &["--budget: unlimited timeouts", "make timers late"],
        ),
        (format!("{made} --storage tape"), &["possible values: kept, lost"]),
        (format!("{made} --bound elections"), &["NAME=N", "`elections=2`"]),
        (
            format!("{made} --workers 30"),
            &["--workers: 30 workers and 3 nodes: expected 32 at most"],
        ),
        (format!("{made} --workers 1"), &["--workers: gms3 has no workers"]),
        (
            format!("{made} --bound elections=2"),
            &["--bound: gms3 has nothing that can be bounded", "`elections=2`"],
        ),
        (format!("{made} gms3"), &["cannot be used with"]),
        ("check --threads 5000".into(), &["--threads", "1..=256"]),
        (
            "failover --nodes 2".into(),
            &["group cannot replace the leader of 2 nodes", "not a majority; give --nodes 3"],
        ),
        ("failover --nodes 1".into(), &["--nodes", "2..=100"]),
        ("replay".into(), &["<TRACE>"]),
        ("list nosuch".into(), &["nothing is named like `nosuch` (`interrex list` shows all)"]),
        ("validate --allow foo n0.log".into(), &["no property `foo` (there are: single-leader, "]),
    ] {
        assert_refused(words(&line), says);
    }
}

#[test]
fn a_scenario_that_is_wrong_is_refused_with_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.toml"), "summary = ''\nprotcol = 'gms3'\n").expect("a file");
    let path = folder.path().to_str().expect("a path that is text");
    assert_refused(
        ["check", "--scenarios", path],
        &["a.toml:2:1: unknown field `protcol`", "`protocol`"],
    );
}

/// A replay of less than the run says nothing about the run.
#[test]
fn a_replay_that_leaves_steps_out_is_not_called_fixed() {
    let (folder, path) = altered(|trace| trace["steps"].as_array_mut().expect("steps").reverse());
    let (code, out, _) = replay(&path, &["--schedule-only"]);
    assert_eq!(code, 3, "{out}");
    assert!(out.contains("not reproduced: ") && out.contains("left out"), "{out}");
    let (_, out, _) = replay(&path, &["--schedule-only", "--format", "json"]);
    let end: Value = out.lines().last().expect("an end").parse().expect("JSON");
    assert_eq!(end["outcome"], "not_reproduced");
    assert!(end["left_out"].as_u64() > Some(0), "{end}");

    let traces = folder.path().to_str().expect("a path that is text");
    let (code, out, _) =
        interrex(["fuzz", "gms3/joined-3", "--schedules", "1", "--traces", traces]);
    assert_eq!(code, 1, "{out}");
    assert!(
        out.starts_with("not reproduced, a step is not possible any more: trace.json"),
        "{out}"
    );
}

#[test]
fn list_answers_programs_and_takes_patterns() {
    let (code, out, _) = interrex(["list", "--format", "json", "joined-3", "single-leader"]);
    assert_eq!(code, 0);
    let objects: Vec<Value> = out.lines().map(|line| line.parse().expect("JSON")).collect();
    let named = |key: &str| objects.iter().filter(|object| object[key].is_string()).count();
    assert!(named("scenario") > 2, "{out}");
    // Those that are judged in the scenarios come with them.
    assert!(named("claim") > 5, "{out}");
    let property = objects.iter().find(|object| object["property"] == "single-leader");
    let exercised = &property.expect("a property")["exercised_when"];
    assert_eq!(exercised, "a node has become leader that was none at the beginning");
    let known = objects.iter().find(|object| object["scenario"] == "gms3/joined-3");
    assert_eq!(known.expect("a scenario")["states"], 4335);
}

/// Whoever asks for a protocol or a scenario wants to know what is claimed there.
#[test]
fn list_shows_the_properties_that_are_judged_where_a_pattern_leads() {
    let claims = |pattern: &str| {
        let (code, out, _) = interrex(["list", "--format", "json", pattern]);
        assert_eq!(code, 0);
        let objects: Vec<Value> = out.lines().map(|line| line.parse().expect("JSON")).collect();
        let of = |kind: &str| objects.iter().filter(|it| it["kind"] == kind).cloned().collect();
        let (properties, others): (Vec<Value>, Vec<Value>) =
            (of("property"), ["protocol", "scenario"].map(of).concat());
        for it in properties.iter().filter(|_| !others.is_empty()) {
            let judges = |other: &Value| {
                other["properties"].as_array().expect("names").contains(&it["property"])
            };
            assert!(others.iter().any(judges), "{it} is judged nowhere in {out}");
        }
        let names =
            properties.iter().map(|it| it["property"].as_str().expect("a name").to_string());
        names.collect::<Vec<_>>()
    };
    let of_gms3 = claims("gms3");
    assert!(of_gms3.contains(&"total-order-uniform".into()), "{of_gms3:?}");
    // gms3 makes no calls.
    assert!(!of_gms3.contains(&"no-lost-call".into()), "{of_gms3:?}");
    assert!(claims("gms3/joined-3").contains(&"no-lost-message-validity".into()));
    assert_eq!(claims("single-leader"), ["single-leader"]);
    let (_, out, _) = interrex(["list", "gms3"]);
    assert!(out.contains("Safety properties") && out.contains(" total-order-uniform "), "{out}");
}

/// As for `check`.
#[test]
fn list_takes_a_whole_name_for_just_that_one_and_refuses_what_nothing_is_named_like() {
    let (code, out, _) = interrex(["list", "gms3/joined-3"]);
    assert_eq!((code, out.matches(" gms3/").count()), (0, 1), "{out}");
    assert_refused(["list", "joned-3"], &["nothing is named like `joned-3`, did you mean"]);
}

#[test]
fn a_misspelt_name_gets_a_suggestion_and_no_list_of_everything() {
    let (code, _, err) = interrex(["check", "joned-3"]);
    assert_eq!(code, 2);
    assert!(err.contains("did you mean `joined-3`? (`interrex list` shows all"), "{err}");
    let made = "check --protocol gms3 --nodes 3 --start joined --budget crahes=2";
    assert_refused(words(made), &["there is no budget `crahes`, did you mean `crashes`?"]);
    let trace = traces().join("gms3/total-order-uniform.joind-3.json");
    let trace = trace.to_str().expect("a path that is text");
    assert_refused(["replay", trace], &["did you mean `total-order-uniform.joined-3.json`?"]);
    let (_folder, readme) = file("# interrex");
    let readme = readme.to_str().expect("a path that is text");
    assert_refused(["replay", readme], &["not a trace, which is a JSON object, as `check --save"]);
}

#[test]
fn a_scenario_without_budgets_says_that_nothing_can_happen() {
    let (code, out, _) = interrex(words("check --protocol gms3 --nodes 3 --start joined"));
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("nothing can happen: give it a budget"), "{out}");
}

#[cfg(unix)]
/// What is not shown could be taken for what holds.
#[test]
fn check_names_the_properties_that_it_does_not_judge_and_why_they_cannot_be_asked_for() {
    let (_, out, _) = interrex(["check", "gms3/joined-3-calm"]);
    let first = "  not judged, because the scenario does not name them: single-leader";
    let said = out.lines().skip_while(|line| !line.starts_with(first));
    let said: Vec<_> = said.take_while(|line| !line.is_empty()).collect();
    assert!(said.concat().contains(" agreement") && !said.concat().contains("creation"), "{out}");
    assert!(said.iter().all(|line| line.chars().count() <= 80), "{out}");
    let (_, out, _) = interrex(["check", "gms3/joined-3"]);
    assert!(!out.contains("not judged"), "{out}");
    let asked = |property: &str, says: &[&str]| {
        assert_refused(["check", "gms3/joined-3-calm", "--property", property], says);
    };
    asked(
        "single-leader",
        &[
            "gms3/joined-3-calm does not judge `single-leader`",
            "name it in [expect.properties] of ",
        ],
    );
    asked("no-creation", &["judges `no-creation` among others: leave out --property"]);
    asked("single-leder", &["did you mean `single-leader`"]);
    assert_refused(["check", "--property", "agreement"], &["--property is for a scenario that is"]);
}

#[test]
fn a_pipe_is_refused_rather_than_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("it runs");
    assert!(made.success());
    assert_refused(["replay", pipe.to_str().expect("text")], &["a pipe or device, not a file"]);
    assert_refused(["validate", pipe.to_str().expect("text")], &["a pipe or device, not a file"]);
    assert_refused(["validate", "/dev/zero"], &["a pipe or device, not a file"]);
}

#[test]
fn list_names_every_protocol_scenario_and_property() {
    let (code, out, _) = interrex(["list"]);
    assert_eq!(code, 0);
    for name in
        ["gms3 ", "gms3/joining-3 ", "single-leader ", "no-lost-message-validity ", "no-livelock "]
    {
        assert!(
            out.lines().any(|line| line.trim_start().starts_with(name)),
            "{name:?} is not in {out}"
        );
    }
    // A verdict depends on it.
    let mut lines = out.lines().skip_while(|line| !line.trim_start().starts_with("single-leader "));
    let said = lines.nth(1).expect("a second line").trim();
    assert_eq!(said, "exercised when: a node has become leader that was none at the beginning");
}

#[test]
fn help_teaches_and_names_the_exit_codes() {
    let (code, out, _) = interrex(["check", "--help"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("--budget commands=3,crashes=2") && out.contains("cut short by a limit"),
        "{out}"
    );
}

/// What is laid out by hand must not be wrapped a second time.
#[test]
fn help_fits_a_terminal_of_80_columns() {
    let help = |command: &str, columns: &str| {
        let mut help = Command::new(env!("CARGO_BIN_EXE_interrex"));
        help.args(words(command)).arg("--help").env("COLUMNS", columns);
        let out = String::from_utf8(help.output().expect("it runs").stdout).expect("text");
        let (head, rest) = out.split_once("Usage:").expect("the usage");
        (head.to_string(), rest.split_once("Exit codes:").expect("exit codes").1.to_string())
    };
    let by_hand = ["check", "explore", "matrix", "key", "node"];
    let reflowed = ["", "fuzz", "list", "replay", "shrink", "validate", "failover"];
    for command in by_hand.into_iter().chain(reflowed) {
        let [(head, codes), (wide_head, wide_codes)] = ["80", "100"].map(|it| help(command, it));
        assert_eq!(codes, wide_codes, "{command}");
        assert!(!by_hand.contains(&command) || head == wide_head, "{head}");
    }
}

/// A killed process closes its connections; a host that fails does not.
#[test]
fn failover_says_how_the_end_of_the_leader_was_noticed() {
    let (code, out, err) =
        interrex(words("failover --protocol gen_leader --nodes 2 --timeout 700"));
    assert_eq!(code, 0, "{out}{err}");
    let says = "a closed connection is noticed at once; silence, as with --how stop, after --timeout: 700 ms";
    assert!(out.contains(says), "{out}");
}

#[test]
fn replay_shows_every_step_and_why_the_property_is_violated() {
    let (code, out, _) = replay(&traces().join(TRACE), &[]);
    assert_eq!(code, 0);
    for says in [
        "  1  command at n0, crash after 1 effect",
        "→ send(to: n1, message: msg(number: 2, message: n0.0))",
        "state.follower.next: 2 ⇒ 3",
        "violated after step 6\n  It claims: ",
        "\n  Here: where n1 delivered n0.0, n2 delivered n2.0",
    ] {
        assert!(out.contains(says), "{says:?} is not in {out}");
    }
}

#[test]
fn replay_draws_and_answers_programs_too() {
    let (code, drawn, _) = replay(&traces().join(TRACE), &["--format", "diagram"]);
    assert!(code == 0 && drawn.contains("──────msg─►●"), "{drawn}");
    let (code, json, _) = replay(&traces().join(TRACE), &["--format", "json"]);
    assert_eq!(code, 0);
    let lines: Vec<Value> =
        json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((lines.len(), &lines[5]["step"]), (7, &6.into()));
    assert_eq!((&lines[0]["ended"], &lines[1]["sent"]), (&"crashed".into(), &1.into()));
    assert_eq!(lines[6]["cases"][0]["status"], "as_expected");
    assert_eq!(lines[6]["outcome"]["violated"]["after"], 6);
}

/// A leader of elections that nobody counts has no term.
#[test]
fn a_picture_shows_a_term_only_where_elections_are_counted() {
    for (trace, is_counted) in [
        ("gen_leader/single-leader.partition.json", true),
        ("gen_leader_1_0/agreement.crash-stop.json", false),
    ] {
        let (code, picture, _) = replay(&traces().join(trace), &["--format", "svg"]);
        assert_eq!(code, 0);
        assert_eq!(picture.contains(">term "), is_counted, "{trace}: {picture}");
    }
}

/// The picture that the README shows.
#[test]
fn the_picture_beside_a_trace_is_what_replay_draws() {
    let beside = traces().join("gms3/no-lost-message-validity.joined-3.svg");
    let (code, drawn, _) = replay(&beside.with_extension("json"), &["--format", "svg"]);
    assert_eq!(code, 0);
    let kept = fs::read_to_string(&beside).expect("a picture");
    assert!(kept == drawn, "write it anew: replay --format svg > {}", beside.display());
    let readme = fs::read_to_string(traces().join("../README.md")).expect("a text");
    assert!(readme.contains("](traces/gms3/no-lost-message-validity.joined-3.svg)"));
}

#[test]
fn a_page_needs_nothing_else_and_says_what_a_trace_says_as_text() {
    let (_folder, path) = altered(|trace| {
        trace["cause"] = "</style></script><script>alert(1)</script> & <b>bold</b>".into();
    });
    let (code, page, _) = replay(&path, &["--format", "html"]);
    assert_eq!(code, 0);
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &lt;b&gt;bold"), "{page}");
    for elsewhere in ["src=", "href=\"http", "@import", "url(http", "<link"] {
        assert!(!page.contains(elsewhere), "{elsewhere}");
    }
    // Each step, the claim and the complaint, and the message that is under way after the first step.
    for says in [
        "<section data-from=\"6\" data-until=\"7\"><h2>Step 6: ",
        "<p class=\"bad\">Violated: where n1 delivered n0.0, n2 delivered n2.0",
        "<li data-from=\"1\" data-until=\"2\"><b>n0 → n1</b> msg(number: 2, message: n0.0)",
    ] {
        assert!(page.contains(says), "{says:?} is not in {page}");
    }
    let (code, picture, _) = replay(&path, &["--format", "svg"]);
    assert!(code == 0 && picture.contains("&lt;script&gt;alert(1)"), "{picture}");
    roxmltree::Document::parse(&picture).expect("XML");
}

#[test]
fn a_sequence_diagram_for_markdown_says_where_messages_are_lost() {
    let trace = traces().join("gms3/no-lost-message-validity.joined-3.json");
    let (code, drawn, _) = replay(&trace, &["--format", "mermaid"]);
    assert_eq!(code, 0);
    let expected = "\
sequenceDiagram
    title gms3 violates no-lost-message-validity
    participant n0
    participant n1
    participant n2
    Note over n1: 1 command(mcast(n1.0))
    Note over n0: 2 crash
    n1-xn0: mcast, sent in step 1: lost
    n0-->>n1: 3 down(n0)
    Note over n1: installed(number: 2, leader: n1, followers: [n2])
    rect rgba(230, 60, 60, 0.25)
    Note over n2: 4 crash
    n1-xn2: view, sent in step 3: lost
    n1-xn2: view, sent in step 3: lost
    end
    Note over n0,n2: n1 sent n1.0 and never delivered it
";
    assert_eq!(drawn, expected);
}

#[test]
fn replay_stops_where_it_is_told_to() {
    let (code, out, _) = replay(&traces().join(TRACE), &["--until", "2"]);
    assert_eq!(code, 0);
    assert!(out.contains("  2  deliver n0 → n1") && !out.contains("  3  "), "{out}");
    assert!(out.ends_with("\nstopped after step 2 of 6 (--until)\n"), "{out}");
    let (_, out, _) = replay(&traces().join(TRACE), &["--until", "6"]);
    assert!(out.contains("violated after step 6"), "{out}");
    let path = traces().join(TRACE);
    let refused = |until: &str, says: &str| {
        assert_refused(["replay", path.to_str().expect("text"), "--until", until], &[says]);
    };
    refused("0", "--until");
    refused("7", "--until 7: the trace has 6 steps");
}

#[test]
fn a_schedule_that_still_violates_ends_with_1() {
    let (code, out, _) = replay(&traces().join(TRACE), &["--schedule-only"]);
    assert_eq!(code, 1);
    assert!(out.contains("still violated after step 6"), "{out}");
}

#[test]
fn a_trace_that_diverges_ends_with_1_and_names_the_step_and_both_effects() {
    let (_folder, path) = altered(|trace| {
        trace["steps"][1]["effects"][0]["observe"]["delivered"]["number"] = 7.into();
    });
    let (code, out, _) = replay(&path, &[]);
    assert_eq!(code, 1);
    let end = out.split("step 2 differs from the trace").nth(1).expect("the step");
    assert!(
        end.contains("recorded:\n     → observe(delivered(number: 7, message: n0.0))"),
        "{end}"
    );
    assert!(end.contains("now:\n     → observe(delivered(number: 2, message: n0.0))"), "{end}");
}

#[test]
fn a_trace_that_is_not_possible_ends_with_1_and_says_why() {
    let (_folder, path) = altered(|trace| trace["environment"]["budgets"]["crashes"] = 0.into());
    let (code, out, _) = replay(&path, &[]);
    assert_eq!(code, 1);
    assert!(out.contains("step 1 is not possible:"), "{out}");
}

#[test]
fn a_bad_trace_is_refused_with_its_place() {
    let text = fs::read_to_string(traces().join(TRACE)).expect("a trace");
    let (_folder, truncated) = file(&text[..text.len() / 2]);
    assert_refused([Path::new("replay"), &truncated], &["trace.json:", "the file ends too early"]);
    let path = traces().join(TRACE);
    let advice = &["a trace, not the log of a node: `interrex replay"];
    assert_refused([Path::new("validate"), &path], advice);
    let (_folder, empty) = file("");
    assert_refused([Path::new("replay"), &empty], &["trace.json:1:1: not a trace"]);
    let (_folder, garbage) = file(vec![b'x'; 10 << 20]);
    assert_refused([Path::new("replay"), &garbage], &["trace.json:1:1: not a trace"]);
    let byte = |at: u32| at.wrapping_mul(2_654_435_761).to_be_bytes()[0];
    let (_folder, binary) = file((0..10 << 20).map(byte).collect::<Vec<u8>>());
    assert_refused([Path::new("replay"), &binary], &["not UTF-8"]);
    let (_folder, deep) = file("[".repeat(10 << 20));
    assert_refused([Path::new("replay"), &deep], &["trace.json:1:"]);
    assert_refused(
        [Path::new("replay"), Path::new("/nowhere.json")],
        &["/nowhere.json: cannot be read"],
    );
    assert_refused([Path::new("replay"), Path::new("/")], &["cannot be read"]);
    assert_refused([Path::new("replay"), Path::new("/dev/zero")], &["a pipe or device"]);
    // Without content: it takes no room.
    let (_folder, long) = file("");
    std::fs::File::create(&long).and_then(|file| file.set_len(257 << 20)).expect("a file");
    assert_refused([Path::new("replay"), &long], &["longer than 256 MiB"]);
}

#[test]
fn a_trace_that_says_what_is_not_understood_is_refused() {
    type Alteration = fn(&mut Value);
    let alterations: [(Alteration, &[&str]); 10] = [
        (|trace| trace["environment"]["workers"] = 1.into(), &["gms3 has no workers"]),
        (|trace| trace["environment"]["start"] = "idle".into(), &["gms3 cannot start idle"]),
        (|trace| trace["protocol"] = "gms4".into(), &["no protocol `gms4`", "did you mean `gms3`"]),
        (|trace| trace["property"] = "order".into(), &["gms3 has no property `order`"]),
        (|trace| trace["format"] = 2.into(), &["format 2: this version reads format 1"]),
        (|trace| trace["extra"] = 1.into(), &["unknown field `extra`", "`property`"]),
        (
            |trace| trace["steps"][0]["action"] = "sleep".into(),
            &["unknown variant `sleep`", "`deliver`"],
        ),
        (|trace| trace["environment"]["nodes"] = 0.into(), &["0 nodes: expected 1 to 32"]),
        (
            |trace| trace["environment"]["budgets"]["crash"] = 0.into(),
            &["unknown variant `crash`", "`crashes`"],
        ),
        (
            |trace| trace["steps"][0]["action"]["command"]["node"] = "one".into(),
            &["`one` is not a node", "`n0`"],
        ),
    ];
    for (alter, says) in alterations {
        let (_folder, path) = altered(alter);
        assert_refused([Path::new("replay"), &path], says);
    }
}

#[test]
fn nodes_and_timers_that_do_not_exist_are_no_step() {
    for action in [r#"{"command":{"node":"n9"}}"#, r#"{"timeout":{"node":"n1","timer":"lunch"}}"#] {
        let (_folder, path) = altered(|trace| {
            trace["steps"][0]["action"] = serde_json::from_str(action).expect("JSON");
        });
        let (code, out, _) = replay(&path, &[]);
        assert_eq!(code, 1);
        assert!(out.contains("step 1 is not possible: "), "{out}");
        let (code, drawn, _) = replay(&path, &["--schedule-only", "--format", "diagram"]);
        assert!(code == 3 && drawn.contains("left out: "), "{drawn}");
    }
}

/// gms3 has no livelock, so this is none; the place where it would begin is shown all the same.
#[test]
fn where_a_run_would_go_round_is_shown() {
    let (_folder, path) = altered(|trace| {
        trace["property"] = "no-livelock".into();
        trace["loop_from"] = 2.into();
    });
    for (more, shows) in [
        (&[][..], "\n\n  ⟲  from here, for ever\n\n  3  deliver n0 → n2\n"),
        (&["--format", "diagram"], "from here, for ever\n    3"),
        (&["--format", "json"], r#""begins_loop":true"#),
    ] {
        let (code, out, _) = replay(&path, more);
        assert!(code == 1 && out.matches(shows).count() == 1, "{out}");
    }
    let (code, out, _) = replay(&path, &["--schedule-only"]);
    assert!(code == 0 && out.ends_with("no-livelock is not violated in this run\n"), "{out}");
    assert!(!out.contains("gms3 violates"), "{out}");
}

/// A report that nobody can read does not end with 0.
#[test]
fn an_answer_that_nobody_reads_to_its_end_is_no_error_and_no_success() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_interrex"));
    let mut child =
        command.args(["check", "joined-3"]).stdout(Stdio::piped()).spawn().expect("it runs");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(141));
}

#[test]
fn a_trace_is_only_named_if_it_holds_the_counterexample() {
    let folder = tempfile::tempdir().expect("a folder");
    let known = folder.path().join("gms3");
    fs::create_dir(&known).expect("a folder");
    let name = "no-lost-message-validity.joined-3.json";
    let other = "no-lost-message-validity.joined-3-busy.json";
    fs::copy(traces().join("gms3").join(other), known.join(name)).expect("a file");
    let path = folder.path().to_str().expect("a path that is text");
    let (code, out, _) = interrex(["check", "gms3/joined-3", "--traces", path]);
    assert!(code == 0 && !out.contains(name), "{out}");
}

#[test]
fn what_a_trace_says_does_not_steer_the_terminal() {
    let (_folder, path) = altered(|trace| trace["cause"] = "\u{1b}[2J\r\nboo".into());
    let (code, out, _) = replay(&path, &[]);
    assert!(code == 0 && out.contains("\u{fffd}[2J\u{fffd}\u{fffd}boo"), "{out}");
    // Nor does it make a line read otherwise than it is.
    let (_folder, path) = altered(|trace| trace["cause"] = "\u{202e}oob\u{2066}".into());
    let (code, out, _) = replay(&path, &[]);
    assert!(code == 0 && out.contains("\u{fffd}oob\u{fffd}"), "{out}");
}

/// `replay *` in a folder of somebody else.
#[test]
fn what_a_file_is_called_does_not_steer_the_terminal() {
    for arguments in [&["replay", "a", "\u{1b}[2Jboo"][..], &["check", "--\u{202e}boo"]] {
        let (code, _, err) = interrex(arguments.iter().copied());
        let steers = |it: char| it != '\n' && (it.is_control() || it == '\u{202e}');
        assert!(code == 2 && err.contains("boo") && !err.contains(steers), "{err:?}");
    }
}

/// A program that was built elsewhere, or was moved since, works on the scenarios of the current folder. There may be no traces
/// yet.
#[test]
fn a_source_tree_in_the_current_folder_comes_first() {
    let here = tempfile::tempdir().expect("a folder");
    let scenarios = here.path().join("models/scenarios/gms3");
    fs::create_dir_all(&scenarios).expect("a folder");
    let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/gms3/joined-3.toml");
    fs::copy(known, scenarios.join("only.toml")).expect("a file");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_interrex"));
        let output = command.args(arguments).current_dir(here.path()).output().expect("it runs");
        let out = String::from_utf8(output.stdout).expect("text");
        (output.status.code(), out)
    };
    let (code, out) = run(&["list", "--format", "json"]);
    let scenarios: Vec<_> = out.lines().filter(|it| it.contains(r#""kind":"scenario""#)).collect();
    assert_eq!((code, scenarios.len()), (Some(0), 1), "{out}");
    assert!(scenarios[0].contains("gms3/only"), "{out}");
    let (code, out) = run(&["fuzz", "--schedules", "5"]);
    assert!(code == Some(0) && out.contains("1 scenario: no unexpected violation"), "{out}");
}

/// A proof visits no world, and a search may be cut short: the reader is told which it was.
#[test]
fn check_says_in_which_way_it_found_no_livelock() {
    for (scenario, means) in [("gms3/joined-3", "proof"), ("gen_leader/idle-3", "search")] {
        let (code, out, _) = interrex(["check", scenario]);
        let line = out.lines().find(|line| line.trim_start().starts_with("no-livelock"));
        assert!(code == 0 && line.is_some_and(|it| it.ends_with(&format!("by {means}"))), "{out}");
        let (_, out, _) = interrex(["check", scenario, "--format", "json"]);
        let report: Value = serde_json::from_str(&out).expect("JSON");
        let properties = report["properties"].as_array().expect("a list");
        let found = properties.iter().find(|it| it["name"] == "no-livelock");
        assert_eq!(found.map(|it| &it["means"]), Some(&means.into()), "{out}");
    }
}
