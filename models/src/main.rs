//! The command `interrex`.

mod cli;

use clap::Parser;
use std::{io, process::ExitCode};

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(exit) => exit.into(),
        // Whoever reads our output has read enough; what is unsaid may not be as expected.
        Err(cli::Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            cli::Exit::Unread.into()
        }
        Err(failure) => {
            use std::io::Write;
            let _ = writeln!(anstream::stderr(), "error: {failure}");
            cli::Exit::Bad.into()
        }
    }
}
