//! How fast machines run for real: three nodes on loopback, encrypted; logs off.
//!
//! `cargo bench -p interrex-models --bench runtime`; with `-- --plot`, the picture in the README is drawn anew.
//!
//! A round trip is compared with a bare one over TCP, measured in turn with it; rates are medians of five runs. A
//! failover is one of real processes (`interrex failover`), which log.

mod load;
mod plot;

use interrex_models::{
    protocol::registry::{Known, built_in},
    real::{
        failover::{Fault, Group},
        processes::{Plan, ProcessError},
    },
};
use load::{Result, VALUE, gen_leader, gms3, group, ping_pong};
use std::{
    fmt,
    io::{Write, stdout},
    time::Duration,
};

const RUNS: usize = 5;
/// Round trips, in each run.
const CALLS: u64 = 10_000;
/// How often a leader falls.
const ROUNDS: usize = 20;
/// How long a node may be silent before it is taken for dead.
const TIMEOUT: Duration = Duration::from_millis(500);

fn main() -> Result<()> {
    let asked = |wanted: &str| std::env::args().any(|argument| argument == wanted);
    // `cargo test --benches` asks for nothing but that it starts.
    if asked("--test") {
        return Ok(());
    }
    let latencies = round_trips()?;
    throughput()?;
    let failovers = failovers()?;
    if asked("--plot") {
        plot::draw(&latencies, &failovers)?;
    }
    Ok(())
}

/// How long something took, each time, from the shortest to the longest.
pub(crate) struct Times {
    what: String,
    sorted: Vec<Duration>,
}

impl Times {
    fn new(what: impl Into<String>, mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        Self { what: what.into(), sorted: all }
    }

    fn at(&self, hundredths: usize) -> Duration {
        self.sorted[(self.sorted.len() - 1) * hundredths / 100]
    }
}

/// Median and 99 of 100, in microseconds.
impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [median, p99] = [50, 99].map(|hundredths| self.at(hundredths).as_secs_f64() * 1e6);
        write!(f, "{:<32} {median:>8.1} µs {p99:>8.1} µs", self.what)
    }
}

fn round_trips() -> Result<Vec<Times>> {
    let mut all = [vec![], vec![], vec![]];
    for _ in 0..RUNS {
        all[0].extend(ping_pong(CALLS)?);
        all[1].extend(gen_leader(1, CALLS, false)?.1);
        all[2].extend(gen_leader(1, CALLS, true)?.1);
    }
    let bare = format!("bare tokio TCP, {VALUE} bytes");
    let names = [bare, "leader_call".into(), "leader_call with broadcast".into()];
    let times: Vec<_> =
        names.into_iter().zip(all).map(|(name, all)| Times::new(name, all)).collect();
    let mut out = stdout();
    writeln!(out, "round trip, one caller at a follower     median         p99   to bare TCP")?;
    for of in &times {
        let ratio = of.at(50).as_secs_f64() / times[0].at(50).as_secs_f64();
        writeln!(out, "  {of} {ratio:>10.2}x")?;
    }
    Ok(times)
}

fn throughput() -> Result<()> {
    let mut out = stdout();
    writeln!(out, "\nthroughput                             a second   all runs, thousands")?;
    for (name, write, calls) in
        [("leader_call, 32 callers", false, 200_000), ("leader_call with broadcast", true, 100_000)]
    {
        let mut last = vec![];
        let rates = repeat(|| {
            let (rate, latencies) = gen_leader(32, calls, write)?;
            last = latencies;
            Ok(rate)
        })?;
        writeln!(out, "  {name:<32} {}", shown(&rates))?;
        writeln!(out, "    {}", Times::new("each of them", last))?;
    }
    for (callers, calls, on_disk) in [
        (1, 10_000, false),
        (32, 100_000, false),
        (256, 100_000, false),
        (1, 1_000, true),
        (32, 10_000, true),
        (256, 20_000, true),
    ] {
        let mut last = vec![];
        let rates = repeat(|| {
            let (rate, latencies) = group(callers, calls, on_disk)?;
            last = latencies;
            Ok(rate)
        })?;
        let name = format!("group, {callers} callers{}", if on_disk { ", synced" } else { "" });
        writeln!(out, "  {name:<32} {}", shown(&rates))?;
        writeln!(out, "    {}", Times::new("each of them", last))?;
    }
    for (name, sender) in [("mcast, from the leader", 0), ("mcast, from a follower", 1)] {
        let rates = repeat(|| gms3(interrex::machine::NodeId(sender), 300_000))?;
        writeln!(out, "  {name:<32} {}", shown(&rates))?;
    }
    Ok(())
}

/// From the slowest to the fastest.
fn repeat(mut run: impl FnMut() -> Result<f64>) -> Result<Vec<f64>> {
    let mut rates = (0..RUNS).map(|_| run()).collect::<Result<Vec<_>>>()?;
    rates.sort_by(f64::total_cmp);
    Ok(rates)
}

fn shown(rates: &[f64]) -> String {
    let all: Vec<_> = rates.iter().map(|rate| format!("{:.0}", rate / 1000.0)).collect();
    format!("{:>10.0}   {}", rates[rates.len() / 2], all.join(" "))
}

fn failovers() -> Result<Vec<Times>> {
    let mut out = stdout();
    writeln!(out, "\nuntil all survivors have the next leader       median           p99")?;
    let mut all = vec![];
    for (protocol, how, fate) in [
        (built_in()["gen_leader"], Fault::Kill, "killed with -9"),
        (built_in()["gms3"], Fault::Kill, "killed with -9"),
        (built_in()["gen_leader"], Fault::Stop, "stopped"),
        (built_in()["gms3"], Fault::Stop, "stopped"),
        (built_in()["group"], Fault::Kill, "killed with -9"),
        (built_in()["group"], Fault::Stop, "stopped"),
    ] {
        let times = Times::new(format!("{}, {fate}", protocol.name()), failover(protocol, how)?);
        let share = times.at(50).as_secs_f64() / TIMEOUT.as_secs_f64();
        write!(out, "  {times}")?;
        match how {
            Fault::Kill => writeln!(out)?,
            Fault::Stop => writeln!(out, "   {share:.2} x the time-out of {TIMEOUT:?}")?,
        }
        all.push(times);
    }
    Ok(all)
}

fn failover(protocol: Known, how: Fault) -> std::result::Result<Vec<Duration>, ProcessError> {
    let program = env!("CARGO_BIN_EXE_interrex");
    let mut group = Group::form(Plan { timeout: TIMEOUT, ..Plan::new(program, protocol, 3) })?;
    let mut took = vec![];
    for _ in 0..ROUNDS {
        let leader = group.agree(Duration::from_secs(10))?;
        let takeover = group.fail(leader, how)?;
        let next = takeover.leader().ok_or_else(|| ProcessError::new(format!("{takeover:?}")))?;
        took.extend(takeover.took().values().max().copied().map(Duration::from_micros));
        group.heal(leader, next, how)?;
    }
    Ok(took)
}
