//! Validates logs of real nodes: does the machine do what they say, and does what happened violate a property?
//!
//! Three questions, one after the other:
//!
//! 1. **Does the machine agree?** It is run over each log; every effect must be as it was written down.
//! 2. **Is a property violated?** The logs of a cluster are [joined](self#the-joined-run) to one run, and its
//!    histories are judged by the properties that searches judge.
//! 3. **Is it the protocol that does so?** A run that violates a property is carried over into the world of the
//!    harness, where it can be replayed and shrunk.
//!
//! # The joined run
//!
//! Causes come before effects, and what is not ordered by causes is ordered by the clocks of the hosts. Lives, which
//! have large numbers in logs, are numbered from 0.
//!
//! * A line `end` says that a process was shut down by its program, or has ended itself.
//! * A life without it was killed, if another life follows it in the log, if its last line is cut short, or if
//!   somebody was told that it is down and it did nothing behind that. Otherwise it is still up.
//! * A `Down` of a process that goes on is taken for a wrong one: by causes, or by the clocks (which must agree to five
//!   milliseconds between hosts).
//! * A line is written before its effects are carried out. What a killed node sent last and nobody received, though
//!   they could, has not happened, and neither has anything behind it.
//!
//! # What is judged when
//!
//! Safety properties are judged on whole histories in the end, and those that only survivors can violate at each end
//! of a life; *single-leader* whenever somebody begins to lead. Settled properties are judged in the end, if nothing
//! is under way there: no message to somebody who is up, no `Down`, no join. Properties of runs that never end are not
//! judged.

mod carry;
mod join;
mod judge;
mod life;
mod log;

use crate::{
    claim::property::Property,
    evidence::trace::Trace,
    io::{file::FileError, text::plain},
    protocol::registry::Known,
    real::application::{self, Application},
    with_machine,
};
use interrex::{gen_leader::Roster, machine::NodeId};
use join::Cluster;
use log::Common;
use serde::Serialize;
use serde_json::Value;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// What logs have shown.
#[derive(Debug)]
pub struct Validation {
    /// The protocol that ran.
    pub protocol: Known,
    /// What each log tells.
    pub logs: Vec<Log>,
    /// Where the machine does something else, in each log at most once.
    pub differences: Vec<Difference>,
    /// What cannot be, if the logs are those of one cluster and its links are as they should be.
    pub contradictions: Vec<Contradiction>,
    /// How many messages never arrived though later ones of the same process did: a node dropped them, or a connection was
    /// lost and made anew.
    pub lost: usize,
    /// The verdicts, in the order of the protocol's properties.
    pub verdicts: Vec<(&'static Property, Verdict)>,
    /// The run that violates one of them, if one does and it was asked for.
    pub carried: Option<Carried>,
}

/// What a log tells.
#[derive(Clone, Debug, Serialize)]
pub struct Log {
    /// The file.
    pub path: PathBuf,
    /// Of which node it is; none if it tells of no life.
    pub node: Option<NodeId>,
    /// How many lives.
    pub lives: usize,
    /// How many steps, without the starts.
    pub steps: usize,
    /// How many lives have ended otherwise than by a crash.
    pub ends: usize,
}

/// The first line of a log on which the machine does not agree.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Where the log says it.
    #[serde(flatten)]
    pub place: Where,
    /// Which effect, from 0; none where it is about the end of a life.
    pub effect: Option<usize>,
    /// What the log says; none if it says nothing there.
    pub logged: Option<Value>,
    /// What the machine does; none if it does nothing there.
    pub machine: Option<Value>,
}

/// Something that two logs say and that cannot both be.
#[derive(Clone, Debug, Serialize)]
pub struct Contradiction {
    /// Where it is noticed.
    #[serde(flatten)]
    pub place: Where,
    /// What cannot be.
    pub message: String,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Where {
    /// The log.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: usize,
}

/// What is said of a property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing violates it.
    Holds,
    /// It is violated.
    Violated {
        /// The first sentences of those that say so.
        complaints: Vec<String>,
        /// How many there are.
        count: usize,
        /// The step behind which it is violated first.
        place: Option<Where>,
    },
    /// It was not judged, for this reason.
    NotJudged(String),
}

/// A run that violates a property, or why there is none.
#[derive(Debug)]
pub struct Carried {
    /// The property.
    pub property: &'static Property,
    /// The trace, with what was left out of it.
    pub outcome: Result<(Trace, Vec<String>), NotCarried>,
}

/// Why a run cannot be carried over into the world of the harness.
#[derive(Clone, Debug)]
pub struct NotCarried {
    /// The first line that cannot, if it is about one.
    pub place: Option<Where>,
    /// Why.
    pub reason: String,
}

/// Which run is carried over into the world of the harness.
#[derive(Clone, Copy, Debug)]
pub enum Carry<'a> {
    /// None.
    Nothing,
    /// That which violates the first property that is violated and not among these.
    FirstBut(&'a [String]),
}

/// Validates the logs of a cluster.
///
/// # Example
///
/// The log of a node that was alone:
///
/// ```
/// use interrex::{gen_leader::Roster, machine::NodeId, runtime::{ClusterKey, Config, Node}};
/// use interrex_models::{protocol::gms3::real::machine, real::validate::{validate, Carry, Verdict}};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let folder = tempfile::tempdir()?;
/// let log = folder.path().join("n0.log");
/// let mut config = Config::new(NodeId(0), "127.0.0.1:0", [], ClusterKey::generate()?, "gms3");
/// config.log = Some(log.clone());
/// let node = Node::spawn(machine(&Roster::default()), config).await?;
/// node.shut_down().await?;
///
/// let validation = validate(&[log], Carry::Nothing)?;
/// assert!(validation.differences.is_empty() && validation.contradictions.is_empty());
/// let mut verdicts = validation.verdicts.iter().map(|(_, verdict)| verdict);
/// assert!(!verdicts.any(|verdict| matches!(verdict, Verdict::Violated { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If one cannot be read or is none, or if they are not those of one cluster: where, and why.
pub fn validate(paths: &[PathBuf], carry: Carry<'_>) -> Result<Validation, FileError> {
    let mut common: Option<Common> = None;
    for path in paths {
        let Some(this) = log::common(path)? else { continue };
        match &common {
            None => common = Some(this),
            Some(known) if *known == this => {}
            Some(known) => return Err(FileError::new(path, log::differing(known, &this))),
        }
    }
    let first = paths.first().map_or(Path::new(""), PathBuf::as_path);
    let common = common.ok_or_else(|| {
        FileError::new(first, "no life begins in any of the logs: nothing to validate")
    })?;
    let known: Known =
        common.protocol.parse().map_err(|message: String| FileError::new(first, message))?;
    let roster = application::roster(&common.configuration).map_err(|error| {
        FileError::new(first, format!("the configuration is not a roster: {error}"))
    })?;
    with_machine!(known, &roster, machine => of_machine(&machine, known, &common, paths, carry))
}

fn of_machine<R: Application>(
    machine: &R,
    known: Known,
    common: &Common,
    paths: &[PathBuf],
    carry: Carry<'_>,
) -> Result<Validation, FileError> {
    if machine.roster().is_some_and(|roster| *roster == Roster::default()) {
        let message = format!("the configuration is empty: {} needs a roster", common.protocol);
        return Err(FileError::new(&paths[0], message));
    }
    let mut validation = Validation {
        protocol: known,
        logs: vec![],
        differences: vec![],
        contradictions: vec![],
        lost: 0,
        verdicts: vec![],
        carried: None,
    };
    let mut lives = vec![];
    for (file, path) in paths.iter().enumerate() {
        let told = log::run(machine, common, (file, path))?;
        let node = told.lives.first().map(|life| life.me.node);
        validation.logs.push(Log {
            path: path.clone(),
            node,
            lives: told.lives.len(),
            steps: told.lives.iter().map(|life| life.steps.len() - 1).sum(),
            ends: told.lives.iter().filter(|life| life.end.is_some()).count(),
        });
        validation.differences.extend(told.difference);
        lives.extend(told.lives);
    }
    if !validation.differences.is_empty() {
        let why = || Verdict::NotJudged("the machine does not agree with a log".into());
        validation.verdicts = machine.properties().iter().map(|it| (*it, why())).collect();
        return Ok(validation);
    }
    let cluster = Cluster::join(machine, paths, lives).map_err(|(one, other, process)| {
        let message =
            format!("{process} lives here and in {}: a life is in one log", paths[one].display());
        FileError::new(&paths[other], message)
    })?;
    judge(&cluster, carry, &mut validation);
    Ok(validation)
}

fn judge<R: Application>(cluster: &Cluster<'_, R>, carry: Carry<'_>, validation: &mut Validation) {
    validation.contradictions.clone_from(&cluster.contradictions);
    validation.lost = cluster.lost;
    let judged = judge::judge(cluster);
    if let Carry::FirstBut(allowed) = carry {
        let mut violated =
            judged.iter().filter_map(|(property, _, first)| Some((*property, (*first)?)));
        let wanted =
            violated.find(|(property, _)| !allowed.iter().any(|name| name == property.name));
        validation.carried = wanted.map(|(property, first)| Carried {
            property,
            outcome: carry::carry(cluster, property, first),
        });
    }
    validation.verdicts =
        judged.into_iter().map(|(property, verdict, _)| (property, verdict)).collect();
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, effect, logged, machine } = self;
        let said = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".into(), plain);
        write!(f, "{place}: ")?;
        match effect {
            Some(effect) => write!(f, "effect {effect}")?,
            None => f.write_str("the end")?,
        }
        write!(f, ": the log says {}, and the machine does {}", said(logged), said(machine))
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl fmt::Display for NotCarried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}
