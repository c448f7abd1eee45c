//! Runs any [`Machine`](crate::machine::Machine) for real: over TCP, with a clock, a failure detector and a disk.
//!
//! A [`Node`] is one task that owns everything: the machine's state, the connections, the timers, the storage. It takes
//! an event, calls [`step`](crate::machine::Machine::step), and carries out the effects in their order. It makes no
//! decision of a protocol: nothing here reads the content of a message.
//!
//! # Guarantees
//!
//! They are the assumptions under which the harness checks protocols:
//!
//! * **Links.** Each node has a connection of its own to every other node, on which only it writes. Messages on it arrive
//!   in order and once, or the connection ends. A message to a node that cannot be reached is dropped, counted, and
//!   logged with `tracing`.
//! * **A crash loses a suffix.** The messages of a node, to all other nodes, are handed to the kernel in the order of its
//!   effects. A process that is killed loses the last ones of all that it sent, and none in between. So small messages are
//!   gathered in the kernel ([`Transport::hold`]), not in the process.
//! * **`Down` comes last.** `Down` is the end of the connection *from* that node, after everything that arrived on it.
//! * **Detectors.** If the other host closes a connection, the process is down for certain. If it is only silent, the
//!   detector decides, and may err: the harness calls that a suspicion. A node that was silent counts as down until
//!   it answers again: a later message or monitor does not wait for another timeout.
//! * **Lives.** Every start of a node is a life of its own, with a greater number. A connection belongs to two lives. A
//!   message to a life that is over is dropped. A new life counts once it has answered at the listed address: a process
//!   that was started elsewhere with the number of a healthy one is refused.
//! * **Configurations.** Before its machine starts, a node finds itself at its listed address
//!   ([`Config::advertised`]) and greets all others. If one of them has another key, cluster, protocol,
//!   configuration or list of nodes, or a clock that is days off, the start fails with [`SpawnError::Differs`], which names
//!   the difference; the others go on. Heartbeats and time-outs may differ, with a warning: so they can be changed at one
//!   node after the other. If the heartbeats of another node are slower, the time-out for it grows in proportion.
//! * **Identities.** Whoever has the [`ClusterKey`] can pass for any node, unless each node has a key of its own:
//!   [`NodeKeys`] says what each kind protects, and how to change a key.
//! * **Storage.** [`Persist`](crate::machine::Effect::Persist) is on the disk before any later effect is carried out.
//!
//! Four things are weaker than in the model. A message that waits for a connection is lost if the dial fails or its sender
//! is killed, even if later messages to other nodes were sent. A message that is larger than the limit is dropped. If the
//! host dies with the process, more than a suffix may be lost. And a node with slow storage looks silent. Dropped messages
//! are counted, and `interrex validate` counts the messages that are missing in the logs.
//!
//! # Metrics
//!
//! With the crate `metrics`, for any recorder that the program installs:
//!
//! | name | kind | label | meaning |
//! |---|---|---|---|
//! | `interrex_commands` | gauge | `node` | commands that wait for the machine |
//! | `interrex_arrivals` | gauge | `node` | messages that have arrived and wait for the machine |
//! | `interrex_connections` | gauge | `node` | open connections: two with each other node |
//! | `interrex_observed_total` | counter | `what` | observations, by their names in the protocol |
//! | `interrex_dropped_total` | counter | `why` | messages that were not sent |
//! | `interrex_ended_total` | counter | `why` | connections that have ended |
//! | `interrex_refused_total` | counter | `reason` | inbound connections that were refused |
//! | `interrex_unreached_total` | counter | `reason` | outbound connections that failed |
//! | `interrex_suspected_total` | counter | `by` | how often a node took this one for dead, wrongly |
//!
//! # Warnings
//!
//! The library logs with `tracing` and prints nothing. For each node and cause, it warns the first, second, fourth, …
//! time. The count begins again when the node has been connected. [`Node::peers`] tells a program which nodes are connected, and which
//! ones have taken this one for dead: they may have elected another leader meanwhile.

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "the adapter is the only place that reads clocks, files and the network"
)]

mod component;
mod config;
mod connection;
mod detector;
mod digest;
mod directory;
mod error;
mod frame;
mod handshake;
mod key;
mod links;
mod log;
mod node;
mod node_key;
mod observer;
mod private;
mod process;
mod repeats;
mod server;
mod status;
mod storage;
mod timers;
mod transport;

pub use component::Component;
pub use config::{Config, Limits};
pub use detector::{Detector, Heartbeats};
pub use digest::{Digest, Held, MAX_WHOLE_BYTES};
pub use directory::Directory;
pub use error::{Ended, Ending, RunError, SpawnError, TrySendError};
pub use key::{ClusterKey, KeyError};
pub use log::{
    Break, End, Entry, EntryOf, FORMAT, HeldBootOf, HeldEffectOf, HeldEventOf, Start, Step,
    unix_micros,
};
pub use node::{Commands, Node, Shutdown};
pub use node_key::{NodeKey, NodeKeys, PublicKey};
pub use process::CLOSE_TIMEOUT;
pub use server::{CallError, Client, Leader, Membership, Server, Serving};
pub use status::{PeerStatus, Peers};
pub use storage::{Opened, Owner, Storage, StorageError};
pub use transport::{Tcp, Transport};
