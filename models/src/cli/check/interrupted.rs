//! Searches that are written down, so that they can be interrupted.

use crate::{
    cli::{Failure, time::parse_seconds},
    explore::{layers::checkpoint::Checkpoint, search::EngineName},
    io::file,
    verdict::{outcome::Comparison, scenario::Scenario},
};
use std::{
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

/// The folder in which searches are written down.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "A search that may be interrupted")]
pub(super) struct Interrupted {
    /// Write each search down below this folder now and then, so that it can be gone on with after a crash, a limit or
    /// Ctrl-C. The file is removed when the search is complete
    #[arg(long, value_name = "DIR", conflicts_with = "resume")]
    checkpoint: Option<PathBuf>,
    /// Go on with the searches that are written down below this folder, and write them down there; those that are not
    /// begin. Only the same build of the program can go on. The results are those of a search without interruption
    #[arg(long, value_name = "DIR", value_parser = crate::cli::folder())]
    resume: Option<PathBuf>,
    /// The time between two times of writing, in seconds. It is longer if writing takes more than a twentieth of it
    #[arg(long, value_name = "S", value_parser = parse_seconds, default_value = "60")]
    checkpoint_every: Duration,
}

impl Interrupted {
    /// Makes sure, before long work, that it can be written down, and that nothing is lost by that.
    pub(super) fn prepare(
        &self,
        scenarios: &[Scenario],
        engine: EngineName,
    ) -> Result<(), Failure> {
        let Some(folder) = self.folder() else { return Ok(()) };
        if engine != EngineName::Layers {
            let name: &str = engine.into();
            return Err(Failure::Usage(format!(
                "the engine {name} cannot write a search down: leave out --engine"
            )));
        }
        file::can_hold_files(folder)?;
        let earlier =
            scenarios.iter().map(|scenario| place(folder, scenario)).find(|it| it.exists());
        match earlier.filter(|_| self.checkpoint.is_some()) {
            Some(earlier) => Err(Failure::Usage(format!(
                "{} is a search that was interrupted: go on with --resume {}, or remove the file",
                earlier.display(),
                folder.display(),
            ))),
            None => Ok(()),
        }
    }

    /// The advice about searches that are not complete.
    pub(super) fn rest(&self, worst: Comparison) -> String {
        match self.folder().filter(|_| worst == Comparison::Cut) {
            Some(folder) => format!("; go on with --resume {}", folder.display()),
            None => String::new(),
        }
    }

    /// The file of a scenario's search.
    pub(super) fn checkpoint(&self, scenario: &Scenario) -> Option<Checkpoint> {
        Some(Checkpoint::new(place(self.folder()?, scenario), self.checkpoint_every))
    }

    fn folder(&self) -> Option<&Path> {
        self.checkpoint.as_deref().or(self.resume.as_deref())
    }
}

fn place(folder: &Path, scenario: &Scenario) -> PathBuf {
    folder.join(format!("{}.search", scenario.name))
}

/// Says that a search could not be written down. Its results count all the same.
pub(super) fn warn(checkpoint: &Checkpoint) {
    if let Some(failure) = checkpoint.failure() {
        let _ = writeln!(anstream::stderr(), "warning: {failure}");
    }
}
