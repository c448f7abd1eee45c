//! `cargo interrex`: the command `interrex`, as cargo calls it.

use interrex_models::{command, protocol::registry::built_in};
use std::{env, process::ExitCode};

fn main() -> ExitCode {
    // Cargo hands over its own subcommand first.
    let arguments = env::args_os().enumerate().filter(|(nth, it)| *nth != 1 || it != "interrex");
    command!(built_in().clone())
        .folders("..", "models/scenarios", "traces")
        .run_with(&arguments.map(|(_, it)| it).collect::<Vec<_>>())
}
