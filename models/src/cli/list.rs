//! `interrex list`.

use super::{
    Command, Exit, Failure, Folders, STRONG, answer::Answer, choice::choice, chosen::is_chosen,
    styled, table,
};
use crate::{
    claim::property::{Kind, Property},
    io::file,
    protocol::registry::{Known, Registry},
    verdict::{
        report::{Case, Format, Section, json::Object},
        scenario::Scenario,
    },
};
use serde_json::json;
use std::{
    collections::BTreeSet,
    io::{self, Write},
};
use strum::{EnumMessage, EnumString, IntoStaticStr, VariantArray};

/// Show all protocols, scenarios and properties, or the glossary
///
/// A pattern that names protocols or scenarios also shows the properties that are judged there, with their claims. A
/// property `holds` only if it was exercised somewhere: the list says when that is.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit_codes! {
    "0    the list was shown"
    "2    bad usage, or a bad scenario"
})]
pub(super) struct List {
    /// Only those whose names contain one of these; a whole name means just that one
    #[arg(value_name = "PATTERN")]
    patterns: Vec<String>,
    /// Only this part; the glossary is shown only if it is asked for
    #[arg(long, value_name = "PART", value_parser = choice::<Part>())]
    only: Option<Part>,
    /// The format
    #[arg(long, value_parser = choice::<Format>(), default_value_t = Format::Text)]
    format: Format,
    #[command(flatten)]
    folders: Folders,
}

/// A part of the list.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, EnumMessage, EnumString, IntoStaticStr, VariantArray,
)]
#[strum(serialize_all = "kebab-case")]
enum Part {
    /// The protocols
    Protocols,
    /// The scenarios
    Scenarios,
    /// The properties
    Properties,
    /// The glossary: the words of the commands, the scenarios and the documentation
    Words,
}

impl List {
    pub(super) fn run(&self, of: &Command) -> Result<Exit, Failure> {
        let sections = match self.only {
            Some(Part::Words) => vec![glossary()],
            Some(Part::Protocols | Part::Scenarios | Part::Properties) | None => {
                sections(&of.registry, &self.folders.of(of).scenarios()?)
            }
        };
        self.all_patterns_choose(&sections, of.name)?;
        let mut answer = Answer::new(self.format);
        let mut judged = BTreeSet::new();
        // Properties come last.
        for section in sections {
            let chosen = self.chosen(section, &judged);
            judged.extend(chosen.items.iter().flat_map(|item| item.properties.clone()));
            if self.only.is_none_or(|only| only == chosen.part) {
                answer.add(&chosen)?;
            }
        }
        answer.end()
    }

    fn all_patterns_choose(&self, sections: &[Chapter], program: &str) -> Result<(), Failure> {
        let names = sections.iter().flat_map(Chapter::names);
        for pattern in &self.patterns {
            if !names.clone().any(|name| name.contains(pattern.as_str())) {
                let hint = file::did_you_mean(pattern, names.clone());
                return Err(Failure::Usage(format!(
                    "nothing is named like `{pattern}`{hint} (`{program} list` shows all)"
                )));
            }
        }
        Ok(())
    }

    /// The items that are named, and the properties that are judged there.
    fn chosen(&self, section: Chapter, judged: &BTreeSet<&str>) -> Chapter {
        if self.patterns.is_empty() {
            return section;
        }
        let names: Vec<_> = section.names().map(String::from).collect();
        let wanted = |item: &&Item| {
            judged.contains(item.name.as_str()) || is_chosen(&item.name, &self.patterns, &names)
        };
        let items = section.items.iter().filter(wanted).cloned().collect();
        Chapter { items, ..section }
    }
}

/// Everything that can be listed.
fn sections(registry: &Registry, scenarios: &[Scenario]) -> Vec<Chapter> {
    let all = registry.properties();
    let protocols = registry.all().iter().copied().map(protocol).collect();
    let scenarios = scenarios.iter().map(scenario).collect();
    let mut sections = vec![
        Chapter { title: "Protocols", part: Part::Protocols, items: protocols },
        Chapter { title: "Scenarios", part: Part::Scenarios, items: scenarios },
    ];
    let settled = "Settled properties, judged where the protocol has nothing left to do";
    let fair = "Fair properties, judged on runs as a whole; settled ones depend on them";
    for (kind, title) in [
        (Kind::Safety, "Safety properties, judged in every world"),
        (Kind::Settled, settled),
        (Kind::Fair, fair),
    ] {
        let properties = all.iter().filter(|property| property.kind == kind);
        let items = properties.map(|it| claimed(it)).collect();
        sections.push(Chapter { title, part: Part::Properties, items });
    }
    sections
}

/// The words of the documentation, from its own page: a line each, `* **word**: meaning`.
fn glossary() -> Chapter {
    let page = include_str!("../glossary.md").lines();
    let entries = page.filter_map(|line| line.strip_prefix("* **")?.split_once("**: "));
    let word = |(word, meaning): (&str, &str)| Item {
        name: word.into(),
        summary: meaning.replace('`', ""),
        object: Object::new("word", json!({ "word": word, "meaning": meaning })),
        properties: vec![],
    };
    Chapter { title: "Words", part: Part::Words, items: entries.map(word).collect() }
}

fn claimed(property: &Property) -> Item {
    let Property { name, kind, claim, exercised_when, .. } = property;
    Item {
        name: (*name).into(),
        summary: if kind.needs_witness() {
            format!("{claim}\n  exercised when: {exercised_when}")
        } else {
            (*claim).into()
        },
        object: Object::new(
            "property",
            json!({
                "property": name, "property_kind": kind, "claim": claim, "exercised_when": exercised_when,
            }),
        ),
        properties: vec![],
    }
}

fn protocol(known: Known) -> Item {
    let (name, summary) = (known.name(), known.summary());
    let properties: Vec<_> = known.properties().iter().map(|property| property.name).collect();
    Item {
        name: name.to_string(),
        summary: summary.to_string(),
        object: Object::new("protocol", json!({ "protocol": name, "summary": summary }))
            .with("properties", &properties),
        properties,
    }
}

fn scenario(scenario: &Scenario) -> Item {
    let Scenario { name, summary, nightly, states, .. } = scenario;
    let protocol = scenario.protocol.map(Known::name);
    let properties: Vec<_> =
        scenario.properties.iter().map(|(property, _)| property.name).collect();
    Item {
        name: name.clone(),
        summary: format!("{summary}{}", if *nightly { " (nightly)" } else { "" }),
        object: Object::new(
            "scenario",
            json!({
                "scenario": name, "protocol": protocol, "summary": summary, "nightly": nightly, "states": states,
            }),
        )
        .with("properties", &properties),
        properties,
    }
}

/// A chapter of the list.
struct Chapter {
    title: &'static str,
    part: Part,
    items: Vec<Item>,
}

impl Chapter {
    fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.items.iter().map(|item| item.name.as_str())
    }
}

#[derive(Clone)]
struct Item {
    name: String,
    summary: String,
    object: Object,
    /// The names of the properties that are judged there.
    properties: Vec<&'static str>,
}

impl Section for Chapter {
    fn cases(&self) -> Vec<Case> {
        vec![]
    }

    fn objects(&self) -> Vec<Object> {
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
