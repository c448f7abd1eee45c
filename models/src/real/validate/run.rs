//! Runs the machine on a log.

use super::{
    Contradiction, Difference,
    adapter::Adapter,
    life::{self, Input, Life},
    log::{Common, Line, Lines, NO_START, WITHOUT_DIGESTS, differing},
    supply::{Supply, Wanted},
};
use crate::{evidence::trace::to_value, io::file::FileError, real::application::Application};
use interrex::{
    machine::{Address, Boot, Effect, EffectOf, Event, EventOf, Machine, NodeId},
    runtime::{
        Break, Digest, End, Entry, EntryOf, Held, HeldBootOf, HeldEffectOf, HeldEventOf, Start,
        Step,
    },
};
use serde_json::Value;
use std::{collections::BTreeSet, path::Path};

/// The lives in a log, and the first difference to the machine.
pub(super) struct Replayed<R: Application> {
    pub lives: Vec<Life<R>>,
    pub difference: Option<Difference>,
    /// The promises that the adapter has broken.
    pub broken: Vec<Contradiction>,
}

/// The run of the machine on a log.
pub(super) struct Run<'a, R: Application> {
    machine: &'a R,
    common: &'a Common,
    file: usize,
    most_lines: usize,
    pub(super) lines: Lines,
    pub(super) replayed: Replayed<R>,
    adapter: Adapter<R>,
    /// The format of the life to which the next line belongs.
    format: u32,
    /// That life.
    running: Option<Life<R>>,
    /// The next line; none after the last one, and after a difference.
    next: Option<Line<EntryOf<R>>>,
    /// The value that the next line needs, and that was not there.
    wanted: Option<Wanted>,
    /// Nothing has happened since.
    waits: bool,
}

/// The lines that a machine is run on: with digests, and with the values instead.
type HeldStart<R> = Start<HeldBootOf<R>, HeldEffectOf<R>>;
type WholeStart<R> = Start<Boot<<R as Machine>::Stable>, HeldEffectOf<R>>;
type HeldStep<R> = Step<HeldEventOf<R>, HeldEffectOf<R>>;
type WholeStep<R> = Step<EventOf<R>, HeldEffectOf<R>>;

impl<'a, R: Application> Run<'a, R> {
    /// Begins a run, up to a number of lines.
    pub(super) fn begin(
        machine: &'a R,
        common: &'a Common,
        (file, path): (usize, &Path),
        most_lines: usize,
    ) -> Result<Self, FileError> {
        let mut run = Self {
            machine,
            common,
            file,
            most_lines,
            lines: Lines::open(path)?,
            replayed: Replayed { lives: vec![], difference: None, broken: vec![] },
            adapter: Adapter::new(),
            format: WITHOUT_DIGESTS,
            running: None,
            next: None,
            wanted: None,
            waits: false,
        };
        run.read()?;
        Ok(run)
    }

    /// Reads the next line.
    fn read(&mut self) -> Result<(), FileError> {
        let is_over = self.lines.number() >= self.most_lines || self.replayed.difference.is_some();
        // After a difference, the states of the log and of the machine are not comparable.
        self.next = if is_over { None } else { self.lines.next()? };
        Ok(())
    }

    /// True if its next line can be tried.
    pub(super) fn is_ready(&self) -> bool {
        self.next.is_some() && !self.waits
    }

    /// The value that it waits for may be there now.
    pub(super) fn try_again(&mut self) {
        self.waits = false;
    }

    /// The value that it waits for.
    pub(super) fn wanted(&self) -> Option<&Wanted> {
        self.wanted.as_ref()
    }

    /// The time of the next line.
    pub(super) fn at(&self) -> u64 {
        match &self.next {
            Some(Line::Entry(
                Entry::Start(Start { at, .. })
                | Entry::Step(Step { at, .. })
                | Entry::Break(Break { at, .. })
                | Entry::End(End { at, .. }),
            )) => *at,
            Some(Line::Torn) | None => 0,
        }
    }

    /// True if it was run to its end.
    pub(super) fn is_complete(&self) -> bool {
        self.next.is_none() && self.replayed.difference.is_none()
    }

    /// True if it is the log of this node, as far as it was run.
    pub(super) fn is_of(&self, node: NodeId) -> bool {
        let first = self.replayed.lives.first().or(self.running.as_ref()).map(|life| life.me);
        let waits = match &self.wanted {
            Some(Wanted::Stored { me }) => Some(*me),
            Some(Wanted::Message { .. }) | None => None,
        };
        first.or(waits).is_some_and(|process| process.node == node)
    }

    /// A life, as far as it was run.
    pub(super) fn life(&self, process: Address) -> Option<&Life<R>> {
        self.replayed.lives.iter().chain(&self.running).find(|life| life.me == process)
    }

    /// A step of a life in which the log and the machine agree.
    pub(super) fn agreed<'b>(
        &self,
        life: &'b Life<R>,
        step: u64,
    ) -> Option<&'b life::Step<R::Timer>> {
        let step = usize::try_from(step).ok()?;
        let is_last = self.is_running(life.me) && step + 1 == life.steps.len();
        let differs = is_last && self.replayed.difference.is_some();
        life.steps.get(step).filter(|_| !differs)
    }

    /// True if a life has more lines, which could not be run.
    pub(super) fn is_running(&self, process: Address) -> bool {
        !self.is_complete() && self.running.as_ref().is_some_and(|life| life.me == process)
    }

    /// True if something is known of the content of stable storage.
    pub(super) fn has_stored(&self) -> bool {
        !self.adapter.stored().is_empty()
    }

    pub(super) fn end(mut self) -> Replayed<R> {
        self.conclude();
        self.replayed
    }

    /// Tries the next line. Returns false if it needs a value that is not there.
    pub(super) fn advance(&mut self, supply: &mut Supply<R>) -> Result<bool, FileError> {
        match self.next.take() {
            None => return Ok(false),
            Some(Line::Torn) => self.tear()?,
            Some(Line::Entry(Entry::Start(start))) => match self.fill_start(start, supply) {
                Ok(start) => self.start(start, supply)?,
                Err(waits) => return Ok(self.wait(Entry::Start(waits.0), waits.1)),
            },
            Some(Line::Entry(Entry::Step(step))) => {
                let me = self.continued()?.me;
                if let (Event::Message { .. }, None) = (&step.event, step.sent) {
                    return Err(self
                        .lines
                        .error("a message without `sent`, the step of its sender"));
                }
                match fill_step(step, me, supply) {
                    Ok(step) => self.step(step, supply)?,
                    Err(waits) => return Ok(self.wait(Entry::Step(waits.0), waits.1)),
                }
            }
            Some(Line::Entry(Entry::Break(it))) => self.break_off(&it)?,
            Some(Line::Entry(Entry::End(end))) => self.end_life(&end)?,
        }
        self.wanted = None;
        self.read()?;
        let last = self.running.as_ref().or(self.replayed.lives.last());
        if let (true, Some(life)) = (self.is_complete(), last) {
            supply.leave(life.me, self.adapter.stored());
        }
        Ok(true)
    }

    /// Waits for a value.
    fn wait(&mut self, entry: EntryOf<R>, wanted: Wanted) -> bool {
        self.next = Some(Line::Entry(entry));
        self.wanted = Some(wanted);
        self.waits = true;
        false
    }

    /// The line with the stored value that a life begins with, or what it needs for that.
    fn fill_start(
        &self,
        start: HeldStart<R>,
        supply: &Supply<R>,
    ) -> Result<WholeStart<R>, Box<(HeldStart<R>, Wanted)>> {
        let Boot { me, contact, .. } = start.boot;
        let stable = match start.boot.stable {
            None => None,
            Some(Held::Whole(stable)) => Some(stable),
            Some(Held::Digest(ref digest)) => {
                // What this log tells is the same at each try.
                let own = if self.wanted.is_none() { self.adapter.find(digest) } else { None };
                let Some(stable) = own.cloned().or_else(|| supply.stored(me, digest)) else {
                    return Err(Box::new((start, Wanted::Stored { me })));
                };
                Some(stable)
            }
        };
        let Start { format, at, protocol, configuration, effects, .. } = start;
        let boot = Boot { me, stable, contact };
        Ok(Start { format, at, protocol, configuration, boot, effects })
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
                life.torn = Some(self.lines.number());
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn start(&mut self, start: WholeStart<R>, supply: &mut Supply<R>) -> Result<(), FileError> {
        let Start { format, at, protocol, configuration, boot, effects: logged } = start;
        self.lines.check_format(format)?;
        let this = Common { protocol, configuration };
        if this != *self.common {
            return Err(self.lines.error(differing(self.common, &this)));
        }
        self.conclude();
        let me = boot.me;
        self.check_life(me)?;
        self.format = format;
        let (contact, has_stable) = (boot.contact, boot.stable.is_some());
        let (state, effects) = self.machine.start(boot.clone());
        let broken = self.adapter.start(self.machine, at, &boot, &effects);
        self.accuse(broken);
        self.compare(&logged, &effects);
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
        self.send((me, 0), logged, &effects, supply);
        life.add(self.machine, (at, self.lines.number()), Input::Start, &effects);
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

    fn step(&mut self, step: WholeStep<R>, supply: &mut Supply<R>) -> Result<(), FileError> {
        let Step { at, event, sent, unsynced, effects: logged } = step;
        let mut life = self.take_running()?;
        if life.stopped.is_some() {
            self.differ(None, Some(to_value(&event.held())), None);
            self.running = Some(life);
            return Ok(());
        }
        let input = life::input(self.machine, &event, sent);
        let (state, effects) = self.machine.step(life.state, event.clone());
        life.state = state;
        let broken = self.adapter.step(self.machine, (at, unsynced), &event, &effects, &life.armed);
        self.accuse(broken);
        self.compare(&logged, &effects);
        self.send((life.me, life.steps.len() as u64), logged, &effects, supply);
        life.add(self.machine, (at, self.lines.number()), input, &effects);
        self.running = Some(life);
        Ok(())
    }

    /// Hands out the large messages of a step, for the logs that have only their digests.
    fn send(
        &self,
        step: (Address, u64),
        logged: Vec<HeldEffectOf<R>>,
        effects: &[EffectOf<R>],
        supply: &mut Supply<R>,
    ) {
        for (logged, effect) in logged.into_iter().zip(effects) {
            let (Effect::Send { message: held, .. }, Effect::Send { to, message }) =
                (logged, effect)
            else {
                continue;
            };
            let digest = match held {
                Held::Digest(digest) => Some(digest),
                // The receiver may write a later format than the sender.
                Held::Whole(_) if self.format == WITHOUT_DIGESTS => {
                    Digest::of_long(message).ok().flatten()
                }
                Held::Whole(_) => None,
            };
            if let Some(digest) = digest {
                supply.send(step, *to, digest, message.clone());
            }
        }
    }

    fn break_off(&mut self, it: &Break) -> Result<(), FileError> {
        let mut life = self.take_running()?;
        let broken = self.adapter.pass(it.at);
        self.accuse(broken);
        life.breaks.insert((it.node, life.steps.len()));
        self.running = Some(life);
        Ok(())
    }

    fn end_life(&mut self, end: &End) -> Result<(), FileError> {
        let mut life = self.take_running()?;
        if life.stopped != end.stopped {
            let reason = |stopped: &Option<String>| stopped.clone().map(Value::from);
            self.differ(None, reason(&end.stopped), reason(&life.stopped));
        }
        life.end = Some(end.at);
        self.replayed.lives.push(life);
        Ok(())
    }

    /// The life to which this line belongs. It must be neither over nor torn.
    fn continued(&self) -> Result<&Life<R>, FileError> {
        match &self.running {
            Some(Life { torn: Some(line), .. }) => Err(self.lines.error_at(*line, TORN)),
            Some(life) => Ok(life),
            None => Err(self.lines.error(NO_START)),
        }
    }

    fn take_running(&mut self) -> Result<Life<R>, FileError> {
        self.continued()?;
        self.running.take().ok_or_else(|| self.lines.error(NO_START))
    }

    /// Records promises that the adapter has broken at the current line.
    fn accuse(&mut self, broken: Vec<String>) {
        let lines = &self.lines;
        let broken =
            broken.into_iter().map(|message| Contradiction { place: lines.place(), message });
        self.replayed.broken.extend(broken);
    }

    /// Records the first effect that differs.
    fn compare(&mut self, logged: &[HeldEffectOf<R>], expected: &[EffectOf<R>]) {
        let most = logged.len().max(expected.len());
        let differing = (0..most).find_map(|place| {
            let (logged, expected) = (logged.get(place), expected.get(place));
            if let (Some(logged), Some(expected)) = (logged, expected)
                && is_same::<R>(logged, expected)
            {
                return None;
            }
            // Durations are logged in milliseconds, and may be more precise in the machine.
            let (logged, machine) =
                (logged.map(to_value), expected.map(|effect| to_value(&effect.held())));
            (logged != machine).then_some((place, logged, machine))
        });
        if let Some((effect, logged, machine)) = differing {
            self.differ(Some(effect), logged, machine);
        }
    }

    fn differ(&mut self, effect: Option<usize>, logged: Option<Value>, machine: Option<Value>) {
        let place = self.lines.place();
        self.replayed.difference = Some(Difference { place, effect, logged, machine });
    }
}

/// The line with its message, which has arrived at a process, or what it needs for that.
fn fill_step<R: Application>(
    step: HeldStep<R>,
    to: Address,
    supply: &mut Supply<R>,
) -> Result<WholeStep<R>, Box<(HeldStep<R>, Wanted)>> {
    let event = match step.event {
        Event::Message { from, message: Held::Whole(message) } => Event::Message { from, message },
        Event::Message { from, message: Held::Digest(ref digest) } => {
            let sent = step.sent.unwrap_or(u64::MAX);
            let Some(message) = supply.message((from, sent), to, digest) else {
                let wanted = Wanted::Message { from, sent, to, digest: digest.clone() };
                return Err(Box::new((step, wanted)));
            };
            Event::Message { from, message }
        }
        Event::Down(peer) => Event::Down(peer),
        Event::Timeout(timer) => Event::Timeout(timer),
        Event::Command(command) => Event::Command(command),
    };
    let Step { at, sent, unsynced, effects, .. } = step;
    Ok(Step { at, event, sent, unsynced, effects })
}

/// True if a log says that the machine did this.
fn is_same<R: Application>(logged: &HeldEffectOf<R>, effect: &EffectOf<R>) -> bool {
    match (logged, effect) {
        (Effect::Send { to, message }, Effect::Send { to: peer, message: sent }) => {
            to == peer && message.is(sent)
        }
        (Effect::Monitor(one), Effect::Monitor(other))
        | (Effect::Demonitor(one), Effect::Demonitor(other)) => one == other,
        (Effect::SetTimer { timer, after }, Effect::SetTimer { timer: armed, after: time }) => {
            timer == armed && after == time
        }
        (Effect::CancelTimer(one), Effect::CancelTimer(other)) => one == other,
        (Effect::Persist(held), Effect::Persist(stable)) => held.is(stable),
        (Effect::Observe(held), Effect::Observe(observation)) => held.is(observation),
        (Effect::Stop(one), Effect::Stop(other)) => one == other,
        _ => false,
    }
}

const TORN: &str = "the line is cut short, and more lines of the same life follow: only the last line of a life can be cut short";
