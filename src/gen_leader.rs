//! `gen_leader`: servers that elect a leader among them, over one of three elections.
//!
//! **Sources.** Erlang's behaviour of this name in its versions 1.0 of 2003 (seed 001), whose election was
//! faulty, and of 2007 (seed 002), whose election follows Stoller; PROTOCOLS.md sections 2 to 4.
//!
//! An application implements [`Behaviour`], pure callbacks in the manner of `gen_server`. [`GenLeader`] runs it
//! over an [`Election`] and does not know which:
//!
//! | | election | source |
//! |---|---|---|
//! | [`GenLeader::v1_0`] | [`Capture`] | 2003: capture, accept, elect. It is faulty |
//! | [`GenLeader::v2007`] | [`Bully`] | 2007: halt, acknowledge, lead |
//! | [`GenLeader::repaired`] | [`Bully`] with [`Repairs`] | the same, with nine changes that let everything hold that was checked |
//!
//! # What happens when
//!
//! Until there is a leader ("safe loop") a process takes part in the election only; everything else waits in its
//! mailbox. Then one process leads and the others have surrendered to it. A `leader_call` at any of them is sent
//! to the leader, whose answer comes back to the client; what the leader broadcasts goes to every node that it
//! monitors. When the leader dies, the others elect the next one.
//!
//! # Where the versions differ
//!
//! * Which nodes run ([`Context::alive`], [`Context::down`]) only version 1.0 can say: the two are there for a
//!   [`Census`] only, and asking for them over [`Bully`] does not compile. [`Behaviour::handle_down`] is
//!   called by 1.0 only.
//! * In 1.0 every callback that returns an [`Answer`] or a [`Next`] may broadcast; since 2007 only
//!   `handle_leader_call` may, with a reply, and any other attempt ends the process like a message without a
//!   clause ([`Broadcasts`]).
//! * When a leader dies, the calls that are out end with an error in 1.0 (the answered ones, too) and in the
//!   repaired version; in that of 2007 they wait for ever, or for their time-out.
//! * What the seeds call bugs stands as switches: [`LeaderCast`], [`LateReply`]. Unless they are set, leader casts
//!   are forwarded, as the seeds describe them, and late replies arrive without the application's help, over
//!   every election.
//!
//! # Deviations
//!
//! References are counters of the process that sends a call on, and clients name their calls by tags, where
//! Erlang makes unique terms. Time-outs belong to the client in Erlang; here the process keeps its client's
//! timer. What the application is told and what properties read is observed. An end that the application
//! asked for is observed before it happens; one over a message without a clause is not.
//!
//! # Example
//!
//! Two nodes; the one that starts finds the other down, leads, and stores something:
//!
//! ```
//! use interrex::{gen_leader::{*, dictionary::{Reply, Request}}, machine::{Boot, Event, Machine, NodeId}};
//!
//! let servers = GenLeader::v2007(Dictionary::<String, u32>::default(), Roster::new(2, 0));
//! let me = NodeId(0).first_life();
//! let (server, effects) = servers.start(Boot { me, stable: None, contact: None });
//! assert_eq!(effects[0], Effect::<Bully, Dictionary<String, u32>>::Persist(1));
//!
//! let (leader, _) = servers.step(server, Event::Down(interrex::machine::Peer::Name(NodeId(1))));
//! assert_eq!(leader.election.standing(), Standing::Leading);
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
pub use election::{Broadcasts, Census, Died, Election, Newcomer, Roster, Standing};
pub use repair::{Repair, Repairs};
pub use server::{
    Buffered, CallError, Client, Command, Effect, Event, GenLeader, LateReply, LeaderCast, Message,
    MessageOf, Observation, Patience, Server, State, StateOf, TAU, Timer,
};
pub use turn::Turn;
