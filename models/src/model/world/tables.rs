//! The tables of rules, written to a file, and read back: worlds mean the same afterwards.

use super::{Rules, Surroundings};
use crate::{
    io::binary::{Reader, Writer},
    model::parts::tables::at,
    protocol::Protocol,
};
use std::{
    borrow::Borrow,
    io::{self, Read, Write},
};

impl<P: Protocol> Rules<P> {
    pub(crate) fn write(&self, out: &mut Writer<impl Write>) -> io::Result<()> {
        self.parts.write(out)?;
        out.count(self.surroundings.len())?;
        self.surroundings.entries().try_for_each(|entry| out.json::<Surroundings>(entry.borrow()))
    }

    /// Reads tables back. The rules must be new.
    pub(crate) fn read(&self, from: &mut Reader<impl Read>) -> io::Result<()> {
        self.parts.read(from)?;
        for place in 0..from.count()? {
            let surroundings: Surroundings = from.json()?;
            at(place, self.intern_surroundings(surroundings))?;
        }
        Ok(())
    }
}
