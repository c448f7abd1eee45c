//! Coverage: which events a protocol has handled in which roles, and which effects have happened.
//!
//! A verdict says nothing about behaviour that was never exercised. So the different steps of each protocol
//! are counted at each [`Place`]: a role with a kind of event, or a kind of effect. Only steps that were
//! taken count. Places that cannot be reached are [listed](Unreachable), with the reason, in
//! `models/scenarios/<protocol>/unreachable.toml`:
//!
//! ```toml
//! # roles × events, or an effect; a `*` stands for all roles, or for all events
//! "leader, follower × timeout join" = "with its first view a newcomer has cancelled its timer"
//! "* × command stop" = "scenarios do not ask for it"
//! "effect persist" = "nothing is stored"
//! # what only nightly scenarios reach, and why
//! "joining × restart" = { nightly = "groups that are joined again are large" }
//! ```
//!
//! Every other place must be reached. A listed place must not be reached, except by nightly scenarios if its
//! entry says so.
//!
//! # Example
//!
//! ```
//! use interrex_models::{claim::property, explore::{coverage::*, search::Limits}, model::{environment::*, world::Rules}, protocol::registry::gms3, verdict::{check::check_with, scenario::Scenario}};
//! use std::sync::Arc;
//!
//! let scenario = Scenario::builder()
//!     .nodes(2)
//!     .start(Start::Joined)
//!     .budget(Budget::Commands, 1)
//!     .property(&property::NO_CREATION)
//!     .build()?;
//! let rules = Arc::new(Rules::new(gms3(), scenario.environment.clone()));
//! check_with(&rules, &scenario, None, Limits::default(), &mut |_| {});
//!
//! let account = Coverage::of(&rules).account(&Unreachable::default());
//! let count = |place: &str| {
//!     let entry = account.entries.iter().find(|entry| entry.place.to_string() == place);
//!     entry.map(|entry| entry.count)
//! };
//! assert_eq!(count("leader × message mcast"), Some(1));
//! assert_eq!(count("effect send msg"), Some(2));
//! // Nobody has crashed.
//! assert_eq!(count("follower × down"), Some(0));
//! assert!(account.unreached().count() > 0);
//! # Ok::<(), String>(())
//! ```

use crate::{
    io::file::{self, FileError},
    model::{
        digest::digest,
        node::{Condition, Input},
        parts::Taken,
        world::Rules,
    },
    protocol::{Protocol, Vocabulary},
    verdict::outcome::Comparison,
};
use interrex::machine::{Effect, EffectOf, Event};
use serde::{Deserialize, Serialize, Serializer};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};
use strum::Display;
use toml::Spanned;

/// A place in the protocol that a run can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Display)]
pub enum Place {
    /// A process in this role handles an event of this kind. For a start, the role in which it comes up.
    #[strum(to_string = "{role} × {event}")]
    Step {
        /// The role.
        role: &'static str,
        /// The kind of event.
        event: EventKind,
    },
    /// An effect of this kind happens.
    #[strum(to_string = "effect {0}")]
    Effect(EffectKind),
}

/// The kinds of events that a process handles. Messages, timers and commands go by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Display)]
#[strum(serialize_all = "snake_case")]
pub enum EventKind {
    /// It comes up for the first time.
    Start,
    /// It comes up again.
    Restart,
    /// A message arrives.
    #[strum(to_string = "message {0}")]
    Message(&'static str),
    /// A node or process is reported down.
    Down,
    /// A timer fires.
    #[strum(to_string = "timeout {0}")]
    Timeout(&'static str),
    /// The application issues a command.
    #[strum(to_string = "command {0}")]
    Command(&'static str),
}

/// The kinds of effects. Messages and observations go by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Display)]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "they are those of `Effect`")]
pub enum EffectKind {
    #[strum(to_string = "send {0}")]
    Send(&'static str),
    Monitor,
    Demonitor,
    SetTimer,
    CancelTimer,
    Persist,
    #[strum(to_string = "observe {0}")]
    Observe(&'static str),
    Stop,
}

/// The places of a protocol that runs have reached.
#[derive(Clone, Debug)]
pub struct Coverage {
    protocol: String,
    /// All places, in the order of reports.
    places: Vec<Place>,
    /// The reached places, with digests of the steps: the same step in two scenarios counts once.
    reached: BTreeMap<Place, BTreeSet<u64>>,
    complete: bool,
}

impl Coverage {
    /// Empty coverage of a protocol: no place was reached yet.
    pub fn none<P: Protocol>(protocol: &P) -> Self {
        let places = protocol.vocabulary().map(|vocabulary| places(&vocabulary));
        Self {
            protocol: protocol.name().into_owned(),
            places: places.unwrap_or_default(),
            reached: BTreeMap::new(),
            complete: true,
        }
    }

    /// The coverage of all runs so far by these rules: all transitions of a search, and the actions of single
    /// runs.
    pub fn of<P: Protocol>(rules: &Rules<P>) -> Self {
        let mut coverage = Self::none(rules.protocol());
        if let Some(vocabulary) = rules.protocol().vocabulary() {
            for step in rules.taken() {
                coverage.add(rules.protocol(), &vocabulary, &step);
            }
        }
        coverage
    }

    /// The same, for a search that a limit has cut short: it is unknown whether the rest can be reached.
    #[must_use]
    pub fn cut_short(self) -> Self {
        Self { complete: false, ..self }
    }

    /// Adds the coverage of other runs of the same protocol.
    pub fn merge(&mut self, other: Self) {
        for (place, steps) in other.reached {
            self.reached.entry(place).or_default().extend(steps);
        }
        self.complete &= other.complete;
    }

    /// The name of the protocol.
    #[must_use]
    pub fn protocol(&self) -> &str {
        &self.protocol
    }

    /// Compares with the list of unreachable places.
    #[must_use]
    pub fn account(&self, unreachable: &Unreachable) -> Account {
        let entry = |place: &Place| Entry {
            place: *place,
            count: self.reached.get(place).map_or(0, BTreeSet::len),
            unreachable: unreachable.reason(place).cloned(),
        };
        Account {
            protocol: self.protocol.clone(),
            complete: self.complete,
            entries: self.places.iter().map(entry).collect(),
        }
    }

    fn add<P: Protocol>(&mut self, protocol: &P, vocabulary: &Vocabulary<P>, step: &Taken<'_, P>) {
        let (role, event, step_digest) = match (step.input, &step.node.condition) {
            (Input::Start(boot), _) => {
                let (state, _) = protocol.start(boot.clone());
                let event = if boot.me.life == 0 { EventKind::Start } else { EventKind::Restart };
                (vocabulary.roles.of(&state), event, digest(boot))
            }
            (Input::Event(event), Condition::Up(state)) => {
                let kind = EventKind::of(event, vocabulary);
                (vocabulary.roles.of(state), kind, digest(&(state, event)))
            }
            // Only a node that is up handles an event.
            (Input::Event(_), Condition::Idle | Condition::Crashed | Condition::Stopped) => return,
        };
        let effects = step.effects.iter().map(|effect| EffectKind::of(effect, vocabulary));
        for place in effects.map(Place::Effect).chain([Place::Step { role, event }]) {
            self.reached.entry(place).or_default().insert(step_digest);
        }
    }
}

fn places<P: Protocol>(vocabulary: &Vocabulary<P>) -> Vec<Place> {
    let steps = EventKind::all(vocabulary).into_iter().flat_map(|event| {
        vocabulary.roles.all().iter().map(move |role| Place::Step { role, event })
    });
    steps.chain(EffectKind::all(vocabulary).into_iter().map(Place::Effect)).collect()
}

impl EventKind {
    /// Keep it beside [`of`](Self::of), which also has a line for each.
    fn all<P: Protocol>(vocabulary: &Vocabulary<P>) -> Vec<Self> {
        let mut all = vec![Self::Start, Self::Restart];
        all.extend(vocabulary.messages.all().iter().map(|name| Self::Message(name)));
        all.push(Self::Down);
        all.extend(vocabulary.timers.all().iter().map(|name| Self::Timeout(name)));
        all.extend(vocabulary.commands.all().iter().map(|name| Self::Command(name)));
        all
    }

    fn of<P: Protocol>(
        event: &Event<P::Message, P::Command, P::Timer>,
        vocabulary: &Vocabulary<P>,
    ) -> Self {
        match event {
            Event::Message { message, .. } => Self::Message(vocabulary.messages.of(message)),
            Event::Down(_) => Self::Down,
            Event::Timeout(timer) => Self::Timeout(vocabulary.timers.of(timer)),
            Event::Command(command) => Self::Command(vocabulary.commands.of(command)),
        }
    }
}

impl EffectKind {
    /// Keep it beside [`of`](Self::of), which also has a line for each.
    fn all<P: Protocol>(vocabulary: &Vocabulary<P>) -> Vec<Self> {
        let sends = vocabulary.messages.all().iter().map(|name| Self::Send(name));
        let rest =
            [Self::Monitor, Self::Demonitor, Self::SetTimer, Self::CancelTimer, Self::Persist];
        let observations = vocabulary.observations.all().iter().map(|name| Self::Observe(name));
        sends.chain(rest).chain(observations).chain([Self::Stop]).collect()
    }

    fn of<P: Protocol>(effect: &EffectOf<P>, vocabulary: &Vocabulary<P>) -> Self {
        match effect {
            Effect::Send { message, .. } => Self::Send(vocabulary.messages.of(message)),
            Effect::Monitor(_) => Self::Monitor,
            Effect::Demonitor(_) => Self::Demonitor,
            Effect::SetTimer { .. } => Self::SetTimer,
            Effect::CancelTimer(_) => Self::CancelTimer,
            Effect::Persist(_) => Self::Persist,
            Effect::Observe(observation) => Self::Observe(vocabulary.observations.of(observation)),
            Effect::Stop(_) => Self::Stop,
        }
    }
}

/// The places that cannot be reached, with the reasons.
#[derive(Clone, Debug, Default)]
pub struct Unreachable {
    named: Vec<(Named, Reason)>,
}

/// The reason why a place is not reached.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged, expecting = "expected a reason, or `{ nightly = <reason> }`")]
pub enum Reason {
    /// Nothing reaches it.
    Never(String),
    /// Only nightly scenarios reach it.
    ButNightly {
        /// The reason why no others reach it.
        nightly: String,
    },
}

/// Some places.
#[derive(Clone, Debug)]
enum Named {
    /// Each of these roles with each of these events.
    Steps {
        roles: BTreeSet<String>,
        events: BTreeSet<String>,
    },
    Effects(BTreeSet<String>),
}

impl Unreachable {
    /// Reads the list of a protocol from the folder of scenarios. It is empty if there is no such file.
    ///
    /// # Errors
    /// If the file cannot be read, it names something that the protocol does not have, or a reason is
    /// missing.
    pub fn read(folder: &Path, coverage: &Coverage) -> Result<Self, FileError> {
        let path = folder.join(&coverage.protocol).join(file::UNREACHABLE);
        if !path.exists() {
            return Ok(Self::default());
        }
        Self::parse(&path, &file::read(&path)?, coverage)
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(path: &Path, text: &str, coverage: &Coverage) -> Result<Self, FileError> {
        let wrong = |span, message: &str| FileError::at(path, text, span, message);
        let written: BTreeMap<Spanned<String>, Spanned<Reason>> = toml::from_str(text)
            .map_err(|error| wrong(error.span().unwrap_or_default(), error.message()))?;
        let mut named = vec![];
        for (name, reason) in written {
            let places = Named::parse(name.get_ref(), &coverage.places)
                .map_err(|message| wrong(name.span(), &message))?;
            if reason.get_ref().text().trim().is_empty() {
                return Err(wrong(reason.span(), "a reason is missing"));
            }
            named.push((places, reason.into_inner()));
        }
        Ok(Self { named })
    }

    /// The reason why a place cannot be reached, if it is listed.
    fn reason(&self, place: &Place) -> Option<&Reason> {
        let named = self.named.iter().find(|(named, _)| named.contains(place));
        named.map(|(_, reason)| reason)
    }
}

impl Reason {
    /// The reason, in words.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Never(reason) | Self::ButNightly { nightly: reason } => reason,
        }
    }
}

impl Named {
    /// Parses a name of some of these places.
    fn parse(name: &str, places: &[Place]) -> Result<Self, String> {
        let mut known = [const { vec![] }; 3];
        for place in places {
            match place {
                Place::Step { role, event } => {
                    known[0].push(role.to_string());
                    known[1].push(event.to_string());
                }
                Place::Effect(effect) => known[2].push(effect.to_string()),
            }
        }
        let [roles, events, effects] = &known;
        match (name.split_once(" × "), name.strip_prefix("effect ")) {
            (Some((role, event)), _) => Ok(Self::Steps {
                roles: listed("role", role, roles)?,
                events: listed("event", event, events)?,
            }),
            (None, Some(effect)) => Ok(Self::Effects(listed("effect", effect, effects)?)),
            (None, None) => {
                Err(format!("`{name}` is neither `<role> × <event>` nor `effect <effect>`"))
            }
        }
    }

    fn contains(&self, place: &Place) -> bool {
        match (self, place) {
            (Self::Steps { roles, events }, Place::Step { role, event }) => {
                roles.contains(*role) && events.contains(&event.to_string())
            }
            (Self::Effects(effects), Place::Effect(effect)) => {
                effects.contains(&effect.to_string())
            }
            (Self::Steps { .. }, Place::Effect(_)) | (Self::Effects(_), Place::Step { .. }) => {
                false
            }
        }
    }
}

/// The names in a list, which must all be known. A `*` stands for all known names.
fn listed(what: &str, list: &str, known: &[String]) -> Result<BTreeSet<String>, String> {
    if list == "*" {
        return Ok(known.iter().cloned().collect());
    }
    let check = |name: &str| {
        if known.iter().any(|known| known == name) {
            return Ok(name.to_string());
        }
        let hint = file::did_you_mean(name, known.iter().map(String::as_str));
        let known: BTreeSet<_> = known.iter().map(String::as_str).collect();
        let known: Vec<_> = known.into_iter().collect();
        Err(format!("there is no {what} `{name}`{hint} (there are: {})", known.join(", ")))
    };
    list.split(", ").map(check).collect()
}

/// The coverage of a protocol, beside its list of unreachable places.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// The protocol's name.
    #[serde(rename = "coverage")]
    pub protocol: String,
    /// Every search ran to its end.
    pub complete: bool,
    /// All places. Empty for a protocol without a vocabulary.
    pub entries: Vec<Entry>,
}

/// The coverage of a place.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The place.
    pub place: Place,
    /// The number of different steps that were taken there: with different states or different events. For an
    /// effect, the number of different steps that had it.
    pub count: usize,
    /// The reason why it cannot be reached, if it is listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<Reason>,
}

impl Account {
    /// The places that were not reached although they are not listed as unreachable.
    pub fn unreached(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.count == 0 && entry.unreachable.is_none())
    }

    /// The places that were reached although they are listed as unreachable: the reason is no longer true.
    pub fn stale(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.is_stale())
    }

    /// The comparison with the expectation: every place is reached unless it is listed.
    #[must_use]
    pub fn comparison(&self) -> Comparison {
        let (unreached, stale) = (self.unreached().next(), self.stale().next());
        match (unreached, stale) {
            (_, Some(_)) => Comparison::Differs,
            (Some(_), None) if self.complete => Comparison::Differs,
            (Some(_), None) => Comparison::Cut,
            (None, None) => Comparison::AsExpected,
        }
    }
}

impl Entry {
    /// True if it was reached although it is listed as never reached.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.count > 0 && matches!(self.unreachable, Some(Reason::Never(_)))
    }
}

impl Serialize for Place {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
