//! Runs any [`Machine`](crate::machine::Machine) for real: over TCP, with a clock, a failure detector and a disk.
//!
//! A [`Node`] is one task that owns everything: the machine's state, the connections, the timers, the storage. It
//! takes an event, calls [`step`](crate::machine::Machine::step), and carries the effects out in their order.
//! It decides nothing: no line here reads what a message says.
//!
//! # What it contributes
//!
//! Exactly the assumptions that the harness checks protocols under (SEMANTICS.md):
//!
//! * **Links.** Each node has a connection of its own to every other, on which only it writes. What is written on it
//!   arrives in order and once, or the connection ends. A message to a node that cannot be reached is dropped
//!   visibly: counted, and told to `tracing`.
//! * **A crash takes back a suffix.** What a node sends, to whomever, is handed to the kernel in the order of its
//!   effects. A process that is killed loses the last of what it did, never something in between. So small
//!   messages are gathered in the kernel ([`Transport::hold`]), not in the process.
//! * **`Down` comes last.** A `Down` is the end of the connection *from* that node, behind everything that came on
//!   it.
//! * **Detectors.** A connection that the other host has ended is a quick and true sign. Silence is the other sign,
//!   and may err: then it is what the harness calls a suspicion. A node that was silent is down until it answers again:
//!   it is not asked anew for everybody who wants to know.
//! * **Lives.** Every start of a node is a life of its own with a greater number. A connection belongs to two lives;
//!   what was sent to one that is over goes nowhere.
//! * **Storage.** [`Persist`](crate::machine::Effect::Persist) is on the disk before any later effect is carried
//!   out.
//!
//! Where it is weaker than the model: a message that waits for a connection to be made is lost if none can be made, or
//! with its sender, even if later ones to others were sent; one that is larger than the limit is dropped; a host that dies
//! with its process takes more than a suffix along; and a storage that is slow makes its node look silent. What is
//! dropped is counted, and `interrex validate` counts what is missing in the logs.
//!
//! # What it counts
//!
//! With the crate `metrics`, for whatever recorder the program has:
//!
//! | name | kind | label | what |
//! |---|---|---|---|
//! | `interrex_commands` | gauge | `node` | commands that the node has not taken yet |
//! | `interrex_arrivals` | gauge | `node` | messages that have arrived and were not taken yet |
//! | `interrex_connections` | gauge | `node` | open connections: two with each other node |
//! | `interrex_observed_total` | counter | `what` | what the application was told, by the names of the protocol |
//! | `interrex_dropped_total` | counter | `why` | messages that were not sent |
//! | `interrex_ended_total` | counter | `why` | connections that have ended |
//! | `interrex_refused_total` | counter | `reason` | those who dialed and were not let in |
//! | `interrex_unreached_total` | counter | `reason` | attempts to connect that came to nothing |

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this is where the outside is"
)]

mod config;
mod connection;
mod detector;
mod frame;
mod handshake;
mod key;
mod links;
mod log;
mod node;
mod server;
mod storage;
mod timers;
mod transport;

pub use config::{Config, Limits};
pub use detector::{Detector, Heartbeats};
pub use key::{ClusterKey, KeyError};
pub use log::{End, Entry, EntryOf, FORMAT, Start, Step};
pub use node::{Commands, Ending, Node, RunError, SpawnError};
pub use server::{CallError, Client, Server};
pub use storage::{Directory, Opened, Storage, StorageError};
pub use transport::{Tcp, Transport};
