//! Leader election and group membership as pure state machines: what is model-checked is what runs.
//!
//! *In Rome the interrex held power between two consulships and ran the election of the next.*
//!
//! A protocol is written once, as a [`Machine`](machine::Machine): a state and an event give the next
//! state and an ordered list of effects. This crate holds that interface and the protocols, and is what
//! a program embeds. The harness that explores them exhaustively, drives them at random and replays
//! their traces is the package `interrex-models` of the same workspace; nothing of it reaches an
//! embedder.
//!
//! ```text
//!            ┌──────────── interrex (src/): what a program embeds ────────────┐
//!            │  machine    Machine, Event, Effect: the only interface         │
//!            │  gms3       the group membership of the seed, faults included  │
//!            │  gen_leader both elections of the seeds, a repaired one, and   │
//!            │             the behaviour that runs over each                  │
//!            │  runtime    any of them over TCP (feature `runtime`)           │
//!            └───────────────────────────────▲────────────────────────────────┘
//!                                            │ Machine::start, Machine::step
//!   ┌────── interrex-models (models/): the harness, and the command `interrex` ──────┐
//!   │  world      links, crashes, monitors, timers, budgets: what can happen next    │
//!   │  property   safety, settled, witness: written once for all protocols           │
//!   │  search     stateright explores; the verdict is ours                           │
//!   │  trace      record, replay, draw                                               │
//!   │  scenario   protocol × environment × what is expected                          │
//!   │  validate   logs of real nodes: run again, judged, turned into traces          │
//!   └────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! # Embedding a protocol
//!
//! Call [`start`](machine::Machine::start) once and [`step`](machine::Machine::step) for each event, and
//! carry out the effects in their order. Nothing else changes a state. With the feature `runtime` a `runtime::Node`
//! does so, with sockets, clocks, a failure detector and a disk.
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
//! # Architecture invariants
//!
//! * No machine reads a clock, a random number, a file, the environment, or the order of a hash table;
//!   `.clippy.toml` and the workspace's lints catch the usual slips.
//! * No machine fails or panics. It ignores an event visibly, in a `match` without wildcards, or it ends
//!   with [`Effect::Stop`](machine::Effect::Stop).
//! * No machine knows whether it is explored, replayed or run for real.
//! * No line of `runtime` reads what a message says, and nothing there but `start` and `step` changes a machine's
//!   state.
//! * No checker is among the dependencies, and no runtime unless it is asked for: `cargo tree -p interrex -e normal`
//!   shows `serde` and the persistent collections.
//!
//! # Decisions that differ from the first design
//!
//! * **Starting is a function, not an event.** An event `Start` would need a state before it, in which
//!   every other event had to be defined as well. [`Machine::start`](machine::Machine::start) makes that
//!   state impossible to write. In schedules, traces and budgets a start is an action like any other.
//! * **Steps take the state by value.** An adapter moves it in and out; a checker clones it once for each
//!   *distinct* step. Persistent collections make that clone cheap.
//! * **A connection for each direction.** What one node sends another has a connection of its own, on which only the
//!   sender writes. Then neither end has to give way when both dial, `Down` is simply its end, and a process that is
//!   killed has no unread input on it, for which the kernel would throw away what was written last.
//! * **Small messages are gathered in the kernel.** A crash between two sends of one broadcast takes back the second one
//!   and nothing else; gathered in the process, one node's messages would be lost and another's not. That would be a
//!   fault that the harness calls a lossy link.
//! * **Lives are numbered by the clock** where storage does not know better, so that a node whose disk was lost is not
//!   taken for one of its earlier lives.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod gen_leader;
pub mod gms2;
pub mod gms3;
pub mod machine;
#[cfg(feature = "runtime")]
pub mod runtime;
