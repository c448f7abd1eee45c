//! Tables that threads share: each value once, and functions that remember.

use dashmap::{DashMap, Entry};
use derive_where::derive_where;
use rustc_hash::FxBuildHasher;
use std::{hash::Hash, sync::OnceLock};

/// The place of a value in its table.
pub type Handle = u32;

/// Each different value once, in the order in which they were met, with what is known about it.
#[derive_where(Default; T: Eq + Hash)]
pub(crate) struct Table<T, Entry = T> {
    entries: boxcar::Vec<Entry>,
    handles: DashMap<T, Handle, FxBuildHasher>,
}

impl<T: Clone + Eq + Hash, E> Table<T, E> {
    pub(crate) fn get(&self, handle: Handle) -> &E {
        &self.entries[handle as usize]
    }

    /// The handle of a value, which `entry` describes when it is met for the first time.
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

/// A function whose values are computed once for each argument.
pub(crate) type Memo<K, V> = DashMap<K, V, FxBuildHasher>;

/// Looks a value up, or computes it. Two threads may compute it at the same time; both get the first.
pub(crate) fn remember<K: Eq + Hash, V: Copy>(
    memo: &Memo<K, V>,
    key: K,
    value: impl FnOnce() -> V,
) -> V {
    if let Some(known) = memo.get(&key) {
        return *known;
    }
    let value = value();
    *memo.entry(key).or_insert(value)
}

/// The same for a function of one handle, mostly of few: a tree that only grows at its leaves, so that
/// readers take no lock. The bits of a key, mixed, say where to go on; one key is as good as in a list, and
/// thousands are as far as their logarithm.
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
        // It takes different keys to different numbers, so that their ways part somewhere.
        let way = key.wrapping_mul(0x9e37_79b9);
        match self.look_up(key, way) {
            Ok(known) => known,
            Err((leaf, way)) => leaf.add(key, way, value()),
        }
    }

    /// The value, or the leaf where it is missing, and the rest of the way from there.
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

    /// If another thread has added something here meanwhile, this goes behind, unless it is the same.
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
