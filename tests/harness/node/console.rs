//! The commands of a running node: what answers them, when, and what does not wait for them.

use interrex::machine::NodeId;
use interrex_models::{
    protocol::registry::built_in,
    real::{
        failover::Group,
        line::{Line, Notice},
        processes::{Cluster, Plan, Process, ProcessError},
    },
};
use std::{
    io::Write,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_interrex");
const LONG: Duration = Duration::from_secs(20);
const N0: NodeId = NodeId(0);

fn plan(nodes: u16) -> Plan {
    Plan::new(PROGRAM, built_in()["group"], nodes)
}

fn node(group: &Group, node: u16) -> Arc<Process> {
    Arc::clone(group.cluster().node(NodeId(node)).expect("it runs"))
}

fn answer_to(number: u64) -> impl FnMut(&Line) -> Option<Notice> {
    move |line| (line.answers == Some(number)).then(|| line.said.clone())
}

/// Whoever waits for a majority can still be asked who is there.
#[test]
fn later_commands_do_not_wait_for_a_put_without_a_majority() -> Result<(), ProcessError> {
    let mut group = Group::form(plan(3))?;
    // At once: otherwise the two that are left go on as a group of two.
    for other in [1, 2] {
        node(&group, other).stop();
    }
    for other in [1, 2] {
        group.cluster_mut().kill(NodeId(other));
    }
    let alone = node(&group, 0);
    let (mark, began) = (alone.line_count(), Instant::now());
    let put = alone.send("put a b")?;
    alone.ask("members", LONG)?;
    assert!(began.elapsed() < Duration::from_secs(4), "it has waited: {:?}", began.elapsed());
    let printed = alone.lines(mark);
    assert!(printed.iter().all(|line| line.answers != Some(put)), "{printed:?}");
    let late = alone.wait(mark, LONG, answer_to(put))?;
    assert!(matches!(late, Notice::Error { .. }), "{late:?}");
    Ok(())
}

/// For people no number says which command an answer is for.
#[test]
fn a_late_answer_names_its_command() -> Result<(), ProcessError> {
    let mut group = Group::form(plan(2))?;
    for other in [0, 1] {
        group.cluster_mut().kill(NodeId(other));
    }
    let mut command = group.cluster().command(N0, None);
    // The last one counts.
    let mut text = std::process::Command::new(command.get_program());
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let json = arguments.windows(2).position(|two| two[0] == "--format").expect("an option");
    text.args(&arguments[..json]).args(&arguments[json + 2..]);
    command = text;
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it runs");
    let lines = b"put a b\nhandover\nmebers\ntasks\n";
    child.stdin.take().expect("a pipe").write_all(lines).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let out = String::from_utf8(output.stdout).expect("text");
    let at = |says: &str| {
        let found = out.lines().position(|line| line.contains(says));
        found.unwrap_or_else(|| panic!("{says:?} is not in {out}"))
    };
    let late = at("put a b: error: ");
    for sooner in ["did you mean `hand over`?", "did you mean `members`?", " tasks"] {
        assert!(at(sooner) < late, "{sooner}: {out}");
    }
    Ok(())
}

#[test]
fn a_departure_is_answered_when_it_has_happened() -> Result<(), ProcessError> {
    let group = Group::form(plan(3))?;
    let leader = group.agree(LONG)?;
    let old = Arc::clone(group.cluster().node(leader)?);
    for _ in 0..2 {
        if old.ask("hand over", LONG)? == Notice::Done {
            let Notice::Leader { leader: now } = old.ask("leader", LONG)? else {
                panic!("no answer")
            };
            assert!(now.is_some_and(|now| now.node != leader), "{now:?}");
        }
    }
    let says = Notice::Error { error: "this node does not lead".into() };
    assert_eq!(old.ask("hand over", LONG)?, says);

    let mark = old.line_count();
    let asked = old.send("leave")?;
    assert_eq!(old.ended(LONG)?.code(), Some(0));
    let lines = old.lines(mark);
    assert!(lines.iter().all(|line| line.answers != Some(asked)), "{lines:?}");
    let end = Notice::Ended { stopped: Some("left the group".into()) };
    assert_eq!(lines.last().map(|line| &line.said), Some(&end));
    Ok(())
}

/// There is nobody to hand over to, and nobody who would have what the last member has.
#[test]
fn the_only_member_neither_leaves_nor_hands_over() -> Result<(), ProcessError> {
    let mut cluster = Cluster::new(plan(2))?;
    let alone = cluster.start(N0, None)?;
    alone.wait(0, LONG, |line| matches!(line.said, Notice::View(_)).then_some(()))?;
    for line in ["hand over", "leave"] {
        let Notice::Error { error } = alone.ask(line, LONG)? else { panic!("it is done") };
        assert!(error.starts_with("this node is the only member: "), "{error}");
    }
    Ok(())
}

/// Before they are locked, nobody is waited for. The log is opened first.
#[test]
fn a_second_process_of_a_node_is_refused_before_anybody_is_waited_for() -> Result<(), ProcessError>
{
    let group = Group::form(plan(2))?;
    let mut command = group.cluster().command(NodeId(1), Some(N0));
    let second = command.args(["--listen", "127.0.0.1:0"]).output().expect("it runs");
    let [out, err] = [second.stdout, second.stderr].map(|it| String::from_utf8(it).expect("text"));
    assert_eq!((second.status.code(), out.as_str()), (Some(1), ""), "{err}");
    assert!(err.contains("n1.log cannot be written: another process writes to it"), "{err}");
    Ok(())
}
