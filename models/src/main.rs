//! The command `interrex`.

use interrex_models::{command, protocol::registry::built_in};
use std::process::ExitCode;

fn main() -> ExitCode {
    command!(built_in().clone()).folders("..", "models/scenarios", "traces").run()
}
