//! Following a run: actions by name, one after the other.

use super::{EnabledOf, Rules, World};
use crate::{
    model::{action::ActionOf, environment::Budget},
    protocol::Protocol,
};

/// The number of steps of a run that are remembered together. Each may know a history as long as the run.
const REMEMBERED: usize = 64;

impl<P: Protocol> Rules<P> {
    /// Takes an action in a world: the action as one that is enabled there, and the world after it.
    ///
    /// # Errors
    /// If it is not possible: a sentence that says what is missing.
    pub fn take(
        &self,
        world: &World,
        action: &ActionOf<P>,
    ) -> Result<(EnabledOf<P>, World), String> {
        let enabled = self.find(world, action)?;
        let next = self.follow(world, &enabled);
        Ok((enabled, next))
    }

    /// Forgets everything that is remembered, and returns a world as one of the new tables. Other worlds of these rules
    /// mean nothing any more.
    pub(crate) fn forget_all_but(&mut self, world: &World) -> World {
        let portable = self.export(world);
        self.forget();
        self.import(&portable).expect("a world of these rules")
    }

    /// The same after some of the steps of a run, each by its number: its length is no limit to what a run needs.
    pub(crate) fn forget_at(&mut self, step: usize, world: World) -> World {
        if step > 0 && step.is_multiple_of(REMEMBERED) {
            self.forget_all_but(&world)
        } else {
            world
        }
    }

    /// Takes the actions of a run, from a world on. It ends after the first that is not possible.
    pub fn run<'a>(
        &'a self,
        from: World,
        run: &'a [ActionOf<P>],
    ) -> impl Iterator<Item = Result<(EnabledOf<P>, World), String>> + 'a {
        let mut world = Some(from);
        run.iter().map_while(move |action| {
            let taken = self.take(&world.take()?, action);
            world = taken.as_ref().ok().map(|(_, next)| next.clone());
            Some(taken)
        })
    }

    /// The number of faults on the way to a world. It is the same on every way, because budgets are part of a
    /// world.
    pub(crate) fn faults(&self, world: &World) -> u32 {
        let (given, left) = (self.environment().budgets, self.budgets(world));
        let spent = |budget: &Budget| given[*budget].saturating_sub(left[*budget]);
        Budget::FAULTS.iter().map(spent).sum()
    }
}
