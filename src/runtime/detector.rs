//! When a silent node is thought to be down.

use crate::machine::Address;
use std::time::Duration;
use tokio::time::Instant;

/// Says how long a process may be silent.
///
/// That its host has ended the connection needs no detector. A detector is for hosts that do not answer. Where it errs,
/// the machine is told `Down` of somebody who is up: what the harness calls a suspicion.
///
/// # Example
///
/// One with more patience for a node that is far away, for [`spawn_with`](super::Node::spawn_with):
///
/// ```
/// use interrex::{
///     gms3::Gms3,
///     machine::{Address, NodeId},
///     runtime::{ClusterKey, Config, Detector, Directory, Node, Tcp},
/// };
/// use std::time::Duration;
/// use tokio::time::Instant;
///
/// struct OneIsFar(NodeId);
///
/// impl Detector for OneIsFar {
///     fn period(&self) -> Duration {
///         Duration::from_millis(200)
///     }
///
///     fn heard(&mut self, process: Address, now: Instant) -> Instant {
///         now + Duration::from_secs(if process.node == self.0 { 5 } else { 1 })
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let config = Config::new(NodeId(0), "127.0.0.1:0", [], ClusterKey::generate()?, "gms3");
/// let nowhere = None::<Directory>;
/// let node = Node::spawn_with(Gms3::<String>::default(), config, Tcp, OneIsFar(NodeId(7)), nowhere).await?;
/// node.shut_down().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Detector: Send + 'static {
    /// How often to give a sign of life where there is nothing else to send.
    fn period(&self) -> Duration;

    /// A process has given a sign of life. It is thought to be down if it gives none until the time that is returned.
    fn heard(&mut self, process: Address, now: Instant) -> Instant;

    /// Nothing more will be heard of a process.
    fn over(&mut self, _: Address) {}
}

/// Silence that may last longer than this may last for ever: clocks have an end.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// The same patience with everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeats {
    /// How often to give a sign of life.
    pub period: Duration,
    /// How long a process may be silent. At least a few periods: what is shorter than a pause of the scheduler errs.
    pub timeout: Duration,
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self::with_timeout(Duration::from_secs(1))
    }
}

impl Heartbeats {
    /// Five signs of life in each time-out.
    #[must_use]
    pub fn with_timeout(timeout: Duration) -> Self {
        Self { period: timeout / 5, timeout }
    }
}

impl Detector for Heartbeats {
    fn period(&self) -> Duration {
        self.period
    }

    fn heard(&mut self, _: Address, now: Instant) -> Instant {
        now + self.timeout.min(LONGEST)
    }
}
