//! `interrex key` and `interrex node`, as their users run them: what they print, what they end with, and what they
//! say of bad input.

mod console;

use interrex::machine::NodeId;
use interrex_models::{
    protocol::registry::built_in,
    real::{
        line::{Line, Notice},
        processes::{Cluster, Plan, Process, ProcessError},
    },
};
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
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
    for part in ["interrex node --id n0 ", "--key-file ", "(group, group_any, gms3, gms2) "] {
        assert!(made.out.contains(part), "{part:?} is not in {}", made.out);
    }
    let before = fs::read_to_string(&file).expect("a key");
    assert!(!made.out.contains(before.trim()), "a key is a secret");
    let permissions = fs::metadata(&file).expect("a file").permissions().mode();
    assert_eq!(permissions & 0o777, 0o600);

    assert_refused(&key(&file), 2, &["cluster.key", "already exists"]);
    assert_eq!(fs::read_to_string(&file).expect("a key"), before);
    assert_refused(&key(&folder.path().join("none/cluster.key")), 2, &["none/cluster.key"]);
    assert_refused(&key(folder.path()), 2, &["is a folder; name the file to make", "/cluster.key"]);
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
    let Answer { code, out, .. } =
        alone.told(&["--protocol", "gms3", "--found", "--format", "json"], lines);
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
        thread::sleep(Duration::from_millis(300));
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
        (&["--contact", "n1"], &["gen_leader has no groups", "--contact"]),
        (&["--found"], &["gen_leader has no groups", "--found"]),
        (&["--peers", "n0=127.0.0.1:1"], &["--peers names n0 twice"]),
        (&["--peers", "n1"], &["expected NODE=HOST:PORT", "n1=127.0.0.1:7001"]),
        (&["--peers", "n01=127.0.0.1:1"], &["`n01` is not a node"]),
        (&["--peers", "n1=127.0.0.1:65536"], &["`127.0.0.1:65536` is not HOST:PORT"]),
        (&["--listen", "here"], &["`here` is not HOST:PORT"]),
        (&["--timeout", "0"], &["--timeout", "expected milliseconds, a number from 10 to 3600000"]),
        (&["--timeout", "1s"], &["--timeout", "milliseconds", "1000 for a second"]),
        (&["--call-timeout", "5s"], &["--call-timeout", "milliseconds"]),
        (&["--contact-seconds", "0"], &["--contact-seconds", "above 0"]),
        (&["--format", "xml"], &["--format"]),
    ] {
        assert_refused(&gen_leader(more), 2, says);
    }
    for (more, says) in [
        (&["--contact", "n0"] as &[&str], "a node does not join through itself"),
        (&["--contact", "n7"], "--contact n7 is not in --peers"),
        (&["--worker", "n0", "--found"], "gms3 has no workers"),
        (&["--contact", "n0", "--found"], "and --found is given, too"),
        (&[], "give --found to found a group, or --contact NODE"),
        (&["--found", "--peers", "n1=127.0.0.1:9", "--contact", "n1"], "needs --data-dir"),
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
    let long = "A".repeat(1 << 20);
    for content in ["", "hello\n", "AAAA", &long] {
        fs::write(alone.key(), content).expect("a file");
        let refused = alone.told(&["--protocol", "gms3", "--found"], "");
        assert_refused(&refused, 2, &["cluster.key", "`interrex key` makes one"]);
    }
    fs::write(alone.key(), format!("{}=\n", "A".repeat(43))).expect("a file");
    assert_refused(&alone.told(&["--protocol", "gms3", "--found"], ""), 2, &["all zeros"]);
    fs::remove_file(alone.key()).expect("a file");
    fs::create_dir(alone.key()).expect("a folder");
    let refused = alone.told(&["--protocol", "gms3", "--found"], "");
    assert_refused(&refused, 2, &["cluster.key", "name the file in it, not the folder"]);
    assert!(!refused.err.contains("makes one"), "{}", refused.err);
    fs::remove_dir(alone.key()).expect("a folder");
    assert_refused(
        &alone.told(&["--protocol", "gms3", "--found"], ""),
        2,
        &["cluster.key", "`interrex key` makes one"],
    );
}

#[test]
fn a_key_that_others_can_read_is_a_warning() {
    let alone = Alone::new();
    let warns = |mode: u32| {
        let permissions = fs::Permissions::from_mode(mode);
        fs::set_permissions(alone.key(), permissions).expect("permissions");
        let Answer { code, err, .. } = alone.told(&["--protocol", "gen_leader"], "quit\n");
        assert_eq!(code, 0, "{err}");
        err.contains("other users of this host can read the key")
    };
    assert!(!warns(0o600) && warns(0o640) && warns(0o604));
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
    assert_refused(&second, 1, &["n0 did not start", "stored", "another process uses it"]);
    let third = alone.told(&["--protocol", "gen_leader"], "");
    assert_refused(&third, 1, &["n0 did not start", "cannot listen at", &alone.place]);
    let log = ["--log", "/nowhere/n0.log", "--listen", "127.0.0.1:0"];
    let fourth = alone.told(&[&["--protocol", "gen_leader"] as &[&str], &log].concat(), "");
    assert_refused(&fourth, 1, &["the log /nowhere/n0.log cannot be written"]);

    let file = alone.key();
    let file = ["--protocol", "gen_leader", "--data-dir", file.to_str().expect("text")];
    assert_refused(&alone.told(&file, ""), 2, &["cluster.key: is not a folder", "--data-dir"]);

    first.kill().expect("it runs");
    first.wait().expect("it ends");
    // What a dead process held is free.
    assert_eq!(alone.told(&stored, "quit\n").code, 0);
}

/// Ends a node with SIGTERM, and returns its exit code.
fn terminate(mut node: Child) -> Option<i32> {
    let pid = rustix::process::Pid::from_child(&node);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    let until = Instant::now() + LONG;
    loop {
        match node.try_wait().expect("it can be asked") {
            Some(status) => return status.code(),
            None => assert!(Instant::now() < until, "it ignores SIGTERM"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Bytes that are no handshake, which the node warns of.
fn annoy(place: &str) {
    let until = Instant::now() + LONG;
    loop {
        match TcpStream::connect(place) {
            Ok(mut stream) => return drop(stream.write_all(&[0xff; 64])),
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_node_goes_on_without_its_output() {
    let full = || fs::File::options().write(true).open("/dev/full").expect("a device");
    for close in [false, true] {
        let alone = Alone::new();
        let mut command = alone.command(&["--protocol", "gen_leader", "-vv"]);
        if !close {
            command.stdout(full()).stderr(full());
        }
        let mut node = command.spawn().expect("it runs");
        drop((node.stdout.take(), node.stderr.take()));
        let mut input = node.stdin.take().expect("a pipe");
        input.write_all(b"put a b\nhelp\nhelp\n").expect("it reads");
        annoy(&alone.place);
        thread::sleep(Duration::from_millis(300));
        annoy(&alone.place);
        input.write_all(b"help\n").expect("it reads");
        assert!(node.try_wait().expect("it can be asked").is_none(), "it has ended");
        assert_eq!(terminate(node), Some(0));
    }
}

/// A pipe holds 64 KiB. What does not fit is dropped, in order, and the reader is told how much.
#[test]
fn a_node_whose_output_nobody_reads_goes_on_and_says_what_it_has_dropped() {
    const MULTICASTS: usize = 12_000;
    let alone = Alone::new();
    let mut node = alone.node(&["--protocol", "gms3", "--found", "--format", "json"]);
    let mut input = node.stdin.take().expect("a pipe");
    // Answers are not dropped, so these lines are not read: the node does not wait for them.
    let writer = thread::spawn(move || {
        let _ = (0..MULTICASTS).try_for_each(|nth| writeln!(input, "mcast {nth}"));
        input
    });
    thread::sleep(Duration::from_secs(1));
    assert!(node.try_wait().expect("it can be asked").is_none(), "it has ended");
    let out = node.stdout.take().expect("a pipe");
    let (said, heard) = mpsc::channel();
    let read = thread::spawn(move || {
        for line in BufReader::new(out).lines() {
            let line: serde_json::Value = serde_json::from_str(&line.expect("text")).expect("JSON");
            said.send(line).expect("a reader");
        }
    });
    drop(writer.join().expect("no panic"));
    let (mut lines, mut answers) = (vec![], 0);
    while answers < MULTICASTS {
        let line = heard.recv_timeout(LONG).expect("every answer is there");
        answers += usize::from(line["kind"] == "done");
        lines.push(line);
    }
    // What it has delivered since is on its way.
    thread::sleep(Duration::from_millis(500));
    assert_eq!(terminate(node), Some(0));
    read.join().expect("no panic");
    lines.extend(heard);
    let delivered = lines.iter().filter(|line| line["kind"] == "delivered").count();
    let dropped: u64 = lines.iter().filter_map(|line| line["lines"].as_u64()).sum();
    assert_eq!(delivered + usize::try_from(dropped).expect("a number"), MULTICASTS);
}

#[test]
fn a_signal_ends_a_node_that_cannot_print() {
    let alone = Alone::new();
    let mut node = alone.node(&["--protocol", "gen_leader"]);
    let mut input = node.stdin.take().expect("a pipe");
    thread::spawn(move || (0..10_000).try_for_each(|_| writeln!(input, "help")));
    thread::sleep(Duration::from_millis(500));
    // Its pipes are open, and full.
    assert_eq!(terminate(node), Some(0));
}

#[test]
fn a_signal_ends_a_node_that_waits_for_its_contact() {
    let alone = Alone::new();
    let node = alone.node(&["--protocol", "gms3", "--contact", "n1", "--peers", "n1=127.0.0.1:9"]);
    thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    assert_eq!(terminate(node), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_is_logged_has_colours_on_a_terminal_only() {
    let alone = Alone::new();
    let mut node = alone.node(&["--protocol", "gen_leader", "-vv"]);
    annoy(&alone.place);
    thread::sleep(Duration::from_millis(300));
    node.stdin.take().expect("a pipe").write_all(b"quit\n").expect("it reads");
    let Answer { err, .. } = answer(node);
    assert!(err.contains("refused") && !err.contains('\u{1b}'), "{err:?}");
}

/// The same command with another value of an option, or with one more of `--peers`.
fn changed(command: &Command, option: &[&str]) -> Command {
    let mut arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let at = arguments.iter().position(|it| it == option[0]).filter(|_| option[0] != "--peers");
    if let Some(at) = at {
        arguments.drain(at..at + 2);
    }
    let mut changed = Command::new(command.get_program());
    changed.args(arguments).args(option);
    changed
}

/// The error of a node that is started with another value of an option.
fn start_changed(cluster: &mut Cluster, node: NodeId, option: &[&str]) -> String {
    let command = changed(&cluster.command(node, None), option);
    let ended = cluster.start_with(node, command);
    cluster.kill(node);
    ended.expect_err("it does not fit").to_string()
}

/// A supervisor starts a node that was killed again, as before: that must not make a second group.
#[test]
fn a_group_is_founded_once() -> Result<(), ProcessError> {
    let alone = Alone::new();
    let folder = alone.folder.path().join("stored");
    let folder = folder.to_str().expect("text");
    let found = ["--protocol", "gms3", "--found", "--data-dir", folder];
    assert_eq!(alone.told(&found, "quit\n").code, 0);
    let again = alone.told(&found, "quit\n");
    assert_refused(&again, 2, &["stored/founded", "has founded its group already", "--contact"]);

    let mut cluster = Cluster::new(Plan::new(PROGRAM, built_in()["gms3"], 2))?;
    let [n0, n1] = [0, 1].map(NodeId);
    let found_or_join = |cluster: &Cluster| {
        let mut command = cluster.command(n0, None);
        command.args(["--contact", "n1"]);
        command
    };
    let founder = cluster.start_with(n0, found_or_join(&cluster))?;
    cluster.start(n1, Some(n0))?;
    let joined = |line: &Line| (line.said == Notice::Joined).then_some(());
    cluster.node(n1)?.wait(0, LONG, joined)?;
    assert!(!founder.lines(0).iter().any(|line| line.said == Notice::Joined));
    cluster.kill(n0);
    let restarted = cluster.start_with(n0, found_or_join(&cluster))?;
    let first = restarted.lines(0).first().map(|line| line.said.clone());
    assert_eq!(first, Some(Notice::Waiting { contacts: vec![n1] }));
    restarted.wait(0, LONG, joined)
}

#[test]
fn a_node_that_differs_from_the_others_does_not_start_and_says_why() -> Result<(), ProcessError> {
    let mut cluster = Cluster::new(Plan::new(PROGRAM, built_in()["gen_leader"], 3))?;
    let [n0, n1, n2] = [0, 1, 2].map(NodeId);
    cluster.start(n0, None)?;
    cluster.start(n1, None)?;
    let folder = tempfile::tempdir().expect("a folder");
    let other = folder.path().join("other.key");
    assert_eq!(key(&other).code, 0);
    for (more, says) in [
        (&["--worker", "n1"] as &[&str], "its configuration is `"),
        (
            &["--peers", "n7=127.0.0.1:9"],
            "its nodes are n0, n1, n2, this node's are n0, n1, n2, n7",
        ),
        (&["--key-file", other.to_str().expect("text")], "it has another key"),
    ] {
        let error = start_changed(&mut cluster, n2, more);
        assert!(error.contains(" does not fit: ") && error.contains(says), "{more:?}: {error}");
    }
    let other = start_changed(&mut cluster, n2, &["--protocol", "gen_leader_2007"]);
    assert!(
        other.contains("belongs to n2 of gen_leader, and this is n2 of gen_leader_2007"),
        "{other}"
    );
    cluster.erase(n2)?;
    let other = start_changed(&mut cluster, n2, &["--protocol", "gen_leader_2007"]);
    assert!(
        other.contains("its protocol is `gen_leader`, this node's is `gen_leader_2007`"),
        "{other}"
    );
    cluster.erase(n2)?;
    let other = start_changed(&mut cluster, n2, &["--cluster", "blue"]);
    assert!(other.contains("its cluster is ``, this node's is `blue`"), "{other}");
    cluster.erase(n2)?;
    cluster.start(n2, None).map(|_| ())
}

/// Alone, it would lead, and nobody could join it.
#[test]
fn a_node_that_listens_where_it_is_not_listed_does_not_start() {
    let alone = Alone::new();
    let elsewhere = ["--protocol", "gen_leader", "--listen", "127.0.0.1:0"];
    let says = format!("this node is listed at {} and does not answer there: ", alone.place);
    assert_refused(&alone.told(&elsewhere, ""), 1, &[&says, "refused"]);
    let unchecked = [&elsewhere as &[&str], &["--unchecked-address"]].concat();
    assert_eq!(alone.told(&unchecked, "quit\n").code, 0);
}

/// The line of the list of public keys for a node whose secret key this makes.
fn node_key(folder: &Path, node: NodeId) -> String {
    let mut command = Command::new(PROGRAM);
    command.args(["key", "--node", &node.to_string()]).arg(folder.join(node.to_string()));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let made = answer(command.spawn().expect("it runs"));
    assert_eq!((made.code, made.err.as_str()), (0, ""));
    let again = answer(command.spawn().expect("it runs"));
    assert_refused(&again, 2, &["already exists"]);
    let shown = answer(command.arg("--public").spawn().expect("it runs"));
    assert_eq!((shown.code, &shown.out), (0, &made.out));
    made.out
}

/// The key of the cluster alone lets any member pass for any other one.
#[test]
fn each_node_proves_which_one_it_is() -> Result<(), ProcessError> {
    let mut cluster = Cluster::new(Plan::new(PROGRAM, built_in()["gen_leader"], 3))?;
    let nodes @ [n0, n1, n2] = [0, 1, 2].map(NodeId);
    let folder = tempfile::tempdir().expect("a folder");
    let lines = nodes.map(|node| node_key(folder.path(), node));
    let [list, forged] = ["list", "forged"].map(|name| folder.path().join(name));
    fs::write(&list, lines.concat()).expect("a file");
    // n1 and n2 have changed places.
    let as_n1 = lines[2].replace("n2=", "n1=");
    let as_n2 = lines[1].replace("n1=", "n2=");
    fs::write(&forged, [&lines[0], &as_n1, &as_n2].map(String::as_str).concat()).expect("a file");
    let command = |cluster: &Cluster, node, key: NodeId, list: &Path| {
        let mut command = cluster.command(node, None);
        command.arg("--node-key").arg(folder.path().join(key.to_string()));
        command.arg("--public-keys").arg(list);
        command
    };
    for node in [n0, n1] {
        cluster.start_with(node, command(&cluster, node, node, &list))?;
    }
    let mut start = |key, list: Option<&PathBuf>| {
        let command = match list {
            Some(list) => command(&cluster, n2, key, list),
            None => cluster.command(n2, None),
        };
        let started = cluster.start_with(n2, command).map(|_| ());
        cluster.kill(n2);
        started.map_err(|error| error.to_string())
    };
    for (key, list, says) in [
        (n1, Some(&list), "listed for n2 does not belong to the key of this node"),
        (n1, Some(&forged), "the public key of n2 that is listed here is another one"),
        (n2, None, "it says that it uses node keys, and this node does not"),
    ] {
        let refused = start(key, list);
        assert!(refused.as_ref().is_err_and(|error| error.contains(says)), "{refused:?}");
    }
    start(n2, Some(&list)).map_err(ProcessError::new)
}

#[test]
fn a_node_that_its_protocol_ends_ends_with_1() -> Result<(), ProcessError> {
    let timeout = Duration::from_secs(10);
    let mut cluster = Cluster::new(Plan { timeout, ..Plan::new(PROGRAM, built_in()["gms3"], 3) })?;
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
