//! `interrex list`.

use super::{Exit, Failure, Folders, STRONG, styled, table};
use interrex_models::{
    claim::property::{self, Kind},
    protocol::registry::Known,
    verdict::scenario::Scenario,
};
use std::io::{self, Write};

/// Show all protocols, scenarios and properties
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    folders: Folders,
}

impl List {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let scenarios = self.folders.scenarios()?;
        let mut out = anstream::stdout().lock();

        let protocols =
            Known::ALL.map(|known| (known.name().into_owned(), known.summary().into_owned()));
        section(&mut out, "Protocols", protocols)?;

        let nightly = |scenario: &Scenario| if scenario.nightly { " (nightly)" } else { "" };
        let scenarios = (scenarios.into_iter())
            .map(|scenario| (format!("{}{}", scenario.name, nightly(&scenario)), scenario.summary));
        section(&mut out, "Scenarios", scenarios)?;

        let settled = "Settled properties, judged where the protocol has nothing left to do";
        let fair = "Fair properties, judged on runs as a whole; settled ones depend on them";
        for (kind, title) in [
            (Kind::Safety, "Safety properties, judged in every world"),
            (Kind::Settled, settled),
            (Kind::Fair, fair),
        ] {
            let properties = property::ALL.iter().filter(|property| property.kind == kind);
            let lines = properties.map(|property| (property.name.into(), property.claim.into()));
            section(&mut out, title, lines)?;
        }
        Ok(Exit::AsExpected)
    }
}

fn section(
    out: &mut impl Write,
    title: &str,
    lines: impl IntoIterator<Item = (String, String)>,
) -> io::Result<()> {
    let mut table = table();
    for (name, line) in lines {
        table.add_row([format!(" {name}"), line]);
    }
    writeln!(out, "{}\n{}\n", styled(STRONG, title), table.trim_fmt())
}
