//! The profile of a node: its view for the properties.

use super::{
    fact::Fact,
    notion::{Notion, Standing, Term, Token, View},
};
use interrex::machine::Address;
use serde::de::DeserializeOwned;
use std::{
    fmt,
    hash::{Hash, Hasher},
};

/// The profile of one node: everything that the properties read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The node, in its present or last life.
    pub me: Address,
    /// Its name in views: itself, or one of its former lives.
    pub member: Address,
    /// Its condition, and its standing while it runs.
    pub presence: Presence,
    /// The number of commands that it has issued.
    pub issued: u32,
    /// The views that it installed, in order.
    pub views: Vec<View>,
    /// The messages that it delivered, in order.
    pub deliveries: Vec<Delivery>,
    /// The former processes of this node.
    pub former: Vec<Former>,
    /// The numbers of views and deliveries of former lives, which it repeats in the present one.
    pub repeated: (usize, usize),
    /// Everything up to this number in the order of views and messages came with the state of another process, and was not
    /// delivered one by one.
    pub restored: Option<u64>,
    /// The messages in that state, as far as it tells.
    pub restored_messages: Vec<Token>,
    /// Its last observation was an error: if it has stopped, it has given a reason.
    pub failed: bool,
    /// The terms in which it was elected, unless its views say that.
    pub elections: Vec<Term>,
    /// The leaders to whom it surrendered, in order; itself where it was elected.
    pub allegiances: Vec<Address>,
    /// The tags of calls that were answered or have failed, in order.
    pub answers: Vec<u64>,
    /// The tags of calls whose clients still wait for the leader's answer.
    pub waiting: Vec<u64>,
    /// The number of election ids it has used in this life, if the protocol counts them.
    pub ids: u64,
    /// It has carried out a broadcast of a leader.
    pub served: bool,
    /// The first leader whose broadcast it carried out although its last surrender was to another process.
    pub strayed: Option<Address>,
    /// Its copy of the replicated application state, as JSON. None before the first change.
    pub replica: Option<String>,
    /// While it runs, the facts of the protocol's own about its state.
    pub facts: Vec<Fact>,
    /// The facts of the protocol's own that its observations tell, in order.
    pub told: Vec<Fact>,
}

/// A former process of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Former {
    /// The number of views that the node had installed at its end.
    pub views: usize,
    /// The number of messages that the node had delivered at its end.
    pub deliveries: usize,
    /// Its [`Profile::restored`].
    pub restored: Option<u64>,
}

/// The condition of a node, with its standing while it runs.
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
    /// The view in force, as an index into [`Profile::views`]. None at a founder that is alone.
    pub view: Option<usize>,
}

/// The number of views, messages and so on that tell profiles apart in a table of hashes.
const HASHED: usize = 16;

/// Without the beginnings of long lists: in a long run each step has another profile.
impl Hash for Profile {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            me,
            member,
            presence,
            issued,
            views,
            deliveries,
            former,
            repeated,
            restored,
            ..
        } = self;
        let Self { failed, elections, allegiances, answers, waiting, ids, served, .. } = self;
        let Self { strayed, replica, facts, told, .. } = self;
        (me, member, presence, issued, repeated, restored).hash(state);
        (failed, ids, served, strayed, replica, facts, ends(told)).hash(state);
        (ends(views), ends(deliveries), ends(former)).hash(state);
        (ends(elections), ends(allegiances), ends(answers), ends(waiting)).hash(state);
    }
}

/// The length of a list, and its end.
fn ends<T>(list: &[T]) -> (usize, &[T]) {
    (list.len(), &list[list.len().saturating_sub(HASHED)..])
}

impl Profile {
    /// A node that was never started.
    #[must_use]
    pub fn idle(me: Address) -> Self {
        Self {
            me,
            member: me,
            presence: Presence::Idle,
            issued: 0,
            views: vec![],
            deliveries: vec![],
            former: vec![],
            repeated: (0, 0),
            restored: None,
            restored_messages: vec![],
            failed: false,
            elections: vec![],
            allegiances: vec![],
            answers: vec![],
            waiting: vec![],
            ids: 0,
            served: false,
            strayed: None,
            replica: None,
            facts: vec![],
            told: vec![],
        }
    }

    /// A [fact](crate::protocol::Protocol::facts) about its state. None if there is no such fact, or it does not run.
    ///
    /// # Panics
    /// If it is of another type.
    #[must_use]
    pub fn fact<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.facts.iter().find(|fact| fact.name == name).map(Fact::read)
    }

    /// The facts of a name that its observations [tell](crate::protocol::Protocol::told), in order, in all its lives.
    ///
    /// # Panics
    /// If one of them is of another type.
    pub fn told<T: DeserializeOwned>(&self, name: &str) -> impl DoubleEndedIterator<Item = T> {
        self.told.iter().filter(move |fact| fact.name == name).map(Fact::read)
    }

    /// Adds an observation to the profile.
    pub(crate) fn read(&mut self, notion: Notion) {
        self.failed = notion == Notion::Failed;
        match notion {
            Notion::Joined => self.begin(),
            Notion::Started(member) => {
                self.begin();
                self.member = member;
                self.repeated = self.so_far();
            }
            Notion::Restored { number, messages } => {
                self.begin();
                self.repeated = self.so_far();
                self.restored = Some(number);
                self.restored_messages = messages;
            }
            Notion::Installed(view) => self.views.push(view),
            Notion::Delivered { number, message } => self.deliveries.push(Delivery {
                message,
                number,
                view: self.views.len().checked_sub(1),
            }),
            Notion::Elected(term) => {
                self.elections.push(term);
                self.allegiances.push(self.member);
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

    /// Begins another process of this node.
    fn begin(&mut self) {
        let (views, deliveries) = self.so_far();
        let restored = self.restored.take();
        self.restored_messages.clear();
        if self.former.last().map_or((0, 0), |last| (last.views, last.deliveries))
            != (views, deliveries)
        {
            self.former.push(Former { views, deliveries, restored });
        }
    }

    fn so_far(&self) -> (usize, usize) {
        (self.views.len(), self.deliveries.len())
    }

    /// The views that it has installed, without those that it repeats since.
    pub(crate) fn own_views(&self) -> &[View] {
        &self.views[self.repeated.0..]
    }

    /// The messages that it has delivered, without those that it repeats since.
    pub(crate) fn own_deliveries(&self) -> &[Delivery] {
        &self.deliveries[self.repeated.1..]
    }

    /// True if the node runs.
    pub(crate) fn is_up(&self) -> bool {
        matches!(self.presence, Presence::Up(_))
    }

    /// True if it runs and belongs to a group, with or without a leader.
    pub(crate) fn is_member(&self) -> bool {
        matches!(self.presence, Presence::Up(standing) if standing != Standing::Outsider)
    }

    /// True if it leads now but did not lead from the beginning.
    pub(crate) fn rose(&self) -> bool {
        let followed = self.views.first().is_some_and(|view| view.leader != self.member);
        let elected = followed || !self.elections.is_empty();
        elected && self.presence == Presence::Up(Standing::Leading)
    }

    /// The terms in which it was elected, in all lives.
    pub(crate) fn terms(&self) -> impl Iterator<Item = Term> {
        let own = self.views.iter().filter(|view| view.leader.node == self.me.node);
        own.map(|view| Term::from([view.number])).chain(self.elections.iter().cloned())
    }

    /// True if it was led by one process, and then by another.
    pub(crate) fn changed_allegiance(&self) -> bool {
        let of_views = self.views.iter().map(|view| view.leader);
        let others = of_views.chain(self.allegiances.iter().copied());
        let mut leaders = others.filter(|leader| *leader != self.member);
        leaders.next().is_some_and(|first| leaders.any(|leader| leader != first))
    }

    pub(crate) fn has_delivered(&self, message: Token) -> bool {
        self.deliveries.iter().any(|delivery| delivery.message == message)
    }

    /// The deliveries of each of its processes, the last life's last. A restarted node is another process: it
    /// owes nothing that was delivered while it was down.
    pub(crate) fn processes(&self) -> impl DoubleEndedIterator<Item = Process<'_>> {
        (0..=self.former.len()).map(|life| {
            let before = life.checked_sub(1).map(|before| &self.former[before]);
            let (views, first) = before.map_or((0, 0), |it| (it.views, it.deliveries));
            let this = self.former.get(life);
            let restored = this.map_or(self.restored, |it| it.restored);
            let first_view = self.views.get(views).map_or(0, |view| view.number);
            let end = this.map_or(self.deliveries.len(), |it| it.deliveries);
            Process {
                of: self,
                is_over: this.is_some(),
                first_number: first_view.max(restored.unwrap_or(0)),
                deliveries: &self.deliveries[first..end],
            }
        })
    }

    pub(crate) fn view_of(&self, delivery: &Delivery) -> Option<&View> {
        delivery.view.map(|view| &self.views[view])
    }
}

/// The deliveries of a node in one of its lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process<'a> {
    /// The profile of the node.
    pub of: &'a Profile,
    /// It is an earlier life, not the present or last one.
    pub is_over: bool,
    /// The number of its first view, or of what it has taken over; 0 for a founder that is alone.
    pub first_number: u64,
    /// The messages that it delivered, in order.
    pub deliveries: &'a [Delivery],
}

/// `n1#1`, or `n1, in a former life,`: its observations do not give the number of a former life.
impl fmt::Display for Process<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_over {
            write!(f, "{}, in a former life,", self.of.me.node)
        } else {
            self.of.me.fmt(f)
        }
    }
}
