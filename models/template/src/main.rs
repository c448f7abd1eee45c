//! The command: `cargo run -- help` shows what it can do.

use std::process::ExitCode;

fn main() -> ExitCode {
    interrex_models::command!(my_election::protocols()).run()
}
