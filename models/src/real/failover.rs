//! How a cluster of real nodes replaces its leader, and how long that takes.

use crate::{
    protocol::registry::Known,
    real::{
        application::Replicates,
        line::{Line, Said, View},
        processes::{Cluster, Plan, Process, Trouble},
    },
};
use interrex::{
    machine::{Address, NodeId},
    runtime::unix_micros,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use strum::{Display, EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// What becomes of a leader.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Display, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum How {
    /// It is killed: SIGKILL.
    Kill,
    /// It is stopped, and later goes on as if nothing had happened: SIGSTOP, SIGCONT.
    Stop,
}

/// Nodes that are one group, most of the time.
#[derive(Debug)]
pub struct Group {
    cluster: Cluster,
    /// What was written so far.
    written: BTreeMap<String, String>,
}

/// What the survivors of a leader have said since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// The leader that is gone.
    pub victim: NodeId,
    /// Of each survivor: whom it has recognised, in order, and after how many microseconds. They are counted from
    /// just before the old leader was killed.
    pub recognised: BTreeMap<NodeId, Vec<(NodeId, u64)>>,
    /// Those whose protocol has ended them meanwhile. They do not count as survivors.
    pub ended: Vec<NodeId>,
}

/// How a leader came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Return {
    /// As a new process, and the group is one.
    Anew,
    /// It went on, and the group is one.
    WentOn,
    /// It went on; until it was shut down and started anew, it took this one for the leader.
    Astray(Option<NodeId>),
}

impl Takeover {
    /// The new leader, if everybody has recognised just one and it is the same.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        let all: BTreeSet<_> =
            self.recognised.values().flatten().map(|(leader, _)| *leader).collect();
        let once = self.recognised.values().all(|leaders| leaders.len() == 1);
        (once && all.len() == 1).then(|| all.first().copied()).flatten()
    }

    /// After how many microseconds each survivor had the leader that it has.
    #[must_use]
    pub fn took(&self) -> BTreeMap<NodeId, u64> {
        let last = |leaders: &Vec<(NodeId, u64)>| leaders.last().map(|(_, after)| *after);
        let took = self.recognised.iter();
        took.filter_map(|(survivor, leaders)| Some((*survivor, last(leaders)?))).collect()
    }
}

impl Group {
    /// Makes a cluster, starts all nodes, and waits until they are one group.
    ///
    /// # Errors
    /// If the cluster cannot be made, or they do not become a group.
    pub fn form(plan: Plan) -> Result<Self, Trouble> {
        Self::of(Cluster::new(plan)?)
    }

    /// Starts all nodes of a cluster of which none runs, and waits until they are one group.
    ///
    /// # Errors
    /// If they do not become one.
    pub fn of(cluster: Cluster) -> Result<Self, Trouble> {
        let mut group = Self { cluster, written: BTreeMap::new() };
        let mut contact = None;
        for node in group.cluster.plan().nodes() {
            group.start(node, contact)?;
            contact = contact.or(Some(node));
        }
        group.agree(group.patience())?;
        Ok(group)
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The cluster, for whoever does more to it.
    pub fn cluster_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// Waits until all nodes that run have the same leader: who it is.
    ///
    /// # Errors
    /// If they have not in time: what each thinks.
    pub fn agree(&self, within: Duration) -> Result<NodeId, Trouble> {
        let until = Instant::now() + within;
        loop {
            let opinions = self.opinions()?;
            if let Some(leader) = self.agreed(&opinions) {
                return Ok(leader.node);
            }
            if Instant::now() > until {
                let said: Vec<_> =
                    opinions.iter().map(|(node, said)| format!("{node} says: {said}")).collect();
                let said = said.join("; ");
                return Err(Trouble::new(format!("no agreement within {within:?}: {said}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// What each node that runs says of its group.
    fn opinions(&self) -> Result<BTreeMap<NodeId, Said>, Trouble> {
        let ask = |(node, process): (NodeId, &Arc<Process>)| {
            Ok((node, process.ask("members", self.patience())?))
        };
        self.cluster.running().map(ask).collect()
    }

    /// The leader, if it runs and all say the same. In a view everybody must have a place.
    fn agreed(&self, opinions: &BTreeMap<NodeId, Said>) -> Option<Address> {
        let mut said = opinions.values();
        let first = said.next()?;
        if said.any(|said| said != first) {
            return None;
        }
        let leader = match first {
            Said::Members { leader, .. } => (*leader)?,
            Said::View(View { leader, followers, .. }) => {
                let mut members = opinions.keys().map(|node| self.cluster.life(*node));
                let is_in = |member: Option<Address>| {
                    member.is_some_and(|member| member == *leader || followers.contains(&member))
                };
                members.all(is_in).then_some(*leader)?
            }
            _ => return None,
        };
        (opinions.contains_key(&leader.node) && self.cluster.life(leader.node) == Some(leader))
            .then_some(leader)
    }

    /// Writes something at a node that does not lead, and waits until every node that runs has it.
    ///
    /// # Errors
    /// If not all have it in time.
    pub fn write(&mut self, leader: NodeId, key: &str, value: &str) -> Result<NodeId, Trouble> {
        let writer = self.cluster.running().map(|(node, _)| node).find(|node| *node != leader);
        let writer = writer.unwrap_or(leader);
        let marks = self.marks();
        let process = self.cluster.node(writer)?;
        let command = self.protocol().write(key, value);
        let answer = process.ask(&command, self.patience())?;
        if answer != Said::Done {
            return Err(Trouble::new(format!("`{command}` at {writer}: {answer}")));
        }
        self.written.insert(key.into(), value.into());
        match self.protocol().replicates() {
            Replicates::Messages => {
                let text = format!("{key} {value}");
                let delivered = |line: &Line| delivers(line, &text);
                for (node, mark) in marks {
                    self.cluster.node(node)?.wait(mark, self.patience(), delivered)?;
                }
            }
            Replicates::Dictionary => self.have_copies(self.patience())?,
        }
        Ok(writer)
    }

    /// Waits until all nodes that run have what was written so far. A message that was delivered cannot be lost again:
    /// where there are only messages, one more must be delivered everywhere.
    ///
    /// # Errors
    /// If somebody has not in time.
    pub fn have_all(&mut self, within: Duration) -> Result<(), Trouble> {
        match self.protocol().replicates() {
            Replicates::Messages => {
                let leader = self.agree(within)?;
                let key = format!("check-{}", self.written.len());
                self.write(leader, &key, "still here").map(|_| ())
            }
            Replicates::Dictionary => self.have_copies(within),
        }
    }

    /// Waits until the copies of all nodes that run hold what was written so far.
    fn have_copies(&self, within: Duration) -> Result<(), Trouble> {
        let until = Instant::now() + within;
        for (node, process) in self.cluster.running() {
            loop {
                let copy = process.ask("dump", within)?;
                let Said::Dumped { entries } = &copy else {
                    return Err(Trouble::new(format!("`dump` at {node}: {copy}")));
                };
                let missing =
                    self.written.iter().find(|(key, value)| entries.get(*key) != Some(value));
                let Some((key, value)) = missing else { break };
                if Instant::now() > until {
                    return Err(Trouble::new(format!(
                        "{node} has not {key} = {value}, but {copy}"
                    )));
                }
                thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    /// Lets the leader fall, and waits until the others have another one.
    ///
    /// # Errors
    /// If they have not in time.
    pub fn fail(&mut self, leader: NodeId, how: How) -> Result<Takeover, Trouble> {
        let mut marks = self.marks();
        marks.remove(&leader);
        let begin = unix_micros();
        match how {
            How::Kill => self.cluster.kill(leader),
            How::Stop => self.cluster.node(leader)?.stop(),
        }
        let another = |line: &Line| recognises(line).filter(|new| *new != leader);
        let ended = |line: &Line| matches!(line.said, Said::Ended { .. });
        for (survivor, mark) in &marks {
            let told = |line: &Line| (ended(line) || another(line).is_some()).then_some(());
            self.cluster.node(*survivor)?.wait(*mark, self.patience(), told)?;
        }
        // Somebody may change their mind.
        thread::sleep(SECOND_THOUGHTS);
        let ended = self.cluster.sweep();
        marks.retain(|survivor, _| !ended.contains(survivor));
        let mut recognised = BTreeMap::new();
        for (survivor, mark) in marks {
            let lines = self.cluster.node(survivor)?.lines(mark);
            let mut leaders: Vec<_> = (lines.iter())
                .filter_map(|line| Some((another(line)?, line.at.saturating_sub(begin))))
                .collect();
            // A later view with the same leader is nothing new.
            leaders.dedup_by_key(|(leader, _)| *leader);
            recognised.insert(survivor, leaders);
        }
        Ok(Takeover { victim: leader, recognised, ended })
    }

    /// Brings back who fell, and who does not run for another reason, and waits until the nodes are one group again.
    ///
    /// # Errors
    /// If they do not become one.
    pub fn heal(&mut self, victim: NodeId, leader: NodeId, how: How) -> Result<Return, Trouble> {
        let mut back = Return::Anew;
        if how == How::Stop {
            let process = Arc::clone(self.cluster.node(victim)?);
            process.go_on();
            let noticing = self.cluster.plan().timeout + Duration::from_secs(1);
            if self.agree(noticing).is_ok() {
                return Ok(Return::WentOn);
            }
            let opinion = process.ask("leader", noticing).ok();
            back = Return::Astray(opinion.and_then(|said| match said {
                Said::Leader { leader } => leader.map(|leader| leader.node),
                _ => None,
            }));
            // Its log tells then that it went on until now.
            process.terminate();
            process.ended(noticing)?;
            self.cluster.kill(victim);
        }
        let runs = |node: &NodeId| self.cluster.node(*node).is_ok();
        let fallen: Vec<_> = self.cluster.plan().nodes().filter(|node| !runs(node)).collect();
        for node in fallen {
            self.start(node, Some(leader))?;
        }
        self.agree(self.patience())?;
        Ok(back)
    }

    /// Starts a node. Where nodes join groups, it founds one without a contact; with one it joins, and tries again if
    /// it gives up: a node that joins while the group has no leader waits in vain.
    ///
    /// # Errors
    /// If it does not come up, or in.
    pub fn start(&mut self, node: NodeId, contact: Option<NodeId>) -> Result<(), Trouble> {
        let contact = contact.filter(|_| self.protocol().joins_through_contact());
        if contact.is_none() {
            return self.cluster.start(node, None).map(|_| ());
        }
        let mut last = Trouble::new("never tried");
        for _ in 0..ATTEMPTS {
            let joined = |line: &Line| (line.said == Said::Joined).then_some(());
            match self.cluster.start(node, contact) {
                Ok(process) => match process.wait(0, self.patience(), joined) {
                    Ok(()) => return Ok(()),
                    Err(trouble) => last = trouble,
                },
                Err(trouble) => last = trouble,
            }
            self.cluster.kill(node);
        }
        Err(last)
    }

    fn marks(&self) -> BTreeMap<NodeId, usize> {
        self.cluster.running().map(|(node, process)| (node, process.heard_so_far())).collect()
    }

    fn protocol(&self) -> Known {
        self.cluster.plan().protocol
    }

    /// How long anything may take.
    fn patience(&self) -> Duration {
        self.cluster.plan().timeout + self.cluster.plan().patience + Duration::from_secs(5)
    }
}

/// How long survivors are watched after all of them have a leader.
const SECOND_THOUGHTS: Duration = Duration::from_millis(100);
/// How often somebody tries to join.
const ATTEMPTS: usize = 10;

/// The leader that a node recognises with this line, by itself and not because it is asked.
#[must_use]
pub fn recognises(line: &Line) -> Option<NodeId> {
    match &line.said {
        Said::Leader { leader } if line.answers.is_none() => leader.map(|leader| leader.node),
        Said::View(view) if line.answers.is_none() => Some(view.leader.node),
        _ => None,
    }
}

fn delivers(line: &Line, wanted: &str) -> Option<()> {
    matches!(&line.said, Said::Delivered { text, .. } if text == wanted).then_some(())
}
