//! The end of a long search before it is done, and of what would go on for ever: after a time, or on Ctrl-C.

use super::Failure;
use crate::{
    explore::stop::Stop,
    verdict::{
        outcome::Comparison,
        report::{Case, Section, json::Object},
        scenario::Scenario,
    },
};
use serde_json::json;
use signal_hook::{
    consts::{SIGINT, SIGTERM},
    flag,
};
use std::{
    io::{self, Write},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
};

/// Stops after this time, or when the process is interrupted or asked to end. A second interrupt ends it at once.
pub(super) fn stop(after: Option<Duration>) -> Result<Stop, Failure> {
    let asked: &'static Arc<AtomicBool> = Box::leak(Box::default());
    for signal in [SIGINT, SIGTERM] {
        // In this order: when the first signal is looked at here, it is not noted yet.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(asked))
            .and_then(|_| flag::register(signal, Arc::clone(asked)))
            .map_err(|error| Failure::Usage(format!("no signal can be handled: {error}")))?;
    }
    Ok(Stop { on: Some(asked), ..after.map_or_else(Stop::default, Stop::after) })
}

/// The signals that request the end of the program.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens for them from now on.
    pub(super) fn new() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::Ended(format!("no signals: {error}")));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them.
    pub(super) async fn wait(&mut self) {
        select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A scenario that was not begun.
pub(super) struct NotBegun<'a>(pub(super) &'a Scenario);

impl Section for NotBegun<'_> {
    fn cases(&self) -> Vec<Case> {
        vec![Case::new(&self.0.name, "states", Comparison::Cut, "not begun")]
    }

    fn objects(&self) -> Vec<Object> {
        let fields = json!({ "scenario": self.0.name, "complete": false });
        vec![Object::new("scenario", fields)]
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}: not begun", self.0.name)
    }
}
