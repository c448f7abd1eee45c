//! The symptom of a violation: as much of its cause as can be told from outside.
//!
//! Two runs that violate one property may show two defects. Their causes are known to people only. What can be told
//! without them is what the property complains of, and after which kind of step: two nodes that lead are another
//! defect than a node that does not know its leader, and a violation after a crash another one than after a message.

use crate::{
    claim::property::{Kind, Property},
    model::{
        action::Choice,
        node::Input,
        world::{EnabledOf, Rules, World},
    },
    protocol::Protocol,
};
use interrex::machine::Event;
use serde::Serialize;
use std::fmt;
use strum::Display;

/// The symptom of a violation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Symptom {
    /// The first complaint, without the nodes, lives, messages, numbers and lists that it is about.
    pub complaint: String,
    /// The kind of the step that has violated a safety property. None if the run begins so, and for a settled
    /// property: it may have been violated long before the world settles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Ending>,
}

/// The kind of the last step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Display)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// A node has come up.
    #[strum(to_string = "a start")]
    Start,
    /// An application has asked for something.
    #[strum(to_string = "a command")]
    Command,
    /// A message has arrived.
    #[strum(to_string = "a message")]
    Message,
    /// A `Down` has arrived.
    #[strum(to_string = "a down")]
    Down,
    /// A timer has fired.
    #[strum(to_string = "a time-out")]
    Timeout,
    /// A node has crashed.
    #[strum(to_string = "a crash")]
    Crash,
    /// A node has come up again.
    #[strum(to_string = "a restart")]
    Restart,
    /// A detector has erred.
    #[strum(to_string = "a suspicion")]
    Suspicion,
    /// Something has happened to a message on its way.
    #[strum(to_string = "a fault of a link")]
    Link,
    /// A cut has opened, or has healed.
    #[strum(to_string = "a cut")]
    Cut,
}

impl Symptom {
    /// The symptom of a world, and of the step that has led to it. None if the property is not violated there.
    pub fn of<P: Protocol>(
        rules: &Rules<P>,
        property: &Property,
        step: Option<&EnabledOf<P>>,
        world: &World,
    ) -> Option<Self> {
        // Nearly always it is not violated, and nothing has to be written out.
        let complaints =
            rules.is_violated(world, property).then(|| rules.complaints(world, property));
        let complaint = shape(complaints?.first()?);
        let step = step.filter(|_| property.kind == Kind::Safety);
        Some(Self { complaint, after: step.map(|step| Ending::of(rules, step)) })
    }
}

impl Ending {
    fn of<P: Protocol>(rules: &Rules<P>, step: &EnabledOf<P>) -> Self {
        let input =
            step.step().map(|step| rules.parts().input_at(rules.parts().step_at(step).input));
        match step.action.choice {
            Choice::Start { .. } => Self::Start,
            Choice::Command { .. } => Self::Command,
            Choice::Deliver { .. } => match input {
                Some(Input::Event(Event::Down(_))) => Self::Down,
                _ => Self::Message,
            },
            Choice::Timeout { .. } => Self::Timeout,
            Choice::Crash { .. } => Self::Crash,
            Choice::Restart { .. } => Self::Restart,
            Choice::Suspect { .. } => Self::Suspicion,
            Choice::Drop { .. } | Choice::Duplicate { .. } | Choice::Overtake { .. } => Self::Link,
            Choice::Cut { .. } | Choice::Heal => Self::Cut,
        }
    }
}

/// A complaint without numbers, and without everything in brackets: `n and n both act as leader`. Each `n` was a node.
fn shape(complaint: &str) -> String {
    let mut depth = 0_usize;
    let is_kept = |letter: &char| {
        match letter {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            '0'..='9' | '#' | '.' => {}
            _ => return depth == 0,
        }
        false
    };
    let kept: String = complaint.chars().filter(is_kept).collect();
    let words: Vec<_> = kept.split_whitespace().collect();
    words.join(" ").replace(" ,", ",")
}

/// `n and n both act as leader, after a message`.
impl fmt::Display for Symptom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.complaint)?;
        self.after.map_or(Ok(()), |ending| write!(f, ", after {ending}"))
    }
}
