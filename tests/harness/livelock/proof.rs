//! Where no step can be part of a cycle, no world is searched for one. That is an argument, so it is compared with what
//! can be counted.

use super::{nearest, stage::Scene};
use interrex_models::{
    explore::{livelock::Means, search::Limits},
    model::{
        environment::{Budget, Timers, UNLIMITED},
        world::Rules,
    },
    verdict::outcome::Verdict,
};
use proptest::{
    collection::vec,
    prelude::*,
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use std::collections::HashMap;

fn is_proved(scene: &Scene<'_>) -> bool {
    let row = &scene.check(Limits::default()).properties[0];
    let is_proved = row.more.means == Some(Means::Proof);
    assert!(!is_proved || row.verdict == Verdict::Holds);
    is_proved
}

#[test]
fn an_answer_that_nobody_answers_is_proved_to_end() {
    let script = "n0 command 0: send @n1 ping | n1 ping from n0: send @n0 pong";
    assert!(is_proved(&Scene::of(2, script)));
}

/// The same two messages for ever, but each time in a new mood.
#[test]
fn a_node_that_does_not_come_back_to_its_mood_is_proved_to_end() {
    let script = "n0 command 0: send @n1 ping | n1 ping from n0: send @n0 pong
        | n0/0 pong from n1: send @n1 ping, mood 1 | n0/1 pong from n1: send @n1 ping, mood 2";
    assert!(is_proved(&Scene::of(2, script)));
    let back = script.to_string() + "| n0/2 pong from n1: send @n1 ping, mood 1";
    assert_eq!(Scene::of(2, &back).lasso().loop_from, Some(3));
}

/// It says what it hears, and so would go on for ever, but its history grows.
#[test]
fn a_node_that_observes_each_time_is_proved_not_to_come_back() {
    let script = "n0 command 0: send @n0 on | n0/0 on from n0: send @n0 on, observe, mood 1
        | n0/1 on from n0: send @n0 on, observe, mood 2";
    assert!(is_proved(&Scene::of(1, script)));
}

#[test]
fn a_message_to_a_process_recurs() {
    let script = "n0 command 0: send n0 on | n0 on from n0: send n0 on";
    assert_eq!(Scene::of(1, script).lasso().loop_from, Some(1));
}

#[test]
fn a_down_that_the_watcher_asks_for_again_recurs() {
    let script = "n1 command 0: stop | n0 command 0: monitor @n1 | n0 down @n1: monitor @n1";
    assert_eq!(Scene::of(2, script).lasso().loop_from, Some(2));
    // The control: it asks once.
    assert!(is_proved(&Scene::of(2, &script.replace("down @n1: monitor @n1", "down @n1:"))));
}

/// The states of n0 go round only if monitors that come and go are seen to do so.
#[test]
fn a_monitor_that_is_given_up_and_asked_for_again_recurs() {
    let script = "n0 command 0: send @n0 a | n0/0 a from n0: monitor @n1, mood 1, send @n0 b
        | n0/1 b from n0: demonitor @n1, mood 0, send @n0 a";
    assert_eq!(Scene::of(2, script).lasso().loop_from, Some(1));
}

fn unlimited(script: &str) -> Scene<'_> {
    Scene { timeouts: UNLIMITED, ..Scene::of(2, script) }
}

#[test]
fn an_unlimited_timer_recurs_as_long_as_somebody_hears_it() {
    let script = "n0 command 0: set 7 | n0 timeout 7: set 7, send @n1 tick";

    assert_eq!(unlimited(script).lasso().loop_from, Some(1));
    // It changes its own mood, and is heard by nobody.
    let moods = "n0 command 0: set 7, send @n1 die | n1 die from n0: stop
        | n0/0 timeout 7: set 7, mood 1 | n0/1 timeout 7: set 7, mood 0";
    assert_eq!(unlimited(moods).lasso().loop_from, Some(2));
    // Who hears it is changed by it, or ends: then it changes nothing any more.
    for end in ["stop", "mood 1"] {
        let ends = format!("{script} | n1/0 tick from n0: {end} | n1/1 tick from n0: mood 2, stop");
        assert!(is_proved(&unlimited(&ends)), "{end}");
    }
    // With a number it ends, too.
    assert!(is_proved(&Scene { timeouts: 2, ..Scene::of(2, script) }));
}

#[test]
fn a_search_that_is_cut_short_proves_nothing() {
    let scene = Scene::of(2, "n0 command 0: send @n1 ping | n1 ping from n0: send @n0 pong");
    let most =
        |states| Limits { max_states: std::num::NonZeroU64::new(states), ..Limits::default() };
    for (states, verdict, means) in
        [(2, Verdict::Unknown, Means::Search), (9, Verdict::Holds, Means::Proof)]
    {
        let row = &scene.check(most(states)).properties[0];
        assert_eq!((row.verdict, row.more.means), (verdict, Some(means)));
    }
}

/// An effect or two for each thing that can happen to three puppets with two moods.
fn random_script() -> impl Strategy<Value = String> {
    let peer = prop_oneof![3 => (0..3).prop_map(|to| format!("@n{to}")), 1 => (0..3).prop_map(|to| format!("n{to}"))];
    let send =
        (peer.clone(), "[ab]").prop_map(|(to, message)| format!("send {to} {message}")).boxed();
    let watch = |verb: &'static str| peer.clone().prop_map(move |peer| format!("{verb} {peer}"));
    let one = prop_oneof![
        14 => send.clone(),
        4 => (0..2).prop_map(|mood| format!("mood {mood}")),
        1 => Just("set 7".to_string()),
        1 => Just("cancel 7".to_string()),
        2 => watch("monitor"),
        1 => watch("demonitor"),
        1 => Just("stop".to_string()),
        1 => Just("observe".to_string()),
    ];
    let does = vec(one, 1..3).prop_map(|effects| effects.join(", "));
    let events = (0..3).flat_map(|peer| {
        ["a", "b"]
            .map(|message| format!("{message} from n{peer}"))
            .into_iter()
            .chain([format!("down @n{peer}"), format!("down n{peer}")])
    });
    let events: Vec<_> = events.chain(["timeout 7".into()]).collect();
    let rows: Vec<_> = (0..3)
        .flat_map(|me| (0..2).map(move |mood| format!("n{me}/{mood}")))
        .flat_map(|who| {
            events.iter().map(move |event| format!("{who} {event}")).collect::<Vec<_>>()
        })
        .collect();
    let begins = prop_oneof![3 => send, 1 => Just("set 7".to_string()), 1 => watch("monitor"), 1 => Just("stop".to_string())];
    (vec(does, rows.len()), vec(begins, 1..4)).prop_map(move |(parts, begins)| {
        let played = rows.iter().zip(&parts).map(|(row, part)| format!("{row}: {part}"));
        let begun =
            begins.iter().enumerate().map(|(me, begin)| format!("n{me} command 0: {begin}"));
        played.chain(begun).collect::<Vec<_>>().join(" | ")
    })
}

/// True if some run comes back to a world where it was before, fair or not: if worlds are left after those were taken
/// away, again and again, from which no step leads to one that is left. None if there are too many worlds.
fn goes_round(scene: &Scene<'_>) -> Option<bool> {
    let rules = Rules::new(scene.puppet(), scene.environment());
    let mut worlds = vec![rules.initial()];
    let mut places = HashMap::from([(rules.initial(), 0)]);
    let (mut before, mut ahead) = (vec![vec![]], vec![]);
    while let Some(world) = worlds.get(ahead.len()).cloned() {
        let mut actions = vec![];
        rules.enabled(&world, &mut actions);
        for enabled in &actions {
            let next = rules.follow(&world, enabled);
            let place = *places.entry(next).or_insert_with_key(|next| {
                worlds.push(next.clone());
                before.push(vec![]);
                worlds.len() - 1
            });
            before[place].push(ahead.len());
        }
        ahead.push(actions.len());
        if worlds.len() > 1_000 {
            return None;
        }
    }
    let mut ends: Vec<_> = (0..ahead.len()).filter(|place| ahead[*place] == 0).collect();
    let mut left = worlds.len();
    while let Some(end) = ends.pop() {
        left -= 1;
        for place in &before[end] {
            ahead[*place] -= 1;
            if ahead[*place] == 0 {
                ends.push(*place);
            }
        }
    }
    Some(left > 0)
}

/// Random machines with states, monitors, timers and every fault.
#[test]
fn what_is_proved_is_true_and_most_of_what_is_true_is_proved() {
    let mut runner = TestRunner::deterministic();
    let budget = prop::sample::select(Budget::FAULTS);
    let faults = vec((budget, 1..3_u32), 0..3);
    let timers = prop_oneof![
        (0..3_u32).prop_map(|times| (Timers::Any, times)),
        (0..3_u32).prop_map(|times| (Timers::Late, times)),
        Just((Timers::Late, UNLIMITED)),
    ];
    let scenes = (random_script(), timers, faults);
    let (mut round, mut proved, mut searched, mut compared) = (0, 0, 0, 0);
    for _ in 0..1_500 {
        let drawn = scenes.new_tree(&mut runner).expect("a scene").current();
        let (script, (timers, timeouts), faults) = drawn;
        let faults = faults.into_iter().collect();
        let scene = Scene { timers, timeouts, faults, ..Scene::of(3, &script) };
        let Some(goes_round) = goes_round(&scene) else { continue };
        let is_proved = is_proved(&scene);
        let said = || format!("{script}\n{:?} {timeouts} {:?}", scene.timers, scene.faults);
        assert!(!(is_proved && goes_round), "{}", said());
        match (goes_round, is_proved) {
            (true, _) => round += 1,
            (false, true) => proved += 1,
            (false, false) => searched += 1,
        }
        // What a timer without a limit waits for is said in another way there.
        if timeouts != UNLIMITED
            && let Ok(nearest) = nearest(&scene)
        {
            compared += 1;
            let found = scene.check(Limits::default()).properties.remove(0).counterexample;
            assert_eq!(found.and_then(|trace| trace.loop_from), nearest, "{}", said());
        }
    }
    assert!(round > 100 && compared > 300, "{round} go round, {compared} are compared");
    assert!(proved > 3 * searched, "{proved} proved, {searched} not");
}
