//! The model of `gen_leader` for the harness: any application on any of its elections.
//!
//! # Example
//!
//! A custom application is checked like the dictionary of the scenarios: it implements [`Behaviour`],
//! and [`Script`] defines the commands of its clients.
//!
//! ```
//! use interrex::{gen_leader::*, machine::NodeId};
//! use interrex_models::{claim::property::*, explore::search::Limits, model::environment::*, protocol::gen_leader::Script, verdict::{check::check, scenario::Scenario}};
//!
//! /// Counts the requests of all clients; the leader broadcasts each increment.
//! struct Counter;
//!
//! impl<E: Election> Behaviour<E> for Counter {
//!     type State = u32;
//!     type Request = ();
//!     type Reply = u32;
//!     type Broadcast = ();
//!     type Synch = u32;
//!
//!     fn elected(&self, count: &mut u32, _: &mut Context<'_, E, Self>) -> u32 {
//!         *count
//!     }
//!     fn surrendered(&self, count: &mut u32, synch: u32, _: &mut Context<'_, E, Self>) {
//!         *count = synch;
//!     }
//!     fn handle_leader_call(&self, count: &mut u32, (): (), _: Caller, _: &mut Context<'_, E, Self>) -> Answer<u32, ()> {
//!         *count += 1;
//!         Answer::ReplyAndBroadcast(*count, ())
//!     }
//!     fn from_leader(&self, count: &mut u32, (): (), _: &mut Context<'_, E, Self>) -> Next<()> {
//!         *count += 1;
//!         Next::Continue
//!     }
//! }
//!
//! impl<E: Election> Script<E> for Counter {
//!     fn command(&self, _: NodeId, issued: u32) -> Option<Command<()>> {
//!         Some(Command::LeaderCall { tag: issued.into(), request: (), timeout: None })
//!     }
//! }
//!
//! // In a `#[test]`:
//! let scenario = Scenario::builder()
//!     .nodes(2)
//!     .workers(1)
//!     .start(Start::Idle)
//!     .unlimited_timeouts()
//!     .budget(Budget::Commands, 1)
//!     .budget(Budget::Crashes, 1)
//!     .holds(&SINGLE_LEADER)
//!     .holds(&AGREEMENT)
//!     .holds(&NO_LOST_CALL)
//!     .holds(&NO_LIVELOCK)
//!     .build()?;
//! let counter = GenLeader::new(Counter, Roster::new(2, 1));
//! check(counter, &scenario, Limits::default(), &mut |_| {}).assert_as_expected();
//! # Ok::<(), String>(())
//! ```

pub mod real;

use super::{Names, Notion, Protocol, Standing, Vocabulary};
use crate::{
    claim::{
        notion::{Term, Token},
        property::{self, Property},
    },
    model::environment::{Environment, Start},
    names,
};
use interrex::{
    gen_leader::{
        self, Behaviour, Bully, Call, Capture, Command, Dictionary, Election, ElectionId,
        GenLeader, Message, MessageOf, Observation, Repair, Repairs, Roster, State, StateOf, Timer,
        Wait, bully, capture, dictionary::Request,
    },
    machine::{NodeId, Value},
};
use std::borrow::Cow;

/// An application with scripted commands for scenarios.
pub trait Script<E: Election>: Behaviour<E> {
    /// The command of the clients at `node` after `issued` earlier ones. The tag of a call is `issued`.
    fn command(&self, node: NodeId, issued: u32) -> Option<Command<Self::Request>>;
}

/// An election that the harness can check.
pub trait Checked: Election {
    /// The machine of an application on a variant of the election.
    fn under<B: Behaviour<Self>>(
        application: B,
        roster: Roster,
        variant: Self::Variant,
    ) -> GenLeader<Self, B>;
    /// The name of a variant.
    fn name(variant: &Self::Variant) -> Cow<'static, str>;
    /// A one-line summary.
    fn summary(variant: &Self::Variant) -> Cow<'static, str>;
    /// The properties by which it is judged.
    const PROPERTIES: &'static [&'static Property];
    /// The name of its counter that may grow without bound.
    const MEASURE: Option<&'static str>;
    /// The value of that counter.
    fn measured(&self) -> u64;
    /// A term, as numbers.
    fn numbers(term: &Self::Term) -> Term;
    /// The role of a process.
    type Role;
    /// The roles.
    fn roles() -> Names<Self::Role>;
    /// The role of this process.
    fn role(&self) -> Self::Role;
    /// Its messages.
    fn messages<Synch: Value>() -> Names<Self::Message<Synch>>;
}

impl Checked for Capture {
    fn under<B: Behaviour<Self>>(application: B, roster: Roster, (): ()) -> GenLeader<Self, B> {
        GenLeader::v2003(application, roster)
    }

    fn name((): &()) -> Cow<'static, str> {
        "gen_leader_1_0".into()
    }

    fn summary((): &()) -> Cow<'static, str> {
        "leader election and its behaviour, version 1.0 (2003), whose election is faulty".into()
    }

    const PROPERTIES: &'static [&'static Property] = property::OF_ELECTIONS_WITHOUT_TERMS;
    const MEASURE: Option<&'static str> = None;

    fn measured(&self) -> u64 {
        0
    }

    fn numbers((): &()) -> Term {
        Term::from([])
    }

    type Role = capture::Role;

    fn roles() -> Names<capture::Role> {
        use capture::Role;
        names!(
            Role::Candidate => "candidate",
            Role::Captured => "captured",
            Role::WaitingWorker => "waiting_worker",
            Role::Surrendered => "surrendered",
            Role::Elected => "elected",
            Role::Worker => "worker",
        )
    }

    fn role(&self) -> capture::Role {
        self.role()
    }

    fn messages<Synch: Value>() -> Names<capture::Message<Synch>> {
        use capture::Message;
        names!(
            Message::Capture { .. } => "capture",
            Message::Accept { .. } => "accept",
            Message::AddWorker(_) => "add_worker",
            Message::Elect { .. } => "elect",
        )
    }
}

impl Checked for Bully {
    fn under<B: Behaviour<Self>>(
        application: B,
        roster: Roster,
        repairs: Repairs,
    ) -> GenLeader<Self, B> {
        GenLeader::new(application, roster).with_repairs(repairs)
    }

    fn name(repairs: &Repairs) -> Cow<'static, str> {
        if *repairs == Repairs::none() {
            return "gen_leader_2007".into();
        }
        let missing: Vec<_> =
            Repair::ALL.into_iter().filter(|repair| !repairs.has(*repair)).collect();
        if missing.is_empty() {
            return "gen_leader".into();
        }
        let names: Vec<_> = missing.iter().map(|repair| repair.name()).collect();
        format!("gen_leader without {}", names.join(", ")).into()
    }

    fn summary(repairs: &Repairs) -> Cow<'static, str> {
        if *repairs == Repairs::none() {
            "leader election and its behaviour, version of 2007, after Stoller".into()
        } else {
            "the version of 2007, repaired".into()
        }
    }

    const PROPERTIES: &'static [&'static Property] = property::OF_ELECTIONS;
    const MEASURE: Option<&'static str> = Some("elections");

    fn measured(&self) -> u64 {
        self.elections()
    }

    fn numbers(ElectionId { rank, incarnation, counter }: &ElectionId) -> Term {
        Term::from([*rank, *incarnation, *counter])
    }

    type Role = bully::Role;

    fn roles() -> Names<bully::Role> {
        use bully::Role;
        names!(
            Role::Candidate => "candidate",
            Role::NewWorker | Role::WaitingWorker => "waiting_worker",
            Role::Surrendered => "surrendered",
            Role::Elected => "elected",
            Role::Worker => "worker",
        )
    }

    fn role(&self) -> bully::Role {
        self.role()
    }

    fn messages<Synch: Value>() -> Names<bully::Message<Synch>> {
        use bully::Message;
        names!(
            Message::Halt(_) => "halt",
            Message::AckLeader(_) => "ack_leader",
            Message::HasLeader { .. } => "has_leader",
            Message::IsLeader(_) => "is_leader",
            Message::NotLeader(_) => "not_leader",
            Message::Ldr { .. } => "ldr",
            Message::NormQ(_) => "norm_q",
            Message::NotNorm(_) => "not_norm",
            Message::WorkerAlive(_) => "worker_alive",
            Message::WorkerIsAlive(_) => "worker_is_alive",
            Message::ActivateWorker { .. } => "activate_worker",
        )
    }
}

impl<E: Checked, B: Script<E>> Protocol for GenLeader<E, B> {
    fn name(&self) -> Cow<'static, str> {
        E::name(self.variant())
    }

    fn summary(&self) -> Cow<'static, str> {
        E::summary(self.variant())
    }

    fn properties(&self) -> &'static [&'static Property] {
        E::PROPERTIES
    }

    fn starts(&self) -> &'static [Start] {
        &[Start::Idle, Start::Joined]
    }

    fn joins_through_contact(&self) -> bool {
        false
    }

    fn has_workers(&self) -> bool {
        true
    }

    fn may_lead(&self, node: NodeId) -> bool {
        self.roster().place(node).is_some()
    }

    fn measure(&self) -> Option<&'static str> {
        E::MEASURE
    }

    fn measured(&self, state: &StateOf<E, B>) -> u64 {
        state.election.measured()
    }

    fn command(&self, node: NodeId, issued: u32) -> Option<Command<B::Request>> {
        self.behaviour().command(node, issued)
    }

    fn standing(&self, state: &StateOf<E, B>) -> Standing {
        match state.election.phase() {
            gen_leader::Phase::Electing => Standing::Seeking,
            gen_leader::Phase::Leading => Standing::Leading,
            gen_leader::Phase::Following(leader) => Standing::Following(leader),
        }
    }

    fn calls(&self, node: NodeId, issued: u32) -> Vec<u64> {
        let commands = (0..issued).filter_map(|index| self.behaviour().command(node, index));
        let tag = |command| match command {
            Command::LeaderCall { tag, .. } => Some(tag),
            Command::Call { .. }
            | Command::Cast(_)
            | Command::LeaderCast(_)
            | Command::Info(_)
            | Command::CodeChange(_) => None,
        };
        commands.filter_map(tag).collect()
    }

    fn waiting(&self, state: &StateOf<E, B>) -> Vec<u64> {
        let waits = state
            .server
            .clients
            .iter()
            .filter(|(_, client)| client.of == Call::Leader && client.wait != Wait::GivenUp);
        waits.map(|(tag, _)| *tag).collect()
    }

    fn replica(&self, state: &StateOf<E, B>) -> Option<String> {
        let replica = &state.server.application;
        (*replica != B::State::default())
            .then(|| serde_json::to_string(replica).expect("an application's state is JSON"))
    }

    fn notion(&self, observation: &Observation<E::Term, B::Reply>) -> Notion {
        match observation {
            Observation::Elected { term } => Notion::Elected(E::numbers(term)),
            Observation::Surrendered { leader, .. } => Notion::Surrendered(*leader),
            Observation::Followed { leader } => Notion::Served(*leader),
            Observation::Replied { tag, .. } | Observation::Failed { tag, .. } => {
                Notion::Answered(*tag)
            }
            Observation::Terminated(_) => Notion::Failed,
        }
    }

    fn vocabulary(&self) -> Option<Vocabulary<Self>> {
        Some(Vocabulary {
            roles: names!(; State { election, .. } => (E::roles()) of &election.role()),
            messages: messages::<E, B>(),
            commands: names!(
                Command::Call { .. } => "call",
                Command::Cast(_) => "cast",
                Command::LeaderCall { .. } => "leader_call",
                Command::LeaderCast(_) => "leader_cast",
                Command::Info(_) => "info",
                Command::CodeChange(_) => "code_change",
            ),
            timers: names!(Timer::Tau => "tau", Timer::Call(_) => "call"),
            observations: names!(
                Observation::Elected { .. } => "elected",
                Observation::Surrendered { .. } => "surrendered",
                Observation::Followed { .. } => "followed",
                Observation::Replied { .. } => "replied",
                Observation::Failed { .. } => "failed",
                Observation::Terminated(_) => "terminated",
            ),
        })
    }
}

fn messages<E: Checked, B: Behaviour<E>>() -> Names<MessageOf<E, B>> {
    names!(
        Message::LeaderCall { .. } => "leader_call",
        Message::LeaderReply { .. } => "leader_reply",
        Message::Reply(_) => "reply",
        Message::LeaderCast(_) => "leader_cast",
        Message::FromLeader(_) => "from_leader";
        Message::Election(message) => (E::messages::<B::Synch>()) of message
    )
}

/// The dictionary of scenarios: one key, under which each write stores its own token.
pub type Writes = Dictionary<char, Token>;

/// The dictionary of real nodes. The program chooses a fresh tag for each call of a life.
pub type Texts = Dictionary<String, String>;

/// The dictionary of scenarios on the election of 2003.
#[must_use]
pub fn gen_leader_1_0(environment: &Environment) -> GenLeader<Capture, Writes> {
    Capture::under(Writes::default(), roster(environment), ())
}

/// The dictionary of scenarios on the election of 2007, with repairs.
#[must_use]
pub fn gen_leader(repairs: Repairs, environment: &Environment) -> GenLeader<Bully, Writes> {
    Bully::under(Writes::default(), roster(environment), repairs)
}

fn roster(environment: &Environment) -> Roster {
    Roster::new(environment.nodes, environment.workers)
}

/// Each call is a write, so that the order of calls matters.
impl<E: Election> Script<E> for Writes {
    fn command(&self, sender: NodeId, index: u32) -> Option<Command<Request<char, Token>>> {
        let request = Request::Store('k', Token { sender, index });
        Some(Command::LeaderCall { tag: index.into(), request, timeout: None })
    }
}

/// Real clients issue their own commands: there is no script.
impl<E: Election> Script<E> for Texts {
    fn command(&self, _: NodeId, _: u32) -> Option<Command<Request<String, String>>> {
        None
    }
}
