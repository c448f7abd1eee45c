//! Reads logs, and runs the machine on them.

use super::{
    Contradiction, Difference, Where,
    adapter::Adapter,
    life::{self, Input, Life},
};
use crate::{
    evidence::trace::to_value,
    io::file::{FileError, refuse_special, without_place},
    real::application::Application,
};
use interrex::{
    machine::{Address, Boot, EffectOf, EventOf},
    runtime::{Break, End, Entry, EntryOf, FORMAT, Start, Step},
};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, error::Category};
use std::{
    collections::BTreeSet,
    fmt::Display,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

/// A limit, in bytes, that no line exceeds: a message has 1 GiB at most by default, and is longer as JSON.
const MOST_BYTES: u64 = 8 << 30;

/// A log, line by line.
pub(super) struct Lines {
    path: PathBuf,
    reader: BufReader<File>,
    line: Vec<u8>,
    number: usize,
}

/// The content of a line.
pub(super) enum Line<T> {
    /// An entry.
    Entry(T),
    /// A part of an entry: the node was killed while it wrote the line.
    Torn,
}

/// The part of a log that is the same at all nodes of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Common {
    pub protocol: String,
    pub configuration: String,
}

/// The lives in a log, and the first difference to the machine.
pub(super) struct Replayed<R: Application> {
    pub lives: Vec<Life<R>>,
    pub difference: Option<Difference>,
    /// The promises that the adapter has broken.
    pub broken: Vec<Contradiction>,
}

impl Lines {
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let cannot = |error| FileError::new(path, format!("cannot be read: {error}"));
        refuse_special(path)?;
        let reader = BufReader::with_capacity(1 << 16, File::open(path).map_err(cannot)?);
        Ok(Self { path: path.into(), reader, line: vec![], number: 0 })
    }

    /// The next line.
    pub(super) fn next<T: for<'de> Deserialize<'de>>(
        &mut self,
    ) -> Result<Option<Line<T>>, FileError> {
        self.line.clear();
        let mut limited = (&mut self.reader).take(MOST_BYTES);
        let length = limited.read_until(b'\n', &mut self.line);
        let length = length
            .map_err(|error| FileError::new(&self.path, format!("cannot be read: {error}")))?;
        if length == 0 {
            return Ok(None);
        }
        self.number += 1;
        if length as u64 == MOST_BYTES && self.line.last() != Some(&b'\n') {
            return Err(self.error("longer than 8 GiB, which no line of a log is"));
        }
        // The next life ends a line that was cut short.
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        match serde_json::from_slice(line) {
            Ok(entry) => Ok(Some(Line::Entry(entry))),
            Err(error) if error.classify() == Category::Eof => Ok(Some(Line::Torn)),
            Err(error) => {
                let message = format!("not a line of a log: {}", without_place(&error));
                Err(FileError::in_line(&self.path, self.number, error.column().max(1), message))
            }
        }
    }

    /// Checks the format of the life that begins with the current line.
    fn check_format(&self, format: u32) -> Result<(), FileError> {
        if format == FORMAT {
            return Ok(());
        }
        Err(self.error(format_args!("format {format}: this version reads format {FORMAT}")))
    }

    /// An error in the current line.
    fn error(&self, message: impl Display) -> FileError {
        self.error_at(self.number.max(1), message)
    }

    /// An error in a line.
    fn error_at(&self, line: usize, message: impl Display) -> FileError {
        FileError::in_line(&self.path, line, 1, message)
    }
}

/// The common part, from the first life of a log; none if the log contains no life.
pub(super) fn common(path: &Path) -> Result<Option<Common>, FileError> {
    type Plain = Entry<IgnoredAny, IgnoredAny, IgnoredAny>;
    let mut lines = Lines::open(path)?;
    while let Some(line) = lines.next::<Plain>()? {
        match line {
            // A node that was killed while it started.
            Line::Torn => {}
            Line::Entry(Entry::Start(Start { format, protocol, configuration, .. })) => {
                lines.check_format(format)?;
                return Ok(Some(Common { protocol, configuration }));
            }
            Line::Entry(Entry::Step(_) | Entry::Break(_) | Entry::End(_)) => {
                return Err(lines.error(NO_START));
            }
        }
    }
    Ok(None)
}

const NO_START: &str = "no life has begun: expected a line `{\"start\":…}`";

/// Runs a machine on the first lines of a log.
pub(super) fn run<R: Application>(
    machine: &R,
    common: &Common,
    (file, path): (usize, &Path),
    most_lines: usize,
) -> Result<Replayed<R>, FileError> {
    let lines = Lines::open(path)?;
    let replayed = Replayed { lives: vec![], difference: None, broken: vec![] };
    let adapter = Adapter::new();
    let mut run = Run { machine, common, file, lines, replayed, adapter, running: None };
    while run.lines.number < most_lines
        && let Some(line) = run.lines.next()?
    {
        match line {
            Line::Torn => run.tear()?,
            Line::Entry(entry) => run.take(entry)?,
        }
        if run.replayed.difference.is_some() {
            // After a difference, the states of the log and of the machine are not comparable.
            break;
        }
    }
    run.conclude();
    Ok(run.replayed)
}

struct Run<'a, R: Application> {
    machine: &'a R,
    common: &'a Common,
    file: usize,
    lines: Lines,
    replayed: Replayed<R>,
    adapter: Adapter<R>,
    /// The life to which the next line belongs.
    running: Option<Life<R>>,
}

impl<R: Application> Run<'_, R> {
    fn take(&mut self, entry: EntryOf<R>) -> Result<(), FileError> {
        match entry {
            Entry::Start(start) => self.start(start),
            Entry::Step(step) => self.step(step),
            Entry::Break(it) => self.break_off(&it),
            Entry::End(end) => self.end(&end),
        }
    }

    /// Concludes the current life, if there is one.
    fn conclude(&mut self) {
        self.replayed.lives.extend(self.running.take());
    }

    /// Handles a line that is cut short, which must be the last of a life.
    fn tear(&mut self) -> Result<(), FileError> {
        match &mut self.running {
            Some(Life { torn: Some(line), .. }) => Err(self.lines.error_at(*line, TORN)),
            Some(life) => {
                life.torn = Some(self.lines.number);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn start(&mut self, start: Start<Boot<R::Stable>, EffectOf<R>>) -> Result<(), FileError> {
        let Start { format, at, protocol, configuration, boot, effects } = start;
        self.lines.check_format(format)?;
        let this = Common { protocol, configuration };
        if this != *self.common {
            return Err(self.lines.error(differing(self.common, &this)));
        }
        self.conclude();
        let me = boot.me;
        self.check_life(me)?;
        let (contact, has_stable) = (boot.contact, boot.stable.is_some());
        let broken = self.adapter.start(self.machine, at, &boot, &effects);
        self.accuse(broken);
        let (state, expected) = self.machine.start(boot);
        self.compare(&effects, &expected);
        let mut life = Life {
            file: self.file,
            me,
            contact,
            has_stable,
            persisted: false,
            steps: vec![],
            effects: vec![],
            end: None,
            stopped: None,
            state,
            armed: BTreeSet::new(),
            breaks: BTreeSet::new(),
            torn: None,
        };
        life.add(self.machine, (at, self.lines.number), Input::Start, &effects);
        self.running = Some(life);
        Ok(())
    }

    /// Checks that a log has one node, and that its lives count up.
    fn check_life(&self, me: Address) -> Result<(), FileError> {
        let Some(before) = self.replayed.lives.last().map(|life| life.me) else { return Ok(()) };
        if before.node != me.node {
            let message = format!("a life of {}, in the log of {}", me.node, before.node);
            return Err(self.lines.error(message));
        }
        if before.life >= me.life {
            let message = format!(
                "life {} follows life {}: lives count up, so this log was put together wrongly",
                me.life, before.life
            );
            return Err(self.lines.error(message));
        }
        Ok(())
    }

    fn step(&mut self, step: Step<EventOf<R>, EffectOf<R>>) -> Result<(), FileError> {
        let Step { at, event, sent, unsynced, effects } = step;
        let mut life = self.continued()?;
        if life.stopped.is_some() {
            self.differ(None, Some(to_value(&event)), None);
            self.running = Some(life);
            return Ok(());
        }
        let input = life::input(self.machine, &event, sent);
        if let (Input::Message { .. }, None) = (&input, sent) {
            return Err(self.lines.error("a message without `sent`, the step of its sender"));
        }
        let broken = self.adapter.step(self.machine, (at, unsynced), &event, &effects, &life.armed);
        self.accuse(broken);
        let (state, expected) = self.machine.step(life.state, event);
        life.state = state;
        self.compare(&effects, &expected);
        life.add(self.machine, (at, self.lines.number), input, &effects);
        self.running = Some(life);
        Ok(())
    }

    fn break_off(&mut self, it: &Break) -> Result<(), FileError> {
        let mut life = self.continued()?;
        let broken = self.adapter.pass(it.at);
        self.accuse(broken);
        life.breaks.insert((it.node, life.steps.len()));
        self.running = Some(life);
        Ok(())
    }

    fn end(&mut self, end: &End) -> Result<(), FileError> {
        let mut life = self.continued()?;
        if life.stopped != end.stopped {
            let reason = |stopped: &Option<String>| stopped.clone().map(Value::from);
            self.differ(None, reason(&end.stopped), reason(&life.stopped));
        }
        life.end = Some(end.at);
        self.replayed.lives.push(life);
        Ok(())
    }

    /// The life to which this line belongs. It must be neither over nor torn.
    fn continued(&mut self) -> Result<Life<R>, FileError> {
        match self.running.take() {
            Some(Life { torn: Some(line), .. }) => Err(self.lines.error_at(line, TORN)),
            Some(life) => Ok(life),
            None => Err(self.lines.error(NO_START)),
        }
    }

    /// Records promises that the adapter has broken at the current line.
    fn accuse(&mut self, broken: Vec<String>) {
        let (path, line) = (&self.lines.path, self.lines.number);
        let place = || Where { path: path.clone(), line };
        let broken = broken.into_iter().map(|message| Contradiction { place: place(), message });
        self.replayed.broken.extend(broken);
    }

    /// Records the first effect that differs.
    fn compare(&mut self, logged: &[EffectOf<R>], expected: &[EffectOf<R>]) {
        let most = logged.len().max(expected.len());
        let as_value = |effect: Option<&EffectOf<R>>| effect.map(to_value);
        let differing = (0..most).find_map(|place| {
            let (logged, expected) = (logged.get(place), expected.get(place));
            if logged == expected {
                return None;
            }
            // Durations are logged in milliseconds, and may be more precise in the machine.
            let (logged, machine) = (as_value(logged), as_value(expected));
            (logged != machine).then_some((place, logged, machine))
        });
        if let Some((effect, logged, machine)) = differing {
            self.differ(Some(effect), logged, machine);
        }
    }

    fn differ(&mut self, effect: Option<usize>, logged: Option<Value>, machine: Option<Value>) {
        let place = Where { path: self.lines.path.clone(), line: self.lines.number };
        self.replayed.difference = Some(Difference { place, effect, logged, machine });
    }
}

const TORN: &str = "the line is cut short, and more lines of the same life follow: only the last line of a life can be cut short";

/// A message about the difference to another life or log.
pub(super) fn differing(common: &Common, other: &Common) -> String {
    if common.protocol == other.protocol {
        let (one, other) = (&common.configuration, &other.configuration);
        format!(
            "the configuration is `{other}`, and `{one}` elsewhere: expected the logs of one cluster"
        )
    } else {
        let (one, other) = (&common.protocol, &other.protocol);
        format!("the protocol is {other}, and {one} elsewhere: expected the logs of one cluster")
    }
}
