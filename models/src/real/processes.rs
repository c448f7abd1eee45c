//! A cluster of real nodes on this machine, over TCP. Each node is a process of `interrex node`.
//!
//! For tests, measurements and demonstrations. Nodes can be killed, stopped, resumed and restarted, with or without
//! their stored data. All output of a node is kept, with its times.
//!
//! When a [`Cluster`] is dropped, also in a panic, its processes are killed. If the program itself is killed, they
//! reach the end of their standard input and shut down.

use crate::{
    protocol::registry::Known,
    real::line::{Line, Notice},
};
use interrex::{
    machine::{Address, NodeId},
    runtime::ClusterKey,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
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

/// The configuration of a cluster.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program `interrex`.
    pub program: PathBuf,
    /// The protocol.
    pub protocol: Known,
    /// The number of nodes that may lead: n0, n1, ….
    pub candidates: u16,
    /// The number of nodes that never lead. Their numbers follow those of the candidates.
    pub workers: u16,
    /// The time without a message after which a node is considered dead.
    pub timeout: Duration,
    /// The time limit for an answer to a client.
    pub call_timeout: Duration,
    /// The folder for the key, the stored data, the logs and the standard error of the nodes. It must be empty or not
    /// exist, and it is kept. Without it, a temporary folder is used, which is removed with the cluster.
    pub keep: Option<PathBuf>,
}

impl Plan {
    /// A plan with this number of candidates, no workers, and the default time limits.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, protocol: Known, candidates: u16) -> Self {
        Self {
            program: program.into(),
            protocol,
            candidates,
            workers: 0,
            timeout: Duration::from_secs(1),
            call_timeout: Duration::from_secs(5),
            keep: None,
        }
    }

    /// All nodes.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.candidates.saturating_add(self.workers)).map(NodeId)
    }
}

/// An error of a node or of the cluster, with the last lines of the node's standard error.
#[derive(Clone, Debug)]
pub struct ProcessError(String);

impl ProcessError {
    /// An error with this message.
    pub fn new(what: impl fmt::Display) -> Self {
        Self(what.to_string())
    }

    fn at(path: &Path, error: impl fmt::Display) -> Self {
        Self(format!("{}: {error}", path.display()))
    }
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProcessError {}

/// Nodes on this machine.
#[derive(Debug)]
pub struct Cluster {
    plan: Plan,
    folder: PathBuf,
    places: BTreeMap<NodeId, SocketAddr>,
    /// The addresses at which a node reaches another one, where they are others than those.
    routes: BTreeMap<(NodeId, NodeId), SocketAddr>,
    running: BTreeMap<NodeId, Arc<Process>>,
    /// The latest life of each node.
    lives: BTreeMap<NodeId, Address>,
    /// Removed last.
    _vanishes: Option<TempDir>,
}

impl Cluster {
    /// Makes a folder, a key and addresses to listen on. No node runs yet.
    ///
    /// # Errors
    /// If the folder or the key cannot be made, or no port is free.
    pub fn new(plan: Plan) -> Result<Self, ProcessError> {
        let (folder, vanishes) = if let Some(folder) = &plan.keep {
            (empty(folder)?, None)
        } else {
            let folder = tempfile::Builder::new().prefix("interrex-").tempdir();
            let folder =
                folder.map_err(|error| ProcessError(format!("no temporary folder: {error}")))?;
            (folder.path().to_path_buf(), Some(folder))
        };
        let key = ClusterKey::generate().map_err(ProcessError::new)?;
        key.write_new(folder.join(KEY)).map_err(ProcessError::new)?;
        let places = plan.nodes().map(|node| free_place().map(|place| (node, place))).collect();
        let places = Option::ok_or(places, ProcessError("no port is free on 127.0.0.1".into()))?;
        let (running, lives) = (BTreeMap::new(), BTreeMap::new());
        let routes = BTreeMap::new();
        Ok(Self { plan, folder, places, routes, running, lives, _vanishes: vanishes })
    }

    /// Its configuration.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The address at which a node listens. None if it is no node of the cluster.
    #[must_use]
    pub fn place(&self, node: NodeId) -> Option<SocketAddr> {
        self.places.get(&node).copied()
    }

    /// Has a node reach another one at another address than where that one listens: a proxy. It is used from the next start on.
    pub fn route(&mut self, (from, to): (NodeId, NodeId), through: SocketAddr) {
        self.routes.insert((from, to), through);
    }

    /// Starts a node that does not run, and waits until it is up. In a protocol whose nodes join groups, it joins a
    /// group with a contact and founds one without.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(
        &mut self,
        node: NodeId,
        contact: Option<NodeId>,
    ) -> Result<Arc<Process>, ProcessError> {
        self.start_with(node, self.command(node, contact))
    }

    /// Starts a node that does not run with a command that is based on [`command`](Self::command), and waits until it is
    /// up.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_with(
        &mut self,
        node: NodeId,
        command: Command,
    ) -> Result<Arc<Process>, ProcessError> {
        let process = Arc::new(Process::spawn(node, command, &self.stderr(node))?);
        // Registered before it is up, so that it is killed with the others in any case.
        self.running.insert(node, Arc::clone(&process));
        let me = process.wait(0, START_LIMIT, |line| match line.said {
            Notice::Listening { me, .. } => Some(me),
            _ => None,
        })?;
        self.lives.insert(node, me);
        Ok(process)
    }

    /// A running node.
    ///
    /// # Errors
    /// If it does not run.
    pub fn node(&self, node: NodeId) -> Result<&Arc<Process>, ProcessError> {
        self.running.get(&node).ok_or_else(|| ProcessError(format!("{node} does not run")))
    }

    /// The latest life of a node; none if it has never been up.
    #[must_use]
    pub fn life(&self, node: NodeId) -> Option<Address> {
        self.lives.get(&node).copied()
    }

    /// The nodes that were started and not killed.
    pub fn running(&self) -> impl Iterator<Item = (NodeId, &Arc<Process>)> {
        self.running.iter().map(|(node, process)| (*node, process))
    }

    /// Kills a node with SIGKILL, and waits until it has ended. Does nothing if it does not run.
    pub fn kill(&mut self, node: NodeId) {
        if let Some(process) = self.running.remove(&node) {
            process.kill();
        }
    }

    /// Removes the nodes that have ended by themselves from the running ones, and returns them.
    pub fn reap(&mut self) -> Vec<NodeId> {
        let over: Vec<_> =
            self.running().filter(|(_, process)| !process.runs()).map(|(node, _)| node).collect();
        for node in &over {
            self.kill(*node);
        }
        over
    }

    /// Removes the stored data of a node that does not run.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn erase(&mut self, node: NodeId) -> Result<(), ProcessError> {
        let folder = self.stored(node);
        if !folder.exists() {
            return Ok(());
        }
        fs::remove_dir_all(&folder).map_err(|error| ProcessError::at(&folder, error))
    }

    /// The log of a node's events and effects. It contains all its lives.
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

    fn stderr(&self, node: NodeId) -> PathBuf {
        self.folder.join(format!("{node}.stderr"))
    }

    /// The command that starts a node: in a protocol whose nodes join groups, with a contact or to found a group.
    #[must_use]
    pub fn command(&self, node: NodeId, contact: Option<NodeId>) -> Command {
        let reached = |(peer, place): (&NodeId, &SocketAddr)| {
            format!("{peer}={}", self.routes.get(&(node, *peer)).unwrap_or(place))
        };
        let peers: Vec<_> = self.places.iter().map(reached).collect();
        let mut command = Command::new(&self.plan.program);
        command.args(["node", "--format", "json", "--until-eof", "--id", &node.to_string()]);
        command.args(["--peers", &peers.join(","), "--protocol", self.plan.protocol.name()]);
        command.args(["--timeout", &self.plan.timeout.as_millis().to_string()]);
        command.args(["--call-timeout", &self.plan.call_timeout.as_millis().to_string()]);
        command.arg("--key-file").arg(self.folder.join(KEY));
        command.arg("--data-dir").arg(self.stored(node));
        command.arg("--log").arg(self.log(node));
        for worker in self.plan.nodes().skip(self.plan.candidates.into()) {
            command.args(["--worker", &worker.to_string()]);
        }
        match contact {
            Some(contact) => drop(command.args(["--contact", &contact.to_string()])),
            None if self.plan.protocol.joins_through_contact() => drop(command.arg("--found")),
            None => {}
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // All processes get the signal before the first wait.
        for process in self.running.values() {
            process.signal(Signal::KILL);
        }
        for process in self.running.values() {
            process.kill();
        }
    }
}

/// An empty folder, which is made if it does not exist.
fn empty(folder: &Path) -> Result<PathBuf, ProcessError> {
    fs::create_dir_all(folder).map_err(|error| ProcessError::at(folder, error))?;
    let mut inside = fs::read_dir(folder).map_err(|error| ProcessError::at(folder, error))?;
    match inside.next() {
        None => Ok(folder.to_path_buf()),
        Some(_) => {
            Err(ProcessError::at(folder, "is not empty; name a folder that is not there yet"))
        }
    }
}

const KEY: &str = "cluster.key";
/// The time limit for the start of a node.
const START_LIMIT: Duration = Duration::from_secs(20);

/// A free port. It is below the ephemeral ports: an outgoing connection could take the port of a killed node.
fn free_place() -> Option<SocketAddr> {
    const FIRST: u16 = 10_000;
    const COUNT: u16 = 22_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Concurrent programs begin at different ports.
    let begin = std::process::id().wrapping_mul(61) % u32::from(COUNT);
    (0..COUNT).find_map(|_| {
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = FIRST + u16::try_from((begin + next) % u32::from(COUNT)).unwrap_or(0);
        let place = SocketAddr::from(([127, 0, 0, 1], port));
        TcpListener::bind(place).is_ok().then_some(place)
    })
}

/// The process of a node, running or ended.
#[derive(Debug)]
pub struct Process {
    node: NodeId,
    pid: Pid,
    child: Mutex<Child>,
    input: Mutex<Input>,
    output: Arc<Output>,
    stderr: PathBuf,
}

#[derive(Debug)]
struct Input {
    pipe: ChildStdin,
    lines: u64,
}

/// The output of a node so far.
#[derive(Debug, Default)]
struct Output {
    said: Mutex<Transcript>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Transcript {
    lines: Vec<Line>,
    /// The reason why there is no more output: a malformed line, or the end.
    over: Option<String>,
}

impl Process {
    fn spawn(node: NodeId, mut command: Command, stderr: &Path) -> Result<Self, ProcessError> {
        let file = File::options().append(true).create(true).open(stderr);
        let file = file.map_err(|error| ProcessError::at(stderr, error))?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file).env_remove("RUST_LOG");
        let program = PathBuf::from(command.get_program());
        let mut child = command.spawn().map_err(|error| ProcessError::at(&program, error))?;
        let pid = Pid::from_child(&child);
        let output = Arc::new(Output::default());
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (pipe, stdout) = pipes.ok_or_else(|| ProcessError::new("a process without pipes"))?;
        let reader = Arc::clone(&output);
        // The thread ends with the process, which alone holds the other end of the pipe.
        thread::spawn(move || reader.read(stdout));
        Ok(Self {
            node,
            pid,
            child: Mutex::new(child),
            input: Mutex::new(Input { pipe, lines: 0 }),
            output,
            stderr: stderr.into(),
        })
    }

    /// The node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.node
    }

    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        lock(&self.child).id()
    }

    /// Sends a command, and returns the number of its line. The answer carries the same number.
    ///
    /// # Errors
    /// If the process has ended.
    pub fn send(&self, command: &str) -> Result<u64, ProcessError> {
        let mut input = lock(&self.input);
        input.lines += 1;
        let number = input.lines;
        // One write, since the node may read a part of a line at once.
        let written = input.pipe.write_all(format!("{command}\n").as_bytes());
        written.map_err(|_| self.error("has ended"))?;
        Ok(number)
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// If there is no answer in time.
    pub fn ask(&self, command: &str, within: Duration) -> Result<Notice, ProcessError> {
        let since = self.line_count();
        let number = self.send(command)?;
        let answer = |line: &Line| (line.answers == Some(number)).then(|| line.said.clone());
        let answer = self.wait(since, within, answer);
        answer.map_err(|error| ProcessError(format!("`{command}` has no answer: {error}")))
    }

    /// The number of lines printed so far.
    #[must_use]
    pub fn line_count(&self) -> usize {
        lock(&self.output.said).lines.len()
    }

    /// The lines printed so far, from this index on.
    #[must_use]
    pub fn lines(&self, from: usize) -> Vec<Line> {
        lock(&self.output.said).lines.get(from..).unwrap_or_default().to_vec()
    }

    /// Waits for the first line, from this index on, in which `find` finds something.
    ///
    /// # Errors
    /// If there is no such line in time, or the process ends.
    pub fn wait<T>(
        &self,
        from: usize,
        within: Duration,
        mut find: impl FnMut(&Line) -> Option<T>,
    ) -> Result<T, ProcessError> {
        let until = Instant::now() + within;
        let mut next = from;
        let mut said = lock(&self.output.said);
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
                return Err(self.error(&over));
            }
            let waited = self.output.more.wait_timeout(said, left);
            said = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// True if it still runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        matches!(lock(&self.child).try_wait(), Ok(None))
    }

    /// Waits until it has ended by itself, and all its output is read.
    ///
    /// # Errors
    /// If it has not in time.
    pub fn ended(&self, within: Duration) -> Result<ExitStatus, ProcessError> {
        let until = Instant::now() + within;
        loop {
            let status = lock(&self.child).try_wait();
            if let (Ok(Some(status)), true) = (status, lock(&self.output.said).over.is_some()) {
                return Ok(status);
            }
            if Instant::now() > until {
                return Err(self.error(&format!("still runs after {within:?}")));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Requests a shutdown: SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Kills it with SIGKILL, and waits until it has ended and all its output is read.
    pub fn kill(&self) {
        {
            let mut child = lock(&self.child);
            // Both fail if it has ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        let mut said = lock(&self.output.said);
        while said.over.is_none() {
            said = self.output.more.wait(said).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Stops it until it is [resumed](Self::resume): SIGSTOP. The process does not notice.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Resumes it: SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // The id of a process that has ended may belong to another process now.
        let mut child = lock(&self.child);
        if let Ok(None) = child.try_wait() {
            let _ = kill_process(self.pid, signal);
        }
    }

    /// An error with the last lines of the process's standard error.
    fn error(&self, what: &str) -> ProcessError {
        let stderr = fs::read_to_string(&self.stderr).unwrap_or_default();
        let last: Vec<_> = stderr.lines().rev().take(3).collect();
        let last: Vec<_> =
            last.iter().rev().map(|line| format!("\n  {}", error_in(line))).collect();
        ProcessError(format!("{} {what}{}", self.node, last.concat()))
    }
}

/// The error in a line of a node's standard error, which is JSON there; any other line as it is.
fn error_in(line: &str) -> String {
    let object: Option<Value> = serde_json::from_str(line).ok();
    let error = object.as_ref().and_then(|object| object["error"].as_str());
    error.map_or_else(|| line.into(), |error| format!("error: {error}"))
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Output {
    fn read(&self, stdout: ChildStdout) {
        let mut over = None;
        for line in BufReader::new(stdout).lines() {
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

/// Ignores poisoning: no thread panics in the middle of an update.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
