//! Messages that were sent and are not in the kernel yet, in order.

use crate::runtime::connection::{EncodeError, encode};
use serde::Serialize;
use std::collections::VecDeque;

/// The most buffers that are kept for reuse.
const SPARE: usize = 64;
/// The largest buffer that is kept for reuse.
const SPARE_BYTES: usize = 64 << 10;

/// Messages that were sent and are not in the kernel yet, in order. A crash must lose a suffix of them and nothing else,
/// so messages to one node are not moved past those to another.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    runs: VecDeque<Run>,
    /// The number of runs to each node.
    counts: Vec<usize>,
    spare: Vec<Vec<u8>>,
}

/// Consecutive messages to one node.
#[derive(Debug)]
pub(super) struct Run {
    /// The index of the node.
    pub(super) to: usize,
    /// The frames.
    pub(super) bytes: Vec<u8>,
    /// The number of bytes that are encrypted.
    pub(super) done: usize,
    /// The number of messages.
    pub(super) messages: u64,
}

impl Outbox {
    /// An empty one, for a number of nodes.
    pub(super) fn new(nodes: usize) -> Self {
        Self { counts: vec![0; nodes], ..Self::default() }
    }

    /// Appends a message.
    pub(super) fn push(
        &mut self,
        to: usize,
        value: &impl Serialize,
        limit: usize,
    ) -> Result<(), EncodeError> {
        let run = self.last_run(to);
        encode(value, limit, &mut run.bytes)?;
        run.messages += 1;
        Ok(())
    }

    /// Appends a message that is encoded already.
    pub(super) fn push_encoded(&mut self, to: usize, frame: &[u8]) {
        let run = self.last_run(to);
        run.bytes.extend_from_slice(frame);
        run.messages += 1;
    }

    /// The last run if it is to this node, otherwise a new one.
    fn last_run(&mut self, to: usize) -> &mut Run {
        if self.runs.back().is_none_or(|run| run.to != to) {
            let bytes = self.spare.pop().unwrap_or_default();
            self.counts[to] += 1;
            self.runs.push_back(Run { to, bytes, done: 0, messages: 0 });
        }
        let last = self.runs.len() - 1;
        &mut self.runs[last]
    }

    /// The run to be written next.
    pub(super) fn head(&mut self) -> Option<&mut Run> {
        self.runs.front_mut()
    }

    /// Removes the head, which is written.
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

    /// True if the messages to a node are in several runs.
    pub(super) fn is_scattered(&self, to: usize) -> bool {
        self.counts[to] > 1
    }

    /// True if a message to this node may be written in part.
    pub(super) fn has_begun(&self, to: usize) -> bool {
        self.runs.front().is_some_and(|run| run.to == to && run.done > 0)
    }

    /// Drops all messages to a node, and returns their number.
    pub(super) fn forget(&mut self, to: usize) -> u64 {
        let lost = self.runs.iter().filter(|run| run.to == to).map(|run| run.messages).sum();
        self.runs.retain(|run| run.to != to);
        self.counts[to] = 0;
        lost
    }
}
