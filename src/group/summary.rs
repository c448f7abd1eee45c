//! What the first entries of a log amount to.

use super::{Content, Entry, Founding, Multicast, Position, Service, View};
use crate::machine::{Address, NodeId, Value};
use im::{OrdMap, Vector};
use serde::{Deserialize, Serialize};

/// The sum of the entries up to a committed one. Who has this needs none of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(bound = "A: Value")]
pub struct Summary<A> {
    /// The last of these entries.
    pub last: Position,
    /// The group. None before the first entry.
    pub group: Option<Founding>,
    /// The last view.
    pub view: Option<View>,
    /// The last member of each node that has ever been one.
    pub known: OrdMap<NodeId, Address>,
    /// The next multicast of each node: the process that sends it, and its sequence number.
    pub next: OrdMap<NodeId, (Address, u64)>,
    /// The application's state.
    pub application: A,
}

impl<A: Value> Summary<A> {
    /// The number of the last entry.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.last.number
    }

    /// The number of the last view; 0 if there is none.
    #[must_use]
    pub fn view_number(&self) -> u64 {
        self.view.as_ref().map_or(0, |view| view.number)
    }

    /// The members of the last view.
    #[must_use]
    pub fn members(&self) -> Vector<Address> {
        self.view.as_ref().map_or_else(Vector::new, |view| view.members.clone())
    }

    /// Adds the next entry. Returns the application's reply to a multicast.
    pub(super) fn add<S>(&mut self, service: &S, entry: &Entry<S::Request>) -> Option<S::Reply>
    where
        S: Service<State = A>,
    {
        let number = self.last.number + 1;
        self.last = Position { term: Some(entry.term), number };
        self.group.get_or_insert(Founding { by: entry.term.owner, anew: None });
        match &entry.content {
            Content::View(members) => {
                let members = members.clone();
                self.known.extend(members.iter().map(|member| (member.node, *member)));
                self.view = Some(View { number, term: entry.term, members });
                None
            }
            Content::Multicast(Multicast { origin, sequence, message }) => {
                self.next.insert(origin.node, (*origin, sequence + 1));
                Some(service.carry_out(&mut self.application, number, message.clone()))
            }
        }
    }
}
