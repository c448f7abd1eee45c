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

/// The same for few arguments: a list that only grows at its end, so that readers take no lock.
#[derive_where(Default)]
pub(crate) struct Chain<K, V>(OnceLock<Box<Link<K, V>>>);

struct Link<K, V> {
    key: K,
    value: V,
    next: Chain<K, V>,
}

impl<K: Copy + Eq, V: Copy> Chain<K, V> {
    /// Looks a value up, or computes it and appends it.
    pub(crate) fn remember(&self, key: K, value: impl FnOnce() -> V) -> V {
        let (end, known) = self.look_up(key);
        known.unwrap_or_else(|| end.append(key, value()))
    }

    /// The value, or the end of the chain, where it is missing.
    fn look_up(&self, key: K) -> (&Self, Option<V>) {
        let mut end = self;
        while let Some(link) = end.0.get() {
            if link.key == key {
                return (end, Some(link.value));
            }
            end = &link.next;
        }
        (end, None)
    }

    /// If another thread has appended meanwhile, this goes behind, unless it is the same.
    fn append(&self, key: K, value: V) -> V {
        let mut end = self;
        while end.0.set(Box::new(Link { key, value, next: Self::default() })).is_err() {
            let (later, known) = end.look_up(key);
            if let Some(known) = known {
                return known;
            }
            end = later;
        }
        value
    }
}

/// # Panics
/// If a table holds more than 2³² values, which no memory does.
pub(crate) fn narrow(index: usize) -> Handle {
    Handle::try_from(index).expect("fewer than 2^32 parts")
}
