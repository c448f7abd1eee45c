//! The page on which a run is chosen step by step: what it answers, without a browser. The outlook behind it, too.

use interrex_models::{
    claim::property::Kind,
    evidence::{
        known::KnownTrace,
        outlook::{Outlook, Stray},
        replay::{Mode, Outcome},
        trace::Trace,
    },
    protocol::registry::{Known, built_in},
    verdict::scenario::Scenario,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

fn below(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

fn joined_3() -> Scenario {
    let path = below("scenarios/gms3/joined-3.toml");
    Scenario::read(built_in(), &path, "gms3/joined-3").expect("a scenario")
}

fn outlook(scenario: &Scenario, names: &[&str]) -> Result<Outlook, Stray> {
    let properties: Vec<_> = scenario.properties.iter().map(|(property, _)| *property).collect();
    let names: Vec<_> = names.iter().map(|name| (*name).to_string()).collect();
    scenario.harness().outlook(&properties, &names)
}

#[test]
fn what_can_happen_is_what_is_not_refused() {
    let scenario = joined_3();
    let at = outlook(&scenario, &["command at n1", "crash n0"]).expect("a run");
    let ways: Vec<_> = at.ways.iter().map(|way| way.action.as_str()).collect();
    assert!(ways.contains(&"deliver n0 → n1") && ways.contains(&"crash n2"), "{ways:?}");
    assert!(at.refused.iter().all(|it| !ways.contains(&it.action.as_str())));
    let reason = |action: &str| {
        let refused = at.refused.iter().find(|it| it.action == action);
        refused.map(|it| it.reason.as_str())
    };
    assert_eq!(reason("crash n0"), Some("n0 is not up"));
    assert_eq!(reason("deliver n1 → n2"), Some("the link from n1 to n2 is empty"));
    assert_eq!(reason("drop n0 → n1"), Some("the scenario has no budget for drops"));
    assert_eq!(reason("crash n2"), None);
    let left: Vec<_> = at.budgets.iter().map(|it| (it.left.0, it.given.0)).collect();
    assert_eq!(left, [(1, 2), (1, 2)]);
    assert!(!at.is_settled);
    let links: Vec<_> = at.links.iter().map(|it| (it.from.0, it.to.0)).collect();
    assert_eq!(links, [(0, 1), (0, 2)]);
}

#[test]
fn every_way_that_is_offered_leads_on() {
    let scenario = joined_3();
    let mut names: Vec<String> = vec![];
    // Breadth at each of some steps: the first way is taken, and every other one is possible.
    for _ in 0..8 {
        let run: Vec<_> = names.iter().map(String::as_str).collect();
        let at = outlook(&scenario, &run).expect("a run");
        for way in &at.ways {
            let longer: Vec<_> = run.iter().copied().chain([way.action.as_str()]).collect();
            let next = outlook(&scenario, &longer).expect("what is offered is possible");
            assert_eq!(next.steps.len(), longer.len());
        }
        let Some(first) = at.ways.first() else { break };
        names.push(first.action.clone());
    }
    assert!(names.len() > 4, "{names:?}");
}

#[test]
fn a_name_that_does_not_lead_on_is_reported_with_its_place() {
    let scenario = joined_3();
    let stray = outlook(&scenario, &["crash n0", "crash n0"]).expect_err("n0 is down");
    assert_eq!(stray.to_string(), "step 2, `crash n0`, is not possible: n0 is not up");
    let stray = outlook(&scenario, &["dance"]).expect_err("no action");
    assert_eq!(stray.to_string(), "step 1, `dance`, is not possible: no action is called so here");
}

/// Each known trace is followed by the names of its actions, and its property is violated at its end, livelocks included.
#[test]
fn the_outlook_from_the_end_of_each_known_trace_shows_its_violation() {
    let registry = built_in();
    let all = KnownTrace::read_all(&below("../traces")).expect("traces");
    let mut livelocks = 0;
    for KnownTrace { name, trace } in &all {
        let (known, property) = registry.of(trace).expect("a protocol");
        let harness = known.harness(&trace.environment);
        let replay = harness.replay(trace, property, Mode::Exact, None);
        let names: Vec<_> = replay.steps.iter().map(|step| step.action.clone()).collect();
        let at = harness.outlook(&[property], &names).expect("a run");
        assert_eq!(at.properties[0].violated, Some(trace.steps.len()), "{name}");
        assert!(!at.properties[0].complaints.is_empty(), "{name}");
        let again = at.trace(known.name(), &trace.scenario, &trace.environment, &at.properties[0]);
        assert_eq!(again.steps, trace.steps, "{name}");
        assert_eq!((again.violates, again.loop_from.is_some()), (true, trace.loop_from.is_some()));
        let outcome = harness.replay(&again, property, Mode::Exact, None).outcome;
        assert!(matches!(outcome, Outcome::Violated { .. }), "{name}: {outcome:?}");
        livelocks += usize::from(property.kind == Kind::Fair);
    }
    assert!(all.len() > 90 && livelocks > 0, "{} {livelocks}", all.len());
}

/// The server, as a user starts it. It ends with the value.
struct Server {
    process: Child,
    host: String,
    line: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_interrex"));
        command.arg("explore").args(arguments).stdout(Stdio::piped());
        let mut process = command.spawn().expect("it starts");
        let mut line = String::new();
        let out = process.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let rest = line.trim_end().strip_prefix("http://").expect("an address");
        let host = rest.split('/').next().unwrap_or_default().to_string();
        Self { process, host, line }
    }

    /// Status, head and body of an answer.
    fn ask(&self, request: &str, host: &str, body: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.host).expect("it listens");
        let length = body.len();
        write!(
            stream,
            "{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
        (status, head.into(), body.into())
    }

    fn get(&self, path: &str) -> (u16, String, String) {
        self.ask(&format!("GET {path}"), &self.host, "")
    }

    fn post(&self, path: &str, asked: &Value) -> (u16, String, String) {
        self.ask(&format!("POST {path}"), &self.host, &asked.to_string())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn asked(about: Option<&str>, path: &[&str]) -> Value {
    json!({ "trace": null, "about": about, "path": path })
}

fn replayed(trace: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("saved.json");
    fs::write(&path, trace).expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_interrex"));
    command.arg("replay").arg(path).output().expect("it runs")
}

#[test]
fn a_view_shows_what_can_happen_and_a_saved_run_replays() {
    let server = Server::start(&["gms3/joined-3"]);
    let (status, head, page) = server.get("/");
    assert_eq!(status, 200);
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    assert!(page.contains("gms3/no-lost-message-validity.joined-3.json"));

    let path = ["command at n1", "crash n0", "deliver n0 → n1", "crash n2"];
    let (status, _, view) = server.post("/view", &asked(None, &path[..2]));
    assert_eq!(status, 200);
    assert!(view.contains(r#"data-do="deliver n0 → n1""#), "{view}");
    assert!(view.contains("n0 is not up") && view.contains("<svg"), "{view}");

    let (status, head, saved) = server.post("/trace", &asked(None, &path));
    assert_eq!(status, 200);
    let file = r#"filename="no-lost-message-validity.joined-3.json""#;
    assert!(head.contains(file), "{head}");
    let known = below("../traces/gms3/no-lost-message-validity.joined-3.json");
    let saved_trace = Trace::parse(&known, &saved).expect("a trace");
    assert!(Trace::read(&known).expect("a trace").has_run_of(&saved_trace));
    let output = replayed(&saved);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0));
    assert!(said.contains("no-lost-message-validity is violated after step 4"), "{said}");
}

/// A run without a violation is kept as one, and replays as one.
#[test]
fn a_saved_run_may_violate_nothing() {
    let server = Server::start(&["gms3/joined-3"]);
    for (about, says) in [
        ("single-leader", "single-leader is not violated in this run"),
        ("no-lost-message-validity", "no-lost-message-validity is not violated so far"),
    ] {
        let (_, _, saved) = server.post("/trace", &asked(Some(about), &["command at n1"]));
        assert!(saved.contains("\"violates\": false"), "{saved}");
        let output = replayed(&saved);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(0), "{said}");
        assert!(said.contains(says) && said.contains("recorded without a violation"), "{said}");
        // One that says it violates nothing must not.
        let claimed = saved.replace("  \"violates\": false,\n", "");
        assert_ne!(replayed(&claimed).status.code(), Some(0));
    }
    let path = ["command at n1", "crash n0", "deliver n0 → n1", "crash n2"];
    let (_, _, saved) = server.post("/trace", &asked(None, &path));
    let denied = saved.replace("  \"cause\"", "  \"violates\": false,\n  \"cause\"");
    assert_eq!(replayed(&denied).status.code(), Some(1));
}

#[test]
fn what_cannot_be_answered_is_refused_in_a_sentence() {
    let server = Server::start(&["gms3/joined-3"]);
    let (status, _, said) = server.post("/view", &asked(None, &["crash n0", "crash n0"]));
    assert_eq!((status, said.as_str()), (400, "step 2, `crash n0`, is not possible: n0 is not up"));
    let (status, _, said) = server.post("/view", &asked(Some("nothing"), &[]));
    assert_eq!((status, said.as_str()), (400, "there is no property nothing here"));
    let (status, _, said) = server.get("/known?trace=none.json");
    assert_eq!((status, said.as_str()), (400, "there is no known trace none.json"));
    let port = server.host.split(':').nth(1).expect("a port");
    for host in ["evil.example", &format!("evil.example:{port}"), "127.0.0.1"] {
        for request in ["GET /", "POST /view", "POST /trace", "GET /known?trace=a"] {
            let (status, _, said) = server.ask(request, host, &asked(None, &[]).to_string());
            assert_eq!(status, 403, "{host} {request}");
            assert!(said.contains(&server.host), "{said}");
        }
    }
}

/// A trace of another environment, too: the run is then in that one.
#[test]
fn each_known_trace_of_the_protocol_can_be_jumped_to() {
    let server = Server::start(&["gms3/joined-3"]);
    let (status, head, _) = server.get("/known?trace=gms3/view-order.joining-4.json");
    assert_eq!(status, 303);
    let fragment =
        head.lines().find_map(|line| line.strip_prefix("location: /#")).expect("it leads");
    let mut path = vec![];
    let mut environment = None;
    for (key, value) in form_urlencoded::parse(fragment.as_bytes()) {
        match &*key {
            "do" => path.push(value.into_owned()),
            "in" => environment = Some(value.into_owned()),
            _ => assert_eq!((&*key, &*value), ("about", "view-order")),
        }
    }
    assert_eq!(environment.as_deref(), Some("gms3/view-order.joining-4.json"));
    let asked = json!({ "trace": environment, "about": "view-order", "path": path });
    let (status, _, view) = server.post("/view", &asked);
    assert_eq!(status, 200, "{view}");
    assert!(view.contains("gms3/joining-4") && view.contains("violated after step"), "{view}");
}

#[test]
fn a_trace_file_shows_where_its_run_ends_and_a_described_scenario_its_beginning() {
    let file = below("../traces/gms3/no-lost-message-validity.joined-3.json");
    let server = Server::start(&[file.to_str().expect("text")]);
    let path = server.line.trim_end().split_once(&server.host).expect("the host").1;
    let (status, head, _) = server.get(path);
    assert_eq!(status, 303);
    assert!(head.contains("location: /#do=command+at+n1&"), "{head}");

    let line = "--protocol gen_leader --nodes 3 --start idle --budget crashes=1";
    let server = Server::start(&line.split(' ').collect::<Vec<_>>());
    let (status, _, view) = server.post("/view", &asked(None, &["start n1"]));
    assert_eq!(status, 200, "{view}");
    assert!(view.contains("n1 has been started before"), "{view}");
}

#[test]
fn it_ends_with_0_on_ctrl_c() {
    let mut server = Server::start(&["gms3/joined-3"]);
    let pid = server.process.id().to_string();
    Command::new("kill").args(["-INT", &pid]).status().expect("it is sent");
    assert_eq!(server.process.wait().expect("it ends").code(), Some(0));
}

#[test]
fn what_names_no_single_scenario_is_refused() {
    let refused = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_interrex"));
        let output = command.arg("explore").args(arguments).output().expect("it runs");
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).expect("text")
    };
    assert!(refused(&["gms3/joind-3"]).contains("did you mean `gms3/joined-3`?"));
    assert!(refused(&["gms3/joined"]).contains("scenarios are chosen, such as gms3/"));
    assert!(refused(&["no-such-file.json"]).contains("no-such-file.json"));
    let known: Known = built_in()["gms3"];
    assert!(refused(&["--protocol", known.name()]).contains("--nodes"));
}
