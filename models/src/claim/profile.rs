//! A node, as the properties see it.

use super::notion::{Notion, Standing, Term, Token, View};
use interrex::machine::Address;
use std::fmt;

/// What the properties see of one node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Profile {
    /// The node, in its present or last life.
    pub me: Address,
    /// Whether it runs, and where it stands.
    pub presence: Presence,
    /// How many commands it has issued.
    pub issued: u32,
    /// The views that it installed, in order.
    pub views: Vec<View>,
    /// The messages that it delivered, in order.
    pub deliveries: Vec<Delivery>,
    /// How many views and deliveries it had each time it joined a group anew, in a later life.
    pub rejoined: Vec<(usize, usize)>,
    /// The last that it observed was an error: if it is stopped, it has said why.
    pub failed: bool,
    /// The terms in which it was elected, where that is not read from its views.
    pub elections: Vec<Term>,
    /// To whom it surrendered, in order; itself where it was elected.
    pub allegiances: Vec<Address>,
    /// The calls that were answered or have failed, by their tags, in order.
    pub answers: Vec<u64>,
    /// The calls whose clients still wait for the leader's answer, by their tags.
    pub waiting: Vec<u64>,
    /// How many election ids it has used up in this life, where the protocol counts them.
    pub ids: u64,
    /// It has carried out what a leader broadcast.
    pub served: bool,
    /// Whose broadcast it carried out first without having surrendered to that one last.
    pub strayed: Option<Address>,
    /// Its copy of the replicated application state, as JSON; none while nothing has changed it.
    pub replica: Option<String>,
}

/// Whether a node runs, and where it stands if it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Presence {
    /// Never started.
    Idle,
    /// Running.
    Up(Standing),
    /// Ended by the environment.
    Crashed,
    /// Ended by itself.
    Stopped,
}

/// A message handed to the application.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Delivery {
    /// Which message.
    pub message: Token,
    /// Its place in the order of views and messages.
    pub number: u64,
    /// The view in force, as its place in [`Profile::views`]; none at a founder that is alone.
    pub view: Option<usize>,
}

impl Profile {
    /// A node that was never started.
    #[must_use]
    pub fn idle(me: Address) -> Self {
        Self {
            me,
            presence: Presence::Idle,
            issued: 0,
            views: vec![],
            deliveries: vec![],
            rejoined: vec![],
            failed: false,
            elections: vec![],
            allegiances: vec![],
            answers: vec![],
            waiting: vec![],
            ids: 0,
            served: false,
            strayed: None,
            replica: None,
        }
    }

    /// Adds an observation to what is known of the node.
    pub(crate) fn read(&mut self, notion: Notion) {
        self.failed = notion == Notion::Failed;
        match notion {
            Notion::Joined if self.views.is_empty() && self.deliveries.is_empty() => {}
            Notion::Joined => self.rejoined.push((self.views.len(), self.deliveries.len())),
            Notion::Installed(view) => self.views.push(view),
            Notion::Delivered { number, message } => self.deliveries.push(Delivery {
                message,
                number,
                view: self.views.len().checked_sub(1),
            }),
            Notion::Elected(term) => {
                self.elections.push(term);
                self.allegiances.push(self.me);
            }
            Notion::Surrendered(leader) => self.allegiances.push(leader),
            Notion::Served(leader) => {
                self.served = true;
                if self.strayed.is_none() && self.allegiances.last() != Some(&leader) {
                    self.strayed = Some(leader);
                }
            }
            Notion::Answered(tag) => self.answers.push(tag),
            Notion::Failed | Notion::Unremarked => {}
        }
    }

    /// It runs.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.presence, Presence::Up(_))
    }

    /// It runs and belongs to a group, whether or not it knows a leader.
    pub(crate) fn is_member(&self) -> bool {
        matches!(self.presence, Presence::Up(standing) if standing != Standing::Outsider)
    }

    /// It leads, and did not from the beginning.
    pub(crate) fn rose(&self) -> bool {
        let followed = self.views.first().is_some_and(|view| view.leader != self.me);
        let elected = followed || !self.elections.is_empty();
        elected && self.presence == Presence::Up(Standing::Leading)
    }

    /// The terms in which it was elected, in whichever life.
    pub(crate) fn terms(&self) -> impl Iterator<Item = Term> {
        let own = self.views.iter().filter(|view| view.leader.node == self.me.node);
        own.map(|view| Term(vec![view.number])).chain(self.elections.iter().cloned())
    }

    /// It was led by one process, and then by another.
    pub(crate) fn changed_allegiance(&self) -> bool {
        let of_views = self.views.iter().map(|view| view.leader);
        let others = of_views.chain(self.allegiances.iter().copied());
        let leaders: Vec<_> = others.filter(|leader| *leader != self.me).collect();
        leaders.iter().any(|leader| *leader != leaders[0])
    }

    pub(crate) fn has_delivered(&self, message: Token) -> bool {
        self.deliveries.iter().any(|delivery| delivery.message == message)
    }

    /// What each of its processes delivered, the last one's last: whoever comes back is another process, and
    /// owes nothing that was delivered while it was away.
    pub(crate) fn processes(&self) -> impl DoubleEndedIterator<Item = Process<'_>> {
        (0..=self.rejoined.len()).map(|life| {
            let (views, first) = life.checked_sub(1).map_or((0, 0), |before| self.rejoined[before]);
            let next = self.rejoined.get(life).map(|(_, deliveries)| *deliveries);
            Process {
                of: self,
                is_over: life < self.rejoined.len(),
                first_number: self.views.get(views).map_or(0, |view| view.number),
                deliveries: &self.deliveries[first..next.unwrap_or(self.deliveries.len())],
            }
        })
    }

    pub(crate) fn view_of(&self, delivery: &Delivery) -> Option<&View> {
        delivery.view.map(|view| &self.views[view])
    }
}

/// A node in one of its lives, as far as it delivered messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process<'a> {
    /// Whose life it is.
    pub of: &'a Profile,
    /// It is a life before the present or last one.
    pub is_over: bool,
    /// The number of its first view; 0 for a founder that is alone.
    pub first_number: u64,
    /// The messages that it delivered, in order.
    pub deliveries: &'a [Delivery],
}

/// `n1#1`, or `n1, in a former life,`: which one, what it observed does not say.
impl fmt::Display for Process<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_over {
            write!(f, "{}, in a former life,", self.of.me.node)
        } else {
            self.of.me.fmt(f)
        }
    }
}
