//! The harness of interrex: explores protocols exhaustively, drives them at random, replays their traces.
//!
//! A [`Protocol`](protocol::Protocol) is a [`Machine`](interrex::machine::Machine) with a little more:
//! how its scenarios begin, and how its states and observations read in the field's notions. The rest is
//! written once, for all of them:
//!
//! | room | what is there |
//! |---|---|
//! | [`model`] | environments, actions, and the rules by which worlds follow each other |
//! | [`protocol`] | what the harness asks of a protocol; the protocols that have a name |
//! | [`claim`] | the properties, and what they see of a node |
//! | [`explore`] | exhaustive search, random schedules, livelocks, shrinking, coverage, audit |
//! | [`evidence`] | runs that are kept, replayed, drawn |
//! | [`verdict`] | scenarios, and how what was found compares with what was expected |
//! | [`real`] | real nodes: a cluster on this machine, what it prints, and the validation of its logs |
//! | [`io`] | files and text |
//!
//! Two halves stand side by side over one verdict: [`explore`] visits the worlds of a model, [`real`] runs the
//! same machines in processes.
//!
//! # What a verdict means
//!
//! `holds` is said only of a search that ran to its end and that found the property's witness, a world in
//! which it was at stake. `violated` comes with a shortest run. `unwitnessed`: nothing violates it, but
//! nothing put it to the test either. `unknown`: a limit cut the search. Every verdict is about one
//! environment: a number of nodes and the budgets of what may happen; it says nothing about more. Where
//! the environment has a bound on what can grow for ever, worlds beyond it are left out, and every
//! verdict is called `bounded`.
//!
//! A *settled* property is judged where the protocol has nothing left to do. That is sound as long as no
//! fair run goes round for ever. Such a [livelock](explore::livelock) is a failure of its own, the property
//! `no-livelock`: its `holds` needs a complete search and no witness, its counterexample is a *lasso*, a
//! stem and a loop. It is looked for only where it is asked for: a `holds` of a settled property in a
//! scenario that leaves it out says nothing of runs that never settle.
//!
//! # Decisions, and why
//!
//! * **One world, over handles.** In millions of worlds only hundreds of different nodes and links occur.
//!   Each is kept once, worlds hold small integers, and a machine's step is computed once for each pair of
//!   node and event. Rich types in machines therefore cost nothing.
//! * **All that belongs to a node is one part:** condition, history, storage, timers, monitors, commands
//!   issued. So most of what happens is one look-up.
//! * **An enabled action bears its step.** Whoever asks what is
//!   [enabled](model::world::Rules::enabled) gets tokens that only lead where the rules allow; all variants that
//!   crash within one step share its look-up.
//! * **Two engines.** With one thread a breadth-first search of our own counts, judges and finds shortest
//!   counterexamples in one pass. With several threads stateright counts and judges, and our own search then
//!   looks for the counterexamples. So a counterexample is always a shortest one, of these one with the fewest
//!   faults, and the same one on any number of threads.
//! * **Livelocks are looked for apart**, and only where a scenario asks: by a depth-first search of our
//!   own, which keeps a fingerprint of each world, and full worlds only on its way. stateright's `eventually`
//!   misses cycles. It adds about half of the time, and no memory to the peak.
//! * **Judgements are remembered for each list of profiles**, in a trie: many worlds differ in nothing
//!   that a property reads.
//! * **Traces are named after scenarios**, `traces/<folder>/<property>.<scenario>.json`, not after
//!   classes of environments: two scenarios may differ in size and budgets only, and each has its
//!   shortest run.
//! * **A column of the matrix breaks one assumption and no other.** `lossy` has drops and no crashes: what
//!   falls there falls for want of reliable links. The price is that much is not at stake in a column in
//!   which nobody ever dies; such a cell says so instead of `holds`.
//! * **A joined group of `gen_leader` is formed, not written down:** its nodes come up one after the other,
//!   each when the others have nothing left to do. Only gms3's is given, by PROTOCOLS.md.
//! * **Under an open cut** settled properties are judged on the side that holds more than half of those
//!   that may lead, crashed or not, once *nobody* has anything left to do, on either side. Such a world
//!   does not count as settled.
//! * **A cut empties links of `Down`s too**, as SEMANTICS.md has it: who had not been told of a crash when
//!   the nodes fell apart never will be. Erlang would tell of it. Where a counterexample depends on that, its
//!   cause says so.
//! * **Who comes back is another process**, in what is said of order and of lost messages: it owes nothing
//!   that was delivered while it was away, its former life counts among the crashed, and `validity` asks
//!   for what was sent in first lives only. `one-leader-per-term`, `no-duplicate` and
//!   `surrendered-before-served` read a node's whole history.
//! * **One thread unless asked.** It is fast enough for every day, and everything it prints, the depth
//!   included, is the same on every machine.

pub mod claim;
pub mod evidence;
pub mod explore;
pub mod io;
pub mod model;
pub mod protocol;
pub mod real;
pub mod verdict;

/// The examples of the README run.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
