//! `interrex failover`.

use super::{
    BAD, Command, Exit, Failure, GOOD, LineFormat, STRONG,
    choice::choice,
    of_command, styled, table,
    time::{milliseconds, milliseconds_in},
};
use crate::{
    protocol::registry::Known,
    real::{
        application::Replicates,
        failover::{Fault, Group, Recovery, Takeover},
        processes::{Cluster, Plan, ProcessError},
    },
    verdict::{
        outcome::Comparison,
        report::{Case, json::Object},
    },
};
use comfy_table::{Cell, CellAlignment};
use indicatif::ProgressBar;
use interrex::machine::NodeId;
use serde_json::json;
use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

/// Kill the leader of a real cluster on this machine, and measure the failover
///
/// The command starts the nodes like `interrex node`, waits until they form one group, and writes a
/// value. Then it kills the leader. For each survivor, it measures the time from just before the
/// kill until the survivor has recognised the next leader.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit_codes! {
    "0    in each round there was one new leader, and all nodes agreed, the old"
    "     leader included when it was back or went on"
    "1    in some round they did not agree, or a node did not start"
    "2    bad usage"
})]
pub(super) struct Failover {
    /// The protocol, one of those that `interrex list` shows
    #[arg(long, value_name = "NAME", value_parser = of_command)]
    protocol: Known,
    /// The number of nodes; all of them may lead. With group at least 3, because those that are left must be a majority
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=i64::from(MOST_NODES)))]
    nodes: u16,
    /// The number of rounds; the old leader is brought back at the end of each
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// The fault of the leader
    #[arg(long, value_parser = choice::<Fault>(), default_value_t = Fault::Kill)]
    how: Fault,
    /// The time without a message, in milliseconds, after which a node is considered dead
    #[arg(long, value_name = "MS", default_value = "1000", value_parser = milliseconds_in(10..=3_600_000))]
    timeout: Duration,
    /// Keep the logs of the nodes, for `interrex validate`, and their stored data in this folder
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// The format of the output: for people, the events of one round or the times of several rounds;
    /// for programs, one object per round
    #[arg(long, value_enum, default_value_t = LineFormat::Text)]
    format: LineFormat,
}

/// The largest cluster that is made on one machine.
const MOST_NODES: u16 = 100;

/// The result of a round.
struct Round {
    takeover: Takeover,
    /// The first deviation from the expected result.
    complaint: Option<String>,
    back: Recovery,
}

impl Failover {
    pub(super) fn run(&self, _: &Command) -> Result<Exit, Failure> {
        self.suffices()?;
        let program = std::env::current_exe()
            .map_err(|error| Failure::Ended(format!("where is this program? {error}")))?;
        let plan = Plan {
            timeout: self.timeout,
            keep: self.keep.clone(),
            ..Plan::new(program, self.protocol, self.nodes)
        };
        let cluster = Cluster::new(plan).map_err(|error| Failure::Usage(error.to_string()))?;
        let mut out = anstream::stdout().lock();
        let mut say = |line: String| match (self.rounds, self.format) {
            (1, LineFormat::Text) => writeln!(out, "{line}").and_then(|()| out.flush()),
            _ => Ok(()),
        };
        say(styled(
            STRONG,
            format!("{} nodes of {} on this machine", self.nodes, self.protocol.name()),
        ))?;
        let mut group = Group::of(cluster)?;
        let progress = self.progress();
        let mut rounds = vec![];
        for number in 1..=self.rounds {
            let round = self.round(&mut group, number, &mut say)?;
            if self.format == LineFormat::Json {
                self.report(number, &round)?;
            }
            rounds.push(round);
            progress.inc(1);
        }
        progress.finish_and_clear();
        drop(group);
        if self.format == LineFormat::Text {
            self.conclude(&rounds)?;
        }
        let good = rounds.iter().all(|round| round.complaint.is_none());
        Ok(if good { Exit::AsExpected } else { Exit::Differs })
    }

    /// Refuses a group whose survivors are too few to have another leader.
    fn suffices(&self) -> Result<(), Failure> {
        let suffices = |nodes: &u16| self.protocol.can_replace_its_leader(*nodes);
        if suffices(&self.nodes) {
            return Ok(());
        }
        let (name, nodes) = (self.protocol.name(), self.nodes);
        let enough = (nodes..=MOST_NODES).find(suffices);
        let advice = enough.map_or(String::new(), |enough| format!("; give --nodes {enough}"));
        Err(Failure::Usage(format!(
            "--nodes {nodes}: {name} cannot replace the leader of {nodes} nodes, because those that are left are not \
             a majority{advice}"
        )))
    }

    fn round(
        &self,
        group: &mut Group,
        number: u32,
        say: &mut impl FnMut(String) -> io::Result<()>,
    ) -> Result<Round, Failure> {
        let limit = Duration::from_secs(10);
        let leader = group.agree(limit)?;
        say(format!("  {leader} leads, and all agree"))?;
        let (key, value) = (format!("round-{number}"), format!("led-by-{leader}"));
        let writer = group.write(leader, &key, &value)?;
        let replicates = self.protocol.replicates();
        say(match (writer, replicates) {
            (Some(writer), Some(Replicates::Messages)) => {
                format!("  {writer} multicasts `{key} {value}`, and all have it")
            }
            (Some(writer), Some(Replicates::Dictionary)) => {
                format!("  {writer} puts `{key} {value}`, and all have it")
            }
            (None, _) | (_, None) => {
                let name = self.protocol.name();
                format!("  nothing is written: {name} has no command that all nodes see")
            }
        })?;
        let what = match self.how {
            Fault::Kill => "kill -9",
            Fault::Stop => "kill -STOP",
        };
        say(format!("  {} {leader}", styled(STRONG, what)))?;
        let takeover = group.fail(leader, self.how)?;
        for line in recognitions(&takeover) {
            say(line)?;
        }
        let new = takeover.leader();
        let mut complaint =
            (takeover.ended.first()).map(|node| format!("{node} was ended by its protocol"));
        complaint = complaint.or_else(|| {
            new.is_none().then(|| "not everybody has one and the same new leader".into())
        });
        if self.how == Fault::Kill {
            match group.have_all(limit) {
                Ok(()) => match replicates {
                    Some(Replicates::Messages) => {
                        say("  another multicast reaches all survivors".into())?;
                    }
                    Some(Replicates::Dictionary) => {
                        say("  all survivors have what was written".into())?;
                    }
                    None => {}
                },
                Err(error) => complaint = complaint.or(Some(error.to_string())),
            }
        }
        let contact = new.or(takeover.took().keys().next().copied()).unwrap_or(leader);
        let back = group.heal(leader, contact, self.how)?;
        let returned = returned(leader, &back);
        say(format!("  {returned}"))?;
        if matches!(back, Recovery::Diverged(_)) {
            complaint = complaint.or(Some(returned));
        }
        if let Err(error) = group.have_all(limit) {
            complaint = complaint.or(Some(error.to_string()));
        }
        Ok(Round { takeover, complaint, back })
    }

    fn progress(&self) -> ProgressBar {
        if self.rounds == 1 { ProgressBar::hidden() } else { ProgressBar::new(self.rounds.into()) }
    }

    fn report(&self, number: u32, round: &Round) -> io::Result<()> {
        let Round { takeover, complaint, back } = round;
        let name = format!("round {number}");
        let (status, said) = match complaint {
            Some(complaint) => (Comparison::Differs, complaint.as_str()),
            None => (Comparison::AsExpected, "one new leader, and all agree"),
        };
        let case = Case::new(self.protocol.name(), name, status, said);
        let fields = json!({
            "round": number,
            "protocol": self.protocol.name(),
            "nodes": self.nodes,
            "how": self.how.to_string(),
            "victim": takeover.victim,
            "leader": takeover.leader(),
            "took_us": takeover.took(),
            "went_astray": matches!(back, Recovery::Diverged(_)),
            "complaint": complaint,
        });
        let line = Object::new("round", fields).with("cases", [case]);
        let mut out = anstream::stdout().lock();
        writeln!(out, "{line}").and_then(|()| out.flush())
    }

    fn conclude(&self, rounds: &[Round]) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        if self.rounds > 1 {
            let what = format!(
                "{} rounds, {} nodes of {}",
                rounds.len(),
                self.nodes,
                self.protocol.name()
            );
            writeln!(out, "{}", styled(STRONG, what))?;
            writeln!(out, "{}", times(rounds).trim_fmt())?;
        }
        for (number, round) in (1..).zip(rounds) {
            if let Some(complaint) = &round.complaint {
                writeln!(out, "  {} {complaint}", styled(BAD, format!("round {number}:")))?;
            }
        }
        if let Some(folder) = &self.keep {
            writeln!(out, "  what the nodes logged is in {}", super::shown(folder))?;
        }
        if self.how == Fault::Kill {
            let timeout = self.timeout.as_millis();
            writeln!(
                out,
                "  a closed connection is noticed at once; silence, as with --how stop, after --timeout: {timeout} ms"
            )?;
        }
        let bad = rounds.iter().filter(|round| round.complaint.is_some()).count();
        let (style, conclusion) = match (bad, self.rounds) {
            (0, 1) => (GOOD, "one new leader, and all agree".into()),
            (0, _) => (GOOD, "one new leader each time, and all agreed".into()),
            (bad, all) => (BAD, format!("{bad} of {all} went wrong")),
        };
        writeln!(out, "{}", styled(style, conclusion))
    }
}

impl From<ProcessError> for Failure {
    fn from(error: ProcessError) -> Self {
        Self::Ended(error.to_string())
    }
}

/// The leaders that the survivors recognised, in the order of time.
fn recognitions(takeover: &Takeover) -> Vec<String> {
    let mut recognitions: Vec<(u64, NodeId, NodeId)> = (takeover.recognised.iter())
        .flat_map(|(survivor, leaders)| {
            leaders.iter().map(|(leader, after)| (*after, *survivor, *leader))
        })
        .collect();
    recognitions.sort_unstable();
    let line = |(after, survivor, leader)| {
        let does = if survivor == leader {
            format!("{survivor} leads")
        } else {
            format!("{survivor} follows {leader}")
        };
        format!("  after {:>8} ms  {does}", milliseconds(after))
    };
    recognitions.into_iter().map(line).collect()
}

fn returned(victim: NodeId, back: &Recovery) -> String {
    match back {
        Recovery::Restarted => format!("{victim} is back, and all agree"),
        Recovery::Resumed => format!("{victim} goes on, and all agree"),
        Recovery::Diverged(Some(leader)) if *leader == victim => {
            format!(
                "{victim} goes on and still leads: two leaders. Shut down and started anew, it follows"
            )
        }
        Recovery::Diverged(_) => {
            format!(
                "{victim} goes on and finds no way back. Shut down and started anew, it follows"
            )
        }
    }
}

/// The times until the first survivor, and until all of them, had recognised the new leader.
fn times(rounds: &[Round]) -> comfy_table::Table {
    let took: Vec<_> = rounds.iter().map(|round| round.takeover.took()).collect();
    let first = took.iter().filter_map(|took| took.values().min().copied()).collect();
    let all = took.iter().filter_map(|took| took.values().max().copied()).collect();
    let mut table = table();
    let number = |text: &str| Cell::new(text).set_alignment(CellAlignment::Right);
    let header = ["min", "median", "max"].map(number);
    table.set_header([vec![Cell::new("  milliseconds until")], header.to_vec()].concat());
    for (what, mut times) in [("  the first survivor has it", first), ("  all have it", all)] {
        let times: &mut Vec<u64> = &mut times;
        times.sort_unstable();
        let [min, median, max] = [0, times.len() / 2, times.len().saturating_sub(1)]
            .map(|at| times.get(at).map_or_else(|| "-".into(), |time| milliseconds(*time)));
        table.add_row([Cell::new(what), number(&min), number(&median), number(&max)]);
    }
    table
}
