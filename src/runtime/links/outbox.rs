//! What was sent and is not in the kernel yet, in order.

use crate::runtime::connection::{Unsendable, encode};
use serde::Serialize;
use std::collections::VecDeque;

/// How many buffers are kept for reuse, and how large each may be.
const SPARE: usize = 64;
const SPARE_BYTES: usize = 64 << 10;

/// What was sent and is not in the kernel yet, in order: a crash must take back a suffix of it, so nothing is put
/// together across the nodes it is for.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    runs: VecDeque<Run>,
    /// How many runs there are for each node.
    counts: Vec<usize>,
    spare: Vec<Vec<u8>>,
}

/// Messages to one node, between which nothing was sent to another.
#[derive(Debug)]
pub(super) struct Run {
    /// Which of the nodes.
    pub(super) to: usize,
    /// The frames.
    pub(super) bytes: Vec<u8>,
    /// How many of the bytes were encrypted.
    pub(super) done: usize,
    /// How many messages they are.
    pub(super) messages: u64,
}

impl Outbox {
    /// For so many nodes.
    pub(super) fn new(nodes: usize) -> Self {
        Self { counts: vec![0; nodes], ..Self::default() }
    }

    /// Adds a message, at the end.
    pub(super) fn push(
        &mut self,
        to: usize,
        value: &impl Serialize,
        limit: usize,
    ) -> Result<(), Unsendable> {
        let run = self.last_for(to);
        encode(value, limit, &mut run.bytes)?;
        run.messages += 1;
        Ok(())
    }

    /// Adds a message that is encoded already.
    pub(super) fn push_encoded(&mut self, to: usize, frame: &[u8]) {
        let run = self.last_for(to);
        run.bytes.extend_from_slice(frame);
        run.messages += 1;
    }

    /// The last run, if it is for this node, or a new one.
    fn last_for(&mut self, to: usize) -> &mut Run {
        if self.runs.back().is_none_or(|run| run.to != to) {
            let bytes = self.spare.pop().unwrap_or_default();
            self.counts[to] += 1;
            self.runs.push_back(Run { to, bytes, done: 0, messages: 0 });
        }
        let last = self.runs.len() - 1;
        &mut self.runs[last]
    }

    /// What has to be written next.
    pub(super) fn head(&mut self) -> Option<&mut Run> {
        self.runs.front_mut()
    }

    /// The head was written.
    pub(super) fn pop(&mut self) {
        if let Some(mut run) = self.runs.pop_front() {
            self.counts[run.to] -= 1;
            if self.spare.len() < SPARE && run.bytes.capacity() <= SPARE_BYTES {
                run.bytes.clear();
                self.spare.push(run.bytes);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Whether what is sent to a node is not gathered in one run.
    pub(super) fn is_scattered(&self, to: usize) -> bool {
        self.counts[to] > 1
    }

    /// Whether a message to this node may be written in part.
    pub(super) fn has_begun(&self, to: usize) -> bool {
        self.runs.front().is_some_and(|run| run.to == to && run.done > 0)
    }

    /// Forgets what is for a node; how many messages that was.
    pub(super) fn forget(&mut self, to: usize) -> u64 {
        let lost = self.runs.iter().filter(|run| run.to == to).map(|run| run.messages).sum();
        self.runs.retain(|run| run.to != to);
        self.counts[to] = 0;
        lost
    }
}
