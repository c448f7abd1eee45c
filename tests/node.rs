//! `interrex key` and `interrex node`, as their users run them: what they print, what they end with, and what they
//! say of bad input.

use interrex::machine::NodeId;
use interrex_models::{
    protocol::registry::Known,
    real::{
        line::Notice,
        processes::{Cluster, Plan, Process, ProcessError},
    },
};
use std::{
    fs,
    io::Write,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_interrex");
const LONG: Duration = Duration::from_secs(20);

/// A folder with a key, for one node that is alone; it vanishes with the value.
struct Alone {
    folder: TempDir,
    place: String,
}

struct Answer {
    code: i32,
    out: String,
    err: String,
}

impl Alone {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let place = free.local_addr().expect("it is bound").to_string();
        let alone = Self { folder, place };
        assert_eq!(key(&alone.key()).code, 0);
        alone
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("cluster.key")
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(["node", "--id", "n0", "--peers", &format!("n0={}", self.place)]);
        command.arg("--key-file").arg(self.key()).args(more).env_remove("RUST_LOG");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn node(&self, more: &[&str]) -> Child {
        self.command(more).spawn().expect("it runs")
    }

    /// The answer to these lines on standard input.
    fn told(&self, more: &[&str], lines: impl AsRef<[u8]>) -> Answer {
        let mut node = self.node(more);
        let mut input = node.stdin.take().expect("a pipe");
        // Whoever refuses its options reads nothing.
        let _ = input.write_all(lines.as_ref());
        drop(input);
        answer(node)
    }
}

fn answer(child: Child) -> Answer {
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    let code = output.status.code().expect("it is not killed");
    Answer { code, out: text(output.stdout), err: text(output.stderr) }
}

fn key(file: &Path) -> Answer {
    let mut command = Command::new(PROGRAM);
    command.arg("key").arg(file).stdout(Stdio::piped()).stderr(Stdio::piped());
    answer(command.spawn().expect("it runs"))
}

/// It ends with this code, prints nothing, and says all of this.
fn assert_refused(answer: &Answer, code: i32, says: &[&str]) {
    assert_eq!((answer.code, answer.out.as_str()), (code, ""), "{}", answer.err);
    assert!(answer.err.starts_with("error: "), "{}", answer.err);
    for part in says {
        assert!(answer.err.contains(part), "{part:?} is not in {}", answer.err);
    }
}

#[test]
fn a_key_is_for_its_owner_and_is_not_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("cluster.key");
    let made = key(&file);
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    assert!(made.out.contains("interrex node --key-file"), "{}", made.out);
    let before = fs::read_to_string(&file).expect("a key");
    assert!(!made.out.contains(before.trim()), "a key is a secret");
    let permissions = fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(permissions & 0o777, 0o600);

    assert_refused(&key(&file), 2, &["cluster.key", "is there already"]);
    assert_eq!(fs::read_to_string(&file).expect("a key"), before);
    assert_refused(&key(&folder.path().join("none/cluster.key")), 2, &["none/cluster.key"]);
}

#[test]
fn a_dictionary_obeys_and_says_what_is_wrong() {
    let alone = Alone::new();
    let lines =
        b"put city the eternal one\nget city\nget town\n\nput\nput city\nget a b\nlaeder\nfly\n\
        members\nleader\ndump\ndelete city\ndump\n\xff\nquit now\nquit\nget city\n";
    let Answer { code, out, err } = alone.told(&["--protocol", "gen_leader"], lines);
    assert_eq!((code, err.as_str()), (0, ""));
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some(format!("listening n0 at {}", alone.place).as_str()));
    let names = "(there are: put, get, delete, dump, leader, members, tasks, help, quit)";
    // Somewhere between the answers it is told once that it leads, and once it is asked.
    let (led, answers): (Vec<_>, Vec<_>) = lines.partition(|line| *line == "leader n0");
    assert_eq!(led.len(), 2);
    let expected = [
        "ok",
        "city = the eternal one",
        "town is not there",
        "error: `put` is written: put KEY VALUE",
        "error: `put` is written: put KEY VALUE",
        "error: `get` is written: get KEY",
        &format!("error: there is no command `laeder`, did you mean `leader`? {names}"),
        &format!("error: there is no command `fly` {names}"),
        "candidates n0 (leader)",
        "1 entry",
        "  city = the eternal one",
        "ok",
        "0 entries",
        "error: this line is not UTF-8",
        "error: `quit` is written: quit",
        "shut down",
    ];
    assert_eq!(answers, expected);
}

#[test]
fn a_line_that_is_too_long_is_refused_and_the_next_one_is_obeyed() {
    let alone = Alone::new();
    let lines = format!("put city {}\nget city\nhelp\nquit\n", "x".repeat(1 << 20));
    let Answer { code, out, .. } = alone.told(&["--protocol", "gen_leader"], lines);
    assert_eq!(code, 0);
    assert!(out.contains("error: this line is longer than 64 KiB"), "{out}");
    assert!(out.contains("city is not there\nput KEY VALUE "), "{out}");
}

#[test]
fn programs_are_told_when_what_happened_and_what_answers_what() {
    let alone = Alone::new();
    let before = interrex::runtime::unix_micros();
    let lines = "mcast hello\nmembers\nput a b\nquit\n";
    let Answer { code, out, .. } = alone.told(&["--protocol", "gms3", "--format", "json"], lines);
    assert_eq!(code, 0);
    let lines: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().expect("a kind")).collect();
    assert_eq!((kinds[0], kinds[kinds.len() - 1]), ("listening", "ended"), "{out}");
    assert_eq!(
        (&lines[0]["protocol"], &lines[0]["address"]),
        (&"gms3".into(), &alone.place.as_str().into())
    );
    let answer =
        |number: u64| lines.iter().find(|line| line["answers"] == number).expect("an answer");
    assert_eq!(answer(1)["kind"], "done");
    assert_eq!(
        (&answer(2)["kind"], &answer(2)["followers"]),
        (&"view".into(), &serde_json::json!([]))
    );
    assert_eq!(answer(3)["kind"], "error");
    for line in &lines {
        assert!(line["at"].as_u64().expect("a time") >= before, "{line}");
    }
}

#[test]
fn the_end_of_its_input_does_not_end_a_node_unless_it_shall() {
    let alone = Alone::new();
    let ended = alone.told(&["--protocol", "gen_leader", "--until-eof"], "put a b\n");
    assert_eq!(ended.code, 0);
    assert!(ended.out.ends_with("shut down\n"), "{}", ended.out);

    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let mut node = alone.node(&["--protocol", "gen_leader"]);
        drop(node.stdin.take());
        std::thread::sleep(Duration::from_millis(300));
        assert!(node.try_wait().expect("it can be asked").is_none(), "it has ended");
        rustix::process::kill_process(rustix::process::Pid::from_child(&node), signal)
            .expect("a signal");
        let Answer { code, out, err } = answer(node);
        assert_eq!((code, err.as_str()), (0, ""));
        assert!(out.ends_with("shut down\n"), "{out}");
    }
}

#[test]
fn bad_usage_is_refused_before_anything_happens() {
    let alone = Alone::new();
    let gen_leader = |more: &[&str]| {
        alone.told(
            &[&["--protocol", "gen_leader", "--data-dir", "never-made"], more].concat(),
            "quit\n",
        )
    };
    for (more, says) in [
        (&["--worker", "n1"] as &[&str], &["--worker n1 is not in --peers"] as &[&str]),
        (&["--worker", "n0"], &["all nodes are workers"]),
        (&["--contact", "n1"], &["a node of gen_leader does not join through another"]),
        (&["--peers", "n0=127.0.0.1:1"], &["--peers names n0 twice"]),
        (&["--peers", "n1"], &["expected NODE=HOST:PORT", "n1=127.0.0.1:7001"]),
        (&["--peers", "n01=127.0.0.1:1"], &["`n01` is not a node"]),
        (&["--peers", "n1=127.0.0.1:65536"], &["`127.0.0.1:65536` is not HOST:PORT"]),
        (&["--listen", "here"], &["`here` is not HOST:PORT"]),
        (&["--timeout", "0"], &["--timeout"]),
        (&["--format", "xml"], &["--format"]),
    ] {
        assert_refused(&gen_leader(more), 2, says);
    }
    for (more, says) in [
        (&["--contact", "n0"] as &[&str], "a node does not join through itself"),
        (&["--contact", "n7"], "--contact n7 is not in --peers"),
        (&["--worker", "n0"], "gms3 has no workers"),
    ] {
        assert_refused(&alone.told(&[&["--protocol", "gms3"], more].concat(), ""), 2, &[says]);
    }
    let unknown = alone.told(&["--protocol", "gms4"], "");
    assert_refused(&unknown, 2, &["there is no protocol `gms4`, did you mean `gms3`?"]);
    assert!(!Path::new("never-made").exists());
}

#[test]
fn a_file_that_is_no_key_is_refused() {
    let alone = Alone::new();
    for content in ["", "hello\n", "AAAA"] {
        fs::write(alone.key(), content).expect("a file");
        let refused = alone.told(&["--protocol", "gms3"], "");
        assert_refused(&refused, 2, &["cluster.key", "`interrex key` makes one"]);
    }
    fs::remove_file(alone.key()).expect("a file");
    assert_refused(
        &alone.told(&["--protocol", "gms3"], ""),
        2,
        &["cluster.key", "`interrex key` makes one"],
    );
}

#[test]
fn a_node_that_cannot_come_up_ends_with_1_and_says_why() {
    let alone = Alone::new();
    let folder = alone.folder.path().join("stored");
    let folder = folder.to_str().expect("text");
    let stored = ["--protocol", "gen_leader", "--data-dir", folder];
    let mut first = alone.node(&stored);
    let mut told = std::io::BufReader::new(first.stdout.take().expect("a pipe"));
    std::io::BufRead::read_line(&mut told, &mut String::new()).expect("it listens");

    let second = alone.told(&[&stored as &[&str], &["--listen", "127.0.0.1:0"]].concat(), "");
    assert_refused(&second, 1, &["n0 does not come up", "stored", "another process uses it"]);
    let third = alone.told(&["--protocol", "gen_leader"], "");
    assert_refused(&third, 1, &["n0 does not come up", "cannot listen at", &alone.place]);
    let log = ["--log", "/nowhere/n0.log", "--listen", "127.0.0.1:0"];
    let fourth = alone.told(&[&["--protocol", "gen_leader"] as &[&str], &log].concat(), "");
    assert_refused(&fourth, 1, &["the log /nowhere/n0.log cannot be written"]);

    first.kill().expect("it runs");
    first.wait().expect("it ends");
    // What a dead process held is free.
    assert_eq!(alone.told(&stored, "quit\n").code, 0);
}

#[test]
fn a_node_that_nobody_reads_from_ends() {
    let alone = Alone::new();
    let mut node = alone.node(&["--protocol", "gen_leader"]);
    drop(node.stdout.take());
    let mut input = node.stdin.take().expect("a pipe");
    let _ = input.write_all(b"help\nhelp\n");
    let status = node.wait().expect("it ends");
    assert_eq!(status.code(), Some(141));
}

#[test]
fn a_node_that_its_protocol_ends_ends_with_1() -> Result<(), ProcessError> {
    let plan = Plan::new(PROGRAM, Known::Gms3, 3);
    let mut cluster = Cluster::new(plan)?;
    let [n0, n1, n2] = [0, 1, 2].map(NodeId);
    cluster.start(n0, None)?;
    cluster.start(n1, Some(n0))?;
    let joined = |process: &Process| {
        process.wait(0, LONG, |line| (line.said == Notice::Joined).then_some(()))
    };
    joined(cluster.node(n1)?)?;
    // n1 does not notice that its leader dies, and sends n2 on to it.
    cluster.node(n0)?.stop();
    let newcomer = cluster.start(n2, Some(n1))?;
    let status = newcomer.ended(LONG)?;
    assert_eq!(status.code(), Some(1));
    let reason = newcomer.wait(0, LONG, |line| match &line.said {
        Notice::Ended { stopped } => stopped.clone(),
        _ => None,
    })?;
    assert_eq!(reason, "no reply from leader");
    Ok(())
}
