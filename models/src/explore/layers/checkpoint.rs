//! Searches that are written down, and gone on with by another process.
//!
//! A file has everything that a search knows between two layers, and the tables that its worlds refer to. So the results
//! are those of a search that was never interrupted.

use super::{Knowledge, Returns, Survey, Ways, add, progress_of};
use crate::{
    claim::property::Property,
    explore::{
        engine::{Engine, Explored, Limits, Progress},
        judge::Judged,
        visited::Visited,
    },
    io::{
        binary::{self, Reader, ToFile, Writer},
        file::FileError,
        program,
    },
    model::{
        environment::Environment,
        world::{Rules, packed::Packed},
    },
    protocol::Protocol,
};
use serde::{Deserialize, Serialize};
use std::{
    cell::RefCell,
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

/// Our own [engine](super::Layers), whose search is written to a file now and then.
///
/// The file is replaced as a whole: a process that is killed leaves the one before. When the search is complete, the file
/// is removed.
#[derive(Debug)]
pub struct Checkpoint {
    file: PathBuf,
    every: Duration,
    /// The content of the file, until the search goes on with it.
    earlier: RefCell<Option<Knowledge>>,
    failure: RefCell<Option<FileError>>,
}

/// The identity of a search. Handles and numbers of actions mean nothing to another one.
#[derive(Debug, PartialEq, Deserialize, Serialize)]
struct Subject {
    /// The digest of the program.
    program: u64,
    protocol: String,
    environment: Environment,
    properties: Vec<String>,
}

/// Writing takes at most one part in so many of the time.
const SHARE: u32 = 20;

impl Checkpoint {
    /// A search that begins anew, and is written to this file whenever so much time has passed and a layer is done. It is
    /// written more seldom if that would take more than a twentieth of the time.
    #[must_use]
    pub fn new(file: PathBuf, every: Duration) -> Self {
        Self { file, every, earlier: RefCell::default(), failure: RefCell::default() }
    }

    /// Reads the file, if there is one: the search goes on from there. The rules must be new.
    ///
    /// # Errors
    /// If the file cannot be read, or was written by another program, or is of another protocol, environment or list of
    /// properties. The rules are then of no use.
    pub(crate) fn resume<P: Protocol>(
        &self,
        rules: &Rules<P>,
        properties: &[&'static Property],
    ) -> Result<(), FileError> {
        if !self.file.exists() {
            return Ok(());
        }
        let mut from = binary::open(&self.file)?;
        let cannot = |error: io::Error| FileError::new(&self.file, error);
        let (there, here): (Subject, _) = (
            from.json().map_err(cannot)?,
            Subject::of(rules, &Judged::new(properties)).map_err(cannot)?,
        );
        if let Some(difference) = there.differs_from(&here) {
            return Err(FileError::new(&self.file, difference));
        }
        rules.read(&mut from).map_err(cannot)?;
        *self.earlier.borrow_mut() = Some(Knowledge::read(&mut from).map_err(cannot)?);
        Ok(())
    }

    /// The reason why the search could not be written down, if it could not the last time.
    pub fn failure(&self) -> Option<FileError> {
        self.failure.take()
    }

    fn write<P: Protocol>(&self, rules: &Rules<P>, judged: &Judged, known: &Knowledge) {
        let folder = self.file.parent().unwrap_or(Path::new("."));
        let made = fs::create_dir_all(folder).map_err(|error| FileError::new(folder, error));
        let write = |out: &mut ToFile<'_>| {
            out.json(&Subject::of(rules, judged)?)?;
            rules.write(out)?;
            known.write(out)
        };
        *self.failure.borrow_mut() = made.and_then(|()| binary::write(&self.file, write)).err();
    }

    /// Removes the file: there is nothing left to go on with.
    fn remove(&self) {
        let removed = fs::remove_file(&self.file);
        let failure = removed.err().filter(|error| error.kind() != io::ErrorKind::NotFound);
        *self.failure.borrow_mut() = failure.map(|error| {
            FileError::new(&self.file, format!("cannot be removed, the search is done: {error}"))
        });
    }
}

impl Engine for Checkpoint {
    fn name(&self) -> &'static str {
        super::Layers.name()
    }

    fn explore<P: Protocol>(
        &self,
        rules: &Arc<Rules<P>>,
        judged: &Arc<Judged>,
        limits: Limits,
        progress: &mut dyn FnMut(Progress),
    ) -> Explored<P> {
        let mut survey = Survey::new(rules, judged, limits, true);
        if let Some(earlier) = self.earlier.take() {
            survey.known = earlier;
        }
        let mut wait = self.every;
        let mut written = Instant::now();
        while !survey.known.layer.is_empty() {
            survey.expand(&mut progress_of(progress));
            // A layer of which some worlds were left out is none to go on from.
            if survey.known.tally.complete && written.elapsed() >= wait {
                let begun = Instant::now();
                self.write(rules, judged, &survey.known);
                written = Instant::now();
                wait = self.every.max((written - begun) * SHARE);
            }
        }
        if survey.known.tally.complete {
            self.remove();
        }
        survey.end()
    }
}

impl Subject {
    fn of<P: Protocol>(rules: &Rules<P>, judged: &Judged) -> io::Result<Self> {
        Ok(Self {
            program: program::digest()?,
            protocol: rules.protocol().name().into_owned(),
            environment: rules.environment().clone(),
            properties: judged.names().map(String::from).collect(),
        })
    }

    /// The first difference from what is asked for, in a sentence.
    fn differs_from(&self, asked: &Self) -> Option<String> {
        if self.protocol != asked.protocol {
            Some(format!("a search of {}, not of {}", self.protocol, asked.protocol))
        } else if self.environment != asked.environment {
            Some(format!("a search with {}, not with {}", self.environment, asked.environment))
        } else if self.properties != asked.properties {
            let [there, here] = [self, asked].map(|it| it.properties.join(", "));
            Some(format!("a search that judges {there}, and not {here}"))
        } else {
            (self.program != asked.program).then(|| {
                "written by another build of this program, whose machine may be another: remove it, \
                 or go on with that build"
                    .into()
            })
        }
    }
}

impl Knowledge {
    fn write(&self, out: &mut Writer<impl Write>) -> io::Result<()> {
        out.json(&(&self.tally, self.depth))?;
        self.visited.write(out)?;
        self.ways.write(out)?;
        out.count(self.layer.first().map_or(0, |batch| batch.first))?;
        out.count(self.layer.len())?;
        self.layer.iter().try_for_each(|batch| batch.worlds.write(out))?;
        out.json(&self.returns.as_ref().map(|returns| returns.are_noted))?;
        match &self.returns {
            None => Ok(()),
            Some(Returns { met, worlds, .. }) => {
                met.write(out)?;
                worlds.write(out)
            }
        }
    }

    fn read(from: &mut Reader<impl Read>) -> io::Result<Self> {
        let (tally, depth) = from.json()?;
        let (visited, ways) = (Visited::read(from)?, Ways::read(from)?);
        let (mut first, mut layer) = (from.count()?, vec![]);
        for _ in 0..from.count()? {
            let worlds = Packed::read(from)?;
            let count = worlds.len();
            add(&mut layer, first, worlds);
            first += count;
        }
        let noted: Option<bool> = from.json()?;
        let returns = |are_noted| {
            let (met, worlds) = (Visited::read(from)?, Packed::read(from)?);
            io::Result::Ok(Returns { are_noted, met, worlds })
        };
        let returns = noted.map(returns).transpose()?;
        Ok(Self { visited, layer, depth, ways, tally, returns })
    }
}

impl Visited {
    fn write(&self, out: &mut Writer<impl Write>) -> io::Result<()> {
        out.count(self.len())?;
        self.iter().try_for_each(|print| out.number(print))
    }

    fn read(from: &mut Reader<impl Read>) -> io::Result<Self> {
        let mut visited = Self::default();
        for _ in 0..from.count()? {
            visited.insert(from.number()?);
        }
        Ok(visited)
    }
}

impl Ways {
    fn write(&self, out: &mut Writer<impl Write>) -> io::Result<()> {
        out.shorts(&self.from)?;
        self.nth.iter().try_for_each(|nth| out.short((*nth).into()))
    }

    fn read(from: &mut Reader<impl Read>) -> io::Result<Self> {
        let before = from.shorts()?;
        let nth = |_: &u32| u16::try_from(from.short()?).map_err(io::Error::other);
        let nth = before.iter().map(nth).collect::<io::Result<_>>()?;
        Ok(Self { from: before, nth })
    }
}
