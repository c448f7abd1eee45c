//! Logs of `gen_leader`, and runs of everything that can happen: they happen in the harness, too.

use crate::{
    Gms3Nodes, N0, N1, N2, Nodes, Parcel, Texts, actions, assert_agrees, assert_holds, carried,
    gen_leader_nodes, gms3_nodes, mcast, violated,
};
use interrex::{
    gen_leader::{self, dictionary::Request},
    machine::{Address, Event, Machine, NodeId, Peer},
};
use interrex_models::real::validate::{Carried, Run};
use std::collections::{BTreeMap, VecDeque};

fn store(tag: u64, value: &str) -> gen_leader::Command<Request<String, String>> {
    let request = Request::Store("key".into(), value.into());
    gen_leader::Command::LeaderCall { tag, request, timeout: None }
}

fn look_up(tag: u64) -> gen_leader::Command<Request<String, String>> {
    gen_leader::Command::Call { tag, request: Request::Lookup("key".into()), timeout: None }
}

#[test]
fn an_elected_dictionary_survives_a_kill_and_a_restart() {
    let mut nodes = gen_leader_nodes(3);
    for node in [N0, N1, N2] {
        nodes.start(node, None);
        nodes.deliver_all();
    }
    nodes.command(N1, store(1, "one"));
    nodes.command(N2, look_up(2));
    nodes.deliver_all();
    nodes.kill(N0);
    nodes.deliver_all();
    nodes.command(N2, store(3, "two"));
    nodes.deliver_all();
    nodes.start(N0, None);
    nodes.deliver_all();
    nodes.command(N0, store(1, "three"));
    nodes.command(N0, look_up(2));
    nodes.deliver_all();
    let validation = nodes.validated();
    assert_holds(&validation);
    assert_eq!(validation.logs[0].lives, 2);
}

/// Each is possible only if the adapter breaks a promise: the machine does what it must, and the line is named.
#[test]
fn what_the_adapter_must_not_do_is_found_at_its_line() {
    type Harm = fn(&mut Nodes<Texts>);
    let harms: [(Harm, &str); 4] = [
        (
            |nodes| nodes.meet(N1, Event::Timeout(gen_leader::Timer::Call(9)), None, None),
            "the timer Call(9) fires, and is not armed",
        ),
        (
            |nodes| nodes.meet(N1, Event::Down(Peer::Name(NodeId(7))), None, None),
            "a Down of @n7, which is not monitored",
        ),
        (
            |nodes| {
                nodes.now -= 1_000_000;
                nodes.command(N1, look_up(9));
            },
            "the clock of its host has run backwards, by 990 ms",
        ),
        (
            |nodes| {
                nodes.kill(N1);
                nodes.stable.insert(N1, 77);
                nodes.start(N1, None);
            },
            "it begins with a stored value that is not the one persisted last",
        ),
    ];
    for (harm, message) in harms {
        let mut nodes = gen_leader_nodes(2);
        for node in [N0, N1] {
            nodes.start(node, None);
            nodes.deliver_all();
        }
        nodes.command(N1, look_up(1));
        let before = nodes.logs[&N1].lines().count();
        harm(&mut nodes);
        let validation = nodes.validated();
        assert!(validation.differences.is_empty(), "{:?}", validation.differences);
        let found = &validation.contradictions[0];
        assert_eq!((found.place.line, found.message.as_str()), (before + 1, message));
    }
}

/// A storage that is gone is no fault of the adapter: the node starts as one that has lost it.
#[test]
fn a_lost_storage_is_no_contradiction() {
    let mut nodes = gen_leader_nodes(2);
    for node in [N0, N1] {
        nodes.start(node, None);
        nodes.deliver_all();
    }
    nodes.kill(N1);
    nodes.stable.remove(&N1);
    nodes.deliver_all();
    nodes.start(N1, None);
    nodes.deliver_all();
    assert_agrees(&nodes.validated());
}

#[test]
fn a_suspected_leader_of_a_dictionary_is_carried_over_without_the_local_calls() {
    let mut nodes = gen_leader_nodes(3);
    for node in [N0, N1, N2] {
        nodes.start(node, None);
        nodes.deliver_all();
    }
    nodes.command(N1, store(1, "one"));
    nodes.command(N1, look_up(2));
    nodes.deliver_all();
    let target = *nodes.up[&N1].monitors.iter().find(|peer| peer.node() == N0).expect("watched");
    nodes.suspect(N1, target);
    nodes.deliver_all();
    nodes.command(N0, look_up(7));
    let validation = nodes.validated();
    assert_agrees(&validation);
    assert_eq!(violated(&validation)[0], "single-leader");
    let (trace, _) = carried(&validation);
    assert!(actions(&trace).contains("n1 suspects"), "{}", actions(&trace));
    let Some(Carried { outcome: Ok(Run { left_out, .. }), .. }) = &validation.carried else {
        panic!("carried over")
    };
    assert_eq!(left_out, &["calls that an application makes to its own process only (1)"]);
}

/// Whatever happens to the nodes of the test happens in the harness, too: no log of them contradicts another, and what
/// violates a property there does so in the harness.
#[test]
fn what_happens_at_random_in_gms3_is_carried_over() {
    let mut violations = 0;
    for seed in 0..RUNS {
        let mut random = Random(seed);
        let mut nodes = gms3_nodes(3);
        let mut indices = BTreeMap::<Address, u64>::new();
        let command = |_: &mut Random, nodes: &Gms3Nodes, node: NodeId| {
            let me = nodes.up[&node].me;
            let index = indices.entry(me).or_default();
            *index += 1;
            mcast(me, *index - 1)
        };
        random.happen(&mut nodes, true, command);
        violations += u64::from(is_carried_over(&nodes, seed));
    }
    assert!(violations > RUNS / 8, "{violations}");
}

#[test]
fn what_happens_at_random_in_gen_leader_is_carried_over() {
    let mut violations = 0;
    for seed in 0..RUNS {
        violations += u64::from(is_carried_over(&at_random(gen_leader_nodes(3), seed), seed));
    }
    assert!(violations > RUNS / 50, "{violations}");
}

/// Clocks that differ a little make a run another one, but not one that cannot be.
#[test]
fn what_happens_under_clocks_that_differ_is_carried_over() {
    for seed in 0..RUNS {
        let mut nodes = gen_leader_nodes(3);
        nodes.clocks = (1_000, 2_000);
        is_carried_over(&at_random(nodes, seed), seed);
    }
}

/// In the harness nobody waits for a node that is not up: there it came up earlier. Two that waited for each other cannot
/// both have done so.
#[test]
fn who_was_waited_for_came_up_earlier_in_the_harness() {
    let mut earlier = 0;
    for seed in 0..RUNS {
        let mut nodes = gen_leader_nodes(3);
        nodes.start(N0, None);
        nodes.waits = true;
        nodes.deliver_all();
        assert_eq!(nodes.waiting.len(), 2, "n0 watches n2 and has sent it something");
        let validation = at_random(nodes, seed).validated();
        assert_agrees(&validation);
        match &validation.carried {
            None => {}
            Some(Carried { outcome: Ok(Run { trace, .. }), .. }) => {
                let actions = actions(trace);
                earlier += usize::from(actions.starts_with("start n0; start n2; deliver n1 → n0;"));
            }
            Some(Carried { outcome: Err(why), .. }) => {
                assert!(why.reason.ends_with("two waited for each other"), "seed {seed}: {why}");
            }
        }
    }
    assert!(earlier > 0);
}

fn at_random(mut nodes: Nodes<Texts>, seed: u64) -> Nodes<Texts> {
    if nodes.up.is_empty() {
        nodes.start(N0, None);
    }
    let mut tag = 0;
    let command = |random: &mut Random, _: &Nodes<Texts>, _: NodeId| {
        tag += 1;
        if random.below(4) == 0 { look_up(tag) } else { store(tag, "text") }
    };
    Random(seed).happen(&mut nodes, false, command);
    nodes
}

const RUNS: u64 = 1000;

/// True if there is a violation. It is then carried over.
fn is_carried_over<M: Machine>(nodes: &Nodes<M>, seed: u64) -> bool {
    let validation = nodes.validated();
    assert_agrees(&validation);
    match &validation.carried {
        None => false,
        Some(Carried { outcome: Ok(_), .. }) => true,
        Some(Carried { property, outcome: Err(why) }) => {
            panic!("seed {seed}: {}: {why}", property.name)
        }
    }
}

/// Random numbers, the same ones for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("small") % most
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> Option<T> {
        (!of.is_empty()).then(|| of[self.below(of.len())].clone())
    }

    /// Many things happen.
    fn happen<M: Machine>(
        &mut self,
        nodes: &mut Nodes<M>,
        joins: bool,
        mut command: impl FnMut(&mut Self, &Nodes<M>, NodeId) -> M::Command,
    ) {
        for _ in 0..self.below(40) {
            let up: Vec<_> = nodes.up.keys().copied().collect();
            let Some(node) = self.one(&up) else { break };
            match self.below(24) {
                0..5 => {
                    let event = Event::Command(command(self, nodes, node));
                    let killed = (self.below(5) == 0).then(|| self.below(3));
                    nodes.meet(node, event, None, killed);
                }
                5 => {
                    let armed: Vec<_> = nodes.up[&node].timers.iter().cloned().collect();
                    if let Some(timer) = self.one(&armed) {
                        nodes.up.get_mut(&node).expect("up").timers.remove(&timer);
                        nodes.meet(node, Event::Timeout(timer), None, None);
                    }
                }
                6 if up.len() > 1 => nodes.kill(node),
                7 if up.len() > 1 => nodes.shut_down(node),
                8..10 => {
                    if let Some(down) = self.one(&nodes.can_start()) {
                        nodes.start(down, joins.then_some(node));
                    }
                }
                10 => {
                    let watched: Vec<_> = nodes.up[&node].monitors.iter().copied().collect();
                    if let Some(target) = self.one(&watched) {
                        nodes.suspect(node, target);
                    }
                }
                11 => {
                    let message = |link: &VecDeque<Parcel<M>>| {
                        matches!(link.front(), Some(Parcel::Message { .. }))
                    };
                    if let Some((from, to)) = self.one(&nodes.links_with(message)) {
                        nodes.lose(from, to);
                    }
                }
                _ => {
                    if let Some((from, to)) = self.one(&nodes.links_with(|link| !link.is_empty())) {
                        nodes.deliver(from, to);
                    }
                }
            }
        }
        if self.below(2) == 0 {
            nodes.deliver_all();
        }
    }
}
