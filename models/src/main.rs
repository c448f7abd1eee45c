//! The command `interrex`.

mod cli;

use clap::Parser;
use std::{io, process::ExitCode};

fn main() -> ExitCode {
    match cli::Cli::parse().run() {
        Ok(exit) => exit.into(),
        // Whoever reads our output has read enough.
        Err(cli::Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(failure) => {
            use std::io::Write;
            let _ = writeln!(anstream::stderr(), "error: {failure}");
            cli::Exit::Bad.into()
        }
    }
}
