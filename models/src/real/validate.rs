//! Validates the logs of real nodes: against the machine, and against the properties.
//!
//! Validation answers three questions, one after the other:
//!
//! 1. **Does the machine agree?** The machine is run on the events of each log. It must produce the logged effects.
//! 2. **Is a property violated?** The logs of a cluster are [joined](self#the-joined-run) to one run. The histories of
//!    this run are judged by the same properties as in a search.
//! 3. **Does the model violate it, too?** A run that violates a property is translated into a trace of the harness. The
//!    trace can be replayed and shrunk.
//!
//! Before that, each log is searched for what the adapter must not do: fire a timer that is not armed, report the `Down`
//! of a process that is not monitored, begin a life with another value than the one persisted last, or read a clock that
//! runs backwards. A message that is missing, before one that arrived, must be explained by the end of a connection.
//!
//! # Digests
//!
//! A log has only the [digest](interrex::runtime::Held) of a large value. Effects are compared by it. A message is taken from
//! the run of the machine on the log of its sender, and the stored value with which a life begins from the life before. A
//! digest of something else is a contradiction at its line. If no log tells of the sender or of the life before, that is a
//! [`Gap`]: the machine cannot be run further on this log, and no property is judged.
//!
//! # The joined run
//!
//! The run respects causality. Steps that are not causally ordered are ordered by the clocks of the hosts. If messages
//! arrive before they were sent, by these clocks, the clocks are corrected first: each by a constant, as well as the
//! messages tell. Where a verdict on *single-leader* still rests on clocks that may differ by more, there is none. Lives
//! have large numbers in logs; here they are numbered from 0.
//!
//! * A line `end` means that a process was shut down by its program, or has ended itself.
//! * A life without it was killed if another life follows it in the log, if its last line is cut short, or if another
//!   process received its `Down` and it did nothing after that. Otherwise it is still up.
//! * A `Down` of a process that takes further steps is treated as false. Causality decides, or else the clocks, which
//!   are taken to agree to five milliseconds between hosts unless messages show otherwise.
//! * A line is written before its effects are executed. If the last messages of a killed node did not arrive although
//!   their receivers were up, they were never sent, and nothing after them has happened.
//!
//! # The time of judgement
//!
//! Safety properties are judged on the whole histories at the end. Those that only survivors can violate are also
//! judged at each end of a life, and *single-leader* whenever a process begins to lead. A safety property of a protocol's
//! own is judged after each step: of the orders in which causally independent steps can have happened, the run is one.
//! Settled properties are judged
//! at the end if nothing is pending there: no message to a process that is up, no `Down`, no join. If all nodes were shut
//! down by their programs, the end is the moment before the first one was. Properties of infinite runs are not judged.
//! Whether the run exercises a property is looked at whenever a process begins to lead, at each end of a life, and at the
//! end.

mod adapter;
mod carry;
mod clocks;
mod execution;
mod join;
mod judge;
mod life;
mod log;
mod order;
mod overlap;
mod run;
mod supply;
mod wording;

use crate::{
    claim::property::{Kind, Property},
    evidence::trace::Trace,
    io::{file::FileError, text::plain},
    protocol::registry::{Known, Registry},
    real::application::{self, Application},
};
pub use clocks::Clocks;
use execution::{Execution, execute};
use interrex::{
    gen_leader::Roster,
    machine::{Address, NodeId},
};
use join::Cluster;
use life::Life;
use log::Common;
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

/// The result of a validation.
#[derive(Debug)]
pub struct Validation {
    /// The protocol of the logs.
    pub protocol: Known,
    /// A summary of each log.
    pub logs: Vec<Log>,
    /// The differences between the logs and the machine; at most one per log.
    pub differences: Vec<Difference>,
    /// The contradictions between logs, and what the adapter has done against its promises. There are none in the logs of
    /// one cluster with reliable links.
    pub contradictions: Vec<Contradiction>,
    /// The values that the machine needed and no log tells. There are none if the logs of all nodes are given, from their beginnings.
    pub gaps: Vec<Gap>,
    /// The number of messages that never arrived although later ones of the same process did. Where no connection had ended
    /// and nothing was dropped, they are contradictions, too.
    pub lost: usize,
    /// The clocks of the hosts, as far as the messages tell.
    pub clocks: Clocks,
    /// The verdicts, in the order of the protocol's properties.
    pub verdicts: Vec<(&'static Property, Verdict)>,
    /// The translation of a run, if it was requested and there is one.
    pub carried: Option<Carried>,
}

/// A summary of a log.
#[derive(Clone, Debug, Serialize)]
pub struct Log {
    /// The file.
    pub path: PathBuf,
    /// The node; none if the log contains no life.
    pub node: Option<NodeId>,
    /// The number of lives.
    pub lives: usize,
    /// The number of steps, without the starts.
    pub steps: usize,
    /// The number of lives with a line `end`.
    pub ends: usize,
    /// The number of lives that a crash has ended: they have no such line, and are cut short or followed by another life.
    pub crashes: usize,
}

impl Log {
    /// The node, if the file is named like the log of another one: `n1.log`, with a log of `n0` in it.
    #[must_use]
    pub fn misnamed(&self) -> Option<NodeId> {
        let name = self.path.file_name()?.to_str()?.split('.').next()?;
        let named = name.parse::<NodeId>().ok()?;
        self.node.filter(|node| *node != named)
    }
}

/// The first line of a log that differs from the machine.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// The line.
    #[serde(flatten)]
    pub place: Where,
    /// The index of the effect, from 0; none for the end of a life.
    pub effect: Option<usize>,
    /// The logged value, if there is one.
    pub logged: Option<Value>,
    /// The value that the machine produces, if there is one.
    pub machine: Option<Value>,
}

/// A contradiction between two logs, or a broken promise of the adapter.
#[derive(Clone, Debug, Serialize)]
pub struct Contradiction {
    /// The line at which it is detected.
    #[serde(flatten)]
    pub place: Where,
    /// A description.
    pub message: String,
}

/// A part of the run that no log tells.
#[derive(Clone, Debug, Serialize)]
pub struct Gap {
    /// The first line that needs it.
    #[serde(flatten)]
    pub place: Where,
    /// A description.
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

/// The verdict on a property.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No violation was found, and the run exercises it.
    Holds,
    /// No violation was found, but the run does not exercise it either: this says nothing.
    Unwitnessed,
    /// It is violated.
    Violated {
        /// The first complaints.
        complaints: Vec<String>,
        /// The number of all complaints.
        count: usize,
        /// The step after which it is violated for the first time.
        place: Option<Where>,
    },
    /// It was not judged, for this reason.
    NotJudged(String),
}

/// The translation of a run, or the reason why there is none.
#[derive(Debug)]
pub struct Carried {
    /// The property that it is judged by.
    pub property: &'static Property,
    /// The run.
    pub outcome: Result<Run, NotCarried>,
}

/// A run of real nodes, translated into a trace of the harness.
#[derive(Debug)]
pub struct Run {
    /// The trace.
    pub trace: Trace,
    /// A description of the steps left out of it.
    pub left_out: Vec<String>,
    /// The time of each of its steps, in microseconds since 1970, with the clocks of the hosts corrected; none for an end
    /// that nobody noticed.
    pub times: Vec<Option<u64>>,
}

/// The reason why a run cannot be translated into a trace of the harness.
#[derive(Clone, Debug)]
pub struct NotCarried {
    /// The first line that cannot be translated, if there is one.
    pub place: Option<Where>,
    /// The reason.
    pub reason: String,
}

/// The run to translate into a trace of the harness.
#[derive(Clone, Copy, Debug)]
pub enum Carry<'a> {
    /// None.
    Nothing,
    /// The run that violates the first violated property, except these properties.
    FirstBut(&'a [String]),
    /// The same, or else the whole run.
    Any(&'a [String]),
}

/// Validates the logs of a cluster.
///
/// # Example
///
/// The log of a single node:
///
/// ```
/// use interrex::{gen_leader::Roster, machine::NodeId, runtime::{ClusterKey, Config, Node}};
/// use interrex_models::{protocol::{gms3::real::machine, registry::built_in}, real::validate::{validate, Carry, Verdict}};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let folder = tempfile::tempdir()?;
/// let log = folder.path().join("n0.log");
/// let mut config = Config::new(NodeId(0), "127.0.0.1:0", [], ClusterKey::generate()?, "gms3");
/// config.log = Some(log.clone());
/// let node = Node::spawn(machine(&Roster::default()), config).await?;
/// node.shut_down().await?;
///
/// let validation = validate(built_in(), &[log], Carry::Nothing)?;
/// assert!(validation.differences.is_empty() && validation.contradictions.is_empty());
/// let mut verdicts = validation.verdicts.iter().map(|(_, verdict)| verdict);
/// assert!(!verdicts.any(|verdict| matches!(verdict, Verdict::Violated { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// If a file cannot be read or is not a log, if the registry has no such protocol, or if the logs are not those of one
/// cluster.
pub fn validate(
    registry: &Registry,
    paths: &[PathBuf],
    carry: Carry<'_>,
) -> Result<Validation, FileError> {
    validate_with(registry, paths, carry, SKEW)
}

/// The largest difference of the hosts' clocks, unless messages show a larger one.
pub const SKEW: Duration = Duration::from_millis(5);

/// Validates the logs of a cluster whose clocks may differ by more or less than [`SKEW`].
///
/// # Errors
/// As [`validate`].
pub fn validate_with(
    registry: &Registry,
    paths: &[PathBuf],
    carry: Carry<'_>,
    skew: Duration,
) -> Result<Validation, FileError> {
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
        FileError::new(first, "no log contains the start of a node: nothing to validate")
    })?;
    let known =
        registry.named(&common.protocol).map_err(|message| FileError::new(first, message))?;
    let roster = application::roster(&common.configuration).map_err(|error| {
        FileError::new(first, format!("the configuration is not a roster: {error}"))
    })?;
    if known.has_roster() && roster.is_none() {
        let message = format!("the configuration is empty: {} needs a roster", common.protocol);
        return Err(FileError::new(first, message));
    }
    let skew = u64::try_from(skew.as_micros()).unwrap_or(u64::MAX);
    known.validate(&Logs { common, roster, paths, carry, skew })
}

/// The logs of a cluster, and the questions about them.
pub(crate) struct Logs<'a> {
    common: Common,
    /// The nodes, if the machine depends on them.
    pub(crate) roster: Option<Roster>,
    paths: &'a [PathBuf],
    carry: Carry<'a>,
    /// In microseconds.
    skew: u64,
}

/// Validates logs against the machine of real nodes.
pub(crate) fn of_machine<R: Application>(
    machine: &R,
    known: Known,
    logs: &Logs<'_>,
) -> Result<Validation, FileError> {
    let Logs { common, paths, carry, .. } = logs;
    let Execution { replayed, gaps, is_complete } =
        execute(machine, common, paths, |_| usize::MAX)?;
    let mut validation = Validation {
        protocol: known,
        logs: vec![],
        differences: vec![],
        contradictions: vec![],
        gaps,
        lost: 0,
        clocks: Clocks::default(),
        verdicts: vec![],
        carried: None,
    };
    let mut last = BTreeMap::<NodeId, Address>::new();
    for life in replayed.iter().flat_map(|replayed| &replayed.lives) {
        let last = last.entry(life.me.node).or_insert(life.me);
        *last = life.me.max(*last);
    }
    let mut lives = vec![];
    for (path, replayed) in paths.iter().zip(replayed) {
        let node = replayed.lives.first().map(|life| life.me.node);
        let crashed = |life: &&Life<R>| {
            let is_last = last.get(&life.me.node) == Some(&life.me);
            life.end.is_none() && (life.torn.is_some() || !is_last)
        };
        validation.logs.push(Log {
            path: path.clone(),
            node,
            lives: replayed.lives.len(),
            steps: replayed.lives.iter().map(|life| life.steps.len() - 1).sum(),
            ends: replayed.lives.iter().filter(|life| life.end.is_some()).count(),
            crashes: replayed.lives.iter().filter(crashed).count(),
        });
        validation.differences.extend(replayed.difference);
        validation.contradictions.extend(replayed.broken);
        lives.extend(replayed.lives);
    }
    if !is_complete {
        validation.judge_nothing(machine);
        return Ok(validation);
    }
    let cluster = Cluster::join(machine, logs, lives).map_err(|(one, other, process)| {
        let message = format!(
            "the life {process} is here and in {}: name each log once, and one of each node",
            paths[one].display()
        );
        FileError::new(&paths[other], message)
    })?;
    judge(&cluster, *carry, &mut validation);
    if !validation.gaps.is_empty() {
        // What that one has sent looks like something that nobody sent, or sent twice.
        validation.judge_nothing(machine);
        return Ok(validation);
    }
    if let Some(lines) = cluster.lines_before_shutdown() {
        drop(cluster);
        let settled = before_shutdown(machine, logs, &lines)?;
        for ((property, verdict), (_, before, _)) in validation.verdicts.iter_mut().zip(settled) {
            if property.kind == Kind::Settled && matches!(verdict, Verdict::NotJudged(_)) {
                *verdict = before;
            }
        }
    }
    Ok(validation)
}

impl Validation {
    /// No property can be judged: says why.
    fn judge_nothing(&mut self, machine: &impl Application) {
        let why = if !self.differences.is_empty() {
            "the machine does not agree with a log".into()
        } else if let Some(gap) = self.gaps.first() {
            gap.to_string()
        } else {
            "the logs contradict each other".into()
        };
        let judged = machine.properties().iter();
        self.verdicts = judged.map(|it| (*it, Verdict::NotJudged(why.clone()))).collect();
        self.carried = None;
    }
}

/// The verdicts on the run before the nodes were shut down. Afterwards nobody is up, and nothing could be settled.
fn before_shutdown<R: Application>(
    machine: &R,
    logs: &Logs<'_>,
    until: &[usize],
) -> Result<judge::Judged, FileError> {
    let execution = execute(machine, &logs.common, logs.paths, |file| until[file])?;
    let lives = execution.replayed.into_iter().flat_map(|replayed| replayed.lives).collect();
    let cluster = Cluster::join(machine, logs, lives)
        .map_err(|(one, ..)| FileError::new(&logs.paths[one], "a life is in two logs"))?;
    Ok(judge::judge(&cluster))
}

fn judge<R: Application>(cluster: &Cluster<'_, R>, carry: Carry<'_>, validation: &mut Validation) {
    validation.contradictions.extend(cluster.contradictions.iter().cloned());
    validation.gaps.extend(cluster.gaps.iter().cloned());
    validation.lost = cluster.lost;
    validation.clocks.clone_from(&cluster.clocks);
    let judged = judge::judge(cluster);
    validation.carried = match carry {
        Carry::Nothing => None,
        Carry::FirstBut(allowed) => first_violated(&judged, allowed)
            .map(|(property, moments)| carry::carry(cluster, property, moments)),
        Carry::Any(allowed) => first_violated(&judged, allowed)
            .or_else(|| whole(cluster))
            .map(|(property, moments)| carry::carry_any(cluster, property, moments)),
    };
    validation.verdicts =
        judged.into_iter().map(|(property, verdict, _)| (property, verdict)).collect();
}

/// The first violated property, except these, and the number of moments after which it is violated.
fn first_violated(
    judged: &judge::Judged,
    allowed: &[String],
) -> Option<(&'static Property, usize)> {
    let mut violated =
        judged.iter().filter_map(|(property, _, first)| Some((*property, (*first)?)));
    violated.find(|(property, _)| !allowed.iter().any(|name| name == property.name))
}

/// A property that does not ask for an end, and all moments.
fn whole<R: Application>(cluster: &Cluster<'_, R>) -> Option<(&'static Property, usize)> {
    let mut properties = cluster.machine.properties().iter();
    let property = properties.find(|property| property.kind == Kind::Safety)?;
    Some((property, cluster.order.len()))
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

impl fmt::Display for Gap {
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
