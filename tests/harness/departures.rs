//! Members that leave, and leaders that hand over: all runs of small groups.

use interrex::{
    group::{Command, Group, KEPT, ObservationOf, StableOf, StateOf},
    machine::{Boot, EffectOf, EventOf, Machine, NodeId},
};
use interrex_models::{
    claim::{
        notion::{Notion, Standing, Token},
        property::{self, Property},
    },
    explore::search::Limits,
    model::{
        environment::{Budget, Start},
        node::Node,
    },
    protocol::{Protocol, group::Journal},
    verdict::{check::check, scenario::Scenario},
};
use std::{borrow::Cow, num::NonZeroU64};

type App = Journal;

/// group, with clients that ask for departures: first to hand leadership over, then to leave.
struct Departing(Group<App>);

impl Machine for Departing {
    type State = StateOf<App>;
    type Message = <Group<App> as Machine>::Message;
    type Command = Command<Token>;
    type Timer = <Group<App> as Machine>::Timer;
    type Stable = StableOf<App>;
    type Observation = ObservationOf<App>;

    fn start(&self, boot: Boot<StableOf<App>>) -> (StateOf<App>, Vec<EffectOf<Self>>) {
        self.0.start(boot)
    }

    fn step(
        &self,
        state: StateOf<App>,
        event: EventOf<Self>,
    ) -> (StateOf<App>, Vec<EffectOf<Self>>) {
        self.0.step(state, event)
    }

    fn stored(&self, before: Option<StableOf<App>>, change: StableOf<App>) -> StableOf<App> {
        self.0.stored(before, change)
    }

    fn finds_its_group(&self, stored: &StableOf<App>) -> bool {
        self.0.finds_its_group(stored)
    }
}

impl Protocol for Departing {
    fn name(&self) -> Cow<'static, str> {
        "group with departures".into()
    }

    fn summary(&self) -> Cow<'static, str> {
        self.0.summary()
    }

    fn properties(&self) -> &'static [&'static Property] {
        self.0.properties()
    }

    fn starts(&self) -> &'static [Start] {
        &[Start::Joined]
    }

    fn joins_through_contact(&self) -> bool {
        true
    }

    fn keeps_names(&self) -> bool {
        true
    }

    fn can_lead(&self, up: &[(NodeId, &StateOf<App>)]) -> bool {
        self.0.can_lead(up)
    }

    fn command(&self, _: NodeId, index: u32) -> Option<Command<Token>> {
        Some(if index == 0 { Command::HandOver } else { Command::Leave })
    }

    fn joined(&self, size: u16) -> Option<Vec<Node<Self>>> {
        let nodes = self.0.joined(size)?.into_iter();
        let node = |Node { id, life, condition, history, stable, issued, timers, monitors }| Node {
            id,
            life,
            condition,
            history,
            stable,
            issued,
            timers,
            monitors,
        };
        Some(nodes.map(node).collect())
    }

    fn standing(&self, state: &StateOf<App>) -> Standing {
        self.0.standing(state)
    }

    fn notion(&self, observation: &ObservationOf<App>) -> Notion {
        self.0.notion(observation)
    }
}

/// Nobody is left without a leader, and nobody stays a member who has gone.
fn assert_orderly(nodes: u16, kept: u64, budgets: &[(Budget, u32)]) {
    let group = Group::new(Journal).among((0..nodes).map(NodeId)).keeping(kept);
    let mut scenario = Scenario::builder().nodes(nodes).start(Start::Joined).unlimited_timeouts();
    for (budget, times) in budgets {
        scenario = scenario.budget(*budget, *times);
    }
    let scenario = scenario
        .holds(&property::ONE_LEADER_PER_TERM)
        .holds(&property::VIEW_ORDER)
        .holds(&property::LEADER_EXISTS)
        .holds(&property::AGREEMENT)
        .holds(&property::NO_LIVELOCK)
        .build()
        .expect("a scenario");
    // Should a change of the protocol make them endless, the test fails and does not go on for ever.
    let limits = Limits { max_states: NonZeroU64::new(3_000_000), ..Limits::default() };
    check(Departing(group), &scenario, limits, &mut |_| {}).assert_as_expected();
}

#[test]
fn members_leave_one_after_the_other_and_leaders_hand_over() {
    assert_orderly(3, KEPT, &[(Budget::Commands, 2)]);
    assert_orderly(3, 0, &[(Budget::Commands, 2)]);
}

#[test]
fn a_departure_survives_a_crash_and_a_lost_message() {
    assert_orderly(3, KEPT, &[(Budget::Commands, 2), (Budget::Crashes, 1)]);
    assert_orderly(3, KEPT, &[(Budget::Commands, 2), (Budget::Drops, 1)]);
}

/// A restarted member does not know at once that it is one.
#[test]
fn a_restarted_member_leaves_when_its_removal_counts() {
    let restart = [(Budget::Commands, 2), (Budget::Crashes, 1), (Budget::Restarts, 1)];
    assert_orderly(2, KEPT, &restart);
    assert_orderly(2, 0, &restart);
}
