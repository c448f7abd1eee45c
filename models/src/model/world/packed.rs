//! Worlds in little memory, as searches keep them by the million.

use super::World;
use crate::{
    io::binary::{Reader, Writer},
    model::parts::Handle,
};
use smallvec::SmallVec;
use std::io::{self, Read, Write};

/// Worlds of one system, one after the other: the handles of each.
#[derive(Debug, Default)]
pub struct Packed {
    handles: Vec<Handle>,
    /// The number of handles of a world.
    stride: usize,
}

impl Packed {
    /// The number of worlds.
    pub(crate) fn len(&self) -> usize {
        self.handles.len().checked_div(self.stride).unwrap_or(0)
    }

    /// Adds a world of the same system.
    pub(crate) fn push(&mut self, World { parts }: &World) {
        self.handles.extend_from_slice(parts);
        self.stride = parts.len();
    }

    /// The world of this number.
    pub(crate) fn get(&self, nth: usize) -> World {
        let range = nth * self.stride..(nth + 1) * self.stride;
        World { parts: SmallVec::from_slice(&self.handles[range]) }
    }

    /// Adds these worlds of others.
    pub(crate) fn extend(&mut self, others: &Self, range: std::ops::Range<usize>) {
        self.stride = others.stride;
        let [first, end] = [range.start, range.end].map(|nth| nth * others.stride);
        self.handles.extend_from_slice(&others.handles[first..end]);
    }

    /// Removes all worlds.
    pub(crate) fn clear(&mut self) {
        self.handles.clear();
    }

    /// Makes room for as many more as there are others.
    pub(crate) fn reserve_like(&mut self, others: &Self) {
        self.handles.reserve(others.handles.len());
    }

    /// Gives the memory back that is not used.
    pub(crate) fn shrink(&mut self) {
        self.handles.shrink_to_fit();
    }

    /// Keeps those of which the number `is_kept`.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(usize) -> bool) {
        let mut kept = 0;
        for nth in (0..self.len()).filter(|nth| is_kept(*nth)) {
            let from = nth * self.stride;
            self.handles.copy_within(from..from + self.stride, kept);
            kept += self.stride;
        }
        self.handles.truncate(kept);
    }

    pub(crate) fn write(&self, out: &mut Writer<impl Write>) -> io::Result<()> {
        out.count(self.stride)?;
        out.shorts(&self.handles)
    }

    pub(crate) fn read(from: &mut Reader<impl Read>) -> io::Result<Self> {
        let stride = from.count()?;
        Ok(Self { handles: from.shorts()?, stride })
    }
}
