//! The harness of interrex: explores protocols exhaustively, samples random schedules, and replays traces.
//!
//! A [`Protocol`](protocol::Protocol) is a [`Machine`](interrex::machine::Machine) with a little more: how its
//! scenarios begin, and what its states and observations mean in the field's notions. The rest of the harness
//! is written once, for all protocols.
//!
//! The [guide] begins with an empty folder. The [glossary] explains the words.
//!
//! # The map
//!
//! | module | content |
//! |---|---|
//! | [`model`] | environments, actions, and what each action (deliver, crash, cut …) does to a world (`models/SEMANTICS.md`) |
//! | [`protocol`] | the interface of protocols, and registries of them |
//! | [`claim`] | the properties, and their view of a node |
//! | [`explore`] | exhaustive search, random schedules, livelocks, shrinking, coverage, audit |
//! | [`evidence`] | traces: runs that are kept, replayed, drawn, and gone on with |
//! | [`verdict`] | scenarios, the comparison of results with expectations, reports |
//! | [`real`] | real nodes: a cluster on this machine, its output, and the validation of its logs |
//! | [`cli`] | the command, for the protocols of any registry |
//! | [`io`] | files and text; the file and the memory of the program |
//!
//! Two halves stand side by side over one verdict: [`explore`] visits the worlds of a model, [`real`] runs the
//! same machines in processes.
//!
//! To add something, these are the places (paths are below `models/src/`). Each new file also wants its
//! `pub mod`.
//!
//! | addition | places |
//! |---|---|
//! | a protocol | The five steps of [`protocol::registry`], in a crate of its own as in this one. `interrex new` makes such a crate, and the [guide] begins there; `models/examples/ring` is a larger one. |
//! | a property of one protocol | A constant, made by [`Property::new`](claim::property::Property::new), in its [`properties`](protocol::Protocol::properties). What it reads beyond the notions are the protocol's own [`facts`](protocol::Protocol::facts). |
//! | a property of many | A constant in `claim/leadership.rs`, `order.rs`, `delivery.rs` or `calls.rs`; in `claim/property.rs` its `pub use` and its place in the lists. |
//! | an engine | `explore/<name>.rs` implements [`Engine`](explore::engine::Engine), the trait of `explore/engine.rs`; a variant of [`EngineName`](explore::search::EngineName), with its arm in [`search`](explore::search::search), makes it an `--engine`; [`search_by`](explore::search::search_by) takes any. |
//! | a report format | `verdict/report/<name>.rs` implements [`Renderer`](verdict::report::Renderer), and [`Format`](verdict::report::Format) gets one variant, with its arm in `Format::renderer`. `check`, `matrix`, `fuzz`, `replay`, `validate` and `list` then accept it. A format of one command only (`replay --format diagram`, `matrix --format markdown`) is a variant of the enum that this command gives to `format_or`, in `cli/<command>.rs`. |
//! | a fault, an action, a rule of the world | `models/SEMANTICS.md` says first what it does. A variant of [`Choice`](model::action::Choice) in `model/action.rs`, and the kind that bounds it in `model/environment/budget.rs`; when it is possible, in `model/world/offer.rs`; what it does, in `model/world/consequence.rs`. The compiler then names each `match` that lacks it. |
//! | a drawing | One file below `evidence/draw/`. It draws a [`Chart`](evidence::draw::chart::Chart), and is a variant of `Drawing` in `cli/replay.rs`. |
//!
//! # What a verdict means
//!
//! * `holds`: the search was complete, no world violates the property, and some world exercises it (its
//!   *witness*).
//! * `violated`: a world or a run violates it. It comes with a shortest run, unless a limit ended the search
//!   for that run.
//! * `unwitnessed`: the search was complete and found no violation, but no world exercises the property.
//! * `unknown`: a limit cut the search short before a violation was found.
//!
//! Every verdict is about one environment: a number of nodes and the budgets of what may happen. It says
//! nothing about larger ones. An environment may have a bound on a measure that can grow without limit. Worlds
//! beyond it are left out, and every verdict is called `bounded`.
//!
//! A *settled* property is judged in settled worlds: there is nothing to deliver, no timer to fire, and no cut
//! is open. Starts
//! and commands that are still possible do not matter. This is sound if every fair run settles. A fair run that
//! never does is a [livelock](explore::livelock), a failure of its own: the property `no-livelock`. Its `holds`
//! needs a complete search but no witness. Its counterexample is a *lasso*, a stem and a loop. Livelocks are
//! looked for only if a scenario asks for them. Without that, the `holds` of a settled property says nothing
//! about runs that never settle.
//!
//! # Decisions, and why
//!
//! * **Worlds are made of handles.** In millions of worlds only hundreds of different nodes and links occur.
//!   Each is kept once, worlds hold small integers, and a machine's step is computed once for each pair of
//!   node and event. So rich types in machines cost nothing.
//! * **Everything that belongs to a node is one part:** condition, history, storage, timers, monitors, number
//!   of commands. So most actions are one look-up.
//! * **An enabled action carries its step.** [`enabled`](model::world::Rules::enabled) returns tokens that lead
//!   only where the rules allow. All variants that crash within one step share its look-up.
//! * **Two engines.** [`Layers`](explore::layers::Layers), our own, counts, judges, finds shortest counterexamples and
//!   notes what livelocks pass through, in one pass, on any number of threads.
//!   [`Stateright`](explore::stateright::Stateright) is an independent witness: it counts and judges, and tests compare
//!   both over the same scenarios.
//! * **Layer by layer.** A layer is divided among threads, and each world keeps the first way to it in the order of a single
//!   thread. The layer that is being discovered is a small table of atomic numbers; the table of all nearer worlds
//!   changes only between two layers. So readers take no lock there, and most look-ups end in the small one.
//! * **Counterexamples are reproducible.** A counterexample is a shortest one. Among equally short ones, the
//!   one with the fewest faults is kept. It is the same on any number of threads.
//! * **A search can be interrupted.** Between two layers everything that it knows is a few tables and lists, which
//!   [`Checkpoint`](explore::layers::checkpoint::Checkpoint) writes down. Tables are read back in their order, so that all
//!   handles mean the same. Steps are computed again: only the same build of the program can go on.
//! * **Livelocks have a search of their own**, and only on request. stateright's `eventually` misses cycles. Often no search
//!   is needed: the steps that were taken, each once, show that no run can go round
//!   ([`livelock`](explore::livelock)). The report says `by proof` or `by search`. For the search, the exploration notes where a step that costs nothing leads back. A depth-first search from there keeps a
//!   fingerprint of each world, and full worlds only on its current path.
//! * **Judgements are remembered**, because worlds differ in much that no property reads. Most properties compare two nodes
//!   at a time, and say so ([`Scope`](claim::property::Scope)). Pairs of profiles are much fewer than lists of them, so
//!   each pair is judged once, and of the lists only the latest are remembered.
//! * **Traces are named after scenarios**, `traces/<folder>/<property>.<scenario>.json`, not after classes of
//!   environments. Two scenarios may differ only in size and budgets, and each has its own shortest run.
//! * **A column of the matrix breaks one assumption and no other.** `lossy` has drops and no crashes, so its
//!   violations come from lost messages. The price: without crashes many properties are not exercised. Such a
//!   cell says so instead of `holds`.
//! * **A joined group of `gen_leader` is formed, not written down.** Its nodes come up one after the other,
//!   each when the others have nothing left to do. The joined groups of gms2 and gms3 are written down.
//! * **The protocol says whether a leader is possible.** Properties that need a leader (`leader-exists`,
//!   `agreement`, `no-lost-call`) ask [`Protocol::can_lead`](protocol::Protocol::can_lead) first. So a protocol
//!   with quorums is not blamed while a majority is down.
//! * **Under an open cut** settled properties are judged on the side that holds more than half of the nodes
//!   that may lead, crashed or not, once neither side has anything left to do. Such a world does not count as
//!   settled.
//! * **A cut loses messages, not `Down`s.** A `Down` that is under way is delivered, because no detector
//!   forgets what it has noticed.
//! * **A restarted node is another process**, as to order and lost messages. It owes nothing that was delivered
//!   while it was down. Its former life counts among the crashed, and `validity` covers only messages sent in
//!   first lives. `one-leader-per-term`, `no-duplicate` and `surrendered-before-served` read a node's whole
//!   history.

#[doc = include_str!("guide.md")]
pub mod guide {}

#[doc = include_str!("glossary.md")]
pub mod glossary {}

pub mod claim;
pub mod cli;
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
