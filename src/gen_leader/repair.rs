//! The switches between the 2007 version and the repaired one.

use im::OrdSet;
use serde::{Deserialize, Serialize};

/// Declares [`Repair`]. [`Repair::ALL`] and the names come from the same list as the variants, so that none can be
/// forgotten.
macro_rules! repairs {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A change to the version of 2007. Each is here because the search finds a counterexample without it; they
        /// are kept in `traces/gen_leader/controls/`.
        ///
        /// The last three change the behaviour, the others the election.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub enum Repair {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Repair {
            /// All repairs.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$variant),*];

            /// The name of the repair. A protocol that lacks it is called after it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

repairs! {
    /// A leader asks every candidate until that candidate has confirmed that it follows, and not only the candidates
    /// that it believes down. At first all are to be asked. A candidate that surrenders confirms it (with
    /// `HasLeader`).
    AskEverybody = "ask-everybody",
    /// A candidate that waits for one process also answers the question of another leader.
    AnswerInWait = "answer-in-wait",
    /// A monitor belongs to one life. Each process that makes contact or is named is monitored. The `Down` of one
    /// life of a node says nothing of another, and that includes an earlier life of the process's own node.
    LivesApart = "lives-apart",
    /// A new leader is announced to the process that acknowledged, not to whichever process now has its name.
    TellWhoAcked = "tell-who-acked",
    /// A candidate begins all elections of a life under one id, so that ids do not count up for ever. It bounds the
    /// ids, not the number of retries: unbounded retry needs an unfair scheduler.
    OneId = "one-id",
    /// A single candidate elects itself.
    LoneLeads = "lone-leads",
    /// A process takes a broadcast only from the leader to which it has surrendered. Any other broadcast is dropped
    /// when it arrives.
    OwnLeader = "own-leader",
    /// The calls that are out when the leader dies end with an error.
    CallsFail = "calls-fail",
    /// A call leaves the buffer when it is answered, or when its client gives up. A reply that nobody waits for is
    /// ignored.
    AnsweredLeaves = "answered-leaves",
}

/// The repairs that are in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Repairs(OrdSet<Repair>);

impl Repairs {
    /// No repair: the version of 2007 as it was.
    #[must_use]
    pub fn none() -> Self {
        Self(OrdSet::new())
    }

    /// All repairs.
    #[must_use]
    pub fn all() -> Self {
        Self(Repair::ALL.into_iter().collect())
    }

    /// The same repairs but for one.
    #[must_use]
    pub fn without(mut self, repair: Repair) -> Self {
        self.0.remove(&repair);
        self
    }

    /// True if the repair is in force.
    #[must_use]
    pub fn has(&self, repair: Repair) -> bool {
        self.0.contains(&repair)
    }
}
