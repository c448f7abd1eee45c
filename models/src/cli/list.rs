//! `interrex list`.

use super::{Exit, Failure, Folders, STRONG, answer::Answer, choice::choice, styled, table};
use interrex_models::{
    claim::property::{self, Kind},
    protocol::registry::Known,
    verdict::{
        report::{Case, Format, Section},
        scenario::Scenario,
    },
};
use serde_json::{Value, json};
use std::io::{self, Write};

/// Show all protocols, scenarios and properties
#[derive(Debug, clap::Args)]
pub(super) struct List {
    /// Only those whose names contain one of these
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// The format
    #[arg(long, value_parser = choice::<Format>(), default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    folders: Folders,
}

impl List {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let scenarios = self.folders.scenarios()?;
        let mut answer = Answer::new(self.format);
        let protocols = Known::ALL.into_iter().map(protocol);
        answer.add(&self.chosen("Protocols", protocols))?;
        answer.add(&self.chosen("Scenarios", scenarios.iter().map(scenario)))?;
        let settled = "Settled properties, judged where the protocol has nothing left to do";
        let fair = "Fair properties, judged on runs as a whole; settled ones depend on them";
        for (kind, title) in [
            (Kind::Safety, "Safety properties, judged in every world"),
            (Kind::Settled, settled),
            (Kind::Fair, fair),
        ] {
            let properties = property::ALL.iter().filter(|property| property.kind == kind);
            let items = properties.map(|property| Item {
                name: property.name.into(),
                summary: property.claim.into(),
                object: json!({ "property": property.name, "kind": kind, "claim": property.claim }),
            });
            answer.add(&self.chosen(title, items))?;
        }
        answer.end()
    }

    fn chosen(&self, title: &'static str, items: impl Iterator<Item = Item>) -> Items {
        let is_chosen = |item: &Item| {
            let mut patterns = self.patterns.iter();
            self.patterns.is_empty() || patterns.any(|pattern| item.name.contains(pattern))
        };
        Items { title, items: items.filter(is_chosen).collect() }
    }
}

fn protocol(known: Known) -> Item {
    let (name, summary) = (known.name(), known.summary());
    Item {
        name: name.to_string(),
        summary: summary.to_string(),
        object: json!({ "protocol": name, "summary": summary }),
    }
}

fn scenario(scenario: &Scenario) -> Item {
    let Scenario { name, summary, nightly, states, .. } = scenario;
    let protocol = scenario.protocol.map(Known::name);
    Item {
        name: format!("{name}{}", if *nightly { " (nightly)" } else { "" }),
        summary: summary.clone(),
        object: json!({
            "scenario": name, "protocol": protocol, "summary": summary, "nightly": nightly, "states": states,
        }),
    }
}

/// A part of the list.
struct Items {
    title: &'static str,
    items: Vec<Item>,
}

struct Item {
    name: String,
    summary: String,
    object: Value,
}

impl Section for Items {
    fn cases(&self) -> Vec<Case> {
        vec![]
    }

    fn objects(&self) -> Vec<Value> {
        self.items.iter().map(|item| item.object.clone()).collect()
    }

    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.items.is_empty() {
            return Ok(());
        }
        let mut table = table();
        for Item { name, summary, .. } in &self.items {
            table.add_row([format!(" {name}"), summary.clone()]);
        }
        writeln!(out, "{}\n{}\n", styled(STRONG, self.title), table.trim_fmt())
    }
}
