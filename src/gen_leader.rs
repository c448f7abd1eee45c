//! `gen_leader`: servers that elect a leader among them, over one of three elections.
//!
//! **Sources.** Erlang's behaviour of this name in its versions 1.0 of 2003, whose election was
//! faulty, and of 2007, whose election follows Stoller: sections 2 to 4 of [`protocols`](crate::protocols).
//!
//! An application implements [`Behaviour`], pure callbacks in the manner of `gen_server`. [`GenLeader`] runs it
//! over an [`Election`] and does not know which:
//!
//! | | election | source |
//! |---|---|---|
//! | [`GenLeader::new`] | [`Bully`] with all [`Repairs`] | that of 2007 with nine changes. This is the one to use |
//! | [`GenLeader::v2007`] | [`Bully`] | 2007: halt, acknowledge, lead |
//! | [`GenLeader::v2003`] | [`Capture`] | version 1.0: capture, accept, elect. It is faulty |
//!
//! # Steps
//!
//! Until there is a leader ("safe loop") a process handles only the events of the election; all others wait in its
//! mailbox. Then one process leads and the others have surrendered to it. A `leader_call` at any process is forwarded
//! to the leader, whose answer goes back to the client. A broadcast of the leader goes to every node that it
//! monitors. When the leader dies, the others elect the next one.
//!
//! # Differences between the versions
//!
//! * Only version 1.0 knows which nodes run ([`Context::alive`], [`Context::down`]). The two methods are there for a
//!   [`Census`] only, and do not compile over [`Bully`]. Only 1.0 calls [`Behaviour::handle_down`].
//! * In 1.0 every callback that returns an [`Answer`] or a [`Next`] may broadcast. Since 2007 only
//!   `handle_leader_call` may, with a reply; any other attempt ends the process, like a message without a clause
//!   ([`Broadcasts`]).
//! * When a leader dies, the calls that are out end with an error in the repaired version and in 1.0, where even the
//!   answered ones do. In that of 2007 they wait for ever, or for their time-out.
//! * The seeds call two things bugs. They are switches here: [`LeaderCast`], [`LateReply`]. Unless they are set, every
//!   version forwards leader casts, as the seeds describe them, and late replies arrive without the application's
//!   help.
//!
//! # Deviations
//!
//! References are counters of the process that forwards a call, and clients name their calls by tags; Erlang makes
//! unique terms. In Erlang the client keeps its time-out, here its process does. Everything that the application
//! learns or a property reads is observed. An end that the application asks for is observed before it happens; an end
//! over a message without a clause is not.
//!
//! # Example
//!
//! Two nodes. The one that starts finds the other down, leads, and stores something:
//!
//! ```
//! use interrex::{gen_leader::{*, dictionary::{Reply, Request}}, machine::{Boot, Event, Machine, NodeId}};
//!
//! let servers = GenLeader::new(Dictionary::<String, u32>::default(), Roster::new(2, 0));
//! let me = NodeId(0).first_life();
//! let (server, effects) = servers.start(Boot { me, stable: None, contact: None });
//! assert_eq!(effects[0], Effect::<Bully, Dictionary<String, u32>>::Persist(1));
//!
//! let (leader, _) = servers.step(server, Event::Down(interrex::machine::Peer::Name(NodeId(1))));
//! assert_eq!(leader.election.phase(), Phase::Leading);
//!
//! let request = Request::Store("answer".into(), 42);
//! let call = Command::LeaderCall { tag: 7, request, timeout: None };
//! let (_, effects) = servers.step(leader, Event::Command(call));
//! let replied = Observation::Replied { tag: 7, reply: Reply::Ok };
//! assert_eq!(effects, [Effect::<Bully, Dictionary<String, u32>>::Observe(replied)]);
//! ```

mod behaviour;
pub mod bully;
pub mod capture;
pub mod dictionary;
mod election;
mod mailbox;
mod repair;
mod server;
mod turn;

pub use behaviour::{Answer, Behaviour, Call, Caller, Context, Info, Init, Next, Reason};
pub use bully::{Bully, ElectionId};
pub use capture::Capture;
pub use dictionary::Dictionary;
pub use election::{Broadcasts, Census, Died, Election, Newcomer, Phase, Roster};
pub use repair::{Repair, Repairs};
pub use server::{
    Buffered, CallFailure, Command, Effect, Event, GenLeader, LateReply, LeaderCast, Message,
    MessageOf, Observation, ServerState, State, StateOf, TAU, Timer, Wait, Waiter,
};
pub use turn::Turn;
