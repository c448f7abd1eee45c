//! The large values that the logs have only digests of, from the runs of the machine on other logs.

use crate::real::application::Application;
use interrex::{
    machine::{Address, Peer},
    runtime::Digest,
};
use rustc_hash::FxHashMap;
use std::{cell::OnceCell, collections::BTreeMap};

/// A value that a log needs from elsewhere.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// A message.
    Message {
        /// Its sender.
        from: Address,
        /// The step of the sender's life.
        sent: u64,
        /// The receiver.
        to: Address,
        /// Its digest.
        digest: Digest,
    },
    /// The content of stable storage with which a life begins.
    Stored {
        /// The life.
        me: Address,
    },
}

/// The values that the runs of the machine have produced so far.
pub(super) struct Supply<R: Application> {
    /// The large messages of each step of a life.
    messages: FxHashMap<(Address, u64), Vec<Parcel<R>>>,
    /// The possible contents of stable storage after the last life of each log that was run to its end.
    stored: BTreeMap<Address, Vec<Stored<R>>>,
}

struct Parcel<R: Application> {
    to: Peer,
    digest: Digest,
    /// None once it has arrived.
    message: Option<R::Message>,
}

struct Stored<R: Application> {
    content: R::Stable,
    digest: OnceCell<Option<Digest>>,
}

impl<R: Application> Supply<R> {
    pub(super) fn new() -> Self {
        Self { messages: FxHashMap::default(), stored: BTreeMap::new() }
    }

    /// A step has sent a large message.
    pub(super) fn send(
        &mut self,
        step: (Address, u64),
        to: Peer,
        digest: Digest,
        message: R::Message,
    ) {
        let parcel = Parcel { to, digest, message: Some(message) };
        self.messages.entry(step).or_default().push(parcel);
    }

    /// The life that is the last one of a log has left this in stable storage.
    pub(super) fn leave(&mut self, life: Address, contents: &[R::Stable]) {
        let stored =
            contents.iter().map(|it| Stored { content: it.clone(), digest: OnceCell::new() });
        self.stored.insert(life, stored.collect());
    }

    /// A message, which is not there any more then.
    pub(super) fn message(
        &mut self,
        step: (Address, u64),
        to: Address,
        digest: &Digest,
    ) -> Option<R::Message> {
        let mut parcels = self.messages.get_mut(&step)?.iter_mut();
        parcels.find_map(|it| if it.is(to, digest) { it.message.take() } else { None })
    }

    /// True if a message was there, whether it still is or not.
    pub(super) fn had(&self, step: (Address, u64), to: Address, digest: &Digest) -> bool {
        let parcels = self.messages.get(&step);
        parcels.is_some_and(|parcels| parcels.iter().any(|it| it.is(to, digest)))
    }

    /// The content of stable storage that an earlier life of the same node has left in another log.
    pub(super) fn stored(&self, me: Address, digest: &Digest) -> Option<R::Stable> {
        let (last, contents) = self.stored.range(..me).next_back()?;
        let is_it = |it: &&Stored<R>| {
            let known = it.digest.get_or_init(|| Digest::of_long(&it.content).ok().flatten());
            known.as_ref() == Some(digest)
        };
        let found = contents.iter().find(is_it).filter(|_| last.node == me.node);
        found.map(|it| it.content.clone())
    }
}

impl<R: Application> Parcel<R> {
    fn is(&self, to: Address, digest: &Digest) -> bool {
        let is_for_it = self.to == Peer::Process(to) || self.to == Peer::Name(to.node);
        is_for_it && self.digest == *digest
    }
}
