//! `interrex completions` and `interrex man`: the same description of the command line, for shells and for `man`.

use super::{Command, Exit, Failure, STRONG, folder, shown, styled};
use std::{io::Write, path::PathBuf};

/// Print the completions of this command for a shell
///
/// Store them under the name of this command where the shell looks for them: for
/// bash, in ~/.local/share/bash-completion/completions.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit_codes! {
    "0    the completions were printed"
    "2    bad usage"
})]
pub(super) struct Completions {
    /// The shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub(super) fn run(&self, of: &Command) -> Result<Exit, Failure> {
        // In memory, because it panics where it cannot write.
        let mut script = vec![];
        clap_complete::generate(self.shell, &mut of.parser(), of.name, &mut script);
        let mut out = anstream::stdout().lock();
        out.write_all(&script)?;
        out.flush()?;
        Ok(Exit::AsExpected)
    }
}

/// Write the manual pages of this command: one for it, and one for each subcommand
///
/// Store them where `man` looks for them:
///
///   interrex man ~/.local/share/man/man1
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit_codes! {
    "0    the pages were written"
    "2    bad usage, or they cannot be written"
})]
pub(super) struct Man {
    /// The folder of the pages
    #[arg(value_name = "DIR", value_parser = folder())]
    folder: PathBuf,
}

impl Man {
    pub(super) fn run(&self, of: &Command) -> Result<Exit, Failure> {
        let folder = shown(&self.folder);
        clap_mangen::generate_to(of.parser(), &self.folder).map_err(|error| {
            Failure::Usage(format!("{folder}: the pages cannot be written: {error}"))
        })?;
        let mut out = anstream::stdout().lock();
        writeln!(out, "the manual pages are in {}", styled(STRONG, folder))?;
        Ok(Exit::AsExpected)
    }
}
