//! The command `ring`.

use std::process::ExitCode;

fn main() -> ExitCode {
    interrex_models::command!(ring_election::protocols()).run()
}
