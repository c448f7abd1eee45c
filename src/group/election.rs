//! How a leader is found: succession, candidates and promises.

use super::{
    Content, Message, Messages, Observation, Other, Policy, Reading, Role, Safeguard, Service,
    Summary, Term,
    log::{Part, Position},
    majority,
    turn::{Turn, seeking},
};
use crate::machine::{Address, NodeId};
use im::{OrdMap, OrdSet, Vector};

impl<S: Service> Turn<'_, S> {
    /// The most senior member that it does not suspect.
    pub(super) fn successor(&self) -> Option<Address> {
        let newest = self.newest();
        newest.into_iter().find(|member| !self.state.suspected.contains(&member.node))
    }

    /// Its leader is down, or whoever should have taken over. In case that was a mistake, it asks.
    pub(super) fn succeed(&mut self, down: NodeId) {
        self.state.role = seeking();
        if self.may_lead() && self.may_win() && self.successor() == Some(self.member()) {
            self.take_over();
        } else {
            self.ask_node(down);
        }
    }

    /// Asks the members for their promises.
    pub(super) fn take_over(&mut self) {
        let counter = self.state.term.counter.saturating_add(1);
        let promised = OrdSet::unit(self.member());
        let term = Term { counter, owner: self.member() };
        let candidate = Role::Candidate { promised, invited: OrdSet::new(), reading: None };
        self.enter(term, candidate);
        self.prepare();
        self.count_promises();
    }

    /// Asks those who have not promised: also the members of the last view that it knows to be committed, since a
    /// newer one may never be. A former member of a node that has promised as another one never will.
    pub(super) fn prepare(&mut self) {
        let known = self.asked_for_promises();
        let Role::Candidate { promised, invited, .. } = &self.state.role else { return };
        let has_promised = |member: &Address| {
            promised.iter().any(|it| it.node == member.node && it.life >= member.life)
        };
        let given: OrdSet<NodeId> = promised.iter().map(|member| member.node).collect();
        let known: OrdSet<NodeId> =
            known.filter(|member| !has_promised(member)).map(|member| member.node).collect();
        let mut asked = known.union(invited.clone().relative_complement(given));
        if let Some(taking) = &self.state.taking {
            // It is asked again when its summary is here.
            asked.remove(&taking.from.node);
        }
        for node in asked {
            self.prepare_one(node);
        }
    }

    /// The members that a candidate asks.
    pub(super) fn asked_for_promises(&self) -> impl Iterator<Item = Address> + use<S> {
        self.newest().into_iter().chain(self.state.members())
    }

    /// Asks again, and all nodes that there are: its views may be old.
    pub(super) fn prepare_again(&mut self) {
        let nodes = self.group.nodes.clone();
        if let Role::Candidate { invited, .. } = &mut self.state.role {
            *invited = invited.clone().union(nodes);
        }
        self.prepare();
    }

    fn prepare_one(&mut self, node: NodeId) {
        let (term, committed, last) = (self.state.term, self.committed(), self.log().last());
        let reading = self.state.reading().filter(|reading| reading.from.node == node);
        let held = reading.map_or(last, |reading| reading.held);
        self.send(node, Message::Prepare { term, committed, held });
    }

    /// Somebody takes this process for a leader of another term, or for one at all.
    pub(super) fn correct(&mut self, node: NodeId) {
        match &mut self.state.role {
            Role::Candidate { invited, .. } => {
                invited.insert(node);
                self.prepare_one(node);
            }
            Role::Leading { .. } => self.send_committed(node, self.log().len()),
            Role::Seeking { .. } | Role::Promised { .. } | Role::Following { .. } => {
                self.refuse(node);
            }
        }
    }

    /// Does not lead. An outsider stops asking until it is told that somebody does.
    pub(super) fn refuse(&mut self, node: NodeId) {
        if !self.known_nodes().contains(&node) {
            self.state.waiting.insert(node);
        }
        let term = self.state.term;
        self.send(node, Message::Refuse { term });
    }

    /// A candidate asks for a promise.
    pub(super) fn prepared(
        &mut self,
        from: Address,
        term: Term,
        committed: Position,
        held: Position,
    ) {
        let own = self.state.term;
        let owner = term.owner;
        let is_known = self.newest().contains(&owner) || self.state.members().contains(&owner);
        if term < own && self.group.has(Safeguard::Fence) {
            match self.state.role {
                Role::Leading { .. } => self.bring_up(owner, committed),
                Role::Candidate { .. }
                | Role::Seeking { .. }
                | Role::Promised { .. }
                | Role::Following { .. } => self.correct(from.node),
            }
        } else if self.state.leads() && term != own && !is_known {
            // It was removed and does not know. It will listen in a higher term only.
            self.state.term.counter = term.counter;
            self.take_over();
        } else if self.follows_another(owner) && term != own && !is_known {
            self.asked(from.node, owner, committed);
        } else if term != own || !matches!(self.state.role, Role::Following { .. }) {
            self.enter(term, Role::Promised { to: Some(from) });
            self.given(from.node, committed.number);
            let is_held = self.log().position(held.number) == Some(held);
            let after = if is_held { held } else { committed };
            let part = self.cut(from.node, self.log().batch_after(after.number, self.group.batch));
            let (member, last) = (self.member(), self.log().last());
            let promise = Message::Promise { term, member, last, part };
            self.send(from.node, promise);
        }
    }

    /// True for a member that has a leader, unless this is the one.
    fn follows_another(&self, owner: Address) -> bool {
        let leader = self.state.leader().filter(|leader| *leader != owner);
        leader.is_some() && self.may_lead()
    }

    /// A member has promised this candidate's term.
    pub(super) fn promised(
        &mut self,
        from: Address,
        term: Term,
        member: Address,
        last: Position,
        part: Part<S::Request, S::State>,
    ) {
        let own = self.state.term;
        let stands = matches!(self.state.role, Role::Candidate { .. } | Role::Leading { .. });
        if term != own || !stands {
            return self.decline(from.node, term);
        }
        self.inform(member);
        let reading = self.state.reading();
        if last <= self.log().last() || !self.group.has(Safeguard::Flush) {
            self.count_promise(from, member);
        } else if reading.is_none_or(|reading| reading.is_continued_by(from, last, &part)) {
            self.read(from, member, last, part);
        }
    }

    /// Takes over a part of a log that is better than its own. The promise counts once all of that log is here.
    fn read(
        &mut self,
        from: Address,
        member: Address,
        last: Position,
        part: Part<S::Request, S::State>,
    ) {
        let held = part.last();
        let is_taken = self.take(from, part);
        if self.log().last() >= last {
            self.count_promise(from, member);
            // Promises that came meanwhile did not count.
            self.prepare();
        } else if self.state.taking.is_none() {
            let next = is_taken.then_some(Reading { from, last, held });
            if let Role::Candidate { reading, .. } = &mut self.state.role {
                *reading = next;
            }
            self.prepare_one(from.node);
        }
    }

    /// A member has promised, and this candidate holds the better log of the two.
    fn count_promise(&mut self, from: Address, member: Address) {
        let Role::Candidate { promised, reading, .. } = &mut self.state.role else { return };
        promised.insert(member);
        reading.take_if(|reading| reading.from == from);
        self.count_promises();
    }

    /// A promise that was given to a former candidate. Nobody may wait for that one.
    fn decline(&mut self, from: NodeId, term: Term) {
        if term > self.state.term {
            self.send(from, Message::Refuse { term });
        } else {
            self.correct(from);
        }
    }

    /// With a majority of the newest view that it holds, it leads. Others who promised, or were asked to, learn so.
    pub(super) fn count_promises(&mut self) {
        let Role::Candidate { promised, .. } = self.state.role.clone() else { return };
        let voters = self.voters();
        let count = voters.iter().filter(|member| promised.contains(*member)).count();
        if count >= self.quorum(voters.len()) && self.may_win() {
            self.lead(self.newest());
            promised.into_iter().for_each(|member| self.inform(member));
        }
    }

    /// The summary of all entries that it holds, without the application's state.
    fn all_held(&self) -> Summary<()> {
        let Summary { last, group, view, known, next, .. } = self.state.counted.clone();
        let mut held = Summary { last, group, view, known, next, application: () };
        for number in last.number.saturating_add(1)..=self.log().len() {
            if let Some(entry) = self.log().get(number) {
                held.add(&Messages::default(), entry);
            }
        }
        held
    }

    /// The members whose promises and acknowledgements count.
    pub(super) fn voters(&self) -> Vector<Address> {
        let newest = self.newest();
        match self.group.policy {
            Policy::Majority => newest,
            Policy::Any => newest.into_iter().filter(|it| self.may_answer(*it)).collect(),
        }
    }

    /// The number of them that an entry or a term needs.
    pub(super) fn quorum(&self, voters: usize) -> usize {
        match self.group.policy {
            _ if !self.group.has(Safeguard::Majority) => 1,
            Policy::Majority => majority(voters),
            Policy::Any => voters.max(1),
        }
    }

    /// True if the members that it does not suspect suffice to lead.
    pub(super) fn may_win(&self) -> bool {
        let voters = self.voters();
        let there = voters.iter().filter(|it| !self.state.suspected.contains(&it.node)).count();
        there >= self.quorum(voters.len())
    }

    /// Too many do not answer. Others may reach more, and can take over once nobody waits for this candidate.
    pub(super) fn give_up_candidacy(&mut self) {
        self.state.taking = None;
        self.enter(self.state.term, seeking());
        self.ask();
    }

    /// False if a member is down, or has been replaced by another one at its node.
    pub(super) fn may_answer(&self, member: Address) -> bool {
        let is_there = match &self.state.role {
            Role::Leading { others, .. } => {
                others.get(&member.node).is_some_and(|other| other.member == member)
            }
            Role::Candidate { promised, .. } => {
                promised.iter().all(|it| it.node != member.node || it.life <= member.life)
            }
            Role::Seeking { .. } | Role::Promised { .. } | Role::Following { .. } => true,
        };
        member == self.member() || is_there && !self.state.suspected.contains(&member.node)
    }

    /// Leads a group of its own.
    pub(super) fn found(&mut self, term: Term) {
        let me = self.member();
        self.enter(term, seeking());
        self.lead(Vector::unit(me));
        // Whoever waits for a leader asks. Whoever is in another group objects.
        for node in self.group.nodes.clone().without(&me.node) {
            self.send(node, Message::Now);
        }
    }

    /// The owner of the term leads, with a view of its own.
    fn lead(&mut self, members: Vector<Address>) {
        let (me, term) = (self.member(), self.state.term);
        let committed = self.state.counted.number();
        let Summary { known: ever, next, .. } = self.all_held();
        let is_former = |member: &Address| members.iter().all(|other| other.node != member.node);
        let former = ever.values().copied().filter(is_former).map(|member| (member, 0));
        let known = members.iter().map(|member| (*member, committed));
        let others = former.chain(known).filter(|(member, _)| member.node != me.node);
        let other = |(member, held): (Address, u64)| (member.node, Other::holding(member, held));
        self.enter(term, Role::Leading { others: others.map(other).collect(), next });
        // It has all that is committed. Who is being given a summary asks the leader again.
        (self.state.taking, self.state.giving) = (None, OrdMap::new());
        self.observe(Observation::Elected(term));
        self.push(Content::View(members));
        self.resend();
        self.commit();
        self.forward_pending();
        self.call_waiting();
    }

    /// Another process has promised a higher term, or knows no leader.
    pub(super) fn refused(&mut self, from: Address, term: Term) {
        let own = self.state.term;
        let is_outside = !self.may_lead();
        let is_owner = from.node == own.owner.node && term >= own;
        match &mut self.state.role {
            Role::Leading { .. } | Role::Candidate { .. } if term > own => self.wait_for(term),
            Role::Following { .. } | Role::Promised { .. }
                if is_owner && term > own && !is_outside =>
            {
                self.wait_for(term);
            }
            Role::Following { .. } | Role::Promised { .. } if is_owner => {
                self.state.role = Role::Seeking { told: OrdSet::unit(from) };
            }
            // Nobody there owns that term any more.
            Role::Promised { to: None } if from.node == own.owner.node => {
                self.state.role = Role::Seeking { told: OrdSet::unit(from) };
            }
            Role::Seeking { told } => drop(told.insert(from)),
            Role::Leading { .. }
            | Role::Candidate { .. }
            | Role::Following { .. }
            | Role::Promised { .. } => {}
        }
    }

    /// Takes on a higher term whose owner may not know this process.
    fn wait_for(&mut self, term: Term) {
        if self.state.suspected.contains(&term.owner.node) {
            self.enter(term, seeking());
        } else {
            self.enter(term, Role::Promised { to: None });
            self.ask();
        }
    }
}
