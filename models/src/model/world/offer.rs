//! The actions that are enabled in a world.

use super::{Enabled, EnabledOf, Rules, World, surroundings::Surroundings};
use crate::{
    model::{
        action::{Action, Choice, ChoiceOf, Side},
        environment::{Budget, Timers},
        parts::Handle,
    },
    protocol::Protocol,
};
use interrex::machine::NodeId;

impl<P: Protocol> Rules<P> {
    /// Adds every action that is enabled in a world, in a fixed order.
    pub fn enabled(&self, world: &World, actions: &mut Vec<EnabledOf<P>>) {
        let Surroundings { cut, budgets } = self.surroundings(world);
        let left = |budget| budgets[budget] > 0;
        if left(Budget::Starts) {
            self.offer_starts(world, actions);
        }
        if left(Budget::Commands) {
            for node in self.nodes() {
                self.offer_command(world, node, actions);
            }
        }
        for from in self.nodes() {
            for to in self.nodes() {
                self.offer_delivery(world, from, to, actions);
            }
        }
        let is_time = match self.environment.timers {
            Timers::Late => !self.is_anything_on_a_link(world),
            Timers::Any => true,
        };
        if left(Budget::Timeouts) && is_time {
            self.offer_timeouts(world, actions);
        }
        if left(Budget::Crashes) {
            for node in self.nodes().filter(|node| self.is_up(world, *node)) {
                actions.push(Enabled { action: Choice::Crash { node }.into(), step: None });
            }
        }
        if left(Budget::Restarts) {
            self.offer_restarts(world, actions);
        }
        self.offer_disturbances(world, actions);
        if left(Budget::Suspicions) {
            self.offer_suspicions(world, actions);
        }
        let stepless = |choice: ChoiceOf<P>| Enabled { action: choice.into(), step: None };
        if cut.is_some() {
            actions.push(stepless(Choice::Heal));
        } else if left(Budget::Cuts) {
            let sides = Side::all(self.environment.size());
            actions.extend(sides.map(|side| stepless(Choice::Cut { side })));
        }
    }

    /// Adds the actions that are enabled in a world and may be this choice, with and without a crash. Most runs consist
    /// of commands and deliveries, and no machine takes another step for them.
    pub(super) fn enabled_like(
        &self,
        world: &World,
        choice: &ChoiceOf<P>,
        actions: &mut Vec<EnabledOf<P>>,
    ) {
        let exists = |node: NodeId| node.0 < self.environment.size();
        match *choice {
            Choice::Command { node }
                if exists(node) && self.budgets(world)[Budget::Commands] > 0 =>
            {
                self.offer_command(world, node, actions);
            }
            Choice::Deliver { from, to } if exists(from) && exists(to) => {
                self.offer_delivery(world, from, to, actions);
            }
            _ => self.enabled(world, actions),
        }
    }

    fn offer_command(&self, world: &World, node: NodeId, actions: &mut Vec<EnabledOf<P>>) {
        let command =
            if self.is_up(world, node) { self.parts.command(world.node(node)) } else { None };
        if let Some(input) = command {
            self.offer(world, node, &Choice::Command { node }, input, actions);
        }
    }

    fn offer_delivery(
        &self,
        world: &World,
        from: NodeId,
        to: NodeId,
        actions: &mut Vec<EnabledOf<P>>,
    ) {
        if let Some((head, _)) = self.parts.pop(world.parts[self.link(from, to)]) {
            self.offer(world, to, &Choice::Deliver { from, to }, head, actions);
        }
    }

    /// Offers the faults of messages on links.
    fn offer_disturbances(&self, world: &World, actions: &mut Vec<EnabledOf<P>>) {
        let [drops, duplicates, overtakes] = [Budget::Drops, Budget::Duplicates, Budget::Overtakes]
            .map(|budget| self.budgets(world)[budget] > 0);
        if !(drops || duplicates || overtakes) {
            return;
        }
        for from in self.nodes() {
            for to in self.nodes() {
                let messages = self.parts.messages_ahead(world.parts[self.link(from, to)]);
                let disturbances = [
                    (drops && messages > 0, Choice::Drop { from, to }),
                    (duplicates && messages > 0, Choice::Duplicate { from, to }),
                    (overtakes && messages > 1, Choice::Overtake { from, to }),
                ];
                let possible = disturbances.into_iter().filter(|(possible, _)| *possible);
                actions.extend(
                    possible.map(|(_, choice)| Enabled { action: choice.into(), step: None }),
                );
            }
        }
    }

    /// Only nodes that are up are monitored: an end and a cut use the monitors up.
    fn offer_suspicions(&self, world: &World, actions: &mut Vec<EnabledOf<P>>) {
        for watcher in self.nodes() {
            for target in self.parts.monitors(world.node(watcher)) {
                // The monitor is used up.
                let watcher_after = self.parts.unwatch(world.node(watcher), *target);
                let step = self.parts.step(watcher_after, target.down);
                let choice = Choice::Suspect { watcher, target: target.peer };
                actions.push(Enabled { action: choice.into(), step: Some(step) });
            }
        }
    }

    fn offer_starts(&self, world: &World, actions: &mut Vec<EnabledOf<P>>) {
        for node in self.nodes().filter(|node| self.is_idle(world, *node)) {
            for contact in self.contacts(world) {
                let input = self.boot(world, node, contact);
                self.offer(world, node, &Choice::Start { node, contact }, input, actions);
            }
        }
    }

    /// A restart is not cut short by a crash.
    fn offer_restarts(&self, world: &World, actions: &mut Vec<EnabledOf<P>>) {
        for node in self.nodes().filter(|node| self.is_crashed(world, *node)) {
            for contact in self.contacts_of_restart(world, node) {
                let step = self.parts.step(world.node(node), self.boot(world, node, contact));
                let action = Choice::Restart { node, contact }.into();
                actions.push(Enabled { action, step: Some(step) });
            }
        }
    }

    /// The contacts through which a node can come up: any node that is up, or a single `None` if the protocol
    /// needs no contact.
    fn contacts(&self, world: &World) -> impl Iterator<Item = Option<NodeId>> {
        let through_contact = self.protocol().joins_through_contact();
        let up = self.nodes().filter(move |node| through_contact && self.is_up(world, *node));
        up.map(Some).chain((!through_contact).then_some(None))
    }

    /// The contacts through which a node can come up again. Some find their group in their storage.
    fn contacts_of_restart(&self, world: &World, node: NodeId) -> Vec<Option<NodeId>> {
        match self.node(world, node).kept(self.environment.storage) {
            Some(stable) if self.protocol().finds_its_group(stable) => vec![None],
            _ => self.contacts(world).collect(),
        }
    }

    fn offer_timeouts(&self, world: &World, actions: &mut Vec<EnabledOf<P>>) {
        for node in self.nodes() {
            // The timers of a node that is not up are gone.
            let timers = &self.node(world, node).timers;
            for (timer, input) in timers.iter().zip(self.parts.timeouts(world.node(node))) {
                if self.may_fire(world, node, *input) {
                    let choice = Choice::Timeout { node, timer: timer.clone() };
                    self.offer(world, node, &choice, *input, actions);
                }
            }
        }
    }

    /// Offers an action of a node, and the same with a crash after each effect but the last.
    fn offer(
        &self,
        world: &World,
        node: NodeId,
        choice: &ChoiceOf<P>,
        input: Handle,
        actions: &mut Vec<EnabledOf<P>>,
    ) {
        let step = self.parts.step(world.node(node), input);
        let offer = |crash_after| Enabled {
            action: Action { choice: choice.clone(), crash_after },
            step: Some(step),
        };
        // Without the crash first: of two equally short runs, the search finds the simpler.
        actions.push(offer(None));
        if self.budgets(world)[Budget::Crashes] > 0 {
            let crashes = 1..=self.parts.step_at(step).crashes();
            actions.extend(crashes.map(|k| offer(Some(k))));
        }
    }
}
