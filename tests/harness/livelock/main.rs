//! Runs that go round for ever: fair ones are found, as short lassos that can be replayed, and unfair
//! ones are none.

mod proof;
mod stage;

use interrex::machine::NodeId;
use interrex_models::{
    evidence::{
        draw::{chart::Chart, text},
        replay::{Mode, Outcome},
        trace::Trace,
    },
    explore::{search::Limits, stop::Stop},
    model::{
        action::Choice,
        environment::{Budget, Timers},
        world::{Rules, World},
    },
    verdict::outcome::Verdict,
};
use proptest::{collection::vec, prelude::*};
use stage::{Scene, actions};
use std::{num::NonZeroU64, time::Duration};

const PING_PONG: &str = "n0 command 0: send @n1 ping | n1 ping from n0: send @n0 pong
    | n0 pong from n1: send @n1 ping";

#[test]
fn a_fair_ping_pong_is_a_livelock() {
    let scene = Scene::of(2, PING_PONG);
    let trace = scene.lasso();
    assert_eq!(actions(&trace), ["command at n0", "deliver n0 → n1", "deliver n1 → n0"]);
    assert_eq!(trace.loop_from, Some(1));
}

#[test]
fn a_node_that_answers_itself_is_a_livelock() {
    let trace = Scene::of(1, "n0 command 0: send @n0 on | n0 on from n0: send @n0 on").lasso();
    assert_eq!(actions(&trace), ["command at n0", "deliver n0 → n0"]);
    assert_eq!(trace.loop_from, Some(1));
}

#[test]
fn a_run_that_settles_is_none() {
    assert!(Scene::of(2, "n0 command 0: send @n1 ping | n1 ping from n0: send @n0 pong").holds());
}

/// The ping-pong goes on only as long as the third node is not heard.
#[test]
fn a_ping_pong_that_a_waiting_signal_would_end_is_none() {
    let script = PING_PONG.replace("command 0: send", "command 0: send @n2 hear, send")
        + " | n2 hear from n0: send @n0 halt | n0 halt from n2: stop";
    assert!(Scene::of(3, &script).holds());
    // The control: a word that ends nothing. It is heard first.
    let ends_nothing = script.replace("n2: stop", "n2:");
    assert_eq!(Scene::of(3, &ends_nothing).lasso().loop_from, Some(3));
}

#[test]
fn a_ping_pong_that_an_armed_timer_would_end_is_none() {
    let script =
        PING_PONG.replace("command 0: send", "command 0: set 7, send") + " | n0 timeout 7: stop";
    for timers in [Timers::Any, Timers::Late] {
        assert!(Scene { timers, timeouts: 1, ..Scene::of(2, &script) }.holds());
        // The control: a timer that cannot fire keeps nothing from going on.
        let spent = Scene { timers, timeouts: 0, ..Scene::of(2, &script) };
        assert_eq!(spent.lasso().loop_from, Some(1));
    }
    // And one that ends nothing: it fires first.
    let ends_nothing = script.replace("timeout 7: stop", "timeout 7:");
    let scene = Scene { timers: Timers::Any, timeouts: 1, ..Scene::of(2, &ends_nothing) };
    assert_eq!(scene.lasso().loop_from, Some(2));
}

/// Both go on in one component: the loop that serves only one of them is not fair.
#[test]
fn a_loop_serves_all_who_wait() {
    let script = "n0 command 0: send @n1 a, send @n2 b
        | n1 a from n0: send @n0 a | n0 a from n1: send @n1 a
        | n2 b from n0: send @n0 b | n0 b from n2: send @n2 b";
    let trace = Scene::of(3, script).lasso();
    assert_eq!((trace.loop_from, trace.steps.len()), (Some(1), 5));
    let mut delivered = actions(&trace).split_off(1);
    delivered.sort();
    assert_eq!(
        delivered,
        ["deliver n0 → n1", "deliver n0 → n2", "deliver n1 → n0", "deliver n2 → n0"]
    );
}

/// The far component is fair and the near one is not: the self-message waits there.
#[test]
fn a_fair_component_after_an_unfair_one_is_found() {
    let script = format!(
        "{PING_PONG} | n0 command 0: send @n0 on, send @n1 ping | n0 on from n0: send @n1 ping"
    );
    let trace = Scene::of(2, &script).lasso();
    assert_eq!(actions(&trace)[..2], ["command at n0", "deliver n0 → n0"]);
    assert_eq!(trace.loop_from, Some(2));
}

#[test]
fn a_lasso_is_saved_and_replayed() {
    let scene = Scene::of(2, PING_PONG);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lasso.json");
    scene.lasso().save(&path).expect("it can be written");
    let trace = Trace::read(&path).expect("a trace");
    assert_eq!(trace, scene.lasso());
    for mode in [Mode::Exact, Mode::Schedule] {
        let replay = scene.replay(&trace, mode);
        let complaint = "the run comes back to where it was after step 1, and would go round for ever, \
            and no message or timer waits through the whole loop";
        let complaints = vec![complaint.into()];
        assert_eq!(replay.outcome, Outcome::Violated { after: 3, complaints });
        let begins: Vec<_> = replay.steps.iter().map(|step| step.begins_loop).collect();
        assert_eq!(begins, [false, true, false]);
    }
    let replay = scene.replay(&trace, Mode::Exact);
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("livelock", text::draw(&Chart::of(&replay)));
    });
}

#[test]
fn what_does_not_come_back_or_keeps_somebody_waiting_is_no_livelock() {
    let scene = Scene::of(2, PING_PONG);
    let trace = scene.lasso();
    let outcome = |trace: &Trace| scene.replay(trace, Mode::Exact).outcome;
    // It does not say that it comes back; it comes back to another world; it is cut short. Each time there is something left
    // to do, so it may still go round.
    assert_eq!(outcome(&Trace { loop_from: None, ..trace.clone() }), Outcome::Unsettled);
    assert_eq!(outcome(&Trace { loop_from: Some(0), ..trace.clone() }), Outcome::Unsettled);
    let short = Trace { steps: trace.steps[..2].to_vec(), ..trace.clone() };
    assert_eq!(outcome(&short), Outcome::Unsettled);
    // A node waits all around.
    let script = PING_PONG.replace("command 0: send", "command 0: send @n0 on, send");
    let waits = Scene::of(2, &script).replay(&trace, Mode::Schedule);
    assert_eq!(waits.outcome, Outcome::Unsettled);
    // A step is not possible any more.
    let ends = PING_PONG.replace("send @n0 pong", "stop");
    let ended = Scene::of(2, &ends).replay(&trace, Mode::Schedule);
    assert_eq!(ended.outcome, Outcome::NotReproduced);
}

#[test]
fn a_loop_without_a_step_is_no_trace() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lasso.json");
    let trace = Trace { loop_from: Some(3), ..Scene::of(2, PING_PONG).lasso() };
    trace.save(&path).expect("it can be written");
    let error = Trace::read(&path).expect_err("nothing goes round").to_string();
    assert!(error.ends_with("loop_from 3: there are 3 steps"), "{error}");
}

#[test]
fn a_search_for_livelocks_that_is_cut_short_never_says_that_there_are_none() {
    let scene = Scene::of(2, PING_PONG);
    let most = |states| Limits { max_states: NonZeroU64::new(states), ..Limits::default() };
    let late = Limits { stop: Stop::after(Duration::ZERO), ..Limits::default() };
    for limits in [most(1), late] {
        assert_eq!(scene.check(limits).properties[0].verdict, Verdict::Unknown);
    }
    // All worlds: before the command, and two on each side of it.
    let whole = scene.check(most(scene.check(Limits::default()).states));
    assert_eq!((whole.complete, whole.properties[0].steps), (true, Some(3)));
}

/// An effect, or none, for each thing that can happen to three puppets.
fn random_script() -> impl Strategy<Value = String> {
    let send = (0..3, "[ab]").prop_map(|(to, message)| format!("send @n{to} {message}"));
    let send = send.boxed();
    let one = prop_oneof![
        5 => send.clone(),
        1 => Just(String::new()),
        1 => Just("stop".into()),
        1 => Just("set 7".into()),
    ];
    let rows = (0..3).flat_map(|me| {
        let signals =
            (0..3).flat_map(move |from| ["a", "b"].map(|m| format!("n{me} {m} from n{from}")));
        signals.chain([format!("n{me} timeout 7")])
    });
    let rows: Vec<String> = rows.collect();
    let commands = vec((0..3, prop_oneof![send.clone(), Just("set 7".into())]), 1..4);
    (vec(one, rows.len()), commands).prop_map(move |(effects, commands)| {
        let row = |(event, does): (&String, &String)| format!("{event}: {does}");
        let mut script: Vec<_> = rows.iter().zip(&effects).map(row).collect();
        // Those of one node at once, so that it has a single first command.
        for node in 0..3 {
            let own = commands.iter().filter(|(of, _)| *of == node).map(|(_, does)| does.clone());
            let own: Vec<_> = own.collect();
            if !own.is_empty() {
                script.push(format!("n{node} command 0: {}", own.join(", ")));
            }
        }
        script.join(" | ")
    })
}

/// The steps to the nearest world through which a fair run can go round for ever, by what the words
/// say: whatever reaches each other is a component, and who waits in all of it is looked up. None if
/// there is no such world; an error if there are too many worlds to look at.
fn nearest(scene: &Scene<'_>) -> Result<Option<usize>, ()> {
    let rules = Rules::new(scene.puppet(), scene.environment());
    let (mut worlds, mut edges, mut distances) = (vec![rules.initial()], vec![], vec![0]);
    for from in 0.. {
        let Some(world) = worlds.get(from).cloned() else { break };
        let mut actions = vec![];
        rules.enabled(&world, &mut actions);
        for enabled in actions {
            let next = rules.follow(&world, &enabled);
            let to = worlds.iter().position(|known| *known == next).unwrap_or_else(|| {
                worlds.push(next);
                distances.push(distances[from] + 1);
                worlds.len() - 1
            });
            edges.push((from, enabled.action.choice, to));
        }
        if worlds.len() > 300 {
            return Err(());
        }
    }
    let mut reaches = vec![vec![false; worlds.len()]; worlds.len()];
    for (from, _, to) in &edges {
        reaches[*from][*to] = true;
    }
    for via in 0..worlds.len() {
        let onward = reaches[via].clone();
        for row in reaches.iter_mut().filter(|row| row[via]) {
            row.iter_mut().zip(&onward).for_each(|(reached, further)| *reached |= further);
        }
    }
    let is_fair = |at: usize| {
        let with = |other: usize| reaches[at][other] && reaches[other][at];
        let component: Vec<_> = (0..worlds.len()).filter(|other| with(*other)).collect();
        let taken = |choice| {
            edges.iter().any(|(from, taken, to)| with(*from) && with(*to) && *taken == choice)
        };
        let always =
            |waits: &dyn Fn(&World) -> bool| component.iter().all(|at| waits(&worlds[*at]));
        let nodes = (0..3).map(NodeId);
        let mut links = nodes.clone().flat_map(|from| (0..3).map(move |to| (from, NodeId(to))));
        let late = |(from, to)| {
            always(&|world| !rules.signals(world, from, to).is_empty())
                && !taken(Choice::Deliver { from, to })
        };
        let overdue = |node| {
            always(&|world| rules.node(world, node).timers.contains(&7))
                && rules.budgets(&worlds[at])[Budget::Timeouts] > 0
                && !taken(Choice::Timeout { node, timer: 7 })
        };
        !component.is_empty() && !links.any(late) && !nodes.clone().any(overdue)
    };
    Ok((0..worlds.len()).filter(|at| is_fair(*at)).map(|at| distances[at]).min())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn what_is_found_is_what_there_is(script in random_script(), late in any::<bool>(), timeouts in 0..3_u32) {
        let timers = if late { Timers::Late } else { Timers::Any };
        let scene = Scene { timers, timeouts, ..Scene::of(3, &script) };
        let nearest = nearest(&scene);
        prop_assume!(nearest.is_ok());
        match nearest {
            Ok(Some(steps)) => prop_assert_eq!(scene.lasso().loop_from, Some(steps)),
            _ => prop_assert!(scene.holds()),
        }
    }
}
