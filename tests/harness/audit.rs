//! Everything is run twice: machines that consult nothing but their input do the same, the others are
//! found out.

mod cheat;

use assert_cmd::Command;
use cheat::{Cheat, Step, garble};
use interrex::{
    gms3::{State, Timer},
    machine::{Effect, NodeId},
};
use interrex_models::{
    claim::property,
    explore::{
        audit::{Audit, Lives, audit, audit_run, recompute},
        search::{Limits, search},
    },
    model::{
        action::{Action, Choice},
        environment::{Budget, Environment, Start, Timers},
        view::Digests,
        world::Rules,
    },
    protocol::{
        Protocol,
        registry::{built_in, gms3},
    },
    verdict::{outcome::Comparison, scenario::Scenario},
};
use serde_json::Value;
use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
    num::NonZeroU64,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime},
};

fn scenario(budgets: &[(Budget, u32)]) -> Scenario {
    let builder =
        Scenario::builder().nodes(2).start(Start::Joined).property(&property::NO_CREATION);
    let builder =
        budgets.iter().fold(builder, |builder, (budget, times)| builder.budget(*budget, *times));
    builder.build().expect("it fits")
}

fn environment() -> Environment {
    scenario(&[(Budget::Commands, 2), (Budget::Crashes, 1)]).environment
}

fn audited<P: Protocol>(protocol: P) -> Audit {
    audit(&Rules::new(protocol, environment()), Limits::default(), &mut |_| {})
}

#[test]
fn a_machine_that_counts_its_steps_is_found_out_at_the_first_that_shows_it() {
    let audit =
        audited(Cheat::by(|cheat, step| garble(step, cheat.steps.fetch_add(1, Relaxed).into())));
    assert_eq!(audit.comparison(), Comparison::Differs);
    let difference = audit.difference.expect("it differs");
    assert_eq!((difference.run.len(), difference.action.as_str()), (0, "command at n0"));
    assert_eq!(difference.contrasts.len(), 1);
    let contrast = difference.contrasts[0].to_string();
    let first = "effects: [send(to: n1, message: msg(number: 2, message: n0.0)), \
        observe(delivered(number: 2, message: n0.0))] the first time, ";
    assert!(contrast.starts_with(first), "{contrast}");
}

#[test]
fn the_run_to_the_step_that_differs_is_told() {
    // Only followers' deliveries are garbled.
    let audit = audited(Cheat::by(|cheat, (state, effects)| match state {
        State::Follower(_) => garble((state, effects), cheat.steps.fetch_add(1, Relaxed).into()),
        State::Leader(_) | State::Joining(_) => (state, effects),
    }));
    let difference = audit.difference.expect("it differs");
    assert_eq!(difference.run, ["command at n0"]);
    assert_eq!(difference.action, "deliver n0 → n1");
}

/// They work in the model, whose first lives are all 0, and never over TCP.
#[test]
fn machines_that_make_up_an_address_are_found_out_with_the_step_and_the_effect() {
    let recipients = audited(Cheat::by(|_, (state, mut effects)| {
        for effect in &mut effects {
            if let Effect::Send { to, .. } = effect {
                *to = to.node().first_life().into();
            }
        }
        (state, effects)
    }));
    let difference = recipients.difference.expect("it differs");
    assert_eq!((difference.run.len(), difference.action.as_str()), (0, "command at n0"));
    let contrasts: Vec<_> = difference.contrasts.iter().map(ToString::to_string).collect();
    assert_eq!(
        contrasts,
        ["effects, where lives begin elsewhere: \
          [send(to: n1#2000000014, message: msg(number: 2, message: n0.0)), \
          observe(delivered(number: 2, message: n0.0))] the first time, \
          [send(to: n1, message: msg(number: 2, message: n0.0)), \
          observe(delivered(number: 2, message: n0.0))] the second"]
    );

    let remembered = audited(Cheat::by(|_, (mut state, effects)| {
        if let State::Follower(follower) = &mut state {
            follower.leader = follower.leader.node.first_life();
        }
        (state, effects)
    }));
    let difference = remembered.difference.expect("it differs");
    let what: Vec<_> = difference.contrasts.iter().map(|contrast| &contrast.what).collect();
    assert_eq!(what, ["state.follower.leader, where lives begin elsewhere"]);
}

/// A group without that safeguard names a process by its node, which is the mistake that it is there for.
#[test]
fn a_group_whose_processes_are_named_by_their_nodes_is_found_out() {
    let environment = Environment::new(
        2,
        Start::Joining,
        Timers::Late,
        &[(Budget::Starts, 1), (Budget::Timeouts, 1)].into(),
    );
    let environment = environment.expect("it fits");
    for (name, expected) in
        [("group", Comparison::AsExpected), ("group without incarnation", Comparison::Differs)]
    {
        let known = built_in()[name];
        let audit = known.harness(&environment).audit(Limits::default(), &mut |_| {});
        assert_eq!(audit.comparison(), expected, "{name}");
    }
}

thread_local! {
    static STEPS: Cell<u64> = const { Cell::new(0) };
}

#[test]
fn what_a_machine_remembers_elsewhere_chance_addresses_and_the_clock_are_found_out() {
    let cheats: [fn(&Cheat, Step) -> Step; 4] = [
        |_, step| garble(step, STEPS.replace(STEPS.get() + 1)),
        |_, step| garble(step, RandomState::new().hash_one(0)),
        |_, step| garble(step, std::ptr::from_mut(Box::leak(Box::new(0_u8))).addr() as u64),
        |_, step| {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a date");
            garble(step, now.subsec_nanos().into())
        },
    ];
    for (nth, cheat) in cheats.into_iter().enumerate() {
        assert_eq!(audited(Cheat::by(cheat)).comparison(), Comparison::Differs, "{nth}");
    }
}

/// A world does not contain the duration of a timer.
#[test]
fn effects_that_leave_nothing_in_the_world_count_too() {
    let audit = audited(Cheat::by(|cheat, (state, mut effects)| {
        let after = Duration::from_millis(cheat.steps.fetch_add(1, Relaxed).into());
        effects.push(Effect::SetTimer { timer: Timer::Join, after });
        (state, effects)
    }));
    let contrasts = audit.difference.expect("it differs").contrasts;
    let what: Vec<_> = contrasts.iter().map(|contrast| contrast.what.as_str()).collect();
    assert_eq!(what, ["effects"]);
}

#[test]
fn a_group_that_begins_otherwise_is_found_out() {
    let cheat = Cheat { begins_otherwise: true, ..Cheat::by(|_, step| step) };
    let difference = audited(cheat).difference.expect("it differs");
    assert_eq!((difference.run.len(), difference.action.as_str()), (0, "the beginning"));
    assert_eq!(difference.contrasts[0].to_string(), "timers: [] the first time, [join] the second");
}

/// Without an audit: what a search needed is computed again.
#[test]
fn what_a_search_needed_can_be_computed_again() {
    let searched = |cheat: Cheat| {
        let rules = Arc::new(Rules::new(cheat, environment()));
        search(&rules, &[], None, Limits::default(), &mut |_| {});
        recompute(&rules, Lives::Same)
    };
    assert!(searched(Cheat::by(|_, step| step)).is_none());
    let counting = Cheat::by(|cheat, step| garble(step, cheat.steps.fetch_add(1, Relaxed).into()));
    let difference = searched(counting).expect("it differs");
    assert_eq!((difference.run.len(), difference.action.as_str()), (0, "command at n0"));
}

#[test]
fn a_protocol_that_commands_otherwise_is_found_out() {
    let cheat = Cheat { commands_otherwise: true, ..Cheat::by(|_, step| step) };
    let difference = audited(cheat).difference.expect("it differs");
    assert_eq!((difference.run.len(), difference.action.as_str()), (0, "a choice at n0"));
    let contrast = difference.contrasts[0].to_string();
    assert!(
        contrast.starts_with("command: event(command(mcast(n0.0))) the first time, "),
        "{contrast}"
    );
}

#[test]
fn a_single_run_is_compared_step_by_step() {
    let run = [Action::from(Choice::Command { node: NodeId(0) })];
    let honest = Rules::new(Cheat::by(|_, step| step), environment());
    let cheat = Rules::new(Cheat::by(|_, step| garble(step, 7)), environment());
    assert!(audit_run(&honest, &honest.anew(), &run).is_none());
    let difference = audit_run(&honest, &cheat, &run).expect("it differs");
    assert_eq!(difference.contrasts[0].what, "effects");
}

/// The pinned digest is the same on every machine. It changes with the protocol, or with the content that is digested.
#[test]
fn honest_machines_pass_and_the_digest_is_the_same_everywhere() {
    let audit = audited(gms3());
    assert!(audit.complete && audit.difference.is_none());
    assert_eq!((audit.states, audit.transitions), (115, 160));
    assert_eq!(audit.digest, "4eb673c9c07c6a80");
    // Through another machine that does the same.
    assert_eq!(audited(Cheat::by(|_, step| step)).digest, audit.digest);
}

#[test]
fn an_audit_visits_the_worlds_that_the_search_counts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let scenarios = Scenario::read_all(built_in(), &folder).expect("scenarios that can be read");
    for scenario in scenarios {
        let Some(states) = scenario.states.filter(|states| *states < 30_000) else { continue };
        let audit = scenario.harness().audit(Limits::default(), &mut |_| {});
        assert!(audit.complete && audit.difference.is_none(), "{}", scenario.name);
        assert_eq!(audit.states, states, "{}", scenario.name);
    }
}

#[test]
fn what_a_limit_leaves_is_compared() {
    let rules = Rules::new(gms3(), environment());
    let few = Limits { max_states: NonZeroU64::new(7), ..Limits::default() };
    let audit = audit(&rules, few, &mut |_| {});
    assert_eq!((audit.states, audit.complete), (7, false));
    assert_eq!(audit.comparison(), Comparison::Cut);
}

#[test]
fn a_run_has_a_digest_after_each_action() {
    let rules = Rules::new(gms3(), environment());
    let [ask, deliver] = [
        Action::from(Choice::Command { node: NodeId(0) }),
        Choice::Deliver { from: NodeId(0), to: NodeId(1) }.into(),
    ];
    let mut digests = Digests::new(&rules);
    let run = [ask.clone(), deliver.clone(), ask.clone()];
    let rolled = digests.run(&run).expect("it is possible");
    let again = rules.anew();
    assert_eq!(Digests::new(&again).run(&run), Ok(rolled.clone()));
    // It says something of the way, too.
    let other = digests.run(&[ask.clone(), ask, deliver.clone()]).expect("it is possible");
    assert_eq!(other[0], rolled[0]);
    assert_ne!(other[1..], rolled[1..]);
    let impossible = digests.run(&[deliver]).expect_err("nothing was sent");
    assert_eq!(impossible, "the link from n0 to n1 is empty");
}

#[test]
fn check_runs_everything_twice_and_prints_the_digest() {
    let check = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_interrex"));
        let output = command.arg("check").args(arguments).output().expect("it runs");
        let text = String::from_utf8(output.stdout).expect("it writes text");
        (output.status.code(), text)
    };
    let (code, out) = check(&["gms3/joined-3", "--twice"]);
    let line = out.lines().find(|line| line.starts_with("  twice: ")).expect("a line");
    assert!(
        line.starts_with("  twice: everything is the same: 4,335 worlds, 9,597 transitions in ")
    );
    let (_, digest) = line.rsplit_once("; digest ").expect("a digest");
    assert_eq!(code, Some(0));

    let (code, out) = check(&["gms3/joined-3", "--twice", "--format", "json", "--threads", "2"]);
    let report: Value = out.parse().expect("JSON");
    let audit = &report["audit"];
    assert_eq!((code, &audit["digest"]), (Some(0), &digest.into()));
    assert_eq!((&audit["states"], &audit["difference"]), (&4335.into(), &Value::Null));

    let (code, out) = check(&["gms3/joined-3", "--twice", "--max-worlds", "9"]);
    assert!(out.contains("cut short by a limit; what was compared is the same: 9 worlds"), "{out}");
    assert_eq!(code, Some(3));
}
