//! Failure detection: when a silent process is suspected.

use crate::machine::Address;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};
use tokio::time::Instant;

/// Decides how long a process may be silent before it is taken for dead.
///
/// A detector is for hosts that do not answer. If the other host closes the connection, the process is down without
/// asking the detector. If the detector errs, the machine gets `Down` of a process that is up. The harness calls that
/// a suspicion.
///
/// The node calls it from its own task, so it must not block. If it panics, the node ends with
/// [`RunError::Panicked`](super::RunError::Panicked).
///
/// # Example
///
/// A longer timeout for a node that is far away, with [`spawn_with`](super::Node::spawn_with):
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
///     fn timeout(&self) -> Duration {
///         Duration::from_secs(1)
///     }
///
///     fn heard(&mut self, process: Address, period: Duration, now: Instant) -> Instant {
///         now + period.max(self.period()) * if process.node == self.0 { 25 } else { 5 }
///     }
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let config = Config::new(NodeId(0), "127.0.0.1:0", [], ClusterKey::generate()?, "gms3");
/// let storage = None::<Directory>;
/// let node = Node::spawn_with(Gms3::<String>::default(), config, Tcp, OneIsFar(NodeId(7)), storage).await?;
/// node.shut_down().await?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Detector: Send + 'static {
    /// How often to send a heartbeat. Read again at each heartbeat; the other nodes are told the first value. Less than a
    /// millisecond counts as one.
    fn period(&self) -> Duration;

    /// How long most processes may be silent. Read once. It decides nothing: the other nodes are told, and where theirs is
    /// another one, both warn.
    fn timeout(&self) -> Duration;

    /// Something was read from a process, which sends a heartbeat once a `period`, as it has said. Returns the time until
    /// which the next bytes must arrive. After that the process is suspected: its connections are closed and the machine
    /// gets `Down`. The node waits for two periods at least.
    fn heard(&mut self, process: Address, period: Duration, now: Instant) -> Instant;

    /// The connections with a process have ended. [`heard`](Self::heard) is called again if it reconnects.
    fn over(&mut self, _: Address) {}
}

/// The heartbeats of a node, as it tells the others when they connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Timing {
    /// The time between two of them.
    pub(super) period: Duration,
    /// The time that others may be silent.
    timeout: Duration,
}

impl Timing {
    pub(super) fn of(detector: &impl Detector) -> Self {
        Self { period: detector.period(), timeout: detector.timeout() }
    }
}

impl fmt::Display for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "every {:?}, time-out {:?}", self.period, self.timeout)
    }
}

/// Heartbeats are not sent more often.
pub(super) const SHORTEST: Duration = Duration::from_millis(1);
/// A timeout that is longer is cut to this: clocks have an end.
pub(super) const LONGEST: Duration = Duration::from_hours(365 * 24);

/// The detector with one timeout for all processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Heartbeats {
    /// How often to send a heartbeat on each connection. Default: 200 ms. Less than 1 ms counts as 1 ms.
    pub period: Duration,
    /// How long a process may be silent. Default: 1 s. After that it is suspected. It should be several times the `period`,
    /// and longer than the longest pause of a node, for example a slow [`persist`](super::Storage::persist); otherwise
    /// processes that are up are suspected. A process whose period is longer than this node's may be silent for
    /// proportionally longer. More than a year counts as a year.
    ///
    /// A process that sends heartbeats and reads nothing may do so ten times as long. Then the connection *to* it is
    /// closed, and messages on it are lost.
    pub timeout: Duration,
}

impl Default for Heartbeats {
    fn default() -> Self {
        Self::with_timeout(Duration::from_secs(1))
    }
}

impl Heartbeats {
    /// This period and this timeout.
    #[must_use]
    pub fn new(period: Duration, timeout: Duration) -> Self {
        Self { period, timeout }
    }

    /// This timeout, and a fifth of it as the period.
    #[must_use]
    pub fn with_timeout(timeout: Duration) -> Self {
        Self { period: timeout / 5, timeout }
    }
}

impl Detector for Heartbeats {
    fn period(&self) -> Duration {
        self.period
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn heard(&mut self, _: Address, period: Duration, now: Instant) -> Instant {
        let slower = period.as_secs_f64() / self.period.max(SHORTEST).as_secs_f64();
        let timeout = self.timeout.min(LONGEST).as_secs_f64() * slower.max(1.0);
        now + Duration::try_from_secs_f64(timeout).unwrap_or(LONGEST).min(LONGEST)
    }
}
