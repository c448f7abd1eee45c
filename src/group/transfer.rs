//! Summaries of any size. They are given piece by piece, each when the receiver asks for it: so other messages pass between
//! the pieces, and what is lost is asked for again.

use super::{Giving, Message, Part, Role, Service, Summary, Taking, log::After, turn::Turn};
use crate::machine::{Address, NodeId};
use im::Vector;

impl<S: Service> Turn<'_, S> {
    /// A part of the log for another node. If it begins with a summary that is more than one piece, that is begun.
    pub(super) fn cut(
        &mut self,
        node: NodeId,
        part: Part<S::Request, S::State>,
    ) -> Part<S::Request, S::State> {
        let After::Summary(base) = part.after else { return part };
        let (piece, rest) = self.group.service.split(base.application);
        let number = base.last.number;
        let base = Summary { application: piece.clone(), ..base };
        if rest.is_none() {
            self.state.giving.remove(&node);
            return Part { after: After::Summary(base), ..part };
        }
        self.state.giving.insert(node, Giving { number, pieces: 1, piece, rest });
        Part { after: After::Beginning(base), entries: Vector::new() }
    }

    /// Another node holds everything up to a number, and needs no summary of it.
    pub(super) fn given(&mut self, node: NodeId, held: u64) {
        if self.state.giving.get(&node).is_some_and(|giving| giving.number <= held) {
            self.state.giving.remove(&node);
        }
    }

    /// The last entry that must not be forgotten yet: whoever is given a summary asks for the entries after it.
    pub(super) fn promised_to_keep(&self) -> u64 {
        self.state.giving.values().map(|giving| giving.number).min().unwrap_or(u64::MAX)
    }

    /// A process asks for the next piece, or again for the last one.
    pub(super) fn asked_for_more(&mut self, node: NodeId, number: u64, pieces: u64) {
        let giving = self.state.giving.get_mut(&node).filter(|giving| giving.number == number);
        let Some(giving) = giving else { return self.send(node, Message::Gone { number }) };
        if pieces == giving.pieces
            && let Some(rest) = giving.rest.take()
        {
            (giving.piece, giving.rest) = self.group.service.split(rest);
            giving.pieces += 1;
        }
        // An older question has its answer already.
        if pieces + 1 == giving.pieces {
            let (piece, is_last) = (giving.piece.clone(), giving.rest.is_none());
            self.send(node, Message::Piece { number, pieces: pieces + 1, piece, is_last });
        }
    }

    /// Another process begins to give a summary. This one asks for the next piece, unless it is being given one already.
    pub(super) fn begin_taking(&mut self, from: Address, summary: Summary<S::State>) {
        if self.log().holds(summary.last) {
            // Everything in a summary is committed.
            self.deliver(summary.number());
        } else if self.state.taking.is_none() {
            self.state.taking = Some(Taking { from, summary, pieces: 1 });
            self.ask_for_more();
        }
    }

    /// Asks for the next piece of the summary that it is being given.
    pub(super) fn ask_for_more(&mut self) {
        if let Some(Taking { from, summary, pieces }) = &self.state.taking {
            let (node, number, pieces) = (from.node, summary.number(), *pieces);
            self.send(node, Message::More { number, pieces });
        }
    }

    /// A piece arrives. With the last one, the summary is taken over, and what comes after it is asked for.
    pub(super) fn piece_arrived(
        &mut self,
        from: Address,
        number: u64,
        pieces: u64,
        piece: S::State,
        is_last: bool,
    ) {
        let is_next = |taking: &mut Taking<S::State>| {
            taking.is_of(from, number) && taking.pieces + 1 == pieces
        };
        let Some(mut taking) = self.state.taking.take_if(is_next) else { return };
        self.group.service.join(&mut taking.summary.application, piece);
        taking.pieces = pieces;
        if !is_last {
            self.state.taking = Some(taking);
            return self.ask_for_more();
        }
        if self.log().holds(taking.summary.last) {
            self.deliver(number);
        } else {
            self.restore(taking.summary);
        }
        self.catch_up();
    }

    /// The giver of a summary does not know of it any more.
    pub(super) fn gone(&mut self, from: Address, number: u64) {
        if self.state.taking.take_if(|taking| taking.is_of(from, number)).is_some() {
            self.catch_up();
        }
    }

    /// Asks for what it lacks after a summary, or in place of one.
    fn catch_up(&mut self) {
        match self.state.role {
            Role::Candidate { .. } => self.prepare(),
            Role::Seeking { .. }
            | Role::Promised { .. }
            | Role::Following { .. }
            | Role::Leading { .. } => self.ask(),
        }
    }
}
