//! Searches that are killed, and gone on with: they find what an uninterrupted one finds.

use assert_cmd::Command;
use serde_json::Value;
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command as Process, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_interrex");

fn interrex(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(PROGRAM).args(arguments).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    (output.status.code().expect("it is not killed"), text(output.stdout), text(output.stderr))
}

/// Starts a search, and kills it with −9 after a while. True if it had ended by itself before.
fn killed(arguments: &[&str], after: Duration) -> bool {
    let mut child =
        Process::new(PROGRAM).args(arguments).stdout(Stdio::null()).spawn().expect("it starts");
    std::thread::sleep(after);
    let has_ended = child.try_wait().expect("it can be asked").is_some();
    child.kill().expect("it can be killed, also when it has ended");
    child.wait().expect("it ends");
    has_ended
}

/// The results of a check: all but time and memory.
fn results(arguments: &[&str]) -> Value {
    let (code, out, err) = interrex(&[arguments, &["--format", "json"]].concat());
    assert_eq!(code, 0, "{err}");
    let mut results: Value = out.trim().parse().expect("one object");
    for name in ["seconds", "peak_rss_bytes", "threads", "cases"] {
        results[name].take();
    }
    results
}

/// One that is proved to have no livelock, one with a livelock, and one with time-outs without limit.
#[test]
fn a_search_that_is_killed_again_and_again_ends_as_if_it_had_never_been() {
    let scenarios = ["gms3/joined-4", "gen_leader_2007/crash-recovery", "gen_leader_1_0/idle-3"];
    let mut resumed = 0;
    for (nth, scenario) in (0..).zip(scenarios) {
        let folder = TempDir::new().expect("a folder");
        let kept = folder.path().to_str().expect("a name");
        let file = folder.path().join(scenario).with_extension("search");
        let mut random = fastrand::Rng::with_seed(nth);
        let often = ["--checkpoint-every", "0.001", "--threads", "2"];
        let mut begins = "--checkpoint";
        for _ in 0..10 {
            let after = Duration::from_millis(random.u64(20..200));
            if killed(&[&["check", scenario, begins, kept], &often[..]].concat(), after) {
                break;
            }
            // It may have been killed before it wrote anything.
            begins = if file.exists() { "--resume" } else { "--checkpoint" };
            resumed += usize::from(file.exists());
        }
        let end = results(&["check", scenario, "--resume", kept, "--threads", "1"]);
        assert_eq!(end, results(&["check", scenario]), "{scenario}");
        assert!(!file.exists(), "the search is done");
    }
    assert!(resumed >= 10, "only {resumed} were gone on with");
}

/// A folder with a search that a limit has cut short.
fn cut_short() -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let kept = folder.path().to_str().expect("a name");
    let often = ["--checkpoint-every", "0.001", "--max-seconds", "0.3"];
    let (code, out, err) =
        interrex(&[&["check", "gms3/joined-4", "--checkpoint", kept], &often[..]].concat());
    assert_eq!(code, 3, "{err}");
    assert!(out.contains(&format!("go on with --resume {kept}")), "{out}");
    assert!(file(&folder).exists());
    folder
}

fn file(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("gms3/joined-4.search")
}

fn assert_refused(program: &Path, arguments: &[&str], says: &str) {
    let output = Command::new(program).args(arguments).output().expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");
    assert!(said.contains(says), "{says:?} is not in {said}");
}

#[test]
fn a_search_is_gone_on_with_only_where_it_means_the_same() {
    let folder = cut_short();
    let kept = folder.path().to_str().expect("a name");
    let check = |arguments: &[&str], says: &str| {
        assert_refused(Path::new(PROGRAM), &[&["check"], arguments].concat(), says);
    };
    check(&["gms3/joined-4", "--checkpoint", kept], "a search that was interrupted: go on with");
    check(&["gms3/joined-4", "--resume", kept, "--engine", "stateright"], "leave out --engine");
    check(&["gms3/joined-4", "--resume", "nowhere"], "there is no such folder");

    // As if it were the search of another scenario.
    let other = folder.path().join("gms3/joined-3.search");
    fs::copy(file(&folder), &other).expect("it can be copied");
    check(&["gms3/joined-3", "--resume", kept], "a search with 4 nodes, joined");

    // Bytes after the end of a program change nothing but the program.
    let rebuilt = folder.path().join("rebuilt");
    fs::copy(PROGRAM, &rebuilt).expect("it can be copied");
    let mut program = fs::OpenOptions::new().append(true).open(&rebuilt).expect("it is there");
    program.write_all(b"x").expect("it can be written");
    drop(program);
    let arguments = ["check", "gms3/joined-4", "--resume", kept];
    let home = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
    let arguments = [&arguments[..], &["--scenarios", home]].concat();
    assert_refused(&rebuilt, &arguments, "written by another build of this program");
}

#[test]
fn a_file_that_is_not_whole_is_refused() {
    let folder = cut_short();
    let kept = folder.path().to_str().expect("a name");
    let whole = fs::read(file(&folder)).expect("it can be read");
    let mut altered = whole.clone();
    altered[whole.len() / 2] ^= 1;
    for wrong in [&altered[..], &whole[..whole.len() - 1], &whole[..5], &[]] {
        fs::write(file(&folder), wrong).expect("it can be written");
        let arguments = ["check", "gms3/joined-4", "--resume", kept];
        assert_refused(Path::new(PROGRAM), &arguments, "not whole: it was cut short or altered");
    }
}

/// A search is worth more than its checkpoint.
#[test]
fn a_search_that_cannot_be_written_down_ends_all_the_same_and_says_so() {
    let folder = TempDir::new().expect("a folder");
    // A folder is where the file would be.
    fs::create_dir_all(file(&folder)).expect("it can be made");
    let kept = folder.path().to_str().expect("a name");
    let arguments = ["check", "gms3/joined-4", "--resume", kept, "--checkpoint-every", "0.001"];
    assert_refused(Path::new(PROGRAM), &arguments, "cannot be read");
    fs::remove_dir(file(&folder)).expect("it is empty");
    fs::remove_dir(folder.path().join("gms3")).expect("it is empty");
    fs::write(folder.path().join("gms3"), "no folder").expect("it can be written");
    let (code, out, err) = interrex(&arguments);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("1 scenario: as expected"), "{out}");
    assert!(err.starts_with("warning: ") && err.contains("gms3"), "{err}");
}
