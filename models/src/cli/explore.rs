//! `interrex explore`.

mod site;

use super::{
    Command, Exit, Failure, Folders, Places,
    chosen::Chosen,
    made::{Expectations, Made},
    stop::Signals,
};
use crate::{
    evidence::{known::KnownTrace, trace::Trace},
    io::file::{FileError, shown},
    protocol::registry::Known,
    verdict::scenario::Scenario,
};
use site::Site;
use std::{
    io::Write,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};
use tokio::{net::TcpListener, select};

/// Choose a run step by step, in a browser
///
/// Serves a page for one scenario, on this machine only, and prints its address:
/// what can happen next, what cannot and why, what each step changes, and how the
/// properties stand. One can go back, jump to the end of a known trace, and save
/// the run as a trace:
///
///   interrex explore gms3/joined-3
///   interrex replay no-lost-message-validity.joined-3.json
///
/// A trace file in place of the scenario shows where that run ends. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment, after_help = super::exit_codes! {
    "0    ended by Ctrl-C"
    "2    bad usage, or a bad scenario or trace"
})]
pub(super) struct Explore {
    #[command(flatten)]
    chosen: Chosen,
    /// The port of the page; 0 means one that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
    #[command(flatten)]
    folders: Folders,
    #[command(flatten)]
    made: Made,
}

/// A scenario, and the trace at whose end the page begins, if any.
type Place = (Scenario, Option<KnownTrace>);

impl Explore {
    pub(super) fn run(&self, of: &Command) -> Result<Exit, Failure> {
        let places = self.folders.of(of);
        let (scenario, begun) = self.place(&places, of)?;
        let mut traces: Vec<_> = begun.into_iter().collect();
        let begins_at = traces.first().map(|known| known.name.clone());
        let ours = scenario.protocol.map(Known::name);
        let known = places.known_traces()?.into_iter();
        traces.extend(known.filter(|known| Some(known.trace.protocol.as_str()) == ours));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::Ended(format!("no runtime: {error}")))?;
        let served = runtime.block_on(self.serve(of, scenario, traces, begins_at));
        // A run that is being computed is not waited for.
        runtime.shutdown_background();
        served
    }

    async fn serve(
        &self,
        of: &Command,
        scenario: Scenario,
        traces: Vec<KnownTrace>,
        begins_at: Option<String>,
    ) -> Result<Exit, Failure> {
        let mut signals = Signals::new()?;
        let port = self.port;
        let cannot =
            |error| Failure::Usage(format!("--port {port}: cannot be listened on: {error}"));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(cannot)?;
        let host = listener.local_addr().map_err(cannot)?.to_string();
        let site = Site::new(of.registry.clone(), scenario, traces, host.clone());
        let path = begins_at.map(|name| site::address(&name)).unwrap_or_default();
        {
            let mut out = anstream::stdout().lock();
            writeln!(out, "http://{host}/{path}")?;
            out.flush()?;
        }
        select! {
            served = axum::serve(listener, site.router()) => {
                served.map_err(|error| Failure::Ended(format!("the page is gone: {error}")))?;
            }
            () = signals.wait() => {}
        }
        Ok(Exit::AsExpected)
    }

    fn place(&self, places: &Places<'_>, of: &Command) -> Result<Place, Failure> {
        if let Some(protocol) = &self.made.protocol {
            let made = self.made.scenario(of.known(protocol)?, &Expectations::default())?;
            return Ok((made, None));
        }
        if let Some(path) = self.chosen.file() {
            return end_of(&path, of);
        }
        let mut chosen = self.chosen.among(places.scenarios()?, of)?;
        if let Some(refused) = self.made.refused(&chosen) {
            return Err(refused);
        }
        if let [first, second, ..] = chosen.as_slice() {
            let (count, program) = (chosen.len(), of.name);
            let (first, second) = (&first.name, &second.name);
            return Err(Failure::Usage(format!(
                "{count} scenarios are chosen, such as {first} and {second}: name one, as in `{program} explore {first}`"
            )));
        }
        Ok((chosen.remove(0), None))
    }
}

/// The end of the trace in a file, in the environment of that trace.
fn end_of(path: &Path, of: &Command) -> Result<Place, Failure> {
    let trace = Trace::read(path)?;
    let (known, _) = of.registry.of(&trace).map_err(|message| FileError::new(path, message))?;
    let scenario = Scenario {
        name: trace.scenario.clone(),
        protocol: Some(known),
        summary: format!("the environment of {}", shown(path)),
        nightly: false,
        environment: trace.environment.clone(),
        states: None,
        properties: known.properties().iter().map(|property| (*property, None)).collect(),
        source: None,
    };
    Ok((scenario, Some(KnownTrace { name: shown(path), trace })))
}

impl Chosen {
    /// The file, if a file is named and nothing else.
    fn file(&self) -> Option<PathBuf> {
        let [only] = self.patterns() else { return None };
        let path = PathBuf::from(only);
        let is_trace = path.extension().is_some_and(|extension| extension == "json");
        (is_trace || path.is_file()).then_some(path)
    }
}
