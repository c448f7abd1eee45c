//! The tables of parts, written to a file, and read back with the same handles.
//!
//! Everything that follows from a part is computed again. Steps are listed all the same: the parts do not tell which of
//! them were taken.

use super::{Node, Parts, Signals, Target};
use crate::{
    io::binary::{Reader, Writer},
    model::{memo::Handle, node::Input},
    protocol::Protocol,
};
use interrex::machine::Event;
use std::{
    io::{self, Read, Write},
    sync::atomic::Ordering::Relaxed,
};

impl<P: Protocol> Parts<P> {
    pub(in crate::model) fn write(&self, out: &mut Writer<impl Write>) -> io::Result<()> {
        out.count(self.inputs.len())?;
        self.inputs.entries().try_for_each(|input| out.json(input))?;
        out.count(self.nodes.len())?;
        self.nodes.entries().try_for_each(|entry| out.json(&*entry.node))?;
        out.count(self.links.len())?;
        self.links.entries().try_for_each(|link| out.shorts(&link.signals))?;
        for entry in self.nodes.entries() {
            for changed in [&entry.watching, &entry.unwatched] {
                out.shorts(&changed.keys().collect::<Vec<_>>())?;
            }
        }
        out.count(self.steps.count())?;
        self.steps.iter().try_for_each(|(_, step)| {
            let taken = step.taken.load(Relaxed);
            out.short(step.before)?;
            out.short(step.input)?;
            out.count(taken)
        })
    }

    /// Reads tables back. These must be new.
    pub(in crate::model) fn read(&self, from: &mut Reader<impl Read>) -> io::Result<()> {
        for place in 0..from.count()? {
            let input: Input<P> = from.json()?;
            at(place, self.input(input))?;
        }
        for place in 0..from.count()? {
            let node: Node<P> = from.json()?;
            at(place, self.intern_node(node))?;
        }
        for place in 0..from.count()? {
            at(place, self.intern_link(Signals::from_vec(from.shorts()?)))?;
        }
        for node in 0..self.nodes.len() {
            let node = super::narrow(node);
            for down in from.shorts()? {
                self.watch(node, self.target_of(down)?);
            }
            for down in from.shorts()? {
                self.unwatch(node, self.target_of(down)?);
            }
        }
        for _ in 0..from.count()? {
            let step = self.step_at(self.step(from.short()?, from.short()?));
            // Two threads may have computed it at once: then it is there twice, and one of the two was never taken.
            step.taken.fetch_max(from.count()?, Relaxed);
        }
        Ok(())
    }

    fn target_of(&self, down: Handle) -> io::Result<Target> {
        match self.input_at(down) {
            Input::Event(Event::Down(peer)) => Ok(Target { peer: *peer, down }),
            Input::Start(_) | Input::Event(_) => Err(another()),
        }
    }
}

/// Checks that a part has the handle that it had.
pub(in crate::model) fn at(place: usize, handle: Handle) -> io::Result<()> {
    if usize::try_from(handle) == Ok(place) { Ok(()) } else { Err(another()) }
}

fn another() -> io::Error {
    io::Error::other("the machine does not do the same as when it was written")
}
