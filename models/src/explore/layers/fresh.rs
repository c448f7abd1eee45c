//! The worlds of the layer that is being discovered, by several threads at once.

use crate::explore::{breadth::Fingerprint, visited::scaled};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// The way to a world by one step: the place of the world before it, and the index of the action among those that are
/// enabled there. Of several ways, the first in this order counts, whichever thread finds it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way(u64);

impl Way {
    const NTH_BITS: u32 = 16;

    /// # Panics
    /// If there are more than 2³² worlds, or 2¹⁶ enabled actions.
    pub(super) fn new(from: usize, nth: usize) -> Self {
        let from = u32::try_from(from).expect("fewer than 2^32 worlds");
        let nth = u16::try_from(nth).expect("fewer than 2^16 enabled actions");
        Self(u64::from(from) << Self::NTH_BITS | u64::from(nth))
    }

    /// Ways are kept with their bits inverted: the first is the largest, and any is larger than the 0 of an empty slot.
    fn kept(self) -> u64 {
        !self.0
    }

    pub(super) fn from(self) -> u32 {
        u32::try_from(self.0 >> Self::NTH_BITS).expect("32 bits")
    }

    pub(super) fn nth(self) -> u16 {
        u16::try_from(self.0 & 0xffff).expect("16 bits")
    }
}

/// The fingerprints of the layer that is being discovered, each with the first way that is known.
#[derive(Default)]
pub(super) struct Fresh {
    slots: Vec<Slot>,
    len: AtomicUsize,
}

/// An empty slot has the fingerprint 0.
#[derive(Default)]
struct Slot {
    print: AtomicU64,
    way: AtomicU64,
}

impl Fresh {
    pub(super) fn len(&self) -> usize {
        self.len.load(Relaxed)
    }

    /// Reads the memory in which a fingerprint is looked for.
    pub(super) fn touch(&self, print: Fingerprint) -> Fingerprint {
        self.slots[scaled(print, self.slots.len())].print.load(Relaxed)
    }

    /// True if it holds a fingerprint.
    pub(super) fn contains(&self, print: Fingerprint) -> bool {
        self.find(print).print.load(Relaxed) == print
    }

    /// Offers a way to a world that is not nearer. True if it is the first that is known: the world is new, or all ways
    /// that were offered before come later.
    pub(super) fn offer(&self, print: Fingerprint, way: Way) -> bool {
        let slot = self.find(print);
        match slot.print.compare_exchange(0, print, Relaxed, Relaxed) {
            Ok(_) => _ = self.len.fetch_add(1, Relaxed),
            Err(known) if known == print => {}
            // Another thread has just taken the slot for another world.
            Err(_) => return self.offer(print, way),
        }
        let kept = way.kept();
        slot.way.load(Relaxed) < kept && slot.way.fetch_max(kept, Relaxed) < kept
    }

    /// True if this is the first way to a world that was offered.
    pub(super) fn is_first(&self, print: Fingerprint, way: Way) -> bool {
        self.find(print).way.load(Relaxed) == way.kept()
    }

    fn find(&self, print: Fingerprint) -> &Slot {
        let mut place = scaled(print, self.slots.len());
        loop {
            let known = self.slots[place].print.load(Relaxed);
            if known == 0 || known == print {
                return &self.slots[place];
            }
            place += 1;
            if place == self.slots.len() {
                place = 0;
            }
        }
    }

    /// True if this many more fit in. Half of the slots stay empty, so that few collide.
    pub(super) fn has_room_for(&self, more: usize) -> bool {
        (self.len() + more) * 2 <= self.slots.len()
    }

    /// Makes room for this many more, and for as many as there are.
    pub(super) fn grow(&mut self, more: usize) {
        let room = (self.len() * 2 + more) * 2;
        let before = std::mem::take(&mut self.slots);
        self.slots.resize_with(room, Slot::default);
        for slot in before.into_iter().filter(|slot| slot.print.load(Relaxed) != 0) {
            let place = self.find(slot.print.load(Relaxed));
            place.print.store(slot.print.into_inner(), Relaxed);
            place.way.store(slot.way.into_inner(), Relaxed);
        }
    }

    /// Removes all fingerprints. They come in their order but for collisions.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = Fingerprint> {
        *self.len.get_mut() = 0;
        let slots = self.slots.iter_mut().map(std::mem::take);
        slots.map(|slot| slot.print.into_inner()).filter(|print| *print != 0)
    }
}
