//! Without a leader: who takes over, and what others answer.

use super::{
    part::{Address, Message, Node, Observation, Part, Position, Role, Term},
    process::{Step, is_majority},
};
use std::collections::BTreeSet;

impl Step {
    pub fn found(&mut self) {
        self.state.term.counter = 1;
        self.lead(&BTreeSet::new());
        for node in self.other_nodes() {
            self.send(node, Message::Now);
        }
    }

    /// It asks the owner of its term, who may be the one that is down. A newcomer owns its term and asks its contact.
    pub fn seek(&mut self) {
        self.state.role = Role::seeking();
        let owner = self.state.term.owner.node;
        if owner != self.state.me.node {
            self.ask(owner);
        } else if self.state.log.is_empty()
            && let Some(contact) = self.state.contact
        {
            self.ask(contact);
        }
    }

    /// A candidate asks before it counts, also one that needs nobody else.
    pub fn campaign(&mut self) {
        let (counter, owner) = (self.state.term.counter + 1, self.state.member);
        self.state.term = Term { counter, owner };
        self.state.role = Role::Candidate { promised: [owner].into(), invited: BTreeSet::new() };
        self.prepare_members();
        self.lead_with_majority();
    }

    /// Asks the members that have not promised.
    fn prepare_members(&mut self) {
        let Role::Candidate { promised, .. } = &self.state.role else { return };
        let members = self.members().into_iter().filter(|member| !promised.contains(member));
        let nodes: BTreeSet<_> = members.map(|member| member.node).collect();
        for node in nodes {
            self.prepare(node);
        }
    }

    fn prepare(&mut self, to: Node) {
        let (term, committed) = (self.state.term, self.position(self.committed()));
        self.send(to, Message::Prepare { term, committed, held: self.last() });
    }

    /// A node that says something else than a promise is asked for one, a member or not.
    pub fn invite(&mut self, node: Node) {
        if let Role::Candidate { invited, .. } = &mut self.state.role {
            invited.insert(node);
        }
        self.prepare(node);
    }

    /// At a tick: its views may be old.
    pub fn invite_all(&mut self, promised: &BTreeSet<Address>) {
        let all = self.all_nodes();
        if let Role::Candidate { invited, .. } = &mut self.state.role {
            *invited = all;
        }
        let promised: Vec<_> = promised.iter().map(|member| member.node).collect();
        for node in self.other_nodes().into_iter().filter(|node| !promised.contains(node)) {
            self.prepare(node);
        }
    }

    fn lead_with_majority(&mut self) {
        let Role::Candidate { promised, .. } = &self.state.role else { return };
        let promised = promised.clone();
        let view = self.newest_view();
        let some = view.iter().filter(|member| promised.contains(member)).count();
        if is_majority(some, view.len()) && self.may_win() {
            self.keep_asked_waiting();
            self.lead(&promised);
        }
    }

    /// Those whom a candidate has asked, or a leader has led, are told how it goes on.
    pub fn keep_asked_waiting(&mut self) {
        let asked: BTreeSet<Node> = match &self.state.role {
            Role::Candidate { invited, .. } => {
                let members = self.members().into_iter().map(|member| member.node);
                members.chain(invited.iter().copied()).collect()
            }
            Role::Leading { others, .. } => others.keys().copied().collect(),
            Role::Seeking { .. } | Role::Promised { .. } | Role::Following { .. } => return,
        };
        for node in asked {
            if node != self.state.me.node {
                self.keep_waiting(node);
            }
        }
    }

    /// Gives up what it is, for a term of somebody else.
    pub fn yield_to(&mut self, term: Term, role: Role) {
        self.keep_asked_waiting();
        if matches!(self.state.role, Role::Leading { .. }) {
            self.observe(Observation::Deposed);
        }
        self.state.term = term;
        self.state.role = role;
    }

    pub fn on_prepare(&mut self, from: Address, term: Term, committed: Position, held: Position) {
        let follows = matches!(self.state.role, Role::Following { .. });
        if term > self.state.term && self.is_led_without(from, term.owner) {
            self.keep_from_leading(from, term, committed);
        } else if term > self.state.term || term == self.state.term && !follows {
            self.yield_to(term, Role::Promised { to: Some(from) });
            let after = if self.holds(held) { held } else { committed };
            let (member, part) = (self.state.member, self.part_after(after.number));
            self.send(from.node, Message::Promise { term, member, last: self.last(), part });
        } else if term < self.state.term {
            match &self.state.role {
                Role::Leading { .. } => self.answer(term.owner, committed),
                Role::Seeking { .. }
                | Role::Promised { .. }
                | Role::Following { .. }
                | Role::Candidate { .. } => self.correct(from.node),
            }
        }
    }

    /// There is a leader, and the candidate is in none of the views. Its own leader may do as it likes, and an outsider
    /// does not know the views.
    fn is_led_without(&self, from: Address, candidate: Address) -> bool {
        let members = self.members();
        let is_leader =
            |from| matches!(self.state.role, Role::Following { leader, .. } if leader == from);
        self.has_leader()
            && members.contains(&self.state.member)
            && !members.contains(&candidate)
            && !is_leader(from)
    }

    /// The candidate wants to be a member, and listens to no earlier term than its own.
    fn keep_from_leading(&mut self, from: Address, term: Term, committed: Position) {
        if matches!(self.state.role, Role::Leading { .. }) {
            self.keep_waiting(from.node);
            self.observe(Observation::Deposed);
            self.state.term.counter = term.counter;
            self.campaign();
        } else {
            self.on_ask(from, term.owner, committed);
        }
    }

    pub fn on_promise(
        &mut self,
        from: Address,
        term: Term,
        member: Address,
        last: Position,
        part: Part,
    ) {
        if term > self.state.term {
            // It was a former life that asked, and its storage is lost.
            self.send(from.node, Message::Refuse { term });
        } else if term < self.state.term {
            self.correct(from.node);
        } else {
            match &mut self.state.role {
                Role::Candidate { promised, .. } => {
                    promised.insert(member);
                    self.adopt(last, part);
                }
                Role::Leading { .. } => self.meet(member),
                Role::Seeking { .. } | Role::Promised { .. } | Role::Following { .. } => {
                    self.refuse(from.node);
                }
            }
        }
    }

    /// With a better log there may be other members, and more that it holds.
    fn adopt(&mut self, last: Position, part: Part) {
        let is_better = last > self.last() && self.holds(part.after);
        if is_better {
            self.take(part);
        }
        self.lead_with_majority();
        if is_better {
            self.prepare_members();
        }
    }

    pub fn on_refuse(&mut self, from: Address, term: Term) {
        let stands = matches!(self.state.role, Role::Candidate { .. } | Role::Leading { .. });
        let concerns = stands || self.trusts(from.node);
        if term > self.state.term && concerns && self.is_eligible() {
            if self.is_suspected(term.owner.node) {
                self.yield_to(term, Role::seeking());
            } else {
                self.yield_to(term, Role::Promised { to: None });
                self.ask(term.owner.node);
            }
            return;
        }
        let waits = matches!(self.state.role, Role::Promised { to: None });
        if (term >= self.state.term || waits) && self.trusts(from.node) {
            self.state.role = Role::seeking();
        }
        if let Role::Seeking { told } = &mut self.state.role {
            told.insert(from);
        }
    }

    /// Does it expect anything of the process there?
    fn trusts(&self, node: Node) -> bool {
        match &self.state.role {
            Role::Following { leader, .. } => leader.node == node,
            Role::Promised { to: Some(candidate) } => candidate.node == node,
            Role::Promised { to: None } => self.state.term.owner.node == node,
            Role::Seeking { .. } | Role::Candidate { .. } | Role::Leading { .. } => false,
        }
    }

    pub fn on_now(&mut self, from: Address) {
        let is_eligible = self.is_eligible();
        match &mut self.state.role {
            Role::Leading { .. } => return,
            Role::Seeking { told } => {
                told.remove(&from);
            }
            Role::Promised { to: Some(candidate) } if *candidate == from && !is_eligible => {
                self.state.role = Role::seeking();
            }
            _ => {}
        }
        self.ask(from.node);
    }
}
