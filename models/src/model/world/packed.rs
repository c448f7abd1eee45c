//! Worlds in little memory, as searches keep them by the million.

use super::{Rules, World};
use crate::{
    model::{action::Side, environment::Budgets, parts::Handle},
    protocol::Protocol,
};
use smallvec::SmallVec;

/// Worlds of one system, one after the other: the handles of each, and one more for its cut and its budgets.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    handles: Vec<Handle>,
    /// The number of handles of a world.
    stride: usize,
    /// The cut and the budgets that were looked up last: mostly those of the next world, too.
    last: Option<(Purse, Handle)>,
}

/// The cut and the budgets of a world.
pub(super) type Purse = (Option<Side>, Budgets);

impl Packed {
    /// The number of worlds.
    pub(crate) fn len(&self) -> usize {
        self.handles.len().checked_div(self.stride).unwrap_or(0)
    }

    /// Adds a world of these rules.
    pub(crate) fn push<P: Protocol>(&mut self, rules: &Rules<P>, world: &World) {
        let purse = (world.cut, world.budgets);
        self.handles.extend_from_slice(&world.parts);
        self.handles.push(match self.last {
            Some((last, handle)) if last == purse => handle,
            _ => {
                let handle = rules.purses.intern(purse, |purse| purse);
                self.last = Some((purse, handle));
                handle
            }
        });
        self.stride = world.parts.len() + 1;
    }

    /// The world of this number.
    pub(crate) fn get<P: Protocol>(&self, rules: &Rules<P>, nth: usize) -> World {
        let [parts @ .., purse] = &self.handles[nth * self.stride..(nth + 1) * self.stride] else {
            unreachable!("a world without handles")
        };
        let (cut, budgets) = *rules.purses.get(*purse);
        World { parts: SmallVec::from_slice(parts), cut, budgets }
    }

    /// Adds these worlds of others.
    pub(crate) fn extend(&mut self, others: &Self, range: std::ops::Range<usize>) {
        self.stride = others.stride;
        let [first, end] = [range.start, range.end].map(|nth| nth * others.stride);
        self.handles.extend_from_slice(&others.handles[first..end]);
    }

    /// Makes room for as many more as there are others.
    pub(crate) fn reserve_like(&mut self, others: &Self) {
        self.handles.reserve(others.handles.len());
    }

    /// Gives the memory back that is not used.
    pub(crate) fn shrink(&mut self) {
        self.handles.shrink_to_fit();
    }

    /// Keeps those of which the number `is_kept`.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(usize) -> bool) {
        let mut kept = 0;
        for nth in (0..self.len()).filter(|nth| is_kept(*nth)) {
            let from = nth * self.stride;
            self.handles.copy_within(from..from + self.stride, kept);
            kept += self.stride;
        }
        self.handles.truncate(kept);
    }
}
