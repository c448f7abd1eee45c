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
//!            └───────────────────────────────▲────────────────────────────────┘
//!                                            │ Machine::start, Machine::step
//!   ┌────── interrex-models (models/): the harness, and the command `interrex` ──────┐
//!   │  world      links, crashes, monitors, timers, budgets: what can happen next    │
//!   │  property   safety, settled, witness: written once for all protocols           │
//!   │  search     stateright explores; the verdict is ours                           │
//!   │  trace      record, replay, draw                                               │
//!   │  scenario   protocol × environment × what is expected                          │
//!   └────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! # Embedding a protocol
//!
//! Call [`start`](machine::Machine::start) once and [`step`](machine::Machine::step) for each event, and
//! carry out the effects in their order. Nothing else changes a state.
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
//! * No checker and no runtime is among the dependencies: `cargo tree -p interrex -e normal` shows
//!   `serde` and the persistent collections.
//!
//! # Decisions that differ from the first design
//!
//! * **Starting is a function, not an event.** An event `Start` would need a state before it, in which
//!   every other event had to be defined as well. [`Machine::start`](machine::Machine::start) makes that
//!   state impossible to write. In schedules, traces and budgets a start is an action like any other.
//! * **Steps take the state by value.** An adapter moves it in and out; a checker clones it once for each
//!   *distinct* step. Persistent collections make that clone cheap.

#![warn(clippy::wildcard_enum_match_arm)]

pub mod gen_leader;
pub mod gms3;
pub mod machine;
