//! A cluster of real nodes on this machine: a process of `interrex node` each, over TCP.
//!
//! For tests, measurements and demonstrations. Nodes can be killed, stopped, let go on and started again, with what
//! they had stored or without. Everything that a node says is kept, with the time at which it happened.
//!
//! When a [`Cluster`] is dropped, in a panic too, its processes are killed. If the program itself is killed, they see
//! the end of their standard input and shut down.

use crate::{
    protocol::registry::Known,
    real::line::{Line, Said},
};
use interrex::{
    machine::{Address, NodeId},
    runtime::{ClusterKey, Opened},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// What a cluster is like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program `interrex`.
    pub program: PathBuf,
    /// What runs.
    pub protocol: Known,
    /// How many nodes may lead: n0, n1, ….
    pub candidates: u16,
    /// How many nodes come behind them that only follow.
    pub workers: u16,
    /// How long a node may be silent before it is taken for dead.
    pub timeout: Duration,
    /// How long a client waits for an answer.
    pub patience: Duration,
    /// The folder of the key, of what is stored, of logs and of what nodes complain of. It must be empty or not there, and
    /// it stays. Without one, there is a temporary one that vanishes with the cluster.
    pub keep: Option<PathBuf>,
}

impl Plan {
    /// So many nodes that may lead, with the usual time limits.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, protocol: Known, candidates: u16) -> Self {
        Self {
            program: program.into(),
            protocol,
            candidates,
            workers: 0,
            timeout: Duration::from_secs(1),
            patience: Duration::from_secs(5),
            keep: None,
        }
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.candidates.saturating_add(self.workers)).map(NodeId)
    }
}

/// What went wrong: where, and what the node itself has said of it.
#[derive(Clone, Debug)]
pub struct Trouble(String);

impl Trouble {
    /// This went wrong.
    pub fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }

    fn at(path: &Path, error: impl fmt::Display) -> Self {
        Self(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Trouble {}

/// Nodes on this machine.
#[derive(Debug)]
pub struct Cluster {
    plan: Plan,
    folder: PathBuf,
    places: BTreeMap<NodeId, SocketAddr>,
    running: BTreeMap<NodeId, Arc<Process>>,
    /// The latest life of each node.
    lives: BTreeMap<NodeId, Address>,
    /// Removed last.
    _vanishes: Option<TempDir>,
}

impl Cluster {
    /// A folder, a key and places to listen at. No node runs yet.
    ///
    /// # Errors
    /// If the folder or the key cannot be made, or no place is free.
    pub fn new(plan: Plan) -> Result<Self, Trouble> {
        let (folder, vanishes) = if let Some(folder) = &plan.keep {
            (empty(folder)?, None)
        } else {
            let folder = tempfile::Builder::new().prefix("interrex-").tempdir();
            let folder =
                folder.map_err(|error| Trouble(format!("no temporary folder: {error}")))?;
            (folder.path().to_path_buf(), Some(folder))
        };
        let key = ClusterKey::generate().map_err(Trouble::new)?;
        key.write_new(folder.join(KEY)).map_err(Trouble::new)?;
        let places = plan.nodes().map(|node| free_place().map(|place| (node, place))).collect();
        let places = Option::ok_or(places, Trouble("no port is free on 127.0.0.1".into()))?;
        let (running, lives) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { plan, folder, places, running, lives, _vanishes: vanishes })
    }

    /// What it is like.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Starts a node that does not run, and waits until it is up. Where nodes join groups, it joins with a contact and
    /// founds a group without one.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start(
        &mut self,
        node: NodeId,
        contact: Option<NodeId>,
    ) -> Result<Arc<Process>, Trouble> {
        self.wait_for_a_new_life(node);
        let process = Process::spawn(node, self.command(node, contact), &self.complaints(node))?;
        let process = Arc::new(process);
        // Known before it is up: it is killed with the others, whatever happens.
        self.running.insert(node, Arc::clone(&process));
        let me = process.wait(0, PATIENCE, |line| match line.said {
            Said::Listening { me, .. } => Some(me),
            _ => None,
        })?;
        self.lives.insert(node, me);
        Ok(process)
    }

    /// A node that runs.
    ///
    /// # Errors
    /// If it does not.
    pub fn node(&self, node: NodeId) -> Result<&Arc<Process>, Trouble> {
        self.running.get(&node).ok_or_else(|| Trouble(format!("{node} does not run")))
    }

    /// A node in the latest of its lives; none if it has never been up.
    #[must_use]
    pub fn life(&self, node: NodeId) -> Option<Address> {
        self.lives.get(&node).copied()
    }

    /// Those that were started and not killed.
    pub fn running(&self) -> impl Iterator<Item = (NodeId, &Arc<Process>)> {
        self.running.iter().map(|(node, process)| (*node, process))
    }

    /// Kills a node with -9, and waits until it is gone. It does not matter if it is gone already.
    pub fn kill(&mut self, node: NodeId) {
        if let Some(process) = self.running.remove(&node) {
            process.kill();
        }
    }

    /// Those that have ended by themselves since they were started. They do not count as running any more.
    pub fn sweep(&mut self) -> Vec<NodeId> {
        let over: Vec<_> =
            self.running().filter(|(_, process)| !process.runs()).map(|(node, _)| node).collect();
        for node in &over {
            self.kill(*node);
        }
        over
    }

    /// Removes what a node that does not run has stored.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn lose(&mut self, node: NodeId) -> Result<(), Trouble> {
        let folder = self.stored(node);
        if !folder.exists() {
            return Ok(());
        }
        fs::remove_dir_all(&folder).map_err(|error| Trouble::at(&folder, error))
    }

    /// Where a node logs its events and effects, all its lives in one file.
    #[must_use]
    pub fn log(&self, node: NodeId) -> PathBuf {
        self.folder.join(format!("{node}.log"))
    }

    /// The logs of all nodes that have ever run.
    #[must_use]
    pub fn logs(&self) -> Vec<PathBuf> {
        self.lives.keys().map(|node| self.log(*node)).collect()
    }

    fn stored(&self, node: NodeId) -> PathBuf {
        self.folder.join(format!("{node}.stored"))
    }

    fn complaints(&self, node: NodeId) -> PathBuf {
        self.folder.join(format!("{node}.stderr"))
    }

    fn command(&self, node: NodeId, contact: Option<NodeId>) -> Command {
        let peers: Vec<_> =
            self.places.iter().map(|(node, place)| format!("{node}={place}")).collect();
        let mut command = Command::new(&self.plan.program);
        command.args(["node", "--format", "json", "--until-eof", "--id", &node.to_string()]);
        command.args(["--peers", &peers.join(","), "--protocol", &self.plan.protocol.name()]);
        command.args(["--timeout", &self.plan.timeout.as_millis().to_string()]);
        command.args(["--patience", &self.plan.patience.as_millis().to_string()]);
        command.arg("--key-file").arg(self.folder.join(KEY));
        command.arg("--data-dir").arg(self.stored(node));
        command.arg("--log").arg(self.log(node));
        for worker in self.plan.nodes().skip(self.plan.candidates.into()) {
            command.args(["--worker", &worker.to_string()]);
        }
        if let Some(contact) = contact {
            command.args(["--contact", &contact.to_string()]);
        }
        command
    }

    /// A node that has lost what it stored counts its lives by the clock: one that begins too soon would be the same
    /// one again, and the others would refuse it.
    fn wait_for_a_new_life(&self, node: NodeId) {
        let Some(last) = self.lives.get(&node) else { return };
        while !self.stored(node).exists() && Opened::<()>::anew().life <= last.life {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // All get the signal before any is waited for.
        for process in self.running.values() {
            process.send(Signal::KILL);
        }
        for process in self.running.values() {
            process.kill();
        }
    }
}

/// A folder with nothing in it, which is made if it is not there.
fn empty(folder: &Path) -> Result<PathBuf, Trouble> {
    fs::create_dir_all(folder).map_err(|error| Trouble::at(folder, error))?;
    let mut inside = fs::read_dir(folder).map_err(|error| Trouble::at(folder, error))?;
    match inside.next() {
        None => Ok(folder.to_path_buf()),
        Some(_) => Err(Trouble::at(folder, "is not empty; name a folder that is not there yet")),
    }
}

const KEY: &str = "cluster.key";
/// How long a node may take to come up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A place where nobody listens. Below the ports that connections are made from: one of those could take the place of a
/// node that was killed.
fn free_place() -> Option<SocketAddr> {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 22_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Programs that run at the same time begin at different ports.
    let begin = std::process::id().wrapping_mul(61) % u32::from(COUNT);
    (0..COUNT).find_map(|_| {
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + u16::try_from((begin + next) % u32::from(COUNT)).unwrap_or(0);
        let place = SocketAddr::from(([127, 0, 0, 1], port));
        TcpListener::bind(place).is_ok().then_some(place)
    })
}

/// A node that runs, or has run.
#[derive(Debug)]
pub struct Process {
    node: NodeId,
    pid: Pid,
    child: Mutex<Child>,
    input: Mutex<Input>,
    heard: Arc<Heard>,
    complaints: PathBuf,
}

#[derive(Debug)]
struct Input {
    pipe: ChildStdin,
    lines: u64,
}

/// What a node has said so far.
#[derive(Debug, Default)]
struct Heard {
    said: Mutex<Transcript>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Transcript {
    lines: Vec<Line>,
    /// A line that is none, or the end.
    over: Option<String>,
}

impl Process {
    fn spawn(node: NodeId, mut command: Command, complaints: &Path) -> Result<Self, Trouble> {
        let file = File::options().append(true).create(true).open(complaints);
        let file = file.map_err(|error| Trouble::at(complaints, error))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file).env_remove("RUST_LOG");
        let program = PathBuf::from(command.get_program());
        let mut child = command.spawn().map_err(|error| Trouble::at(&program, error))?;
        let pid = Pid::from_child(&child);
        let heard = Arc::new(Heard::default());
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (pipe, output) = pipes.ok_or_else(|| Trouble::new("a process without pipes"))?;
        let listener = Arc::clone(&heard);
        // Ends with the process, whose end of the pipe nobody else has.
        thread::spawn(move || listener.listen(output));
        Ok(Self {
            node,
            pid,
            child: Mutex::new(child),
            input: Mutex::new(Input { pipe, lines: 0 }),
            heard,
            complaints: complaints.into(),
        })
    }

    /// Which node it is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The number that the system knows it by.
    #[must_use]
    pub fn id(&self) -> u32 {
        lock(&self.child).id()
    }

    /// Types a command: the number of its line, which its answer bears.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn tell(&self, command: &str) -> Result<u64, Trouble> {
        let mut input = lock(&self.input);
        input.lines += 1;
        let number = input.lines;
        // In one piece: what is written may be read at once.
        let written = input.pipe.write_all(format!("{command}\n").as_bytes());
        written.map_err(|_| self.trouble("has ended"))?;
        Ok(number)
    }

    /// Types a command and waits for its answer.
    ///
    /// # Errors
    /// If there is none in time.
    pub fn ask(&self, command: &str, within: Duration) -> Result<Said, Trouble> {
        let since = self.heard_so_far();
        let number = self.tell(command)?;
        let answer = |line: &Line| (line.answers == Some(number)).then(|| line.said.clone());
        let answer = self.wait(since, within, answer);
        answer.map_err(|trouble| Trouble(format!("`{command}` has no answer: {trouble}")))
    }

    /// How many lines it has said so far.
    #[must_use]
    pub fn heard_so_far(&self) -> usize {
        lock(&self.heard.said).lines.len()
    }

    /// The lines it has said, from this one on.
    #[must_use]
    pub fn lines(&self, from: usize) -> Vec<Line> {
        lock(&self.heard.said).lines.get(from..).unwrap_or_default().to_vec()
    }

    /// Waits for a line in which there is something, the first one from this one on.
    ///
    /// # Errors
    /// If there is none in time, or the process ends.
    pub fn wait<T>(
        &self,
        from: usize,
        within: Duration,
        mut find: impl FnMut(&Line) -> Option<T>,
    ) -> Result<T, Trouble> {
        let until = Instant::now() + within;
        let mut next = from;
        let mut said = lock(&self.heard.said);
        loop {
            while let Some(line) = said.lines.get(next) {
                next += 1;
                if let Some(found) = find(line) {
                    return Ok(found);
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            let over = said.over.clone().or_else(|| {
                left.is_zero().then(|| format!("has not said what is waited for within {within:?}"))
            });
            if let Some(over) = over {
                drop(said);
                return Err(self.trouble(&over));
            }
            let waited = self.heard.more.wait_timeout(said, left);
            said = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether it still runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        matches!(lock(&self.child).try_wait(), Ok(None))
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// If it has not in time.
    pub fn ended(&self, within: Duration) -> Result<ExitStatus, Trouble> {
        let until = Instant::now() + within;
        loop {
            if let Ok(Some(status)) = lock(&self.child).try_wait() {
                return Ok(status);
            }
            if Instant::now() > until {
                return Err(self.trouble(&format!("still runs after {within:?}")));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks it to shut down: SIGTERM.
    pub fn terminate(&self) {
        self.send(Signal::TERM);
    }

    /// Kills it with -9 and waits until it is gone; then all that it has said is heard.
    pub fn kill(&self) {
        {
            let mut child = lock(&self.child);
            // Neither matters if it is gone.
            let _ = child.kill();
            let _ = child.wait();
        }
        let mut said = lock(&self.heard.said);
        while said.over.is_none() {
            said = self.heard.more.wait(said).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Stops it: it does nothing and knows nothing of it, until it [goes on](Self::go_on).
    pub fn stop(&self) {
        self.send(Signal::STOP);
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.send(Signal::CONT);
    }

    fn send(&self, signal: Signal) {
        // Whoever is gone and waited for may have left its number to somebody else.
        let mut child = lock(&self.child);
        if let Ok(None) = child.try_wait() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// What the process complained of last belongs to what went wrong.
    fn trouble(&self, what: &str) -> Trouble {
        let complaints = fs::read_to_string(&self.complaints).unwrap_or_default();
        let last: Vec<_> = complaints.lines().rev().take(3).collect();
        let last: Vec<_> = last.iter().rev().map(|line| format!("\n  {line}")).collect();
        Trouble(format!("{} {what}{}", self.node, last.concat()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Heard {
    fn listen(&self, output: ChildStdout) {
        let mut over = None;
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { break };
            match serde_json::from_str(&line) {
                Ok(line) => {
                    lock(&self.said).lines.push(line);
                    self.more.notify_all();
                }
                Err(error) => {
                    over = Some(format!("says something that is not understood ({error}): {line}"));
                    break;
                }
            }
        }
        lock(&self.said).over = Some(over.unwrap_or_else(|| "has ended".into()));
        self.more.notify_all();
    }
}

/// A thread that panics leaves nothing half done behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
