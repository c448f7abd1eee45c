//! The switches between the election of 2007 and the repaired one.

use im::OrdSet;
use serde::{Deserialize, Serialize};

/// A change to the election of 2007. Each is there because without it the search finds a counterexample:
/// `traces/gen_leader/controls/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    /// A leader asks every candidate until that has confirmed that it follows, not only those that it believes
    /// down: at first all are to be asked, and whoever surrenders tells the leader so (with `HasLeader`).
    AskEverybody,
    /// A candidate answers a leader's question whomever it waits for.
    AnswerInWait,
    /// A monitor belongs to a life: each process that makes contact or is named is monitored, and the `Down`
    /// of one life of a node says nothing of another, an earlier life of its own node included.
    LivesApart,
    /// The leader is told of to the process that acknowledged, not to whoever lives there now.
    TellWhoAcked,
    /// A candidate begins all elections of a life under one id, so that ids do not count up for ever. (How often
    /// it asks one that has not learned of a crash is then still the scheduler's choice; but never a fair run.)
    OneId,
    /// A candidate that is alone elects itself.
    LoneLeads,
    /// A broadcast counts only for those who have surrendered to the process that sent it; it does not wait.
    OwnLeader,
    /// The calls that are out when the leader dies end with an error.
    CallsFail,
    /// A call that was answered, or that its client gave up, leaves the buffer; an answer that nobody waits for is
    /// ignored.
    AnsweredLeaves,
}

/// The repairs that are in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Repairs(OrdSet<Repair>);

impl Repairs {
    /// None: the election of 2007 as it was.
    #[must_use]
    pub fn none() -> Self {
        Self(OrdSet::new())
    }

    /// All of them.
    #[must_use]
    pub fn all() -> Self {
        Self(Repair::ALL.into_iter().collect())
    }

    /// These, without one.
    #[must_use]
    pub fn without(mut self, repair: Repair) -> Self {
        self.0.remove(&repair);
        self
    }

    /// Whether one is in force.
    #[must_use]
    pub fn has(&self, repair: Repair) -> bool {
        self.0.contains(&repair)
    }
}

impl Repair {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::AskEverybody,
        Self::AnswerInWait,
        Self::LivesApart,
        Self::TellWhoAcked,
        Self::OneId,
        Self::LoneLeads,
        Self::OwnLeader,
        Self::CallsFail,
        Self::AnsweredLeaves,
    ];

    /// Its name, in protocols that lack it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AskEverybody => "ask-everybody",
            Self::AnswerInWait => "answer-in-wait",
            Self::LivesApart => "lives-apart",
            Self::TellWhoAcked => "tell-who-acked",
            Self::OneId => "one-id",
            Self::LoneLeads => "lone-leads",
            Self::OwnLeader => "own-leader",
            Self::CallsFail => "calls-fail",
            Self::AnsweredLeaves => "answered-leaves",
        }
    }
}
