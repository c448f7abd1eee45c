//! The log: views and multicasts, in the order of their numbers.

use super::{Multicast, Service, Summary, Term, size::first};
use crate::machine::{Address, Value};
use im::Vector;
use serde::{Deserialize, Serialize};

/// The entries that a process holds. The first one has the number 1; those that were forgotten are summed up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "R: Value, A: Value")]
pub struct Log<R, A> {
    /// The summary of the forgotten entries.
    base: Summary<A>,
    /// The entries after those.
    entries: Vector<Entry<R>>,
}

/// A view or a multicast.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Entry<R> {
    /// The term in which it was appended.
    pub term: Term,
    /// The view or multicast.
    pub content: Content<R>,
}

/// What an entry is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content<R> {
    /// The members from here on, by seniority.
    View(Vector<Address>),
    /// A multicast.
    Multicast(Multicast<R>),
}

/// The end of a log, or of a part of it. The greater one belongs to the better log.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Position {
    /// The term of the entry; none before the first one.
    pub term: Option<Term>,
    /// Its number.
    pub number: u64,
}

/// Consecutive entries of a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "R: Value, A: Value")]
pub struct Part<R, A> {
    /// The predecessor of the first one.
    pub after: After<A>,
    /// Possibly none.
    pub entries: Vector<Entry<R>>,
}

/// The predecessor of the entries of a [`Part`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", bound = "A: Value")]
pub enum After<A> {
    /// An entry that the receiver should hold.
    Entry(Position),
    /// Everything before them. For a receiver that lacks more than the sender remembers.
    Summary(Summary<A>),
    /// The same with the first piece of the application's state only, and without entries: the receiver asks for the other
    /// pieces, and then for the entries.
    Beginning(Summary<A>),
}

impl<A> After<A> {
    /// The last entry before the part.
    #[must_use]
    pub fn last(&self) -> Position {
        match self {
            Self::Entry(position) => *position,
            Self::Summary(base) | Self::Beginning(base) => base.last,
        }
    }
}

impl<R: Value, A: Value> Part<R, A> {
    /// Its end.
    #[must_use]
    pub fn last(&self) -> Position {
        let before = self.after.last();
        match self.entries.last() {
            Some(entry) => {
                let number = before.number.saturating_add(self.entries.len() as u64);
                Position { term: Some(entry.term), number }
            }
            None => before,
        }
    }

    /// True if it says more than where it begins.
    #[must_use]
    pub fn has_news(&self) -> bool {
        let is_entry = matches!(self.after, After::Entry(_));
        !self.entries.is_empty() || !is_entry
    }
}

impl<R: Value, A: Value + Default> Log<R, A> {
    /// The number of its last entry.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.base.last.number.saturating_add(self.entries.len() as u64)
    }

    /// True if it has never had an entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The summary of the forgotten entries.
    #[must_use]
    pub fn base(&self) -> &Summary<A> {
        &self.base
    }

    /// The entry of a number. None if it has been forgotten, or is not there yet.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Entry<R>> {
        let place = number.checked_sub(self.base.last.number)?.checked_sub(1)?;
        self.entries.get(index(place))
    }

    /// The end of the part up to a number. None if that entry has been forgotten, or is not there yet.
    #[must_use]
    pub fn position(&self, number: u64) -> Option<Position> {
        if number == self.base.last.number {
            return Some(self.base.last);
        }
        self.get(number).map(|entry| Position { term: Some(entry.term), number })
    }

    /// True if the entry at this position is held, or was. What has been forgotten is committed, so that it is the same
    /// everywhere.
    #[must_use]
    pub fn holds(&self, position: Position) -> bool {
        let Position { number, .. } = position;
        number < self.base.last.number || self.position(number) == Some(position)
    }

    /// Its end.
    #[must_use]
    pub fn last(&self) -> Position {
        match self.entries.last() {
            Some(entry) => Position { term: Some(entry.term), number: self.len() },
            None => self.base.last,
        }
    }

    /// The entries after a number, or all if some of them have been forgotten.
    #[must_use]
    pub fn part_after(&self, number: u64) -> Part<R, A> {
        self.batch_after(number, u64::MAX)
    }

    /// The same, but only the first ones: as many as are this large in bytes, and one at least.
    pub(super) fn batch_after(&self, number: u64, most: u64) -> Part<R, A> {
        match self.position(number) {
            Some(position) => {
                // Splitting the vector would copy its neighbours.
                let numbers = number.saturating_add(1)..=self.len();
                let held = numbers.filter_map(|number| self.get(number));
                let entries = first(held, most).cloned().collect();
                Part { after: After::Entry(position), entries }
            }
            None if number > self.len() => {
                Part { after: After::Entry(self.last()), entries: Vector::new() }
            }
            None => {
                let entries = first(&self.entries, most).cloned().collect();
                Part { after: After::Summary(self.base.clone()), entries }
            }
        }
    }

    /// All of it.
    #[must_use]
    pub fn whole(&self) -> Part<R, A> {
        Part { after: After::Summary(self.base.clone()), entries: self.entries.clone() }
    }

    /// The number and the members of the newest view after an entry, if there is one.
    #[must_use]
    pub fn newest_view_after(&self, number: u64) -> Option<(u64, &Vector<Address>)> {
        let first = number.max(self.base.last.number).saturating_add(1);
        let numbers = (first..=self.len()).rev();
        let mut views = numbers.filter_map(|number| match &self.get(number)?.content {
            Content::View(members) => Some((number, members)),
            Content::Multicast(_) => None,
        });
        views.next()
    }

    pub(super) fn push(&mut self, entry: Entry<R>) {
        self.entries.push_back(entry);
    }

    /// Takes the entries after one that it holds. What contradicts them is dropped. Returns the number after which the log
    /// has changed, if it has.
    pub(super) fn take(&mut self, previous: u64, entries: &Vector<Entry<R>>) -> Option<u64> {
        let mut new = (previous + 1..).zip(entries).skip_while(|(number, entry)| {
            let held = self.get(*number).is_some_and(|held| held.term == entry.term);
            held || *number <= self.base.last.number
        });
        let (first, _) = new.next()?;
        let known = index(first - previous - 1);
        self.replace(first - 1, entries.iter().skip(known).cloned());
        Some(first - 1)
    }

    /// Replaces what comes after a number.
    fn replace(&mut self, number: u64, entries: impl IntoIterator<Item = Entry<R>>) {
        self.entries.truncate(index(number.saturating_sub(self.base.last.number)));
        self.entries.extend(entries);
    }

    /// Forgets the entries up to a number.
    pub(super) fn forget<S>(&mut self, service: &S, number: u64)
    where
        S: Service<Request = R, State = A>,
    {
        while self.base.last.number < number
            && let Some(entry) = self.entries.pop_front()
        {
            self.base.add(service, &entry);
        }
    }

    /// What is stored after a change.
    pub(super) fn changed<S>(
        before: Option<Part<R, A>>,
        change: Part<R, A>,
        service: &S,
        forgotten: u64,
    ) -> Part<R, A>
    where
        S: Service<Request = R, State = A>,
    {
        let After::Entry(Position { number, .. }) = change.after else { return change };
        let mut log = before.map_or_else(Self::default, Self::from);
        log.replace(number, change.entries);
        log.forget(service, forgotten);
        log.whole()
    }
}

impl<R, A: Default> Default for Log<R, A> {
    fn default() -> Self {
        Self { base: Summary::default(), entries: Vector::new() }
    }
}

/// The log of which this is the whole.
impl<R: Value, A: Value + Default> From<Part<R, A>> for Log<R, A> {
    fn from(Part { after, entries }: Part<R, A>) -> Self {
        let base = match after {
            // A log is never made of a beginning.
            After::Entry(_) | After::Beginning(_) => Summary::default(),
            After::Summary(base) => base,
        };
        Self { base, entries }
    }
}

impl<R: Value, A: Value + Default> FromIterator<Entry<R>> for Log<R, A> {
    fn from_iter<I: IntoIterator<Item = Entry<R>>>(entries: I) -> Self {
        Self { base: Summary::default(), entries: entries.into_iter().collect() }
    }
}

/// No log is longer than memory.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
