//! A budget of bad input: scenarios and traces of the tree, mangled 100,000 times. Each is refused
//! clearly, or loaded as it is written and used; there is no panic, no hang and no silent default.
//!
//! They are the same every day, and some of those that load are searched or shrunk. Of 100,000 others, each
//! scenario is searched and more traces are shrunk, by
//! `cargo test --release -p interrex-models --test bad_input -- --ignored`. With `--nocapture` the slowest
//! case is shown. One that hangs ends the process, and what was read is kept in the folder for
//! temporary files.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "how long cases take is for people to see"
)]

use assert_cmd::Command;
use interrex_models::{
    evidence::{
        replay::{Mode, Outcome},
        trace::Trace,
    },
    explore::{
        coverage::{Reason, Unreachable},
        search::Limits,
    },
    io::file,
    model::environment::{Budget, Environment, Start, Timers, UNLIMITED},
    protocol::registry::built_in,
    verdict::{outcome::Expected, scenario::Scenario},
};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::{
    cell::Cell,
    collections::BTreeMap,
    env, fs,
    num::NonZeroU64,
    ops::Range,
    path::{Path, PathBuf},
    process,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};
use toml::Table;

/// The files that are mangled, and the parts of others that are mixed in.
struct Corpus {
    files: Vec<(PathBuf, Vec<u8>)>,
    /// Every text in quotes.
    texts: Vec<Vec<u8>>,
}

impl Corpus {
    fn scenarios() -> Self {
        Self::below("scenarios", "toml")
    }

    fn traces() -> Self {
        Self::below("../traces", "json")
    }

    fn below(folder: &str, extension: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let paths = file::files_below(&folder, extension).expect("a folder");
        let files = paths.into_iter().map(|path| {
            let content = fs::read(&path).expect("a file");
            (path, content)
        });
        let files: Vec<_> = files.collect();
        let texts = files.iter().flat_map(|(_, content)| {
            let tokens = Unit::Token.parts(content).into_iter().map(|token| &content[token]);
            tokens.filter(|token| token.starts_with(b"\"")).map(<[u8]>::to_vec)
        });
        let mut texts: Vec<_> = texts.collect();
        texts.sort();
        texts.dedup();
        Self { files, texts }
    }
}

/// The kinds of parts of a file.
#[derive(Clone, Copy, Debug)]
enum Unit {
    Byte,
    /// A word, a number, a text in quotes, or a sign.
    Token,
    /// The text between two commas, brackets or ends of lines.
    Piece,
    Line,
}

impl Unit {
    fn parts(self, content: &[u8]) -> Vec<Range<usize>> {
        let mut parts = vec![];
        let mut at = 0;
        while at < content.len() {
            let rest = &content[at..];
            let until = |ends: fn(&u8) -> bool| rest.iter().position(ends);
            let length = match (self, rest[0]) {
                (Self::Byte, _) => 1,
                (Self::Token, b'"') => {
                    rest[1..].iter().position(|byte| *byte == b'"').map_or(1, |end| end + 2)
                }
                (Self::Token, _) => until(|byte| !is_of_word(*byte)).unwrap_or(rest.len()).max(1),
                (Self::Piece, _) => {
                    until(|byte| b",{}[]\n".contains(byte)).unwrap_or(rest.len()).max(1)
                }
                (Self::Line, _) => until(|byte| *byte == b'\n').map_or(rest.len(), |end| end + 1),
            };
            parts.push(at..at + length);
            at += length;
        }
        let is_space =
            |part: &Range<usize>| content[part.clone()].iter().all(u8::is_ascii_whitespace);
        parts.retain(|part| matches!(self, Self::Byte) || !is_space(part));
        parts
    }
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.#@+-".contains(&byte)
}

/// One way to spoil a file.
#[derive(Clone, Debug)]
enum Mangle {
    Delete(Unit, Index),
    /// With a comma between pieces, so that it may be a key that is there twice.
    Duplicate(Unit, Index),
    Swap(Unit, Index, Index),
    /// A part takes the place of another.
    Replace(Unit, Index, Index),
    Insert(Index, Vec<u8>),
    Flip(Index, u8),
    Truncate(Index),
    /// Goes on as another file does after that place.
    Splice(Index, Index, Index),
    /// Another number stands where one was.
    Number(Index, &'static str),
    /// Another text of the tree stands where one was.
    Text(Index, Index),
    /// Something else stands where a word or a text was.
    Value(Index, &'static str),
    Nest(Index, usize, &'static str),
}

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "5",
    "8",
    "12",
    "13",
    "31",
    "32",
    "33",
    "254",
    "255",
    "256",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "-0",
    "1e400",
    "1.5",
    "1e3",
    "1.0",
    "01",
    "+1",
    "0x10",
    "1_0",
    "nan",
    "inf",
    "1979-05-27",
    "8.98846567431158e307",
];

const VALUES: &[&str] = &[
    "null",
    "true",
    "[]",
    "{}",
    "\"\"",
    "\"n40\"",
    "\"n01\"",
    "\"n+1\"",
    "\"n1#0\"",
    "\"n1#4294967295\"",
    "\"n1#4294967296\"",
    "\"@n1\"",
    "\"n65535\"",
    "\"\\u001b[2J\"",
    "\"a\\nb\"",
    "\"unlimited\"",
    "\"a at line 1\"",
    "'''",
    "\"heal\"",
    "{\"heal\":null}",
    "[\"n1\",\"n2\"]",
    "{ violated = 0 }",
    "{ a = 1 }",
    "\"\u{202e}\"",
];

const BYTES: &[&[u8]] = &[
    b"\xff",
    b"\xc3",
    b"\0",
    b"\x1b[31m",
    b"\r",
    b"\xe2\x80\xa8",
    b"\xef\xbb\xbf",
    b"\"",
    b"\\",
    b",",
    b"{",
    b"}",
    b"[",
    b"]",
    b"=",
    b"#",
    b"\n",
    b".",
    b"'''",
    b"9",
    b"x",
];

fn mangle() -> impl Strategy<Value = Mangle> {
    let at = any::<Index>;
    let unit = || select(vec![Unit::Byte, Unit::Token, Unit::Token, Unit::Piece, Unit::Line]);
    let openings = vec!["[", "{\"a\":", "{ a = ", "a.", "[[", "("];
    prop_oneof![
        2 => (unit(), at()).prop_map(|(unit, at)| Mangle::Delete(unit, at)),
        2 => (unit(), at()).prop_map(|(unit, at)| Mangle::Duplicate(unit, at)),
        2 => (unit(), at(), at()).prop_map(|(unit, a, b)| Mangle::Swap(unit, a, b)),
        3 => (unit(), at(), at()).prop_map(|(unit, a, b)| Mangle::Replace(unit, a, b)),
        1 => (at(), vec(any::<u8>(), 1..4)).prop_map(|(at, bytes)| Mangle::Insert(at, bytes)),
        1 => (at(), select(BYTES)).prop_map(|(at, bytes)| Mangle::Insert(at, bytes.to_vec())),
        1 => (at(), 0..8_u8).prop_map(|(at, bit)| Mangle::Flip(at, bit)),
        1 => at().prop_map(Mangle::Truncate),
        1 => (at(), at(), at()).prop_map(|(file, from, to)| Mangle::Splice(file, from, to)),
        8 => (at(), select(NUMBERS)).prop_map(|(at, number)| Mangle::Number(at, number)),
        6 => (at(), at()).prop_map(|(at, text)| Mangle::Text(at, text)),
        4 => (at(), select(VALUES)).prop_map(|(at, value)| Mangle::Value(at, value)),
        1 => (at(), 1..300_usize, select(openings)).prop_map(|(at, depth, open)| Mangle::Nest(at, depth, open)),
    ]
}

impl Mangle {
    fn apply(&self, corpus: &Corpus, mut content: Vec<u8>) -> Vec<u8> {
        if content.is_empty() {
            return content;
        }
        let pick = |unit: Unit, at: &Index, content: &[u8]| {
            let parts = unit.parts(content);
            if parts.is_empty() { 0..0 } else { at.get(&parts).clone() }
        };
        let pick_token = |at: &Index, wanted: fn(&[u8]) -> bool| {
            let mut parts = Unit::Token.parts(&content);
            parts.retain(|part| wanted(&content[part.clone()]));
            if parts.is_empty() { 0..0 } else { at.get(&parts).clone() }
        };
        match self {
            Self::Delete(unit, at) => {
                content.drain(pick(*unit, at, &content));
            }
            Self::Duplicate(unit, at) => {
                let part = pick(*unit, at, &content);
                let mut copy = content[part.clone()].to_vec();
                if matches!(unit, Unit::Piece) {
                    copy.push(b',');
                }
                content.splice(part.start..part.start, copy);
            }
            Self::Swap(unit, a, b) => {
                let [a, b] = [a, b].map(|at| pick(*unit, at, &content));
                let (a, b) = if a.start <= b.start { (a, b) } else { (b, a) };
                if a.end <= b.start {
                    let (first, second) =
                        (content[a.clone()].to_vec(), content[b.clone()].to_vec());
                    content.splice(b, first);
                    content.splice(a, second);
                }
            }
            Self::Replace(unit, a, b) => {
                let instead = content[pick(*unit, b, &content)].to_vec();
                content.splice(pick(*unit, a, &content), instead);
            }
            Self::Insert(at, bytes) => {
                let at = at.index(content.len());
                content.splice(at..at, bytes.iter().copied());
            }
            Self::Flip(at, bit) => {
                let at = at.index(content.len());
                content[at] ^= 1 << bit;
            }
            Self::Truncate(at) => content.truncate(at.index(content.len())),
            Self::Splice(file, from, to) => {
                let (_, other) = file.get(&corpus.files);
                content.truncate(pick(Unit::Line, to, &content).end);
                content.extend_from_slice(&other[pick(Unit::Line, from, other).start..]);
            }
            Self::Number(at, number) => {
                let part = pick_token(at, |token| token[0].is_ascii_digit());
                content.splice(part, number.bytes());
            }
            Self::Text(at, text) => {
                let part = pick_token(at, |token| token[0] == b'"');
                content.splice(part, text.get(&corpus.texts).iter().copied());
            }
            Self::Value(at, value) => {
                let part = pick_token(at, |token| is_of_word(token[0]) || token[0] == b'"');
                content.splice(part, value.bytes());
            }
            Self::Nest(at, depth, opening) => {
                let at = pick(Unit::Token, at, &content).start;
                content.splice(at..at, opening.repeat(*depth).into_bytes());
            }
        }
        content
    }
}

/// When a case began, and what is read in it.
type Now = Option<(Instant, Vec<u8>)>;

/// Tells of a case that takes too long: there is no other way out of one that hangs.
struct Watch {
    now: Arc<Mutex<Now>>,
    began: Instant,
    slowest: Cell<Duration>,
    slow: Cell<Vec<u8>>,
}

impl Watch {
    const MOST: Duration = Duration::from_secs(20);

    fn new() -> Self {
        let now = Arc::new(Mutex::new(Now::None));
        let watched = Arc::downgrade(&now);
        thread::spawn(move || {
            while let Some(now) = watched.upgrade() {
                if let Some((since, content)) = &*now.lock().expect("nobody panics holding it")
                    && since.elapsed() > Self::MOST
                {
                    let path = env::temp_dir().join("interrex-bad-input");
                    let _ = fs::write(&path, content);
                    eprintln!("a case takes longer than {:?}: {}", Self::MOST, path.display());
                    process::exit(101);
                }
                drop(now);
                thread::sleep(Duration::from_millis(200));
            }
        });
        let (slowest, slow) = (Cell::default(), Cell::default());
        Self { now, began: Instant::now(), slowest, slow }
    }

    fn run(&self, content: &[u8], case: impl FnOnce()) {
        let set = |now| *self.now.lock().expect("nobody panics holding it") = now;
        let began = Instant::now();
        set(Some((began, content.to_vec())));
        case();
        set(None);
        if began.elapsed() > self.slowest.get() {
            self.slowest.set(began.elapsed());
            self.slow.set(content.to_vec());
        }
    }
}

/// So many mangled files, each handed over with the path of what it once was.
fn mangled(corpus: &Corpus, cases: u32, seed: u8, case: impl Fn(&Path, Vec<u8>)) {
    let config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::with_cases(cases)
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
    let strategy = (any::<Index>(), vec(mangle(), 1..4));
    let watch = Watch::new();
    let outcome = TestRunner::new_with_rng(config, rng).run(&strategy, |(file, mangles)| {
        let (path, content) = file.get(&corpus.files);
        let content =
            mangles.iter().fold(content.clone(), |content, mangle| mangle.apply(corpus, content));
        watch.run(&content.clone(), || case(path, content));
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    println!(
        "{cases} cases in {:?}; the slowest took {:?}:",
        watch.began.elapsed(),
        watch.slowest.get()
    );
    println!("{}", String::from_utf8_lossy(&watch.slow.take()));
}

/// It names the file, and the place if it is about one; it is a line, and does not steer a terminal.
fn assert_clear(path: &Path, error: &file::FileError, has_place: bool) {
    let text = error.to_string();
    let message = text.strip_prefix(&format!("{}:", path.display())).expect("the path comes first");
    assert!(!message.contains(char::is_control), "{message:?}");
    let mut parts = message.splitn(3, ':');
    let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok());
    let place = number().zip(number());
    assert!(place.is_some() || !has_place, "no place: {message}");
    let rest = if place.is_some() { parts.next().unwrap_or_default() } else { message };
    assert!(rest.trim().len() > 5, "{message:?}");
}

/// The counts of a test, so that it cannot pass because nothing was loaded.
#[derive(Debug, Default)]
struct Tally {
    loaded: Cell<u32>,
    used: Cell<u32>,
    violated: Cell<u32>,
    shrunk: Cell<u32>,
}

fn count(cell: &Cell<u32>) -> u32 {
    cell.set(cell.get() + 1);
    cell.get()
}

/// Without what is as if it were not written.
fn without_defaults(mut trace: Value) -> Value {
    let drop_if = |value: &mut Value, key: &str, default: Value| {
        if value.get(key) == Some(&default) {
            value.as_object_mut().expect("it has a key").shift_remove(key);
        }
    };
    drop_if(&mut trace, "loop_from", Value::Null);
    let environment = &mut trace["environment"];
    drop_if(environment, "bound", Value::Null);
    drop_if(environment, "workers", json!(0));
    drop_if(environment, "storage", json!("kept"));
    environment["budgets"].as_object_mut().expect("budgets").retain(|_, times| *times != json!(0));
    for step in trace["steps"].as_array_mut().expect("steps") {
        drop_if(step, "crash_after", Value::Null);
        for choice in ["start", "restart"] {
            if let Some(choice) = step["action"].get_mut(choice) {
                drop_if(choice, "contact", Value::Null);
            }
        }
    }
    trace
}

fn try_trace(path: &Path, content: Vec<u8>, tally: &Tally, most_shrunk: u32) {
    let text = file::text(path, content);
    let is_json = |text: &String| serde_json::from_str::<Value>(text).is_ok();
    let has_place = text.as_ref().is_ok_and(|text| !is_json(text));
    let read = text.and_then(|text| Ok((Trace::parse(path, &text)?, text)));
    let (trace, text) = match read {
        Ok(read) => read,
        Err(error) => return assert_clear(path, &error, has_place),
    };
    count(&tally.loaded);
    let again = Trace::parse(path, &trace.to_json()).expect("what is written can be read");
    assert_eq!(again, trace);
    let said = serde_json::from_str(&text).expect("it was read");
    assert_eq!(without_defaults(said), serde_json::to_value(&trace).expect("JSON"));

    let Some((known, property)) = built_in().named(&trace.protocol).ok().and_then(|known| {
        known.suits(&trace.environment).ok()?;
        Some((known, known.property(&trace.property).ok()?))
    }) else {
        return;
    };
    count(&tally.used);
    let [exact, schedule] = [Mode::Exact, Mode::Schedule]
        .map(|mode| known.harness(&trace.environment).replay(&trace, property, mode, None));
    for replay in [&exact, &schedule] {
        assert!(replay.steps.len() <= trace.steps.len());
    }
    if matches!(schedule.outcome, Outcome::Violated { .. })
        && count(&tally.violated).is_multiple_of(64)
        && tally.shrunk.get() < most_shrunk
    {
        count(&tally.shrunk);
        let shrunk = known.harness(&trace.environment).shrink(&trace, property);
        let left_out = schedule.steps.iter().any(|step| step.left_out.is_some());
        assert!(shrunk.is_some() || left_out || trace.environment.bound.is_some());
        assert!(shrunk.is_none_or(|shrunk| shrunk.steps.len() <= trace.steps.len()));
    }
}

fn times(times: u32) -> toml::Value {
    match times {
        UNLIMITED => "unlimited".into(),
        times => i64::from(times).into(),
    }
}

/// A scenario as a file that leaves nothing to defaults.
fn written(scenario: &Scenario) -> Table {
    let Environment { nodes, workers, start, timers, storage, budgets: left, bound } =
        scenario.environment.clone();
    let name = |value: Value| value.as_str().expect("a name").to_string();
    let value = |part: Result<Value, serde_json::Error>| name(part.expect("JSON"));
    let budgets = Budget::ALL
        .into_iter()
        .filter(|budget| *budget != Budget::Starts || start != Start::Joined);
    let budgets: Table = budgets.map(|budget| (budget.to_string(), times(left[budget]))).collect();
    let properties = scenario.properties.iter().map(|(property, expected)| {
        let expected = match expected.expect("an expectation") {
            Expected::Holds => "holds".into(),
            Expected::Unwitnessed => "unwitnessed".into(),
            Expected::Anything => "anything".into(),
            Expected::Violated(steps) => {
                let steps = i64::try_from(steps).expect("it is a number in TOML");
                Table::from_iter([("violated".into(), steps.into())]).into()
            }
        };
        (property.name.to_string(), expected)
    });
    let states = i64::try_from(scenario.states.expect("a count")).expect("it is a number in TOML");
    let expect = Table::from_iter([
        ("states".into(), states.into()),
        ("properties".into(), properties.collect::<Table>().into()),
    ]);
    let mut table = Table::from_iter([
        ("summary".into(), scenario.summary.clone().into()),
        ("protocol".into(), scenario.protocol.expect("a protocol").name().into()),
        ("nodes".into(), i64::from(nodes).into()),
        ("workers".into(), i64::from(workers).into()),
        ("start".into(), start.name().into()),
        ("timers".into(), value(serde_json::to_value(timers)).into()),
        ("storage".into(), value(serde_json::to_value(storage)).into()),
        ("nightly".into(), scenario.nightly.into()),
        ("budgets".into(), budgets.into()),
        ("expect".into(), expect.into()),
    ]);
    if let Some(bound) = bound {
        let most = i64::try_from(bound.most).expect("it is a number in TOML");
        table.insert("bound".into(), Table::from_iter([(bound.measure, most.into())]).into());
    }
    table
}

/// The content of a file, with the documented defaults.
fn with_defaults(mut said: Table) -> Table {
    let size = ["nodes", "workers"].map(|key| said.get(key).and_then(toml::Value::as_integer));
    let size: i64 = size.into_iter().flatten().sum();
    let start = said["start"].as_str().expect("a start").to_string();
    let budgets = said["budgets"].as_table_mut().expect("budgets");
    for budget in Budget::ALL {
        let default = match (start.as_str(), budget) {
            ("joined", Budget::Starts) => continue,
            ("joining", Budget::Starts) => size - 1,
            ("joining", Budget::Timeouts) | ("idle", Budget::Starts) => size,
            _ => 0,
        };
        budgets.entry(budget.to_string()).or_insert(default.into());
    }
    let defaults: [(_, toml::Value); 4] = [
        ("workers", 0.into()),
        ("timers", "late".into()),
        ("storage", "kept".into()),
        ("nightly", false.into()),
    ];
    for (key, default) in defaults {
        said.entry(key).or_insert(default);
    }
    said
}

fn try_scenario(path: &Path, content: Vec<u8>, tally: &Tally, one_in: u32) {
    let text = match file::text(path, content) {
        Ok(text) => text,
        Err(error) => return assert_clear(path, &error, false),
    };
    if path.ends_with(file::UNREACHABLE) {
        try_unreachable(path, &text);
    }
    let scenario = match Scenario::parse(built_in(), path, "a", &text) {
        Ok(scenario) => scenario,
        Err(error) => return assert_clear(path, &error, true),
    };
    count(&tally.loaded);
    match text.parse::<Table>() {
        Ok(said) => {
            assert_eq!(with_defaults(said), written(&scenario));
            let again = toml::to_string(&written(&scenario)).expect("TOML");
            let again = Scenario::parse(built_in(), path, "a", &again)
                .expect("what is written can be read");
            // On other lines.
            let again = Scenario { source: scenario.source.clone(), ..again };
            assert_eq!(format!("{again:?}"), format!("{scenario:?}"));
        }
        // A number that is read as it is, and that a table cannot hold.
        Err(error) => assert_eq!(error.message(), "u64 value was too large"),
    }

    if tally.loaded.get().is_multiple_of(one_in) {
        count(&tally.used);
        let limits = Limits { max_states: NonZeroU64::new(50), ..Limits::default() };
        let report = scenario.harness().check(&scenario, None, limits, &mut |_| {});
        assert_eq!(report.properties.len(), scenario.properties.len());
    }
}

fn try_unreachable(path: &Path, text: &str) {
    let folder = path.parent().and_then(Path::file_name).expect("it is in a folder");
    let known = built_in()[&*folder.to_string_lossy()];
    let environment = Environment::new(1, Start::Joined, Timers::Late, &BTreeMap::new());
    let environment = environment.expect("it fits");
    let coverage = known.harness(&environment).coverage();
    match Unreachable::parse(path, text, &coverage) {
        Ok(unreachable) => {
            let account = coverage.account(&unreachable);
            let said = text.parse::<Table>().expect("it was read");
            let reason = |reason: &toml::Value| {
                reason.as_str().or_else(|| reason["nightly"].as_str()).map(String::from)
            };
            let reasons: Vec<_> = said.values().filter_map(reason).collect();
            for entry in account.entries {
                assert!(entry.unreachable.is_none_or(|reason| match reason {
                    Reason::Never(reason) | Reason::ButNightly { nightly: reason } => {
                        reasons.contains(&reason)
                    }
                }));
            }
        }
        Err(error) => assert_clear(path, &error, true),
    }
}

fn scenarios(cases: u32, seed: u8, one_in: u32) {
    let tally = Tally::default();
    mangled(&Corpus::scenarios(), cases, seed, |path, content| {
        try_scenario(path, content, &tally, one_in);
    });
    println!("{tally:?}");
    // Otherwise next to nothing was tried.
    assert!(tally.loaded.get() > cases / 20, "{tally:?}");
}

fn traces(cases: u32, seed: u8, most_shrunk: u32) {
    let tally = Tally::default();
    mangled(&Corpus::traces(), cases, seed, |path, content| {
        try_trace(path, content, &tally, most_shrunk);
    });
    println!("{tally:?}");
    assert!(tally.used.get() > cases / 20, "{tally:?}");
}

#[test]
fn a_mangled_scenario_is_refused_clearly_or_loaded_as_it_is_written_and_searched() {
    scenarios(50_000, 1, 50);
}

#[test]
fn a_mangled_trace_is_refused_clearly_or_loaded_as_it_is_written_and_replayed() {
    [1, 3].into_par_iter().for_each(|seed| traces(25_000, seed, 3));
}

#[test]
#[ignore = "nightly: `cargo test --release -- --ignored`"]
fn fifty_thousand_mangled_scenarios_are_refused_clearly_or_loaded_and_searched() {
    scenarios(50_000, 2, 1);
}

#[test]
#[ignore = "nightly: `cargo test --release -- --ignored`"]
fn fifty_thousand_mangled_traces_are_refused_clearly_or_loaded_and_replayed() {
    traces(50_000, 2, 200);
}

/// The exit code of the command, after it has said why if that is 2.
fn interrex(arguments: &[&str], folder: &Path) -> i32 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_interrex"));
    let output = command.args(arguments).current_dir(folder).output().expect("it runs");
    let code = output.status.code().expect("it is not killed");
    let text = |bytes| String::from_utf8(bytes).expect("it writes text");
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!((0..=3).contains(&code) && !err.contains("panicked"), "{arguments:?}: {code}, {err}");
    let steers = |text: &str| text.contains(|sign: char| sign.is_control() && sign != '\n');
    assert!(!steers(&out) && !steers(&err), "{out:?} {err:?}");
    if code == 2 {
        assert!(out.is_empty() && err.starts_with("error: ") && err.lines().count() <= 3, "{err}");
    }
    code
}

#[test]
fn the_command_refuses_what_is_mangled_with_2_and_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = Cell::new(0);
    let path = folder.path().join("a.json");
    let drawings = ["diagram", "svg", "html", "mermaid"];
    let drawn = Cell::new(0);
    mangled(&Corpus::traces(), 60, 3, |_, content| {
        let read = file::text(&path, content.clone());
        let is_trace = read.and_then(|text| Trace::parse(&path, &text)).is_ok();
        fs::write(&path, content).expect("a file");
        let code = interrex(&["replay", "a.json"], folder.path());
        let drawing = drawings[drawn.replace(drawn.get() + 1) % drawings.len()];
        let schedule =
            interrex(&["replay", "--schedule-only", "--format", drawing, "a.json"], folder.path());
        assert_eq!(code == 2, schedule == 2);
        if !is_trace {
            count(&refused);
            assert_eq!(code, 2);
            assert_eq!(interrex(&["shrink", "a.json"], folder.path()), 2);
        }
    });
    let path = folder.path().join("a.toml");
    mangled(&Corpus::scenarios(), 60, 3, |_, content| {
        let read = file::text(&path, content.clone());
        let is_scenario =
            read.and_then(|text| Scenario::parse(built_in(), &path, "a", &text)).is_ok();
        fs::write(&path, content).expect("a file");
        let code = interrex(&["check", "--scenarios", ".", "--max-worlds", "50"], folder.path());
        if !is_scenario {
            count(&refused);
            assert_eq!(code, 2);
        }
    });
    assert!(refused.get() > 40, "{refused:?}");
}
