//! The surroundings of the nodes and links of a world: the cut that is open, and the budgets that are left.

use super::{Rules, World};
use crate::{
    model::{
        action::Side,
        environment::{Budget, Budgets},
        parts::Handle,
    },
    protocol::Protocol,
};
use interrex::machine::NodeId;
use serde::{Deserialize, Serialize};
use std::{borrow::Borrow, sync::OnceLock};
use strum::EnumCount;

/// The part of a world that is no node and no link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Surroundings {
    /// One side of the cut, while one is open.
    pub(crate) cut: Option<Side>,
    /// The remaining budgets.
    pub(crate) budgets: Budgets,
}

/// Surroundings, and those that follow from them.
pub(super) struct SurroundingsEntry {
    now: Surroundings,
    /// The same with one action less of each kind.
    spent: [OnceLock<Handle>; Budget::COUNT],
}

impl Borrow<Surroundings> for SurroundingsEntry {
    fn borrow(&self) -> &Surroundings {
        &self.now
    }
}

impl<P: Protocol> Rules<P> {
    /// A world of these nodes and links, in this order.
    pub(in crate::model) fn world(
        &self,
        parts: impl Iterator<Item = Handle>,
        surroundings: Surroundings,
    ) -> World {
        World { parts: parts.chain([self.intern_surroundings(surroundings)]).collect() }
    }

    /// The cut and the remaining budgets of a world.
    pub(crate) fn surroundings(&self, world: &World) -> &Surroundings {
        &self.surroundings_entry(world).now
    }

    /// The remaining budgets of a world.
    pub fn budgets(&self, world: &World) -> &Budgets {
        &self.surroundings(world).budgets
    }

    /// One side of the cut of a world, while one is open.
    pub fn cut(&self, world: &World) -> Option<Side> {
        self.surroundings(world).cut
    }

    /// True if two nodes are on different sides of an open cut.
    pub(super) fn are_cut_off(&self, world: &World, one: NodeId, other: NodeId) -> bool {
        self.cut(world).is_some_and(|side| side.contains(one) != side.contains(other))
    }

    /// Spends one action of this kind.
    pub(super) fn spend(&self, world: &mut World, budget: Budget) {
        let entry = self.surroundings_entry(world);
        let spent = entry.spent[budget as usize].get_or_init(|| {
            let mut spent = entry.now;
            spent.budgets.spend(budget);
            self.intern_surroundings(spent)
        });
        *world.surroundings_mut() = *spent;
    }

    /// Opens or heals a cut.
    pub(super) fn set_cut(&self, world: &mut World, cut: Option<Side>) {
        self.surround(world, Surroundings { cut, ..*self.surroundings(world) });
    }

    /// Replaces the cut and the budgets.
    pub(super) fn surround(&self, world: &mut World, surroundings: Surroundings) {
        *world.surroundings_mut() = self.intern_surroundings(surroundings);
    }

    fn surroundings_entry(&self, World { parts }: &World) -> &SurroundingsEntry {
        self.surroundings.get(parts[parts.len() - 1])
    }

    pub(super) fn intern_surroundings(&self, surroundings: Surroundings) -> Handle {
        let entry = |now| SurroundingsEntry { now, spent: Default::default() };
        self.surroundings.intern(surroundings, entry)
    }
}

impl World {
    fn surroundings_mut(&mut self) -> &mut Handle {
        self.parts.last_mut().expect("a world has surroundings")
    }
}
