//! The timers that a machine has armed.

use std::{collections::BTreeMap, future::poll_fn, task::Poll, time::Duration};
use tokio_util::time::{DelayQueue, delay_queue::Key};

/// The longest time after which a timer fires: the queue panics beyond two years.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// The timers that a machine has armed.
#[derive(Debug)]
pub(super) struct Timers<Timer> {
    queue: DelayQueue<Timer>,
    keys: BTreeMap<Timer, Key>,
}

impl<Timer: Ord + Clone> Timers<Timer> {
    pub(super) fn new() -> Self {
        Self { queue: DelayQueue::new(), keys: BTreeMap::new() }
    }

    /// Arms a timer, or arms it again.
    pub(super) fn set(&mut self, timer: Timer, after: Duration) {
        let after = after.min(LONGEST);
        if let Some(key) = self.keys.get(&timer) {
            self.queue.reset(key, after);
        } else {
            let key = self.queue.insert(timer.clone(), after);
            self.keys.insert(timer, key);
        }
    }

    pub(super) fn cancel(&mut self, timer: &Timer) {
        if let Some(key) = self.keys.remove(timer) {
            self.queue.remove(&key);
        }
    }

    /// Waits for the next timer that fires, and disarms it. Cancel-safe.
    pub(super) async fn next(&mut self) -> Timer {
        let timer = poll_fn(|context| match self.queue.poll_expired(context) {
            Poll::Ready(Some(expired)) => Poll::Ready(expired.into_inner()),
            // An empty queue wakes the task when a timer is inserted.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        })
        .await;
        self.keys.remove(&timer);
        timer
    }
}
