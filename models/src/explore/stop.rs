//! The end of a search before it is done: a time, or an interrupt.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// The condition that ends a search early. What it has found until then is reported; what it has not finished
/// is unknown. By default it does not stop.
///
/// # Example
///
/// ```
/// use interrex_models::explore::stop::Stop;
/// use std::{sync::atomic::{AtomicBool, Ordering}, time::Duration};
///
/// static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// let stop = Stop { on: Some(&INTERRUPTED), ..Stop::after(Duration::from_hours(1)) };
/// assert!(!stop.is_due());
/// INTERRUPTED.store(true, Ordering::Relaxed);
/// assert!(stop.is_due());
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Stop {
    /// The time at which it stops. It is the same for all parts of a search, and for all searches that get it.
    pub at: Option<Instant>,
    /// It stops when this becomes true.
    pub on: Option<&'static AtomicBool>,
}

impl Stop {
    /// Stops this long from now; without limit if the clock cannot represent that.
    #[must_use]
    pub fn after(time: Duration) -> Self {
        Self { at: Instant::now().checked_add(time), on: None }
    }

    /// True if it is time to stop.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.is_asked() || self.at.is_some_and(|at| Instant::now() >= at)
    }

    /// The same after this many units of work. Looking at the clock costs more than one of them does.
    pub(crate) fn is_due_after(&self, units: u64) -> bool {
        self.is_asked() || (units.is_multiple_of(64) && self.is_due())
    }

    fn is_asked(&self) -> bool {
        self.on.is_some_and(|on| on.load(Relaxed))
    }
}
