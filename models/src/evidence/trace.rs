//! Traces: runs that are kept.
//!
//! A trace is a list of actions with their effects. It names the property that it violates, and the cause in
//! the protocol. It is JSON that a person can read and diff. Effects and timers are plain values, so that a
//! trace can still be read after the protocol has changed.

use crate::{
    io::file::{self, FileError},
    model::{
        action::{Action, ActionOf, Choice},
        environment::Environment,
        world::{EnabledOf, Rules},
    },
    protocol::Protocol,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    convert::Infallible,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

/// The form of trace files that this version writes and reads.
pub const FORMAT: u32 = 1;

/// A run that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trace {
    /// [`FORMAT`].
    pub format: u32,
    /// The protocol that ran.
    pub protocol: String,
    /// The scenario that it was found in.
    pub scenario: String,
    /// The environment that it ran in.
    pub environment: Environment,
    /// The property that it violates.
    pub property: String,
    /// False for a run that was kept for what it shows: it does not violate the property.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub violates: bool,
    /// The rule of the protocol that makes it possible, in a line. Written by people.
    pub cause: String,
    /// The number of steps before the loop of a livelock: the last step leads back to the world after these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loop_from: Option<usize>,
    /// The steps.
    pub steps: Vec<TraceStep>,
}

/// One action of a trace, with its effects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceStep {
    /// The action.
    pub action: Choice<Value>,
    /// The node crashed after this many effects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crash_after: Option<usize>,
    /// The effects that happened, in order.
    pub effects: Vec<Value>,
}

impl Trace {
    /// Records a run.
    ///
    /// # Panics
    /// If the run is not possible in this world.
    pub fn record<P: Protocol>(
        rules: &Rules<P>,
        scenario: &str,
        property: &str,
        run: &[ActionOf<P>],
    ) -> Self {
        let mut rules = rules.anew();
        let mut world = rules.initial();
        let record = |(action, nth): (&ActionOf<P>, usize)| {
            let (enabled, next) = rules.take(&world, action).expect("an action that is enabled");
            let step = TraceStep::of(&rules, &enabled);
            world = rules.forget_at(nth, next);
            step
        };
        let steps = run.iter().zip(1..).map(record).collect();
        Self {
            format: FORMAT,
            protocol: rules.protocol().name().into_owned(),
            scenario: scenario.into(),
            environment: rules.environment().clone(),
            property: property.into(),
            violates: true,
            cause: String::new(),
            loop_from: None,
            steps,
        }
    }

    /// Reads a trace.
    ///
    /// # Errors
    /// If it cannot be read, or is not a trace that this version understands: the place, and the reason.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        Self::parse(path, &file::read(path)?)
    }

    /// Parses the text of a trace file.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        if !text.trim_start().starts_with('{') {
            let form = "a JSON object, as `check --save-traces` writes it";
            return Err(FileError::in_line(path, 1, 1, format!("not a trace, which is {form}")));
        }
        if text.starts_with(r#"{"start":"#) {
            let message = "the log of a node, not a trace: `interrex validate` reads it";
            return Err(FileError::in_line(path, 1, 1, message));
        }
        let trace: Self = file::json(path, text)?;
        if trace.format != FORMAT {
            let message = format!("format {}: this version reads format {FORMAT}", trace.format);
            return Err(FileError::new(path, message));
        }
        trace.environment.check().map_err(|misfit| FileError::new(path, misfit))?;
        if let Some(first) = trace.loop_from.filter(|first| *first >= trace.steps.len()) {
            let message = format!("loop_from {first}: there are {} steps", trace.steps.len());
            return Err(FileError::new(path, message));
        }
        Ok(trace)
    }

    /// The path of its file below the folder of traces.
    #[must_use]
    pub fn file_name(&self) -> PathBuf {
        Self::path(&self.protocol, &self.scenario, &self.property)
    }

    /// `gms3 violates no-duplicate`.
    #[must_use]
    pub fn title(&self) -> String {
        format!("{} violates {}", self.protocol, self.property)
    }

    /// The path, below the folder of traces, of a run that violates a property in a scenario: the folder of the
    /// scenario, or else that of the protocol, and `<property>.<scenario>.json`. It contains the scenario rather than
    /// the class of the environment, because two scenarios may differ in size only.
    #[must_use]
    pub fn path(protocol: &str, scenario: &str, property: &str) -> PathBuf {
        let (folder, scenario) = scenario.rsplit_once('/').unwrap_or((protocol, scenario));
        Path::new(folder).join(format!("{property}.{scenario}.json"))
    }

    /// Writes it, and the folders above it. A file with the same run stays unchanged, with the cause that a
    /// person wrote. That is kept, too, if only the effects differ. If the actions do, it is marked as that of another run.
    ///
    /// # Errors
    /// If it cannot be written. An existing file stays unchanged then.
    pub fn save(&self, path: &Path) -> Result<(), FileError> {
        let mut trace = self.clone();
        // Reading a pipe would block.
        if path.is_file()
            && let Ok(known) = Self::read(path)
        {
            if known.has_run_of(self) {
                return Ok(());
            }
            if known.has_actions_of(self) {
                trace.cause = known.cause;
            } else if !known.cause.is_empty() {
                trace.cause = format!("of an earlier run: {}", known.cause);
            }
        }
        let cannot = |error| FileError::new(path, format!("cannot be written: {error}"));
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(cannot)?;
        }
        file::write(path, &trace.to_json())
    }

    /// True if another trace differs in nothing but its cause.
    #[must_use]
    pub fn has_run_of(&self, other: &Self) -> bool {
        let cause = self.cause.clone();
        *self == Self { cause, ..other.clone() }
    }

    fn has_actions_of(&self, other: &Self) -> bool {
        let action = |step: &TraceStep| (step.action.clone(), step.crash_after);
        self.steps.iter().map(action).eq(other.steps.iter().map(action))
    }

    /// The text of its file, with one effect per line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        let mut line = |indent: usize, content: &str| {
            let _ = writeln!(text, "{:indent$}{content}", "");
        };
        line(0, "{");
        line(2, &format!(r#""format": {},"#, self.format));
        line(2, &format!(r#""protocol": {},"#, compact(&self.protocol)));
        line(2, &format!(r#""scenario": {},"#, compact(&self.scenario)));
        line(2, &format!(r#""environment": {},"#, compact(&self.environment)));
        line(2, &format!(r#""property": {},"#, compact(&self.property)));
        if !self.violates {
            line(2, r#""violates": false,"#);
        }
        line(2, &format!(r#""cause": {},"#, compact(&self.cause)));
        if let Some(first) = self.loop_from {
            line(2, &format!(r#""loop_from": {first},"#));
        }
        line(2, r#""steps": ["#);
        for (at, step) in self.steps.iter().enumerate() {
            line(4, "{");
            line(6, &format!(r#""action": {},"#, compact(&step.action)));
            if let Some(k) = step.crash_after {
                line(6, &format!(r#""crash_after": {k},"#));
            }
            if step.effects.is_empty() {
                line(6, r#""effects": []"#);
            } else {
                line(6, r#""effects": ["#);
                for (at, effect) in step.effects.iter().enumerate() {
                    line(8, &format!("{}{}", compact(effect), comma(at, step.effects.len())));
                }
                line(6, "]");
            }
            line(4, &format!("}}{}", comma(at, self.steps.len())));
        }
        line(2, "]");
        line(0, "}");
        text
    }
}

impl TraceStep {
    /// An action that is taken, with its effects.
    pub(crate) fn of<P: Protocol>(rules: &Rules<P>, taken: &EnabledOf<P>) -> Self {
        Self {
            action: plain(&taken.action.choice),
            crash_after: taken.action.crash_after,
            effects: rules.effects(taken).iter().map(to_value).collect(),
        }
    }

    /// The action, with the timer type of a protocol.
    ///
    /// # Errors
    /// If it has no such timer.
    pub fn action<Timer: for<'de> Deserialize<'de>>(&self) -> Result<Action<Timer>, String> {
        let timer = |timer: Value| {
            serde_json::from_value(timer)
                .map_err(|error| format!("the protocol has no such timer: {error}"))
        };
        Ok(Action {
            choice: self.action.clone().try_map_timer(timer)?,
            crash_after: self.crash_after,
        })
    }
}

/// A choice whose timer is a plain value.
fn plain<Timer: Clone + Serialize>(choice: &Choice<Timer>) -> Choice<Value> {
    let plain = choice.clone().try_map_timer(|timer| Ok::<_, Infallible>(to_value(&timer)));
    plain.unwrap_or_else(|impossible| match impossible {})
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_yes(violates: &bool) -> bool {
    *violates
}

fn compact(value: &impl Serialize) -> String {
    to_value(value).to_string()
}

fn comma(at: usize, count: usize) -> &'static str {
    if at + 1 < count { "," } else { "" }
}

/// A part of a machine as a plain value.
///
/// # Panics
/// If it cannot be written as JSON; the parts of a machine can.
pub fn to_value(part: &impl Serialize) -> Value {
    serde_json::to_value(part).expect("a part of a machine is JSON")
}
