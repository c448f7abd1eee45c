//! Failover in a cluster of real nodes: the replacement of its leader, and the time that it takes.

use crate::{
    protocol::registry::Known,
    real::{
        application::Replicates,
        line::{Line, Notice, View},
        processes::{Cluster, Plan, Process, ProcessError},
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

/// The fault that is injected at the leader.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Display, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "snake_case")]
pub enum Fault {
    /// The process is killed: SIGKILL.
    Kill,
    /// The process is stopped, and resumed later: SIGSTOP, SIGCONT.
    Stop,
}

/// A cluster whose nodes form one group, except during a failover.
#[derive(Debug)]
pub struct Group {
    cluster: Cluster,
    /// The values written so far.
    written: BTreeMap<String, String>,
}

/// The output of the survivors since the fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Takeover {
    /// The leader at which the fault was injected.
    pub victim: NodeId,
    /// For each survivor, the leaders that it has recognised, in order, each with the time in microseconds since just
    /// before the fault.
    pub recognised: BTreeMap<NodeId, Vec<(NodeId, u64)>>,
    /// The nodes that their protocol has ended since then. They do not count as survivors.
    pub ended: Vec<NodeId>,
}

/// The way in which the old leader was brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It was started as a new process, and the nodes form one group.
    Restarted,
    /// The stopped process was resumed, and the nodes form one group.
    Resumed,
    /// The stopped process was resumed and did not rejoin the group. It considered this node the leader until it was
    /// shut down and started again.
    Diverged(Option<NodeId>),
}

impl Takeover {
    /// The new leader, if each survivor has recognised exactly one leader and all have recognised the same one.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        let all: BTreeSet<_> =
            self.recognised.values().flatten().map(|(leader, _)| *leader).collect();
        let once = self.recognised.values().all(|leaders| leaders.len() == 1);
        (once && all.len() == 1).then(|| all.first().copied()).flatten()
    }

    /// For each survivor, the time in microseconds until it recognised its current leader.
    #[must_use]
    pub fn took(&self) -> BTreeMap<NodeId, u64> {
        let last = |leaders: &Vec<(NodeId, u64)>| leaders.last().map(|(_, after)| *after);
        let took = self.recognised.iter();
        took.filter_map(|(survivor, leaders)| Some((*survivor, last(leaders)?))).collect()
    }
}

impl Group {
    /// Makes a cluster, starts all nodes, and waits until they form one group.
    ///
    /// # Errors
    /// If the cluster cannot be made, or the nodes do not form one group.
    pub fn form(plan: Plan) -> Result<Self, ProcessError> {
        Self::of(Cluster::new(plan)?)
    }

    /// Starts all nodes of a cluster in which none runs, and waits until they form one group.
    ///
    /// # Errors
    /// If the nodes do not form one group.
    pub fn of(cluster: Cluster) -> Result<Self, ProcessError> {
        let mut group = Self { cluster, written: BTreeMap::new() };
        let mut contact = None;
        for node in group.cluster.plan().nodes() {
            group.start(node, contact)?;
            contact = contact.or(Some(node));
        }
        group.agree(group.limit())?;
        Ok(group)
    }

    /// The cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The cluster, for changes beyond those of this type.
    pub fn cluster_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// Waits until all running nodes have the same leader, and returns it.
    ///
    /// # Errors
    /// If they do not agree in time; the error lists the answer of each node.
    pub fn agree(&self, within: Duration) -> Result<NodeId, ProcessError> {
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
                return Err(ProcessError::new(format!("no agreement within {within:?}: {said}")));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The answer to `members` of each running node.
    fn opinions(&self) -> Result<BTreeMap<NodeId, Notice>, ProcessError> {
        let ask = |(node, process): (NodeId, &Arc<Process>)| {
            Ok((node, process.ask("members", self.limit())?))
        };
        self.cluster.running().map(ask).collect()
    }

    /// The leader, if it runs and all nodes give the same answer. A view must contain all running nodes.
    fn agreed(&self, opinions: &BTreeMap<NodeId, Notice>) -> Option<Address> {
        let mut said = opinions.values();
        let first = said.next()?;
        if said.any(|said| said != first) {
            return None;
        }
        let leader = match first {
            Notice::Members { leader, .. } => (*leader)?,
            Notice::View(View { leader, followers, .. }) => {
                let is_in = |node: &NodeId| {
                    followers.iter().chain([leader]).any(|named| self.runs_as(*node, *named))
                };
                opinions.keys().all(is_in).then_some(*leader)?
            }
            _ => return None,
        };
        (opinions.contains_key(&leader.node) && self.runs_as(leader.node, leader)).then_some(leader)
    }

    /// True if the process that runs at a node goes by this name in views.
    fn runs_as(&self, node: NodeId, name: Address) -> bool {
        let keeps = self.protocol().keeps_names();
        self.cluster.life(node).is_some_and(|it| it == name || keeps && node == name.node)
    }

    /// Writes a value at a node other than the leader, and waits until every running node has it. None if the protocol has
    /// no command that does so.
    ///
    /// # Errors
    /// If not all nodes have it in time.
    pub fn write(
        &mut self,
        leader: NodeId,
        key: &str,
        value: &str,
    ) -> Result<Option<NodeId>, ProcessError> {
        let Some((command, replicates)) = self.protocol().write(key, value) else {
            return Ok(None);
        };
        let writer = self.cluster.running().map(|(node, _)| node).find(|node| *node != leader);
        let writer = writer.unwrap_or(leader);
        let marks = self.marks();
        let process = self.cluster.node(writer)?;
        let answer = process.ask(&command, self.limit())?;
        if answer != Notice::Done {
            return Err(ProcessError::new(format!("`{command}` at {writer}: {answer}")));
        }
        self.written.insert(key.into(), value.into());
        match replicates {
            Replicates::Messages => {
                let text = format!("{key} {value}");
                let delivered = |line: &Line| delivers(line, &text);
                for (node, mark) in marks {
                    self.cluster.node(node)?.wait(mark, self.limit(), delivered)?;
                }
            }
            Replicates::Dictionary => self.have_copies(self.limit())?,
        }
        Ok(Some(writer))
    }

    /// Waits until all running nodes have everything written so far. In a protocol without a dictionary, one more
    /// message must be delivered at all nodes instead: a delivered message cannot be lost again. In a protocol in which
    /// nothing is written there is nothing to have.
    ///
    /// # Errors
    /// If a node does not have it in time.
    pub fn have_all(&mut self, within: Duration) -> Result<(), ProcessError> {
        match self.protocol().replicates() {
            None => Ok(()),
            Some(Replicates::Messages) => {
                let leader = self.agree(within)?;
                let key = format!("check-{}", self.written.len());
                self.write(leader, &key, "still here").map(|_| ())
            }
            Some(Replicates::Dictionary) => self.have_copies(within),
        }
    }

    /// Waits until the copies of all running nodes contain everything written so far.
    fn have_copies(&self, within: Duration) -> Result<(), ProcessError> {
        let until = Instant::now() + within;
        for (node, process) in self.cluster.running() {
            loop {
                let copy = process.ask("dump", within)?;
                let Notice::Dumped { entries } = &copy else {
                    return Err(ProcessError::new(format!("`dump` at {node}: {copy}")));
                };
                let missing =
                    self.written.iter().find(|(key, value)| entries.get(*key) != Some(value));
                let Some((key, value)) = missing else { break };
                if Instant::now() > until {
                    return Err(ProcessError::new(format!(
                        "{node} has not {key} = {value}, but {copy}"
                    )));
                }
                thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    /// Injects a fault at the leader, and waits until the others have recognised another leader.
    ///
    /// # Errors
    /// If they have not in time.
    pub fn fail(&mut self, leader: NodeId, how: Fault) -> Result<Takeover, ProcessError> {
        let mut marks = self.marks();
        marks.remove(&leader);
        let begin = unix_micros();
        match how {
            Fault::Kill => self.cluster.kill(leader),
            Fault::Stop => self.cluster.node(leader)?.stop(),
        }
        let another = |line: &Line| recognises(line).filter(|new| *new != leader);
        let ended = |line: &Line| matches!(line.said, Notice::Ended { .. });
        for (survivor, mark) in &marks {
            let reacted = |line: &Line| (ended(line) || another(line).is_some()).then_some(());
            self.cluster.node(*survivor)?.wait(*mark, self.limit(), reacted)?;
        }
        // A survivor may still change its leader.
        thread::sleep(SETTLE_TIME);
        let ended = self.cluster.reap();
        marks.retain(|survivor, _| !ended.contains(survivor));
        let mut recognised = BTreeMap::new();
        for (survivor, mark) in marks {
            let lines = self.cluster.node(survivor)?.lines(mark);
            let mut leaders: Vec<_> = (lines.iter())
                .filter_map(|line| Some((another(line)?, line.at.saturating_sub(begin))))
                .collect();
            // A later view with the same leader is not a new recognition.
            leaders.dedup_by_key(|(leader, _)| *leader);
            recognised.insert(survivor, leaders);
        }
        Ok(Takeover { victim: leader, recognised, ended })
    }

    /// Resumes or restarts the old leader, restarts all other nodes that do not run, and waits until the nodes form one
    /// group again.
    ///
    /// # Errors
    /// If they do not form one group.
    pub fn heal(
        &mut self,
        victim: NodeId,
        leader: NodeId,
        how: Fault,
    ) -> Result<Recovery, ProcessError> {
        let mut back = Recovery::Restarted;
        if how == Fault::Stop {
            let process = Arc::clone(self.cluster.node(victim)?);
            process.resume();
            let noticing = self.cluster.plan().timeout + Duration::from_secs(1);
            if self.agree(noticing).is_ok() {
                return Ok(Recovery::Resumed);
            }
            let opinion = process.ask("leader", noticing).ok();
            back = Recovery::Diverged(opinion.and_then(|said| match said {
                Notice::Leader { leader } => leader.map(|leader| leader.node),
                _ => None,
            }));
            // SIGTERM makes it log an end, so that its log shows that it ran until now.
            process.terminate();
            process.ended(noticing)?;
            self.cluster.kill(victim);
        }
        let runs = |node: &NodeId| self.cluster.node(*node).is_ok();
        let fallen: Vec<_> = self.cluster.plan().nodes().filter(|node| !runs(node)).collect();
        for node in fallen {
            self.start(node, Some(leader))?;
        }
        self.agree(self.limit())?;
        Ok(back)
    }

    /// Starts a node. In a protocol whose nodes join groups, it founds a group without a contact and joins one with a
    /// contact. It tries again if the join fails: it can fail while the group has no leader.
    ///
    /// # Errors
    /// If it does not start, or does not join.
    pub fn start(&mut self, node: NodeId, contact: Option<NodeId>) -> Result<(), ProcessError> {
        let contact = contact.filter(|_| self.protocol().joins_through_contact());
        if contact.is_none() {
            return self.cluster.start(node, None).map(|_| ());
        }
        let mut last = ProcessError::new("never tried");
        for _ in 0..ATTEMPTS {
            let joined = |line: &Line| (line.said == Notice::Joined).then_some(());
            match self.cluster.start(node, contact) {
                Ok(process) => match process.wait(0, self.limit(), joined) {
                    Ok(()) => return Ok(()),
                    Err(error) => last = error,
                },
                Err(error) => last = error,
            }
            self.cluster.kill(node);
        }
        Err(last)
    }

    fn marks(&self) -> BTreeMap<NodeId, usize> {
        self.cluster.running().map(|(node, process)| (node, process.line_count())).collect()
    }

    fn protocol(&self) -> Known {
        self.cluster.plan().protocol
    }

    /// The time limit of each wait.
    fn limit(&self) -> Duration {
        self.cluster.plan().timeout + self.cluster.plan().call_timeout + Duration::from_secs(5)
    }
}

/// The time that survivors are observed after all of them have a leader.
const SETTLE_TIME: Duration = Duration::from_millis(100);
/// The number of attempts to join.
const ATTEMPTS: usize = 10;

/// The leader that a node recognises with this line, if the line is not an answer.
#[must_use]
pub fn recognises(line: &Line) -> Option<NodeId> {
    match &line.said {
        Notice::Leader { leader } if line.answers.is_none() => leader.map(|leader| leader.node),
        Notice::View(view) if line.answers.is_none() => Some(view.leader.node),
        _ => None,
    }
}

fn delivers(line: &Line, wanted: &str) -> Option<()> {
    matches!(&line.said, Notice::Delivered { text, .. } if text == wanted).then_some(())
}
