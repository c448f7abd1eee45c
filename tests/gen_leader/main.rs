//! `gen_leader`, row by row: the two elections, each repair with and without it, and what runs above.
//!
//! A step is compared whole, its next state and its list of effects; where it ends the process, the
//! effects alone. States of an election are private: they are written as what differs from a process
//! that has just started. An application that records its callbacks stands in for a real one.

mod behaviour;
mod bully;
mod capture;
mod dictionary;

use interrex::gen_leader::{
    Answer, Behaviour, Buffered, Bully, Call, CallFailure, Caller, Capture, Command, Context,
    Election, ElectionId, GenLeader, Info, Init, LateReply, LeaderCast, Newcomer, Next,
    Observation, Phase, Reason, Repair, Repairs, Roster, StateOf, TAU, Timer, Wait, Waiter,
    {self as server},
};
use interrex::machine::{Address, Boot, Effect, Event, Machine, NodeId, Peer};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::time::Duration;

const N0: Address = NodeId(0).first_life();
const N1: Address = NodeId(1).first_life();
const N2: Address = NodeId(2).first_life();
const N3: Address = NodeId(3).first_life();
const N4: Address = NodeId(4).first_life();

// The application.

/// It does what it is asked to do.
#[derive(Clone, Debug)]
struct Probe {
    init: Init<Log>,
    /// Its answer in `handle_DOWN`.
    on_down: Ask,
}

/// Its state: the callbacks that ran, and the callers that wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
struct Log {
    ran: Vec<String>,
    kept: Vec<Caller>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Ask {
    Nothing,
    /// Reply 'r'.
    Answer,
    /// Reply 'r', and broadcast `Nothing`.
    AnswerAndTell,
    /// Broadcast `Nothing`.
    Tell,
    /// Remember who asks.
    Keep,
    /// Reply 'k' to all who are kept …
    Release,
    /// … as the answer of a leader.
    ReleaseAsLeader,
    Quit,
    /// Stop, with reply 'r'.
    QuitAndAnswer,
    Admit(Newcomer),
}

impl Default for Probe {
    fn default() -> Self {
        Self { init: Init::Ok(Log::default()), on_down: Ask::Nothing }
    }
}

fn obey<E: Election>(ask: Ask, log: &mut Log, context: &mut Context<'_, E, Probe>) -> Next<Ask> {
    match ask {
        Ask::Release => log.kept.drain(..).for_each(|caller| context.reply(caller, 'k')),
        Ask::ReleaseAsLeader => {
            log.kept.drain(..).for_each(|caller| context.leader_reply(caller, 'k'));
        }
        Ask::Tell => return Next::Broadcast(Ask::Nothing),
        Ask::Quit | Ask::QuitAndAnswer => return Next::Stop("quit".into()),
        Ask::Nothing | Ask::Answer | Ask::AnswerAndTell | Ask::Keep | Ask::Admit(_) => {}
    }
    Next::Continue
}

fn answer<E: Election>(
    ask: Ask,
    from: Caller,
    log: &mut Log,
    context: &mut Context<'_, E, Probe>,
) -> Answer<char, Ask> {
    match ask {
        Ask::Answer => Answer::Reply('r'),
        Ask::AnswerAndTell => Answer::ReplyAndBroadcast('r', Ask::Nothing),
        Ask::Quit => Answer::Stop("quit".into()),
        Ask::QuitAndAnswer => Answer::StopAndReply("quit".into(), 'r'),
        Ask::Keep => {
            log.kept.push(from);
            Answer::NoReply
        }
        Ask::Nothing | Ask::Tell | Ask::Release | Ask::ReleaseAsLeader | Ask::Admit(_) => {
            obey(ask, log, context);
            Answer::NoReply
        }
    }
}

impl<E: Election> Behaviour<E> for Probe {
    type State = Log;
    type Request = Ask;
    type Reply = char;
    type Broadcast = Ask;
    type Synch = char;

    fn init(&self, _: Address) -> Init<Log> {
        self.init.clone()
    }

    fn elected(&self, log: &mut Log, _: &mut Context<'_, E, Self>) -> char {
        log.ran.push("elected".into());
        's'
    }

    fn surrendered(&self, log: &mut Log, synch: char, context: &mut Context<'_, E, Self>) {
        let leader = context.leader().expect("a leader is recognised");
        log.ran.push(format!("surrendered {synch} {leader}"));
    }

    fn handle_leader_call(
        &self,
        log: &mut Log,
        ask: Ask,
        from: Caller,
        context: &mut Context<'_, E, Self>,
    ) -> Answer<char, Ask> {
        log.ran.push("leader call".into());
        answer(ask, from, log, context)
    }

    fn from_leader(
        &self,
        log: &mut Log,
        ask: Ask,
        context: &mut Context<'_, E, Self>,
    ) -> Next<Ask> {
        log.ran.push("from leader".into());
        obey(ask, log, context)
    }

    fn handle_leader_cast(
        &self,
        log: &mut Log,
        ask: Ask,
        context: &mut Context<'_, E, Self>,
    ) -> Next<Ask> {
        log.ran.push("leader cast".into());
        obey(ask, log, context)
    }

    fn handle_call(
        &self,
        log: &mut Log,
        ask: Ask,
        from: Caller,
        context: &mut Context<'_, E, Self>,
    ) -> Answer<char, Ask> {
        log.ran.push("call".into());
        answer(ask, from, log, context)
    }

    fn handle_cast(
        &self,
        log: &mut Log,
        ask: Ask,
        context: &mut Context<'_, E, Self>,
    ) -> Next<Ask> {
        log.ran.push("cast".into());
        obey(ask, log, context)
    }

    fn handle_info(
        &self,
        log: &mut Log,
        info: Info<Ask, char>,
        context: &mut Context<'_, E, Self>,
    ) -> Next<Ask> {
        let (what, ask) = match info {
            Info::Request(ask) => ("info".into(), ask),
            Info::LeaderCast(ask) => ("info: leader cast".into(), ask),
            Info::Worker(worker) => (format!("info: worker {worker}"), Ask::Nothing),
            Info::Reply(reply) => (format!("info: reply {reply}"), Ask::Nothing),
        };
        log.ran.push(what);
        obey(ask, log, context)
    }

    fn handle_down(
        &self,
        log: &mut Log,
        node: NodeId,
        context: &mut Context<'_, E, Self>,
    ) -> Next<Ask> {
        log.ran.push(format!("down {node}"));
        obey(self.on_down, log, context)
    }

    /// Those who still wait get a 't'.
    fn terminate(&self, log: &mut Log, reason: &Reason, context: &mut Context<'_, E, Self>) {
        log.ran.push(format!("terminate {reason}"));
        log.kept.drain(..).for_each(|caller| context.reply(caller, 't'));
    }

    fn code_change(&self, log: &mut Log, ask: Ask) -> Vec<Newcomer> {
        log.ran.push("code change".into());
        match ask {
            Ask::Admit(newcomer) => vec![newcomer],
            _ => vec![],
        }
    }
}

// States.

type State<E> = StateOf<E, Probe>;
type Step<E> = (State<E>, Vec<server::Effect<E, Probe>>);

/// The same value, but for these fields of it or of its parts.
fn but<T: Serialize + DeserializeOwned>(value: &T, changes: Value) -> T {
    let Value::Object(changes) = changes else { panic!("fields: {changes}") };
    let mut written = serde_json::to_value(value).expect("states can be written");
    for (field, change) in changes {
        *field_of(&mut written, &field).expect("a field of that name") = change;
    }
    serde_json::from_value(written).expect("states can be read")
}

fn field_of<'a>(value: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    let parts = value.as_object_mut()?;
    if parts.contains_key(field) {
        return parts.get_mut(field);
    }
    parts.values_mut().find_map(|part| field_of(part, field))
}

/// The same process, but for these fields of its election.
fn elect<E: Election>(state: State<E>, changes: Value) -> State<E> {
    State::<E> { election: but(&state.election, changes), ..state }
}

/// The same process, in which these callbacks have run.
fn ran<E: Election>(mut state: State<E>, callbacks: &[&str]) -> State<E> {
    state.server.application.ran.extend(callbacks.iter().map(ToString::to_string));
    state
}

fn log_of<E: Election>(state: &State<E>) -> Vec<&str> {
    state.server.application.ran.iter().map(String::as_str).collect()
}

fn boot<S>(me: Address, stable: Option<S>) -> Boot<S> {
    Boot { me, stable, contact: None }
}

// Events.

fn down<M, C, T>(node: Address) -> Event<M, C, T> {
    Event::Down(Peer::Name(node.node))
}

fn command<M, T>(command: Command<Ask>) -> Event<M, Command<Ask>, T> {
    Event::Command(command)
}

// Effects.

type Sent<M> = server::Message<M, Ask, char, Ask>;
type Told<M, S, T> = Effect<Sent<M>, Timer, S, Observation<T, char>>;

/// An election's own message, to a process.
fn send<M, S, T>(to: Address, message: M) -> Told<M, S, T> {
    Effect::Send { to: to.into(), message: Sent::Election(message) }
}

/// The same by name, to whoever lives there.
fn send_name<M, S, T>(to: Address, message: M) -> Told<M, S, T> {
    Effect::Send { to: Peer::Name(to.node), message: Sent::Election(message) }
}

fn monitor<M, S, T>(process: Address) -> Told<M, S, T> {
    Effect::Monitor(process.into())
}

fn monitor_name<M, S, T>(process: Address) -> Told<M, S, T> {
    Effect::Monitor(Peer::Name(process.node))
}

fn elected<M, S, T>(term: T) -> Told<M, S, T> {
    Effect::Observe(Observation::Elected { term })
}

fn surrendered<M, S, T>(leader: Address, term: T) -> Told<M, S, T> {
    Effect::Observe(Observation::Surrendered { leader, term })
}

fn set_tau<M, S, T>() -> Told<M, S, T> {
    Effect::SetTimer { timer: Timer::Tau, after: TAU }
}

/// "dies": `Stop` is the step's only effect. (The reasons are ours.)
#[track_caller]
fn dies<E: Election>((_, effects): Step<E>) {
    assert!(matches!(effects[..], [Effect::Stop(_)]), "{effects:?}");
}
