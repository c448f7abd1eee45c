//! Tables that threads share: they keep each value once, and remember the results of functions.

use derive_where::derive_where;
use hashbrown::{
    HashTable,
    hash_table::Entry::{Occupied, Vacant},
};
use rustc_hash::FxBuildHasher;
use std::{
    borrow::Borrow,
    hash::{BuildHasher, Hash},
    marker::PhantomData,
    sync::{OnceLock, RwLock},
};

/// The place of a value in its table.
pub type Handle = u32;

/// Each distinct value once, in the order of first use, with an entry about it that holds the value.
#[derive_where(Default)]
pub(crate) struct Table<T, Entry = T> {
    entries: boxcar::Vec<Entry>,
    handles: [RwLock<Handles>; SHARDS],
    values: PhantomData<fn() -> T>,
}

/// The handles of values, by their hashes. The values are in the entries.
type Handles = HashTable<(u64, Handle)>;

/// Threads that need different values seldom wait for each other.
const SHARDS: usize = 32;

impl<T: Eq + Hash, E: Borrow<T>> Table<T, E> {
    pub(crate) fn get(&self, handle: Handle) -> &E {
        &self.entries[handle as usize]
    }

    /// The handles of all values so far.
    pub(crate) fn handles(&self) -> impl Iterator<Item = Handle> {
        self.entries.iter().map(|(place, _)| narrow(place))
    }

    /// The entries of all values so far.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &E> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// The number of values so far.
    pub(crate) fn len(&self) -> usize {
        self.entries.count()
    }

    /// The handle of a value. A new value gets the entry that `entry` makes of it.
    pub(crate) fn intern(&self, value: T, entry: impl FnOnce(T) -> E) -> Handle {
        let hash = FxBuildHasher.hash_one(&value);
        let is_same =
            |(of, handle): &(u64, Handle)| *of == hash && *self.get(*handle).borrow() == value;
        // Other bits than those by which a shard orders its handles.
        let shard = &self.handles[(hash >> 32) as usize % SHARDS];
        let known = shard.read().expect("no thread has panicked");
        if let Some((_, handle)) = known.find(hash, is_same) {
            return *handle;
        }
        drop(known);
        let mut shard = shard.write().expect("no thread has panicked");
        match shard.entry(hash, is_same, |(hash, _)| *hash) {
            Occupied(known) => known.get().1,
            Vacant(new) => {
                let handle = narrow(self.entries.push(entry(value)));
                new.insert((hash, handle));
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

    /// All values so far.
    pub(crate) fn values(&self) -> impl Iterator<Item = V> {
        self.forks().map(|fork| fork.value)
    }

    /// All arguments so far.
    pub(crate) fn keys(&self) -> impl Iterator<Item = Handle> {
        self.forks().map(|fork| fork.key)
    }

    fn forks(&self) -> impl Iterator<Item = &Fork<V>> {
        let mut ahead = vec![self];
        std::iter::from_fn(move || {
            let fork = std::iter::from_fn(|| ahead.pop()).find_map(|tree| tree.0.get())?;
            ahead.extend(&fork.next);
            Some(&**fork)
        })
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
