//! The reasons why an action is not possible.

use super::{EnabledOf, Rules, World};
use crate::{
    model::{
        action::{Action, ActionOf, Choice, ChoiceOf},
        environment::Budget,
    },
    protocol::Protocol,
};
use interrex::machine::NodeId;

impl<P: Protocol> Rules<P> {
    /// Finds an action among those that are enabled in a world.
    ///
    /// # Errors
    /// A sentence that says what is missing.
    pub fn find(&self, world: &World, action: &ActionOf<P>) -> Result<EnabledOf<P>, String> {
        let mut actions = vec![];
        self.enabled_like(world, &action.choice, &mut actions);
        if let Some(found) = actions.iter().find(|enabled| enabled.action == *action) {
            return Ok(found.clone());
        }
        let whole = Action::from(action.choice.clone());
        let whole = actions.iter().find(|enabled| enabled.action == whole);
        Err(match (action.crash_after, whole) {
            (Some(_), Some(whole)) if !has_crashes_within(&whole.action.choice) => {
                "a node can crash within a start, a command, a delivery or a time-out only".into()
            }
            (Some(_), Some(_)) if self.budgets(world)[Budget::Crashes] == 0 => {
                self.no_more(Budget::Crashes)
            }
            (Some(k), Some(whole)) => {
                let effects = self.effects(whole).len();
                format!("the node cannot crash after {k} of {effects} effects, only between two")
            }
            _ => self.why_not(world, &action.choice),
        })
    }

    fn no_more(&self, budget: Budget) -> String {
        if self.environment.budgets[budget] == 0 {
            return format!("the scenario has no budget for {budget}");
        }
        "the budget for it is spent".into()
    }

    fn why_not(&self, world: &World, choice: &ChoiceOf<P>) -> String {
        let size = self.environment.size();
        if let Some(node) = choice.nodes().into_iter().find(|node| node.0 >= size) {
            let last = NodeId(size - 1);
            return format!("there is no {node}: the nodes are n0 to {last}");
        }
        if let Some(budget) = choice.budget().filter(|it| self.budgets(world)[*it] == 0) {
            return self.no_more(budget);
        }
        match choice {
            Choice::Start { node, .. } if !self.is_idle(world, *node) => {
                format!("{node} has been started before")
            }
            Choice::Restart { node, .. } if !self.is_crashed(world, *node) => {
                format!("{node} has not crashed")
            }
            Choice::Start { contact: None, .. } | Choice::Restart { contact: None, .. } => {
                "it joins through a contact: name a node that is up".into()
            }
            Choice::Start { contact: Some(node), .. }
            | Choice::Restart { contact: Some(node), .. }
            | Choice::Command { node }
            | Choice::Deliver { to: node, .. }
            | Choice::Timeout { node, .. }
            | Choice::Crash { node }
            | Choice::Drop { to: node, .. }
            | Choice::Duplicate { to: node, .. }
            | Choice::Overtake { to: node, .. }
            | Choice::Suspect { watcher: node, .. }
                if !self.is_up(world, *node) =>
            {
                format!("{node} is not up")
            }
            Choice::Start { .. } | Choice::Restart { .. } => {
                "it joins through nobody: leave out the contact".into()
            }
            Choice::Command { .. } | Choice::Crash { .. } => "the machine has no such step".into(),
            Choice::Deliver { from, to } => format!("the link from {from} to {to} is empty"),
            Choice::Timeout { node, timer } if !self.node(world, *node).timers.contains(timer) => {
                "the timer is not armed".into()
            }
            Choice::Timeout { .. } if self.is_anything_on_a_link(world) => {
                "there is still something to deliver".into()
            }
            Choice::Timeout { .. } => "it would change nothing".into(),
            Choice::Drop { from, to } | Choice::Duplicate { from, to } => {
                format!("there is no message at the head of the link from {from} to {to}")
            }
            Choice::Overtake { from, to } => {
                format!("the first two on the link from {from} to {to} are not both messages")
            }
            Choice::Suspect { watcher, target } => format!("{watcher} does not monitor {target}"),
            Choice::Cut { .. } => "a cut is open: it has to heal first".into(),
            Choice::Heal => "no cut is open".into(),
        }
    }
}

/// True if a node can crash within the step of this choice.
fn has_crashes_within<Timer>(choice: &Choice<Timer>) -> bool {
    match choice {
        Choice::Start { .. }
        | Choice::Command { .. }
        | Choice::Deliver { .. }
        | Choice::Timeout { .. } => true,
        Choice::Crash { .. }
        | Choice::Restart { .. }
        | Choice::Drop { .. }
        | Choice::Duplicate { .. }
        | Choice::Overtake { .. }
        | Choice::Suspect { .. }
        | Choice::Cut { .. }
        | Choice::Heal => false,
    }
}
