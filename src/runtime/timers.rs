//! The timers that a machine has armed.

use std::{
    collections::BTreeMap,
    task::{Context, Poll},
    time::Duration,
};
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

    /// The next timer that fires, which is disarmed.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Timer> {
        // An empty queue wakes the task when a timer is inserted.
        let Poll::Ready(Some(expired)) = self.queue.poll_expired(cx) else { return Poll::Pending };
        let timer = expired.into_inner();
        self.keys.remove(&timer);
        Poll::Ready(timer)
    }
}
