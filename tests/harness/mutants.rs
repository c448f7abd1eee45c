//! Mutants, each with one rule broken: the search says which properties that costs. A property that no
//! mutant breaks is not yet a test.

use interrex::{
    gen_leader::{self, Bully, GenLeader, Repairs},
    gms3::{Event, Follower, Gms3, Message, Observation, State, View},
    machine::{Boot, Effect, EffectOf, EventOf, Machine, NodeId},
};
use interrex_models::{
    claim::{
        notion::Token,
        property::{self, Property},
    },
    explore::search::Limits,
    model::{
        environment::{Budget, Start},
        node::Node,
    },
    protocol::{
        Notion, Protocol, Standing,
        gen_leader::Writes,
        registry::{gen_leader, gms3},
    },
    verdict::{check::check, outcome::Verdict, scenario::Scenario},
};
use std::borrow::Cow;

type Met = (State<Token>, Event<Token>);
type Step = (State<Token>, Vec<EffectOf<Gms3<Token>>>);

/// gms3, whose steps are altered.
struct Mutant {
    /// Replaces a state and an event before the step.
    before: fn(State<Token>, Event<Token>) -> Met,
    /// Alters the result of the step.
    after: fn(Step) -> Step,
}

impl Machine for Mutant {
    type State = State<Token>;
    type Message = Message<Token>;
    type Command = <Gms3<Token> as Machine>::Command;
    type Timer = <Gms3<Token> as Machine>::Timer;
    type Stable = ();
    type Observation = Observation<Token>;

    fn start(&self, boot: Boot<()>) -> Step {
        gms3().start(boot)
    }

    fn step(&self, state: State<Token>, event: Event<Token>) -> Step {
        let (state, event) = (self.before)(state, event);
        (self.after)(gms3().step(state, event))
    }
}

impl Protocol for Mutant {
    fn name(&self) -> Cow<'static, str> {
        "a mutant of gms3".into()
    }

    fn summary(&self) -> Cow<'static, str> {
        "gms3 with one rule broken".into()
    }

    fn properties(&self) -> &'static [&'static Property] {
        property::OF_GROUPS
    }

    fn starts(&self) -> &'static [Start] {
        &[Start::Joined]
    }

    fn joins_through_contact(&self) -> bool {
        true
    }

    fn command(&self, node: NodeId, issued: u32) -> Option<Self::Command> {
        gms3().command(node, issued)
    }

    fn joined(&self, size: u16) -> Option<Vec<Node<Self>>> {
        let member = |node: Node<Gms3<Token>>| Node {
            condition: node.condition,
            history: node.history,
            monitors: node.monitors,
            ..Node::idle(node.id)
        };
        let members = gms3().joined(size)?;
        Some(members.into_iter().map(member).collect())
    }

    fn standing(&self, state: &State<Token>) -> Standing {
        gms3().standing(state)
    }

    fn notion(&self, observation: &Observation<Token>) -> Notion {
        gms3().notion(observation)
    }
}

const UNALTERED: Mutant = Mutant { before: |state, event| (state, event), after: |step| step };

/// The properties that a machine violates in a joined group of three, with two multicasts and two crashes.
fn violated(mutant: Mutant) -> Vec<&'static str> {
    let builder = Scenario::builder()
        .nodes(3)
        .start(Start::Joined)
        .budget(Budget::Commands, 2)
        .budget(Budget::Crashes, 2);
    let builder = property::OF_GROUPS.iter().fold(builder, |builder, each| builder.property(each));
    let scenario = builder.build().expect("it fits");
    let report = check(mutant, &scenario, Limits::default(), &mut |_| {});
    let rows = report.properties.iter().filter(|row| row.verdict == Verdict::Violated);
    rows.map(|row| row.name).collect()
}

fn assert_costs(mutant: Mutant, properties: &[&Property]) {
    let unaltered = violated(UNALTERED);
    let violated = violated(mutant);
    for property in properties {
        assert!(!unaltered.contains(&property.name), "gms3 itself violates {}", property.name);
        assert!(violated.contains(&property.name), "{} is not in {violated:?}", property.name);
    }
}

/// Whatever comes from a leader is the next in order.
fn blind(state: State<Token>, mut event: Event<Token>) -> Met {
    if let (State::Follower(follower), Event::Message { message, .. }) = (&state, &mut event) {
        match message {
            Message::Msg { number, .. } | Message::View(View { number, .. }) => {
                *number = follower.next;
            }
            Message::Join(_) | Message::Mcast(_) => {}
        }
    }
    (state, event)
}

/// The leaders then send each other views, and both end: so no settled property suffers.
#[test]
fn if_every_follower_thinks_itself_the_first_there_are_two_leaders_in_one_term() {
    let selfish = |mut state: State<Token>, event| {
        if let (State::Follower(Follower { me, followers, .. }), Event::Down(_)) =
            (&mut state, &event)
        {
            followers.retain(|other| other != me);
            followers.push_front(*me);
        }
        (state, event)
    };
    assert_costs(
        Mutant { before: selfish, ..UNALTERED },
        &[
            &property::SINGLE_LEADER,
            &property::ONE_LEADER_PER_TERM,
            &property::VIEW_ORDER,
            &property::TOTAL_ORDER_SURVIVORS,
        ],
    );
}

#[test]
fn if_a_follower_does_not_look_at_numbers_what_is_resent_is_delivered_twice() {
    assert_costs(Mutant { before: blind, ..UNALTERED }, &[&property::NO_DUPLICATE]);
}

#[test]
fn if_a_delivery_is_garbled_something_is_created() {
    let garble = |(state, mut effects): Step| {
        for effect in &mut effects {
            if let Effect::Observe(Observation::Delivered { message, .. }) = effect {
                message.index += 7;
            }
        }
        (state, effects)
    };
    assert_costs(Mutant { after: garble, ..UNALTERED }, &[&property::NO_CREATION]);
}

#[test]
fn if_nobody_takes_over_there_is_no_leader() {
    let shy = |(state, effects): Step| match state {
        State::Leader(leader) if leader.me != NodeId(0).first_life() => {
            let follower = Follower {
                me: leader.me,
                leader: leader.me,
                followers: leader.followers,
                next: leader.next,
                last: Message::Join(leader.me),
            };
            (State::Follower(follower), effects)
        }
        state => (state, effects),
    };
    assert_costs(Mutant { after: shy, ..UNALTERED }, &[&property::LEADER_EXISTS]);
}

#[test]
fn if_nothing_is_resent_and_nobody_looks_at_numbers_survivors_lose_messages() {
    let resend_nothing = |(state, mut effects): Step| {
        let is_view = |effect: &EffectOf<Mutant>| {
            matches!(effect, Effect::Observe(Observation::Installed(_)))
        };
        if matches!(state, State::Leader(_)) && effects.iter().any(is_view) {
            let is_resent = |effect: &EffectOf<Mutant>| {
                matches!(effect, Effect::Send { message: Message::Msg { .. }, .. })
            };
            effects.retain(|effect| !is_resent(effect));
        }
        (state, effects)
    };
    assert_costs(
        Mutant { before: blind, after: resend_nothing },
        &[&property::SURVIVORS_AGREEMENT],
    );
}

#[test]
fn if_followers_overlook_views_members_do_not_agree_on_one() {
    let overlook = |(state, mut effects): Step| {
        if matches!(state, State::Follower(_)) {
            effects.retain(|effect| !matches!(effect, Effect::Observe(Observation::Installed(_))));
        }
        (state, effects)
    };
    assert_costs(Mutant { after: overlook, ..UNALTERED }, &[&property::AGREEMENT]);
}

#[test]
fn if_a_leader_passes_requests_on_they_go_round_for_ever() {
    let pass_on = |(state, effects): Step| match (state, effects.last()) {
        (
            State::Leader(mut leader),
            Some(Effect::Observe(Observation::Delivered { message, .. })),
        ) => {
            leader.next -= 1;
            let first = leader.followers.front().map(|first| Effect::Send {
                to: (*first).into(),
                message: Message::Mcast(*message),
            });
            (State::Leader(leader), first.into_iter().collect())
        }
        (state, _) => (state, effects),
    };
    assert_costs(Mutant { after: pass_on, ..UNALTERED }, &[&property::NO_LIVELOCK]);
}

// A mutant of the repaired gen_leader. What else an election can break, the versions of 2003 and 2007 do.

type Servers = GenLeader<Bully, Writes>;

/// Servers that never say that a call has failed, and forget it.
struct Forgetful(Servers);

impl Machine for Forgetful {
    type State = <Servers as Machine>::State;
    type Message = <Servers as Machine>::Message;
    type Command = <Servers as Machine>::Command;
    type Timer = <Servers as Machine>::Timer;
    type Stable = <Servers as Machine>::Stable;
    type Observation = <Servers as Machine>::Observation;

    fn start(&self, boot: Boot<Self::Stable>) -> (Self::State, Vec<EffectOf<Self>>) {
        self.0.start(boot)
    }

    fn step(&self, state: Self::State, event: EventOf<Self>) -> (Self::State, Vec<EffectOf<Self>>) {
        let (state, mut effects) = self.0.step(state, event);
        let fails = |effect: &EffectOf<Self>| {
            matches!(effect, Effect::Observe(gen_leader::Observation::Failed { .. }))
        };
        effects.retain(|effect| !fails(effect));
        (state, effects)
    }
}

impl Protocol for Forgetful {
    fn name(&self) -> Cow<'static, str> {
        "a mutant of gen_leader".into()
    }

    fn summary(&self) -> Cow<'static, str> {
        "gen_leader, which forgets calls".into()
    }

    fn properties(&self) -> &'static [&'static Property] {
        self.0.properties()
    }

    fn starts(&self) -> &'static [Start] {
        self.0.starts()
    }

    fn joins_through_contact(&self) -> bool {
        self.0.joins_through_contact()
    }

    fn command(&self, node: NodeId, issued: u32) -> Option<Self::Command> {
        Protocol::command(&self.0, node, issued)
    }

    fn standing(&self, state: &Self::State) -> Standing {
        self.0.standing(state)
    }

    fn calls(&self, node: NodeId, issued: u32) -> Vec<u64> {
        self.0.calls(node, issued)
    }

    fn waiting(&self, state: &Self::State) -> Vec<u64> {
        self.0.waiting(state)
    }

    fn notion(&self, observation: &Self::Observation) -> Notion {
        self.0.notion(observation)
    }
}

/// The process itself believes that nobody waits any more.
#[test]
fn if_calls_are_forgotten_when_the_leader_dies_they_are_lost() {
    let scenario = Scenario::builder()
        .nodes(2)
        .start(Start::Idle)
        .unlimited_timeouts()
        .budget(Budget::Commands, 1)
        .budget(Budget::Crashes, 1)
        .property(&property::NO_LOST_CALL)
        .build()
        .expect("it fits");
    let servers = || gen_leader(Repairs::all(), &scenario.environment);
    let limits = Limits::default;
    let repaired = check(servers(), &scenario, limits(), &mut |_| {});
    let forgetful = check(Forgetful(servers()), &scenario, limits(), &mut |_| {});
    let verdicts = [repaired, forgetful].map(|report| report.properties[0].verdict);
    assert_eq!(verdicts, [Verdict::Holds, Verdict::Violated]);
}
