//! The command `interrex`.

mod cli;

use clap::Parser;
use std::{io::Write, process::ExitCode};

fn main() -> ExitCode {
    let failure = match cli::Cli::parse().run() {
        Ok(exit) => return exit.into(),
        Err(failure) => failure,
    };
    let exit = failure.exit();
    if exit != cli::Exit::Unread {
        let _ = writeln!(anstream::stderr(), "error: {failure}");
    }
    exit.into()
}
