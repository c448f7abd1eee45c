//! The log: views and multicasts, in the order of their numbers.

use super::{Multicast, Term};
use crate::machine::{Address, NodeId, Value};
use im::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

/// The entries that a process holds. The first one has the number 1.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent, bound = "T: Value")]
pub struct Log<T>(Vector<Entry<T>>);

/// A view or a multicast.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entry<T> {
    /// The term in which it was appended.
    pub term: Term,
    /// The view or multicast.
    pub content: Content<T>,
}

/// What an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content<T> {
    /// The members from here on, by seniority.
    View(Vector<Address>),
    /// A multicast.
    Multicast(Multicast<T>),
}

/// The end of a log, or of a part of it. The greater one belongs to the better log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// The term of the entry; none before the first one.
    pub term: Option<Term>,
    /// Its number.
    pub number: u64,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self(Vector::new())
    }
}

impl<T: Value> Log<T> {
    /// The number of its last entry.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// True if it has no entries.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entry of a number.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Entry<T>> {
        self.0.get(index(number.checked_sub(1)?))
    }

    /// The end of the part up to a number. None if it is shorter.
    #[must_use]
    pub fn position(&self, number: u64) -> Option<Position> {
        match number {
            0 => Some(Position { term: None, number }),
            _ => self.get(number).map(|entry| Position { term: Some(entry.term), number }),
        }
    }

    /// Its end.
    #[must_use]
    pub fn last(&self) -> Position {
        Position { term: self.0.last().map(|entry| entry.term), number: self.len() }
    }

    /// The entries after a number.
    #[must_use]
    pub fn after(&self, number: u64) -> Vector<Entry<T>> {
        self.0.clone().split_off(index(number).min(self.0.len()))
    }

    /// The number of the last view up to a number; 0 if there is none.
    #[must_use]
    pub fn last_view(&self, number: u64) -> u64 {
        let is_view = |number: &u64| {
            self.get(*number).is_some_and(|entry| matches!(entry.content, Content::View(_)))
        };
        (1..=number.min(self.len())).rev().find(is_view).unwrap_or(0)
    }

    /// The members of the last view up to a number.
    #[must_use]
    pub fn members(&self, number: u64) -> Vector<Address> {
        match self.get(self.last_view(number)).map(|entry| &entry.content) {
            Some(Content::View(members)) => members.clone(),
            Some(Content::Multicast(_)) | None => Vector::new(),
        }
    }

    /// The members of its newest view, whether it counts or not.
    #[must_use]
    pub fn newest_members(&self) -> Vector<Address> {
        self.members(self.len())
    }

    /// The last member of each node that has none in the newest view.
    #[must_use]
    pub fn former_members(&self) -> Vector<Address> {
        let views = self.0.iter().filter_map(|entry| match &entry.content {
            Content::View(members) => Some(members),
            Content::Multicast(_) => None,
        });
        let all: OrdMap<NodeId, Address> =
            views.flatten().map(|member| (member.node, *member)).collect();
        let newest = self.newest_members();
        let is_former = |member: &Address| newest.iter().all(|other| other.node != member.node);
        all.values().copied().filter(is_former).collect()
    }

    pub(super) fn push(&mut self, entry: Entry<T>) {
        self.0.push_back(entry);
    }

    /// Replaces what comes after a number.
    pub(super) fn replace(&mut self, number: u64, entries: Vector<Entry<T>>) {
        self.0.truncate(index(number));
        self.0.append(entries);
    }

    /// Takes the leader's entries after one that it holds. What contradicts them is dropped. True if anything changed.
    pub(super) fn take(&mut self, previous: u64, entries: &Vector<Entry<T>>) -> bool {
        let number = (previous + 1..).zip(entries);
        let mut new = number.skip_while(|(number, entry)| {
            self.get(*number).is_some_and(|held| held.term == entry.term)
        });
        let Some((first, _)) = new.next() else { return false };
        let known = first - previous - 1;
        self.replace(first - 1, entries.clone().split_off(index(known)));
        true
    }
}

impl<T: Value> FromIterator<Entry<T>> for Log<T> {
    fn from_iter<I: IntoIterator<Item = Entry<T>>>(entries: I) -> Self {
        Self(entries.into_iter().collect())
    }
}

/// No log is longer than memory.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
