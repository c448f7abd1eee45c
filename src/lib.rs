//! Leader election and group membership as pure state machines: the code that is model-checked is the code that runs.
//!
//! *In Rome the interrex held power between two consulships and ran the election of the next.*
//!
//! A protocol is written once, as a [`Machine`](machine::Machine): a state and an event give the next state and an ordered
//! list of effects. This crate contains that interface and the protocols, for programs to embed. The package
//! `interrex-models` of the same workspace is the harness: it explores protocols exhaustively, drives them at random and
//! replays their traces. A program that embeds this crate does not depend on it.
//!
//! The *seeds* are the three published Erlang texts that the protocols come from: see [`protocols`].
//!
//! ```text
//!            ┌──────────── interrex (src/): what a program embeds ────────────┐
//!            │  machine    Machine, Event, Effect: the only interface         │
//!            │  gms2, gms3 the group membership of a seed, faults included    │
//!            │  group      our own, with a majority                           │
//!            │  gen_leader both elections of the seeds, a repaired one, and   │
//!            │             the behaviour that runs over each                  │
//!            │  runtime    any of them over TCP (feature `runtime`)           │
//!            └───────────────────────────────▲────────────────────────────────┘
//!                                            │ Machine::start, Machine::step
//!   ┌────── interrex-models (models/): the harness, and the command `interrex` ──────┐
//!   │  model      links, crashes, monitors, timers, budgets: what can happen next    │
//!   │  protocol   the protocols as the harness sees them                             │
//!   │  claim      properties: safety, settled, fair                                  │
//!   │  explore    exhaustive search, sampling, shrinking, coverage                   │
//!   │  evidence   traces: record, replay, draw                                       │
//!   │  verdict    scenarios, their expectations, reports                             │
//!   │  real       real nodes: processes, failover, validation of their logs          │
//!   │  io         files and text                                                     │
//!   └────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! # Embedding a protocol
//!
//! Call [`start`](machine::Machine::start) once and [`step`](machine::Machine::step) for each event, and carry out the
//! effects in their order. Nothing else changes a state. With the feature `runtime`, a `runtime::Node` does so, with
//! sockets, clocks, a failure detector and a disk.
//!
//! ```
//! use interrex::{gms3::*, machine::{Boot, Event, Machine, NodeId}};
//!
//! let gms3 = Gms3::<String>::default();
//! let me = NodeId(0).first_life();
//! let (state, effects) = gms3.start(Boot { me, stable: None, contact: None });
//! assert!(effects.is_empty());
//!
//! let (_, effects) = gms3.step(state, Event::Command(Command::Mcast("hello".into())));
//! let delivered = Observation::Delivered { number: 1, message: "hello".into() };
//! assert_eq!(effects, [Effect::Observe(delivered)]);
//! ```
//!
//! # Is this for me?
//!
//! | you want | take |
//! |---|---|
//! | one leader, the list of members, or one replicated state, among a few processes of one program, without another service to run | [`group`], with its [limits](group#what-it-survives-and-what-it-does-not-promise): the list of nodes is fixed, and it is young |
//! | locks, leases, or settings that many programs share | a service, as etcd or Consul. Others have run them for years, and there are clients for every language |
//! | a replicated log whose list of nodes changes while it runs, with years of use behind it | a Raft library: `openraft`, or the `raft` that `tikv` is built on |
//! | to know whether a protocol of your own does what you think | the harness alone. The protocol is a [`Machine`](machine::Machine); it can run over your own network, and nothing here has to be in your program but that trait. The guide in the documentation of `interrex-models` begins with an empty folder |
//! | the same of a program that is written with sockets and tasks | a simulator of networks, as `turmoil`, or Jepsen. The harness explores machines only |
//! | a proof, for any number of nodes | TLA+, Ivy or Coq. The harness visits every world of a small group, and nothing beyond |
//! | what Erlang's `gen_leader` or these group services do, faults included | [`gen_leader`], [`gms2`], [`gms3`] |
//!
//! # Architecture invariants
//!
//! * No machine reads a clock, a random number, a file, the environment, or the order of a hash table. `.clippy.toml` and
//!   the workspace's lints catch the usual slips.
//! * No machine fails or panics. It ignores an event visibly, in a `match` without wildcards, or it ends with
//!   [`Effect::Stop`](machine::Effect::Stop).
//! * No machine can tell whether it is explored, replayed or run for real.
//! * No line of `runtime` reads the content of a message, and nothing there but `start` and `step` changes a machine's
//!   state.
//! * The dependencies contain no checker, and no runtime without the feature: `cargo tree -p interrex -e normal` shows
//!   `serde` and the persistent collections.
//!
//! # Decisions that differ from the first design
//!
//! * **Starting is a function, not an event.** An event `Start` would need a state before it, in which every other event
//!   had to be defined as well. [`Machine::start`](machine::Machine::start) makes that state impossible to write. In
//!   schedules, traces and budgets a start is an action like any other.
//! * **Steps take the state by value.** An adapter moves it in and out. A checker clones it once for each *distinct* step,
//!   and persistent collections make that clone cheap.
//! * **A connection for each direction.** From each node to each other one there is a connection on which only the sender
//!   writes. So neither side has to give way when both dial, and `Down` is simply the end of a connection. A killed process
//!   leaves no unread input there. With unread input, the kernel would discard the bytes that were written last.
//! * **Small messages are gathered in the kernel.** If a process is killed between two sends of one broadcast, the second
//!   one is lost and nothing else. If messages were gathered in the process, those to one node could be lost and earlier
//!   ones to another not. The harness calls that fault a lossy link.
//! * **Lives are numbered by the clock** if no storage knows better, so that a node that has lost its disk is not taken for
//!   one of its earlier lives.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod gen_leader;
pub mod gms2;
pub mod gms3;
pub mod group;
pub mod machine;
#[doc = include_str!("PROTOCOLS.md")]
#[allow(clippy::doc_markdown, reason = "names of the originals, in prose")]
pub mod protocols {}
#[cfg(feature = "runtime")]
pub mod runtime;
