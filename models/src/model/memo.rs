//! Tables that threads share: they keep each value once, and remember the results of functions.

use dashmap::{DashMap, Entry};
use derive_where::derive_where;
use rustc_hash::FxBuildHasher;
use std::{hash::Hash, sync::OnceLock};

/// The place of a value in its table.
pub type Handle = u32;

/// Each distinct value once, in the order of first use, with an entry about it.
#[derive_where(Default; T: Eq + Hash)]
pub(crate) struct Table<T, Entry = T> {
    entries: boxcar::Vec<Entry>,
    handles: DashMap<T, Handle, FxBuildHasher>,
}

impl<T: Clone + Eq + Hash, E> Table<T, E> {
    pub(crate) fn get(&self, handle: Handle) -> &E {
        &self.entries[handle as usize]
    }

    /// The handles of all values so far.
    pub(crate) fn handles(&self) -> impl Iterator<Item = Handle> {
        self.entries.iter().map(|(place, _)| narrow(place))
    }

    /// The handle of a value. A new value gets the entry that `entry` makes of it.
    pub(crate) fn intern(&self, value: T, entry: impl FnOnce(T) -> E) -> Handle {
        if let Some(handle) = self.handles.get(&value) {
            return *handle;
        }
        match self.handles.entry(value) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let handle = narrow(self.entries.push(entry(new.key().clone())));
                new.insert(handle);
                handle
            }
        }
    }
}

/// A function of a handle whose values are computed once for each argument. It is a lock-free binary trie keyed by a bit-mixed handle: at most
/// 33 levels, O(log n) in practice. It only grows at its leaves, so readers take no lock.
#[derive_where(Default)]
pub(crate) struct Tree<V>(OnceLock<Box<Fork<V>>>);

struct Fork<V> {
    key: Handle,
    value: V,
    next: [Tree<V>; 2],
}

impl<V: Copy> Tree<V> {
    /// Looks a value up, or computes it and adds it.
    pub(crate) fn remember(&self, key: Handle, value: impl FnOnce() -> V) -> V {
        // An odd factor: different keys get different numbers, so their paths diverge.
        let way = key.wrapping_mul(0x9e37_79b9);
        match self.look_up(key, way) {
            Ok(known) => known,
            Err((leaf, way)) => leaf.add(key, way, value()),
        }
    }

    /// The value, or the leaf where it is missing and the rest of the path from there.
    fn look_up(&self, key: Handle, mut way: u32) -> Result<V, (&Self, u32)> {
        let mut leaf = self;
        while let Some(fork) = leaf.0.get() {
            if fork.key == key {
                return Ok(fork.value);
            }
            leaf = &fork.next[(way >> 31) as usize];
            way <<= 1;
        }
        Err((leaf, way))
    }

    /// Adds a value. If another thread has added a value here meanwhile, this one goes below it, unless the
    /// keys are the same.
    fn add(&self, key: Handle, mut way: u32, value: V) -> V {
        let mut leaf = self;
        while leaf.0.set(Box::new(Fork { key, value, next: Default::default() })).is_err() {
            match leaf.look_up(key, way) {
                Ok(known) => return known,
                Err(later) => (leaf, way) = later,
            }
        }
        value
    }
}

/// # Panics
/// If a table holds more than 2³² values, which no memory does.
pub(crate) fn narrow(index: usize) -> Handle {
    Handle::try_from(index).expect("fewer than 2^32 parts")
}
