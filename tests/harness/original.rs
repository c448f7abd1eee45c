//! Schedules on which the original Erlang of `gen_leader` 2007 was run. The machine does the same.
//!
//! They are no counterexamples: their rows of the protocol are easy to get wrong, and their last steps tell.

use interrex_models::{
    evidence::{
        replay::{Mode, Outcome, Replay},
        trace::Trace,
    },
    protocol::registry::built_in,
};
use serde_json::{Value, json};
use std::path::Path;

/// The replay of a schedule, of which every action is possible.
fn replayed(name: &str) -> Replay {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/original");
    let trace = Trace::read(&folder.join(name).with_extension("json")).expect("a schedule");
    let (known, property) = built_in().of(&trace).expect("a known protocol");
    let replay = known.harness(&trace.environment).replay(&trace, property, Mode::Schedule, None);
    for step in &replay.steps {
        assert_eq!(step.left_out, None, "{name}: {}", step.action);
    }
    assert_eq!(replay.steps.len(), trace.steps.len(), "{name}");
    replay
}

fn last_effects(name: &str) -> Vec<Value> {
    replayed(name).steps.pop().expect("a last step").effects
}

fn norm_q(to: &str) -> Value {
    json!({ "send": { "to": to, "message": { "election": { "norm_q": [1, 0, 1] } } } })
}

fn set_tau() -> Value {
    json!({ "set_timer": { "timer": "tau", "after_ms": 250 } })
}

#[test]
fn a_leader_goes_on_asking_a_candidate_that_was_down_twice_and_answered_once() {
    assert_eq!(last_effects("down-twice"), [norm_q("@n1"), norm_q("@n2"), set_tau()]);
    let twice = [norm_q("@n2"), norm_q("@n1"), norm_q("@n2"), set_tau()];
    assert_eq!(last_effects("down-twice-late"), twice);
}

#[test]
fn a_candidate_that_waited_for_its_own_earlier_life_gets_to_stage_2() {
    let halt = json!({ "send": { "to": "@n2", "message": { "election": { "halt": [2, 1, 1] } } } });
    assert_eq!(last_effects("own-earlier-life"), [halt]);
}

#[test]
fn a_worker_that_is_down_gets_no_broadcast() {
    let replied = json!({ "observe": { "replied": { "tag": 0, "reply": "ok" } } });
    assert_eq!(last_effects("worker-down"), [replied]);
}

#[test]
fn a_worker_that_comes_back_is_monitored_anew() {
    assert_eq!(last_effects("worker-restarted")[0], json!({ "monitor": "n2#1" }));
}

/// The leader learns of the end of the second life, so there is something left to deliver.
#[test]
fn a_world_in_which_a_worker_was_down_twice_is_not_settled_before_the_leader_knows() {
    assert_eq!(replayed("worker-third-life").outcome, Outcome::Unsettled);
}
