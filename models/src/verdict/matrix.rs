//! The assumption matrix: the verdict on each property of each protocol under each class of faults.
//!
//! Each column is a [`Class`] of environments that breaks one assumption, and the last breaks all of
//! them. A cell comes from the scenario `<protocol>/<class>`: from its expectations, or from the result of a
//! search.

use crate::{
    claim::property::{Kind, Property},
    io::text::grouped,
    model::environment::{Class, Environment},
    protocol::registry::Known,
    verdict::{
        check::Report,
        outcome::{Expected, Verdict},
        scenario::Scenario,
    },
};
use serde::Serialize;
use std::fmt::{self, Write};

/// The matrix: a verdict for each protocol, class of environments and property.
#[derive(Clone, Debug)]
pub struct Matrix {
    columns: Vec<Column>,
}

/// One protocol in one class of environments.
#[derive(Clone, Debug)]
struct Column {
    protocol: Known,
    class: Class,
    environment: Environment,
    cells: Vec<Cell>,
}

/// The verdict on one property there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// The protocol.
    pub protocol: String,
    /// The class of environments.
    pub environment: Class,
    /// The property.
    pub property: &'static str,
    /// The verdict.
    pub verdict: Verdict,
    /// Worlds beyond a bound were left out.
    pub bounded: bool,
    /// The property is judged in settled worlds, and some run never settles (a livelock).
    pub unsettled: bool,
    /// The number of distinct worlds.
    pub states: u64,
    /// The actions in a shortest counterexample.
    pub steps: Option<usize>,
    /// The file that holds the counterexample, below the folder of traces.
    pub trace: Option<String>,
}

/// The class of a scenario that belongs to the matrix: it is named after the class of its environment, in the
/// folder of its protocol.
#[must_use]
pub fn class_of(scenario: &Scenario) -> Option<Class> {
    let class = scenario.environment.class()?;
    let protocol = scenario.protocol?.name();
    (scenario.name == format!("{protocol}/{}", class.name())).then_some(class)
}

impl Matrix {
    /// The matrix that scenarios expect; those that do not belong to it are ignored.
    #[must_use]
    pub fn pinned(scenarios: &[Scenario]) -> Self {
        let column = |scenario: &Scenario| {
            let rows = scenario.properties.iter().map(|(property, expected)| {
                let verdict = expected.and_then(Expected::verdict).unwrap_or(Verdict::Unknown);
                let steps = expected.and_then(Expected::steps);
                (*property, verdict, steps, steps.is_some())
            });
            Column::new(scenario, scenario.states.unwrap_or_default(), rows)
        };
        Self { columns: scenarios.iter().filter_map(column).collect() }
    }

    /// The matrix that searches of scenarios have found; those that do not belong to it are ignored.
    #[must_use]
    pub fn found<'a>(searches: impl IntoIterator<Item = (&'a Scenario, &'a Report)>) -> Self {
        let column = |(scenario, report): (&Scenario, &Report)| {
            let rows = scenario.properties.iter().zip(&report.properties);
            let rows = rows.map(|((property, _), row)| {
                (*property, row.verdict, row.steps, row.trace.is_some())
            });
            Column::new(scenario, report.states, rows)
        };
        Self { columns: searches.into_iter().filter_map(column).collect() }
    }

    /// All cells, by protocol and then by property.
    pub fn cells(&self) -> impl Iterator<Item = &Cell> {
        let rows = self.protocols().into_iter().flat_map(move |protocol| {
            protocol.properties().iter().map(move |property| (protocol, property.name))
        });
        rows.flat_map(|(protocol, property)| self.row(protocol, property).into_iter().flatten())
    }

    /// The protocols, in the order of their registry.
    fn protocols(&self) -> Vec<Known> {
        let mut protocols: Vec<Known> = vec![];
        for column in &self.columns {
            if !protocols.contains(&column.protocol) {
                protocols.push(column.protocol);
            }
        }
        protocols.sort_by_key(|known| known.place());
        protocols
    }

    /// True if an entry of the table is `–`.
    #[must_use]
    pub fn has_gaps(&self) -> bool {
        let is_gap = |entry: &Entry| match entry {
            Entry::Verdict(cell) => {
                cell.as_ref().is_none_or(|cell| cell.verdict == Verdict::Unwitnessed)
            }
            Entry::Environment(_) => false,
        };
        self.rows().iter().any(|row| row.entries.iter().any(is_gap))
    }

    /// The columns for which a protocol has no scenario, although it has one for others.
    #[must_use]
    pub fn missing(&self) -> Vec<(Known, Class)> {
        let all = self.protocols().into_iter();
        let all = all.flat_map(|known| Class::ALL.into_iter().map(move |class| (known, class)));
        all.filter(|(known, class)| self.column(*known, *class).is_none()).collect()
    }

    fn column(&self, protocol: Known, class: Class) -> Option<&Column> {
        self.columns.iter().find(|column| column.protocol == protocol && column.class == class)
    }

    /// The cells of a property, one for each class; none where no scenario judges it.
    fn row(&self, protocol: Known, property: &str) -> [Option<&Cell>; Class::ALL.len()] {
        Class::ALL.map(|class| {
            let cells = &self.column(protocol, class)?.cells;
            cells.iter().find(|cell| cell.property == property)
        })
    }

    /// The rows of the table: for each protocol its environments, then its properties.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = vec![];
        for protocol in self.protocols() {
            let environment = |class| {
                let column = self.column(protocol, class);
                column.map_or(String::new(), |column| surroundings(&column.environment))
            };
            let head = Class::ALL.map(environment).map(Entry::Environment).to_vec();
            rows.push(Row { name: protocol.name().into(), entries: head });
            for property in protocol.properties() {
                let cells = self.row(protocol, property.name);
                if cells.iter().any(Option::is_some) {
                    let entries = cells.map(|cell| Entry::Verdict(cell.cloned())).to_vec();
                    rows.push(Row { name: property.name.into(), entries });
                }
            }
        }
        rows
    }

    /// The table as Markdown, with links to the traces below `traces`.
    #[must_use]
    pub fn to_markdown(&self, traces: &str) -> String {
        let names: Vec<_> = Class::ALL.iter().map(|class| format!("`{}`", class.name())).collect();
        let mut text =
            format!("| | {} |\n|---|{}\n", names.join(" | "), ":-:|".repeat(names.len()));
        for Row { name, entries } in self.rows() {
            let is_protocol = entries.iter().any(|entry| matches!(entry, Entry::Environment(_)));
            let name = if is_protocol { format!("**{name}**") } else { format!("`{name}`") };
            let entry = |entry: &Entry| match entry {
                Entry::Environment(text) => format!("*{text}*"),
                Entry::Verdict(Some(Cell { trace: Some(trace), .. })) => {
                    format!("[{entry}]({traces}/{trace})")
                }
                Entry::Verdict(_) => entry.to_string(),
            };
            let entries: Vec<_> = entries.iter().map(entry).collect();
            let _ = writeln!(text, "| {name} | {} |", entries.join(" | "));
        }
        text
    }
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// The protocol, or the property.
    pub name: String,
    /// One for each class.
    pub entries: Vec<Entry>,
}

/// An entry of the table.
#[derive(Clone, Debug)]
pub enum Entry {
    /// The environment of the protocol in this column.
    Environment(String),
    /// The verdict on the property; none where no scenario judges it.
    Verdict(Option<Cell>),
}

/// `✓ 4,335`, `✗ 6`, `–`, `?`; `✓ ≤ 4,335` if worlds beyond a bound were left out, `✓ ∞ 4,335` if some run
/// never settles.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = match self {
            Self::Environment(text) => return f.write_str(text),
            Self::Verdict(None) => return f.write_str("–"),
            Self::Verdict(Some(cell)) => cell,
        };
        match (cell.verdict, cell.steps) {
            (Verdict::Holds, _) => {
                let bounded = if cell.bounded { "≤ " } else { "" };
                let unsettled = if cell.unsettled { "∞ " } else { "" };
                write!(f, "✓ {bounded}{unsettled}{}", grouped(cell.states))
            }
            (Verdict::Violated, Some(steps)) => write!(f, "✗ {steps}"),
            (Verdict::Unwitnessed, _) => f.write_str("–"),
            // `Violated` without steps: a limit ended the search for the shortest run.
            (Verdict::Violated | Verdict::Unknown, _) => f.write_str("?"),
        }
    }
}

impl Column {
    fn new(
        scenario: &Scenario,
        states: u64,
        rows: impl Iterator<Item = (&'static Property, Verdict, Option<usize>, bool)>,
    ) -> Option<Self> {
        let class = class_of(scenario)?;
        let protocol = scenario.protocol?;
        let name = protocol.name();
        let rows: Vec<_> = rows.collect();
        let livelock = rows.iter().any(|(property, verdict, ..)| {
            property.kind == Kind::Fair && *verdict == Verdict::Violated
        });
        let cell = |(property, verdict, steps, is_kept): (&'static Property, _, _, bool)| Cell {
            protocol: name.into(),
            environment: class,
            property: property.name,
            verdict,
            bounded: scenario.environment.bound.is_some(),
            unsettled: livelock && property.kind == Kind::Settled,
            states,
            steps,
            trace: is_kept.then(|| format!("{name}/{}.{}.json", property.name, class.name())),
        };
        Some(Self {
            protocol,
            class,
            environment: scenario.environment.clone(),
            cells: rows.into_iter().map(cell).collect(),
        })
    }
}

/// The part of the environment that differs between columns: `joined; commands 2, crashes 2`.
fn surroundings(environment: &Environment) -> String {
    let bound = environment.bound.as_ref();
    let bound =
        bound.map_or(String::new(), |bound| format!("; {} ≤ {}", bound.measure, bound.most));
    format!("{}; {}{bound}", environment.start.name(), environment.budgets)
}
